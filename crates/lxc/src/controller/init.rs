//! Number 1 of the container, from its birth to its exec.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use ferrovirt_sys::clone;
use ferrovirt_sys::{capability, netns, signals};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use rustix::process::Uid;

use crate::protocol::{Failure, Orders, SharedKind};

use super::note::{Note, Ties};
use super::system::{self, Group};
use super::user::{self, Identity};
use super::{Named, Step, caps, seccomp};

/// What the stage has made and only init can put in its place.
#[derive(Debug)]
pub(super) struct Inheritance {
    /// The control groups that are shown.
    pub(super) groups: Vec<Group>,
    /// The host's `/sys`.
    pub(super) host_sys: Option<OwnedFd>,
    /// Mounts below `/proc` and `/sys`.
    pub(super) late: Vec<(PathBuf, OwnedFd)>,
}

/// Never returns: becomes the container's init, or says why not.
pub(super) fn run(orders: &Orders, ties: &Ties, inheritance: Inheritance) -> ! {
    // The first word: the id maps are written. The second: the interfaces are in. A controller that is gone says nothing.
    if ties.wait_for_word().is_none() {
        clone::exit_now(1);
    }
    let program = match become_root(orders).map(|()| ties.wait_for_word()) {
        Ok(None) => clone::exit_now(1),
        Ok(Some(())) => prepare(orders, inheritance),
        Err(failure) => Err(failure),
    };
    let failure = match program {
        Ok(program) => {
            Note::Executing.send(&ties.notes, &[]);
            program.exec()
        }
        Err(failure) => failure,
    };
    Note::Failed(failure).send(&ties.notes, &[]);
    clone::exit_now(1)
}

/// In a new user namespace the process has all capabilities and is nobody; now it is root of it.
fn become_root(orders: &Orders) -> Step<()> {
    if orders.namespaces.user.is_some() {
        user::become_somebody(&Identity::default())?;
    }
    rustix::process::setsid().named(|| "cannot make a session for the container".to_owned())?;
    Ok(())
}

fn prepare(orders: &Orders, inheritance: Inheritance) -> Step<Program> {
    let kept = caps::kept(&orders.capabilities)?;
    let shares = |kind| orders.namespaces.shared.iter().any(|shared| shared.kind == kind);
    if !shares(SharedKind::Uts) {
        rustix::system::sethostname(orders.name.as_bytes())
            .named(|| format!("cannot set the host name {}", orders.name))?;
    }
    if orders.namespaces.private_network && !shares(SharedKind::Net) {
        netns::bring_up_loopback().named(|| "cannot bring up lo in the container".to_owned())?;
    }
    change_root(orders, inheritance)?;
    let init = &orders.init;
    let identity = user::find(init.user.as_deref(), init.group.as_deref())?;
    let directory = init.dir.as_deref().unwrap_or("/");
    let program = Program::new(orders)?;
    std::env::set_current_dir(directory).named(|| format!("cannot enter {directory} in the container"))?;
    standard_streams(orders, &identity)?;
    clone::new_session_keyring().named(|| "cannot leave the keys of the host".to_owned())?;
    if orders.no_new_privileges {
        rustix::thread::set_no_new_privs(true).named(|| "cannot set no_new_privs".to_owned())?;
    }
    // A filter and another user need capabilities that may be dropped; to limit them needs one that another user lacks.
    seccomp::restrict(orders)?;
    signals::reset_all();
    let dropped = || "cannot drop capabilities".to_owned();
    capability::limit(kept).named(dropped)?;
    user::become_somebody(&identity)?;
    capability::drop_others(kept).named(dropped)?;
    clone::close_all_on_exec();
    Ok(program)
}

/// Makes the current directory the root of this mount namespace, and lets go of everything of the host.
fn change_root(orders: &Orders, inheritance: Inheritance) -> Step<()> {
    let failed = || "cannot change to the root of the container".to_owned();
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    // A copy, as the original is held fast by the namespace above; on top of it, as a root must be a mount.
    let root = open_tree(CWD, ".", flags).named(failed)?;
    ferrovirt_sys::mount::make_private(&root).named(failed)?;
    move_mount(&root, c"", CWD, ".", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).named(failed)?;
    rustix::process::fchdir(&root).named(failed)?;
    rustix::process::pivot_root(".", ".").named(failed)?;
    system::mount_proc_and_sys(orders, inheritance.host_sys)?;
    system::mount_cgroups(&inheritance.groups, orders.namespaces.user.is_some())?;
    for (target, mount) in &inheritance.late {
        system::put(mount, target)?;
    }
    // The old root lies on top of the new one: the last that leads to the host.
    unmount(".", UnmountFlags::DETACH).named(failed)?;
    std::env::set_current_dir("/").named(failed)
}

/// The console, or nothing, on descriptors 0, 1 and 2. It is nobody's controlling terminal yet, as in libvirt: a getty takes it.
fn standard_streams(orders: &Orders, identity: &Identity) -> Step<()> {
    let path = if orders.consoles.is_empty() {
        "/dev/null"
    } else {
        "/dev/console"
    };
    let failed = || format!("cannot open {path} in the container");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let console = rustix::fs::open(path, flags, Mode::empty()).named(failed)?;
    if !orders.consoles.is_empty() && identity.uid != 0 {
        // Or init could not open its own console again.
        rustix::fs::fchown(&console, Some(Uid::from_raw(identity.uid)), None).named(failed)?;
    }
    rustix::stdio::dup2_stdin(&console).named(failed)?;
    rustix::stdio::dup2_stdout(&console).named(failed)?;
    rustix::stdio::dup2_stderr(&console).named(failed)
}

/// What is executed, in the form of `execve`.
struct Program {
    name: String,
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    fn new(orders: &Orders) -> Step<Program> {
        let text = |text: &str| {
            CString::new(text).map_err(|_| Failure::new("a zero byte in the arguments of init", 0))
        };
        let init = &orders.init;
        let args = [&init.path].into_iter().chain(&init.args);
        Ok(Program {
            name: init.path.clone(),
            path: text(&init.path)?,
            args: args.map(|arg| text(arg)).collect::<Step<_>>()?,
            env: environment(orders)
                .iter()
                .map(|(name, value)| text(&format!("{name}={value}")))
                .collect::<Step<_>>()?,
        })
    }

    /// Returns only when that failed.
    fn exec(&self) -> Failure {
        let error = clone::exec(&self.path, &self.args, &self.env);
        Failure::new(
            format!("cannot execute {} in the container", self.name),
            error.raw_os_error().unwrap_or(0),
        )
    }
}

/// What libvirt gives every init, then `<initenv>`.
fn environment(orders: &Orders) -> Vec<(String, String)> {
    let ttys = (1..orders.consoles.len()).map(|index| format!("pts/{index}"));
    let ttys = ttys.collect::<Vec<_>>().join(" ");
    let mut all: Vec<(String, String)> = [
        ("PATH", "/bin:/sbin"),
        ("TERM", "linux"),
        ("container", "lxc-libvirt"),
        ("HOME", "/"),
        ("container_uuid", &orders.uuid),
        ("container_ttys", &ttys),
        ("LIBVIRT_LXC_UUID", &orders.uuid),
        ("LIBVIRT_LXC_NAME", &orders.name),
    ]
    .into_iter()
    .filter(|(name, _)| *name != "container_ttys" || !ttys.is_empty())
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    for (name, value) in &orders.init.env {
        all.retain(|(known, _)| known != name);
        all.push((name.clone(), value.clone()));
    }
    all
}
