//! `<networkport>`: where a guest's interface is plugged into a network. Fields stand in the order in which libvirt
//! writes them.

use ferrovirt_xml::{Rest, Xml};

use crate::{Form, MacAddress, Parsed, UnknownPolicy, Uuid, XmlError};

/// `<networkport>`.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct NetworkPort {
    /// The port's id.
    pub uuid: Uuid,
    /// The guest.
    pub owner: PortOwner,
    /// The guest's hardware address.
    pub mac: PortMac,
    /// What the guest's interface is plugged into.
    pub plug: Option<Plug>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// `<owner>`: whose interface it is.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct PortOwner {
    /// Name of the guest.
    pub name: String,
    /// UUID of the guest.
    pub uuid: Uuid,
}

/// `<mac>` of a port.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct PortMac {
    /// The address.
    #[xml(attr)]
    pub address: MacAddress,
}

/// `<plug>`: what the guest's interface is plugged into.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Plug {
    /// Whose bridge it is.
    #[xml(attr = "type")]
    pub kind: PlugKind,
    /// Name of the bridge.
    #[xml(attr)]
    pub bridge: String,
}

/// Whose bridge a port is plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum PlugKind {
    /// The network's own.
    Network,
    /// One that the host has anyway.
    Bridge,
}

impl NetworkPort {
    /// Reads a document.
    ///
    /// # Errors
    /// As [`crate::network::Network::parse`].
    pub fn parse(text: &str, policy: UnknownPolicy) -> Result<Parsed<NetworkPort>, XmlError> {
        ferrovirt_xml::from_str("networkport", text, policy)
    }

    /// Writes the document with a newline at its end, as libvirt formats it.
    pub fn to_xml(&self, form: &Form) -> String {
        ferrovirt_xml::to_string("networkport", self, form)
    }
}
