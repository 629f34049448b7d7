//! What a new daemon makes of what is on disk: definitions, and networks that are up or were left half way.

use std::sync::Arc;

use ferrovirt_model::network::{Network, NetworkPort};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::dnsmasq::{self, Dnsmasq, Supervisor};
use crate::error::{Error, Result};
use crate::firewall;
use crate::owner::{Begin, Owner, Undo};
use crate::sequence::{Live, bridge_of};
use crate::shared::Shared;
use crate::status::{Journal, Phase, Status};
use crate::store::{self, Definition};

/// Reads everything; returns when what was left half way is undone.
///
/// # Errors
/// `File` when a directory cannot be read.
pub(crate) async fn load(shared: &Arc<Shared>) -> Result<()> {
    let mut definitions = store::read_definitions(&shared.config)?;
    let statuses = if shared.config.privileged {
        read_statuses(shared).await?
    } else {
        Vec::new()
    };
    if statuses
        .iter()
        .any(|status| status.progress().phase != Phase::Active)
    {
        dnsmasq::settle(&shared.config.launcher).await;
    }
    let mut undone = Vec::new();
    for (status, begin) in join_all(statuses.into_iter().map(|status| take_over(shared, status))).await {
        let definition = definition_of(&mut definitions, &status.network);
        let begin = match begin {
            Found::Up(live, ports) => Begin::Active(live, ports),
            Found::Left(undo, ports) => {
                let (done, answer) = oneshot::channel();
                undone.push(answer);
                Begin::Undo {
                    way: undo,
                    ports,
                    done,
                }
            }
        };
        insert(shared, &status.network, definition, begin);
    }
    for definition in definitions {
        let doc = definition.network.clone();
        insert(shared, &doc, Some(definition), Begin::Inactive);
    }
    join_all(undone).await;
    Ok(())
}

fn insert(shared: &Arc<Shared>, doc: &Network, definition: Option<Definition>, begin: Begin) {
    let autostart = definition.as_ref().is_some_and(|definition| definition.autostart);
    let config = definition.map(|definition| Arc::new(definition.network));
    let handle = Owner::spawn(shared.clone(), doc, config, autostart, begin);
    shared.insert(handle);
}

/// The definition of a network that is up: name and id must be the same.
fn definition_of(definitions: &mut Vec<Definition>, live: &Network) -> Option<Definition> {
    let position = definitions
        .iter()
        .position(|definition| definition.network.name == live.name)?;
    let definition = definitions.swap_remove(position);
    if definition.network.uuid != live.uuid {
        tracing::error!(
            "the network '{}' that is up is not the one that is defined: not used",
            live.name
        );
        return None;
    }
    Some(definition)
}

async fn read_statuses(shared: &Arc<Shared>) -> Result<Vec<Status>> {
    let directory = shared.config.status_dir.clone();
    store::blocking(directory, "read", |directory| {
        let mut found = Vec::new();
        for (name, text) in store::read_documents(directory)? {
            match Status::parse(&text) {
                Ok(status) if status.network.name == name => found.push(status),
                Ok(_) => tracing::error!(
                    "{}/{name}.xml: another network's name in it: not used",
                    directory.display()
                ),
                Err(error) => tracing::error!("{}/{name}.xml: {error}: not used", directory.display()),
            }
        }
        Ok(found)
    })
}

/// What was found of one network.
enum Found {
    Up(Live, Vec<NetworkPort>),
    Left(Undo, Vec<NetworkPort>),
}

/// Takes over a network that is up, or finds out that it must be undone.
async fn take_over(shared: &Arc<Shared>, status: Status) -> (Status, Found) {
    let name = &status.network.name;
    let ports = store::read_ports(&shared.config, name).unwrap_or_else(|error| {
        tracing::error!("{error}");
        Vec::new()
    });
    let network = Arc::new(status.network.clone());
    let journal = Journal::new(shared.config.status_file(name), status.clone());
    let progress = status.progress();
    let bridge_there = bridge_is_there(shared, &network).await;
    if progress.phase == Phase::Active && bridge_there {
        let supervisor = restore(shared, &network).await;
        return (
            status,
            Found::Up(
                Live {
                    network,
                    journal,
                    supervisor,
                },
                ports,
            ),
        );
    }
    match progress.phase {
        Phase::Active => {
            tracing::warn!("the bridge of network '{name}' has vanished: it is not active any more")
        }
        Phase::Starting => tracing::warn!("the start of network '{name}' was cut short: it is undone"),
        Phase::Ending => tracing::warn!("the end of network '{name}' was cut short: it is finished"),
    }
    // A start whose first hook was never called has nothing that a script would undo.
    let call_stopped = progress.phase != Phase::Starting || progress.keeper.is_some();
    // A keeper of a network that was up holds no script any more: only a way that was cut short had one.
    let orphan = progress.keeper.filter(|_| progress.phase != Phase::Active);
    (
        status,
        Found::Left(
            Undo {
                network,
                journal,
                orphan,
                call_stopped,
            },
            ports,
        ),
    )
}

async fn bridge_is_there(shared: &Arc<Shared>, network: &Network) -> bool {
    let Some(bridge) = network.bridge_name() else {
        return false;
    };
    let there = async { Ok::<_, Error>(shared.links()?.exists(bridge).await?) };
    there.await.unwrap_or_else(|error| {
        tracing::error!("{error}");
        true
    })
}

/// Puts back what may have gone while no daemon ran: rules (a reload of the host's packet filter takes them away) and
/// dnsmasq.
async fn restore(shared: &Arc<Shared>, network: &Arc<Network>) -> Option<Supervisor> {
    if !network.makes_bridge() {
        return None;
    }
    let name = &network.name;
    let bridge = match bridge_of(network).and_then(|bridge| shared.reserve(network, bridge).map(|()| bridge))
    {
        Ok(bridge) => bridge,
        Err(error) => {
            tracing::error!("network '{name}': {error}");
            return None;
        }
    };
    if firewall::has_rules(network)
        && let Err(error) = shared.firewall().apply(firewall::batch(network, bridge)).await
    {
        tracing::error!("the packet filter rules of network '{name}' are not put back: {error}");
    }
    if !dnsmasq::is_needed(network) {
        return None;
    }
    let dnsmasq = Dnsmasq::new(&shared.config, name, bridge);
    let running = dnsmasq.running().await;
    Some(Supervisor::start(dnsmasq, network.clone(), running))
}
