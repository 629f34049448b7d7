//! `<hostdev>`: what of the host a guest gets for itself: devices of its buses ([`super::host_bus`]), and for containers nodes
//! and interfaces.

use super::address::DeviceInfo;
use super::host_bus::{HostdevPci, HostdevUsb};
use super::ip::CardAddress;
use crate::network::Route;
use ferrovirt_xml::{Rest, Xml};

/// How it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum HostdevMode {
    /// A node of `/dev`, or an interface.
    Capabilities,
    /// A device of a bus.
    Subsystem,
}

/// `<source>` of a storage device.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct HostdevBlock {
    /// The host's block device.
    pub block: String,
}

/// A storage device.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct HostdevStorage {
    /// Which one.
    pub source: HostdevBlock,
}

/// `<source>` of a character device.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct HostdevChar {
    /// The host's character device.
    pub char: String,
}

/// A character device.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct HostdevMisc {
    /// Which one.
    pub source: HostdevChar,
}

/// `<source>` of a network interface.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct HostdevInterface {
    /// The host's interface; it leaves the host while the guest runs.
    pub interface: String,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct HostdevNet {
    /// Which one.
    pub source: HostdevInterface,
    /// Addresses that it gets inside.
    #[xml(name = "ip")]
    pub ips: Vec<CardAddress>,
    /// Routes inside.
    #[xml(name = "route")]
    pub routes: Vec<Route>,
}

/// What is given.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
#[xml(tag = "type")]
pub enum HostdevKind {
    /// A block device.
    Storage(HostdevStorage),
    /// A character device.
    Misc(HostdevMisc),
    /// A network interface.
    Net(HostdevNet),
    /// A PCI device.
    Pci(HostdevPci),
    /// A USB device.
    Usb(HostdevUsb),
}

impl HostdevKind {
    /// Its word in documents.
    pub fn tag(&self) -> &'static str {
        match self {
            HostdevKind::Storage(_) => "storage",
            HostdevKind::Misc(_) => "misc",
            HostdevKind::Net(_) => "net",
            HostdevKind::Pci(_) => "pci",
            HostdevKind::Usb(_) => "usb",
        }
    }

    /// How things of this kind are given.
    pub fn mode(&self) -> HostdevMode {
        match self {
            HostdevKind::Storage(_) | HostdevKind::Misc(_) | HostdevKind::Net(_) => HostdevMode::Capabilities,
            HostdevKind::Pci(_) | HostdevKind::Usb(_) => HostdevMode::Subsystem,
        }
    }
}

/// `<hostdev>`: one thing of the host.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Hostdev {
    /// How it is given.
    #[xml(attr)]
    pub mode: HostdevMode,
    /// What it is.
    #[xml(flatten)]
    pub kind: HostdevKind,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
