//! `<interface>`: one network card of a guest.

use super::address::DeviceInfo;
use super::ip::CardAddress;
use crate::network::Route;
use crate::{MacAddress, Uuid};
use ferrovirt_xml::{Form, Rest, Xml};

/// What the card is plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum InterfaceType {
    /// A virtual network of this daemon.
    Network,
    /// A bridge of the host.
    Bridge,
    /// The hypervisor's own network stack, without privileges.
    User,
    /// A card of the host, which it shares (macvlan).
    Direct,
    /// Nothing: who runs the host plugs it in.
    Ethernet,
}

/// What cards that share one of the host's see of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum MacvlanMode {
    /// What the switch outside sends back.
    Vepa,
    /// All.
    Bridge,
    /// Nothing.
    Private,
    /// There is only one.
    Passthrough,
}

/// `<source>`: what the card is plugged into.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct InterfaceSource {
    /// Name of the network.
    #[xml(attr)]
    pub network: Option<String>,
    /// Group of settings of that network.
    #[xml(attr)]
    pub portgroup: Option<String>,
    /// The port on that network.
    #[xml(attr, live)]
    pub portid: Option<Uuid>,
    /// The bridge: given by the user for type `bridge`, found out at start for type `network`.
    #[xml(attr, when = "InterfaceSource::shows_bridge")]
    pub bridge: Option<String>,
    /// The host's card (type `direct`).
    #[xml(attr)]
    pub dev: Option<String>,
    /// How it is shared (type `direct`).
    #[xml(attr)]
    pub mode: Option<MacvlanMode>,
    /// Addresses of the host's end (type `ethernet`).
    #[xml(name = "ip")]
    pub ips: Vec<CardAddress>,
    /// Routes of the host through it (type `ethernet`).
    #[xml(name = "route")]
    pub routes: Vec<Route>,
}

impl InterfaceSource {
    fn shows_bridge(&self, form: &Form) -> bool {
        !form.inactive || self.network.is_none()
    }
}

/// `<target>`: the host's end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct InterfaceTarget {
    /// Name of the tap or veth device.
    #[xml(attr)]
    pub dev: Option<String>,
}

/// `<guest>`: the guest's end (containers).
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct InterfaceGuest {
    /// Its name inside.
    #[xml(attr)]
    pub dev: Option<String>,
    /// Its name before it was moved inside.
    #[xml(attr)]
    pub actual: Option<String>,
}

/// Is the cable plugged in?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum LinkState {
    /// Yes.
    Up,
    /// No.
    Down,
}

/// `<interface>`: one network card.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Interface {
    /// What it is plugged into.
    #[xml(attr = "type")]
    pub kind: InterfaceType,
    /// Its Ethernet address; `normalize` makes one where there is none.
    #[xml(child = "mac", attr = "address")]
    pub mac: Option<MacAddress>,
    /// What exactly it is plugged into.
    pub source: Option<InterfaceSource>,
    /// Addresses that the guest's end gets (containers).
    #[xml(name = "ip")]
    pub ips: Vec<CardAddress>,
    /// Routes of the guest through it (containers).
    #[xml(name = "route")]
    pub routes: Vec<Route>,
    /// The host's end. Generated names (`vnetN`) belong to the run.
    #[xml(when = "Interface::shows_target")]
    pub target: Option<InterfaceTarget>,
    /// The guest's end (containers).
    pub guest: Option<InterfaceGuest>,
    /// The model of card that the guest sees.
    #[xml(child = "model", attr = "type")]
    pub model: Option<String>,
    /// Is the cable plugged in?
    #[xml(child = "link", attr = "state")]
    pub link: Option<LinkState>,
    /// Largest packet.
    #[xml(child = "mtu", attr = "size")]
    pub mtu: Option<u32>,
    /// Boot order, alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// Beginning of the names that the daemon gives to tap devices.
pub const GENERATED_PREFIX: &str = "vnet";

/// The same for cards of type `direct`.
pub const GENERATED_DIRECT_PREFIXES: [&str; 2] = ["macvlan", "macvtap"];

impl Interface {
    /// A card of a kind, otherwise empty.
    pub fn new(kind: InterfaceType) -> Self {
        Self {
            kind,
            mac: None,
            source: None,
            ips: Vec::new(),
            routes: Vec::new(),
            target: None,
            guest: None,
            model: None,
            link: None,
            mtu: None,
            info: DeviceInfo::default(),
            rest: Rest::default(),
        }
    }

    /// Name of the tap device, if it has one.
    pub fn target_dev(&self) -> Option<&str> {
        self.target.as_ref().and_then(|target| target.dev.as_deref())
    }

    /// Did the daemon choose the name of the host's end?
    pub fn target_is_generated(&self) -> bool {
        let direct = GENERATED_DIRECT_PREFIXES
            .iter()
            .filter(|_| self.kind == InterfaceType::Direct);
        self.target_dev().is_some_and(|dev| {
            dev.starts_with(GENERATED_PREFIX) || { direct }.any(|prefix| dev.starts_with(prefix))
        })
    }

    fn shows_target(&self, form: &Form) -> bool {
        !form.inactive || (self.target_dev().is_some() && !self.target_is_generated())
    }
}
