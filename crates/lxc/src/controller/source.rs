//! What is mounted: each kind of `<filesystem>` as a mount that is nowhere yet.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ferrovirt_sys::mount::{Forbid, attach_loop, forbid};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, open_tree,
};

use crate::protocol::{Failure, Filesystem, Source};

use super::root::Root;
use super::system::virtual_fs;
use super::{Named, Step};

/// Makes the mount, with the host's paths and root's powers. `root` is where a `bind` looks for its source.
pub(super) fn open(filesystem: &Filesystem, root: Option<&Root>) -> Step<OwnedFd> {
    let read_only = filesystem.read_only;
    let mount = match &filesystem.source {
        Source::Mount(path) => host_tree(path)?,
        Source::Bind(path) => match root {
            Some(root) => root.copy_of(path)?,
            None => return Err(Failure::new("the root of a container cannot be of type bind", 0)),
        },
        Source::File { path, format } => image(path, format.as_deref(), read_only)?,
        Source::Block { path, format } => device(path, path, format.as_deref(), read_only)?,
        Source::Ram { size_kib, options } => ram(*size_kib, options)?,
    };
    let what = Forbid {
        write: read_only,
        ..Forbid::default()
    };
    if read_only {
        forbid(&mount, what, true)
            .named(|| format!("cannot make {} read-only", filesystem.target.display()))?;
    }
    ferrovirt_sys::mount::make_private(&mount).named(|| {
        format!(
            "cannot make the mount for {} private",
            filesystem.target.display()
        )
    })?;
    Ok(mount)
}

fn host_tree(path: &Path) -> Step<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).named(|| format!("cannot open {}", path.display()))
}

fn ram(size_kib: u64, options: &str) -> Step<OwnedFd> {
    let size = format!("{size_kib}k");
    let mut all = vec![("size", Some(size.as_str()))];
    all.extend(
        options
            .split(',')
            .filter(|option| !option.is_empty())
            .map(|option| match option.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (option, None),
            }),
    );
    let what = Forbid {
        suid: true,
        devices: true,
        ..Forbid::default()
    };
    virtual_fs("tmpfs", "tmpfs", &all, what)
}

fn image(path: &Path, format: Option<&str>, read_only: bool) -> Step<OwnedFd> {
    let failed = || format!("cannot open {}", path.display());
    let file = File::options()
        .read(true)
        .write(!read_only)
        .open(path)
        .named(failed)?;
    if !file.metadata().named(failed)?.is_file() {
        return Err(Failure::new(
            format!("{} is not a regular file", path.display()),
            0,
        ));
    }
    let (loop_device, _open) = attach_loop(&file, read_only)
        .named(|| format!("cannot attach {} to a loop device", path.display()))?;
    device(&loop_device, path, format, read_only)
}

/// Mounts a device; `shown` is what it is called in an error.
fn device(path: &Path, shown: &Path, format: Option<&str>, read_only: bool) -> Step<OwnedFd> {
    fs::metadata(path).named(|| format!("cannot open {}", shown.display()))?;
    if let Some(format) = format {
        return mount_device(path, format, read_only)
            .named(|| format!("cannot mount {} as {format}", shown.display()));
    }
    let known =
        fs::read_to_string("/proc/filesystems").named(|| "cannot read /proc/filesystems".to_owned())?;
    let mut refused = None;
    for kind in of_devices(&known) {
        match mount_device(path, kind, read_only) {
            Ok(mount) => return Ok(mount),
            // It is another one, or one whose module is missing.
            Err(Errno::INVAL | Errno::NODEV) => {}
            Err(error) => refused = refused.or(Some((kind, error))),
        }
    }
    match refused {
        Some((kind, error)) => Err(Failure::new(
            format!("cannot mount {} as {kind}", shown.display()),
            error.raw_os_error(),
        )),
        None => Err(Failure::new(
            format!(
                "there is no file system that this kernel knows on {}",
                shown.display()
            ),
            0,
        )),
    }
}

fn mount_device(path: &Path, kind: &str, read_only: bool) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", path)?;
    if read_only {
        fsconfig_set_flag(context.as_fd(), "ro")?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
}

/// The kinds that need a device, in the kernel's order.
fn of_devices(filesystems: &str) -> impl Iterator<Item = &str> {
    filesystems
        .lines()
        .filter_map(|line| line.strip_prefix('\t'))
        .filter(|kind| !kind.is_empty() && *kind != "fuseblk")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_devices_are_told_from_virtual_ones() {
        let text = "nodev\tsysfs\n\text3\nnodev\ttmpfs\n\text4\n\tfuseblk\n\txfs\n";
        assert_eq!(of_devices(text).collect::<Vec<_>>(), ["ext3", "ext4", "xfs"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let filesystem = |source| Filesystem {
            source,
            target: "/x".into(),
            read_only: false,
        };
        let missing = || "/no/such/thing".into();
        for source in [
            Source::Mount(missing()),
            Source::File {
                path: missing(),
                format: None,
            },
            Source::Block {
                path: missing(),
                format: None,
            },
        ] {
            let error = open(&filesystem(source), None).unwrap_err();
            assert_eq!(
                error.to_string(),
                "cannot open /no/such/thing: No such file or directory"
            );
        }
        let error = open(
            &filesystem(Source::File {
                path: "/dev".into(),
                format: None,
            }),
            None,
        )
        .unwrap_err();
        assert!(error.what.contains("/dev"), "{error}");
    }
}
