//! One client: its messages in, its calls at work, its answers out.
//!
//! Calls run side by side and are answered as they end. A call that can be answered at once (every read can) is answered
//! by the task that read it, without another task or a wake-up between; one that has to wait goes on as a task of its own.
//! With `max_client_requests` calls at work the rest waits in a short backlog, so that pings behind them are still
//! answered; when the backlog is full, too, nothing is read any more.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferrovirt_sys::socket;
use ferrovirt_wire::frame::{FrameReader, error_reply};
use ferrovirt_wire::lxc::{self, LxcService};
use ferrovirt_wire::own::{self, OwnService};
use ferrovirt_wire::procedures::{self, number};
use ferrovirt_wire::program::{LXC, PING, PONG, REMOTE, keepalive};
use ferrovirt_wire::{
    Answer, ErrorDomain, ErrorReply, Frame, Header, Incoming, Procedure, RemoteService, Status, triage,
};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Calls;
use crate::outbox::Outbox;
use crate::stream::{Endpoint, Streams};

/// Most calls that wait behind those at work before reading stops.
const MOST_CALLS_WAITING: usize = 32;
/// Most bytes of them.
const MOST_BYTES_WAITING: usize = 1 << 20;
/// With so many bytes of answers waiting for the client nothing more is read from it.
const CONGESTED: usize = 1 << 20;
/// How much is read at a time: a page for small requests, more while a large one arrives.
const PORTION: std::ops::RangeInclusive<usize> = 4096..=262_144;

/// Longer than any connection.
const FOR_EVER: Duration = Duration::from_secs(86_400 * 365);

/// Bounds of each connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Calls of one client that are at work at a time.
    pub requests: usize,
    /// Silence after which a client is pinged, if it asked for that; none: never.
    pub keepalive_interval: Option<Duration>,
    /// Pings without any answer after which a client counts as gone.
    pub keepalive_count: u32,
    /// How long a client may take no bytes while some wait for it.
    pub patience: Duration,
}

/// Who is at the other end.
#[derive(Debug)]
pub struct Peer {
    /// User of the client's process, as the kernel says.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process; none if that is not visible from here.
    pub pid: Option<i32>,
    /// Whether it came through the socket for readers.
    pub read_only: bool,
    /// Whether it asked for pings.
    keepalive: AtomicBool,
    /// Where messages for it go.
    outbox: OnceLock<Weak<Outbox>>,
    /// Ends with the connection.
    life: CancellationToken,
}

impl Peer {
    /// A client that has just connected.
    pub fn new(uid: u32, gid: u32, pid: Option<i32>, read_only: bool) -> Self {
        Self {
            uid,
            gid,
            pid,
            read_only,
            keepalive: AtomicBool::new(false),
            outbox: OnceLock::new(),
            life: CancellationToken::new(),
        }
    }

    /// The client can answer pings; without this it never gets one.
    pub fn wants_keepalive(&self) {
        self.keepalive.store(true, Ordering::Relaxed);
    }

    /// From now on, messages that nobody asked for go this way.
    pub(crate) fn reached_by(&self, outbox: &Arc<Outbox>) {
        // A connection has one outbox in its life.
        let _ = self.outbox.set(Arc::downgrade(outbox));
    }

    /// Leaves a message for the client, which goes out before whatever is sent from now on. Takes no system call.
    pub(crate) fn post(&self, message: Bytes) {
        if let Some(outbox) = self.outbox.get().and_then(Weak::upgrade) {
            outbox.post(message);
        }
    }

    /// Cancelled when the connection has ended, whoever ended it.
    pub fn life(&self) -> &CancellationToken {
        &self.life
    }
}

/// What connections share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) limits: Arc<Limits>,
    /// Counts calls that wait for something, so that a shutdown can wait for them.
    pub(crate) work: TaskTracker,
    /// No new requests.
    pub(crate) shutdown: CancellationToken,
    /// No patience left.
    pub(crate) force: CancellationToken,
    /// Where calls are counted, if they are.
    pub(crate) calls: Option<Arc<Calls>>,
}

