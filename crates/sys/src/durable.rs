//! Files that are there, whole, after a power failure: what was acknowledged is on disk (temporary file, fsync, rename,
//! fsync of the directory).
//!
//! All of these block for milliseconds: call them through [`crate::blocking::here`].

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink as make_link};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells temporary files of this process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Replaces or makes the file `path`. A reader sees the old content or the new one, nothing in between. `mode` holds
/// whatever the umask is.
///
/// # Errors
/// What the file system says; the old file is then untouched and no temporary file is left.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = temporary_name(path)?;
    let result = write_new(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    finish(result, &temporary, path)
}

/// Removes the file or link `path`; one that is not there is no error.
///
/// # Errors
/// What the file system says.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the symbolic link `link`, in place of what had its name.
///
/// # Errors
/// What the file system says; an old link is then untouched.
pub fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    let temporary = temporary_name(link)?;
    let result = make_link(target, &temporary).and_then(|()| fs::rename(&temporary, link));
    finish(result, &temporary, link)
}

/// Whether a file name is one of the temporary files of this module, left behind by a crash: whoever reads a directory
/// passes over them.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".new")
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn finish(result: io::Result<()>, temporary: &Path, path: &Path) -> io::Result<()> {
    if let Err(error) = result {
        // The first error is the one to tell; what could not be made need not be removed.
        let _ = fs::remove_file(temporary);
        return Err(error);
    }
    sync_directory(path)
}

/// Hidden, in the same directory: rename must not cross file systems.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{number}.new", std::process::id()));
    Ok(path.with_file_name(hidden))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_replaced_whole_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("g1.xml");
        write(&path, b"one", 0o644).unwrap();
        write(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(dir.path()), ["g1.xml"]);
    }

    #[test]
    fn a_failure_leaves_the_old_and_no_rubbish() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"x", 0o600).is_err());
        assert!(symlink(Path::new("x"), &path).is_err());
        assert_eq!(names(dir.path()), ["sub"]);
        assert!(write(&dir.path().join("none/x"), b"x", 0o600).is_err());
        assert!(write(Path::new("/"), b"x", 0o600).is_err());
    }

    #[test]
    fn links_are_made_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("auto.xml");
        symlink(Path::new("../a.xml"), &link).unwrap();
        symlink(Path::new("../b.xml"), &link).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("../b.xml"));
        remove(&link).unwrap();
        remove(&link).unwrap();
        assert!(names(dir.path()).is_empty());
        assert!(remove(dir.path()).is_err());
    }

    #[test]
    fn temporary_names_are_recognised() {
        let name = temporary_name(Path::new("/x/g1.xml")).unwrap();
        assert_eq!(name.parent(), Some(Path::new("/x")));
        assert!(is_temporary(name.file_name().unwrap().to_str().unwrap()));
        assert!(!is_temporary("g1.xml"));
        assert!(!is_temporary(".hidden"));
        assert!(!is_temporary("a.new"));
        assert_ne!(name, temporary_name(Path::new("/x/g1.xml")).unwrap());
    }
}
