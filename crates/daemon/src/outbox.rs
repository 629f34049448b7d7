//! What goes to one client, in the order in which it was said.
//!
//! Most messages go straight into the socket, written by whoever has one. What the socket does not take waits here, with
//! two bounds: a client that takes nothing for a while, or for whom too much waits, is given up. So a client that does
//! not read can neither hold anybody nor fill the daemon's memory.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
use ferrovirt_sys::socket;
use tokio::io::Interest;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Most bytes that may wait for one client: the five largest replies fit.
const MOST_WAITING: usize = 64 << 20;

/// The writing half of a connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    socket: OwnedWriteHalf,
    queue: Mutex<Queue>,
    emptied: Notify,
    /// What came after nothing but streams must not wait long.
    hurry: Notify,
    /// Cancelled when the client cannot be reached any more.
    life: CancellationToken,
    /// How long a client may take nothing.
    patience: Duration,
}

#[derive(Debug, Default)]
struct Queue {
    parcels: VecDeque<Parcel>,
    bytes: usize,
    /// How many of the parcels the client has to take soon.
    urgent: usize,
    /// A task is at work that writes what waits.
    draining: bool,
    closed: bool,
}

/// A message, and the descriptors that follow it.
#[derive(Debug)]
struct Parcel {
    message: Bytes,
    descriptors: VecDeque<OwnedFd>,
    /// A client may leave it for as long as it likes.
    lazy: bool,
}

impl From<Bytes> for Parcel {
    fn from(message: Bytes) -> Self {
        Self {
            message,
            descriptors: VecDeque::new(),
            lazy: false,
        }
    }
}

