//! One line of a monitor: greeting, reply, error or event. Bytes from outside, so: a limit, no panic,
//! and unknown members ignored. Fuzzed by `fuzz/fuzz_targets/qmp_line.rs`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::Timestamp;

/// Longest line accepted, in bytes. `query-qmp-schema` is over 100 kB; memory is what this protects.
pub const LINE_LIMIT: usize = 16 * 1024 * 1024;

/// What QEMU says when it refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// `GenericError`, `CommandNotFound`, `DeviceNotActive`, `DeviceNotFound`, `KVMMissingCap`, ...
    #[serde(default)]
    pub class: String,
    /// Text for people.
    #[serde(default)]
    pub desc: String,
}

/// A decoded line. Exactly one of `greeting`, `ret`, `error`, `event` is set in what QEMU sends.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    /// `{"QMP": ...}`, the first line of a connection.
    #[serde(rename = "QMP", borrow, default)]
    pub greeting: Option<&'a RawValue>,
    /// Reply of a command that succeeded.
    #[serde(rename = "return", borrow, default)]
    pub ret: Option<&'a RawValue>,
    /// Reply of a command that failed.
    #[serde(default)]
    pub error: Option<Refusal>,
    /// Number of the request this answers.
    #[serde(default)]
    pub id: Option<u64>,
    /// Name of an event.
    #[serde(borrow, default)]
    pub event: Option<Cow<'a, str>>,
    /// Data of an event.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
    /// Time of an event.
    #[serde(default)]
    pub timestamp: Option<Timestamp>,
}

/// Decodes one line.
///
/// # Errors
/// The line is not a JSON object, or a member we use has another type.
pub fn parse_line(text: &str) -> Result<Line<'_>, serde_json::Error> {
    serde_json::from_str(text)
}