/// What a connection asks for everything that its client calls.
pub(crate) trait Service:
    RemoteService<Stream = Endpoint> + OwnService + LxcService + Send + Sync + 'static
{
}

impl<S: RemoteService<Stream = Endpoint> + OwnService + LxcService + Send + Sync + 'static> Service for S {}

/// A call that has arrived whole.
struct Asked {
    procedure: &'static Procedure,
    frame: Frame,
    descriptors: Vec<OwnedFd>,
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    Close,
}

pub(crate) struct Connection<S> {
    socket: OwnedReadHalf,
    frames: FrameReader,
    outbox: Arc<Outbox>,
    peer: Arc<Peer>,
    service: Arc<S>,
    shared: Shared,
    slots: Arc<Semaphore>,
    streams: Arc<Streams>,
    backlog: VecDeque<Asked>,
    backlog_bytes: usize,
    pulse: Pulse,
}

impl<S: Service> Connection<S> {
    pub(crate) fn new(socket: UnixStream, peer: Arc<Peer>, service: S, shared: Shared) -> Self {
        let (read, write) = socket.into_split();
        let outbox = Outbox::new(write, peer.life.clone(), shared.limits.patience);
        peer.reached_by(&outbox);
        Self {
            socket: read,
            frames: FrameReader::default(),
            outbox,
            peer,
            service: Arc::new(service),
            slots: Arc::new(Semaphore::new(shared.limits.requests)),
            shared,
            streams: Arc::default(),
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            pulse: Pulse::default(),
        }
    }

    /// Serves the client until it leaves, is given up, or the daemon ends.
    pub(crate) async fn run(mut self) {
        // Whatever happens in here, what hangs on the connection (autodestroy) learns that it is over.
        let _over = self.peer.life.clone().drop_guard();
        let force = self.shared.force.clone();
        tokio::select! {
            biased;
            () = force.cancelled() => {}
            () = self.serve() => {}
        }
    }

    async fn serve(&mut self) {
        let (shutdown, life) = (self.shared.shutdown.clone(), self.peer.life.clone());
        let (mut shutdown, mut life) = (
            std::pin::pin!(shutdown.cancelled()),
            std::pin::pin!(life.cancelled()),
        );
        let mut timer = std::pin::pin!(sleep_until(
            self.pulse.heard + self.shared.limits.keepalive_interval.unwrap_or(FOR_EVER)
        ));
        loop {
            let room = self.frames.buffer().len().clamp(*PORTION.start(), *PORTION.end());
            let congested = self.outbox.waiting() > CONGESTED;
            let full = self.backlog.len() >= MOST_CALLS_WAITING || self.backlog_bytes >= MOST_BYTES_WAITING;
            let flooded = self.streams.full();
            if full || flooded {
                // Whom nobody listens to is not silent.
                self.pulse.heard();
            }
            let next = tokio::select! {
                biased;
                () = &mut shutdown => {
                    // Some clients do not notice that a stream's connection is gone.
                    self.streams.end().await;
                    self.finish_calls().await;
                    Next::Close
                }
                () = &mut life => return,
                slot = Arc::clone(&self.slots).acquire_owned(), if !self.backlog.is_empty() => match slot {
                    Ok(slot) => self.start_waiting(slot).await,
                    Err(_) => Next::Close,
                },
                read = read(&self.socket, &mut self.frames, room), if !congested && !full && !flooded => {
                    self.received(read).await
                }
                () = self.outbox.flushed(), if congested => Next::GoOn,
                () = self.streams.room(), if flooded => Next::GoOn,
                () = &mut timer, if self.peer.keepalive.load(Ordering::Relaxed) => self.beat(timer.as_mut()),
            };
            if next == Next::Close {
                break;
            }
        }
        self.outbox.flushed().await;
    }

