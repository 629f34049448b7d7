//! What goes to one client, in the order in which it was said.
//!
//! Most messages go straight into the socket, written by whoever has one. What the socket does not take waits here, with
//! two bounds: a client that takes nothing for a while, or for whom too much waits, is given up. So a client that does
//! not read can neither hold anybody nor fill the daemon's memory.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
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
    /// Cancelled when the client cannot be reached any more.
    life: CancellationToken,
    /// How long a client may take nothing.
    patience: Duration,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// A task is at work that writes what waits.
    draining: bool,
    closed: bool,
}

impl Outbox {
    pub(crate) fn new(socket: OwnedWriteHalf, life: CancellationToken, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            socket,
            queue: Mutex::default(),
            emptied: Notify::new(),
            life,
            patience,
        })
    }

    /// Sends a message, now or as soon as the client takes it. Never waits.
    pub(crate) fn send(self: &Arc<Self>, mut message: Bytes) {
        let queue = self.queue();
        if queue.closed {
            return;
        }
        if queue.messages.is_empty() {
            match self.socket.try_write(&message) {
                Ok(written) if written == message.len() => return,
                Ok(written) => message.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.give_up(queue),
            }
        }
        self.keep(queue, message);
    }

    /// Leaves a message that somebody else's task writes: for those who must not spend a system call on each client.
    pub(crate) fn post(self: &Arc<Self>, message: Bytes) {
        let queue = self.queue();
        if !queue.closed {
            self.keep(queue, message);
        }
    }

    fn keep(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>, message: Bytes) {
        queue.bytes += message.len();
        queue.messages.push_back(message);
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
            if self.queue().messages.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    async fn drain(self: Arc<Self>) {
        loop {
            match timeout(self.patience, self.socket.writable()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return self.give_up(self.queue()),
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

    /// Writes as much as the socket takes; true when nothing is left.
    fn write_waiting(&self) -> io::Result<bool> {
        let mut queue = self.queue();
        while let Some(message) = queue.messages.front_mut() {
            match self.socket.try_write(message) {
                Ok(written) => {
                    message.advance(written);
                    let done = message.is_empty();
                    queue.bytes -= written;
                    if done {
                        queue.messages.pop_front();
                    }
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

    fn give_up(&self, mut queue: MutexGuard<'_, Queue>) {
        queue.closed = true;
        queue.messages.clear();
        queue.bytes = 0;
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
