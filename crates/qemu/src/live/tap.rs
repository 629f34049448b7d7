//! The host's ends of network cards: taps, plugged into their bridges.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ferrovirt_link::{Address, Links, Route, TapSpec};
use ferrovirt_model::domain::{CardBackendName, Interface, InterfaceType, LinkState};
use ferrovirt_sys::blocking;

use crate::command::net::{queues, tap_key, vhost_key};
use crate::error::{Error, Result};

/// Names of taps that the daemon chooses.
const PATTERN: &str = "vnet%d";

/// Where the kernel moves packets for virtio cards.
const VHOST: &str = "/dev/vhost-net";

/// So long a script may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the host's end of a card is a tap.
fn has_tap(interface: &Interface) -> bool {
    matches!(
        interface.kind,
        InterfaceType::Network | InterfaceType::Bridge | InterfaceType::Ethernet
    )
}

fn is_virtio(interface: &Interface) -> bool {
    interface
        .model
        .as_deref()
        .is_some_and(|model| model.starts_with("virtio"))
}

/// Makes the tap of a card, and writes its name into the document. `None` for cards that need none.
///
/// # Errors
/// The bridge is not there, or the kernel refuses.
pub async fn make(links: &Links, interface: &mut Interface) -> Result<Option<(OwnedFd, String)>> {
    if !has_tap(interface) {
        return Ok(None);
    }
    let bridge = interface.source.as_ref().and_then(|source| source.bridge.clone());
    if bridge.is_none() && interface.kind != InterfaceType::Ethernet {
        return Err(Error::Xml(
            "interface has no bridge: its network was not plugged in".to_owned(),
        ));
    }
    let mac = interface
        .mac
        .ok_or_else(|| Error::Xml("interface has no MAC address".to_owned()))?;
    if unmanaged(interface) {
        return there(links, interface).await.map(Some);
    }
    let spec = TapSpec {
        name: interface.target_dev().unwrap_or(PATTERN).to_owned(),
        mac: mac.of_tap().0,
        vnet_hdr: is_virtio(interface),
        multi_queue: queues(interface) > 1,
        bridge,
        mtu: interface.mtu,
        up: interface.link != Some(LinkState::Down),
    };
    let tap = links.add_tap(&spec).await?;
    if interface.isolated == Some(true) {
        blocking::here(|| isolate(&tap.name))?;
    }
    if interface.kind == InterfaceType::Ethernet {
        host_side(links, interface, &tap.name).await?;
    }
    interface.target.get_or_insert_default().dev = Some(tap.name.clone());
    Ok(Some((tap.fd, tap.name)))
}

/// Is the tap somebody else's, who made it before and keeps it?
fn unmanaged(interface: &Interface) -> bool {
    let target = interface.target.as_ref();
    target.is_some_and(|target| target.managed == Some(false))
}

/// Opens a tap that is there, and leaves it as it is.
async fn there(links: &Links, interface: &Interface) -> Result<(OwnedFd, String)> {
    let name = interface.target_dev().unwrap_or_default().to_owned();
    if !links.exists(&name).await? {
        return Err(Error::Failed(format!(
            "target managed='no' but specified dev doesn't exist: '{name}'"
        )));
    }
    let (virtio, several) = (is_virtio(interface), queues(interface) > 1);
    let opened = blocking::here(|| ferrovirt_sys::tap::create(&name, virtio, several));
    opened.map_err(Error::io("Unable to open tap device", &name))
}

/// Addresses and routes of the host's end, and the script that plugs it in.
async fn host_side(links: &Links, interface: &Interface, tap: &str) -> Result<()> {
    for ip in interface.source.iter().flat_map(|source| &source.ips) {
        let address = Address {
            ip: ip.address,
            prefix: ip.prefix_length(),
        };
        match ip.peer {
            Some(peer) => links.add_address_to_peer(tap, address, peer).await?,
            None => links.add_address(tap, address).await?,
        }
    }
    for route in interface.source.iter().flat_map(|source| &source.routes) {
        let destination = Address {
            ip: route.address,
            prefix: route.prefix_length(),
        };
        let route = Route {
            destination,
            gateway: route.gateway,
            metric: route.metric,
        };
        links.add_route(tap, route).await?;
    }
    match interface.script.as_deref().filter(|script| !script.is_empty()) {
        Some(script) => run(script, tap).await,
        None => Ok(()),
    }
}

/// Runs the script with the tap's name as its argument; it is ended when it takes too long.
async fn run(script: &str, tap: &str) -> Result<()> {
    let mut command = tokio::process::Command::new(script);
    command.arg(tap).kill_on_drop(true).stdin(Stdio::null());
    let status = tokio::time::timeout(PATIENCE, command.status()).await;
    let failed = |why: String| Error::Failed(format!("script '{script}' of interface '{tap}' failed: {why}"));
    match status {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(status.to_string())),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("it took more than {} s", PATIENCE.as_secs()))),
    }
}

/// Ports of a bridge that are isolated see only those that are not.
fn isolate(tap: &str) -> Result<()> {
    let path = Path::new("/sys/class/net").join(tap).join("brport/isolated");
    std::fs::write(&path, "1").map_err(Error::io("Unable to set bridge port isolated", &path))
}

/// What else a card needs at the start, by the names under which QEMU's options look for it: the other queues of its tap,
/// and the kernel's part of each.
///
/// # Errors
/// The kernel refuses, or the document wants the kernel's part and there is none.
pub fn others(interface: &Interface, tap: &str) -> Result<Vec<(String, OwnedFd)>> {
    let alias = interface.info.alias.clone().unwrap_or_default();
    let mut found = Vec::new();
    for queue in 1..queues(interface) {
        let made = ferrovirt_sys::tap::create(tap, is_virtio(interface), true);
        let (fd, _) = made.map_err(Error::io("Unable to add a queue to tap device", tap))?;
        found.push((tap_key(&alias, queue), fd));
    }
    let wanted = interface.driver.as_ref().and_then(|driver| driver.name);
    if !is_virtio(interface) || wanted == Some(CardBackendName::Qemu) {
        return Ok(found);
    }
    for queue in 0..queues(interface) {
        match OpenOptions::new().read(true).write(true).open(VHOST) {
            Ok(file) => found.push((vhost_key(&alias, queue), file.into())),
            Err(_) if wanted.is_none() => break,
            Err(error) => {
                return Err(Error::Failed(format!(
                    "vhost-net was requested for an interface, but is unavailable: {VHOST}: {error}"
                )));
            }
        }
    }
    Ok(found)
}
