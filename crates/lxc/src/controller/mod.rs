//! The program `ferrovirt-lxc`: one for each container. It outlives the daemon, so it is small and has one thread.
//!
//! ```text
//! controller            host's namespaces; consoles, daemon, requests           supervisor
//!   └─ guard            number 1 of a pid namespace that only we are in          guard
//!        ├─ stage       mounts of its own: puts the root together, then goes      stage, root, dev, source
//!        └─ init        the container's namespaces, number 1 of its own           init, user, caps, seccomp
//! ```
//!
//! The kernel ends everything in a pid namespace with its number 1. The guard ends with the controller (`PR_SET_PDEATHSIG`), and
//! nothing in the container can see or reach it, so a container cannot outlive its controller, whatever init does to its own
//! signals and credentials. The stage has the host's root's powers over mounts that only it sees; init gets a copy of them, in
//! which a user namespace cannot undo what the stage has forbidden.

mod caps;
mod console;
mod dev;
mod guard;
mod idmap;
mod init;
mod initctl;
mod meminfo;
mod note;
mod peer;
mod plug;
mod root;
mod seccomp;
mod source;
mod stage;
mod supervisor;
mod system;
mod user;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use ferrovirt_sys::clone::take_inherited;

use crate::protocol::{Failure, ORDERS_FD, Orders, SOCKET_FD};

/// What a step of making a container comes to.
type Step<T> = Result<T, Failure>;

/// Says what was tried when the kernel refused it.
trait Named<T> {
    /// `cannot mount …`: the beginning of the sentence that the kernel's words end.
    fn named(self, what: impl FnOnce() -> String) -> Step<T>;
}

impl<T> Named<T> for io::Result<T> {
    fn named(self, what: impl FnOnce() -> String) -> Step<T> {
        self.map_err(|error| Failure::new(what(), error.raw_os_error().unwrap_or(0)))
    }
}

impl<T> Named<T> for rustix::io::Result<T> {
    fn named(self, what: impl FnOnce() -> String) -> Step<T> {
        self.map_err(|error| Failure::new(what(), error.raw_os_error()))
    }
}

/// The main function of `ferrovirt-lxc`.
pub fn main() -> ExitCode {
    match begin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ferrovirt-lxc: {error} (this program is started by the daemon, not by hand)");
            ExitCode::FAILURE
        }
    }
}

fn begin() -> io::Result<()> {
    let orders = read_orders(take_inherited(ORDERS_FD)?)?;
    let listener = take_inherited(SOCKET_FD)?;
    let consoles = orders
        .consoles
        .iter()
        .map(|number| take_inherited(*number))
        .collect::<io::Result<Vec<_>>>()?;
    // The container gets the mask that it would have on a machine of its own, and nothing of the daemon's.
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
    supervisor::Supervisor::new(orders, listener, consoles)?.serve()
}

fn read_orders(fd: OwnedFd) -> io::Result<Orders> {
    let mut text = Vec::new();
    let mut file = File::from(fd);
    // A memfd was just written, so its position is at its end; a pipe has none.
    let _ = rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0));
    file.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
