//! The host's side of a network: bridge, addresses, routes, and the kernel's switches for them.

use std::io;
use std::path::PathBuf;

use ferrovirt_link::{Address, BridgeSpec, LinkError, Links, Route};
use ferrovirt_model::network::{ForwardMode, Network};

use crate::error::{Error, Result};
use crate::store;

/// Makes the bridge and all that is on it, and switches it on.
///
/// # Errors
/// `Internal` when a subnet is in use already; `Link`, `File`, `Unsupported`.
pub(crate) async fn bring_up(links: &Links, network: &Network, bridge: &str) -> Result<()> {
    if let Some(zone) = network.bridge.as_ref().and_then(|bridge| bridge.zone.as_deref()) {
        return Err(Error::Unsupported(format!(
            "zone {zone} requested for network {} but firewalld is not managed by this daemon",
            network.name
        )));
    }
    for address in addresses(network) {
        if let Some(device) = links.route_conflict(address).await? {
            return Err(in_use(&device));
        }
    }
    let spec = BridgeSpec {
        name: bridge.to_owned(),
        mac: network.mac.as_ref().map(|mac| mac.address.0),
        stp: network
            .bridge
            .as_ref()
            .and_then(|bridge| bridge.stp)
            .unwrap_or(true),
        delay: network
            .bridge
            .as_ref()
            .and_then(|bridge| bridge.delay)
            .unwrap_or(0),
        mtu: network.mtu.as_ref().map(|mtu| mtu.size),
    };
    links.add_bridge(&spec).await?;
    set_switches(network, bridge).await?;
    for address in addresses(network) {
        links.add_address(bridge, address).await?;
    }
    links.set_up(bridge).await?;
    for route in &network.routes {
        let destination = Address {
            ip: route.address,
            prefix: route.prefix_length(),
        };
        links
            .add_route(
                bridge,
                Route {
                    destination,
                    gateway: route.gateway,
                    metric: route.metric,
                },
            )
            .await?;
    }
    Ok(())
}

/// Removes the bridge, if it is this network's: a device of the same name that somebody else made has another
/// hardware address.
///
/// # Errors
/// `Link`.
pub(crate) async fn take_down(links: &Links, network: &Network, bridge: &str) -> Result<()> {
    let ours = network.mac.as_ref().map(|mac| mac.address.0);
    match links.mac(bridge).await {
        Ok(mac) if ours.is_none() || Some(mac) == ours => Ok(links.delete(bridge).await?),
        Ok(_) | Err(LinkError::Missing { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What a start is refused with when its subnet leads elsewhere already.
pub(crate) fn in_use(device: &str) -> Error {
    Error::Internal(format!("Network is already in use by interface {device}"))
}

/// The host's addresses on the network.
pub(crate) fn addresses(network: &Network) -> Vec<Address> {
    network
        .ips
        .iter()
        .map(|ip| Address {
            ip: ip.address,
            prefix: ip.prefix_length(),
        })
        .collect()
}

/// The switches below `/proc/sys`: a bridge without IPv6 addresses does not speak IPv6, one with them is no client of
/// router advertisements, and packets are forwarded.
async fn set_switches(network: &Network, bridge: &str) -> Result<()> {
    let ipv6 = network.ips.iter().any(|ip| ip.address.is_ipv6());
    let of_bridge = |switch: &str| format!("net/ipv6/conf/{bridge}/{switch}");
    let mut switches = Vec::new();
    if ipv6 {
        switches.push((of_bridge("accept_ra"), "0", true));
        switches.push((of_bridge("autoconf"), "0", true));
    } else {
        // A kernel without IPv6 has no such switch, and needs none.
        switches.push((of_bridge("disable_ipv6"), "1", false));
    }
    if network.mode() != ForwardMode::None {
        if network.ips.iter().any(|ip| ip.address.is_ipv4()) {
            switches.push(("net/ipv4/ip_forward".to_owned(), "1", true));
        }
        if ipv6 {
            switches.push(("net/ipv6/conf/all/forwarding".to_owned(), "1", true));
        }
    }
    for (switch, value, needed) in switches {
        let path = PathBuf::from("/proc/sys").join(switch);
        store::blocking(path, "set", move |path| {
            match std::fs::read_to_string(path) {
                Ok(now) if now.trim() == value => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !needed => return Ok(()),
                _ => {}
            }
            std::fs::write(path, value)
        })?;
    }
    Ok(())
}
