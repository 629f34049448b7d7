//! What a guest's status file says: everything a new daemon needs to take the guest over, or to undo what the old
//! one's death cut short (R96).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ferrovirt_model::domain::Domain;
use ferrovirt_model::{MacAddress, Uuid};
use ferrovirt_sys::process::ProcessId;

use crate::state::{Phase, Reason};

/// The content of one `<domstatus>` file. The additions to libvirt's form stand in a namespace of ours.
#[derive(Debug, Clone)]
pub struct Status {
    /// The guest's id in this run.
    pub id: i32,
    /// The live document.
    pub doc: Arc<Domain>,
    /// What its CPUs do, and why.
    pub reason: Reason,
    /// Where a start or an end is.
    pub phase: Phase,
    /// The process behind the guest, as soon as there is one.
    pub process: Option<ProcessId>,
    /// Where its monitor listens.
    pub monitor: Option<PathBuf>,
    /// What the backend wants to know again after a restart of the daemon.
    pub facts: BTreeMap<String, String>,
    /// What the backend made and must undo, oldest first.
    pub steps: Vec<Step>,
    /// Its ports in networks, in the order of its interfaces.
    pub ports: Vec<Plugged>,
    /// The keeper of the hook that runs.
    pub keeper: Option<ProcessId>,
    /// The next power-off is a reboot that was asked for.
    pub fake_reboot: bool,
    /// Why it is tainted.
    pub taint: Vec<String>,
}

/// One thing that a backend is about to make and that must be undone at the guest's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What kind of thing, in the backend's words ("tap", "owner").
    pub kind: String,
    /// What is needed to undo it.
    pub values: BTreeMap<String, String>,
}

impl Step {
    /// A step of this kind.
    pub fn new(kind: &str) -> Step {
        Step {
            kind: kind.to_owned(),
            values: BTreeMap::new(),
        }
    }

    /// With one more value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Step {
        self.values.insert(key.to_owned(), value.into());
        self
    }

    /// The value of this name, empty when there is none.
    pub fn get(&self, key: &str) -> &str {
        self.values.get(key).map(String::as_str).unwrap_or_default()
    }
}

/// A port of a network that belongs to the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugged {
    /// The network's name.
    pub network: String,
    /// The port's id; chosen here, so that it is on disk before the port exists.
    pub uuid: Uuid,
    /// Hardware address of the interface.
    pub mac: MacAddress,
}
