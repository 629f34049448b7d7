//! What is deleted, and when: by age and by size, the oldest first, never what has no end yet.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, OptionalExtension, params};

use super::Settings;
use super::columns;

/// How often it is looked at, at most; how long an idle writer sleeps, too.
const EVERY: Duration = Duration::from_secs(60);
/// How many runs, and how many operations, are deleted in one transaction.
const AT_ONCE: i64 = 200;
/// How many transactions are made before what waits is written.
const ROUNDS: usize = 4;

/// When to look next.
#[derive(Debug)]
pub(super) struct Retention {
    max_bytes: u64,
    max_age: Duration,
    next: Instant,
    /// Bytes that were written since the last time, roughly.
    written: u64,
}

impl Retention {
    /// Due at once.
    pub(super) fn new(settings: &Settings) -> Retention {
        Retention {
            max_bytes: settings.max_bytes,
            max_age: settings.max_age,
            next: Instant::now(),
            written: 0,
        }
    }

    /// So much was written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes as u64);
    }

    /// How long until it is due.
    pub(super) fn wait(&self) -> Duration {
        if self.written > self.max_bytes / 8 {
            return Duration::ZERO;
        }
        self.next.saturating_duration_since(Instant::now())
    }

    /// Not before a while from now: an attempt that fails is not repeated at once.
    pub(super) fn postpone(&mut self) {
        self.written = 0;
        self.next = Instant::now() + EVERY;
    }

    /// Deletes what is too old or too much; a little at a time, so that it may be due again at once. Says whether
    /// something was deleted.
    pub(super) fn run(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        self.postpone();
        let oldest = SystemTime::now()
            .checked_sub(self.max_age)
            .map(columns::time_column);
        let mut deleted = false;
        for _ in 0..ROUNDS {
            let mut count = match oldest {
                Some(oldest) => delete_before(connection, oldest)?,
                None => 0,
            };
            if count == 0 && self.is_too_large(connection)? {
                count = match horizon(connection)? {
                    Some(horizon) => delete_before(connection, horizon)?,
                    None => 0,
                };
            }
            if count == 0 {
                break;
            }
            deleted = true;
            self.next = Instant::now();
        }
        give_back(connection)?;
        Ok(deleted)
    }

    /// Whether more is used than there may be. What is free already is given back anyway, so it does not count.
    fn is_too_large(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let used = pages(connection)?.saturating_sub(number(connection, "freelist_count")?);
        Ok(used.saturating_mul(number(connection, "page_size")?) > self.max_bytes)
    }
}

/// Size of the database, bytes.
pub(super) fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    Ok(pages(connection)?.saturating_mul(number(connection, "page_size")?))
}

fn pages(connection: &Connection) -> rusqlite::Result<u64> {
    number(connection, "page_count")
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    let number: i64 = connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))?;
    Ok(number.unsigned_abs())
}

/// Free pages go back to the file system. Each step of the statement frees one.
fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    if number(connection, "freelist_count")? == 0 {
        return Ok(());
    }
    let mut statement = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Up to when a handful of the oldest things began.
fn horizon(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let of = |sql: &str| -> rusqlite::Result<Vec<i64>> {
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_map([AT_ONCE / 2], |row| row.get(0))?.collect()
    };
    let runs =
        of("SELECT began FROM run INDEXED BY run_began WHERE how IS NOT NULL ORDER BY began LIMIT ?1")?;
    let operations = of(
        "SELECT began FROM operation INDEXED BY operation_began WHERE ended IS NOT NULL OR lost = 1 ORDER BY began LIMIT ?1",
    )?;
    let skips = of("SELECT at FROM skip ORDER BY at LIMIT ?1")?;
    // The kind of which there are many old ones decides; what is younger of the others stays.
    let last = [runs, operations, skips]
        .into_iter()
        .filter_map(|began| handful(&began));
    Ok(last.min())
}

/// Where the handful ends. Of few, which are large then, it is a quarter: the newest must not go with the oldest.
fn handful(began: &[i64]) -> Option<i64> {
    let all = began.len() < (AT_ONCE / 2) as usize;
    let at = if all { began.len().div_ceil(4) } else { began.len() };
    began.get(at.checked_sub(1)?).copied()
}

/// Deletes some of what ended and began up to then; says how much that was.
fn delete_before(connection: &Connection, began: i64) -> rusqlite::Result<usize> {
    let transaction = connection.unchecked_transaction()?;
    let mut runs = column(
        &transaction,
        "SELECT id FROM run INDEXED BY run_began WHERE began <= ?1 AND how IS NOT NULL ORDER BY began LIMIT ?2",
        [began, AT_ONCE],
    )?;
    let operations = column(
        &transaction,
        "SELECT id FROM operation INDEXED BY operation_began WHERE began <= ?1 AND (ended IS NOT NULL OR lost = 1) \
         ORDER BY began LIMIT ?2",
        [began, AT_ONCE],
    )?;
    for id in &operations {
        // An operation goes with its runs: half of one explains nothing.
        let sql = "SELECT id FROM run WHERE operation_id = ?1 AND how IS NOT NULL AND ?2 > 0";
        runs.extend(column(&transaction, sql, [*id, AT_ONCE])?);
    }
    let runs: BTreeSet<i64> = runs.into_iter().collect();
    keep_highest(&transaction, "run", runs.last())?;
    keep_highest(&transaction, "operation", operations.iter().max())?;
    delete_runs(&transaction, &runs)?;
    for id in &operations {
        transaction
            .prepare_cached("DELETE FROM step WHERE operation_id = ?1")?
            .execute([id])?;
        transaction
            .prepare_cached("DELETE FROM operation WHERE id = ?1")?
            .execute([id])?;
    }
    let skips = "DELETE FROM skip WHERE id IN (SELECT id FROM skip WHERE at <= ?1 ORDER BY at LIMIT ?2)";
    let skips = transaction.prepare_cached(skips)?.execute([began, AT_ONCE])?;
    transaction.commit()?;
    Ok(runs.len() + operations.len() + skips)
}

