//! Reading the history: from any process, also while the daemon writes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::columns;
use super::entry::{OperationId, RunId, Stream};
use super::error::HistoryError;
use super::retention;
use super::row::{Document, Operation, OperationRow, Output, Run, RunRow, SkipRow, Statistics, StepRow};
use super::schema;
use super::store::output_id;
use crate::event::Driver;

/// Which runs. The default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Of this driver's hooks.
    pub driver: Option<Driver>,
    /// For the object with this name or UUID.
    pub object: Option<String>,
    /// For this operation of the contract, for example `prepare`.
    pub operation: Option<String>,
    /// Of this script; a name without directory finds it in each.
    pub script: Option<PathBuf>,
    /// Only failed ones, also when that was ignored.
    pub failed: bool,
    /// That began at this time or later.
    pub since: Option<SystemTime>,
    /// That began at this time or earlier.
    pub until: Option<SystemTime>,
    /// That belong to this operation of the history.
    pub operation_id: Option<OperationId>,
    /// With a lower number.
    pub before: Option<RunId>,
    /// With a higher number. With a limit, the first ones after it instead of the last ones.
    pub after: Option<RunId>,
    /// At most so many: the newest.
    pub limit: Option<u32>,
}

/// Which operations. The default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationQuery {
    /// Of this driver.
    pub driver: Option<Driver>,
    /// On the object with this name or UUID.
    pub object: Option<String>,
    /// Of this kind, for example `start`.
    pub kind: Option<String>,
    /// Only failed and lost ones.
    pub failed: bool,
    /// That began at this time or later.
    pub since: Option<SystemTime>,
    /// That began at this time or earlier.
    pub until: Option<SystemTime>,
    /// With a lower number.
    pub before: Option<OperationId>,
    /// With a higher number. With a limit, the first ones after it instead of the last ones.
    pub after: Option<OperationId>,
    /// At most so many: the newest.
    pub limit: Option<u32>,
}

