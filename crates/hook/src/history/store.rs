//! How an entry is written to the database. Nothing in here knows threads, queues or outages.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql, named_params, params};
use sha2::{Digest, Sha256};

use super::columns;
use super::entry::{
    AskedBy, OperationEnd, OperationId, OperationStart, RunEnd, RunId, RunStart, Skipped, Step, Stream,
};
use super::error::HistoryError;
use super::queue::{Entry, Missed};
use super::redact::{redact, redact_bytes};
use super::row::Change;
use super::schema;
use crate::output::Captured;

/// How much of each output of a script is kept, bytes.
pub(super) const OUTPUT: usize = 256 << 10;
/// How much of each output is kept of what comes after the script's end, bytes: 64 KiB a run.
pub(super) const LATER: usize = 32 << 10;
/// How much of a document is kept, bytes.
const DOCUMENT: usize = 8 << 20;
/// How much of a hypervisor's last words is kept, bytes.
const LAST_WORDS: usize = 16 << 10;
/// How much of an error is kept, bytes: it can hold what a script wrote.
const FAILURE: usize = 64 << 10;
/// How many documents are remembered, and how long they may be together: the scripts of a call get the same one.
const RECENT: (usize, usize) = (8, 4 << 20);
/// What is said of what had no end when its daemon died.
const DIED: &str = "the daemon died";
/// What is said when the end could not be written.
const UNWRITTEN: &str = "its end could not be recorded";

/// The highest numbers that were ever given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Highest {
    pub(super) run: u64,
    pub(super) operation: u64,
}

/// The database, open for writing.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) connection: Connection,
    /// Documents that were stored a moment ago, with their numbers.
    recent: Vec<(Arc<str>, i64)>,
}

impl Store {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When that does not work; a broken file is no error, see [`schema::open`].
    pub(super) fn open(path: &Path) -> Result<Store, HistoryError> {
        Ok(Store {
            connection: schema::open(path)?,
            recent: Vec::new(),
        })
    }

    /// Whether the file is sound; SQLite's words when it is not.
    pub(super) fn check(&self) -> rusqlite::Result<Option<String>> {
        let said: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        // What the check has read is not needed again.
        self.connection.execute_batch("PRAGMA shrink_memory")?;
        Ok((said != "ok").then_some(said))
    }

