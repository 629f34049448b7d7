//! A `/dev` of a program's own: a small file system with the nodes that it may use, with owners of their own, and what is
//! mounted below the host's. The nodes of the host keep whom they belong to.
//!
//! What is mounted below `/dev` (`/dev/pts`, `/dev/shm`, `/dev/hugepages`) is the host's; what lies there has its node there.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change, move_mount,
    open_tree,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::process::ProcessId;

/// The host's directory, and the program's.
const DEV: &str = "/dev";
/// Nodes take no room; directories and links do.
const OPTIONS: &std::ffi::CStr = c"mode=755,size=1m";
/// How many symbolic links a name may lead through, as in the kernel.
const LINKS: usize = 40;

/// A file in the host's `/dev` that shall be in the program's, too, if it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its path. The links on its way come along; a path that leads into `/dev` from elsewhere is followed.
    pub path: PathBuf,
    /// User and group that the node shall have there; none: those that it has on the host.
    pub owner: Option<(u32, u32)>,
}

/// A step and why it failed.
pub(crate) type Failure = (String, io::Error);

/// Whether a program with a `/dev` of its own has a node of its own for this file: it is a device in the host's `/dev`, and not on
/// something that is mounted there.
pub fn holds(path: &Path) -> bool {
    let Ok(dev) = fs::metadata(DEV) else { return false };
    let Ok(path) = fs::canonicalize(path) else {
        return false;
    };
    let is_node = |meta: &Metadata| is_device(meta) && meta.dev() == dev.dev();
    path.starts_with(DEV) && fs::symlink_metadata(&path).is_ok_and(|meta| is_node(&meta))
}

fn is_device(meta: &Metadata) -> bool {
    meta.file_type().is_char_device() || meta.file_type().is_block_device()
}

/// What has to be made for the nodes; looked up on the host.
#[derive(Debug)]
enum Entry {
    Link {
        path: PathBuf,
        to: PathBuf,
    },
    Device {
        path: PathBuf,
        meta: Metadata,
        owner: (u32, u32),
    },
    /// A plain file or a socket.
    File {
        path: PathBuf,
        mount: OwnedFd,
    },
}

impl Entry {
    fn path(&self) -> &Path {
        match self {
            Entry::Link { path, .. } | Entry::Device { path, .. } | Entry::File { path, .. } => path,
        }
    }

    fn make(&self) -> io::Result<()> {
        if let Some(dir) = self.path().parent() {
            fs::create_dir_all(dir)?;
        }
        match self {
            Entry::Link { path, to } => match std::os::unix::fs::symlink(to, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // Where it leads may have changed since it was made.
                    if fs::read_link(path).is_ok_and(|known| known != *to) {
                        fs::remove_file(path)?;
                        std::os::unix::fs::symlink(to, path)?;
                    }
                    Ok(())
                }
                done => done,
            },
            Entry::Device { path, meta, owner } => make_device(path, meta, *owner),
            Entry::File { path, mount } => {
                if fs::symlink_metadata(path).is_ok() {
                    return Ok(());
                }
                File::create(path)?;
                attach(mount, path)
            }
        }
    }
}

fn make_device(path: &Path, meta: &Metadata, (uid, gid): (u32, u32)) -> io::Result<()> {
    if let Ok(known) = fs::symlink_metadata(path) {
        if known.rdev() == meta.rdev() && known.file_type() == meta.file_type() {
            return chown(path, (uid, gid));
        }
        fs::remove_file(path)?;
    }
    let kind = match meta.file_type().is_block_device() {
        true => FileType::BlockDevice,
        false => FileType::CharacterDevice,
    };
    rustix::fs::mknodat(
        CWD,
        path,
        kind,
        Mode::from_raw_mode(meta.mode() & 0o7777),
        meta.rdev(),
    )?;
    chown(path, (uid, gid))
}

fn chown(path: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
}

fn attach(mount: &OwnedFd, path: &Path) -> io::Result<()> {
    Ok(move_mount(
        mount,
        c"",
        CWD,
        path,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )?)
}

/// A copy of the mount or of the file at a path, with what is mounted below.
fn copy_of(path: &Path) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path, flags)?)
}

/// What of the host's `/dev` is on the way to the nodes. What is not there, or what root may not look at (on a server's disk), is left out:
/// whoever opens it has the better words.
fn gather(nodes: &[Node]) -> io::Result<Vec<Entry>> {
    let device = fs::metadata(DEV)?.dev();
    let mut entries = Vec::new();
    for node in nodes {
        let _ = walk(node, device, &mut entries);
    }
    Ok(entries)
}

