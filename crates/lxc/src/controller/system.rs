//! What only a member of the container's namespaces can mount, or only as such a thing of the container: `/proc`, `/sys`, control groups.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ferrovirt_sys::mount::{Forbid, forbid};
use rustix::fs::{CWD, Mode};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::protocol::Orders;

use super::{Named, Step};

/// Neither programs nor devices nor set-user-id bits.
const DATA: Forbid = Forbid {
    write: false,
    suid: true,
    devices: true,
    exec: true,
};

/// The same, and not to be written to.
const READ_ONLY: Forbid = Forbid { write: true, ..DATA };

/// What of `/proc` acts on the whole machine, and is not below `/proc/sys`. The user namespace protects it where there is one;
/// elsewhere root could write to it, so it is read-only.
const MACHINE: [&str; 5] = [
    "/proc/sysrq-trigger",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
    "/proc/acpi",
];

/// What of `/proc` shows the machine's memory or keys; `/dev/null` stands there instead.
const SECRETS: [&str; 3] = ["/proc/kcore", "/proc/keys", "/proc/timer_list"];

/// A file system that needs no device, as an object that is nowhere yet. An option without `=` is a flag.
pub(super) fn virtual_fs(
    kind: &str,
    name: &str,
    options: &[(&str, Option<&str>)],
    what: Forbid,
) -> Step<OwnedFd> {
    let make = || {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), "source", name)?;
        for (key, value) in options {
            match value {
                Some(value) => fsconfig_set_string(context.as_fd(), *key, *value)?,
                None => fsconfig_set_flag(context.as_fd(), *key)?,
            }
        }
        fsconfig_create(context.as_fd())?;
        let attributes = MountAttrFlags::from_bits_retain(u32::try_from(what.bits()).unwrap_or(0));
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    make().named(|| format!("cannot make a file system of type {kind}"))
}

/// Puts a mount that is nowhere yet on a path. Inside the container's root.
pub(super) fn put(mount: &OwnedFd, on: &Path) -> Step<()> {
    move_mount(mount, c"", CWD, on, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .named(|| format!("cannot mount on {} in the container", on.display()))
}

/// A copy of what is mounted, or only is, at a path; with all mounts below where wanted.
pub(super) fn tree(path: &Path, recursive: bool) -> Step<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, path, flags).named(|| format!("cannot open {}", path.display()))
}

fn cover(path: &Path, by: &Path, what: Forbid) -> Step<()> {
    if !path.exists() {
        return Ok(());
    }
    let mount = tree(by, false)?;
    forbid(&mount, what, false).named(|| format!("cannot restrict {}", path.display()))?;
    put(&mount, path)
}

/// `/proc` and `/sys` as libvirt's containers see them. With the container's root as root, while the host's are still mounted
/// somewhere (the kernel wants that for a user namespace). `sys` is the host's `/sys`, for who may not make one.
pub(super) fn mount_proc_and_sys(orders: &Orders, sys: Option<OwnedFd>) -> Step<()> {
    put(&virtual_fs("proc", "proc", &[], DATA)?, "/proc".as_ref())?;
    // What is below is the container's own; each exists where the protocol does. Taken before it is read-only.
    let own: Vec<_> = ["/proc/sys/net/ipv4", "/proc/sys/net/ipv6"]
        .into_iter()
        .map(Path::new)
        .filter(|path| orders.namespaces.private_network && path.exists())
        .map(|path| Ok((path, tree(path, false)?)))
        .collect::<Step<_>>()?;
    cover("/proc/sys".as_ref(), "/proc/sys".as_ref(), READ_ONLY)?;
    for (path, mount) in own {
        put(&mount, path)?;
    }
    if orders.namespaces.user.is_none() {
        for path in MACHINE {
            cover(path.as_ref(), path.as_ref(), READ_ONLY)?;
        }
        for path in SECRETS {
            cover(
                path.as_ref(),
                "/dev/null".as_ref(),
                Forbid {
                    write: true,
                    exec: true,
                    ..Forbid::default()
                },
            )?;
        }
    }
    let sys = match sys {
        Some(sys) => sys,
        None => virtual_fs("sysfs", "sysfs", &[], READ_ONLY)?,
    };
    put(&sys, "/sys".as_ref())
}

/// One line of `/proc/self/cgroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// The controllers, or `name=…`; nothing for version 2.
    pub(super) controllers: String,
    /// Where this process is in it.
    pub(super) path: String,
}

/// Where a process is in the control groups that it is not at the top of: only those may be shown in the container.
pub(super) fn groups(text: &str) -> Vec<Group> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            (path != "/" && !path.contains("..")).then(|| Group {
                controllers: controllers.to_owned(),
                path: path.to_owned(),
            })
        })
        .collect()
}

/// `/sys/fs/cgroup`: the container's own groups, seen as roots. Those of version 1 are read-only where root inside is root
/// outside, because their files do not know whose they are; but for that of the container's systemd.
pub(super) fn mount_cgroups(groups: &[Group], own_users: bool) -> Step<()> {
    const TOP: &str = "/sys/fs/cgroup";
    if groups.is_empty() || !Path::new(TOP).exists() {
        return Ok(());
    }
    if let [group] = groups
        && group.controllers.is_empty()
    {
        return put(&virtual_fs("cgroup2", "cgroup", &[], DATA)?, TOP.as_ref());
    }
    let options = [("size", Some("64k")), ("mode", Some("755"))];
    put(&virtual_fs("tmpfs", "tmpfs", &options, DATA)?, TOP.as_ref())?;
    for group in groups {
        let (kind, place, options) = match group.controllers.split_once("name=") {
            _ if group.controllers.is_empty() => ("cgroup2", "unified", Vec::new()),
            Some((_, name)) => ("cgroup", name, vec![("none", None), ("name", Some(name))]),
            None => {
                let options = group.controllers.split(',').map(|controller| (controller, None));
                ("cgroup", group.controllers.as_str(), options.collect())
            }
        };
        let directory = Path::new(TOP).join(place);
        rustix::fs::mkdir(&directory, Mode::from_bits_truncate(0o755))
            .named(|| format!("cannot create {} in the container", directory.display()))?;
        let is_shared = kind == "cgroup" && !group.controllers.contains("name=");
        let what = if is_shared && !own_users { READ_ONLY } else { DATA };
        put(&virtual_fs(kind, "cgroup", &options, what)?, &directory)?;
        if place.contains(',') {
            for controller in place.split(',') {
                let link = Path::new(TOP).join(controller);
                rustix::fs::symlink(place, &link).named(|| format!("cannot create {}", link.display()))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_of_the_machine_as_a_whole_are_not_shown() {
        let text = "9:name=systemd:/\n4:cpu,cpuacct:/machine.slice/c1\n3:pids:/../x\n0::/machine.slice/c1\nnonsense\n";
        let found = groups(text);
        let group = |controllers: &str| Group {
            controllers: controllers.to_owned(),
            path: "/machine.slice/c1".to_owned(),
        };
        assert_eq!(found, [group("cpu,cpuacct"), group("")]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,200}") {
            for group in groups(&text) {
                prop_assert!(group.path != "/");
            }
        }
    }
}