    /// Marks what has no end: whoever began it is gone.
    pub(super) fn mark_all_lost(&self) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        let runs = "UPDATE run SET how = ?1, failed = 1, failure = ?2 WHERE how IS NULL";
        transaction.execute(runs, params![columns::LOST, DIED])?;
        let operations = "UPDATE operation SET lost = 1, failure = ?1 WHERE ended IS NULL AND lost = 0";
        transaction.execute(operations, [DIED])?;
        transaction.commit()
    }

    /// Marks runs and operations whose end was dropped.
    pub(super) fn mark_lost(&self, missed: &Missed) -> rusqlite::Result<()> {
        let run = "UPDATE run SET how = ?1, failed = 1, failure = ?2 WHERE id = ?3 AND how IS NULL";
        for id in &missed.runs {
            self.cached(run)?
                .execute(params![columns::LOST, UNWRITTEN, id.column()])?;
        }
        let operation = "UPDATE operation SET lost = 1, failure = ?1 WHERE id = ?2 AND ended IS NULL";
        for id in &missed.operations {
            self.cached(operation)?.execute(params![UNWRITTEN, id.column()])?;
        }
        Ok(())
    }

    /// The highest numbers that were ever given.
    pub(super) fn highest(&self) -> rusqlite::Result<Highest> {
        let of = |name: &str| {
            let sql = format!(
                "SELECT max(coalesce((SELECT max(id) FROM {name}), 0), (SELECT id FROM highest WHERE name = '{name}'))"
            );
            let id = self.connection.query_row(&sql, [], |row| row.get(0));
            id.map(i64::unsigned_abs)
        };
        Ok(Highest {
            run: of("run")?,
            operation: of("operation")?,
        })
    }

    /// What is remembered of the database may be wrong now: something was rolled back or deleted.
    pub(super) fn forget(&mut self) {
        self.recent.clear();
    }

    /// Writes one entry. False when what it belongs to is not there.
    pub(super) fn write(&mut self, entry: &Entry) -> rusqlite::Result<bool> {
        match entry {
            Entry::OperationBegan(id, start) => self.operation_began(*id, start),
            Entry::Step(id, step) => self.step(*id, step),
            Entry::OperationEnded(id, end) => self.operation_ended(*id, end),
            Entry::RunBegan(id, start) => self.run_began(*id, start),
            Entry::RunEnded(id, end) => self.run_ended(*id, end),
            Entry::PrintedLater(id, stream, bytes) => self.printed_later(*id, *stream, bytes),
            Entry::Skipped(skipped) => self.skipped(skipped),
            Entry::Flush(_) => Ok(true),
        }
    }

    /// What followers are told of an entry that was just written.
    pub(super) fn change(&self, entry: &Entry) -> rusqlite::Result<Option<Change>> {
        let run = |id: &RunId| {
            let sql = format!("SELECT {} FROM run WHERE id = ?1", columns::RUN);
            self.cached(&sql)?
                .query_row([id.column()], columns::run)
                .optional()
        };
        let operation = |id: &OperationId| {
            let sql = format!("SELECT {} FROM operation WHERE id = ?1", columns::OPERATION);
            self.cached(&sql)?
                .query_row([id.column()], columns::operation)
                .optional()
        };
        Ok(match entry {
            Entry::RunBegan(id, _) => run(id)?.map(Change::RunBegan),
            Entry::RunEnded(id, _) => run(id)?.map(Change::RunEnded),
            Entry::OperationBegan(id, _) => operation(id)?.map(Change::OperationBegan),
            Entry::OperationEnded(id, _) => operation(id)?.map(Change::OperationEnded),
            Entry::Step(..) | Entry::PrintedLater(..) | Entry::Skipped(_) | Entry::Flush(_) => None,
        })
    }

    fn cached(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    fn operation_began(&self, id: OperationId, start: &OperationStart) -> rusqlite::Result<bool> {
        let AskedBy {
            pid,
            uid,
            program,
            hook,
        } = &start.asked_by;
        let mut insert = self.cached(
            "INSERT INTO operation (id, driver, object, uuid, kind, asked_pid, asked_uid, asked_program, asked_hook, \
             began) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        insert.execute(params![
            id.column(),
            start.driver.as_str(),
            start.object,
            start.uuid,
            start.kind,
            pid,
            uid,
            program,
            hook.map(RunId::column),
            columns::time_column(start.at),
        ])?;
        Ok(true)
    }

    fn step(&self, id: OperationId, step: &Step) -> rusqlite::Result<bool> {
        let insert = "INSERT INTO step (operation_id, name, began, took, failure) \
            SELECT ?1, ?2, ?3, ?4, ?5 FROM operation WHERE id = ?1";
        let rows = self.cached(insert)?.execute(params![
            id.column(),
            step.name,
            columns::time_column(step.began),
            columns::duration_column(step.took),
            failure(&step.failure),
        ])?;
        Ok(rows > 0)
    }

    fn operation_ended(&self, id: OperationId, end: &OperationEnd) -> rusqlite::Result<bool> {
        let update = "UPDATE operation SET ended = ?2, lost = 0, failure = ?3, reason = ?4, hypervisor_log = ?5 WHERE id = ?1";
        let log = end.hypervisor_log.as_deref().map(|log| {
            let from = log.ceil_char_boundary(log.len().saturating_sub(LAST_WORDS));
            redact(&log[from..])
        });
        let rows = self.cached(update)?.execute(params![
            id.column(),
            columns::time_column(end.at),
            failure(&end.failure),
            end.reason,
            log,
        ])?;
        Ok(rows > 0)
    }

    fn run_began(&mut self, id: RunId, start: &RunStart) -> rusqlite::Result<bool> {
        let document = self.document(start.document.as_ref())?;
        let [object, operation, sub_operation, extra] = start.event.argv();
        let (kind, kind_rule, kind_replay) = columns::kind_columns(&start.kind);
        let AskedBy {
            pid,
            uid,
            program,
            hook,
        } = &start.asked_by;
        let mut insert = self.cached(
            "INSERT INTO run (id, operation_id, call, driver, object, uuid, operation, sub_operation, extra, script, \
             kind, kind_rule, kind_replay, rule, digest, asked_pid, asked_uid, asked_program, asked_hook, began, \
             environment, document) VALUES (:id, :operation_id, :call, :driver, :object, :uuid, :operation, \
             :sub_operation, :extra, :script, :kind, :kind_rule, :kind_replay, :rule, :digest, :pid, :uid, :program, \
             :hook, :began, :environment, :document)",
        )?;
        insert.execute(named_params! {
            ":id": id.column(),
            ":operation_id": start.operation.map(OperationId::column),
            ":call": start.call.cast_signed(),
            ":driver": start.event.driver().as_str(),
            ":object": object,
            ":uuid": start.uuid,
            ":operation": operation,
            ":sub_operation": sub_operation,
            ":extra": extra,
            ":script": columns::path_column(&start.script),
            ":kind": kind,
            ":kind_rule": kind_rule,
            ":kind_replay": kind_replay,
            ":rule": start.rule,
            ":digest": start.digest,
            ":pid": pid,
            ":uid": uid,
            ":program": program,
            ":hook": hook.map(RunId::column),
            ":began": columns::time_column(start.at),
            ":environment": names(&start.environment),
            ":document": document,
        })?;
        Ok(true)
    }

    fn run_ended(&mut self, id: RunId, end: &RunEnd) -> rusqlite::Result<bool> {
        let output_document = self.document(end.output_document.as_ref())?;
        let (how, how_number, how_text) = columns::how_columns(&end.how);
        let update = "UPDATE run SET took = ?2, how = ?3, how_number = ?4, how_text = ?5, failed = ?6, ignored = ?7, \
            failure = ?8, output_document = ?9 WHERE id = ?1";
        let rows = self.cached(update)?.execute(params![
            id.column(),
            columns::duration_column(end.took),
            how,
            how_number,
            how_text,
            end.failed(),
            end.ignored,
            failure(&end.failure),
            output_document,
        ])?;
        if rows > 0 {
            for (stream, captured) in [(Stream::Stdout, &end.stdout), (Stream::Stderr, &end.stderr)] {
                self.printed(id, stream, captured)?;
            }
        }
        Ok(rows > 0)
    }

    /// What a script printed while it ran.
    fn printed(&self, id: RunId, stream: Stream, captured: &Captured) -> rusqlite::Result<()> {
        if captured.bytes.is_empty() && captured.lost == 0 {
            return Ok(());
        }
        let kept = &captured.bytes[..captured.bytes.len().min(OUTPUT)];
        let lost = captured
            .lost
            .saturating_add((captured.bytes.len() - kept.len()) as u64);
        self.put_output(output_id(id, stream, false), &redact_bytes(kept), lost)
    }

    /// What its children printed later: behind what is there already. A password may lie across both, so both are read
    /// again.
    fn printed_later(&self, id: RunId, stream: Stream, bytes: &[u8]) -> rusqlite::Result<bool> {
        let known = self
            .cached("SELECT 1 FROM run WHERE id = ?1")?
            .exists([id.column()])?;
        if !known {
            return Ok(false);
        }
        let output = output_id(id, stream, true);
        let there = self
            .cached("SELECT bytes, lost FROM output WHERE id = ?1")?
            .query_row([output], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
            })
            .optional()?;
        let (mut text, lost) = there.unwrap_or_default();
        let kept = bytes.len().min(LATER.saturating_sub(text.len()));
        text.extend_from_slice(&bytes[..kept]);
        let lost = lost.unsigned_abs().saturating_add((bytes.len() - kept) as u64);
        self.put_output(output, &redact_bytes(&text), lost)?;
        Ok(true)
    }

    fn put_output(&self, id: i64, bytes: &[u8], lost: u64) -> rusqlite::Result<()> {
        let put = "INSERT INTO output (id, bytes, lost) VALUES (?1, ?2, ?3) \
            ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes, lost = excluded.lost";
        self.cached(put)?.execute(params![id, bytes, number(lost)])?;
        Ok(())
    }

    fn skipped(&self, skipped: &Skipped) -> rusqlite::Result<bool> {
        let insert = "INSERT INTO skip (driver, path, reason, at) VALUES (?1, ?2, ?3, ?4)";
        self.cached(insert)?.execute(params![
            skipped.driver.as_str(),
            columns::path_column(&skipped.path),
            skipped.reason,
            columns::time_column(skipped.at),
        ])?;
        Ok(true)
    }

    /// The number of a document, which is stored once.
    fn document(&mut self, document: Option<&Arc<str>>) -> rusqlite::Result<Option<i64>> {
        let Some(document) = document else {
            return Ok(None);
        };
        let known = self
            .recent
            .iter()
            .find(|(recent, _)| Arc::ptr_eq(recent, document));
        if let Some((_, id)) = known {
            return Ok(Some(*id));
        }
        let text = redact(document);
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let found = self
            .cached("SELECT id FROM blob WHERE digest = ?1")?
            .query_row([digest], |row| row.get(0))
            .optional()?;
        let id = match found {
            Some(id) => id,
            None => self.insert_document(&digest, &text)?,
        };
        self.remember(document.clone(), id);
        Ok(Some(id))
    }

    fn insert_document(&self, digest: &[u8; 32], text: &str) -> rusqlite::Result<i64> {
        let kept = &text[..text.floor_char_boundary(DOCUMENT)];
        let lost = number((text.len() - kept.len()) as u64);
        let values: [&dyn ToSql; 3] = [digest, &lost, &kept.as_bytes()];
        self.cached("INSERT INTO blob (digest, lost, text) VALUES (?1, ?2, ?3)")?
            .insert(values)
    }

    fn remember(&mut self, document: Arc<str>, id: i64) {
        let (count, bytes) = RECENT;
        self.recent.push((document, id));
        let together = |recent: &[(Arc<str>, i64)]| recent.iter().map(|(text, _)| text.len()).sum::<usize>();
        while self.recent.len() > count || together(&self.recent) > bytes {
            self.recent.remove(0);
        }
    }
}

/// The number of an output in its table: four to a run.
pub(super) fn output_id(run: RunId, stream: Stream, later: bool) -> i64 {
    let stream = match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    };
    run.column().saturating_mul(4) + stream + if later { 2 } else { 0 }
}

/// The names of variables that may be shown, a line each.
fn names(all: &[String]) -> Option<String> {
    let shown: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|name| name.starts_with("FERROVIRT_"))
        .collect();
    (!shown.is_empty()).then(|| shown.join("\n"))
}

/// The text of an error as it is kept.
fn failure(text: &Option<String>) -> Option<std::borrow::Cow<'_, str>> {
    let text = text.as_deref()?;
    Some(redact(&text[..text.floor_char_boundary(FAILURE)]))
}

/// A count as a column.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
