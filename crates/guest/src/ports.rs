//! The guest's side of network ports: asking for them, and what they put into the guest's document.

use std::sync::Arc;

use ferrovirt_hook::{BoxFuture, CallJournal, Origin};
use ferrovirt_model::Uuid;
use ferrovirt_model::domain::{Domain, GENERATED_PREFIX, Interface, InterfaceType};
use ferrovirt_model::network_port::NetworkPort;
use ferrovirt_network::{Networks, PortRequest};
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::status::Plugged;

/// What goes with a port's hook.
pub struct PortCall {
    /// Who asked, with the guest that waits (R91).
    pub origin: Origin,
    /// Ends the hook (R95).
    pub cancel: CancellationToken,
    /// Told of the hook's keeper (R96).
    pub journal: Arc<dyn CallJournal>,
}

/// Where ports come from. The daemon has [`Networks`]; tests have something smaller.
pub trait Ports: Send + Sync {
    /// Makes the port, or takes over one that is there, with its hook (R73).
    fn create<'a>(
        &'a self,
        port: &'a Plugged,
        owner: (&'a str, Uuid),
        call: PortCall,
    ) -> BoxFuture<'a, Result<Arc<NetworkPort>>>;

    /// Takes the port away, with its hook (R74). One that is not there is no error.
    fn delete<'a>(&'a self, port: &'a Plugged, origin: Origin) -> BoxFuture<'a, Result<()>>;
}

impl Ports for Networks {
    fn create<'a>(
        &'a self,
        port: &'a Plugged,
        owner: (&'a str, Uuid),
        call: PortCall,
    ) -> BoxFuture<'a, Result<Arc<NetworkPort>>> {
        Box::pin(async move {
            let network = self.by_name(&port.network).ok_or_else(|| {
                let text = format!("no network with matching name '{}'", port.network);
                ferrovirt_network::Error::NoNetwork(text)
            })?;
            let request = PortRequest {
                uuid: Some(port.uuid),
                owner_name: owner.0.to_owned(),
                owner_uuid: owner.1,
                mac: port.mac,
            };
            Ok(network
                .create_port(request, call.origin, call.cancel, Some(call.journal))
                .await?)
        })
    }

    fn delete<'a>(&'a self, port: &'a Plugged, origin: Origin) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            use ferrovirt_network::Error::{NoNetwork, NoPort};
            // The network may have been destroyed under the guest, which took its ports away (R75).
            let Some(network) = self.by_name(&port.network) else {
                return Ok(());
            };
            match network.delete_port(port.uuid, origin).await {
                Ok(()) | Err(NoNetwork(_) | NoPort(_)) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// The ports that this document needs, with the index of each one's interface; their ids are new.
pub(crate) fn wanted(doc: &Domain) -> Vec<(usize, Plugged)> {
    let cards = doc.devices.interfaces.iter().enumerate();
    cards
        .filter_map(|(index, card)| Some((index, wanted_by(card)?)))
        .collect()
}

/// The port that an interface needs; its id is new.
pub(crate) fn wanted_by(card: &Interface) -> Option<Plugged> {
    let port = Plugged {
        network: card.source.as_ref()?.network.clone()?,
        uuid: Uuid::random(),
        mac: card.mac?,
    };
    (card.kind == InterfaceType::Network).then_some(port)
}

/// Writes into the document what an interface got.
pub(crate) fn fill(doc: &mut Domain, index: usize, port: &NetworkPort) {
    if let Some(card) = doc.devices.interfaces.get_mut(index) {
        fill_card(card, port);
    }
}

/// The same of one interface.
pub(crate) fn fill_card(card: &mut Interface, port: &NetworkPort) {
    if let Some(source) = &mut card.source {
        source.portid = Some(port.uuid);
        source.bridge = port.plug.as_ref().map(|plug| plug.bridge.clone());
    }
}

/// Takes out of the document what ends with the run: ports and generated names of devices.
pub(crate) fn forget(doc: &mut Domain) {
    for interface in &mut doc.devices.interfaces {
        if let Some(source) = interface
            .source
            .as_mut()
            .filter(|source| source.network.is_some())
        {
            source.portid = None;
            source.bridge = None;
        }
        if interface
            .target_dev()
            .is_some_and(|dev| dev.starts_with(GENERATED_PREFIX))
        {
            interface.target = None;
        }
    }
}
