//! The door to all networks: look-up, lists, definitions, and the handle of one network.

use std::sync::Arc;

use ferrovirt_hook::{CallJournal, Engine, Origin};
use ferrovirt_model::network::{Network, NetworkPort};
use ferrovirt_model::{MacAddress, Uuid};
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::{Autostart, Config, Lease, PortRequest, Snapshot};

/// All networks of this daemon. Cheap to clone.
#[derive(Clone)]
pub struct Networks {
    config: Arc<Config>,
    engine: Engine,
}

impl Networks {
    /// No network yet: [`Networks::load`] reads them.
    pub fn new(config: Config, engine: Engine) -> Self {
        Networks { config: Arc::new(config), engine }
    }

    /// Reads definitions and live state. Networks whose bridge is gone get `stopped` (R24), a start or an end
    /// that was cut short is undone with its hook (R96), dnsmasq is taken over or started again, the packet
    /// filter's rules are put back.
    ///
    /// # Errors
    /// When a directory cannot be read or made. A broken file is a line in the log.
    pub async fn load(&self) -> Result<()> {
        let _ = (&self.config, &self.engine);
        todo!()
    }

    /// Starts what is marked autostart and is down; failures are logged.
    pub async fn autostart(&self, when: Autostart) {
        let _ = when;
        todo!()
    }

    /// All networks, by name.
    pub fn list(&self) -> Vec<Arc<Snapshot>> {
        todo!()
    }

    /// The network of this name.
    pub fn by_name(&self, name: &str) -> Option<NetworkHandle> {
        let _ = name;
        todo!()
    }

    /// The network with this id.
    pub fn by_uuid(&self, uuid: &Uuid) -> Option<NetworkHandle> {
        let _ = uuid;
        todo!()
    }

    /// Defines a persistent network, or changes the definition of the one with this name and id.
    ///
    /// # Errors
    /// `Failed` when name or id belong to another network; `Xml`, `Unsupported` for what the document says.
    pub async fn define(&self, doc: Network, origin: Origin) -> Result<NetworkHandle> {
        let _ = (doc, origin);
        todo!()
    }

    /// Defines a transient network and starts it.
    ///
    /// # Errors
    /// As `define` and as [`NetworkHandle::start`].
    pub async fn create(&self, doc: Network, origin: Origin) -> Result<NetworkHandle> {
        let _ = (doc, origin);
        todo!()
    }
}

/// One network. Cheap to clone; stays usable (with `NoNetwork`) after the network is gone.
#[derive(Clone)]
pub struct NetworkHandle {}

impl NetworkHandle {
    /// The picture of this moment; never waits (R90).
    pub fn snapshot(&self) -> Arc<Snapshot> {
        todo!()
    }

    /// Starts it (R70, R71).
    ///
    /// # Errors
    /// `Invalid` when it is active; `Hook`, `Cancelled`, or what failed; then everything is undone, `stopped` too.
    pub async fn start(&self, origin: Origin) -> Result<()> {
        let _ = origin;
        todo!()
    }

    /// Ends it (R72), and also a start whose hook hangs (R95). Ports that are lost are deleted with their hook (R75).
    ///
    /// # Errors
    /// `Invalid` when it is not active; `Busy` when it is being ended already.
    pub async fn destroy(&self, origin: Origin) -> Result<()> {
        let _ = origin;
        todo!()
    }

    /// Forgets the definition; a running network becomes transient.
    ///
    /// # Errors
    /// `Invalid` for a transient network.
    pub async fn undefine(&self, origin: Origin) -> Result<()> {
        let _ = origin;
        todo!()
    }

    /// Marks it to be started with the daemon, or not.
    ///
    /// # Errors
    /// `Invalid` for a transient network.
    pub async fn set_autostart(&self, autostart: bool, origin: Origin) -> Result<()> {
        let _ = (autostart, origin);
        todo!()
    }

    /// The leases that have not ended, of one hardware address or of all.
    ///
    /// # Errors
    /// `File` when they cannot be read.
    pub async fn leases(&self, mac: Option<MacAddress>) -> Result<Vec<Lease>> {
        let _ = mac;
        todo!()
    }

    /// Makes a port for a guest's interface (R73). `origin` carries the guest that waits; `cancel` ends the hook
    /// (R95); `journal` is told of the hook's keeper.
    ///
    /// # Errors
    /// `Hook` when the script says no (there is no port then), `Invalid` when the network is not active.
    pub async fn create_port(
        &self,
        request: PortRequest,
        origin: Origin,
        cancel: CancellationToken,
        journal: Option<Arc<dyn CallJournal>>,
    ) -> Result<Arc<NetworkPort>> {
        let _ = (request, origin, cancel, journal);
        todo!()
    }

    /// Takes a port away and calls its hook (R74), whose failure is logged only.
    ///
    /// # Errors
    /// `NoPort` when there is none with this id.
    pub async fn delete_port(&self, uuid: Uuid, origin: Origin) -> Result<()> {
        let _ = (uuid, origin);
        todo!()
    }
}
