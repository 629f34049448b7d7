//! `<interface type='hostdev'>`: a PCI device of the host, as a card of the guest: mostly a virtual function, whose MAC address
//! and VLAN are set on the host.

use super::host_bus::{HostPciAddress, HostPciDriver, HostPciSource, HostdevPci};
use super::hostdev::{Hostdev, HostdevKind, HostdevMode};
use super::interface::{Interface, InterfaceType};
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Cursor, Element, Rest, Shape, Writer, Xml, XmlError};

/// On which of the host's buses a card is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum HostCardBus {
    /// PCI.
    #[default]
    Pci,
}

/// `<address>` in the source of a card: the device of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct HostCardAddress {
    /// The bus.
    #[xml(attr = "type")]
    pub bus: HostCardBus,
    /// Where on it.
    #[xml(flatten)]
    pub at: HostPciAddress,
}

/// `<driver>` of such a card. It stands in another place than the driver of a virtio card, and is told from that by its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostCardDriver(pub HostPciDriver);

/// Names that no driver of a virtio card has.
const NAMES: [&str; 3] = ["vfio", "kvm", "xen"];

impl Element for HostCardDriver {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        HostPciDriver::decode(cursor).map(HostCardDriver)
    }

    fn is_absent(cursor: &Cursor<'_>) -> bool {
        !cursor.peek("name").is_some_and(|name| NAMES.contains(&name))
    }

    fn attributes(&self, out: &mut Writer) {
        self.0.attributes(out);
    }

    fn content(&self, out: &mut Writer) {
        self.0.content(out);
    }

    fn shape(shape: &mut Shape) {
        HostPciDriver::shape(shape);
    }
}

/// How packets of a VLAN leave on the one that needs no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum NativeMode {
    /// With their tag.
    Tagged,
    /// Without.
    Untagged,
}

/// One VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct VlanTag {
    /// Its number, 0 to 4095.
    #[xml(attr)]
    pub id: u32,
    /// Is it the one that needs no tag?
    #[xml(attr = "nativeMode")]
    pub native: Option<NativeMode>,
}

/// `<vlan>`: in which VLANs a card's packets are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Vlan {
    /// Does the guest see them?
    #[xml(attr, with = "yes_no")]
    pub trunk: Option<bool>,
    /// Which ones.
    #[xml(name = "tag")]
    pub tags: Vec<VlanTag>,
}

impl Interface {
    /// The device of the host that a card of type `hostdev` is.
    pub fn as_hostdev(&self) -> Option<Hostdev> {
        let source = self.source.as_ref().and_then(|source| source.host)?;
        let pci = HostdevPci {
            managed: Some(self.managed == Some(true)),
            driver: self.host_driver.as_ref().map(|driver| driver.0.clone()),
            source: HostPciSource {
                address: source.at,
                origstates: None,
            },
            ..HostdevPci::default()
        };
        (self.kind == InterfaceType::Hostdev).then(|| Hostdev {
            mode: HostdevMode::Subsystem,
            kind: HostdevKind::Pci(pci),
            info: self.info.clone(),
            rest: Rest::default(),
        })
    }
}
