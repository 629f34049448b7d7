//! What waits for the writer. Bounded by number and by bytes; whoever sends never waits, and wakes the writer only when
//! that is worth a system call.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::TARGET;
use super::entry::{
    OperationEnd, OperationId, OperationStart, RunEnd, RunId, RunStart, Skipped, Step, Stream,
};

/// How many entries may wait.
const ENTRIES: usize = 1024;
/// How many bytes may wait.
const BYTES: usize = 32 << 20;
/// How many entries are written at once, at most.
const BATCH: usize = 256;
/// From how many bytes on a batch is written at once.
const BATCH_BYTES: usize = 4 << 20;
/// How long a batch may gather after its first entry.
const GATHER: Duration = Duration::from_millis(20);
/// Of how many things whose end was dropped the numbers are kept, to mark them.
const ENDS: usize = 10_000;
/// What an entry takes besides what it points to, roughly.
const OVERHEAD: usize = 512;

/// One thing to write down.
#[derive(Debug)]
pub(super) enum Entry {
    OperationBegan(OperationId, Box<OperationStart>),
    Step(OperationId, Box<Step>),
    OperationEnded(OperationId, Box<OperationEnd>),
    RunBegan(RunId, Box<RunStart>),
    RunEnded(RunId, Box<RunEnd>),
    PrintedLater(RunId, Stream, Vec<u8>),
    Skipped(Box<Skipped>),
    /// Nothing to write: all before it is committed.
    Flush(oneshot::Sender<()>),
}

impl Entry {
    /// How much it takes while it waits. A document that is shared counts too: the queue may be the last to hold it.
    pub(super) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let document =
            |document: &Option<std::sync::Arc<str>>| document.as_ref().map_or(0, |text| text.len());
        OVERHEAD
            + match self {
                Entry::RunBegan(_, run) => document(&run.document),
                Entry::RunEnded(_, end) => {
                    let outputs = end.stdout.bytes.len() + end.stderr.bytes.len();
                    outputs + document(&end.output_document) + text(&end.failure)
                }
                Entry::OperationEnded(_, end) => text(&end.failure) + text(&end.hypervisor_log),
                Entry::Step(_, step) => text(&step.failure),
                Entry::PrintedLater(_, _, bytes) => bytes.len(),
                Entry::OperationBegan(..) | Entry::Skipped(_) | Entry::Flush(_) => 0,
            }
    }
}

/// Entries that were dropped.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// How many.
    pub(super) count: u64,
    /// Runs whose end is among them.
    pub(super) runs: Vec<RunId>,
    /// Operations whose end is among them.
    pub(super) operations: Vec<OperationId>,
}

impl Missed {
    /// This entry was dropped.
    pub(super) fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Flush(_) => return,
            Entry::RunEnded(id, _) if self.runs.len() < ENDS => self.runs.push(*id),
            Entry::OperationEnded(id, _) if self.operations.len() < ENDS => self.operations.push(*id),
            _ => {}
        }
        self.count += 1;
    }

    /// These were dropped too.
    pub(super) fn add(&mut self, other: Missed) {
        self.count += other.count;
        self.runs.extend(other.runs.into_iter().take(ENDS));
        self.operations.extend(other.operations.into_iter().take(ENDS));
    }
}

/// What the writer gets.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What is to be written, in order.
    pub(super) entries: Vec<Entry>,
    /// What was dropped since the last time.
    pub(super) missed: Missed,
    /// Nothing will come any more.
    pub(super) last: bool,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Entry>,
    bytes: usize,
    missed: Missed,
    /// The writer sleeps until something comes.
    idle: bool,
    /// Somebody waits for what is queued.
    urgent: bool,
    /// The writer was told to end, or is gone.
    closed: bool,
    /// That the queue is full was said, and that it is not any more was not.
    said: bool,
}

/// The queue between senders and the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here is left half done by a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry, or drops it when there is no room. Never waits for the writer.
    pub(super) fn push(&self, entry: Entry) {
        if self.add(entry) {
            self.wake.notify_one();
        }
    }

    /// The same; says whether the writer must be woken for it.
    fn add(&self, entry: Entry) -> bool {
        let bytes = entry.bytes();
        let flush = matches!(entry, Entry::Flush(_));
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        let full = inner.waiting.len() >= ENTRIES || inner.bytes + bytes > BYTES.max(bytes);
        if full && !flush {
            inner.missed.note(&entry);
            let said = std::mem::replace(&mut inner.said, true);
            drop(inner);
            if !said {
                tracing::warn!(target: TARGET, "the history of hooks cannot be written fast enough: entries are dropped until it can"
                );
            }
            return false;
        }
        inner.waiting.push_back(entry);
        inner.bytes += bytes;
        inner.urgent |= flush;
        inner.idle || flush || inner.waiting.len() == BATCH || inner.bytes >= BATCH_BYTES
    }

    /// Waits at most this long for something to come, and a moment more for what comes with it.
    pub(super) fn take(&self, wait: Duration) -> Taken {
        let mut inner = self.lock();
        let deadline = Instant::now() + wait;
        inner.idle = true;
        while inner.waiting.is_empty() && !inner.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = self.sleep(inner, left);
        }
        inner.idle = false;
        let deadline = Instant::now() + GATHER;
        while inner.is_gathering() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = self.sleep(inner, left);
        }
        inner.drain()
    }

    fn sleep<'a>(&self, inner: MutexGuard<'a, Inner>, time: Duration) -> MutexGuard<'a, Inner> {
        let woken = self.wake.wait_timeout(inner, time);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The next drop is an outage of its own, to be said again.
    pub(super) fn recovered(&self) {
        self.lock().said = false;
    }

    /// How many entries the writer has not taken yet.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Nothing will be added any more; the writer finishes what is there.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// The writer is gone: nobody waits in vain.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.bytes = 0;
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        drop(waiting);
    }
}

impl Inner {
    /// Something waits, and more may come with it.
    fn is_gathering(&self) -> bool {
        !self.waiting.is_empty() && !self.batch_is_ready()
    }

    fn batch_is_ready(&self) -> bool {
        self.urgent || self.closed || self.waiting.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// Takes one batch.
    fn drain(&mut self) -> Taken {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < BATCH && bytes < BATCH_BYTES {
            let Some(entry) = self.waiting.pop_front() else {
                break;
            };
            bytes += entry.bytes();
            entries.push(entry);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.urgent &= !self.waiting.is_empty();
        Taken {
            entries,
            missed: std::mem::take(&mut self.missed),
            last: self.closed && self.waiting.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests;
