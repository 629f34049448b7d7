//! What a definition must fit in with on this host, and what it gets from it: a bridge name, a hardware address.

use std::sync::Arc;

use ferrovirt_model::MacAddress;
use ferrovirt_model::network::{BridgeMac, Network};

use crate::NetworkHandle;
use crate::error::{Error, Result};
use crate::shared::Shared;

/// How bridges are called whose definition does not say.
const BRIDGE_TEMPLATE: &str = "virbr%d";
/// How many names are tried.
const NAMES: u32 = 10_000;

/// The network that the document means, if there is one.
///
/// # Errors
/// `Failed` when the name belongs to another id, or the id to another name.
pub(crate) fn clash(shared: &Arc<Shared>, doc: &Network) -> Result<Option<NetworkHandle>> {
    let handles = shared.handles();
    let with_id = handles
        .iter()
        .find(|handle| Some(handle.snapshot().uuid) == doc.uuid);
    if let Some(handle) = with_id {
        let snapshot = handle.snapshot();
        if snapshot.name != doc.name {
            return Err(Error::Failed(format!(
                "network '{}' is already defined with uuid {}",
                snapshot.name, snapshot.uuid
            )));
        }
        return Ok(Some(handle.clone()));
    }
    match shared.handle(&doc.name) {
        None => Ok(None),
        Some(handle) => Err(Error::Failed(format!(
            "network '{}' already exists with uuid {}",
            doc.name,
            handle.snapshot().uuid
        ))),
    }
}

/// Fills in what the host decides. A network that has had a bridge name or a hardware address keeps it.
///
/// # Errors
/// `Internal` when the bridge belongs to another network.
pub(crate) async fn complete(
    shared: &Arc<Shared>,
    mut doc: Network,
    existing: Option<&NetworkHandle>,
) -> Result<Network> {
    let taken = taken_bridges(shared, &doc.name);
    let own = existing.map(NetworkHandle::snapshot);
    let before = own
        .as_ref()
        .and_then(|own| own.config.as_ref().or(own.live.as_ref()));
    let before = before.filter(|before| before.makes_bridge());
    if !doc.makes_bridge() {
        return Ok(doc);
    }
    if doc.mac.is_none() {
        let kept = before.and_then(|before| before.mac.clone());
        doc.mac = Some(kept.unwrap_or_else(|| BridgeMac {
            address: MacAddress::random(),
        }));
    }
    let wanted = doc.bridge.as_ref().and_then(|bridge| bridge.name.clone());
    let name = match wanted {
        Some(name) if !name.contains("%d") => {
            if taken.contains(&name) {
                return Err(Error::Internal(format!("bridge name '{name}' already in use.")));
            }
            name
        }
        template => {
            let kept = before.and_then(|before| before.bridge_name()).map(str::to_owned);
            match kept.filter(|_| template.is_none()) {
                Some(name) => name,
                None => free_name(shared, template.as_deref().unwrap_or(BRIDGE_TEMPLATE), &taken).await?,
            }
        }
    };
    doc.bridge.get_or_insert_default().name = Some(name);
    Ok(doc)
}

/// Bridges of all networks but this one.
fn taken_bridges(shared: &Arc<Shared>, name: &str) -> Vec<String> {
    let others = shared.handles().into_iter().map(|handle| handle.snapshot());
    let docs = others
        .filter(|other| other.name != name)
        .flat_map(|other| [other.live.clone(), other.config.clone()]);
    docs.flatten()
        .filter_map(|doc| doc.bridge_name().map(str::to_owned))
        .collect()
}

/// The first name of the template that neither a network nor a device has.
async fn free_name(shared: &Arc<Shared>, template: &str, taken: &[String]) -> Result<String> {
    for number in 0..NAMES {
        let name = template.replacen("%d", &number.to_string(), 1);
        // An ordinary user's daemon makes no bridges, so devices are none of its business.
        let device = shared.config.privileged && shared.links()?.exists(&name).await?;
        if !device && !taken.contains(&name) {
            return Ok(name);
        }
    }
    Err(Error::Internal(format!(
        "Bridge generation exceeded max id {NAMES}"
    )))
}