/// Follows a path from its beginning, link by link.
fn walk(node: &Node, device: u64, entries: &mut Vec<Entry>) -> io::Result<()> {
    let mut at = PathBuf::from("/");
    let mut ahead: VecDeque<OsString> = names(&node.path).collect();
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        at.push(name);
        let meta = fs::symlink_metadata(&at)?;
        let is_ours = at.starts_with(DEV) && at != Path::new(DEV) && meta.dev() == device;
        if meta.file_type().is_symlink() {
            links += 1;
            if links > LINKS {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            let to = fs::read_link(&at)?;
            if is_ours {
                entries.push(Entry::Link {
                    path: at.clone(),
                    to: to.clone(),
                });
            }
            match to.is_absolute() {
                true => at = PathBuf::from("/"),
                false => drop(at.pop()),
            }
            for name in names(&to).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(name);
            }
        } else if is_ours && ahead.is_empty() && !meta.is_dir() {
            entries.push(match is_device(&meta) {
                true => Entry::Device {
                    path: at.clone(),
                    owner: node.owner.unwrap_or((meta.uid(), meta.gid())),
                    meta,
                },
                false => Entry::File {
                    path: at.clone(),
                    mount: copy_of(&at)?,
                },
            });
        }
    }
    Ok(())
}

/// The names in a path, `..` among them.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Leaves the host's mounts for a copy of them that the host's changes reach and that reaches nobody, with a `/dev` of its own, in which
/// `/dev/null` always is. For a process with one thread.
pub(crate) fn enter(nodes: &[Node]) -> Result<(), Failure> {
    // SAFETY: this process has one thread; descriptors stay as they are.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(failed("unshare of mounts"))?;
    let propagation = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", propagation).map_err(failed("mounts of its own"))?;
    // What every program is started with.
    let null = Node {
        path: Path::new(DEV).join("null"),
        owner: None,
    };
    let mut entries = gather(&[null]).map_err(failed("devices for /dev"))?;
    entries.extend(gather(nodes).map_err(failed("devices for /dev"))?);
    let kept = mounts_below().map_err(failed("mounts below /dev"))?;
    mount("devfs", DEV, "tmpfs", MountFlags::NOSUID, Some(OPTIONS)).map_err(failed("mount of /dev"))?;
    for (path, is_dir, copy) in &kept {
        place(path, *is_dir, copy).map_err(failed(&format!("mount of {}", path.display())))?;
    }
    make_all(&entries)
}

fn failed<E: Into<io::Error>>(step: &str) -> impl FnOnce(E) -> Failure {
    let step = step.to_owned();
    move |error| (step, error.into())
}

fn make_all(entries: &[Entry]) -> Result<(), Failure> {
    // The modes are the host's.
    let umask = rustix::process::umask(Mode::empty());
    let made = entries.iter().try_for_each(|entry| {
        let step = format!("making {}", entry.path().display());
        entry.make().map_err(failed(&step))
    });
    rustix::process::umask(umask);
    made
}

fn place(path: &Path, is_dir: bool, copy: &OwnedFd) -> io::Result<()> {
    match is_dir {
        true => fs::create_dir_all(path)?,
        false => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create(path)?;
        }
    }
    attach(copy, path)
}

/// What is mounted below `/dev`, the uppermost of each, with a copy; whether it is a directory.
fn mounts_below() -> io::Result<Vec<(PathBuf, bool, OwnedFd)>> {
    let mut paths = mount_points(&fs::read("/proc/self/mountinfo")?);
    paths.sort();
    let mut kept: Vec<(PathBuf, bool, OwnedFd)> = Vec::new();
    for path in paths {
        if kept.iter().any(|(above, ..)| path.starts_with(above)) {
            continue;
        }
        // One whose directory is gone, or that another one hides, is nobody's any more.
        let Ok(meta) = fs::metadata(&path) else { continue };
        let Ok(copy) = copy_of(&path) else { continue };
        kept.push((path, meta.is_dir(), copy));
    }
    Ok(kept)
}

/// The places below `/dev` where something is mounted: the fifth field of each line.
fn mount_points(table: &[u8]) -> Vec<PathBuf> {
    let lines = table.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let paths = points.map(|point| PathBuf::from(OsString::from_vec(plain(point))));
    { paths }
        .filter(|path| path.starts_with(DEV) && path != Path::new(DEV))
        .collect()
}

