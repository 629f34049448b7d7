//! `<interface>`: one network card of a guest.

use super::address::DeviceInfo;
use super::card::{CardBackend, CardDriver, CardTune, Teaming};
use super::host_card::{HostCardAddress, HostCardDriver, Vlan};
use super::ip::CardAddress;
use crate::network::Route;
use crate::{MacAddress, Uuid};
use ferrovirt_xml::values::yes_no;
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
    /// Nothing: it is a device of the host, which the guest gets for itself.
    Hostdev,
    /// Other guests, by TCP: this one listens.
    Server,
    /// Other guests, by TCP: another one listens.
    Client,
    /// Other guests, by multicast.
    Mcast,
    /// Another guest, by datagrams.
    Udp,
    /// A device of the host's own kind (vDPA).
    Vdpa,
    /// A switch that is a process of its own.
    #[xml(name = "vhostuser")]
    VhostUser,
    /// A switch of the hypervisor's own.
    Internal,
    /// Nothing at all.
    Null,
    /// VMware's distributed switch.
    Vds,
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

/// `<local>`: our own end of a line of datagrams.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct LocalAddress {
    /// The address.
    #[xml(attr)]
    pub address: String,
    /// The port.
    #[xml(attr)]
    pub port: u16,
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
    /// The other's address, or ours to listen on (types `server`, `client`, `mcast`, `udp`).
    #[xml(attr)]
    pub address: Option<String>,
    /// The port there.
    #[xml(attr)]
    pub port: Option<u16>,
    /// The device of the host (type `hostdev`).
    #[xml(name = "address")]
    pub host: Option<HostCardAddress>,
    /// Our own address and port (type `udp`).
    pub local: Option<LocalAddress>,
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
    /// Is it made and taken away by the daemon? If not, it is there before.
    #[xml(attr, with = "yes_no")]
    pub managed: Option<bool>,
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
    /// Is the device of the host taken from its driver at the start and given back at the end (type `hostdev`)?
    #[xml(attr, with = "yes_no", when = "Interface::is_managed")]
    pub managed: Option<bool>,
    /// May the guest decide itself which packets it gets?
    #[xml(attr = "trustGuestRxFilters", with = "yes_no")]
    pub trust_guest_rx_filters: Option<bool>,
    /// Its Ethernet address; `normalize` makes one where there is none.
    #[xml(child = "mac", attr = "address")]
    pub mac: Option<MacAddress>,
    /// What drives the device of the host meanwhile (type `hostdev`).
    #[xml(name = "driver")]
    pub host_driver: Option<HostCardDriver>,
    /// What exactly it is plugged into.
    pub source: Option<InterfaceSource>,
    /// In which VLANs its packets are (type `hostdev`).
    pub vlan: Option<Vlan>,
    /// May the guest not speak with others that are isolated, too?
    #[xml(child = "port", attr = "isolated", with = "yes_no")]
    pub isolated: Option<bool>,
    /// Addresses that the guest's end gets.
    #[xml(name = "ip")]
    pub ips: Vec<CardAddress>,
    /// Routes of the guest through it (containers).
    #[xml(name = "route")]
    pub routes: Vec<Route>,
    /// The script that plugs the host's end in (type `ethernet`).
    #[xml(child = "script", attr = "path")]
    pub script: Option<String>,
    /// The script that unplugs it (type `ethernet`).
    #[xml(child = "downscript", attr = "path")]
    pub down_script: Option<String>,
    /// The host's end. Generated names (`vnetN`) belong to the run.
    #[xml(when = "Interface::shows_target")]
    pub target: Option<InterfaceTarget>,
    /// The guest's end (containers).
    pub guest: Option<InterfaceGuest>,
    /// The model of card that the guest sees.
    #[xml(child = "model", attr = "type")]
    pub model: Option<String>,
    /// Options of a virtio card.
    pub driver: Option<CardDriver>,
    /// What of the host is behind it.
    pub backend: Option<CardBackend>,
    /// With which other card it makes one.
    pub teaming: Option<Teaming>,
    /// What the host's end is set to.
    pub tune: Option<CardTune>,
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
            managed: None,
            host_driver: None,
            source: None,
            vlan: None,
            trust_guest_rx_filters: None,
            isolated: None,
            ips: Vec::new(),
            routes: Vec::new(),
            script: None,
            down_script: None,
            target: None,
            guest: None,
            model: None,
            driver: None,
            backend: None,
            teaming: None,
            tune: None,
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

    fn is_managed(&self, _: &Form) -> bool {
        self.managed == Some(true)
    }

    fn shows_target(&self, form: &Form) -> bool {
        !form.inactive || (self.target_dev().is_some() && !self.target_is_generated())
    }
}
