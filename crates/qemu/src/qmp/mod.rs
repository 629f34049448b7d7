//! QEMU's machine protocol: one JSON text per line over a unix socket.
//!
//! Own layer instead of generated bindings, because QEMU adds events, members and enum values with
//! every release: what we do not know must pass by, not break the connection. A command is a struct
//! of ours ([`commands`]), a reply is decoded by the command's own type, an event is a name and raw
//! data ([`event`]). Tested against a scripted peer in `tests.rs`, which says things no QEMU says.

mod client;
pub mod commands;
pub mod event;
mod line;
#[cfg(test)]
mod tests;

pub use client::{Command, Monitor};
pub use event::{Event, Timestamp};
pub use line::{LINE_LIMIT, Line, Refusal, parse_line};

use std::time::Duration;

/// What can go wrong on a monitor. Texts name the command.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// QEMU understood the command and refused it.
    #[error("unable to execute QEMU command '{command}': {}", refusal.desc)]
    Refused {
        /// Name of the command.
        command: String,
        /// Class and text as QEMU gave them.
        refusal: Refusal,
    },
    /// The socket is closed: QEMU is going, or gone.
    #[error("QEMU closed its monitor before it answered '{command}'")]
    Closed {
        /// Name of the command.
        command: String,
    },
    /// No answer within the deadline. The guest may answer later; nobody waits for it then.
    #[error("QEMU did not answer '{command}' within {} ms", after.as_millis())]
    Timeout {
        /// Name of the command.
        command: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// The answer is not what the command answers.
    #[error("QEMU answered '{command}' with something unexpected")]
    Reply {
        /// Name of the command.
        command: String,
        /// Where decoding stopped.
        #[source]
        source: serde_json::Error,
    },
    /// The command could not be written as JSON: not a reason of QEMU's.
    #[error("cannot write the command '{command}'")]
    Encode {
        /// Name of the command.
        command: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl QmpError {
    /// The class QEMU gave its refusal, such as `DeviceNotActive`.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        match self {
            Self::Refused { refusal, .. } => Some(&refusal.class),
            _ => None,
        }
    }
}
