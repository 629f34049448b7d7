//! Launchers of one kind, one of them started before it is needed.
//!
//! A launcher is a small program, but an exec costs milliseconds on a busy or virtual machine. So whoever has started something
//! has the next launcher started meanwhile: it waits for its orders, and goes when the daemon is gone.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::orders::{Answer, Orders};
use super::{LaunchError, Ready, talk};
use crate::frame::Broken;
use crate::process::ProcessId;
use crate::socket;

/// How long the launcher may take: far more than it ever needs, but an exec from a dead network file system must not
/// hold a thread for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts programs by one launcher: `ferrovirt-launch`, or one that becomes the program itself ([`super::main_of`]). Copies share
/// the launcher that waits.
#[derive(Debug, Clone)]
pub struct Launcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    helper: PathBuf,
    spare: Mutex<Option<Waiting>>,
}

/// What the launcher could not do before there was a process, with the kernel's number.
type Refusal = (String, i32);

/// A launcher that waits for its orders, or at work. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) socket: OwnedFd,
    pub(super) child: Child,
}

impl Drop for Waiting {
    /// Ends a launcher, which may hang, unless it is gone; its child goes with it unless it was told to go on.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Launcher {
    /// With the launcher at this path. None is started yet.
    pub fn new(helper: impl Into<PathBuf>) -> Launcher {
        Launcher(Arc::new(Inner {
            helper: helper.into(),
            spare: Mutex::new(None),
        }))
    }

    /// The launcher's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.helper
    }

    /// Starts a program in its own session, with init as its parent, all signals at their default, `/dev/null` on standard
    /// input and no descriptor but the ordered ones. Returns after the `execve` has succeeded. Runs on a thread of its own, so the
    /// future may be dropped.
    ///
    /// # Errors
    /// [`LaunchError::Exec`] names a program that cannot be executed, the others what else failed.
    pub async fn launch(&self, orders: Orders) -> Result<ProcessId, LaunchError> {
        self.ready(orders).await?.go().await
    }

    /// The first half of [`Launcher::launch`].
    ///
    /// # Errors
    /// [`LaunchError::Helper`], [`LaunchError::Step`].
    pub async fn ready(&self, orders: Orders) -> Result<Ready, LaunchError> {
        let launcher = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let program = orders.program.clone();
            match launcher.begin(&orders) {
                Ok(Ok(ready)) => Ok(ready),
                Ok(Err((step, errno))) => Err(LaunchError::Step { program, step, errno }),
                Err(source) => Err(LaunchError::Helper {
                    program,
                    helper: launcher.0.helper.clone(),
                    source,
                }),
            }
        });
        task.await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn begin(&self, orders: &Orders) -> io::Result<Result<Ready, Refusal>> {
        // Somebody may have killed the one that waits, or its file system is gone.
        if let Some(spare) = self.take()
            && let Ok(answer) = self.order(spare, orders)
        {
            return Ok(answer);
        }
        self.order(spawn(&self.0.helper)?, orders)
    }

    fn order(&self, waiting: Waiting, orders: &Orders) -> io::Result<Result<Ready, Refusal>> {
        match talk(&waiting.socket, orders)? {
            Answer::Ready(id) => Ok(Ok(Ready {
                id,
                program: orders.program.clone(),
                helper: self.0.helper.clone(),
                waiting,
            })),
            Answer::Failed { step, errno } => Ok(Err((step, errno))),
            _ => Err(socket::broken(Broken("not ready"))),
        }
    }

    fn take(&self) -> Option<Waiting> {
        self.0.spare.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Starts the launcher that waits, in the background, unless there is one. For those who have just started something,
    /// when that is done.
    pub fn refill(&self) {
        let launcher = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut place = launcher.0.spare.lock().unwrap_or_else(PoisonError::into_inner);
            if place.is_none() {
                // Whoever needs the next one is told what is wrong.
                *place = spawn(&launcher.0.helper).ok();
            }
        });
    }
}

/// Starts a launcher.
fn spawn(helper: &Path) -> io::Result<Waiting> {
    let (ours, theirs) = socket::pair()?;
    rustix::net::sockopt::set_socket_timeout(&ours, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE))?;
    let child = Command::new(helper)
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Waiting { socket: ours, child })
}