/// The history, open for reading. It stays with the file that it opened, also when that is moved aside or removed: who
/// reads for long opens it anew now and then. Reading waits for the disk, so it has no place on an async thread.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens the file that a daemon writes or wrote.
    ///
    /// # Errors
    /// When there is none, it may not be read, or another release wrote it.
    pub fn open(path: &Path) -> Result<Reader, HistoryError> {
        Ok(Reader {
            connection: schema::open_for_reading(path)?,
            path: path.to_owned(),
        })
    }

    /// The runs that the query asks for, the newest last.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn runs(&self, query: &Query) -> Result<Vec<RunRow>, HistoryError> {
        self.select(&query.clauses(), columns::run)
    }

    /// One run in full.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn run(&self, id: RunId) -> Result<Option<Run>, HistoryError> {
        self.consistent(|reader| reader.whole_run(id))
    }

    /// The operations that the query asks for, the newest last.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn operations(&self, query: &OperationQuery) -> Result<Vec<OperationRow>, HistoryError> {
        self.select(&query.clauses(), columns::operation)
    }

    /// One operation in full, with its steps and its runs.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn operation(&self, id: OperationId) -> Result<Option<Operation>, HistoryError> {
        self.consistent(|reader| reader.whole_operation(id))
    }

    /// The operation on this object that began last, in full.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_operation(&self, driver: Driver, object: &str) -> Result<Option<Operation>, HistoryError> {
        let query = OperationQuery {
            driver: Some(driver),
            object: Some(object.to_owned()),
            limit: Some(1),
            ..OperationQuery::default()
        };
        match self.operations(&query)?.pop() {
            Some(last) => self.operation(last.id),
            None => Ok(None),
        }
    }

    /// The scripts that were last noticed not to be run, the newest last.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn skips(&self, limit: u32) -> Result<Vec<SkipRow>, HistoryError> {
        let read = || {
            let sql = "SELECT driver, path, reason, at FROM skip ORDER BY id DESC LIMIT ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([limit], |row| {
                Ok(SkipRow {
                    driver: columns::driver(row, 0)?,
                    path: columns::path(row.get(1)?),
                    reason: row.get(2)?,
                    at: columns::time(row.get(3)?),
                })
            })?;
            let mut rows: Vec<SkipRow> = rows.collect::<rusqlite::Result<_>>()?;
            rows.reverse();
            Ok(rows)
        };
        read().map_err(HistoryError::database("read", &self.path))
    }

    /// How much there is.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn statistics(&self) -> Result<Statistics, HistoryError> {
        self.consistent(|reader| {
            let count = |table: &str| {
                let sql = format!("SELECT count(*) FROM {table}");
                let count = reader.connection.query_row(&sql, [], |row| row.get(0));
                count.map(i64::unsigned_abs)
            };
            let oldest = |table: &str| {
                let sql = format!("SELECT min(began) FROM {table}");
                reader
                    .connection
                    .query_row(&sql, [], |row| row.get::<_, Option<i64>>(0))
            };
            let oldest = [oldest("run")?, oldest("operation")?];
            Ok(Statistics {
                runs: count("run")?,
                operations: count("operation")?,
                documents: count("blob")?,
                bytes: retention::bytes(&reader.connection)?,
                oldest: oldest.into_iter().flatten().min().map(columns::time),
            })
        })
    }

    /// Reads several things as of one moment.
    fn consistent<T>(&self, read: impl FnOnce(&Reader) -> rusqlite::Result<T>) -> Result<T, HistoryError> {
        let all = || {
            let transaction = self.connection.unchecked_transaction()?;
            let result = read(self)?;
            transaction.finish()?;
            Ok(result)
        };
        all().map_err(HistoryError::database("read", &self.path))
    }

    fn select<T>(
        &self,
        clauses: &Clauses,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, HistoryError> {
        self.rows(clauses, row)
            .map_err(HistoryError::database("read", &self.path))
    }

    fn rows<T>(
        &self,
        clauses: &Clauses,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(&clauses.sql())?;
        let rows = statement.query_map(params_from_iter(&clauses.values), row)?;
        let mut rows: Vec<T> = rows.collect::<rusqlite::Result<_>>()?;
        if !clauses.forward {
            rows.reverse();
        }
        Ok(rows)
    }

    fn whole_run(&self, id: RunId) -> rusqlite::Result<Option<Run>> {
        let sql = format!(
            "SELECT {}, environment, document, output_document FROM run WHERE id = ?1",
            columns::RUN
        );
        let found = self
            .connection
            .prepare_cached(&sql)?
            .query_row([id.column()], |row| {
                let last: (Option<String>, Option<i64>, Option<i64>) = (
                    row.get("environment")?,
                    row.get("document")?,
                    row.get("output_document")?,
                );
                Ok((columns::run(row)?, last))
            })
            .optional()?;
        let Some((row, (environment, document, output_document))) = found else {
            return Ok(None);
        };
        Ok(Some(Run {
            row,
            environment: environment
                .iter()
                .flat_map(|names| names.lines())
                .map(str::to_owned)
                .collect(),
            document: self.document(document)?,
            output_document: self.document(output_document)?,
            stdout: self.output(output_id(id, Stream::Stdout, false))?,
            stderr: self.output(output_id(id, Stream::Stderr, false))?,
            later_stdout: self.output(output_id(id, Stream::Stdout, true))?,
            later_stderr: self.output(output_id(id, Stream::Stderr, true))?,
        }))
    }

    fn document(&self, id: Option<i64>) -> rusqlite::Result<Option<Document>> {
        let Some(id) = id else {
            return Ok(None);
        };
        let mut statement = self
            .connection
            .prepare_cached("SELECT digest, lost, text FROM blob WHERE id = ?1")?;
        let document = statement.query_row([id], |row| {
            let text: Vec<u8> = row.get(2)?;
            Ok(Document {
                digest: row.get(0)?,
                lost: row.get::<_, i64>(1)?.unsigned_abs(),
                text: String::from_utf8_lossy(&text).into_owned(),
            })
        });
        document.optional()
    }

    fn output(&self, id: i64) -> rusqlite::Result<Output> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT bytes, lost FROM output WHERE id = ?1")?;
        let output = statement.query_row([id], |row| {
            Ok(Output {
                bytes: row.get(0)?,
                lost: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        });
        Ok(output.optional()?.unwrap_or_default())
    }

    fn whole_operation(&self, id: OperationId) -> rusqlite::Result<Option<Operation>> {
        let sql = format!(
            "SELECT {}, hypervisor_log FROM operation WHERE id = ?1",
            columns::OPERATION
        );
        let found = self
            .connection
            .prepare_cached(&sql)?
            .query_row([id.column()], |row| {
                Ok((
                    columns::operation(row)?,
                    row.get::<_, Option<String>>("hypervisor_log")?,
                ))
            })
            .optional()?;
        let Some((row, hypervisor_log)) = found else {
            return Ok(None);
        };
        let query = Query {
            operation_id: Some(id),
            ..Query::default()
        };
        Ok(Some(Operation {
            row,
            hypervisor_log,
            steps: self.steps(id)?,
            runs: self.rows(&query.clauses(), columns::run)?,
        }))
    }

    fn steps(&self, id: OperationId) -> rusqlite::Result<Vec<StepRow>> {
        let sql = "SELECT name, began, took, failure FROM step WHERE operation_id = ?1 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([id.column()], |row| {
            Ok(StepRow {
                name: row.get(0)?,
                began: columns::time(row.get(1)?),
                took: columns::duration(row.get(2)?),
                failure: row.get(3)?,
            })
        })?;
        rows.collect()
    }

    /// How SQLite goes about a query.
    #[cfg(test)]
    pub(super) fn plan(&self, clauses: &Clauses) -> String {
        let sql = format!("EXPLAIN QUERY PLAN {}", clauses.sql());
        let mut statement = self.connection.prepare(&sql).unwrap();
        let rows = statement.query_map(params_from_iter(&clauses.values), |row| row.get::<_, String>(3));
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("\n")
    }
}

