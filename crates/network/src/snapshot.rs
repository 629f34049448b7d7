//! What readers see of a network: an immutable picture, replaced at every change.

use std::sync::Arc;

use ferrovirt_model::network::{Network, NetworkPort};
use ferrovirt_model::{Form, Uuid};

use crate::document::{hook_data, with_connections};

/// One network at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its id.
    pub uuid: Uuid,
    /// Whether it is up: from before the `started` hook until before the `stopped` hook.
    pub active: bool,
    /// Whether it has a definition on disk.
    pub persistent: bool,
    /// Whether it is started with the daemon.
    pub autostart: bool,
    /// The bridge that guests are plugged into, where there is one.
    pub bridge: Option<String>,
    /// The document of the network that is up, or on its way.
    pub live: Option<Arc<Network>>,
    /// The document of the next start.
    pub config: Option<Arc<Network>>,
    /// The ports that exist (their hook has succeeded).
    pub ports: Vec<Arc<NetworkPort>>,
    /// What is being done to it ("being started"), for texts that say who holds it.
    pub busy: Option<String>,
}

impl Snapshot {
    /// What a hook would get on standard input now (R11).
    pub fn hook_document(&self) -> Arc<str> {
        let network = self.live.as_ref().or(self.config.as_ref());
        network.map_or_else(|| "".into(), |network| hook_data(network, self.ports.len(), None))
    }

    /// The document as `net-dumpxml` shows it, with a newline at the end: the live one of an active network
    /// unless `inactive` is asked for.
    pub fn to_xml(&self, inactive: bool) -> String {
        match (&self.live, &self.config) {
            (Some(live), config) if !inactive || config.is_none() => {
                let form = if inactive { Form::INACTIVE } else { Form::LIVE };
                with_connections(live, self.ports.len()).to_xml(&form)
            }
            (_, Some(config)) => config.to_xml(&Form::INACTIVE),
            (_, None) => String::new(),
        }
    }
}
