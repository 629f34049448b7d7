//! What is done in a running container: by a child that has the host's powers, enters the container's mounts, and follows no path out of
//! them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ferrovirt_sys::clone;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::mount::{UnmountFlags, unmount};

use crate::protocol::{Ask, Failure, Filesystem, Node, Orders, Source};

use super::root::Root;
use super::{Named, Step, dev, idmap, initctl, source};

/// Does it. For a child; `init` is a handle to the container's init.
pub(super) fn act(orders: &Orders, init: &OwnedFd, ask: &Ask) -> Step<()> {
    match ask {
        Ask::Mount(filesystem) => mount(orders, init, filesystem),
        Ask::Unmount(target) => {
            enter(orders, init)?;
            detach(target)
        }
        Ask::MakeNode(node) => make_node(orders, init, node),
        Ask::RemoveNode(path) => remove_node(&enter(orders, init)?, path),
        Ask::Shutdown(_) => {
            enter(orders, init)?;
            initctl::ask(initctl::POWER_OFF)
        }
        Ask::Reboot(_) => {
            enter(orders, init)?;
            initctl::ask(initctl::RESTART)
        }
        Ask::Go | Ask::Kill => Err(Failure::new("not a matter of the container's mounts", 0)),
    }
}

/// The container's root becomes this process's root, so nothing leads out of it.
fn enter(orders: &Orders, init: &OwnedFd) -> Step<Root> {
    let failed = || "cannot enter the mounts of the container".to_owned();
    clone::enter_mounts(init.as_fd()).named(failed)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open("/", flags, Mode::empty()).named(failed)?;
    Ok(Root::new(directory, idmap::root(orders.namespaces.user.as_ref())))
}

fn mount(orders: &Orders, init: &OwnedFd, filesystem: &Filesystem) -> Step<()> {
    // A source of the host is opened there, one of the container here.
    let of_host = match filesystem.source {
        Source::Bind(_) => None,
        _ => Some(source::open(filesystem, None)?),
    };
    let root = enter(orders, init)?;
    let mount = match of_host {
        Some(mount) => mount,
        None => source::open(filesystem, Some(&root))?,
    };
    root.mount(&mount, &filesystem.target)
}

fn detach(target: &Path) -> Step<()> {
    unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
        .named(|| format!("cannot unmount {} in the container", target.display()))
}

fn make_node(orders: &Orders, init: &OwnedFd, node: &Node) -> Step<()> {
    let device = dev::identify(node)?;
    let root = enter(orders, init)?;
    dev::node(&root, &node.inside, device, dev::HOST_NODE_MODE)
}

/// Removes a node; what is none stays.
fn remove_node(root: &Root, path: &Path) -> Step<()> {
    let failed = || format!("cannot remove device {} in the container", path.display());
    let (above, name) = root.above(path)?;
    let stat = rustix::fs::statat(&above, name, AtFlags::SYMLINK_NOFOLLOW).named(failed)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice | FileType::BlockDevice => {
            rustix::fs::unlinkat(&above, name, AtFlags::empty()).named(failed)
        }
        _ => Err(Failure::new(
            format!("{} is not a device in the container", path.display()),
            0,
        )),
    }
}
