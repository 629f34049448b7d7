//! The thread that writes: batches, outages, repairs, and the cleaning up.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::TARGET;
use super::error::{self, HistoryError};
use super::queue::{Entry, Missed, Queue};
use super::retention::Retention;
use super::row::Change;
use super::schema;
use super::store::Store;

/// How long nothing must have been lost before an outage counts as over: on a disk that is nearly full small entries
/// succeed and large ones do not, and nobody wants to read that each time.
const QUIET: Duration = Duration::from_secs(1);

/// A time in which entries are lost.
#[derive(Debug)]
struct Outage {
    missed: Missed,
    last: Instant,
}

/// What the thread has.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) path: PathBuf,
    /// Nothing while the file cannot be opened.
    pub(super) store: Option<Store>,
    /// What had no end at the beginning could not be marked yet.
    pub(super) unmarked: bool,
    pub(super) queue: Arc<Queue>,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) retention: Retention,
    /// How many entries were lost since the beginning.
    pub(super) lost: Arc<AtomicU64>,
    /// Held as long as the thread writes.
    pub(super) lock: File,
}

impl Writer {
    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        // However this ends, nobody waits for it any more.
        let _ending = Ending(self.queue.clone());
        let mut outage = None;
        self.check();
        loop {
            if self.retention.wait().is_zero() {
                self.retain();
            }
            let taken = self.queue.take(self.retention.wait());
            if taken.missed.count > 0 {
                self.note(&mut outage, taken.missed);
            }
            if !taken.entries.is_empty() {
                self.write(taken.entries, &mut outage);
            }
            if taken.last {
                break;
            }
        }
        drop(self.store.take());
        drop(self.lock);
    }

    /// Writes a batch, and deals with what goes wrong.
    fn write(&mut self, entries: Vec<Entry>, outage: &mut Option<Outage>) {
        let mut result = self.batch(&entries, outage.as_ref());
        if let Err(error) = &result
            && error.is_broken_file()
        {
            self.replace(error);
            result = self.batch(&entries, outage.as_ref());
        }
        match result {
            Ok(written) => self.written(written, outage),
            Err(error) => {
                let mut missed = Missed::default();
                entries.iter().for_each(|entry| missed.note(entry));
                if outage.is_none() && missed.count > 0 {
                    tracing::warn!(target: TARGET, "{error}; entries of the history are dropped until it can be written");
                }
                self.note(outage, missed);
            }
        }
        for entry in entries {
            if let Entry::Flush(done) = entry {
                // Whoever waited may have gone.
                let _ = done.send(());
            }
        }
    }

    /// After a commit: followers are told, and an outage may be over.
    fn written(&mut self, written: Written, outage: &mut Option<Outage>) {
        self.retention.wrote(written.bytes);
        self.lost.fetch_add(written.missed.count, Ordering::Relaxed);
        for change in written.changes {
            // Nobody has to follow.
            let _ = self.changes.send(change);
        }
        if let Some(outage) = outage {
            // They are marked now.
            outage.missed.runs.clear();
            outage.missed.operations.clear();
        }
        if let Some(over) = outage
            && over.last.elapsed() >= QUIET
            && written.entries > 0
        {
            tracing::warn!(target: TARGET, "the history of hooks {} is written again; {} entries were lost",
                self.path.display(),
                over.missed.count
            );
            self.queue.recovered();
            *outage = None;
        }
    }

    /// Entries were lost.
    fn note(&self, outage: &mut Option<Outage>, missed: Missed) {
        self.lost.fetch_add(missed.count, Ordering::Relaxed);
        let now = outage.get_or_insert_with(|| Outage {
            missed: Missed::default(),
            last: Instant::now(),
        });
        now.last = Instant::now();
        now.missed.add(missed);
    }

    /// Writes a batch in one transaction.
    fn batch(&mut self, entries: &[Entry], outage: Option<&Outage>) -> Result<Written, HistoryError> {
        let followed = self.changes.receiver_count() > 0;
        let path = self.path.clone();
        let unmarked = self.unmarked;
        let store = self.open()?;
        let failed = |source| HistoryError::database("write", &path)(source);
        if unmarked {
            store.mark_all_lost().map_err(failed)?;
        }
        store
            .connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(failed)?;
        let result = write_all(store, entries, outage, followed)
            .and_then(|written| store.connection.execute_batch("COMMIT").map(|()| written));
        if result.is_err() {
            store.forget();
            if !store.connection.is_autocommit() {
                // It is rolled back at the latest when the connection ends; nothing can be done beyond that.
                let _ = store.connection.execute_batch("ROLLBACK");
            }
        }
        self.unmarked = false;
        result.map_err(failed)
    }

    /// The database, opened anew if need be.
    fn open(&mut self) -> Result<&mut Store, HistoryError> {
        let store = match self.store.take() {
            Some(store) => store,
            None => {
                // Somebody may have removed it with the file.
                schema::make_directory(&self.path)?;
                Store::open(&self.path)?
            }
        };
        Ok(self.store.insert(store))
    }

    /// Reads the whole file once, so that damage is found before it spreads.
    fn check(&mut self) {
        let Some(store) = &self.store else {
            return;
        };
        match store.check() {
            Ok(None) => {}
            Ok(Some(damage)) => self.replace(&damage),
            Err(error) if error::is_broken_file(&error) => self.replace(&error),
            Err(error) => tracing::debug!(target: TARGET, "cannot check the history: {error}"),
        }
    }

    /// Begins a new file. If that fails it is tried again with the next batch.
    fn replace(&mut self, why: &dyn std::fmt::Display) {
        self.store = None;
        if let Err(error) = schema::set_aside(&self.path, why).and_then(|()| self.open().map(drop)) {
            tracing::debug!(target: TARGET, "cannot begin a new history: {error}");
        }
    }

    /// Deletes what is too old or too much; begins a new file when somebody removed it.
    fn retain(&mut self) {
        self.retention.postpone();
        if self.store.is_some() && !self.path.exists() {
            tracing::warn!(target: TARGET, "the history of hooks {} was removed; a new one is begun",
                self.path.display()
            );
            self.store = None;
        }
        let result = match self.open() {
            Ok(_) => self.clean_up(),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            if error.is_broken_file() {
                self.replace(&error);
            } else {
                tracing::debug!(target: TARGET, "cannot clean up the history: {error}");
            }
        }
    }

    fn clean_up(&mut self) -> Result<(), HistoryError> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let deleted = self.retention.run(&store.connection);
        // What is remembered of documents may be gone, also after an error.
        store.forget();
        deleted
            .map(drop)
            .map_err(HistoryError::database("clean up", &self.path))
    }
}

/// What came of a batch.
#[derive(Debug, Default)]
struct Written {
    entries: usize,
    bytes: usize,
    changes: Vec<Change>,
    /// Single entries that could not be written, or whose beginning had been lost.
    missed: Missed,
}

fn write_all(
    store: &mut Store,
    entries: &[Entry],
    outage: Option<&Outage>,
    followed: bool,
) -> rusqlite::Result<Written> {
    let mut written = Written::default();
    for entry in entries {
        match store.write(entry) {
            Ok(true) => {
                written.entries += usize::from(!matches!(entry, Entry::Flush(_)));
                written.bytes += entry.bytes();
                if followed {
                    written.changes.extend(store.change(entry)?);
                }
            }
            Ok(false) => written.missed.note(entry),
            Err(error) if error::is_about_one_entry(&error) => {
                tracing::warn!(target: TARGET, "one entry of the history cannot be written: {error}");
                written.missed.note(entry);
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(outage) = outage {
        store.mark_lost(&outage.missed)?;
    }
    Ok(written)
}

/// Tells whoever waits that the thread is over, also after a panic.
struct Ending(Arc<Queue>);

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(target: TARGET, "the thread that writes the history of hooks ended by a panic: nothing is recorded any more");
        }
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests;
