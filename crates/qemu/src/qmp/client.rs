//! The connection: two tasks, one reading, one writing; a map from request number to who waits.
//!
//! A request waits only for its own answer, so one that QEMU is slow with holds nobody else up. Events
//! go into an unbounded channel: they are few, and losing SHUTDOWN is worse than remembering a hundred.
//! End of file means "the process is going"; the pidfd says when it is gone.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tracing::{debug, warn};

use super::event::Event;
use super::line::{LINE_LIMIT, Line, Refusal, parse_line};
use super::{QmpError, commands};

/// One QMP command: its name, its arguments (`Self`), its reply.
pub trait Command: Serialize {
    /// QEMU's name of the command.
    const NAME: &'static str;
    /// What QEMU returns.
    type Reply: DeserializeOwned;
}

type Answer = Result<Box<RawValue>, Refusal>;

/// Bytes for the socket, with descriptors that travel with the first of them.
struct Outgoing {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// Who waits for which number; `None` once the socket is closed.
type Waiting = Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>;

/// Handle to a monitor. Cloneable; each request has its own number. The connection closes when the last
/// handle is dropped.
#[derive(Clone)]
pub struct Monitor {
    tx: mpsc::UnboundedSender<Outgoing>,
    waiting: Arc<Waiting>,
    next: Arc<AtomicU64>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

/// Takes a number off the list again when its request is given up.
struct Claim<'a> {
    waiting: &'a Waiting,
    id: u64,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(map) = lock(self.waiting).as_mut() {
            map.remove(&self.id);
        }
    }
}

fn lock(waiting: &Waiting) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Answer>>>> {
    // A panic while the map is held leaves a map; it is never half changed.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Monitor {
    /// Speaks QMP on `stream`. Nothing is sent yet: see [`Monitor::negotiate`]. The receiver yields the
    /// events and ends when the socket does.
    #[must_use]
    pub fn new(stream: UnixStream) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, listener) = mpsc::unbounded_channel();
        // Nobody may be listening any more; that is their choice.
        let monitor = Self::with_listener(stream, move |event| drop(events.send(event)));
        (monitor, listener)
    }

    /// The same with a function that is called for each event, in its place between the replies: an event that
    /// came before a reply was heard before the reply is given.
    #[must_use]
    pub fn with_listener(stream: UnixStream, listener: impl FnMut(Event) + Send + 'static) -> Self {
        let (read, write) = stream.into_split();
        let (tx, rx) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(write_lines(write, rx));
        tokio::spawn(read_lines(read, Arc::clone(&waiting), listener));
        Self {
            tx,
            waiting,
            next: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Leaves capabilities negotiation. QEMU buffers what follows, so requests may be sent beside this one
    /// without waiting for its answer.
    ///
    /// # Errors
    /// Refused, closed or late.
    pub async fn negotiate(&self, deadline: Duration) -> Result<(), QmpError> {
        self.execute(&commands::QmpCapabilities {}, deadline)
            .await
            .map(|commands::Empty {}| ())
    }

    /// Runs one command.
    ///
    /// # Errors
    /// Refused, closed, late, or an answer of another shape; see [`QmpError`].
    pub async fn execute<C: Command>(&self, command: &C, deadline: Duration) -> Result<C::Reply, QmpError> {
        self.execute_with(command, Vec::new(), deadline).await
    }

    /// Runs one command whose descriptors travel with it (`getfd`, `add-fd`).
    ///
    /// # Errors
    /// As [`Monitor::execute`].
    pub async fn execute_with<C: Command>(
        &self,
        command: &C,
        fds: Vec<OwnedFd>,
        deadline: Duration,
    ) -> Result<C::Reply, QmpError> {
        #[derive(Serialize)]
        struct Request<'a, C> {
            execute: &'a str,
            arguments: &'a C,
            id: u64,
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let request = Request {
            execute: C::NAME,
            arguments: command,
            id,
        };
        let bytes = serde_json::to_vec(&request).map_err(|source| QmpError::Encode {
            command: C::NAME.into(),
            source,
        })?;
        let raw = self.ask(C::NAME, id, bytes, fds, deadline).await?;
        serde_json::from_str(raw.get()).map_err(|source| QmpError::Reply {
            command: C::NAME.into(),
            source,
        })
    }

    /// Runs a command given by name with arguments as they are; the way of `qemu-monitor-command`.
    ///
    /// # Errors
    /// As [`Monitor::execute`].
    pub async fn raw(
        &self,
        name: &str,
        arguments: Option<&RawValue>,
        deadline: Duration,
    ) -> Result<Box<RawValue>, QmpError> {
        #[derive(Serialize)]
        struct Request<'a> {
            execute: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            arguments: Option<&'a RawValue>,
            id: u64,
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let bytes = serde_json::to_vec(&Request {
            execute: name,
            arguments,
            id,
        })
        .map_err(|source| QmpError::Encode {
            command: name.into(),
            source,
        })?;
        self.ask(name, id, bytes, Vec::new(), deadline).await
    }

    /// Gives QEMU a descriptor under a name.
    ///
    /// # Errors
    /// As [`Monitor::execute`].
    pub async fn send_fd(&self, name: &str, fd: OwnedFd, deadline: Duration) -> Result<(), QmpError> {
        let command = commands::GetFd {
            fdname: name.to_owned(),
        };
        self.execute_with(&command, vec![fd], deadline)
            .await
            .map(|commands::Empty {}| ())
    }

    /// Whether the socket has been closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        lock(&self.waiting).is_none()
    }

    async fn ask(
        &self,
        name: &str,
        id: u64,
        mut bytes: Vec<u8>,
        fds: Vec<OwnedFd>,
        deadline: Duration,
    ) -> Result<Box<RawValue>, QmpError> {
        let closed = || QmpError::Closed {
            command: name.to_owned(),
        };
        bytes.extend_from_slice(b"\r\n");
        let (answer, wait) = oneshot::channel();
        match lock(&self.waiting).as_mut() {
            Some(map) => map.insert(id, answer),
            None => return Err(closed()),
        };
        let _claim = Claim {
            waiting: &self.waiting,
            id,
        };
        self.tx.send(Outgoing { bytes, fds }).map_err(|_| closed())?;
        match tokio::time::timeout(deadline, wait).await {
            Err(_) => Err(QmpError::Timeout {
                command: name.to_owned(),
                after: deadline,
            }),
            Ok(Err(_)) => Err(closed()),
            Ok(Ok(Err(refusal))) => Err(QmpError::Refused {
                command: name.to_owned(),
                refusal,
            }),
            Ok(Ok(Ok(raw))) => Ok(raw),
        }
    }
}

