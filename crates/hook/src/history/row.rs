//! What is read from the history. All of it is `Serialize`; the fields' names are the names in JSON. There, times are
//! RFC 3339 in UTC with microseconds, durations are milliseconds, digests hexadecimal, outputs text.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::entry::{AskedBy, How, OperationId, RunId};
use super::json;
use crate::event::Driver;

/// One run of one script, without what can be long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRow {
    /// Its number.
    pub id: RunId,
    /// The operation that waited for it. It may be gone already.
    pub operation_id: Option<OperationId>,
    /// The same for all scripts of one call.
    pub call: u64,
    /// Whose hook it was.
    #[serde(serialize_with = "json::driver")]
    pub driver: Driver,
    /// The script's first argument (R7): the name of the guest or network, or `-`.
    pub object: String,
    /// The UUID of the object.
    pub uuid: Option<String>,
    /// The second argument.
    pub operation: String,
    /// The third argument.
    pub sub_operation: String,
    /// The fourth argument.
    pub extra: String,
    /// The script.
    pub script: PathBuf,
    /// Why it ran.
    pub kind: KindRow,
    /// The rule of the settings that applied to it.
    pub rule: Option<String>,
    /// SHA-256 of the script's file.
    #[serde(serialize_with = "json::optional_digest")]
    pub digest: Option<[u8; 32]>,
    /// Who asked.
    pub asked_by: AskedBy,
    /// When it began.
    #[serde(serialize_with = "json::time")]
    pub began: SystemTime,
    /// How long it ran; in JSON `took_ms`. Nothing while it runs, and when nobody saw its end.
    #[serde(rename = "took_ms", serialize_with = "json::optional_milliseconds")]
    pub took: Option<Duration>,
    /// How it ended: `{"exit":0}`, `{"signal":9}`, `{"not_started":{"errno":8,"reason":null}}`,
    /// `{"timed_out":{"after_ms":5000.0}}`, `{"cancelled":{"by":"destroy"}}`, `{"refused":{"why":"…"}}`, `"lost"`. Null
    /// while it runs.
    pub how: Option<How>,
    /// It failed, also when that was ignored.
    pub failed: bool,
    /// A policy turned its failure into a warning.
    pub ignored: bool,
    /// The text of the error.
    pub failure: Option<String>,
}

/// Why a script ran: `"script"`, `{"rule":"NAME"}`, `"guest_directory"`, `{"replay":12}`, `"simulation"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KindRow {
    /// A script of the driver.
    Script,
    /// A rule of the settings names it.
    Rule(String),
    /// It lies in the directory of one guest.
    GuestDirectory,
    /// An earlier run was repeated.
    Replay(RunId),
    /// It was tried out.
    Simulation,
}

/// One run in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// What lists show; in JSON beside the other fields.
    #[serde(flatten)]
    pub row: RunRow,
    /// Names of the variables that it got beyond the usual ones.
    pub environment: Vec<String>,
    /// What it got on stdin.
    pub document: Option<Document>,
    /// Of a filter: what was passed on.
    pub output_document: Option<Document>,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// What its children wrote on standard output after it had ended.
    pub later_stdout: Output,
    /// What they wrote on standard error.
    pub later_stderr: Output,
}

/// A document, without passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// SHA-256 of the whole text, without passwords.
    #[serde(serialize_with = "json::digest")]
    pub digest: [u8; 32],
    /// The text; the beginning of it when it was very long.
    pub text: String,
    /// How many bytes of it were not kept.
    pub lost: u64,
}

/// What was printed, without passwords.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The beginning; in JSON `text`, with U+FFFD for what is no UTF-8.
    #[serde(rename = "text", serialize_with = "json::text")]
    pub bytes: Vec<u8>,
    /// How many bytes came after that and were not kept.
    pub lost: u64,
}

/// One operation, without what can be long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationRow {
    /// Its number.
    pub id: OperationId,
    /// Whose operation it was.
    #[serde(serialize_with = "json::driver")]
    pub driver: Driver,
    /// The name of the guest or network, or `-`.
    pub object: String,
    /// Its UUID.
    pub uuid: Option<String>,
    /// What was done.
    pub kind: String,
    /// Who asked.
    pub asked_by: AskedBy,
    /// When it began.
    #[serde(serialize_with = "json::time")]
    pub began: SystemTime,
    /// When it ended. Nothing while it runs, and when nobody saw its end.
    #[serde(serialize_with = "json::optional_time")]
    pub ended: Option<SystemTime>,
    /// Nobody saw its end: the daemon died, or the history could not be written.
    pub lost: bool,
    /// Why it failed.
    pub failure: Option<String>,
    /// The reason of a guest's end, as in R34.
    pub reason: Option<String>,
}

/// One operation in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// What lists show; in JSON beside the other fields.
    #[serde(flatten)]
    pub row: OperationRow,
    /// The hypervisor's last words.
    pub hypervisor_log: Option<String>,
    /// Its steps, in the order in which they ended.
    pub steps: Vec<StepRow>,
    /// The runs of scripts that belong to it, in order.
    pub runs: Vec<RunRow>,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepRow {
    /// Its name.
    pub name: String,
    /// When it began.
    #[serde(serialize_with = "json::time")]
    pub began: SystemTime,
    /// How long it took; in JSON `took_ms`.
    #[serde(rename = "took_ms", serialize_with = "json::milliseconds")]
    pub took: Duration,
    /// Why it failed.
    pub failure: Option<String>,
}

/// A script that was not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkipRow {
    /// Whose script it is.
    #[serde(serialize_with = "json::driver")]
    pub driver: Driver,
    /// The script.
    pub path: PathBuf,
    /// Why it was not run.
    pub reason: String,
    /// When that was noticed.
    #[serde(serialize_with = "json::time")]
    pub at: SystemTime,
}

/// How much there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Runs of scripts.
    pub runs: u64,
    /// Operations.
    pub operations: u64,
    /// Different documents.
    pub documents: u64,
    /// Size of the database, bytes.
    pub bytes: u64,
    /// When the oldest run or operation began.
    #[serde(serialize_with = "json::optional_time")]
    pub oldest: Option<SystemTime>,
}

/// What just happened, as it was recorded. In JSON `{"change":"run_began", …the row…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A script was started.
    RunBegan(RunRow),
    /// A script ended.
    RunEnded(RunRow),
    /// An operation began.
    OperationBegan(OperationRow),
    /// An operation ended.
    OperationEnded(OperationRow),
}