fn column(connection: &Connection, sql: &str, values: [i64; 2]) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(sql)?
        .query_map(values, |row| row.get(0))?
        .collect()
}

/// Numbers are never used twice, also when everything is deleted.
fn keep_highest(connection: &Connection, name: &str, id: Option<&i64>) -> rusqlite::Result<()> {
    let Some(id) = id else {
        return Ok(());
    };
    let update = "UPDATE highest SET id = max(id, ?2) WHERE name = ?1";
    connection.prepare_cached(update)?.execute(params![name, id])?;
    Ok(())
}

/// Deletes runs with their outputs, and documents that only they had.
fn delete_runs(connection: &Connection, runs: &BTreeSet<i64>) -> rusqlite::Result<()> {
    let mut documents = BTreeSet::new();
    for id in runs {
        let of_run = connection
            .prepare_cached("DELETE FROM run WHERE id = ?1 RETURNING document, output_document")?
            .query_row([id], |row| Ok([row.get::<_, Option<i64>>(0)?, row.get(1)?]))
            .optional()?;
        documents.extend(of_run.into_iter().flatten().flatten());
        connection
            .prepare_cached("DELETE FROM output WHERE id BETWEEN ?1 * 4 AND ?1 * 4 + 3")?
            .execute([id])?;
    }
    let delete = "DELETE FROM blob WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM run WHERE document = ?1) \
        AND NOT EXISTS (SELECT 1 FROM run WHERE output_document = ?1)";
    for id in documents {
        connection.prepare_cached(delete)?.execute([id])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn retention(max_bytes: u64) -> Retention {
        Retention::new(&Settings {
            max_bytes,
            ..Settings::new("/h")
        })
    }

    /// A history with so many runs, operations and skipped scripts; number n began n microseconds after 1970.
    fn filled(dir: &tempfile::TempDir, runs: i64, operations: i64, skips: i64) -> Connection {
        let connection = schema::open(&dir.path().join("history.db")).unwrap();
        let put = |count: i64, sql: &str| {
            for number in 1..=count {
                connection.execute(sql, [number]).unwrap();
            }
        };
        put(
            runs,
            "INSERT INTO run (id, call, driver, object, operation, sub_operation, extra, script, kind, began, how) \
             VALUES (?1, 1, 'qemu', 'g', 'start', 'begin', '-', x'2f', 0, ?1, 0)",
        );
        put(
            operations,
            "INSERT INTO operation (id, driver, object, kind, began, ended) VALUES (?1, 'qemu', 'g', 'start', ?1, ?1)",
        );
        put(
            skips,
            "INSERT INTO skip (driver, path, reason, at) VALUES ('qemu', x'2f', 'r', ?1)",
        );
        connection
    }

    #[test]
    fn r93_it_is_looked_at_once_a_minute_and_when_much_was_written() {
        let mut retention = retention(80);
        assert_eq!(retention.wait(), Duration::ZERO);
        retention.postpone();
        let wait = retention.wait();
        assert!(!wait.is_zero() && wait <= EVERY, "{wait:?}");
        retention.wrote(10);
        assert!(!retention.wait().is_zero());
        retention.wrote(1);
        assert_eq!(retention.wait(), Duration::ZERO);
        retention.postpone();
        assert!(!retention.wait().is_zero());
    }

    #[test]
    fn r93_of_few_and_large_ones_the_newest_stay() {
        let began: Vec<i64> = (1..=100).collect();
        for (many, end) in [
            (0, None),
            (1, Some(1)),
            (4, Some(1)),
            (15, Some(4)),
            (99, Some(25)),
            (100, Some(100)),
        ] {
            assert_eq!(handful(&began[..many]), end, "{many}");
        }
    }

    #[test]
    fn r93_the_limit_itself_is_not_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let connection = filled(&dir, 10, 0, 0);
        let used = bytes(&connection).unwrap();
        connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        assert_eq!(
            used,
            std::fs::metadata(dir.path().join("history.db")).unwrap().len()
        );
        assert!(!retention(used).is_too_large(&connection).unwrap());
        assert!(retention(used - 1).is_too_large(&connection).unwrap());
    }

    #[test]
    fn r93_only_a_handful_of_the_oldest_goes_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let connection = filled(&dir, 150, 0, 0);
        assert_eq!(horizon(&connection).unwrap(), Some(100));
        assert_eq!(delete_before(&connection, 100).unwrap(), 100);
        // Of what is left, a quarter: these may be large ones, and the newest must stay.
        assert_eq!(horizon(&connection).unwrap(), Some(113));
    }

    #[test]
    fn r93_all_kinds_count_as_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let connection = filled(&dir, 2, 3, 4);
        assert_eq!(delete_before(&connection, 100).unwrap(), 9);
        assert_eq!(delete_before(&connection, 100).unwrap(), 0);
    }
}