async fn write_lines(socket: OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing { bytes, mut fds }) = queue.recv().await {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let sent = socket
                .as_ref()
                .async_io(Interest::WRITABLE, || send(socket.as_ref(), rest, &fds))
                .await;
            match sent {
                // Descriptors go with the first bytes; from here on they are QEMU's.
                Ok(n) => {
                    rest = &rest[n..];
                    fds.clear();
                }
                // The reader sees the end of file and tells everybody.
                Err(error) => {
                    debug!(%error, "QEMU's monitor takes no more");
                    return;
                }
            }
        }
    }
}

fn send(socket: &UnixStream, bytes: &[u8], fds: &[OwnedFd]) -> io::Result<usize> {
    // At most two descriptors travel with one command of ours; 16 leaves room.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    if !borrowed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "too many descriptors for one command",
        ));
    }
    Ok(rustix::net::sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?)
}

async fn read_lines(socket: OwnedReadHalf, waiting: Arc<Waiting>, mut listener: impl FnMut(Event) + Send) {
    let mut lines = FramedRead::new(socket, LinesCodec::new_with_max_length(LINE_LIMIT));
    loop {
        match lines.next().await {
            Some(Ok(text)) => take_line(&text, &waiting, &mut listener),
            // A QEMU that ends before it has read all that we said.
            Some(Err(LinesCodecError::Io(error))) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Some(Err(error)) => {
                warn!(%error, "QEMU's monitor is unreadable; closing it");
                break;
            }
            None => break,
        }
    }
    // Dropping the senders tells everybody who waits.
    lock(&waiting).take();
}

fn take_line(text: &str, waiting: &Waiting, listener: &mut impl FnMut(Event)) {
    let line = match parse_line(text) {
        Ok(line) => line,
        Err(error) => {
            warn!(%error, "a line of QEMU's monitor is not understood");
            return;
        }
    };
    let Line {
        ret,
        error,
        id,
        event,
        data,
        timestamp,
        ..
    } = line;
    if let Some(name) = event {
        listener(Event {
            name: name.into_owned(),
            data: data.map(ToOwned::to_owned),
            at: timestamp.unwrap_or_default(),
        });
        return;
    }
    let answer = match (error, ret) {
        (Some(refusal), _) => Err(refusal),
        (None, Some(raw)) => Ok(raw.to_owned()),
        (None, None) => return, // the greeting
    };
    let Some(id) = id else {
        warn!("QEMU answered a request without saying which");
        return;
    };
    if let Some(who) = lock(waiting).as_mut().and_then(|map| map.remove(&id)) {
        let _ = who.send(answer);
    }
}
