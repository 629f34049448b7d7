//! The daemon's side of a keeper.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::message::{LATE_PIECE, Report, Request, Script};
use crate::error::KeeperError;
use crate::pidfd::PidFd;
use crate::pipe::{self, PipeReader};
use crate::process::ProcessId;
use crate::{frame, socket};

/// A keeper that runs, and the connection to it. Dropping it ends the keeper as soon as it holds nothing.
#[derive(Debug)]
pub struct Keeper {
    id: ProcessId,
    socket: AsyncFd<OwnedFd>,
    inbox: Vec<u8>,
}

impl Keeper {
    /// Starts a keeper; `program` is the path of `ferrovirt-keeper`. It has the daemon's working directory, umask, user,
    /// groups, limits and session as they are now, and gives them to its scripts.
    ///
    /// # Errors
    /// [`KeeperError::Start`].
    pub async fn start(program: &Path) -> Result<Keeper, KeeperError> {
        let path = program.to_owned();
        tokio::task::spawn_blocking(move || spawn(&path))
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .and_then(|(child, socket)| Keeper::new(child, socket))
            .map_err(|source| KeeperError::Start {
                program: program.to_owned(),
                source,
            })
    }

    fn new(mut child: Child, socket: OwnedFd) -> io::Result<Keeper> {
        // Not collected yet, so the number is certainly still this child's.
        let id = ProcessId::of(child.id().cast_signed())?;
        let end = PidFd::open(id)?;
        tokio::spawn(async move {
            end.exited().await;
            // Ended: this does not wait.
            let _ = child.wait();
        });
        Ok(Keeper {
            id,
            // Only for reading: that the keeper took something is no news.
            socket: pipe::watched(socket, Interest::READABLE)?,
            inbox: Vec::new(),
        })
    }

    /// Which process it is: its scripts are its children.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Whether an idle keeper is still there: one that was killed must not be given a script.
    pub fn is_there(&self) -> bool {
        let mut byte = [0];
        let received = socket::receive(self.socket.get_ref(), &mut byte, &mut Vec::new());
        matches!(received, Err(error) if error.kind() == io::ErrorKind::WouldBlock) && self.inbox.is_empty()
    }

    /// Spawns a script with these descriptors as standard input, output and error; of the latter two the keeper also gets
    /// the reading ends. What becomes of it is told by [`Keeper::next`].
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn run(
        &mut self,
        script: Script,
        ends: [OwnedFd; 3],
        output: [&PipeReader; 2],
    ) -> Result<(), KeeperError> {
        let [stdin, stdout, stderr] = &ends;
        let fds = [
            stdin.as_fd(),
            stdout.as_fd(),
            stderr.as_fd(),
            output[0].as_fd(),
            output[1].as_fd(),
        ];
        self.send(&Request::Run(script), &fds).await
    }

    /// The next thing that the keeper has to say. May be dropped and repeated.
    ///
    /// # Errors
    /// When the keeper is gone or the connection breaks.
    pub async fn next(&mut self) -> Result<Report, KeeperError> {
        loop {
            let keeper = self.id.pid;
            let broken = |frame::Broken(what)| KeeperError::Protocol { keeper, what };
            if let Some(message) = frame::next_message(&mut self.inbox).map_err(broken)? {
                return Report::decode(&message).map_err(broken);
            }
            // Most messages are a few bytes; of what is longer, the rest is taken at once.
            let mut few = [0; 256];
            let mut many = Vec::new();
            let chunk = if self.inbox.is_empty() {
                &mut few[..]
            } else {
                many.resize(LATE_PIECE, 0);
                &mut many[..]
            };
            let received = self
                .socket
                .async_io(Interest::READABLE, |fd| {
                    socket::receive(fd, chunk, &mut Vec::new())
                })
                .await;
            match received {
                Ok(0) => return Err(KeeperError::Gone { keeper }),
                Ok(count) => self.inbox.extend_from_slice(&chunk[..count]),
                Err(error) => return Err(self.connection(error)),
            }
        }
    }

    /// Hands over what will still come through the script's pipes. With `keep` it is told by [`Report::Printed`], up to
    /// [`super::LATE_MOST`] a stream, until [`Report::Empty`]; otherwise it is thrown away.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn release(&mut self, keep: bool) -> Result<(), KeeperError> {
        self.send(&Request::Release { keep }, &[]).await
    }

    /// Ends the script and everything that it started: SIGTERM now, SIGKILL after the grace. [`Report::Exited`] and
    /// [`Report::Empty`] tell when it is done.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn end(&mut self, grace: Duration) -> Result<(), KeeperError> {
        let grace_ms = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        self.send(&Request::End { grace_ms }, &[]).await
    }

    async fn send(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), KeeperError> {
        let message = request
            .encode()
            .map_err(|frame::Broken(what)| KeeperError::Protocol {
                keeper: self.id.pid,
                what,
            })?;
        let mut sent = 0;
        while sent < message.len() {
            // The descriptors go with the first byte.
            let fds = if sent == 0 { fds } else { &[] };
            let result = match socket::send(self.socket.get_ref(), &message[sent..], fds) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.send_when_possible(&message[sent..], fds).await
                }
                result => result,
            };
            sent += result.map_err(|error| self.connection(error))?;
        }
        Ok(())
    }

    /// For a message that the socket does not take at once: a very long one.
    async fn send_when_possible(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let socket = pipe::watched(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?;
        let send = |fd: &OwnedFd| socket::send(fd, bytes, fds);
        socket.async_io(Interest::WRITABLE, send).await
    }

    fn connection(&self, source: io::Error) -> KeeperError {
        match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                KeeperError::Gone { keeper: self.id.pid }
            }
            _ => KeeperError::Connection {
                keeper: self.id.pid,
                source,
            },
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // A keeper that does not hear it ends all the same, when it sees the connection end.
        if let Ok(message) = Request::Leave.encode() {
            let _ = socket::send(self.socket.get_ref(), &message, &[]);
        }
    }
}

/// The cheap way of starting a program (no fork): nothing but arguments, environment, process group and descriptors.
fn spawn(program: &Path) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) = socket::pair()?;
    pipe::set_nonblocking(&ours)?;
    let child = Command::new(program)
        .env_clear()
        .process_group(0)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        // Not ours: a keeper outlives the daemon and may not hold what our starter reads to its end.
        .stderr(Stdio::null())
        .spawn()?;
    Ok((child, ours))
}
