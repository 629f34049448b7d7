//! Streams: bytes between a client and what a call has opened for it, a guest's console for example.
//!
//! Each stream has a task (`pump`) with two halves. What comes for the client is read only when the client has taken all that
//! was sent to it before: who does not read makes the other end wait, and costs no memory. What comes from the client waits
//! in the stream until the other end takes it; when much waits, the connection is read no further, since the protocol knows
//! no other way to say so.

mod endpoint;
mod pump;
mod seats;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply, Header, Packet, StreamKey};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::outbox::Outbox;

pub use endpoint::Endpoint;
pub use seats::{Seat, Seats};

/// With so many bytes from the client waiting nothing more is read from it.
const MOST_WAITING: usize = 1 << 20;
/// What a packet costs beside its bytes.
const PACKET: usize = 128;
/// Most streams of one connection.
const MOST_STREAMS: usize = 64;

/// The streams of one connection.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<StreamKey, Inlet>>,
    /// Bytes from the client that nobody took yet.
    waiting: AtomicUsize,
    taken: Notify,
    tasks: TaskTracker,
    /// No streams any more: the daemon ends.
    closing: CancellationToken,
}

/// The client's end of one stream.
#[derive(Debug)]
struct Inlet {
    packets: mpsc::UnboundedSender<Packet>,
    /// The client wants no more of it: that must not wait behind its data.
    aborted: CancellationToken,
    /// The client has sent all that it will send.
    goodbye: CancellationToken,
}

/// The stream's end of it.
#[derive(Debug)]
struct Outlet {
    streams: Arc<Streams>,
    key: StreamKey,
    packets: mpsc::UnboundedReceiver<Packet>,
    aborted: CancellationToken,
    goodbye: CancellationToken,
}

/// A stream that is announced to nobody yet.
#[derive(Debug)]
pub(crate) struct Opened {
    outlet: Outlet,
    endpoint: Endpoint,
}

impl Streams {
    /// Takes packets for the stream of this call from now on.
    ///
    /// # Errors
    /// When the client has a stream with this serial, or too many streams.
    pub(crate) fn open(self: &Arc<Self>, call: &Header, endpoint: Endpoint) -> Result<Opened, ErrorReply> {
        let key = StreamKey::of(call);
        let mut open = self.lock();
        let refuse = |text: String| Err(ErrorReply::internal(ErrorDomain::Streams, text));
        if open.contains_key(&key) {
            return refuse(format!("the stream with serial {} is open already", key.serial));
        }
        if open.len() >= MOST_STREAMS {
            return refuse(format!("a connection has at most {MOST_STREAMS} streams"));
        }
        let (sender, packets) = mpsc::unbounded_channel();
        let (aborted, goodbye) = (CancellationToken::new(), CancellationToken::new());
        let inlet = Inlet {
            packets: sender,
            aborted: aborted.clone(),
            goodbye: goodbye.clone(),
        };
        open.insert(key, inlet);
        drop(open);
        let outlet = Outlet {
            streams: Arc::clone(self),
            key,
            packets,
            aborted,
            goodbye,
        };
        Ok(Opened { outlet, endpoint })
    }

    /// Brings a packet to its stream. One whose stream has ended was under way then, and is dropped.
    pub(crate) fn deliver(&self, header: &Header, packet: Packet) {
        let open = self.lock();
        let Some(inlet) = open.get(&StreamKey::of(header)) else {
            return;
        };
        if matches!(packet, Packet::Abort(_)) {
            inlet.aborted.cancel();
            return;
        }
        if matches!(packet, Packet::Finish) {
            inlet.goodbye.cancel();
        }
        self.waiting.fetch_add(cost(&packet), Ordering::Relaxed);
        // The outlet leaves the map before it is dropped.
        let _ = inlet.packets.send(packet);
    }

    /// Whether so much waits that no more should be read.
    pub(crate) fn full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > MOST_WAITING
    }

    /// Returns when there is room again.
    pub(crate) async fn room(&self) {
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            taken.as_mut().enable();
            if !self.full() {
                return;
            }
            taken.await;
        }
    }

    /// Ends all streams with an error, which has been sent when this returns.
    pub(crate) async fn end(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn release(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.taken.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamKey, Inlet>> {
        // Nothing that can panic happens under the lock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    /// Lets the stream begin: after the answer to its call.
    pub(crate) fn begin(self, outbox: Arc<Outbox>, life: CancellationToken) {
        let tasks = self.outlet.streams.tasks.clone();
        tasks.spawn(pump::run(self.outlet, self.endpoint, outbox, life));
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // Before the last look into the channel, so that nothing comes after it.
        self.streams.lock().remove(&self.key);
        while let Ok(packet) = self.packets.try_recv() {
            self.streams.release(cost(&packet));
        }
    }
}

fn cost(packet: &Packet) -> usize {
    match packet {
        Packet::Data(bytes) => PACKET + bytes.len(),
        _ => PACKET,
    }
}

/// What a client hears when its stream ends before its time, in libvirt's words.
fn failed() -> ErrorReply {
    ErrorReply::new(ErrorCode::Rpc, ErrorDomain::Streams, "stream had I/O failure")
}
