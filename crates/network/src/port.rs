//! Ports: where guests' interfaces are plugged into a network. Each hook of a port runs in a task of its own, so those
//! of different guests run side by side (R90); the owner only counts.

use std::sync::Arc;

use ferrovirt_hook::{Call, CallJournal, HookEvent, NetworkOperation, Origin};
use ferrovirt_model::network::{ForwardMode, Network, NetworkPort, Plug, PlugKind, PortMac, PortOwner};
use ferrovirt_model::{MacAddress, Uuid};
use tokio_util::sync::CancellationToken;

use crate::document::hook_data;
use crate::error::{Error, Result};
use crate::sequence::{object, uuid_text};
use crate::shared::Shared;
use crate::store;

/// What a guest asks of a network for one of its interfaces.
#[derive(Debug, Clone)]
pub struct PortRequest {
    /// The port's id; at a reconnect the one it had, which is then taken over with its hook (R24).
    pub uuid: Option<Uuid>,
    /// Name of the guest.
    pub owner_name: String,
    /// Id of the guest.
    pub owner_uuid: Uuid,
    /// Hardware address of the guest's interface.
    pub mac: MacAddress,
}

impl PortRequest {
    /// The port that is asked for.
    pub(crate) fn port(self, network: &Network) -> NetworkPort {
        let kind = match network.mode() {
            ForwardMode::Bridge => PlugKind::Bridge,
            _ => PlugKind::Network,
        };
        let plug = network.bridge_name().map(|bridge| Plug {
            kind,
            bridge: bridge.to_owned(),
        });
        NetworkPort {
            uuid: self.uuid.unwrap_or_else(Uuid::random),
            owner: PortOwner {
                name: self.owner_name,
                uuid: self.owner_uuid,
            },
            mac: PortMac { address: self.mac },
            plug,
            rest: Default::default(),
        }
    }
}

/// Who asked for a port's change, and how it is followed.
#[derive(Clone)]
pub(crate) struct PortCall {
    /// Who asked, with the guest that waits.
    pub(crate) origin: Origin,
    /// Ends the hook (R95).
    pub(crate) cancel: CancellationToken,
    /// Told of the hook's keeper (R96).
    pub(crate) journal: Option<Arc<dyn CallJournal>>,
}

/// One change of one port.
pub(crate) struct PortWork {
    pub(crate) shared: Arc<Shared>,
    pub(crate) network: Arc<Network>,
    pub(crate) port: Arc<NetworkPort>,
    /// How many ports there are: with this one when it is made, without it when it goes.
    pub(crate) connections: usize,
    pub(crate) call: PortCall,
}

impl PortWork {
    /// Makes the port (R73). When the hook says no there is no port, and nothing is called for it.
    pub(crate) async fn create(self) -> Result<()> {
        store::write_port(&self.shared.config, &self.network.name, &self.port)?;
        let made = self.hook(NetworkOperation::PortCreated).await;
        if made.is_err() {
            self.remove_file().await;
        }
        made
    }

    /// Takes the port away (R74); a failure of the hook changes nothing.
    pub(crate) async fn delete(self) {
        if let Err(error) = self.hook(NetworkOperation::PortDeleted).await {
            tracing::debug!("{error}");
        }
        self.remove_file().await;
    }

    async fn hook(&self, operation: NetworkOperation) -> Result<()> {
        let event = HookEvent::network(&self.network.name, operation);
        let document = hook_data(&self.network, self.connections, Some(&self.port));
        let call = Call {
            origin: self.call.origin.with(object(&self.network.name)),
            uuid: uuid_text(&self.network),
            cancel: self.call.cancel.clone(),
            journal: self.call.journal.clone(),
            ..Call::new(event, Some(document))
        };
        self.shared.engine.call(call).await.map(drop).map_err(Error::Hook)
    }

    async fn remove_file(&self) {
        let path = self.shared.config.port_file(&self.network.name, &self.port.uuid);
        if let Err(error) = store::remove(path) {
            tracing::warn!("{error}");
        }
    }
}