impl Outbox {
    pub(crate) fn new(socket: OwnedWriteHalf, life: CancellationToken, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            socket,
            queue: Mutex::default(),
            emptied: Notify::new(),
            hurry: Notify::new(),
            life,
            patience,
        })
    }

    /// Sends a message, now or as soon as the client takes it. Never waits.
    pub(crate) fn send(self: &Arc<Self>, message: Bytes) {
        self.send_parcel(message.into());
    }

    /// The same with descriptors behind it.
    pub(crate) fn send_with(self: &Arc<Self>, message: Bytes, descriptors: Vec<OwnedFd>) {
        self.send_parcel(Parcel {
            descriptors: descriptors.into(),
            ..message.into()
        });
    }

    /// The same of a packet of a stream: the client may pause streams for as long as it likes. Who sends one has to wait
    /// for [`Outbox::flushed`] before the next one.
    pub(crate) fn send_packet(self: &Arc<Self>, message: Bytes) {
        self.send_parcel(Parcel {
            lazy: true,
            ..message.into()
        });
    }

    fn send_parcel(self: &Arc<Self>, mut parcel: Parcel) {
        let queue = self.queue();
        if queue.closed {
            return;
        }
        if queue.parcels.is_empty() {
            match self.write(&mut parcel) {
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.give_up(queue),
            }
        }
        self.keep(queue, parcel);
    }

    /// Leaves a message that somebody else's task writes: for those who must not spend a system call on each client.
    pub(crate) fn post(self: &Arc<Self>, message: Bytes) {
        let queue = self.queue();
        if !queue.closed {
            self.keep(queue, message.into());
        }
    }

    fn keep(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>, parcel: Parcel) {
        queue.bytes += parcel.message.len();
        if !parcel.lazy {
            queue.urgent += 1;
            self.hurry.notify_one();
        }
        queue.parcels.push_back(parcel);
        if queue.bytes > MOST_WAITING {
            tracing::warn!(
                bytes = queue.bytes,
                "a client does not read its answers: it is dropped"
            );
            self.give_up(queue);
        } else if !std::mem::replace(&mut queue.draining, true) {
            tokio::spawn(Arc::clone(self).drain());
        }
    }

    /// How many bytes wait for the client.
    pub(crate) fn waiting(&self) -> usize {
        self.queue().bytes
    }

    /// Returns when nothing waits any more, or nobody is there to take it.
    pub(crate) async fn flushed(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.queue().parcels.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    async fn drain(self: Arc<Self>) {
        loop {
            match timeout(self.patience, self.writable()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return self.give_up(self.queue()),
                // Nothing is urgent: it may take its time.
                Err(_) if self.queue().urgent == 0 => continue,
                Err(_) => {
                    tracing::warn!(
                        "a client does not read its answers for {:?}: it is dropped",
                        self.patience
                    );
                    return self.give_up(self.queue());
                }
            }
            match self.write_waiting() {
                Ok(true) => return,
                Ok(false) => {}
                Err(_) => return self.give_up(self.queue()),
            }
        }
    }

    /// Waits until the socket takes something. The patience with the first urgent message begins when it comes.
    async fn writable(&self) -> io::Result<()> {
        if self.queue().urgent > 0 {
            return self.socket.writable().await;
        }
        tokio::select! {
            ready = self.socket.writable() => ready,
            () = self.hurry.notified() => Ok(()),
            () = self.life.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Writes as much as the socket takes; true when nothing is left.
    fn write_waiting(&self) -> io::Result<bool> {
        let mut queue = self.queue();
        while let Some(parcel) = queue.parcels.front_mut() {
            let before = parcel.message.len();
            let outcome = self.write(parcel);
            let (after, lazy) = (parcel.message.len(), parcel.lazy);
            queue.bytes -= before - after;
            match outcome {
                Ok(()) => {
                    queue.parcels.pop_front();
                    queue.urgent -= usize::from(!lazy);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        queue.draining = false;
        drop(queue);
        self.emptied.notify_waiters();
        Ok(true)
    }

    /// Writes what the socket takes of a parcel; what is left of it is to be written later if this would wait.
    fn write(&self, parcel: &mut Parcel) -> io::Result<()> {
        while !parcel.message.is_empty() {
            let written = self.socket.try_write(&parcel.message)?;
            parcel.message.advance(written);
        }
        while let Some(descriptor) = parcel.descriptors.front() {
            let socket = self.socket.as_ref();
            let send = || socket::send_descriptor(socket, descriptor.as_fd());
            socket.try_io(Interest::WRITABLE, send)?;
            parcel.descriptors.pop_front();
        }
        Ok(())
    }

    fn give_up(&self, mut queue: MutexGuard<'_, Queue>) {
        queue.closed = true;
        queue.parcels.clear();
        queue.bytes = 0;
        queue.urgent = 0;
        drop(queue);
        self.life.cancel();
        self.emptied.notify_waiters();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that can panic happens under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    fn outbox(socket: UnixStream, patience: Duration) -> (Arc<Outbox>, CancellationToken) {
        let life = CancellationToken::new();
        // The reading half is forgotten, not dropped: dropping it closes nothing.
        let (_, write) = socket.into_split();
        (Outbox::new(write, life.clone(), patience), life)
    }

    #[tokio::test]
    async fn messages_arrive_whole_and_in_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (outbox, life) = outbox(ours, Duration::from_secs(20));
        let messages: Vec<Bytes> = (0..200_u8).map(|n| vec![n; 10_000].into()).collect();
        for message in &messages {
            outbox.send(message.clone());
        }
        assert!(outbox.waiting() > 0);
        let mut all = vec![0; 2_000_000];
        theirs.read_exact(&mut all).await.unwrap();
        assert_eq!(all, messages.concat());
        outbox.flushed().await;
        assert_eq!(outbox.waiting(), 0);
        assert!(!life.is_cancelled());
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (outbox, life) = outbox(ours, Duration::from_millis(50));
        for _ in 0..100 {
            outbox.send(vec![0; 10_000].into());
        }
        life.cancelled().await;
        outbox.flushed().await;
        outbox.send(vec![0; 10].into());
        assert_eq!(outbox.waiting(), 0);
    }

    #[tokio::test]
    async fn a_client_may_pause_its_streams_but_not_its_answers() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (outbox, life) = outbox(ours, Duration::from_millis(50));
        while outbox.waiting() == 0 {
            outbox.send_packet(vec![1; 100_000].into());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!life.is_cancelled() && outbox.waiting() > 0);
        let mut all = Vec::new();
        while outbox.waiting() > 0 {
            theirs.read_buf(&mut all).await.unwrap();
        }
        outbox.flushed().await;
        while outbox.waiting() == 0 {
            outbox.send_packet(vec![1; 100_000].into());
        }
        outbox.send(vec![2; 10].into());
        life.cancelled().await;
    }

    #[tokio::test]
    async fn descriptors_follow_their_message_however_slowly_it_is_read() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (outbox, life) = outbox(ours, Duration::from_secs(20));
        let (mut expected, mut descriptors) = (Vec::new(), 0);
        for n in 1..=40_u8 {
            let message = vec![n; usize::from(n) * 3000];
            let files = (0..n % 4).map(|_| std::fs::File::open("/dev/null").unwrap().into());
            outbox.send_with(message.clone().into(), files.collect());
            expected.extend(message);
            expected.extend(vec![0; usize::from(n % 4)]);
            descriptors += usize::from(n % 4);
        }
        assert!(outbox.waiting() > 0);
        let theirs = theirs.into_std().unwrap();
        theirs.set_nonblocking(false).unwrap();
        let (heard, taken) = tokio::task::spawn_blocking(move || {
            let (mut heard, mut taken, mut portion) = (Vec::new(), Vec::new(), [0; 7000]);
            while heard.len() < expected.len() {
                let before = taken.len();
                let length = socket::receive(&theirs, &mut portion, &mut taken).unwrap();
                heard.extend_from_slice(&portion[..length]);
                // With its own byte, and nothing behind it.
                assert!(taken.len() == before || (taken.len() == before + 1 && heard.last() == Some(&0)));
            }
            assert_eq!(heard, expected);
            (heard.len(), taken.len())
        })
        .await
        .unwrap();
        assert_eq!((heard > 2_000_000, taken), (true, descriptors));
        assert!(!life.is_cancelled());
    }

    #[tokio::test]
    async fn a_client_for_whom_too_much_waits_is_given_up() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (outbox, life) = outbox(ours, Duration::from_secs(20));
        for _ in 0..5 {
            outbox.send(vec![0; MOST_WAITING / 4].into());
        }
        assert!(life.is_cancelled());
        assert_eq!(outbox.waiting(), 0);
    }

    #[tokio::test]
    async fn a_client_that_is_gone_is_given_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let (outbox, life) = outbox(ours, Duration::from_secs(20));
        outbox.send(vec![0; 10].into());
        assert!(life.is_cancelled());
    }
}
