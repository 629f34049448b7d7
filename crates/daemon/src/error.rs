//! Why the daemon could not begin, or could not go on.

use std::io;
use std::path::PathBuf;

use crate::log::syntax::LogSyntaxError;
use crate::settings::conf::ConfError;

/// An error of the daemon itself; what goes wrong for a client is translated elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file in libvirt's syntax cannot be understood.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// A file could not be read although it is there.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Our own settings cannot be understood.
    #[error("{path}:{line}:{column}: {text}", path = path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong there.
        text: String,
    },
    /// Rules for hooks cannot be followed.
    #[error("{0}")]
    Rules(#[source] ferrovirt_hook::PolicyErrors),
    /// A setting about log lines cannot be understood.
    #[error("{place}: {source}")]
    Log {
        /// File and line, or the environment variable.
        place: String,
        /// What is wrong with it.
        source: LogSyntaxError,
    },
    /// Something the daemon needs on disk could not be made.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// What was tried, as in "cannot create".
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another daemon runs already.
    #[error("{path} is held by another daemon{}", holder.map(|pid| format!(", process {pid}")).unwrap_or_default(), path = path.display())]
    AlreadyRunning {
        /// The file or socket that shows it.
        path: PathBuf,
        /// The other's process id where it is known.
        holder: Option<i32>,
    },
    /// A user or group that a setting names does not exist.
    #[error("{place}: there is no {kind} '{name}'")]
    NoSuchName {
        /// File and line.
        place: String,
        /// "user" or "group".
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// An ordinary user has no place for sockets and files.
    #[error("cannot tell where the files of this user belong: {0} is not set")]
    NoHome(&'static str),
    /// What systemd passed on is not what its unit should say.
    #[error("the sockets that systemd passed on: {0}")]
    Passed(#[source] io::Error),
    /// One of the small programs that belong to the daemon is missing.
    #[error("{0} is not installed beside the daemon")]
    NoHelper(&'static str),
    /// The runtime could not be made.
    #[error("cannot start the daemon's threads: {0}")]
    Runtime(#[source] io::Error),
    /// A driver cannot start (R21).
    #[error("the {driver} driver cannot start: {text}")]
    Driver {
        /// Its name.
        driver: &'static str,
        /// Why.
        text: String,
    },
}
