//! Networks.

use ferrovirt_model::network::Network;
use ferrovirt_model::{MacAddress, Uuid};
use ferrovirt_network::{Lease, LeaseKind, NetworkHandle, Snapshot};
use ferrovirt_wire::object::DhcpLease;
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply, List, NetworkRef, PortRef};

use super::{Session, only_flags, passes, too_many};
use crate::errors::{self, Document};

type Answer<T> = Result<T, ErrorReply>;

/// The domain of everything in here.
const NETWORK: ErrorDomain = ErrorDomain::Network;

mod list_flag {
    pub(super) const INACTIVE: u32 = 1;
    pub(super) const ACTIVE: u32 = 2;
    pub(super) const PERSISTENT: u32 = 4;
    pub(super) const TRANSIENT: u32 = 8;
    pub(super) const AUTOSTART: u32 = 16;
    pub(super) const NO_AUTOSTART: u32 = 32;
    pub(super) const ALL: u32 = 63;
}

/// NETWORK_GET_XML_DESC: the definition of a running network.
const XML_INACTIVE: u32 = 1;

fn reference(snapshot: &Snapshot) -> NetworkRef {
    NetworkRef {
        name: snapshot.name.clone(),
        uuid: snapshot.uuid.0,
    }
}

fn no_network(text: String) -> ErrorReply {
    ErrorReply::new(ErrorCode::NoNetwork, NETWORK, text)
}

fn parse(session: &Session, text: &str) -> Answer<Network> {
    let parsed = Network::parse(text, session.unknown_policy())
        .map_err(|error| errors::document(&error, text, Document::Network))?;
    for unknown in &parsed.kept {
        tracing::warn!(
            "network '{}': kept without being understood: {unknown}",
            parsed.value.name
        );
    }
    Ok(parsed.value)
}

pub(super) fn lookup_by_name(
    session: &Session,
    args: NetworkLookupByNameArgs,
) -> Answer<NetworkLookupByNameResults> {
    let found = session.host.networks.by_name(&args.name);
    let handle = found.ok_or_else(|| no_network(format!("no network with matching name '{}'", args.name)))?;
    Ok(NetworkLookupByNameResults {
        net: reference(&handle.snapshot()),
    })
}

pub(super) fn lookup_by_uuid(
    session: &Session,
    args: NetworkLookupByUuidArgs,
) -> Answer<NetworkLookupByUuidResults> {
    let uuid = Uuid(args.uuid);
    let found = session.host.networks.by_uuid(&uuid);
    let handle = found.ok_or_else(|| no_network(format!("no network with matching uuid '{uuid}'")))?;
    Ok(NetworkLookupByUuidResults {
        net: reference(&handle.snapshot()),
    })
}

