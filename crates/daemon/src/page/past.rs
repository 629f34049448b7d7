//! What was, as the history has it. Reading waits for the disk: none of this on an async thread.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ferrovirt_hook::Driver;
use ferrovirt_hook::history::{
    HistoryError, Operation, OperationId, OperationQuery, OperationRow, Query, Reader, Run, RunId, RunRow,
};

/// How many failures the first page shows, of each kind.
const FAILURES: u32 = 10;
/// How many operations and runs the page of a guest or network shows.
const LAST: u32 = 30;
/// In how many operations is looked for the last one of each guest and network.
const CHANGES: u32 = 1000;
/// Operations that do not change whether something runs.
const NO_CHANGE: &[&str] = &[
    "port",
    "define",
    "undefine",
    "update",
    "rename",
    "autostart",
    "metadata",
];

/// The history, or why there is none.
pub(crate) struct Past {
    reader: Result<Reader, String>,
}

/// When guests and networks came to be what they are.
#[derive(Debug, Default)]
pub(crate) struct Since(HashMap<(Driver, String), SystemTime>);

impl Since {
    /// When that was, if it is known.
    pub(crate) fn of(&self, driver: Driver, name: &str) -> Option<SystemTime> {
        self.0.get(&(driver, name.to_owned())).copied()
    }
}

impl Past {
    /// Opens the history; none was kept without a path.
    pub(crate) fn open(path: Option<&Path>) -> Past {
        let none = || "No history is kept: ferrovirtd.toml has it off, or it could not be opened.".to_owned();
        let reader = path.ok_or_else(none).and_then(|path| {
            Reader::open(path).map_err(|error| format!("The history cannot be read: {error}"))
        });
        Past { reader }
    }

    /// Why there is nothing.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.reader.as_ref().err().cloned()
    }

    /// What the reader finds; nothing, with a word in the log, when it fails.
    fn read<T: Default>(&self, read: impl FnOnce(&Reader) -> Result<T, HistoryError>) -> T {
        let Ok(reader) = &self.reader else {
            return T::default();
        };
        read(reader).unwrap_or_else(|error| {
            tracing::warn!("the page lacks what the history has: {error}");
            T::default()
        })
    }

    /// The last runs that failed, the newest first.
    pub(crate) fn failed_runs(&self) -> Vec<RunRow> {
        let query = Query {
            failed: true,
            limit: Some(FAILURES),
            ..Query::default()
        };
        newest_first(self.read(|reader| reader.runs(&query)))
    }

    /// The last operations that failed, the newest first.
    pub(crate) fn failed_operations(&self) -> Vec<OperationRow> {
        let query = OperationQuery {
            failed: true,
            limit: Some(FAILURES),
            ..OperationQuery::default()
        };
        newest_first(self.read(|reader| reader.operations(&query)))
    }

    /// The last operations on an object, the newest first.
    pub(crate) fn operations(&self, driver: Driver, object: &str) -> Vec<OperationRow> {
        let query = OperationQuery {
            driver: Some(driver),
            object: Some(object.to_owned()),
            limit: Some(LAST),
            ..OperationQuery::default()
        };
        newest_first(self.read(|reader| reader.operations(&query)))
    }

    /// The last runs for an object, the newest first.
    pub(crate) fn runs(&self, driver: Driver, object: &str) -> Vec<RunRow> {
        let query = Query {
            driver: Some(driver),
            object: Some(object.to_owned()),
            limit: Some(LAST),
            ..Query::default()
        };
        newest_first(self.read(|reader| reader.runs(&query)))
    }

    /// One operation in full.
    pub(crate) fn operation(&self, id: u64) -> Option<Operation> {
        self.read(|reader| reader.operation(OperationId(id)))
    }

    /// One run in full.
    pub(crate) fn run(&self, id: u64) -> Option<Run> {
        self.read(|reader| reader.run(RunId(id)))
    }

    /// When the last operations ended that changed what runs.
    pub(crate) fn since(&self) -> Since {
        let query = OperationQuery {
            limit: Some(CHANGES),
            ..OperationQuery::default()
        };
        let rows = self.read(|reader| reader.operations(&query));
        let mut since = HashMap::new();
        for row in rows {
            let Some(ended) = row.ended.filter(|_| !row.lost) else {
                continue;
            };
            // A failed one counts too: until its end, the object was under way.
            if !NO_CHANGE.iter().any(|word| row.kind.contains(word)) {
                since.insert((row.driver, row.object), ended);
            }
        }
        Since(since)
    }
}

/// How long an operation took; nothing when nobody saw its end.
pub(crate) fn took(row: &OperationRow) -> Option<Duration> {
    let ended = row.ended.filter(|_| !row.lost)?;
    Some(ended.duration_since(row.began).unwrap_or_default())
}

fn newest_first<T>(mut rows: Vec<T>) -> Vec<T> {
    rows.reverse();
    rows
}
