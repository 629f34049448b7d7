//! What goes wrong with the history: what was tried, on which file, and what happened.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the history (R93) cannot be opened or read. Writing never fails towards the caller: what cannot be written is
/// counted and said in the log.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A directory or file could not be made, protected or moved.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried, for example `make the directory`.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The database refused.
    #[error("cannot {what} the history {}: {source}", path.display())]
    Database {
        /// What was tried, for example `open` or `read`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A later release of ferrovirt wrote the file; it stays as it is.
    #[error(
        "the history {} has format {found}, and this release knows formats up to {known}",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format that it has.
        found: i64,
        /// The newest format that is known here.
        known: i64,
    },
    /// There is a file, but nothing was ever recorded in it.
    #[error("{} is not a history", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another process records into the same file.
    #[error("the history {} is in use by another daemon", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes the history {}: {source}", path.display())]
    Thread {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

impl HistoryError {
    /// For `map_err`: the database refused `what`.
    pub(super) fn database(what: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> HistoryError {
        let path = path.to_owned();
        move |source| HistoryError::Database { what, path, source }
    }

    /// For `map_err`: the file system refused `what`.
    pub(super) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HistoryError {
        let path = path.to_owned();
        move |source| HistoryError::File { what, path, source }
    }

    /// Whether the file itself is at fault, so that a new one helps.
    pub(super) fn is_broken_file(&self) -> bool {
        matches!(self, HistoryError::Database { source, .. } if is_broken_file(source))
    }
}

/// Whether the file is no database, or one that is damaged.
pub(super) fn is_broken_file(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Whether an entry by itself is at fault, so that the others of its batch can be kept.
pub(super) fn is_about_one_entry(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig
        ),
        // Not said by SQLite: a value that it cannot hold.
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error with this code of SQLite.
    fn said(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
    }

    #[test]
    fn r93_one_bad_entry_does_not_cost_those_beside_it() {
        use rusqlite::ffi::{SQLITE_BUSY, SQLITE_CONSTRAINT, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_TOOBIG};
        for code in [SQLITE_CONSTRAINT, SQLITE_TOOBIG] {
            assert!(is_about_one_entry(&said(code)), "{code}");
        }
        for code in [SQLITE_FULL, SQLITE_BUSY, SQLITE_CORRUPT] {
            assert!(!is_about_one_entry(&said(code)), "{code}");
        }
        // A value that SQLite cannot hold never gets there.
        assert!(is_about_one_entry(&rusqlite::Error::InvalidQuery));
    }

    #[test]
    fn r93_only_a_broken_file_is_replaced() {
        use rusqlite::ffi::{SQLITE_BUSY, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_NOTADB};
        let broken = |code| HistoryError::database("read", Path::new("/h"))(said(code)).is_broken_file();
        assert!(broken(SQLITE_CORRUPT) && broken(SQLITE_NOTADB));
        assert!(!broken(SQLITE_FULL) && !broken(SQLITE_BUSY));
        let denied = io::Error::from_raw_os_error(13);
        assert!(!HistoryError::file("open", Path::new("/h"))(denied).is_broken_file());
    }
}
