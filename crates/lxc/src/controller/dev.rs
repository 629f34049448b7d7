//! The container's `/dev`: a small tmpfs with the nodes that libvirt's containers have, and a devpts of its own with their consoles.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ferrovirt_sys::mount::Forbid;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, chownat, fchown, makedev, mknodat, symlinkat};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};

use crate::protocol::{Failure, Node, Orders};

use super::idmap;
use super::root::Root;
use super::system::virtual_fs;
use super::{Named, Step};

/// Character devices for everybody: name, major, minor.
const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Names for what a process has in `/proc`.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Group `tty`, which may write to terminals, where nothing else is said.
const TTY_GROUP: u32 = 5;

/// Devices of the host are for the container's root.
pub(super) const HOST_NODE_MODE: u32 = 0o700;

/// `/dev` is small: there are only nodes in it.
const SIZE: &str = "64k";

const NO_SUID: Forbid = Forbid {
    write: false,
    suid: true,
    devices: false,
    exec: false,
};

/// Puts `/dev` and `/dev/pts` together in the container's root; returns the masters of the consoles.
pub(super) fn make(root: &Root, orders: &Orders) -> Step<Vec<OwnedFd>> {
    let options = [("size", Some(SIZE)), ("mode", Some("755"))];
    let dev = virtual_fs("tmpfs", "devfs", &options, NO_SUID)?;
    let maps = orders.namespaces.user.as_ref();
    let (uid, gid) = idmap::root(maps);
    fchown(&dev, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .named(|| "cannot give /dev to the container".to_owned())?;
    root.mount(&dev, "/dev".as_ref())?;
    for (name, major, minor) in NODES {
        let device = (FileType::CharacterDevice, makedev(major, minor));
        node(root, &Path::new("/dev").join(name), device, 0o666)?;
    }
    for (name, to) in LINKS {
        let path = Path::new("/dev").join(name);
        let (above, name) = root.above(&path)?;
        let made = symlinkat(to, &above, name).and_then(|()| root.own(&above, name));
        made.named(|| format!("cannot create {} in the container", path.display()))?;
    }
    let group = maps
        .map_or(Some(TTY_GROUP), |maps| idmap::to_host(&maps.gids, TTY_GROUP))
        .unwrap_or(gid)
        .to_string();
    let options = [
        ("mode", Some("0620")),
        ("ptmxmode", Some("0666")),
        ("gid", Some(group.as_str())),
    ];
    let pts = virtual_fs("devpts", "devpts", &options, NO_SUID)?;
    root.mount(&pts, "/dev/pts".as_ref())?;
    let again = root.copy_of("/dev/pts/ptmx".as_ref())?;
    root.mount(again, "/dev/ptmx".as_ref())?;
    consoles(root, orders.consoles.len(), (uid, gid))
}

/// The first console is `/dev/tty1` and `/dev/console`, the others are `/dev/tty2` and so on.
fn consoles(root: &Root, count: usize, (uid, gid): (u32, u32)) -> Step<Vec<OwnedFd>> {
    (0..count)
        .map(|index| {
            let failed = || format!("cannot make console {index} of the container");
            let master = root
                .open("/dev/pts/ptmx".as_ref(), OFlags::RDWR | OFlags::NOCTTY)
                .named(failed)?;
            rustix::pty::unlockpt(&master).named(failed)?;
            // The instance is new, so its terminals are numbered in this order.
            let pts = format!("/dev/pts/{index}");
            let slave = root.open(pts.as_ref(), OFlags::PATH).named(failed)?;
            chownat(
                &slave,
                "",
                Some(Uid::from_raw(uid)),
                Some(Gid::from_raw(gid)),
                AtFlags::EMPTY_PATH,
            )
            .named(failed)?;
            let names = [
                (index == 0).then(|| "console".to_owned()),
                Some(format!("tty{}", index + 1)),
            ];
            for name in names.into_iter().flatten() {
                root.mount(root.copy_of(pts.as_ref())?, &Path::new("/dev").join(name))?;
            }
            Ok(master)
        })
        .collect()
}

/// The container's side of a console, so that its master never finds itself alone.
pub(super) fn other_side(master: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    ioctl_tiocgptpeer(master, flags)
}

/// Makes a device of the host inside, for the container's root.
pub(super) fn host_node(root: &Root, wish: &Node) -> Step<()> {
    let device = identify(wish)?;
    node(root, &wish.inside, device, HOST_NODE_MODE)
}

/// What a node of the host is.
pub(super) fn identify(wish: &Node) -> Step<(FileType, u64)> {
    let stat =
        rustix::fs::stat(&wish.host).named(|| format!("cannot find device {}", wish.host.display()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        kind @ (FileType::CharacterDevice | FileType::BlockDevice) => Ok((kind, stat.st_rdev)),
        _ => Err(Failure::new(
            format!("{} is not a device", wish.host.display()),
            0,
        )),
    }
}

/// Makes a node inside, whatever was at that name before if it was no directory.
pub(super) fn node(root: &Root, path: &Path, (kind, device): (FileType, u64), mode: u32) -> Step<()> {
    let (above, name) = root.above(path)?;
    let failed = || format!("cannot create device {} in the container", path.display());
    match rustix::fs::unlinkat(&above, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        other => other.named(failed)?,
    }
    // The mask of new files does not count here. To change the mode later would follow a link that somebody inside has put there.
    let mask = rustix::process::umask(Mode::empty());
    let made = mknodat(above.as_fd(), name, kind, Mode::from_bits_truncate(mode), device);
    rustix::process::umask(mask);
    made.named(failed)?;
    root.own(&above, name).named(failed)
}
