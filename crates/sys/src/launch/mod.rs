//! Starting what outlives the daemon: QEMU, dnsmasq.
//!
//! The daemon is large and has threads, so it neither forks nor changes users. It starts `ferrovirt-launch` the cheap way
//! (`posix_spawn`) and sends it its orders; the launcher, with one thread and little memory, forks once more, does what
//! has to be done between fork and exec in a safe order ([`child`]), and goes away. The program is then a child of init.
//!
//! Between the fork and all the rest it waits for a word from the daemon, which can write down before who the process is (R96).

mod child;
mod helper;
mod orders;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub use crate::error::LaunchError;
pub(crate) use child::pointers;
pub use helper::main;
pub use orders::Orders;

use crate::frame::Broken;
use crate::process::ProcessId;
use crate::socket;
use orders::{Answer, GO};

/// How long the launcher may take: far more than it ever needs, but an exec from a dead network file system must not
/// hold a thread for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a program in its own session, with init as its parent, all signals at their default, `/dev/null` on standard
/// input and no descriptor but the ordered ones. Returns after the `execve` has succeeded.
///
/// `helper` is the path of `ferrovirt-launch`. Runs on a thread of its own, so the future may be dropped.
///
/// # Errors
/// [`LaunchError::Exec`] names a program that cannot be executed, the others what else failed.
pub async fn launch(helper: &Path, orders: Orders) -> Result<ProcessId, LaunchError> {
    ready(helper, orders).await?.go().await
}

/// A process that will be the program, and is nothing yet: whoever has to undo it after the daemon's death can be told who
/// it is before it does anything. When this is dropped, or the daemon dies, the process ends.
#[derive(Debug)]
pub struct Ready {
    id: ProcessId,
    program: PathBuf,
    helper: PathBuf,
    socket: OwnedFd,
    child: Child,
}

/// The first half of [`launch`].
///
/// # Errors
/// [`LaunchError::Helper`], [`LaunchError::Step`].
pub async fn ready(helper: &Path, orders: Orders) -> Result<Ready, LaunchError> {
    let helper = helper.to_owned();
    let task = tokio::task::spawn_blocking(move || {
        let program = orders.program.clone();
        let failed = |helper: &Path, source| LaunchError::Helper {
            program: program.clone(),
            helper: helper.to_owned(),
            source,
        };
        let (socket, mut child) = spawn(&helper).map_err(|error| failed(&helper, error))?;
        match talk(&socket, &orders) {
            Ok(Answer::Ready(id)) => Ok(Ready {
                id,
                program,
                helper,
                socket,
                child,
            }),
            other => {
                end(&mut child);
                let source = other.map_or_else(|error| error, |_| socket::broken(Broken("not ready")));
                Err(failed(&helper, source))
            }
        }
    });
    task.await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

impl Ready {
    /// The process; it stays the same when it becomes the program.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// The second half of [`launch`]. When the future is dropped, the program is started all the same.
    ///
    /// # Errors
    /// [`LaunchError::Exec`] names a program that cannot be executed, the others what else failed.
    pub async fn go(mut self) -> Result<ProcessId, LaunchError> {
        let task = tokio::task::spawn_blocking(move || {
            let answer = socket::send_all(&self.socket, &[GO], &[]).and_then(|()| answer(&self.socket));
            if answer.is_ok() {
                // It goes by itself; what it started lives on.
                let _ = self.child.wait();
            }
            let program = self.program.clone();
            match answer {
                Ok(Answer::Started(id)) => Ok(id),
                Ok(Answer::NoExec(errno)) => Err(LaunchError::Exec { program, errno }),
                Ok(Answer::Failed { step, errno }) => Err(LaunchError::Step { program, step, errno }),
                Ok(Answer::Ready(_)) => Err(self.failed(socket::broken(Broken("ready twice")))),
                Err(source) => Err(self.failed(source)),
            }
        });
        task.await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn failed(&self, source: io::Error) -> LaunchError {
        LaunchError::Helper {
            program: self.program.clone(),
            helper: self.helper.clone(),
            source,
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Starts the launcher.
fn spawn(helper: &Path) -> io::Result<(OwnedFd, Child)> {
    let (ours, theirs) = socket::pair()?;
    rustix::net::sockopt::set_socket_timeout(&ours, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE))?;
    let child = Command::new(helper)
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok((ours, child))
}

/// Ends a launcher, which may hang, unless it is gone; its child goes with it unless it was told to go on.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn talk(socket: &OwnedFd, orders: &Orders) -> io::Result<Answer> {
    let message = orders.encode().map_err(socket::broken)?;
    let fds: Vec<_> = orders.descriptors().map(AsFd::as_fd).collect();
    socket::send_all(socket, &message, &fds)?;
    answer(socket)
}

fn answer(socket: &OwnedFd) -> io::Result<Answer> {
    let (answer, _) = socket::receive_message(socket)?;
    Answer::decode(&answer).map_err(socket::broken)
}
