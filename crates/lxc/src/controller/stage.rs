//! Puts the container's file systems together in mounts that nobody else sees, makes init with a copy of them, and goes.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use ferrovirt_sys::clone::{self, Namespace, Side};
use ferrovirt_sys::mount::Forbid;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::protocol::{Filesystem, Orders, SharedKind, Source};

use super::init::{self, Inheritance};
use super::note::{Note, Ties};
use super::root::Root;
use super::system::{self, Group, groups, virtual_fs};
use super::{Named, Step, dev, idmap, meminfo, source};

/// Never returns.
pub(super) fn run(orders: &Orders, ties: &Ties) -> ! {
    match make(orders, ties) {
        Ok(()) => clone::exit_now(0),
        Err(failure) => {
            Note::Failed(failure).send(&ties.notes, &[]);
            clone::exit_now(1)
        }
    }
}

fn make(orders: &Orders, ties: &Ties) -> Step<()> {
    // Before anything is entered or hidden: what is named in the orders is named in the host's words.
    let shared = open_shared(orders)?;
    let groups = own_groups();
    let host_sys = match host_network_only(orders) {
        true => Some(system::host_sys()?),
        false => None,
    };
    let (root_fs, others) = sort(orders);
    let root_mount = source::open(&root_fs, None).map_err(|failure| {
        crate::protocol::Failure::new(format!("root of the container: {}", failure.what), failure.errno)
    })?;
    clone::unshare_mounts().named(|| "cannot get mounts of its own".to_owned())?;
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", slave).named(|| "cannot separate the mounts from the host's".to_owned())?;
    let root = stand_up(orders, &root_mount)?;
    let late = furnish(orders, &root, &others, ties)?;
    for (kind, namespace) in &shared {
        enter(*kind, namespace)?;
    }
    give_birth(
        orders,
        ties,
        Inheritance {
            groups,
            host_sys,
            late,
        },
    )
}

/// Whether the container is in a network namespace that its user namespace does not own: it cannot make a `/sys` for it.
fn host_network_only(orders: &Orders) -> bool {
    orders.namespaces.user.is_some() && !orders.namespaces.private_network
}

