//! One run of a guest, from `prepare` to `release`: what the sequence carries and a backend edits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ferrovirt_model::domain::Domain;
use ferrovirt_sys::process::ProcessId;
use tokio_util::sync::CancellationToken;

use crate::error::{BackendError, Error, Result};
use crate::flags::PRIVATE_DEV;
use crate::sheet::Sheet;
use crate::state::{PausedReason, Phase, Reason, Way};
use crate::status::{Plugged, Status, Step};

/// See the module.
pub struct Run {
    /// The guest's id in this run.
    pub id: i32,
    /// The live document; the backend completes it as things become known.
    pub doc: Domain,
    /// Cancelled when the start shall not go on (R95); long waits in a backend look at it.
    pub cancel: CancellationToken,
    /// Where the monitor listens, once the backend knows.
    pub monitor: Option<PathBuf>,
    /// What the backend wants to know again after a restart of the daemon; on disk with the next journal entry or phase.
    pub facts: BTreeMap<String, String>,
    pub(crate) process: Option<ProcessId>,
    /// There was a process, whether it is still there or not.
    pub(crate) had_process: bool,
    pub(crate) ports: Vec<Plugged>,
    pub(crate) steps: Vec<Step>,
    pub(crate) sheet: Arc<Sheet>,
}

impl Run {
    /// A run that begins; its status file comes with its first phase.
    pub(crate) fn new(id: i32, mut doc: Domain, path: PathBuf, cancel: CancellationToken) -> Run {
        doc.id = Some(id);
        let status = Status {
            id,
            doc: Arc::new(doc),
            reason: Reason::Paused(PausedReason::StartingUp),
            phase: Phase::Off,
            process: None,
            monitor: None,
            facts: BTreeMap::new(),
            steps: Vec::new(),
            ports: Vec::new(),
            keeper: None,
            fake_reboot: false,
            taint: Vec::new(),
        };
        Run::of(status, path, cancel)
    }

    /// The run that a status file tells of.
    pub(crate) fn of(status: Status, path: PathBuf, cancel: CancellationToken) -> Run {
        Run {
            id: status.id,
            doc: (*status.doc).clone(),
            cancel,
            monitor: status.monitor.clone(),
            facts: status.facts.clone(),
            process: status.process,
            had_process: status.process.is_some() || status.phase.way() == Way::Falling,
            ports: status.ports.clone(),
            steps: status.steps.clone(),
            sheet: Sheet::new(path, status),
        }
    }

    /// The guest's name.
    pub fn name(&self) -> &str {
        &self.doc.name
    }

    /// Whether the guest's process has a `/dev` of its own.
    pub fn has_own_dev(&self) -> bool {
        self.facts.contains_key(PRIVATE_DEV)
    }

    /// The process behind the guest, once it was born.
    pub fn process(&self) -> Option<ProcessId> {
        self.process
    }

    /// Puts into the status file that a thing is about to be made; returns when it is there (R96).
    ///
    /// # Errors
    /// When the status file cannot be written; then the thing must not be made.
    pub async fn journal(&mut self, step: Step) -> std::result::Result<(), BackendError> {
        self.steps.push(step);
        self.save(|_| ())
            .await
            .map_err(|e| BackendError::System(e.to_string()))
    }

    /// What was announced and is not undone yet, newest first.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.iter().rev().cloned().collect()
    }

    /// Forgets a step that was undone; the status file follows with the next phase.
    pub fn undone(&mut self, step: &Step) {
        self.steps.retain(|s| s != step);
    }

    /// The process exists: from now on a destroy kills it at once (R95), and the next daemon knows it.
    ///
    /// # Errors
    /// When the status file cannot be written, or the start was cancelled meanwhile; then the launch must fail.
    pub async fn born(&mut self, process: ProcessId) -> std::result::Result<(), BackendError> {
        self.process = Some(process);
        self.had_process = true;
        self.save(|_| ())
            .await
            .map_err(|e| BackendError::System(e.to_string()))?;
        // A destroy that came before the process was known could not kill it.
        if self.cancel.is_cancelled() {
            Err(BackendError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Writes the status file with what this run knows and `change` adds.
    pub(crate) async fn save(&self, change: impl FnOnce(&mut Status)) -> Result<()> {
        let doc = Arc::new(self.doc.clone());
        let written = self.sheet.write(|status| {
            status.doc = doc;
            status.process = self.process;
            status.monitor.clone_from(&self.monitor);
            status.facts.clone_from(&self.facts);
            status.steps.clone_from(&self.steps);
            status.ports.clone_from(&self.ports);
            change(status);
        });
        written.await.map_err(|source| Error::File {
            action: "write",
            path: self.sheet.path().to_owned(),
            source,
        })
    }
}
