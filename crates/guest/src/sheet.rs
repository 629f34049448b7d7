//! The status file of one run, kept equal to what is in memory: who changes it waits until it is on disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrovirt_hook::{BoxFuture, CallJournal};
use ferrovirt_sys::process::ProcessId;
use ferrovirt_sys::{blocking, durable};

use crate::status::Status;
use crate::{status_xml, store};

/// One status file. Writes happen one after the other; the last change is the last on disk.
pub(crate) struct Sheet {
    path: PathBuf,
    status: Mutex<Status>,
    turn: tokio::sync::Mutex<()>,
}

impl Sheet {
    pub(crate) fn new(path: PathBuf, status: Status) -> Arc<Sheet> {
        Arc::new(Sheet {
            path,
            status: Mutex::new(status),
            turn: tokio::sync::Mutex::new(()),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says, or will say at its next write.
    pub(crate) fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Changes what the next write puts on disk.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    /// Changes it; on disk when this returns.
    pub(crate) async fn write(&self, change: impl FnOnce(&mut Status)) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        let status = {
            let mut status = self.lock();
            change(&mut status);
            status.clone()
        };
        blocking::here(|| {
            let text = store::warning(&status.doc.name) + &status_xml::write(&status);
            durable::write(&self.path, text.as_bytes(), 0o600)
        })
    }

    /// The run is over.
    pub(crate) async fn remove(&self) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        blocking::here(|| durable::remove(&self.path))
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        // A panic while changing a status leaves values that are each valid.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the keeper of the hook that is about to run into the status file (R96).
pub(crate) struct KeeperNote(pub(crate) Arc<Sheet>);

impl CallJournal for KeeperNote {
    fn begin(&self, keeper: ProcessId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.0.write(|status| status.keeper = Some(keeper)).await {
                tracing::error!("cannot write '{}': {error}", self.0.path().display());
            }
        })
    }

    fn end(&self) -> BoxFuture<'_, ()> {
        // On disk with the next phase; until then the file names a keeper that holds nothing of worth.
        self.0.note(|status| status.keeper = None);
        Box::pin(std::future::ready(()))
    }
}
