//! `<capability type='pci'>`: one function on a PCI bus.

use ferrovirt_xml::Xml;
use ferrovirt_xml::values::{hex1, hex2, hex4};

/// A function on a PCI bus.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct PciCapability {
    /// Class, subclass and programming interface.
    pub class: Option<PciClass>,
    /// Its domain.
    pub domain: u32,
    /// Its bus.
    pub bus: u32,
    /// Its slot.
    pub slot: u32,
    /// Its function.
    pub function: u32,
    /// What it is.
    pub product: PciId,
    /// Who made it.
    pub vendor: PciId,
    /// What else it is or has.
    #[xml(name = "capability")]
    pub extra: Vec<PciExtra>,
    /// The devices that can only be given away together.
    #[xml(name = "iommuGroup")]
    pub group: Option<IommuGroup>,
    /// The part of the machine that it is near to.
    pub numa: Option<NumaNode>,
    /// Its PCI Express link.
    #[xml(name = "pci-express")]
    pub express: Option<PciExpress>,
}

/// Class, subclass and programming interface: six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PciClass(pub u32);

impl std::fmt::Display for PciClass {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "0x{:06x}", self.0)
    }
}

impl std::str::FromStr for PciClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim().trim_start_matches("0x");
        let class = u32::from_str_radix(digits, 16).map_err(|_| format!("'{text}' is not a class"));
        class.map(PciClass)
    }
}

/// A number that somebody registered, with the name that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct PciId {
    /// The number.
    #[xml(attr, with = "hex4")]
    pub id: u32,
    /// The name, if it is known.
    #[xml(text)]
    pub name: Option<String>,
}

/// What a PCI device is or has besides.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
#[xml(tag = "type")]
pub enum PciExtra {
    /// A virtual function of this physical one.
    #[xml(name = "phys_function")]
    PhysicalFunction(PciFunctions),
    /// Can have virtual functions.
    #[xml(name = "virt_functions")]
    VirtualFunctions(VirtualFunctions),
    /// A bridge to another bus.
    #[xml(name = "pci-bridge")]
    PciBridge(PciFunctions),
    /// A bridge to a CardBus.
    #[xml(name = "cardbus-bridge")]
    CardbusBridge(PciFunctions),
    /// Can be shared out by its driver.
    #[xml(name = "mdev_types")]
    MdevTypes(MdevTypes),
    /// What its maker wrote into it.
    Vpd(Vpd),
}

/// Addresses of functions; none in bridges.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct PciFunctions {
    /// The functions.
    #[xml(name = "address")]
    pub functions: Vec<PciFunction>,
}

/// `<address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub struct PciFunction {
    /// Its domain.
    #[xml(attr, with = "hex4")]
    pub domain: u32,
    /// Its bus.
    #[xml(attr, with = "hex2")]
    pub bus: u32,
    /// Its slot.
    #[xml(attr, with = "hex2")]
    pub slot: u32,
    /// Its function.
    #[xml(attr, with = "hex1")]
    pub function: u32,
}

/// `<capability type='virt_functions'>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct VirtualFunctions {
    /// How many there can be.
    #[xml(attr = "maxCount")]
    pub max: Option<u32>,
    /// Those that there are.
    #[xml(name = "address")]
    pub functions: Vec<PciFunction>,
}

/// `<iommuGroup>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct IommuGroup {
    /// The kernel's number for it.
    #[xml(attr)]
    pub number: u32,
    /// What is in it.
    #[xml(name = "address")]
    pub members: Vec<PciFunction>,
}

/// `<numa node='0'/>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct NumaNode {
    /// Its number.
    #[xml(attr)]
    pub node: u32,
}

/// `<pci-express>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct PciExpress {
    /// What the link can do, and what it does; none of a device inside the root complex.
    #[xml(name = "link")]
    pub links: Vec<PciLink>,
}

/// `<link>` of PCI Express.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct PciLink {
    /// What it can do, or what it does.
    #[xml(attr)]
    pub validity: LinkValidity,
    /// The port's number.
    #[xml(attr)]
    pub port: Option<u32>,
    /// GT/s.
    #[xml(attr)]
    pub speed: Option<String>,
    /// Lanes.
    #[xml(attr)]
    pub width: u32,
}

/// Which of the two links is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum LinkValidity {
    /// What it can do.
    Cap,
    /// What it does.
    Sta,
}

/// `<capability type='mdev_types'>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct MdevTypes {
    /// The kinds of parts it can be shared out in.
    #[xml(name = "type")]
    pub types: Vec<MdevType>,
}

/// `<type>` of mediated devices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct MdevType {
    /// The driver's name for it.
    #[xml(attr)]
    pub id: String,
    /// A name for people.
    pub name: Option<String>,
    /// How a part is talked with.
    #[xml(name = "deviceAPI")]
    pub api: String,
    /// How many more of it there can be.
    #[xml(name = "availableInstances")]
    pub available: u32,
}

/// `<capability type='vpd'>`: what the maker wrote into the device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Vpd {
    /// The product's name.
    pub name: String,
    /// Its fields.
    pub fields: Vec<VpdFields>,
}

/// `<fields>` of that.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct VpdFields {
    /// Who may write them.
    #[xml(attr)]
    pub access: VpdAccess,
    /// The level of changes.
    #[xml(name = "change_level")]
    pub change_level: Option<String>,
    /// The maker's number for itself.
    #[xml(name = "manufacture_id")]
    pub manufacture_id: Option<String>,
    /// The part's number.
    #[xml(name = "part_number")]
    pub part_number: Option<String>,
    /// The device's number.
    #[xml(name = "serial_number")]
    pub serial_number: Option<String>,
    /// What its owner calls it.
    #[xml(name = "asset_tag")]
    pub asset_tag: Option<String>,
    /// What the maker adds.
    #[xml(name = "vendor_field")]
    pub vendor: Vec<VpdIndexed>,
    /// What the machine adds.
    #[xml(name = "system_field")]
    pub system: Vec<VpdIndexed>,
}

/// Who may write fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum VpdAccess {
    /// Nobody.
    Readonly,
    /// The host.
    Readwrite,
}

/// A numbered field.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct VpdIndexed {
    /// Its letter or digit.
    #[xml(attr)]
    pub index: String,
    /// Its value.
    #[xml(text)]
    pub value: String,
}
