//! `<network>`: one virtual network. Fields stand in the order in which libvirt writes them.
//!
//! What is not declared here is refused by name: the modes that hand out devices of the host (private, vepa,
//! passthrough, hostdev, and bridge with an interface), port groups, virtual ports, VLANs and bandwidth.

mod check;
mod dns;
mod forward;
mod ip;

pub use crate::network_port::{NetworkPort, Plug, PlugKind, PortMac, PortOwner};
pub use dns::{Dns, DnsHost, Forwarder, Srv, Txt};
pub use forward::{Forward, ForwardInterface, ForwardMode, Nat, NatAddress, NatPorts};
pub use ip::{Bootp, Dhcp, DhcpHost, DhcpRange, Family, Ip, LeaseTime, LeaseUnit, Route, Tftp};
pub(crate) use ip::{masked, prefix_of_class};

use crate::{Form, MacAddress, Parsed, UnknownPolicy, Uuid, XmlError};
use ferrovirt_xml::values::{on_off, yes_no};
use ferrovirt_xml::{Rest, Xml};

/// `<network>`: everything about one network, live or stored.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Network {
    /// How many ports are plugged in; `None` for none. Only in the live form.
    #[xml(attr, live)]
    pub connections: Option<u32>,
    /// May guests speak IPv6 with each other where the network has no IPv6 address?
    #[xml(attr, with = "yes_no")]
    pub ipv6: Option<bool>,
    /// The name, unique on the host.
    pub name: String,
    /// The UUID; reading makes one where there is none.
    pub uuid: Option<Uuid>,
    /// A short description.
    pub title: Option<String>,
    /// A long description.
    pub description: Option<String>,
    /// `<metadata>` with all that other programs keep in it, verbatim.
    #[xml(raw)]
    pub metadata: Option<String>,
    /// Where packets to the outside go; `None` for an isolated network.
    pub forward: Option<Forward>,
    /// The bridge that guests are plugged into.
    pub bridge: Option<Bridge>,
    /// The largest packet.
    pub mtu: Option<Mtu>,
    /// The bridge's own hardware address.
    pub mac: Option<BridgeMac>,
    /// The DNS domain of the guests.
    pub domain: Option<NetworkDomain>,
    /// The DNS server.
    pub dns: Option<Dns>,
    /// The host's addresses, each with what DHCP gives away beside it.
    #[xml(name = "ip")]
    pub ips: Vec<Ip>,
    /// Subnets that are reached by a guest.
    #[xml(name = "route")]
    pub routes: Vec<Route>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// `<bridge>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Bridge {
    /// Name of the device; absent until a name is chosen.
    #[xml(attr)]
    pub name: Option<String>,
    /// firewalld's zone.
    #[xml(attr)]
    pub zone: Option<String>,
    /// Does it speak the spanning tree protocol? Always there for a bridge that the network makes.
    #[xml(attr, with = "on_off")]
    pub stp: Option<bool>,
    /// Forward delay in seconds. Always there for a bridge that the network makes.
    #[xml(attr)]
    pub delay: Option<u32>,
    /// Who keeps the table of hardware addresses.
    #[xml(attr = "macTableManager")]
    pub mac_table_manager: Option<MacTableManager>,
}

/// Who keeps a bridge's table of hardware addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum MacTableManager {
    /// The kernel learns them.
    Kernel,
    /// The daemon enters them.
    Libvirt,
}

/// `<mtu>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Mtu {
    /// In bytes.
    #[xml(attr)]
    pub size: u32,
}

/// `<mac>` of the bridge.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct BridgeMac {
    /// The address.
    #[xml(attr)]
    pub address: MacAddress,
}

/// `<domain>`: the DNS domain of the guests.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NetworkDomain {
    /// The domain.
    #[xml(attr)]
    pub name: String,
    /// Are questions about it never passed on?
    #[xml(attr = "localOnly", with = "yes_no")]
    pub local_only: Option<bool>,
}

impl Network {
    /// Reads a document and completes it by what needs no look at the host: a UUID, the bridge's defaults.
    ///
    /// # Errors
    /// Malformed XML, values that cannot be, parts that contradict each other, and, with
    /// [`UnknownPolicy::Refuse`], whatever is not known.
    pub fn parse(text: &str, policy: UnknownPolicy) -> Result<Parsed<Network>, XmlError> {
        let mut parsed: Parsed<Network> = ferrovirt_xml::from_str("network", text, policy)?;
        parsed.value.normalize()?;
        Ok(parsed)
    }

    /// Writes the document with a newline at its end, as libvirt formats it.
    pub fn to_xml(&self, form: &Form) -> String {
        ferrovirt_xml::to_string("network", self, form)
    }

    /// Where packets to the outside go.
    pub fn mode(&self) -> ForwardMode {
        self.forward
            .as_ref()
            .map_or(ForwardMode::None, |forward| forward.mode)
    }

    /// Name of the bridge, where it has one.
    pub fn bridge_name(&self) -> Option<&str> {
        self.bridge.as_ref()?.name.as_deref()
    }

    /// Does the network make its bridge itself (and with it addresses, DHCP and packet filter)?
    pub fn makes_bridge(&self) -> bool {
        self.mode().makes_bridge()
    }
}

#[cfg(test)]
mod tests;
