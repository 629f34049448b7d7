//! `<forward>`: where packets to the outside go.

use std::net::Ipv4Addr;

use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Rest, Xml};

/// How packets leave the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum ForwardMode {
    /// Not at all: an isolated network.
    None,
    /// Under the host's address.
    #[default]
    Nat,
    /// Under their own address.
    Route,
    /// Under their own address, and no packet filter rules are made.
    Open,
    /// Guests are plugged into a bridge of the host's that exists already.
    Bridge,
}

impl ForwardMode {
    /// Does a network of this mode make its bridge itself?
    pub fn makes_bridge(self) -> bool {
        self != ForwardMode::Bridge
    }
}

/// `<forward>`.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Forward {
    /// The host's device through which packets leave; any where absent. The same as the first `interfaces`.
    #[xml(attr)]
    pub dev: Option<String>,
    /// How packets leave.
    #[xml(attr, default)]
    pub mode: ForwardMode,
    /// What translation does; filled in when the network starts.
    pub nat: Option<Nat>,
    /// The host's devices through which packets leave.
    #[xml(name = "interface")]
    pub interfaces: Vec<ForwardInterface>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// `<forward><interface>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct ForwardInterface {
    /// Name of the device.
    #[xml(attr)]
    pub dev: String,
}

/// `<nat>`: what packets look like outside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Nat {
    /// Is IPv6 translated too?
    #[xml(attr, with = "yes_no")]
    pub ipv6: Option<bool>,
    /// Addresses to use; the outgoing device's where absent.
    pub address: Option<NatAddress>,
    /// Source ports to use.
    pub port: Option<NatPorts>,
}

/// `<nat><address>`: first and last address.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NatAddress {
    /// First.
    #[xml(attr)]
    pub start: Ipv4Addr,
    /// Last.
    #[xml(attr)]
    pub end: Ipv4Addr,
}

/// `<nat><port>`: first and last port.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NatPorts {
    /// First.
    #[xml(attr)]
    pub start: u16,
    /// Last.
    #[xml(attr)]
    pub end: u16,
}
