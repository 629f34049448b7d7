//! IP addresses of a device, and routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::StreamExt;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage};

use crate::{LinkError, Links};

/// An address with its prefix length, as it is put on a device or as it names a subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// The address itself.
    pub ip: IpAddr,
    /// Prefix length in bits.
    pub prefix: u8,
}

impl Address {
    /// Whether the subnets of the two have an address in common.
    pub fn overlaps(&self, other: &Address) -> bool {
        let bits = u32::from(self.prefix.min(other.prefix));
        match (self.ip, other.ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros() >= bits.min(32),
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (u128::from(a) ^ u128::from(b)).leading_zeros() >= bits.min(128)
            }
            _ => false,
        }
    }
}

/// A route through a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The subnet that is reached.
    pub destination: Address,
    /// By which neighbour.
    pub gateway: IpAddr,
    /// Metric; the kernel's default where absent.
    pub metric: Option<u32>,
}

impl Links {
    /// Puts `address` on `device` (for IPv4 with the broadcast address of its subnet). An IPv6 address is usable at
    /// once: a bridge that was just made has no neighbour that could have the same one, and would never finish
    /// looking for it while nothing is plugged in.
    ///
    /// # Errors
    /// `Missing` without such a device, `Kernel` with EEXIST when it is there already.
    pub async fn add_address(&self, device: &str, address: Address) -> Result<(), LinkError> {
        let index = self.index(device).await?;
        let mut request = self.handle.address().add(index, address.ip, address.prefix);
        if address.ip.is_ipv6() {
            request
                .message_mut()
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let answer = request.execute().await;
        answer.map_err(|error| LinkError::from_kernel("adding IP address to", device, error))
    }

    /// Adds a route through `device`.
    ///
    /// # Errors
    /// `Missing` without such a device, `Kernel` when the gateway cannot be reached through it.
    pub async fn add_route(&self, device: &str, route: Route) -> Result<(), LinkError> {
        let index = self.index(device).await?;
        let mut message = match (route.destination.ip, route.gateway) {
            (IpAddr::V4(ip), IpAddr::V4(gateway)) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(ip, route.destination.prefix)
                .gateway(gateway)
                .output_interface(index)
                .build(),
            (IpAddr::V6(ip), IpAddr::V6(gateway)) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(ip, route.destination.prefix)
                .gateway(gateway)
                .output_interface(index)
                .build(),
            _ => {
                return Err(LinkError::Kernel {
                    action: "adding route to",
                    device: device.to_owned(),
                    source: std::io::Error::from_raw_os_error(EAFNOSUPPORT),
                });
            }
        };
        if let Some(metric) = route.metric {
            message.attributes.push(RouteAttribute::Priority(metric));
        }
        let answer = self.handle.route().add(message).execute().await;
        answer.map_err(|error| LinkError::from_kernel("adding route to", device, error))
    }

    /// The device through which a subnet that overlaps `address` is already reached (default routes do not count),
    /// if there is one.
    ///
    /// # Errors
    /// `Kernel` when the routes cannot be listed.
    pub async fn route_conflict(&self, address: Address) -> Result<Option<String>, LinkError> {
        let query = match address.ip {
            IpAddr::V4(_) => RouteMessageBuilder::<Ipv4Addr>::new().build(),
            IpAddr::V6(_) => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        };
        let mut found = None;
        let turn = self.listing.lock().await;
        let mut routes = std::pin::pin!(self.handle.route().get(query).execute());
        while let Some(route) = routes.next().await {
            let route = route.map_err(|error| LinkError::from_kernel("listing routes for", "any", error))?;
            if found.is_none() {
                found = conflicting_device(&route, address);
            }
        }
        drop(turn);
        match found {
            Some(index) => Ok(Some(self.name_of(index).await?)),
            None => Ok(None),
        }
    }
}

/// "Address family not supported".
const EAFNOSUPPORT: i32 = 97;

/// Number of the device that `route` leads through, if it is in the main table and its destination overlaps.
fn conflicting_device(route: &RouteMessage, address: Address) -> Option<u32> {
    if route.header.table != RouteHeader::RT_TABLE_MAIN || route.header.destination_prefix_length == 0 {
        return None;
    }
    let mut destination = None;
    let mut device = None;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => destination = Some(IpAddr::V4(*ip)),
            RouteAttribute::Destination(RouteAddress::Inet6(ip)) => destination = Some(IpAddr::V6(*ip)),
            RouteAttribute::Oif(index) => device = Some(*index),
            _ => {}
        }
    }
    let destination = Address {
        ip: destination?,
        prefix: route.header.destination_prefix_length,
    };
    destination.overlaps(&address).then_some(device).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, prefix: u8) -> Address {
        Address {
            ip: text.parse().expect("an address"),
            prefix,
        }
    }

    #[test]
    fn subnets_overlap_when_one_holds_the_other() {
        assert!(address("192.168.122.1", 24).overlaps(&address("192.168.0.0", 16)));
        assert!(address("192.168.0.0", 16).overlaps(&address("192.168.122.1", 24)));
        assert!(!address("192.168.122.1", 24).overlaps(&address("192.168.123.1", 24)));
        assert!(!address("192.168.122.1", 24).overlaps(&address("fd00::1", 0)));
        assert!(address("fd00:1::1", 64).overlaps(&address("fd00:1::ffff", 128)));
    }
}
