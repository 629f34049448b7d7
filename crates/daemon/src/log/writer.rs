//! The thread that writes lines, and the queue in front of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::line::Record;
use super::sink::Sink;
use super::syntax::Level;

/// How many lines may wait.
const CAPACITY: usize = 16_384;
/// How long the end of the daemon waits for the last lines.
const FLUSH: Duration = Duration::from_secs(2);

enum Message {
    Record(Box<Record>),
    Replace(Vec<Sink>),
    Flush(SyncSender<()>),
}

/// Where layers put their records.
#[derive(Clone)]
pub struct Queue {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Queue {
    /// Never waits: what does not fit is counted.
    pub fn push(&self, record: Record) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Message::Record(Box::new(record))) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread. Dropping this writes out what is queued.
pub struct Writer {
    queue: Queue,
}

impl Writer {
    /// Start the thread with these outputs.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn start(sinks: Vec<Sink>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&receiver, sinks, &counter))?;
        Ok(Self {
            queue: Queue { sender, lost },
        })
    }

    /// A way in.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Use other outputs for what comes from now on.
    pub fn replace(&self, sinks: Vec<Sink>) {
        let _ = self.queue.sender.send(Message::Replace(sinks));
    }

    /// Wait, at most two seconds, until everything so far is written.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.sender.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
    }
}

fn write_all(receiver: &Receiver<Message>, mut sinks: Vec<Sink>, lost: &AtomicU64) {
    let pid = std::process::id();
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Record(record) => {
                let missing = lost.swap(0, Ordering::Relaxed);
                // A sink that fails has nobody to tell it to.
                for sink in &mut sinks {
                    let _ = sink.write(&record, pid, &hostname);
                    if missing > 0 {
                        let _ = sink.write(&gap(&record, missing), pid, &hostname);
                    }
                }
            }
            Message::Replace(mut others) => {
                others.iter_mut().for_each(|other| other.succeed(&sinks));
                sinks = others;
            }
            Message::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

/// Lines that did not fit are not lost in silence.
fn gap(next: &Record, missing: u64) -> Record {
    Record {
        time: next.time,
        level: Level::Warning,
        source: "daemon.log.writer".to_owned(),
        line: line!(),
        text: format!("{missing} log lines were lost: they came faster than they could be written"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::{Destination, Output};
    use super::*;

    fn record(level: Level, text: &str) -> Record {
        Record {
            time: jiff::Timestamp::now(),
            level,
            source: "x".to_owned(),
            line: 1,
            text: text.to_owned(),
        }
    }

    #[test]
    fn outputs_take_what_matters_enough_and_can_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str, level| {
            let destination = Destination::File(dir.path().join(name));
            Sink::open(&Output { level, destination }).unwrap()
        };
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let writer = Writer::start(vec![open("all", Level::Debug), open("bad", Level::Error)]).unwrap();
        writer.queue().push(record(Level::Warning, "one"));
        writer.queue().push(record(Level::Error, "two"));
        writer.replace(vec![open("new", Level::Debug)]);
        writer.queue().push(record(Level::Error, "three"));
        writer.replace(vec![open("new", Level::Debug)]);
        writer.queue().push(record(Level::Error, "four"));
        writer.flush();
        assert_eq!(read("all").lines().count(), 4);
        assert_eq!(read("bad").lines().count(), 3);
        assert_eq!(read("new").lines().count(), 4);
        assert!(read("new").ends_with(" : x:1 : four\n"));
    }

    #[test]
    fn a_gap_is_told() {
        let gap = gap(&record(Level::Error, "x"), 3);
        assert!(gap.text.starts_with("3 log lines were lost"));
    }
}
