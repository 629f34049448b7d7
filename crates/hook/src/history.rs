//! The history of hook calls (R93): what was asked for, which scripts ran for it, and what came of them, in one SQLite
//! file that the daemon writes and anybody who may can read.
//!
//! * [`History`]: the daemon's handle; what is told to it ([`OperationStart`], [`RunStart`], …) is in `entry`
//! * [`Reader`]: queries, from any process; what they give ([`RunRow`], [`Operation`], …) is in `row`
//! * `queue`, `writer`: how entries get to the file without anybody waiting for it; `store`: one entry;
//!   `retention`: what is deleted; `schema`: the file itself; `columns`: values in it
//! * [`redact`]: passwords are never stored
//!
//! Recording never holds up a hook and never fails one. What cannot be written is dropped, counted, and said in the log
//! once when that begins and once when it is over.

mod columns;
mod entry;
mod error;
mod json;
mod queue;
mod reader;
mod redact;
mod retention;
mod row;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};

pub use entry::{
    AskedBy, How, OperationEnd, OperationId, OperationStart, RunEnd, RunId, RunKind, RunStart, Skipped, Step,
    Stream,
};
pub use error::HistoryError;
pub use reader::{OperationQuery, Query, Reader};
pub use redact::redact;
pub use row::{
    Change, Document, KindRow, Operation, OperationRow, Output, Run, RunRow, SkipRow, Statistics, StepRow,
};

use queue::{Entry, Queue};
use retention::Retention;
use store::{Highest, Store};
use writer::Writer;

/// The place that log lines name.
const TARGET: &str = "virHookHistory";
/// How many changes a follower may lag behind before it loses some.
const FOLLOWED: usize = 1024;

/// Where the history is and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file, which only its owner may read. A directory that has to be made for it is the owner's alone too.
    pub path: PathBuf,
    /// How large the file may get, bytes. The log beside it (`-wal`) comes on top, usually 4 MiB.
    pub max_bytes: u64,
    /// How long something is kept.
    pub max_age: Duration,
}

