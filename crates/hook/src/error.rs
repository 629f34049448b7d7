//! What goes wrong with a hook, in the words that libvirt's users know (R13).

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::event::HookEvent;

/// What stands before the detail in every failure: str1 of libvirt's error is this with `%1$s` behind it.
pub const PREFIX: &str = "Hook script execution failed: ";

/// How and why a call of hooks failed. `Display` is the whole text of R13, [`HookError::detail`] the part after the
/// template.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// A script ended with a status other than 0, by a signal, or could not be executed.
    #[error("{PREFIX}{detail}")]
    Failed {
        /// What was called.
        event: Box<HookEvent>,
        /// The script.
        script: PathBuf,
        /// `internal error: Child process (...) unexpected exit status 3: stderr`.
        detail: String,
    },
    /// The call was cancelled (R95).
    #[error("{PREFIX}{}", self.detail())]
    Cancelled {
        /// What was called.
        event: Box<HookEvent>,
        /// The script that was ended, if one ran.
        script: Option<PathBuf>,
        /// What cancelled it, for example `destroy`.
        by: String,
    },
    /// Somebody ended this script alone (R92); the call goes on with the next one.
    #[error("{PREFIX}{}", self.detail())]
    Ended {
        /// What was called.
        event: Box<HookEvent>,
        /// The script.
        script: PathBuf,
        /// Who ended it, for example `ferrovirt cancel`.
        by: String,
    },
    /// A script ran longer than a rule allows, and was ended with its whole tree (R92).
    #[error("{PREFIX}{}", self.detail())]
    TooLong {
        /// What was called.
        event: Box<HookEvent>,
        /// The script.
        script: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// A script was not run because others than its owner may change it, and the settings are strict (R94).
    #[error("{PREFIX}{}", self.detail())]
    Permissions {
        /// What was called.
        event: Box<HookEvent>,
        /// The script.
        script: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A filter wrote something that cannot be a document: too much, or no text.
    #[error("{PREFIX}{}", self.detail())]
    Output {
        /// What was called.
        event: Box<HookEvent>,
        /// The script.
        script: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The daemon could not run the script.
    #[error("{PREFIX}{}", self.detail())]
    Unavailable {
        /// What was called.
        event: Box<HookEvent>,
        /// The script.
        script: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

impl HookError {
    /// The text after the template: str2 of libvirt's error.
    pub fn detail(&self) -> String {
        match self {
            HookError::Failed { detail, .. } => detail.clone(),
            HookError::Cancelled {
                event,
                script: Some(script),
                by,
            } => {
                format!("internal error: {} ({event}) was ended by {by}", script.display())
            }
            HookError::Cancelled {
                event,
                script: None,
                by,
            } => {
                format!("internal error: hook {event} was not called because of {by}")
            }
            HookError::Ended { event, script, by } => {
                format!("internal error: {} ({event}) was ended by {by}", script.display())
            }
            HookError::TooLong { event, script, limit } => format!(
                "internal error: {} ({event}) took longer than its limit of {limit:?} and was ended",
                script.display()
            ),
            HookError::Permissions { script, reason, .. } => {
                format!("internal error: {} is not run: {reason}", script.display())
            }
            HookError::Output { script, reason, .. } => {
                format!("internal error: output of {}: {reason}", script.display())
            }
            HookError::Unavailable { script, source, .. } => {
                format!("internal error: cannot run {}: {source}", script.display())
            }
        }
    }

    /// What was called.
    pub fn event(&self) -> &HookEvent {
        match self {
            HookError::Failed { event, .. }
            | HookError::Cancelled { event, .. }
            | HookError::Ended { event, .. }
            | HookError::TooLong { event, .. }
            | HookError::Permissions { event, .. }
            | HookError::Output { event, .. }
            | HookError::Unavailable { event, .. } => event,
        }
    }

    /// Whether the call was cancelled rather than failed by itself (R95).
    pub fn is_cancelled(&self) -> bool {
        matches!(self, HookError::Cancelled { .. })
    }

    /// Names what cancelled the call; other errors stay as they are.
    #[must_use]
    pub fn cancelled_by(self, who: &str) -> HookError {
        match self {
            HookError::Cancelled { event, script, .. } => HookError::Cancelled {
                event,
                script,
                by: who.to_owned(),
            },
            other => other,
        }
    }
}