fn own_groups() -> Vec<Group> {
    groups(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

/// The root, then the others in their order. Without one the host's root is it, as in libvirt.
fn sort(orders: &Orders) -> (Filesystem, Vec<&Filesystem>) {
    let is_root = |filesystem: &&Filesystem| filesystem.target == Path::new("/");
    let root = orders.filesystems.iter().find(is_root).cloned();
    let root = root.unwrap_or_else(|| Filesystem {
        source: Source::Mount("/".into()),
        target: "/".into(),
        read_only: false,
    });
    let others = orders
        .filesystems
        .iter()
        .filter(|filesystem| !is_root(filesystem));
    (root, others.collect())
}

/// Mounts the root where it can be entered, with a `/proc` and a `/sys` beside it: in a user namespace the kernel lets somebody make
/// these only where such ones are in sight, with nothing on top of them.
fn stand_up(orders: &Orders, root_mount: &OwnedFd) -> Step<Root> {
    let staging = &orders.staging;
    let failed = || format!("cannot mount on {}", staging.display());
    let hold = virtual_fs("tmpfs", "ferrovirt", &[("mode", Some("755"))], Forbid::default())?;
    put(&hold, staging).named(failed)?;
    for name in ["root", "proc", "sys"] {
        rustix::fs::mkdirat(&hold, name, Mode::from_bits_truncate(0o755)).named(failed)?;
    }
    put(
        &virtual_fs("proc", "proc", &[], Forbid::default())?,
        &staging.join("proc"),
    )
    .named(failed)?;
    put(
        &virtual_fs("sysfs", "sysfs", &[], Forbid::default())?,
        &staging.join("sys"),
    )
    .named(failed)?;
    let place = staging.join("root");
    // A root that is one file cannot be put on a directory: the error names it.
    put(root_mount, &place).named(|| "cannot mount the root of the container".to_owned())?;
    // Init starts here: its way down to it might be closed to the container's users.
    std::env::set_current_dir(&place).named(|| "cannot enter the root of the container".to_owned())?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(".", flags, Mode::empty())
        .named(|| "cannot enter the root of the container".to_owned())?;
    Ok(Root::new(directory, idmap::root(orders.namespaces.user.as_ref())))
}

fn put(mount: &OwnedFd, on: &Path) -> rustix::io::Result<()> {
    move_mount(mount, c"", CWD, on, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// `/dev` and the other file systems. Those below `/proc` and `/sys` come later, as these are mounted by init: they are
/// returned.
fn furnish(
    orders: &Orders,
    root: &Root,
    others: &[&Filesystem],
    ties: &Ties,
) -> Step<Vec<(PathBuf, OwnedFd)>> {
    for path in ["/proc", "/sys", "/dev"] {
        root.directory_at(path.as_ref())?;
    }
    let masters = dev::make(root, orders)?;
    let borrowed: Vec<_> = masters.iter().map(AsFd::as_fd).collect();
    Note::Consoles.send(&ties.notes, &borrowed);
    let mut late = meminfo(orders, ties)?;
    for filesystem in others {
        let mount = source::open(filesystem, Some(root))?;
        let target = &filesystem.target;
        if target.starts_with("/proc") || target.starts_with("/sys") {
            late.push((target.clone(), mount));
        } else {
            root.mount(&mount, target)?;
        }
    }
    for node in &orders.nodes {
        dev::host_node(root, node)?;
    }
    Ok(late)
}

/// `/proc/meminfo` with the container's limits. Where the kernel has no FUSE, the host's figures are shown, as in libvirt.
fn meminfo(orders: &Orders, ties: &Ties) -> Step<Vec<(PathBuf, OwnedFd)>> {
    if orders.memory.is_none() {
        return Ok(Vec::new());
    }
    if !Path::new("/dev/fuse").exists() {
        eprintln!("ferrovirt-lxc: without /dev/fuse the container sees the host's /proc/meminfo");
        return Ok(Vec::new());
    }
    let (connection, mount) = meminfo::make()?;
    Note::Meminfo.send(&ties.notes, &[connection.as_fd()]);
    Ok(vec![(PathBuf::from("/proc/meminfo"), mount)])
}

fn open_shared(orders: &Orders) -> Step<Vec<(SharedKind, File)>> {
    orders
        .namespaces
        .shared
        .iter()
        .map(|shared| {
            let file = File::open(&shared.path)
                .named(|| format!("cannot open namespace {}", shared.path.display()))?;
            Ok((shared.kind, file))
        })
        .collect()
}

fn enter(kind: SharedKind, namespace: &File) -> Step<()> {
    let (allowed, name) = match kind {
        SharedKind::Net => (LinkNameSpaceType::Network, "network"),
        SharedKind::Ipc => (LinkNameSpaceType::InterProcessCommunication, "IPC"),
        SharedKind::Uts => (LinkNameSpaceType::HostNameAndNISDomainName, "UTS"),
    };
    move_into_link_name_space(namespace.as_fd(), Some(allowed))
        .named(|| format!("cannot enter the {name} namespace that is to be shared"))
}

/// Which namespaces init gets new.
fn new_namespaces(orders: &Orders) -> Vec<Namespace> {
    let shares = |kind| orders.namespaces.shared.iter().any(|shared| shared.kind == kind);
    let wanted = [
        (Namespace::Mount, true),
        (Namespace::Pid, true),
        (Namespace::Cgroup, true),
        (Namespace::Ipc, !shares(SharedKind::Ipc)),
        (Namespace::Uts, !shares(SharedKind::Uts)),
        (
            Namespace::Net,
            orders.namespaces.private_network && !shares(SharedKind::Net),
        ),
        (Namespace::User, orders.namespaces.user.is_some()),
    ];
    let wanted = wanted.into_iter().filter(|(_, wanted)| *wanted);
    wanted.map(|(namespace, _)| namespace).collect()
}

/// Makes init, as a child of the guard.
fn give_birth(orders: &Orders, ties: &Ties, inheritance: Inheritance) -> Step<()> {
    match clone::clone(&new_namespaces(orders), true) {
        Ok(Side::Child) => init::run(orders, ties, inheritance),
        Ok(Side::Parent(_, handle)) => {
            Note::Born.send(&ties.notes, &[handle.as_fd()]);
            Ok(())
        }
        Err(error) => Err(error).named(|| "cannot make the namespaces of the container".to_owned()),
    }
}
