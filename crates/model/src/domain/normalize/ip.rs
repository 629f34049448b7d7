//! Addresses and routes of network cards.

use super::inconsistent;
use crate::domain::CardAddress;
use crate::network::{Family, Route, masked};
use ferrovirt_xml::XmlError;
use std::net::IpAddr;

/// Whose addresses they are, for messages.
#[derive(Clone, Copy)]
pub(super) enum Whose {
    /// The guest's end.
    Guest,
    /// The host's end.
    Host,
    /// An interface of the host that the guest gets.
    Hostdev,
}

impl Whose {
    fn words(self) -> &'static str {
        match self {
            Self::Guest => "guest interface",
            Self::Host => "domain interface",
            Self::Hostdev => "hostdev interface",
        }
    }
}

/// Completes and checks what stands below one interface.
pub(super) fn normalize(whose: Whose, ips: &mut [CardAddress], routes: &mut [Route]) -> Result<(), XmlError> {
    ips.iter_mut().try_for_each(normalize_address)?;
    routes
        .iter_mut()
        .try_for_each(|route| normalize_route(whose.words(), route))
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() {
        Family::Ipv4
    } else {
        Family::Ipv6
    }
}

fn normalize_address(ip: &mut CardAddress) -> Result<(), XmlError> {
    let found = family_of(ip.address);
    if *ip.family.get_or_insert(found) != found {
        return Err(inconsistent(format!("Invalid address '{}' in <ip>", ip.address)));
    }
    if let Some(prefix) = ip.prefix.filter(|prefix| *prefix > bits(ip.address)) {
        return Err(inconsistent(format!("Invalid prefix value '{prefix}' in <ip>")));
    }
    // libvirt means "none" by it.
    ip.prefix.take_if(|prefix| *prefix == 0);
    match ip.peer {
        Some(peer) if family_of(peer) != found => Err(inconsistent(format!("Invalid peer '{peer}' in <ip>"))),
        _ => Ok(()),
    }
}

fn normalize_route(whose: &str, route: &mut Route) -> Result<(), XmlError> {
    let (address, gateway) = (route.address, route.gateway);
    let found = family_of(address);
    let family = route.family.unwrap_or(Family::Ipv4);
    if family != found {
        return Err(inconsistent(format!(
            "{whose}: {family} family specified for address '{address}' in route definition"
        )));
    }
    if family_of(gateway) != found {
        return Err(inconsistent(format!(
            "{whose}: {family} family specified for gateway '{gateway}' in route definition"
        )));
    }
    if route.prefix.is_some() && route.netmask.is_some() {
        return Err(inconsistent(format!(
            "{whose}: Route definition cannot have both a prefix and a netmask"
        )));
    }
    if let Some(mask) = route.netmask
        && (address.is_ipv6() || u32::from(mask).count_ones() != u32::from(mask).leading_ones())
    {
        return Err(inconsistent(format!(
            "{whose}: Invalid netmask '{mask}' for address '{address}' in route definition"
        )));
    }
    if let Some(prefix) = route.prefix.filter(|prefix| *prefix > bits(address)) {
        return Err(inconsistent(format!(
            "{whose}: Invalid prefix '{prefix}' specified in route definition"
        )));
    }
    if masked(address, route.prefix_length()) != address {
        return Err(inconsistent(format!(
            "{whose}: Address '{address}' in route definition is not a network address"
        )));
    }
    if route.metric == Some(0) {
        return Err(inconsistent(
            "Invalid value for attribute 'metric' in element 'route': Zero is not permitted",
        ));
    }
    Ok(())
}