/// A query in SQL.
#[derive(Debug)]
pub(super) struct Clauses {
    columns: &'static str,
    table: &'static str,
    /// The index to go by when SQLite would choose the order of the numbers instead.
    index: Option<&'static str>,
    conditions: Vec<&'static str>,
    values: Vec<Value>,
    limit: Option<u32>,
    /// Ascending; descending rows are turned around after they were read.
    forward: bool,
}

impl Clauses {
    fn new(table: &'static str, columns: &'static str, limit: Option<u32>) -> Clauses {
        Clauses {
            columns,
            table,
            index: None,
            conditions: Vec::new(),
            values: Vec::new(),
            limit,
            forward: false,
        }
    }

    /// Adds a condition with one `?`, if there is a value for it.
    fn add(&mut self, condition: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.conditions.push(condition);
            self.values.push(value.into());
        }
    }

    /// Adds an object by its name, or by its UUID if it looks like one.
    fn add_object(&mut self, object: Option<&str>) {
        let Some(object) = object else {
            return;
        };
        if looks_like_uuid(object) {
            self.conditions.push("(uuid = ? OR object = ?)");
            self.values
                .extend([object.to_ascii_lowercase().into(), object.to_owned().into()]);
        } else {
            self.add("object = ?", Some(object.to_owned()));
        }
    }

    /// Adds times between which it must have begun, and goes by them if nothing narrower is asked for.
    fn add_times(
        &mut self,
        since: Option<SystemTime>,
        until: Option<SystemTime>,
        index: Option<&'static str>,
    ) {
        self.add("began >= ?", since.map(columns::time_column));
        self.add("began <= ?", until.map(columns::time_column));
        if since.is_some() {
            self.index = index;
        }
    }

    /// Adds numbers between which it must be, and the direction that goes with them.
    fn add_range(&mut self, before: Option<i64>, after: Option<i64>) {
        self.add("id < ?", before);
        self.add("id > ?", after);
        self.forward = after.is_some() && before.is_none();
    }

    fn sql(&self) -> String {
        let mut sql = format!("SELECT {} FROM {}", self.columns, self.table);
        if let Some(index) = self.index {
            sql.push_str(" INDEXED BY ");
            sql.push_str(index);
        }
        for (index, condition) in self.conditions.iter().enumerate() {
            sql.push_str(if index == 0 { " WHERE " } else { " AND " });
            sql.push_str(condition);
        }
        sql.push_str(if self.forward {
            " ORDER BY id"
        } else {
            " ORDER BY id DESC"
        });
        if let Some(limit) = self.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }
}

impl Query {
    pub(super) fn clauses(&self) -> Clauses {
        let mut clauses = Clauses::new("run", columns::RUN, self.limit);
        clauses.add("driver = ?", self.driver.map(|driver| driver.as_str().to_owned()));
        clauses.add_object(self.object.as_deref());
        clauses.add("operation = ?", self.operation.clone());
        if let Some(script) = &self.script {
            let bytes = columns::path_column(script).to_vec();
            if script.is_absolute() {
                clauses.add("script = ?", Some(bytes));
            } else {
                let end = [b"/".to_vec(), bytes].concat();
                let length = i64::try_from(end.len()).unwrap_or(i64::MAX);
                clauses.conditions.push("substr(script, -?) = ?");
                clauses.values.extend([length.into(), end.into()]);
            }
        }
        if self.failed {
            clauses.conditions.push("failed = 1");
        }
        let narrow =
            self.object.is_some() || self.script.is_some() || self.operation_id.is_some() || self.failed;
        clauses.add_times(self.since, self.until, (!narrow).then_some("run_began"));
        clauses.add("operation_id = ?", self.operation_id.map(OperationId::column));
        clauses.add_range(self.before.map(RunId::column), self.after.map(RunId::column));
        clauses
    }
}

impl OperationQuery {
    pub(super) fn clauses(&self) -> Clauses {
        let mut clauses = Clauses::new("operation", columns::OPERATION, self.limit);
        clauses.add("driver = ?", self.driver.map(|driver| driver.as_str().to_owned()));
        clauses.add_object(self.object.as_deref());
        clauses.add("kind = ?", self.kind.clone());
        if self.failed {
            clauses.conditions.push("failure IS NOT NULL");
        }
        let narrow = self.object.is_some();
        clauses.add_times(self.since, self.until, (!narrow).then_some("operation_began"));
        clauses.add_range(
            self.before.map(OperationId::column),
            self.after.map(OperationId::column),
        );
        clauses
    }
}

/// `8-4-4-4-12` digits.
fn looks_like_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
