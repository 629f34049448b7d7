//! The error of this crate: what was tried, on what, and what happened. `guest` knows the same cases as
//! [`BackendError`]; the words are made here.

use std::io;
use std::path::{Path, PathBuf};

use ferrovirt_guest::BackendError;
use ferrovirt_link::LinkError;
use ferrovirt_sys::cgroup::CgroupError;

use crate::qmp::QmpError;

/// Anything that can go wrong with a QEMU guest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The document asks for something this driver or this QEMU does not have.
    #[error("{0}")]
    Unsupported(String),
    /// A device of the host.
    #[error("{0}")]
    Host(#[from] ferrovirt_host::Error),
    /// What was asked for is no question.
    #[error("{0}")]
    Argument(String),
    /// The document contradicts itself.
    #[error("{0}")]
    Xml(String),
    /// The monitor did not do what was asked.
    #[error("{0}")]
    Monitor(#[from] QmpError),
    /// A network device could not be made.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// The kernel refused.
    #[error("{what} '{}': {}", path.display(), Plain(source))]
    Io {
        /// What was tried, as the beginning of a sentence.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The process could not be started.
    #[error("{0}")]
    Launch(#[from] ferrovirt_sys::LaunchError),
    /// QEMU died, or did not come up; with its last words.
    #[error("{0}")]
    Died(String),
    /// Not possible in this state.
    #[error("{0}")]
    Invalid(String),
    /// Not possible while the guest runs.
    #[error("{0}")]
    NotSupported(String),
    /// QEMU has no place for it.
    #[error("{0}")]
    Internal(String),
    /// Limits and shares.
    #[error("{0}")]
    Cgroup(#[from] CgroupError),
    /// It took too long.
    #[error("{0}")]
    Timeout(String),
    /// It failed for another reason.
    #[error("{0}")]
    Failed(String),
    /// Somebody cancelled it.
    #[error("the operation was cancelled")]
    Cancelled,
}

/// Result of what this crate does.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A document element that is not carried.
    pub fn unsupported(text: impl Into<String>) -> Self {
        Self::Unsupported(text.into())
    }

    /// Wraps the kernel's answer: `map_err(Error::io("Cannot create directory", path))`.
    pub fn io(what: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// The kernel's words without the number that Rust adds to them.
pub struct Plain<'a>(pub &'a io::Error);

impl std::fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

/// libvirt's codes for devices of the host.
fn of_host(error: &ferrovirt_host::Error, text: String) -> BackendError {
    use ferrovirt_host::Error as Host;
    match error {
        Host::NoPassthrough | Host::DriverKind(_) => BackendError::Unsupported(text),
        Host::InUse { .. } | Host::Unmanaged(_) | Host::UsbInUse { .. } | Host::Busy { .. } => {
            BackendError::Invalid(text)
        }
        Host::ManyUsbDevices { .. } => BackendError::Failed(text),
        Host::NoPciDevice { .. } | Host::NoGroupNode { .. } | Host::Directory { .. } => {
            BackendError::System(text)
        }
        Host::Hangs { .. } => BackendError::Timeout(text),
        _ => BackendError::Internal(text),
    }
}

impl From<Error> for BackendError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Unsupported(_) => Self::Unsupported(text),
            Error::Argument(_) => Self::Argument(text),
            Error::Xml(_) => Self::Xml(text),
            Error::Host(error) => of_host(&error, text),
            Error::Monitor(QmpError::Timeout { .. }) | Error::Timeout(_) => Self::Timeout(text),
            Error::Monitor(_) | Error::Died(_) => Self::Internal(text),
            Error::Link(_) | Error::Io { .. } | Error::Launch(_) => Self::System(text),
            Error::Invalid(_) | Error::Cgroup(CgroupError::NoController(_)) => Self::Invalid(text),
            Error::Cgroup(CgroupError::Range { .. } | CgroupError::NotBlock(_)) => Self::Argument(text),
            Error::Cgroup(_) => Self::System(text),
            Error::NotSupported(_) => Self::NotSupported(text),
            Error::Internal(_) => Self::Internal(text),
            Error::Failed(_) => Self::Failed(text),
            Error::Cancelled => Self::Cancelled,
        }
    }
}
