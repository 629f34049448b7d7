//! Where programs are found: our own small ones beside the daemon, other people's along `PATH`.

use std::env;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

/// Where a packaged build installs its helper programs; set at compile time.
const LIBEXEC: &str = match option_env!("FERROVIRT_LIBEXEC") {
    Some(directory) => directory,
    None => "/usr/libexec/ferrovirt",
};

/// Where system programs live that a service's `PATH` may lack.
const SYSTEM_DIRECTORIES: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// One of our own programs (`ferrovirt-keeper`, `ferrovirt-launch`, `ferrovirt-lease`): beside the running program (or
/// above it, where cargo puts test programs into `deps`), then in the directory given at compile time as
/// `FERROVIRT_LIBEXEC`.
pub fn find_helper(name: &str) -> Option<PathBuf> {
    let mut places = Vec::new();
    if let Some(directory) = env::current_exe().ok().as_deref().and_then(Path::parent) {
        places.push(directory.to_owned());
        if directory.ends_with("deps") {
            places.extend(directory.parent().map(Path::to_owned));
        }
    }
    places.push(PathBuf::from(LIBEXEC));
    places
        .into_iter()
        .map(|place| place.join(name))
        .find(|path| is_program(path))
}

/// A program along `PATH`, then in the usual system directories. A name with a slash is taken as it is.
pub fn find_in_path(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| is_program(path));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .chain(SYSTEM_DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|path| is_program(path))
}

/// Whether this process may execute the file.
fn is_program(path: &Path) -> bool {
    path.is_file() && may_execute(path)
}

/// Whether the kernel would let this process, as the user it is now, execute the file: for root, one with any execute bit.
pub fn may_execute(path: &Path) -> bool {
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r15_programs_are_found_along_the_path() {
        let shell = find_in_path("sh").unwrap();
        assert!(shell.is_absolute() && shell.ends_with("sh"));
        assert_eq!(find_in_path("/bin/sh"), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find_in_path("no-such-program-anywhere"), None);
        assert_eq!(find_in_path("/etc/passwd"), None);
        assert_eq!(find_in_path(""), None);
        assert_eq!(find_helper("ferrovirt-no-such-helper"), None);
    }
}
