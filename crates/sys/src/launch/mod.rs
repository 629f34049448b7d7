//! Starting what outlives the daemon: QEMU, dnsmasq.
//!
//! The daemon is large and has threads, so it neither forks nor changes users. It starts `ferrovirt-launch` the cheap way
//! (`posix_spawn`) and sends it its orders; the launcher, with one thread and little memory, forks once more, does what
//! has to be done between fork and exec in a safe order ([`child`]), and goes away. The program is then a child of init.
//! A program of ours can be its own launcher ([`main_of`]), which saves an exec.
//!
//! Between the fork and all the rest it waits for a word from the daemon, which can write down before who the process is (R96).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

mod child;
mod helper;
mod launcher;
mod orders;
mod title;

pub use crate::error::LaunchError;
pub(crate) use child::pointers;
pub use helper::{main, main_of};
pub use launcher::Launcher;
pub use orders::Orders;

use crate::frame::Broken;
use crate::process::ProcessId;
use crate::socket;
use launcher::Waiting;
use orders::{Answer, GO};

/// A process that will be the program, and is nothing yet: whoever has to undo it after the daemon's death can be told who
/// it is before it does anything. When this is dropped, or the daemon dies, the process ends.
#[derive(Debug)]
pub struct Ready {
    id: ProcessId,
    program: PathBuf,
    helper: PathBuf,
    waiting: Waiting,
}

impl Ready {
    /// The process; it stays the same when it becomes the program.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// The second half of [`Launcher::launch`]. When the future is dropped, the program is started all the same.
    ///
    /// # Errors
    /// [`LaunchError::Exec`] names a program that cannot be executed, the others what else failed.
    pub async fn go(mut self) -> Result<ProcessId, LaunchError> {
        let task = tokio::task::spawn_blocking(move || {
            let Waiting { socket, child } = &mut self.waiting;
            let answer = socket::send_all(&*socket, &[GO], &[]).and_then(|()| answer(socket));
            if answer.is_ok() {
                // It goes by itself; what it started lives on.
                let _ = child.wait();
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
