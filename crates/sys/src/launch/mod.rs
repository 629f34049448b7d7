//! Starting what outlives the daemon: QEMU, dnsmasq.
//!
//! The daemon is large and has threads, so it neither forks nor changes users. It starts `ferrovirt-launch` the cheap way
//! (`posix_spawn`) and sends it its orders; the launcher, with one thread and little memory, forks once more, does what
//! has to be done between fork and exec in a safe order ([`child`]), and goes away. The program is then a child of init.

mod child;
mod helper;
mod orders;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub use crate::error::LaunchError;
pub use helper::main;
pub use orders::Orders;

use crate::process::ProcessId;
use crate::socket;
use orders::Answer;

/// How long the launcher may take: far more than it ever needs, but an exec from a dead network file system must not
/// hold a thread for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a program in its own session, with init as its parent, all signals at their default, `/dev/null` on standard
/// input and no descriptor but the ordered ones. Returns after the `execve` has succeeded.
///
/// `helper` is the path of `ferrovirt-launch`. Runs on a thread of its own, so the future may be dropped; the program is
/// then started all the same.
///
/// # Errors
/// [`LaunchError::Exec`] names a program that cannot be executed, the others what else failed.
pub async fn launch(helper: &Path, orders: Orders) -> Result<ProcessId, LaunchError> {
    let helper = helper.to_owned();
    let program = orders.program.clone();
    let failed = |helper: &Path, source| LaunchError::Helper {
        program: program.clone(),
        helper: helper.to_owned(),
        source,
    };
    let answer = tokio::task::spawn_blocking({
        let helper = helper.clone();
        move || ask(&helper, &orders)
    })
    .await
    .unwrap_or_else(|panic| Err(io::Error::other(panic)));
    match answer {
        Ok(Answer::Started(id)) => Ok(id),
        Ok(Answer::NoExec(errno)) => Err(LaunchError::Exec { program, errno }),
        Ok(Answer::Failed { step, errno }) => Err(LaunchError::Step { program, step, errno }),
        Err(source) => Err(failed(&helper, source)),
    }
}

/// Starts the launcher, sends it the orders, waits for its answer.
fn ask(helper: &PathBuf, orders: &Orders) -> io::Result<Answer> {
    let (ours, theirs) = socket::pair()?;
    rustix::net::sockopt::set_socket_timeout(&ours, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE))?;
    let mut child = Command::new(helper)
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let answer = talk(&ours, orders);
    if answer.is_err() {
        // It may hang; a program that it started by then lives on, but it is not known to.
        let _ = child.kill();
    }
    child.wait()?;
    answer
}

fn talk(socket: &OwnedFd, orders: &Orders) -> io::Result<Answer> {
    let message = orders.encode().map_err(socket::broken)?;
    let fds: Vec<_> = orders.descriptors().map(AsFd::as_fd).collect();
    socket::send_all(socket, &message, &fds)?;
    let (answer, _) = socket::receive_message(socket)?;
    Answer::decode(&answer).map_err(socket::broken)
}
