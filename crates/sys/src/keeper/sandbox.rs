//! The file rules of a sandbox: Landlock. The rules are made by the keeper; the script puts itself under them before exec.

use std::error::Error;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
};
use rustix::fs::{FileType, Mode, OFlags};

/// What can be written to in any case. Where one of them is missing, nobody misses it.
const ALWAYS: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

/// The first version of Landlock whose rules also cover truncating: before it, what cannot be written could be emptied.
const VERSION: ABI = ABI::V3;

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

const RULE_PATH_BENEATH: libc::c_int = 1;

/// Rules under which nothing is written but what is below these paths and in [`ALWAYS`].
///
/// # Errors
/// `EOPNOTSUPP` where the kernel has no Landlock or one that is too old (before 6.2); the kernel's number when a path
/// cannot be opened.
pub(super) fn ruleset(writable: &[PathBuf]) -> io::Result<OwnedFd> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(writing())
        .and_then(Ruleset::create)
        .map_err(with_number)?;
    let always = ALWAYS.map(|path| (Path::new(path), false));
    let given = writable.iter().map(|path| (path.as_path(), true));
    for (path, needed) in always.into_iter().chain(given) {
        let fd = match rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) if !needed => continue,
            other => other?,
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
        let rights = if kind == FileType::Directory {
            writing()
        } else {
            // The others are rights on what a directory contains.
            writing() & AccessFs::from_file(VERSION)
        };
        rules = rules
            .add_rule(PathBeneath::new(fd, rights))
            .map_err(with_number)?;
    }
    let fd: Option<OwnedFd> = rules.into();
    fd.ok_or_else(unsupported)
}

fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_write(VERSION)
}

/// What the kernel said, out of an error that wraps it.
fn with_number(error: impl Error + 'static) -> io::Error {
    let mut next: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = next {
        if let Some(number) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
        {
            return io::Error::from_raw_os_error(number);
        }
        next = error.source();
    }
    // Not the kernel's word but the library's: it lacks what is asked for.
    unsupported()
}

fn unsupported() -> io::Error {
    io::Error::from_raw_os_error(libc::EOPNOTSUPP)
}

/// Puts this process, and what it becomes and starts, under the rules, with its own `/proc/self` writable besides. It must
/// have given up new privileges before. Whether it succeeded; if not, `errno` says why.
///
/// # Safety
/// Only for a child between clone and exec that shares the memory of a parent that sleeps: nothing here allocates or
/// changes memory but its own stack.
pub(super) unsafe fn restrict_self(ruleset: RawFd) -> bool {
    // SAFETY: the path is a constant; the attributes are only read and live across the call; the rest takes numbers only.
    unsafe {
        // Only now `/proc/self` is the script's. Without /proc there is nothing to write to.
        let own = libc::open(c"/proc/self".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        if own >= 0 {
            let attr = PathBeneathAttr {
                allowed_access: AccessFs::WriteFile as u64 | AccessFs::Truncate as u64,
                parent_fd: own,
            };
            let (call, at) = (libc::SYS_landlock_add_rule, &raw const attr);
            if libc::syscall(call, ruleset, RULE_PATH_BENEATH, at, 0) != 0 {
                return false;
            }
        }
        libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_number_is_found_in_what_wraps_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let inner = io::Error::from_raw_os_error(libc::EPERM);
        assert_eq!(with_number(Outer(inner)).raw_os_error(), Some(libc::EPERM));
        let other = Outer(io::Error::other("no number"));
        assert_eq!(with_number(other).raw_os_error(), Some(libc::EOPNOTSUPP));
    }

    #[test]
    fn only_writing_is_ruled() {
        assert!((writing() & AccessFs::from_read(VERSION)).is_empty());
        assert!(writing().contains(AccessFs::Truncate));
    }
}
