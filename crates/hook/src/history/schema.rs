//! The database file: its tables, how it is opened for writing and for reading, and what happens to a broken one.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, OpenFlags};

use super::TARGET;
use super::error::HistoryError;

/// The format of the file, in `PRAGMA user_version`. A new format is a new number and a step in [`migrate`].
const VERSION: i64 = 1;

/// How long one process waits while another one writes or reads.
const BUSY: Duration = Duration::from_secs(5);

/// How long an earlier writer may take to finish what it has queued.
const IN_USE: Duration = Duration::from_secs(3);

/// What belongs to a database beside its file; SQLite chose the names.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// How the writer's connection works. `auto_vacuum` comes before anything is written, or it has no effect.
const PRAGMAS: &str = "
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA journal_size_limit = 4194304;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -512;
";

/// Times are microseconds since 1970, durations microseconds. The meaning of the numbers in `kind` and `how` is in
/// `columns.rs`. The identity of an output is run * 4 + stream + (2 when it came later).
const TABLES: &str = "
    CREATE TABLE operation (
        id INTEGER PRIMARY KEY,
        driver TEXT NOT NULL, object TEXT NOT NULL, uuid TEXT, kind TEXT NOT NULL,
        asked_pid INTEGER, asked_uid INTEGER, asked_program TEXT, asked_hook INTEGER,
        began INTEGER NOT NULL, ended INTEGER, lost INTEGER NOT NULL DEFAULT 0,
        failure TEXT, reason TEXT, hypervisor_log TEXT
    ) STRICT;
    CREATE INDEX operation_object ON operation (object, id);
    CREATE INDEX operation_uuid ON operation (uuid, id) WHERE uuid IS NOT NULL;
    CREATE INDEX operation_began ON operation (began);
    CREATE INDEX operation_open ON operation (id) WHERE ended IS NULL AND lost = 0;
    CREATE TABLE step (
        id INTEGER PRIMARY KEY,
        operation_id INTEGER NOT NULL, name TEXT NOT NULL, began INTEGER NOT NULL, took INTEGER NOT NULL, failure TEXT
    ) STRICT;
    CREATE INDEX step_operation ON step (operation_id);
    CREATE TABLE blob (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE, lost INTEGER NOT NULL, text BLOB NOT NULL
    ) STRICT;
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        operation_id INTEGER, call INTEGER NOT NULL,
        driver TEXT NOT NULL, object TEXT NOT NULL, uuid TEXT,
        operation TEXT NOT NULL, sub_operation TEXT NOT NULL, extra TEXT NOT NULL,
        script BLOB NOT NULL, kind INTEGER NOT NULL, kind_rule TEXT, kind_replay INTEGER,
        rule TEXT, digest BLOB,
        asked_pid INTEGER, asked_uid INTEGER, asked_program TEXT, asked_hook INTEGER,
        began INTEGER NOT NULL, took INTEGER, how INTEGER, how_number INTEGER, how_text TEXT,
        failed INTEGER NOT NULL DEFAULT 0, ignored INTEGER NOT NULL DEFAULT 0, failure TEXT,
        environment TEXT, document INTEGER, output_document INTEGER
    ) STRICT;
    CREATE INDEX run_object ON run (object, id);
    CREATE INDEX run_uuid ON run (uuid, id) WHERE uuid IS NOT NULL;
    CREATE INDEX run_operation_id ON run (operation_id, id) WHERE operation_id IS NOT NULL;
    CREATE INDEX run_script ON run (script, id);
    CREATE INDEX run_began ON run (began);
    CREATE INDEX run_failed ON run (id) WHERE failed = 1;
    CREATE INDEX run_open ON run (id) WHERE how IS NULL;
    CREATE INDEX run_document ON run (document) WHERE document IS NOT NULL;
    CREATE INDEX run_output_document ON run (output_document) WHERE output_document IS NOT NULL;
    CREATE TABLE output (
        id INTEGER PRIMARY KEY,
        bytes BLOB NOT NULL, lost INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE skip (
        id INTEGER PRIMARY KEY,
        driver TEXT NOT NULL, path BLOB NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX skip_at ON skip (at);
    -- The highest numbers that were ever deleted: numbers are never used twice.
    CREATE TABLE highest (name TEXT PRIMARY KEY, id INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO highest VALUES ('run', 0), ('operation', 0);
";

/// Makes the directory for the file, for its owner only. One that is there stays as it is: it may hold other things.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make_directory(path: &Path) -> Result<(), HistoryError> {
    let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) else {
        return Ok(());
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(HistoryError::file("make the directory", dir))
}

/// The lock that says who records. It is a file of its own, because closing the database's file would take away
/// SQLite's locks.
///
/// # Errors
/// When another process has it, and still has it after a while.
pub(super) fn lock(path: &Path) -> Result<File, HistoryError> {
    let name = beside(path, ".lock");
    let deadline = Instant::now() + IN_USE;
    let file = private(&name).map_err(HistoryError::file("open", &name))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(HistoryError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(fs::TryLockError::Error(source)) => return Err(HistoryError::file("lock", &name)(source)),
        }
    }
}

/// Opens the file for writing. A file that is broken is moved aside, said in the log, and a new one begun.
///
/// # Errors
/// When that does not work, or a later release wrote the file.
pub(super) fn open(path: &Path) -> Result<Connection, HistoryError> {
    match attempt(path) {
        Err(error) if error.is_broken_file() => {
            set_aside(path, &error)?;
            attempt(path)
        }
        other => other,
    }
}

/// Opens the file as it is.
fn attempt(path: &Path) -> Result<Connection, HistoryError> {
    let failed = |source| HistoryError::file("open", path)(source);
    // SQLite makes the files beside it with the same permissions.
    drop(private(path).map_err(failed)?);
    for name in [path.to_owned()]
        .into_iter()
        .chain(BESIDE.map(|end| beside(path, end)))
    {
        match fs::set_permissions(&name, Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(HistoryError::database("open", path))?;
    connection.set_prepared_statement_cache_capacity(48);
    let set_up = |connection: &Connection| {
        connection.busy_timeout(BUSY)?;
        connection.execute_batch(PRAGMAS)
    };
    set_up(&connection).map_err(HistoryError::database("open", path))?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Brings the file to today's format.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), HistoryError> {
    let found = version(connection).map_err(HistoryError::database("open", path))?;
    match found {
        VERSION => Ok(()),
        0 => {
            let make = |connection: &mut Connection| {
                let transaction = connection.transaction()?;
                transaction.execute_batch(TABLES)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
                transaction.commit()
            };
            make(connection).map_err(HistoryError::database("make", path))
        }
        _ => Err(HistoryError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        }),
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Moves a broken file out of the way, with what belongs to it, and says so. Nothing is deleted.
///
/// # Errors
/// When it cannot be moved.
pub(super) fn set_aside(path: &Path, why: &dyn std::fmt::Display) -> Result<(), HistoryError> {
    let time = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let name = (0..)
        .map(|extra: u64| beside(path, &format!(".broken-{}", time.as_secs() + extra)))
        .find(|name| !name.exists())
        .unwrap_or_else(|| beside(path, ".broken"));
    for end in BESIDE {
        let moved = fs::rename(beside(path, end), beside(&name, end));
        // What is not there need not be moved.
        if let Err(error) = moved
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(HistoryError::file("move aside", &beside(path, end))(error));
        }
    }
    fs::rename(path, &name).map_err(HistoryError::file("move aside", path))?;
    tracing::warn!(target: TARGET, "the history of hooks {} is broken ({why}); it was moved to {} and a new one begun",
        path.display(),
        name.display()
    );
    Ok(())
}

/// Opens the file for reading, from any process.
///
/// # Errors
/// When there is none, or it is none that can be read here.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, HistoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = HistoryError::database("open", path);
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(32);
        let found = version(&connection)?;
        Ok((connection, found))
    };
    let (connection, found) = open().map_err(failed)?;
    match found {
        VERSION => Ok(connection),
        0 => Err(HistoryError::Foreign {
            path: path.to_owned(),
        }),
        _ => Err(HistoryError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        }),
    }
}

/// Opens or makes a file that only its owner can read.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}

/// The path with something behind it.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().as_bytes().to_vec();
    name.extend_from_slice(end.as_bytes());
    PathBuf::from(std::ffi::OsString::from_vec(name))
}
