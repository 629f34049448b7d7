//! What readers see of a guest: an immutable picture, replaced at every change (R90).

use std::sync::Arc;

use ferrovirt_model::Uuid;
use ferrovirt_model::domain::Domain;
use ferrovirt_sys::process::ProcessId;
use ferrovirt_xml::Form;

use crate::state::{Phase, Reason, State};

/// One guest at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its id for ever.
    pub uuid: Uuid,
    /// Its id while it exists for the hypervisor (from the `prepare` hook to the `stopped` hook).
    pub id: Option<i32>,
    /// What it is doing.
    pub state: State,
    /// Why; the number belongs to `state`.
    pub reason: Reason,
    /// Where it is on its way up or down.
    pub phase: Phase,
    /// Whether it has a definition on disk.
    pub persistent: bool,
    /// Whether it is started with the machine.
    pub autostart: bool,
    /// Whether its definition changed since it was started.
    pub updated: bool,
    /// The document of the running guest.
    pub live: Option<Arc<Domain>>,
    /// The document of the next start.
    pub config: Option<Arc<Domain>>,
    /// The process behind it.
    pub pid: Option<ProcessId>,
    /// The hook that runs for it, for texts that name who holds it.
    pub busy: Option<String>,
    /// Why it is tainted, in libvirt's words (`hook-script`).
    pub taint: Vec<String>,
}

impl Snapshot {
    /// Whether it exists for the hypervisor: it counts as active, `domid` has an answer.
    pub fn is_active(&self) -> bool {
        self.id.is_some()
    }

    /// The document as `dumpxml` shows it: the live one of an active guest unless `form` asks for the inactive one.
    pub fn to_xml(&self, form: &Form) -> String {
        self.document(form.inactive)
            .map(|doc| doc.to_xml(form))
            .unwrap_or_default()
    }

    /// The typed document that [`Snapshot::to_xml`] writes.
    pub fn document(&self, inactive: bool) -> Option<&Arc<Domain>> {
        let (first, second) = if inactive {
            (&self.config, &self.live)
        } else {
            (&self.live, &self.config)
        };
        first.as_ref().or(second.as_ref())
    }
}