impl Settings {
    /// The file with the usual limits: 64 MiB, 30 days.
    pub fn new(path: impl Into<PathBuf>) -> Settings {
        Settings {
            path: path.into(),
            max_bytes: 64 << 20,
            max_age: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

/// Where to tell what happens. Cheap to clone. When the last one is dropped, what is queued is still written, if the
/// process lives long enough; [`History::flush`] makes sure of it.
#[derive(Debug, Clone)]
pub struct History {
    recorder: Option<Arc<Recorder>>,
}

/// What handles share.
#[derive(Debug)]
struct Recorder {
    path: PathBuf,
    queue: Arc<Queue>,
    /// The last numbers that were given.
    run: AtomicU64,
    operation: AtomicU64,
    lost: Arc<AtomicU64>,
    changes: broadcast::WeakSender<Change>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl History {
    /// A history that records nothing and costs nothing.
    pub fn off() -> History {
        History { recorder: None }
    }

    /// Opens the file, or makes it, and starts the thread that writes. A broken file is moved aside, which the log says,
    /// and a new one begun. What has no end in the file is marked as lost: the daemon that began it died. May wait for
    /// the disk, and a few seconds for an earlier handle that is still writing.
    ///
    /// # Errors
    /// When the directory or the file cannot be made, opened or protected, when a later release of ferrovirt wrote it,
    /// when another daemon has it, or when the thread cannot be started.
    pub fn open(settings: Settings) -> Result<History, HistoryError> {
        schema::make_directory(&settings.path)?;
        let lock = schema::lock(&settings.path)?;
        let (store, highest, unmarked) = begin(&settings.path)?;
        let queue = Arc::new(Queue::default());
        let changes = broadcast::Sender::new(FOLLOWED);
        let lost = Arc::new(AtomicU64::new(0));
        let recorder = Recorder {
            path: settings.path.clone(),
            queue: queue.clone(),
            run: AtomicU64::new(highest.run),
            operation: AtomicU64::new(highest.operation),
            lost: lost.clone(),
            changes: changes.downgrade(),
        };
        let writer = Writer {
            path: settings.path.clone(),
            store: Some(store),
            unmarked,
            queue,
            changes,
            retention: Retention::new(&settings),
            lost,
            lock,
        };
        std::thread::Builder::new()
            .name("hook-history".to_owned())
            .spawn(|| writer.run())
            .map_err(|source| HistoryError::Thread {
                path: settings.path,
                source,
            })?;
        Ok(History {
            recorder: Some(Arc::new(recorder)),
        })
    }

    /// Whether anything is recorded: what is costly to find out need not be found out for nobody.
    pub fn is_on(&self) -> bool {
        self.recorder.is_some()
    }

    /// The file, for a [`Reader`].
    pub fn path(&self) -> Option<&Path> {
        self.recorder.as_deref().map(|recorder| recorder.path.as_path())
    }

    /// How many entries were lost since the history was opened.
    pub fn lost(&self) -> u64 {
        self.recorder
            .as_ref()
            .map_or(0, |recorder| recorder.lost.load(Ordering::Relaxed))
    }

    /// An operation begins.
    pub fn operation_began(&self, start: OperationStart) -> OperationId {
        let Some(recorder) = &self.recorder else {
            return OperationId(0);
        };
        let id = OperationId(recorder.operation.fetch_add(1, Ordering::Relaxed) + 1);
        recorder.queue.push(Entry::OperationBegan(id, Box::new(start)));
        id
    }

    /// A step of an operation is over.
    pub fn operation_step(&self, id: OperationId, step: Step) {
        self.push(|| Entry::Step(id, Box::new(step)));
    }

    /// An operation is over.
    pub fn operation_ended(&self, id: OperationId, end: OperationEnd) {
        self.push(|| Entry::OperationEnded(id, Box::new(end)));
    }

    /// A script is about to run. Its number is known at once; it is in the file a moment later.
    pub fn run_began(&self, start: RunStart) -> RunId {
        let Some(recorder) = &self.recorder else {
            return RunId(0);
        };
        let id = RunId(recorder.run.fetch_add(1, Ordering::Relaxed) + 1);
        recorder.queue.push(Entry::RunBegan(id, Box::new(start)));
        id
    }

    /// A script is over.
    pub fn run_ended(&self, id: RunId, end: RunEnd) {
        self.push(|| Entry::RunEnded(id, Box::new(end)));
    }

    /// Children of a script that is over printed something. The first 32 KiB of each output are kept.
    pub fn run_printed_later(&self, id: RunId, stream: Stream, bytes: Vec<u8>) {
        self.push(|| Entry::PrintedLater(id, stream, bytes));
    }

    /// A script is there and was not run (R3, R4).
    pub fn skipped(&self, skipped: Skipped) {
        self.push(|| Entry::Skipped(Box::new(skipped)));
    }

    /// Tells what is recorded from now on, as soon as it is in the file. Whoever lags behind loses some and is told so;
    /// a history that is off tells nothing and ends at once.
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        let sender = self
            .recorder
            .as_ref()
            .and_then(|recorder| recorder.changes.upgrade());
        sender.unwrap_or_else(|| broadcast::Sender::new(1)).subscribe()
    }

    /// Waits until what was told before is in the file, or lost.
    pub async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        self.push(|| Entry::Flush(done));
        // No answer: the writer is gone, and there is nothing to wait for.
        let _ = is_done.await;
    }

    fn push(&self, entry: impl FnOnce() -> Entry) {
        if let Some(recorder) = &self.recorder {
            recorder.queue.push(entry());
        }
    }
}

/// Opens the file, marks what has no end, and finds the highest numbers. The last value says that the marks could not be
/// made yet, for example because the disk is full.
fn begin(path: &Path) -> Result<(Store, Highest, bool), HistoryError> {
    let attempt = || {
        let store = Store::open(path)?;
        let highest = store.highest().map_err(HistoryError::database("read", path))?;
        let marked = store
            .mark_all_lost()
            .map_err(HistoryError::database("write", path));
        match marked {
            Ok(()) => Ok((store, highest, false)),
            Err(error) if error.is_broken_file() => Err(error),
            Err(error) => {
                tracing::warn!(target: TARGET, "{error}; it is tried again with the next entries");
                Ok((store, highest, true))
            }
        }
    };
    match attempt() {
        Err(error) if error.is_broken_file() => {
            schema::set_aside(path, &error)?;
            attempt()
        }
        other => other,
    }
}
