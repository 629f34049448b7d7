//! Where a device sits in the machine, and what all devices have in common.

use ferrovirt_xml::values::{hex_plain, hex1, hex2, hex4, on_off, yes_no};
use ferrovirt_xml::{Form, Xml};

/// What all devices have: place in the boot order, alias, address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DeviceInfo {
    /// Place in the boot order, from 1.
    #[xml(child = "boot", attr = "order")]
    pub boot: Option<u32>,
    /// The device's name in QEMU. In the definition only if the user chose it (`ua-…`).
    #[xml(child = "alias", attr = "name", when = "DeviceInfo::shows_alias")]
    pub alias: Option<String>,
    /// Port of the USB controller that this one belongs to (companion controllers).
    #[xml(child = "master", attr = "startport")]
    pub master_startport: Option<u32>,
    /// Its option ROM (interfaces and host devices).
    pub rom: Option<Rom>,
    /// Its number for ACPI, by which guests name cards.
    #[xml(child = "acpi", attr = "index")]
    pub acpi_index: Option<u32>,
    /// Where it sits.
    pub address: Option<Address>,
}

/// `<rom>`: the code that a PCI device brings along for the firmware.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Rom {
    /// Is there one at all?
    #[xml(attr, with = "yes_no")]
    pub enabled: Option<bool>,
    /// Does the guest see it?
    #[xml(attr, with = "on_off")]
    pub bar: Option<bool>,
    /// A file to use instead of the device's own.
    #[xml(attr)]
    pub file: Option<String>,
}

impl DeviceInfo {
    fn shows_alias(&self, form: &Form) -> bool {
        !form.inactive || self.has_user_alias()
    }

    /// Did the user choose the alias?
    pub fn has_user_alias(&self) -> bool {
        self.alias
            .as_deref()
            .is_some_and(|alias| alias.starts_with("ua-"))
    }

    /// The address on a PCI bus, if that is what it has.
    pub fn pci(&self) -> Option<&PciAddress> {
        match &self.address {
            Some(Address::Pci(address)) => Some(address),
            _ => None,
        }
    }
}

/// `<address>`: where a device sits.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
#[xml(tag = "type")]
pub enum Address {
    /// On a PCI bus.
    Pci(PciAddress),
    /// On a disk controller.
    Drive(DriveAddress),
    /// On a virtio-serial controller.
    VirtioSerial(VirtioSerialAddress),
    /// On a USB bus.
    Usb(UsbAddress),
    /// At an I/O port.
    Isa(IsaAddress),
    /// In a card reader.
    Ccid(CcidAddress),
    /// In a slot for memory modules.
    Dimm(DimmAddress),
}

/// An address on a PCI bus. Without any number it means "some free slot".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub struct PciAddress {
    /// Domain, 0 to 0xffff.
    #[xml(attr, with = "hex4")]
    pub domain: Option<u32>,
    /// Bus, 0 to 0xff.
    #[xml(attr, with = "hex2")]
    pub bus: Option<u32>,
    /// Slot, 0 to 0x1f.
    #[xml(attr, with = "hex2")]
    pub slot: Option<u32>,
    /// Function, 0 to 7.
    #[xml(attr, with = "hex1")]
    pub function: Option<u32>,
    /// Are other functions on this slot used too?
    #[xml(attr, with = "on_off")]
    pub multifunction: Option<bool>,
}

impl PciAddress {
    /// The address in domain 0.
    pub fn new(bus: u32, slot: u32, function: u32) -> Self {
        Self {
            domain: Some(0),
            bus: Some(bus),
            slot: Some(slot),
            function: Some(function),
            multifunction: None,
        }
    }

    /// Does it name a place, or ask for any?
    pub fn is_given(&self) -> bool {
        self.domain.is_some() || self.bus.is_some() || self.slot.is_some() || self.function.is_some()
    }
}

/// `0000:00:02.0`
impl std::fmt::Display for PciAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |part: Option<u32>| part.unwrap_or(0);
        write!(
            f,
            "{:04x}:{:02x}:{:02x}.{:x}",
            number(self.domain),
            number(self.bus),
            number(self.slot),
            number(self.function)
        )
    }
}

/// An address on a disk controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub struct DriveAddress {
    /// Index of the controller.
    #[xml(attr, default)]
    pub controller: u32,
    /// Bus of the controller.
    #[xml(attr, default)]
    pub bus: u32,
    /// SCSI target.
    #[xml(attr, default)]
    pub target: u32,
    /// Unit on the bus.
    #[xml(attr, default)]
    pub unit: u32,
}

/// An address on a virtio-serial controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub struct VirtioSerialAddress {
    /// Index of the controller.
    #[xml(attr, default)]
    pub controller: u32,
    /// Bus of the controller.
    #[xml(attr, default)]
    pub bus: u32,
    /// Port on the bus.
    #[xml(attr, default)]
    pub port: u32,
}

/// An address on a USB bus.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Xml)]
pub struct UsbAddress {
    /// Index of the controller.
    #[xml(attr, default)]
    pub bus: u32,
    /// Port, with dots through hubs (`1.2`).
    #[xml(attr)]
    pub port: Option<String>,
}

/// An address on the ISA bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub struct IsaAddress {
    /// I/O port.
    #[xml(attr, with = "hex_plain")]
    pub iobase: Option<u32>,
    /// Interrupt.
    #[xml(attr, with = "hex_plain")]
    pub irq: Option<u32>,
}

/// A slot of a controller for card readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub struct CcidAddress {
    /// Index of the controller.
    #[xml(attr, default)]
    pub controller: u32,
    /// The slot.
    #[xml(attr, default)]
    pub slot: u32,
}

/// A slot for memory modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub struct DimmAddress {
    /// Which slot.
    #[xml(attr)]
    pub slot: Option<u32>,
    /// Where it begins in the guest's memory.
    #[xml(attr)]
    pub base: Option<super::MemoryBase>,
}
