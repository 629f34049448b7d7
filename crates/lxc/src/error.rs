//! The error of this crate: what was tried, on what, and what happened. `guest` knows the same cases as
//! [`BackendError`]; the words are made here.

use std::io;
use std::path::{Path, PathBuf};

use ferrovirt_guest::BackendError;
use ferrovirt_link::LinkError;

/// Anything that can go wrong with a container.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The document asks for something that this driver does not have.
    #[error("{0}")]
    Unsupported(String),
    /// The document contradicts itself.
    #[error("{0}")]
    Xml(String),
    /// A network device could not be made, moved or set up.
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
    /// A limit or a share cannot be set, or a group does not become still.
    #[error("{0}")]
    Cgroup(#[from] ferrovirt_sys::cgroup::CgroupError),
    /// The controller did not do what was asked.
    #[error("{0}")]
    Controller(#[from] crate::controller_client::ClientError),
    /// The controller could not be started.
    #[error("{0}")]
    Launch(#[from] ferrovirt_sys::LaunchError),
    /// The controller died, or did not come up; with its last words.
    #[error("{0}")]
    Died(String),
    /// Not possible in this state.
    #[error("{0}")]
    Invalid(String),
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
struct Plain<'a>(&'a io::Error);

impl std::fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

impl From<Error> for BackendError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Unsupported(_) => Self::Unsupported(text),
            Error::Xml(_) => Self::Xml(text),
            Error::Timeout(_) => Self::Timeout(text),
            Error::Died(_) | Error::Controller(_) => Self::Internal(text),
            Error::Link(_) | Error::Io { .. } | Error::Launch(_) | Error::Cgroup(_) => Self::System(text),
            Error::Invalid(_) => Self::Invalid(text),
            Error::Failed(_) => Self::Failed(text),
            Error::Cancelled => Self::Cancelled,
        }
    }
}
