//! What readers see of a network: an immutable picture, replaced at every change.

use std::sync::Arc;

use ferrovirt_model::Uuid;
use ferrovirt_model::network::{Network, NetworkPort};

/// One network at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its id.
    pub uuid: Uuid,
    /// Whether it is up (also while it is being started or ended).
    pub active: bool,
    /// Whether it has a definition on disk.
    pub persistent: bool,
    /// Whether it is started with the daemon.
    pub autostart: bool,
    /// The bridge that guests are plugged into, where there is one.
    pub bridge: Option<String>,
    /// The document of the running network.
    pub live: Option<Arc<Network>>,
    /// The document of the next start.
    pub config: Option<Arc<Network>>,
    /// The ports that exist (their hook has succeeded).
    pub ports: Vec<Arc<NetworkPort>>,
    /// What is being done to it, with the hook that runs, for texts that name who holds it.
    pub busy: Option<String>,
}

impl Snapshot {
    /// The document as `net-dumpxml` shows it, with a newline at the end: the live one of an active network
    /// unless `inactive` is asked for.
    pub fn to_xml(&self, inactive: bool) -> String {
        let _ = inactive;
        todo!()
    }
}
