//! Paths inside the container's root, followed as the container would: no symbolic link and no `..` leads out of it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, mkdirat, openat2};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::protocol::Failure;

use super::{Named, Step};

/// The container's root, before or after it is anybody's root directory, and to whom new files in it belong.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
    owner: (u32, u32),
}

impl Root {
    pub(super) fn new(directory: OwnedFd, owner: (u32, u32)) -> Root {
        Root { directory, owner }
    }

    /// Opens what is at a path.
    ///
    /// # Errors
    /// `ENOENT` and others of `openat2`.
    pub(super) fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(
            &self.directory,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
    }

    /// A directory, made with those above it where they are missing.
    pub(super) fn directory_at(&self, path: &Path) -> Step<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let failed = || format!("cannot create {} in the container", path.display());
        let mut so_far = PathBuf::from("/");
        let mut at = self.open(&so_far, flags).named(failed)?;
        for name in names(path)? {
            so_far.push(name);
            at = match self.open(&so_far, flags) {
                Err(Errno::NOENT) => {
                    let made = mkdirat(&at, name, Mode::from_bits_truncate(0o755));
                    if made != Err(Errno::EXIST) {
                        made.named(failed)?;
                        self.own(&at, name).named(failed)?;
                    }
                    self.open(&so_far, flags).named(failed)?
                }
                other => other.named(failed)?,
            };
        }
        Ok(at)
    }

    /// A place where a file can be mounted: one that is there, or an empty file.
    pub(super) fn file_at(&self, path: &Path) -> Step<OwnedFd> {
        let failed = || format!("cannot create {} in the container", path.display());
        if let Ok(found) = self.open(path, OFlags::PATH) {
            return Ok(found);
        }
        let (above, name) = self.above(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&above, name, flags, Mode::from_bits_truncate(0o644)).named(failed)?;
        self.own(&above, name).named(failed)?;
        self.open(path, OFlags::PATH).named(failed)
    }

    /// The directory that a path's last name is in, made if it is missing, and that name.
    pub(super) fn above<'a>(&self, path: &'a Path) -> Step<(OwnedFd, &'a OsStr)> {
        let names = names(path)?;
        let name = *names
            .last()
            .ok_or_else(|| Failure::new(format!("{} is no place in the container", path.display()), 0))?;
        let above = path.parent().unwrap_or_else(|| Path::new("/"));
        Ok((self.directory_at(above)?, name))
    }

    /// Gives a new file to the container's root.
    pub(super) fn own(&self, directory: impl AsFd, name: &OsStr) -> rustix::io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
        chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Puts a mount that is nowhere yet on a path.
    pub(super) fn mount(&self, mount: impl AsFd, on: &Path) -> Step<()> {
        let is_directory = rustix::fs::fstat(&mount)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
        let place = match is_directory {
            true => self.directory_at(on)?,
            false => self.file_at(on)?,
        };
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(mount, c"", place, c"", flags)
            .named(|| format!("cannot mount on {} in the container", on.display()))
    }

    /// A copy, under another name, of what is at a path.
    pub(super) fn copy_of(&self, path: &Path) -> Step<OwnedFd> {
        let failed = || format!("cannot open {} in the container", path.display());
        let found = self.open(path, OFlags::PATH).named(failed)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH
            | OpenTreeFlags::AT_RECURSIVE;
        open_tree(found, c"", flags).named(failed)
    }
}

/// The names on an absolute path without `..`.
fn names(path: &Path) -> Step<Vec<&OsStr>> {
    let refuse = || {
        Failure::new(
            format!("{} is not an absolute path without '..'", path.display()),
            0,
        )
    };
    if !path.is_absolute() {
        return Err(refuse());
    }
    path.components()
        .filter(|component| !matches!(component, Component::RootDir | Component::CurDir))
        .map(|component| match component {
            Component::Normal(name) => Ok(name),
            _ => Err(refuse()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn root(directory: &Path) -> Root {
        let fd = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let stat = rustix::fs::fstat(&fd).unwrap();
        Root::new(fd, (stat.st_uid, stat.st_gid))
    }

    #[test]
    fn links_lead_to_places_inside_only() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        symlink(outside.path(), inside.path().join("away")).unwrap();
        symlink("../../..", inside.path().join("up")).unwrap();
        let root = root(inside.path());
        root.directory_at("/up/made".as_ref()).unwrap();
        assert!(inside.path().join("made").is_dir());
        // What an absolute link names is looked for inside, where it is missing; nothing is made outside.
        assert!(root.directory_at("/away/made".as_ref()).is_err());
        assert!(root.file_at("/away/file".as_ref()).is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn places_are_made_once_and_found_again() {
        let inside = tempfile::tempdir().unwrap();
        let root = root(inside.path());
        for _ in 0..2 {
            root.directory_at("/a/b/c".as_ref()).unwrap();
            root.file_at("/a/x/file".as_ref()).unwrap();
        }
        assert!(inside.path().join("a/b/c").is_dir() && inside.path().join("a/x/file").is_file());
        for bad in ["a", "/a/../b", ""] {
            let error = root.directory_at(bad.as_ref()).unwrap_err();
            assert!(error.what.starts_with(bad), "{error}");
        }
        assert!(root.above("/".as_ref()).is_err());
        let error = root.directory_at("/a/x/file/below".as_ref()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot create /a/x/file/below in the container: Not a directory"
        );
    }
}
