//! How values stand in the columns of the database, and rows as they come back.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Row;
use rusqlite::types::Type;

use super::entry::{AskedBy, How, OperationId, RunId, RunKind};
use super::row::{KindRow, OperationRow, RunRow};
use crate::event::Driver;

/// The columns that [`run`] reads, in its order.
pub(super) const RUN: &str = "id, operation_id, call, driver, object, uuid, operation, sub_operation, extra, script, \
    kind, kind_rule, kind_replay, rule, digest, asked_pid, asked_uid, asked_program, asked_hook, began, took, how, \
    how_number, how_text, failed, ignored, failure";

/// The columns that [`operation`] reads, in its order.
pub(super) const OPERATION: &str = "id, driver, object, uuid, kind, asked_pid, asked_uid, asked_program, asked_hook, \
    began, ended, lost, failure, reason";

/// A row of [`RUN`].
pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: RunId::of_column(row.get(0)?),
        operation_id: row.get::<_, Option<i64>>(1)?.map(OperationId::of_column),
        call: row.get::<_, i64>(2)?.cast_unsigned(),
        driver: driver(row, 3)?,
        object: row.get(4)?,
        uuid: row.get(5)?,
        operation: row.get(6)?,
        sub_operation: row.get(7)?,
        extra: row.get(8)?,
        script: path(row.get(9)?),
        kind: kind_of_columns(row.get(10)?, row.get(11)?, row.get(12)?),
        rule: row.get(13)?,
        digest: row.get(14)?,
        asked_by: asked_by(row, 15)?,
        began: time(row.get(19)?),
        took: row.get::<_, Option<i64>>(20)?.map(duration),
        how: how_of_columns(row.get(21)?, row.get(22)?, row.get(23)?),
        failed: row.get(24)?,
        ignored: row.get(25)?,
        failure: row.get(26)?,
    })
}

/// A row of [`OPERATION`].
pub(super) fn operation(row: &Row<'_>) -> rusqlite::Result<OperationRow> {
    Ok(OperationRow {
        id: OperationId::of_column(row.get(0)?),
        driver: driver(row, 1)?,
        object: row.get(2)?,
        uuid: row.get(3)?,
        kind: row.get(4)?,
        asked_by: asked_by(row, 5)?,
        began: time(row.get(9)?),
        ended: row.get::<_, Option<i64>>(10)?.map(time),
        lost: row.get(11)?,
        failure: row.get(12)?,
        reason: row.get(13)?,
    })
}

/// The driver with the name in this column.
pub(super) fn driver(row: &Row<'_>, column: usize) -> rusqlite::Result<Driver> {
    let name: String = row.get(column)?;
    let found = Driver::ALL.into_iter().find(|driver| driver.as_str() == name);
    found.ok_or_else(|| {
        let error = format!("there is no driver {name}");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

/// Four columns from this one on.
fn asked_by(row: &Row<'_>, first: usize) -> rusqlite::Result<AskedBy> {
    Ok(AskedBy {
        pid: row.get(first)?,
        uid: row.get(first + 1)?,
        program: row.get(first + 2)?,
        hook: row.get::<_, Option<i64>>(first + 3)?.map(RunId::of_column),
    })
}

/// Microseconds since 1970; negative before.
pub(super) fn time_column(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => duration_column(since),
        Err(before) => -duration_column(before.duration()),
    }
}

/// The time that a column holds.
pub(super) fn time(column: i64) -> SystemTime {
    let distance = Duration::from_micros(column.unsigned_abs());
    if column < 0 {
        SystemTime::UNIX_EPOCH - distance
    } else {
        SystemTime::UNIX_EPOCH + distance
    }
}

/// Microseconds.
pub(super) fn duration_column(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The duration that a column holds.
pub(super) fn duration(column: i64) -> Duration {
    Duration::from_micros(u64::try_from(column).unwrap_or(0))
}

/// A path as its bytes, which need not be text.
pub(super) fn path_column(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// The path that a column holds.
pub(super) fn path(column: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(column))
}

/// `kind`, `kind_rule`, `kind_replay`.
pub(super) fn kind_columns(kind: &RunKind) -> (i64, Option<&str>, Option<i64>) {
    match kind {
        RunKind::Script => (0, None, None),
        RunKind::Rule(name) => (1, Some(name), None),
        RunKind::GuestDirectory => (2, None, None),
        RunKind::Replay(of) => (3, None, Some(of.column())),
        RunKind::Simulation => (4, None, None),
    }
}

fn kind_of_columns(kind: i64, rule: Option<String>, replay: Option<i64>) -> KindRow {
    match kind {
        1 => KindRow::Rule(rule.unwrap_or_default()),
        2 => KindRow::GuestDirectory,
        3 => KindRow::Replay(RunId::of_column(replay.unwrap_or_default())),
        4 => KindRow::Simulation,
        _ => KindRow::Script,
    }
}

/// `how` of a run whose end nobody saw.
pub(super) const LOST: i64 = 6;

/// `how`, `how_number`, `how_text`.
pub(super) fn how_columns(how: &How) -> (i64, Option<i64>, Option<&str>) {
    match how {
        How::Exit(status) => (0, Some((*status).into()), None),
        How::Signal(signal) => (1, Some((*signal).into()), None),
        How::NotStarted { errno, reason } => (2, Some((*errno).into()), reason.as_deref()),
        How::TimedOut { after } => (3, Some(duration_column(*after)), None),
        How::Cancelled { by } => (4, None, Some(by)),
        How::Refused { why } => (5, None, Some(why)),
        How::Lost => (LOST, None, None),
    }
}

/// `None` while the run has no end.
fn how_of_columns(how: Option<i64>, number: Option<i64>, text: Option<String>) -> Option<How> {
    let small = || i32::try_from(number.unwrap_or_default()).unwrap_or_default();
    Some(match how? {
        0 => How::Exit(small()),
        1 => How::Signal(small()),
        2 => How::NotStarted {
            errno: small(),
            reason: text,
        },
        3 => How::TimedOut {
            after: duration(number.unwrap_or_default()),
        },
        4 => How::Cancelled {
            by: text.unwrap_or_default(),
        },
        5 => How::Refused {
            why: text.unwrap_or_default(),
        },
        _ => How::Lost,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r93_times_come_back_to_the_microsecond_also_those_before_1970() {
        let second = Duration::from_secs(1);
        for (at, column) in [
            (SystemTime::UNIX_EPOCH, 0),
            (SystemTime::UNIX_EPOCH + second, 1_000_000),
            (SystemTime::UNIX_EPOCH - second, -1_000_000),
        ] {
            assert_eq!(time_column(at), column);
            assert_eq!(time(column), at);
        }
    }
}
