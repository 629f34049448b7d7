//! The way to the daemon: its sockets, and what to say when there is none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrovirt_wire::client::{Client, ClientError};
use ferrovirt_wire::own::Question;

/// Longer than any answer that does not run a hook.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the daemon is looked for.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Where {
    /// The daemon's socket [default: /run/libvirt/libvirt-sock, for other users that of their session daemon]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody listens.
    #[error("cannot connect to the daemon at {}: {source}", path.display())]
    Connect {
        /// Its socket.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The daemon refused, or the connection broke.
    #[error("{0}")]
    Call(String),
    /// Printing failed, or a file could not be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// The exit status that it means.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Error::Connect { .. } => 2,
            Error::Call(_) | Error::Io(_) => 1,
        }
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Error::Call(format!("{error}{}", cause.unwrap_or_default()))
    }
}

impl Where {
    /// The socket to use.
    pub(crate) fn path(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(usual_socket)
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> Result<Client, Error> {
        let path = self.path();
        let client = Client::connect(&path).map_err(|source| Error::Connect { path, source })?;
        client.set_timeout(PATIENCE)?;
        Ok(client)
    }

    /// Asks a question whose answer may take as long as a hook does.
    pub(crate) fn ask_patiently<Q: Question>(&self, question: &Q) -> Result<Q::Answer, Error> {
        let path = self.path();
        let mut client = Client::connect(&path).map_err(|source| Error::Connect { path, source })?;
        Ok(client.ask(question)?)
    }

    /// Asks one question.
    pub(crate) fn ask<Q: Question>(&self, question: &Q) -> Result<Q::Answer, Error> {
        Ok(self.connect()?.ask(question)?)
    }
}

/// The system's daemon for those who may use it, else the user's own.
fn usual_socket() -> PathBuf {
    let system = Path::new("/run/libvirt/libvirt-sock");
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match runtime.map(|dir| dir.join("libvirt/libvirt-sock")) {
        Some(session) if !system.exists() && session.exists() => session,
        _ => system.to_owned(),
    }
}