/// Space, tab, newline and backslash stand as three octal digits.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail
            .get(..3)
            .filter(|digits| byte == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        match digits {
            Some(digits) => {
                out.push(digits.iter().fold(0u8, |value, digit| {
                    value.wrapping_mul(8).wrapping_add(digit - b'0')
                }));
                rest = &tail[3..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

/// More nodes in the `/dev` of a process that was given one of its own.
///
/// # Errors
/// `ESRCH` when it is gone, `EINVAL` when its `/dev` is the host's; what making a node gives.
pub fn add(process: ProcessId, nodes: &[Node]) -> io::Result<()> {
    let entries = gather(nodes)?;
    inside(process, || {
        make_all(&entries).map_err(|(step, error)| io::Error::new(error.kind(), format!("{step}: {error}")))
    })
}

/// Takes nodes out of the `/dev` of a process that was given one of its own, but for those that are among `stay` by another name;
/// the links to them stay, too.
///
/// # Errors
/// As [`add`]. A node that is not there is none.
pub fn remove(process: ProcessId, paths: &[PathBuf], stay: &[PathBuf]) -> io::Result<()> {
    inside(process, || {
        // What its names lead to there: the host's device may be gone.
        let named = { paths.iter() }.filter(|path| holds(path));
        let devices: Vec<PathBuf> = named.filter_map(|path| fs::canonicalize(path).ok()).collect();
        let kept: Vec<PathBuf> = { stay.iter() }
            .filter_map(|path| fs::canonicalize(path).ok())
            .collect();
        let mut gone = devices.iter().filter(|path| !kept.contains(path));
        gone.try_for_each(|path| match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        })
    })
}

/// Works among the mounts of another process. A thread for it alone, as there is no way back.
fn inside(process: ProcessId, work: impl FnOnce() -> io::Result<()> + Send) -> io::Result<()> {
    let mounts = File::open(format!("/proc/{}/ns/mnt", process.pid))?;
    if !process.is_alive() {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    let own = fs::metadata("/proc/self/ns/mnt")?;
    if mounts.metadata()?.ino() == own.ino() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let task = || {
        // SAFETY: what this thread no longer shares is its directory and its umask; no descriptor depends on them.
        unsafe { unshare_unsafe(UnshareFlags::FS)? };
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&mounts), Some(LinkNameSpaceType::Mount))?;
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("private-dev".to_owned());
        match thread.spawn_scoped(scope, task)?.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_mounts_are_read_with_what_is_escaped() {
        let table = b"22 1 0:5 / /dev rw - devtmpfs udev rw\n\
            23 22 0:6 / /dev/a\\040b\\134c rw shared:2 - tmpfs x rw\n\
            24 22 0:7 / /devices rw - tmpfs x rw\n\
            25 22 0:8 / /dev/pts rw - devpts x rw\nbroken\n\n";
        let found = mount_points(table);
        assert_eq!(found, [PathBuf::from("/dev/a b\\c"), PathBuf::from("/dev/pts")]);
        assert_eq!(plain(b"\\0"), b"\\0");
        assert_eq!(plain(b"\\777"), [255]);
    }

    #[test]
    fn devices_have_a_node_of_their_own_and_nothing_else_has() {
        let own = fs::metadata("/dev/null").unwrap().dev() == fs::metadata("/dev").unwrap().dev();
        assert_eq!(holds(Path::new("/dev/null")), own);
        assert!(!holds(Path::new("/dev/shm")));
        assert!(!holds(Path::new("/etc/passwd")));
        assert!(!holds(Path::new("/dev/not-there")));
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert_eq!(holds(&link), own, "a link from elsewhere leads there");
    }

    #[test]
    fn links_on_the_way_come_along() {
        // /dev/stdin leads to /proc, out of /dev.
        let node = |path: &str| Node {
            path: path.into(),
            owner: Some((7, 8)),
        };
        let entries = gather(&[
            node("/dev/stdin"),
            node("/dev/not-there"),
            node("/dev/../dev/zero"),
        ])
        .unwrap();
        assert!(
            entries
                .iter()
                .any(|entry| matches!(entry, Entry::Link { path, .. } if path == Path::new("/dev/stdin"))),
            "{entries:?}"
        );
        if holds(Path::new("/dev/zero")) {
            let of_zero = entries
                .iter()
                .find(|entry| entry.path() == Path::new("/dev/zero"));
            assert!(
                matches!(of_zero, Some(Entry::Device { owner: (7, 8), .. })),
                "{entries:?}"
            );
        }
        let round = tempfile::tempdir().unwrap();
        let (a, b) = (round.path().join("a"), round.path().join("b"));
        std::os::unix::fs::symlink(&b, &a).unwrap();
        std::os::unix::fs::symlink(&a, &b).unwrap();
        let of = |path: PathBuf| gather(&[Node { path, owner: None }]).unwrap();
        assert!(of(a).is_empty(), "it leads nowhere");
        assert!(of("/dev/null/below".into()).is_empty());
    }
}