    async fn received(&mut self, read: io::Result<usize>) -> Next {
        if !read.is_ok_and(|length| length > 0) {
            self.peer.life.cancel();
            return Next::Close;
        }
        self.pulse.heard();
        loop {
            let frame = match self.frames.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Next::GoOn,
                Err(error) => {
                    tracing::debug!(pid = self.peer.pid, "closing a connection: {error}");
                    self.peer.life.cancel();
                    return Next::Close;
                }
            };
            let descriptors = self.frames.take_descriptors();
            if descriptors.len() != frame.descriptors as usize {
                tracing::debug!(
                    pid = self.peer.pid,
                    "closing a connection: descriptors are missing"
                );
                self.peer.life.cancel();
                return Next::Close;
            }
            match triage(&frame) {
                Incoming::Call(procedure) => {
                    let asked = Asked {
                        procedure,
                        frame,
                        descriptors,
                    };
                    if self.take_call(asked).await == Next::Close {
                        return Next::Close;
                    }
                }
                Incoming::Stream(packet) => self.streams.deliver(&frame.header, packet),
                Incoming::Ping => self.outbox.send(keepalive(PONG).empty_message()),
                Incoming::Refused(error) => self.outbox.send(error_reply(&frame.header, &error)),
                Incoming::Pong | Incoming::Dropped => {}
            }
        }
    }

    async fn take_call(&mut self, asked: Asked) -> Next {
        if self.backlog.is_empty()
            && let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned()
        {
            return self.start(asked, slot).await;
        }
        self.backlog_bytes += asked.frame.payload.len();
        self.backlog.push_back(asked);
        Next::GoOn
    }

    async fn start_waiting(&mut self, slot: OwnedSemaphorePermit) -> Next {
        match self.backlog.pop_front() {
            Some(asked) => {
                self.backlog_bytes -= asked.frame.payload.len();
                self.start(asked, slot).await
            }
            None => Next::GoOn,
        }
    }

    /// Begins a call; answers it if that needs no waiting, otherwise leaves it to a task.
    async fn start(&mut self, asked: Asked, slot: OwnedSemaphorePermit) -> Next {
        let goodbye = asked.frame.header.program == REMOTE && asked.procedure.number == number::CONNECT_CLOSE;
        let mut work = Work::begin(Arc::clone(&self.service), asked);
        work.counted = self.shared.calls.clone().map(|calls| (calls, Instant::now()));
        let desk = Desk {
            call: work.call,
            outbox: Arc::clone(&self.outbox),
            streams: Arc::clone(&self.streams),
            life: self.peer.life.clone(),
        };
        if let Poll::Ready(answer) =
            std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut work).poll(cx))).await
        {
            desk.answer(answer);
        } else {
            self.shared.work.spawn(async move {
                desk.answer(work.await);
                drop(slot);
            });
        }
        // The answer to a goodbye is sent, and nothing behind it is served.
        if goodbye { Next::Close } else { Next::GoOn }
    }

    /// The daemon ends: what is at work is still answered.
    async fn finish_calls(&mut self) {
        let all = u32::try_from(self.shared.limits.requests).unwrap_or(u32::MAX);
        // Fails only if the semaphore is closed, which nobody does.
        let _ = self.slots.acquire_many(all).await;
    }

    fn beat(&mut self, timer: Pin<&mut Sleep>) -> Next {
        let Some(interval) = self.shared.limits.keepalive_interval else {
            timer.reset(Instant::now() + FOR_EVER);
            return Next::GoOn;
        };
        match self.pulse.beat(interval, self.shared.limits.keepalive_count) {
            Beat::Wait(until) => timer.reset(until),
            Beat::Ping(until) => {
                self.outbox.send(keepalive(PING).empty_message());
                timer.reset(until);
            }
            Beat::Dead => {
                tracing::info!(
                    pid = self.peer.pid,
                    "a client does not answer pings: it is dropped"
                );
                self.peer.life.cancel();
                return Next::Close;
            }
        }
        Next::GoOn
    }
}

/// Reads what there is, at most `room` bytes, with room for the descriptors that come along.
async fn read(socket: &OwnedReadHalf, frames: &mut FrameReader, room: usize) -> io::Result<usize> {
    let socket = socket.as_ref();
    loop {
        socket.readable().await?;
        let (buffer, descriptors) = frames.buffers();
        let begin = buffer.len();
        buffer.resize(begin + room, 0);
        let outcome = socket.try_io(Interest::READABLE, || {
            socket::receive(socket, &mut buffer[begin..], descriptors)
        });
        buffer.truncate(begin + outcome.as_ref().copied().unwrap_or(0));
        match outcome {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            outcome => return outcome,
        }
    }
}

