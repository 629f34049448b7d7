//! What is told to the history: operations, their steps, runs of scripts. Plain data, made by whoever does the thing.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::json;
use crate::event::{Driver, HookEvent};
use crate::output::Captured;

/// A number in the history, counted from 1 on and never used twice in one file.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $name {
            /// As the database holds it.
            pub(super) fn column(self) -> i64 {
                // Counted from 1 on: never near the limit.
                i64::try_from(self.0).unwrap_or(i64::MAX)
            }

            /// From the database.
            pub(super) fn of_column(column: i64) -> $name {
                $name(u64::try_from(column).unwrap_or(0))
            }
        }
    };
}

id! {
    /// Which operation of the history; 0 from a history that is off.
    OperationId
}
id! {
    /// Which run of a script in the history; 0 from a history that is off.
    RunId
}

/// Who asked for an operation, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AskedBy {
    /// The client's process.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Its program, for example `/usr/bin/virsh`.
    pub program: Option<String>,
    /// The run of a hook from inside which the request came (R91).
    pub hook: Option<RunId>,
}

/// The beginning of an operation: what a client asked for, or what happened by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationStart {
    /// Whose operation it is.
    pub driver: Driver,
    /// The name of the guest or network; `-` for the daemon.
    pub object: String,
    /// Its UUID, where it has one.
    pub uuid: Option<String>,
    /// What is done: `start`, `destroy`, `end`, `reconnect`, `net-start`, `port`, …
    pub kind: String,
    /// Who asked; nobody for what happens by itself.
    pub asked_by: AskedBy,
    /// When it began.
    pub at: SystemTime,
}

/// One step of an operation that took time: `resources`, `launch`, `resume`, …
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// The end of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationEnd {
    /// When it ended.
    pub at: SystemTime,
    /// Why it failed, if it did: the text that the client got.
    pub failure: Option<String>,
    /// The reason of a guest's end, as in R34.
    pub reason: Option<String>,
    /// The hypervisor's last words; the last 16 KiB of them are kept.
    pub hypervisor_log: Option<String>,
}

/// Why a script runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunKind {
    /// A script of the driver (R1, R2).
    Script,
    /// A rule of the settings names it; the rule's name.
    Rule(String),
    /// It lies in the directory of one guest.
    GuestDirectory,
    /// Somebody had an earlier run repeated.
    Replay(RunId),
    /// Somebody tried out what would happen; nothing was at stake.
    Simulation,
}

/// The beginning of one run of one script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStart {
    /// The operation that waits for it, if one does.
    pub operation: Option<OperationId>,
    /// The same for all scripts of one call (R14).
    pub call: u64,
    /// What the script is told, hence its arguments (R7).
    pub event: HookEvent,
    /// The UUID of the object, where it has one.
    pub uuid: Option<String>,
    /// The script.
    pub script: PathBuf,
    /// Why it runs.
    pub kind: RunKind,
    /// The rule of the settings that applied to it, if one did.
    pub rule: Option<String>,
    /// SHA-256 of the script's file.
    pub digest: Option<[u8; 32]>,
    /// What it gets on stdin. Stored once per content, without passwords ([`super::redact`]).
    pub document: Option<Arc<str>>,
    /// Who asked.
    pub asked_by: AskedBy,
    /// When it began.
    pub at: SystemTime,
    /// Names of the variables that it gets beyond the usual ones (R8). Only those that begin with `FERROVIRT_` are
    /// kept; values are not even asked for, because they may be secret.
    pub environment: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// The kernel does not execute it.
    NotStarted {
        /// The error number.
        errno: i32,
        /// What can be said beyond that (R6).
        reason: Option<String>,
    },
    /// Its time limit passed (R92).
    TimedOut {
        /// The limit; in JSON `after_ms`.
        #[serde(rename = "after_ms", serialize_with = "json::milliseconds")]
        after: Duration,
    },
    /// It was ended by something else (R95).
    Cancelled {
        /// By what, for example `destroy`.
        by: String,
    },
    /// It was not run (R94).
    Refused {
        /// Why.
        why: String,
    },
    /// Nobody saw its end: the daemon died, or the history could not be written.
    Lost,
}

/// The end of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// How long it ran.
    pub took: Duration,
    /// How it ended.
    pub how: How,
    /// What it wrote on standard output; the first 256 KiB are kept.
    pub stdout: Captured,
    /// What it wrote on standard error; the first 256 KiB are kept.
    pub stderr: Captured,
    /// Of a filter (R37): the document that was passed on.
    pub output_document: Option<Arc<str>>,
    /// It failed, and a policy turned that into a warning.
    pub ignored: bool,
    /// The text of the error (R13), if it failed.
    pub failure: Option<String>,
}

impl RunEnd {
    /// Whether it counts as failed, also when that was ignored.
    pub(super) fn failed(&self) -> bool {
        self.how != How::Exit(0) || self.failure.is_some()
    }
}

/// Which of a script's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A script that is there and was not run (R3, R4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Whose script it is.
    pub driver: Driver,
    /// The script.
    pub path: PathBuf,
    /// Why it was not run.
    pub reason: String,
    /// When that was noticed.
    pub at: SystemTime,
}
