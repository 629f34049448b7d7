//! The history as a whole, within one process: what its tests are made of.

mod file;
mod limits;
mod queries;
mod records;

use super::*;
use crate::event::{Driver, GuestOperation, HookEvent};
use crate::output::Captured;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;
use tempfile::TempDir;
use tokio::sync::broadcast::error::TryRecvError;

/// A time with microseconds, which is what the database keeps.
pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(1_800_000_000_000_001 + seconds * 1_000_000)
}

pub(super) fn settings(dir: &TempDir) -> Settings {
    Settings {
        // The tests' times are not today's.
        max_age: Duration::MAX,
        ..Settings::new(dir.path().join("deep/history.db"))
    }
}

fn event(guest: &str, operation: GuestOperation) -> HookEvent {
    HookEvent::guest(Driver::Qemu, guest, operation).unwrap()
}

pub(super) fn start(guest: &str) -> RunStart {
    RunStart {
        operation: None,
        call: 1,
        event: event(guest, GuestOperation::Prepare),
        uuid: None,
        script: "/h/qemu".into(),
        kind: RunKind::Script,
        rule: None,
        digest: None,
        document: None,
        asked_by: AskedBy::default(),
        at: at(0),
        environment: Vec::new(),
    }
}

pub(super) fn end(how: How) -> RunEnd {
    RunEnd {
        took: Duration::from_micros(1500),
        how,
        stdout: Captured::default(),
        stderr: Captured::default(),
        output_document: None,
        ignored: false,
        failure: None,
    }
}

pub(super) fn operation(guest: &str) -> OperationStart {
    OperationStart {
        driver: Driver::Qemu,
        object: guest.to_owned(),
        uuid: None,
        kind: "start".to_owned(),
        asked_by: AskedBy::default(),
        at: at(0),
    }
}

async fn reader(history: &History) -> Reader {
    history.flush().await;
    Reader::open(history.path().unwrap()).unwrap()
}

pub(super) fn operation_end() -> OperationEnd {
    OperationEnd {
        at: at(9),
        failure: None,
        reason: None,
        hypervisor_log: None,
    }
}

pub(super) fn captured(text: &str) -> Captured {
    Captured {
        bytes: text.as_bytes().to_vec(),
        lost: 0,
    }
}