/// Where the answer of one call goes.
struct Desk {
    call: Header,
    outbox: Arc<Outbox>,
    streams: Arc<Streams>,
    life: CancellationToken,
}

impl Desk {
    /// Sends an answer with all that goes along with it.
    fn answer(self, answer: Answer<Endpoint>) {
        let Some(endpoint) = answer.stream else {
            return self.outbox.send_with(answer.message, answer.descriptors);
        };
        // Packets may come as soon as the client has the answer.
        match self.streams.open(&self.call, endpoint) {
            Ok(stream) => {
                self.outbox.send_with(answer.message, answer.descriptors);
                stream.begin(self.outbox, self.life);
            }
            Err(error) => self.outbox.send(error_reply(&self.call, &error)),
        }
    }
}

/// The work of one call, which ends with the whole answer. A panic in its handler is this call's error and nobody
/// else's.
struct Work {
    work: Pin<Box<dyn Future<Output = Answer<Endpoint>> + Send>>,
    call: Header,
    procedure: &'static Procedure,
    /// Where it is counted, and since when it has been at work.
    counted: Option<(Arc<Calls>, Instant)>,
}

impl Work {
    fn begin<S: Service>(service: Arc<S>, asked: Asked) -> Self {
        let Asked {
            procedure,
            frame,
            descriptors,
        } = asked;
        let (call, payload) = (frame.header, frame.payload);
        let work: Pin<Box<dyn Future<Output = Answer<Endpoint>> + Send>> = match call.program {
            own::PROGRAM => Box::pin(async move { own::dispatch(&*service, &call, &payload).await.into() }),
            LXC => Box::pin(async move { lxc::dispatch(&*service, &call, &payload).await }),
            _ => Box::pin(async move { procedures::dispatch(&*service, &call, &payload, descriptors).await }),
        };
        Self {
            work,
            call,
            procedure,
            counted: None,
        }
    }

    /// The answer is there.
    fn count(&mut self, answer: &[u8]) {
        if let Some((calls, since)) = self.counted.take() {
            let failed = answer.get(STATUS) != Some(&OK);
            calls.answered(self.call.program, self.procedure, failed, since.elapsed());
        }
    }
}

/// Where a message's status ends: after its length and six words, of which it is the last.
const STATUS: std::ops::Range<usize> = 24..28;
/// The status of an answer that is no error.
const OK: [u8; 4] = (Status::Ok as u32).to_be_bytes();

impl Future for Work {
    type Output = Answer<Endpoint>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let step = std::panic::catch_unwind(AssertUnwindSafe(|| self.work.as_mut().poll(cx)));
        let step = step.unwrap_or_else(|_| {
            tracing::error!("a call of {} panicked", self.procedure.name);
            let text = format!("{} failed in a way that it should not", self.procedure.function);
            Poll::Ready(Answer::error(
                &self.call,
                &ErrorReply::internal(ErrorDomain::Rpc, text),
            ))
        });
        if let Poll::Ready(answer) = &step {
            self.count(&answer.message);
        }
        step
    }
}

/// When something was last heard, and how many pings since are unanswered.
#[derive(Debug)]
struct Pulse {
    heard: Instant,
    unanswered: u32,
}

enum Beat {
    /// Something was heard not long ago; ask again then.
    Wait(Instant),
    /// Ping now; ask again then.
    Ping(Instant),
    /// Give the client up.
    Dead,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            heard: Instant::now(),
            unanswered: 0,
        }
    }
}

impl Pulse {
    fn heard(&mut self) {
        self.heard = Instant::now();
        self.unanswered = 0;
    }

    fn beat(&mut self, interval: Duration, count: u32) -> Beat {
        let now = Instant::now();
        let quiet_since = self.heard + interval;
        if self.unanswered == 0 && quiet_since > now {
            return Beat::Wait(quiet_since);
        }
        if self.unanswered >= count {
            return Beat::Dead;
        }
        self.unanswered += 1;
        Beat::Ping(now + interval)
    }
}
