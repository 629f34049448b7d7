//! What a running container finds at a path, asked from outside: its root is the root of the search, so no link leads out.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, openat2, statx,
};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The kernel's number of the mount that it is in.
    pub mount: u64,
    /// It is the uppermost of that mount.
    pub is_mount_point: bool,
    /// It is a block or a character device.
    pub is_device: bool,
}

/// The container's root directory, by its first process.
fn root(init: i32) -> Result<OwnedFd> {
    let path = PathBuf::from(format!("/proc/{init}/root"));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, &path, flags, Mode::empty());
    opened.map_err(|error| Error::io("Cannot open", &path)(error.into()))
}

/// Looks at a path inside; a link at its end is not followed.
///
/// # Errors
/// The container is gone, or the kernel refuses. What is not there is no error.
pub fn look(init: i32, path: &Path) -> Result<Option<Found>> {
    let failed = |error: Errno| Error::io("Cannot look in the container at", path)(error.into());
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file: File = match openat2(root(init)?, path, flags, Mode::empty(), resolve) {
        Ok(file) => file.into(),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let stat = statx(&file, "", AtFlags::EMPTY_PATH, wanted).map_err(failed)?;
    let kind = FileType::from_raw_mode(u32::from(stat.stx_mode));
    Ok(Some(Found {
        mount: stat.stx_mnt_id,
        is_mount_point: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        is_device: matches!(kind, FileType::BlockDevice | FileType::CharacterDevice),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_and_devices_are_told_apart() {
        let me = std::process::id().cast_signed();
        let at = |path: &str| look(me, Path::new(path)).unwrap();
        assert_eq!(at("/no/such/thing"), None);
        assert_eq!(at("/proc/version/x"), None);
        let (proc, null) = (at("/proc").unwrap(), at("/dev/null").unwrap());
        assert!(proc.is_mount_point && !proc.is_device, "{proc:?}");
        assert!(null.is_device && null.mount != proc.mount, "{null:?}");
        assert_eq!(at("/proc/version").unwrap().mount, proc.mount);
        assert!(!at("/proc/version").unwrap().is_mount_point);
        assert!(look(-1, Path::new("/")).is_err());
    }
}
