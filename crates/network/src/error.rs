//! The one error of this crate. The daemon maps each variant to libvirt's code; the texts are libvirt's where
//! tools compare them.

use std::path::PathBuf;

use ferrovirt_hook::HookError;
use ferrovirt_link::LinkError;
use ferrovirt_xml::XmlError;

/// An operation on a network that failed: what was tried, on what, and what happened. Display is the text after
/// libvirt's own template (as "Network not found: ").
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such network (43 `NO_NETWORK`).
    #[error("{0}")]
    NoNetwork(String),
    /// No such port (45-like `NO_NETWORK_PORT`).
    #[error("{0}")]
    NoPort(String),
    /// Name or uuid is taken, or another clash (9 `OPERATION_FAILED`).
    #[error("{0}")]
    Failed(String),
    /// Not in this state (55 `OPERATION_INVALID`).
    #[error("{0}")]
    Invalid(String),
    /// The document contradicts itself (27 `XML_ERROR`).
    #[error("{0}")]
    Xml(String),
    /// The document is malformed, invalid or has something unknown in it.
    #[error("{0}")]
    Document(#[from] XmlError),
    /// Understood, but not implemented here (67 `CONFIG_UNSUPPORTED`).
    #[error("{0}")]
    Unsupported(String),
    /// This daemon may not do it at all (84 `OPERATION_UNSUPPORTED`).
    #[error("{0}")]
    Denied(String),
    /// Another operation on the same network is under way, or a hook waits for it (R91; 55 `OPERATION_INVALID`).
    #[error("{0}")]
    Busy(String),
    /// The operation was ended by another one (R95), which the text names.
    #[error("{0}")]
    Cancelled(String),
    /// A hook script said no (70 `HOOK_SCRIPT_FAILED`).
    #[error("{0}")]
    Hook(HookError),
    /// A program failed, or is not there (1 `INTERNAL_ERROR`).
    #[error("{0}")]
    Program(String),
    /// The kernel refused something about a network device (38 `SYSTEM_ERROR`).
    #[error("{0}")]
    Link(#[from] LinkError),
    /// A file could not be read or written (38 `SYSTEM_ERROR`).
    #[error("cannot {action} '{}': {source}", path.display())]
    File {
        /// What was tried ("write", "read", "remove").
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Something that cannot happen did (1 `INTERNAL_ERROR`).
    #[error("{0}")]
    Internal(String),
}

/// The result of what this crate does.
pub type Result<T> = std::result::Result<T, Error>;