pub(super) fn list_all(
    session: &Session,
    args: ConnectListAllNetworksArgs,
) -> Answer<ConnectListAllNetworksResults> {
    use list_flag::*;
    only_flags(args.flags, ALL, NETWORK, "networkConnectListAllNetworks")?;
    let wanted = |net: &Snapshot| {
        passes(args.flags, ACTIVE, INACTIVE, net.active)
            && passes(args.flags, PERSISTENT, TRANSIENT, net.persistent)
            && passes(args.flags, AUTOSTART, NO_AUTOSTART, net.autostart)
    };
    let all = session.host.networks.list();
    let found = all.iter().filter(|net| wanted(net));
    if args.need_results == 0 {
        return Ok(ConnectListAllNetworksResults {
            nets: List::empty(),
            ret: count(found.count()),
        });
    }
    let nets: Vec<_> = found.map(|net| reference(net)).collect();
    let ret = count(nets.len());
    let nets = List::new(nets).map_err(|_| too_many(NETWORK, "networks", LIST_LIMIT))?;
    Ok(ConnectListAllNetworksResults { nets, ret })
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(super) async fn create(session: &Session, args: NetworkCreateArgs) -> Answer<NetworkCreateResults> {
    let handle = session.network(&args.net)?;
    handle.start(session.origin()).await.map_err(errors::network)?;
    Ok(NetworkCreateResults {})
}

pub(super) async fn create_xml(
    session: &Session,
    args: NetworkCreateXmlArgs,
) -> Answer<NetworkCreateXmlResults> {
    let document = parse(session, &args.xml)?;
    let created = session.host.networks.create(document, session.origin()).await;
    Ok(NetworkCreateXmlResults { net: made(created)? })
}

pub(super) async fn define_xml(
    session: &Session,
    args: NetworkDefineXmlArgs,
) -> Answer<NetworkDefineXmlResults> {
    let document = parse(session, &args.xml)?;
    let defined = session.host.networks.define(document, session.origin()).await;
    Ok(NetworkDefineXmlResults { net: made(defined)? })
}

fn made(outcome: Result<NetworkHandle, ferrovirt_network::Error>) -> Answer<NetworkRef> {
    Ok(reference(&outcome.map_err(errors::network)?.snapshot()))
}

pub(super) async fn destroy(session: &Session, args: NetworkDestroyArgs) -> Answer<NetworkDestroyResults> {
    let handle = session.network(&args.net)?;
    handle.destroy(session.origin()).await.map_err(errors::network)?;
    Ok(NetworkDestroyResults {})
}

pub(super) async fn undefine(session: &Session, args: NetworkUndefineArgs) -> Answer<NetworkUndefineResults> {
    let handle = session.network(&args.net)?;
    handle.undefine(session.origin()).await.map_err(errors::network)?;
    Ok(NetworkUndefineResults {})
}

pub(super) async fn set_autostart(
    session: &Session,
    args: NetworkSetAutostartArgs,
) -> Answer<NetworkSetAutostartResults> {
    let handle = session.network(&args.net)?;
    handle
        .set_autostart(args.autostart != 0, session.origin())
        .await
        .map_err(errors::network)?;
    Ok(NetworkSetAutostartResults {})
}

pub(super) fn xml_desc(session: &Session, args: NetworkGetXmlDescArgs) -> Answer<NetworkGetXmlDescResults> {
    only_flags(args.flags, XML_INACTIVE, NETWORK, "networkGetXMLDesc")?;
    let snapshot = session.network(&args.net)?.snapshot();
    Ok(NetworkGetXmlDescResults {
        xml: snapshot.to_xml(args.flags & XML_INACTIVE != 0),
    })
}

pub(super) fn autostart(
    session: &Session,
    args: NetworkGetAutostartArgs,
) -> Answer<NetworkGetAutostartResults> {
    let snapshot = session.network(&args.net)?.snapshot();
    Ok(NetworkGetAutostartResults {
        autostart: i32::from(snapshot.autostart),
    })
}

pub(super) fn bridge_name(
    session: &Session,
    args: NetworkGetBridgeNameArgs,
) -> Answer<NetworkGetBridgeNameResults> {
    let snapshot = session.network(&args.net)?.snapshot();
    match &snapshot.bridge {
        Some(name) => Ok(NetworkGetBridgeNameResults { name: name.clone() }),
        None => {
            let text = format!("network '{}' does not have a bridge name.", snapshot.name);
            Err(ErrorReply::internal(NETWORK, text))
        }
    }
}

pub(super) fn is_active(session: &Session, args: NetworkIsActiveArgs) -> Answer<NetworkIsActiveResults> {
    Ok(NetworkIsActiveResults {
        active: i32::from(session.network(&args.net)?.snapshot().active),
    })
}

pub(super) fn is_persistent(
    session: &Session,
    args: NetworkIsPersistentArgs,
) -> Answer<NetworkIsPersistentResults> {
    Ok(NetworkIsPersistentResults {
        persistent: i32::from(session.network(&args.net)?.snapshot().persistent),
    })
}

pub(super) async fn dhcp_leases(
    session: &Session,
    args: NetworkGetDhcpLeasesArgs,
) -> Answer<NetworkGetDhcpLeasesResults> {
    only_flags(args.flags, 0, NETWORK, "networkGetDHCPLeases")?;
    let mac = match &args.mac {
        None => None,
        Some(text) => {
            let mac = text.parse::<MacAddress>();
            Some(mac.map_err(|_| ErrorReply::new(ErrorCode::InvalidMac, NETWORK, text.as_str()))?)
        }
    };
    let leases = session
        .network(&args.net)?
        .leases(mac)
        .await
        .map_err(errors::network)?;
    let ret = count(leases.len());
    if args.need_results == 0 {
        return Ok(NetworkGetDhcpLeasesResults {
            leases: List::empty(),
            ret,
        });
    }
    let leases = List::new(leases.into_iter().map(lease).collect())
        .map_err(|_| too_many(NETWORK, "leases", LEASE_LIMIT))?;
    Ok(NetworkGetDhcpLeasesResults { leases, ret })
}

fn lease(lease: Lease) -> DhcpLease {
    DhcpLease {
        iface: lease.iface,
        expirytime: lease.expiry,
        kind: address_kind(lease.kind),
        mac: lease.mac,
        iaid: lease.iaid,
        ipaddr: lease.ip,
        prefix: lease.prefix,
        hostname: lease.hostname,
        clientid: lease.clientid,
    }
}

/// The number of an address family.
pub(super) const fn address_kind(kind: LeaseKind) -> i32 {
    match kind {
        LeaseKind::Ipv4 => 0,
        LeaseKind::Ipv6 => 1,
    }
}

pub(super) fn list_all_ports(
    session: &Session,
    args: NetworkListAllPortsArgs,
) -> Answer<NetworkListAllPortsResults> {
    only_flags(args.flags, 0, NETWORK, "networkListAllPorts")?;
    let snapshot = session.network(&args.network)?.snapshot();
    if !snapshot.active {
        let text = format!("network '{}' is not active", snapshot.name);
        return Err(ErrorReply::new(ErrorCode::OperationInvalid, NETWORK, text));
    }
    let ret = count(snapshot.ports.len());
    if args.need_results == 0 {
        return Ok(NetworkListAllPortsResults {
            ports: List::empty(),
            ret,
        });
    }
    let ports = snapshot.ports.iter().map(|port| PortRef {
        net: reference(&snapshot),
        uuid: port.uuid.0,
    });
    let ports = List::new(ports.collect()).map_err(|_| too_many(NETWORK, "ports", LIST_LIMIT))?;
    Ok(NetworkListAllPortsResults { ports, ret })
}
