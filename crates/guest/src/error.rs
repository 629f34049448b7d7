//! The errors of this crate. The daemon maps each variant to libvirt's code (the number in its description); the
//! texts are libvirt's where tools compare them.

use std::path::PathBuf;

use ferrovirt_hook::HookError;
use ferrovirt_xml::XmlError;

/// An operation on a guest that failed. Display is the text after libvirt's own template (as "Domain not found: ").
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such guest (42 `NO_DOMAIN`).
    #[error("{0}")]
    NoDomain(String),
    /// Name or uuid belong to another guest (9 `OPERATION_FAILED`, domain 20).
    #[error("{0}")]
    Failed(String),
    /// Not in this state (55 `OPERATION_INVALID`).
    #[error("{0}")]
    Invalid(String),
    /// A value that cannot be (8 `INVALID_ARG`).
    #[error("{0}")]
    Argument(String),
    /// Not possible with this hypervisor or this kind of device (84 `OPERATION_UNSUPPORTED`).
    #[error("{0}")]
    NotSupported(String),
    /// The guest has no such device (99 `DEVICE_MISSING`).
    #[error("{0}")]
    NoDevice(String),
    /// The document contradicts itself (27 `XML_ERROR`).
    #[error("{0}")]
    Xml(String),
    /// The document is malformed, invalid or has something unknown in it.
    #[error(transparent)]
    Document(#[from] XmlError),
    /// A hook waits for this guest (R91), or holds it (R95); the text names it (55 `OPERATION_INVALID`).
    #[error("{0}")]
    Busy(String),
    /// Another operation did not end in time; the text names who holds the guest (68 `OPERATION_TIMEOUT`).
    #[error("{0}")]
    Timeout(String),
    /// The operation was ended by another one (R95), which the text names (78 `OPERATION_ABORTED`).
    #[error("{0}")]
    Aborted(String),
    /// A hook script said no (70 `HOOK_SCRIPT_FAILED`).
    #[error("{0}")]
    Hook(HookError),
    /// A network did not give a port.
    #[error(transparent)]
    Network(#[from] ferrovirt_network::Error),
    /// The hypervisor could not do it.
    #[error(transparent)]
    Backend(#[from] BackendError),
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

/// What a backend answers when it cannot do something. Display is the text after libvirt's own template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The document contradicts itself (27 `XML_ERROR`).
    #[error("{0}")]
    Xml(String),
    /// Understood, but not implemented or not possible here (67 `CONFIG_UNSUPPORTED`).
    #[error("{0}")]
    Unsupported(String),
    /// A value that cannot be (8 `INVALID_ARG`).
    #[error("{0}")]
    Argument(String),
    /// Not possible with this hypervisor, while the guest runs (84 `OPERATION_UNSUPPORTED`).
    #[error("{0}")]
    NotSupported(String),
    /// The request makes no sense for this guest now (55 `OPERATION_INVALID`).
    #[error("{0}")]
    Invalid(String),
    /// The hypervisor refused or died; the text has its last words (1 `INTERNAL_ERROR`).
    #[error("{0}")]
    Internal(String),
    /// The kernel refused something (38 `SYSTEM_ERROR`); the text names the object and the reason.
    #[error("{0}")]
    System(String),
    /// No answer in time (68 `OPERATION_TIMEOUT`).
    #[error("{0}")]
    Timeout(String),
    /// It failed (9 `OPERATION_FAILED`).
    #[error("{0}")]
    Failed(String),
    /// There is no agent in the guest, or it does not answer (86 `AGENT_UNRESPONSIVE`).
    #[error("{0}")]
    Agent(String),
    /// The operation's cancel token was seen (R95).
    #[error("the operation was cancelled")]
    Cancelled,
}

/// The result of what this crate does.
pub type Result<T> = std::result::Result<T, Error>;
