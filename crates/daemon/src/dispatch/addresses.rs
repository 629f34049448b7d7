//! The addresses of a guest's interfaces: from the leases of its networks, or from the host's neighbours.

use std::str::FromStr;

use ferrovirt_model::MacAddress;
use ferrovirt_model::domain::{Domain, Interface, InterfaceType};
use ferrovirt_wire::object::{InterfaceAddresses, IpAddress};
use ferrovirt_wire::procedures::{DomainInterfaceAddressesArgs, DomainInterfaceAddressesResults};
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply, List};

use super::network::address_kind;
use super::{Session, only_flags, too_many};
use crate::access;
use crate::errors;

const QEMU: ErrorDomain = ErrorDomain::Qemu;
/// Most interfaces of a guest, and most addresses of an interface, in a reply.
const LIMIT: usize = 2048;
/// The neighbours that the kernel knows, with their hardware addresses (IPv4).
const NEIGHBOURS: &str = "/proc/net/arp";
/// By this name the guest agent's channel is known.
const AGENT_CHANNEL: &str = "org.qemu.guest_agent.0";

mod source {
    pub(super) const LEASE: u32 = 0;
    pub(super) const AGENT: u32 = 1;
    pub(super) const ARP: u32 = 2;
}

pub(super) async fn interface_addresses(
    session: &Session,
    args: DomainInterfaceAddressesArgs,
) -> Result<DomainInterfaceAddressesResults, ErrorReply> {
    // Asking the agent is asking the guest to do something.
    if args.source == source::AGENT && session.read_only() {
        return Err(access::read_only_prevents(
            ErrorDomain::Domain,
            "virDomainInterfaceAddresses",
        ));
    }
    only_flags(args.flags, 0, QEMU, "qemuDomainInterfaceAddresses")?;
    let snapshot = session.guest(&args.dom)?.snapshot();
    let live = snapshot.live.as_ref().filter(|_| snapshot.is_active());
    let Some(live) = live else {
        return Err(ErrorReply::new(
            ErrorCode::OperationInvalid,
            ErrorDomain::Domain,
            "domain is not running",
        ));
    };
    let found = match args.source {
        source::LEASE => leased(session, live).await?,
        source::ARP => neighbours(live).await?,
        source::AGENT => return Err(no_agent(live)),
        other => {
            let text = format!("Unknown IP address data source {other}");
            return Err(ErrorReply::new(ErrorCode::ArgumentUnsupported, QEMU, text));
        }
    };
    let ifaces = List::new(found).map_err(|_| too_many(QEMU, "interfaces", LIMIT))?;
    Ok(DomainInterfaceAddressesResults { ifaces })
}

fn no_agent(live: &Domain) -> ErrorReply {
    let mut channels = live.devices.channels.iter();
    if channels.any(|channel| channel.target.name.as_deref() == Some(AGENT_CHANNEL)) {
        let text = "addresses cannot be asked of the guest agent by this daemon yet";
        ErrorReply::new(ErrorCode::OperationUnsupported, QEMU, text)
    } else {
        ErrorReply::new(ErrorCode::ArgumentUnsupported, QEMU, errors::NO_AGENT)
    }
}

/// What one interface has; nothing if it has no address.
fn entry(interface: &Interface, mac: MacAddress, addrs: Vec<IpAddress>) -> Option<InterfaceAddresses> {
    let addrs = List::new(addrs).ok().filter(|addrs| !addrs.is_empty())?;
    let name = interface.target_dev().unwrap_or_default().to_owned();
    Some(InterfaceAddresses {
        name,
        hwaddr: Some(mac.to_string()),
        addrs,
    })
}

async fn leased(session: &Session, live: &Domain) -> Result<Vec<InterfaceAddresses>, ErrorReply> {
    let mut found = Vec::new();
    for interface in &live.devices.interfaces {
        let network = interface
            .source
            .as_ref()
            .and_then(|source| source.network.as_deref());
        let (Some(network), Some(mac)) = (network, interface.mac) else {
            continue;
        };
        let Some(network) = session.host.networks.by_name(network) else {
            continue;
        };
        let leases = network.leases(Some(mac)).await.map_err(errors::network)?;
        let addrs = leases.into_iter().map(|lease| IpAddress {
            kind: address_kind(lease.kind),
            addr: lease.ip,
            prefix: lease.prefix,
        });
        found.extend(entry(interface, mac, addrs.collect()));
    }
    Ok(found)
}

async fn neighbours(live: &Domain) -> Result<Vec<InterfaceAddresses>, ErrorReply> {
    let table = tokio::fs::read_to_string(NEIGHBOURS).await.map_err(|error| {
        ErrorReply::new(
            ErrorCode::SystemError,
            QEMU,
            format!("cannot read {NEIGHBOURS}: {error}"),
        )
    })?;
    let known = neighbours_in(&table);
    let mut found = Vec::new();
    for interface in live
        .devices
        .interfaces
        .iter()
        .filter(|interface| interface.kind != InterfaceType::User)
    {
        let Some(mac) = interface.mac else { continue };
        let addrs = known
            .iter()
            .filter(|(_, owner)| *owner == mac)
            .map(|(addr, _)| IpAddress {
                kind: 0,
                addr: addr.clone(),
                prefix: 0,
            });
        found.extend(entry(interface, mac, addrs.collect()));
    }
    Ok(found)
}

/// Address and hardware address of each complete line of the kernel's table.
fn neighbours_in(table: &str) -> Vec<(String, MacAddress)> {
    const COMPLETE: u32 = 2;
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (addr, flags, mac) = (words.next()?, words.nth(1)?, words.next()?);
        let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
        let mac = MacAddress::from_str(mac).ok()?;
        (flags & COMPLETE != 0).then(|| (addr.to_owned(), mac))
    };
    table.lines().skip(1).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_neighbours_are_read() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     192.168.122.7    0x1         0x2         52:54:00:00:00:07     *        virbr0\n\
                     192.168.122.8    0x1         0x0         00:00:00:00:00:00     *        virbr0\n\
                     broken\n";
        let mac = MacAddress([0x52, 0x54, 0, 0, 0, 7]);
        assert_eq!(neighbours_in(table), [("192.168.122.7".to_owned(), mac)]);
    }
}
