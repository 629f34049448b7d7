//! `<hostdev mode='subsystem'>`: devices of the host's buses that a guest gets for itself, PCI and USB.

use ferrovirt_xml::values::{hex1, hex2, hex4, on_off, yes_no};
use ferrovirt_xml::{Form, Xml};

/// Where a device sits on the host's PCI buses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Xml)]
pub struct HostPciAddress {
    /// Domain, 0 to 0xffff.
    #[xml(attr, with = "hex4", default)]
    pub domain: u32,
    /// Bus, 0 to 0xff.
    #[xml(attr, with = "hex2", default)]
    pub bus: u32,
    /// Slot, 0 to 0x1f.
    #[xml(attr, with = "hex2", default)]
    pub slot: u32,
    /// Function, 0 to 7.
    #[xml(attr, with = "hex1", default)]
    pub function: u32,
}

/// `0000:01:00.0`, as in sysfs.
impl std::fmt::Display for HostPciAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            domain,
            bus,
            slot,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{slot:02x}.{function:x}")
    }
}

/// How a PCI device reaches the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum HostPciDriverName {
    /// KVM's own way, which kernels have no longer.
    Kvm,
    /// VFIO.
    Vfio,
    /// Xen's.
    Xen,
}

/// `<driver>` of a PCI device: what drives it on the host while the guest has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct HostPciDriver {
    /// How it reaches the guest; QEMU knows VFIO only.
    #[xml(attr)]
    pub name: Option<HostPciDriverName>,
    /// Which of the kernel's VFIO drivers.
    #[xml(attr)]
    pub model: Option<String>,
}

/// What has to be undone when the guest lets go of a device; in state files only, as in libvirt's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct OriginalStates {
    /// It was bound to VFIO for this guest.
    #[xml(flag)]
    pub unbind: bool,
    /// It was entered in its driver as one more.
    #[xml(flag, name = "removeslot")]
    pub remove_slot: bool,
    /// The host looks for a driver anew.
    #[xml(flag)]
    pub reprobe: bool,
}

/// `<source>` of a PCI device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct HostPciSource {
    /// Where it is.
    pub address: HostPciAddress,
    /// What has to be undone.
    #[xml(when = "HostPciSource::shows_states")]
    pub origstates: Option<OriginalStates>,
}

impl HostPciSource {
    fn shows_states(&self, form: &Form) -> bool {
        *form == Form::STATUS
    }
}

/// A PCI device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct HostdevPci {
    /// Is it taken from its driver at the start and given back at the end?
    #[xml(attr, with = "yes_no")]
    pub managed: Option<bool>,
    /// Does it show its screen through QEMU?
    #[xml(attr, with = "on_off")]
    pub display: Option<bool>,
    /// Does it have a framebuffer before the guest's driver is there?
    #[xml(attr, with = "on_off")]
    pub ramfb: Option<bool>,
    /// What drives it meanwhile.
    pub driver: Option<HostPciDriver>,
    /// Which one.
    pub source: HostPciSource,
}

/// What to do when a USB device is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum HostdevStartupPolicy {
    /// Fail.
    Mandatory,
    /// Start without it, but fail when it is missing after a migration.
    Requisite,
    /// Go on without it.
    Optional,
}

/// Which resets of a guest reach a USB device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum UsbGuestReset {
    /// None.
    Off,
    /// Those before it was set up.
    Uninitialized,
    /// All.
    On,
}

/// A number of a vendor or product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub struct UsbId {
    /// The number.
    #[xml(attr, with = "hex4")]
    pub id: u32,
}

/// Where a device is on the host's USB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Xml)]
pub struct HostUsbAddress {
    /// Number of the bus.
    #[xml(attr)]
    pub bus: u32,
    /// Number that the device got when it was plugged in.
    #[xml(attr)]
    pub device: u32,
}

/// `<source>` of a USB device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct HostUsbSource {
    /// What to do when it is not there.
    #[xml(attr = "startupPolicy")]
    pub startup_policy: Option<HostdevStartupPolicy>,
    /// Which resets of the guest reach it.
    #[xml(attr = "guestReset")]
    pub guest_reset: Option<UsbGuestReset>,
    /// The guest runs without it.
    #[xml(attr, with = "yes_no", live)]
    pub missing: Option<bool>,
    /// Who made it.
    pub vendor: Option<UsbId>,
    /// What it is.
    pub product: Option<UsbId>,
    /// Where it is: given by the user, or found at the start.
    #[xml(when = "HostUsbSource::shows_address")]
    pub address: Option<HostUsbAddress>,
}

impl HostUsbSource {
    /// A device that is looked for by what it is has an address in a run only.
    fn shows_address(&self, form: &Form) -> bool {
        !form.inactive || self.vendor.is_none()
    }
}

/// A USB device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct HostdevUsb {
    /// Without effect: a USB device is always taken and given back.
    #[xml(attr, with = "yes_no")]
    pub managed: Option<bool>,
    /// Which one.
    pub source: HostUsbSource,
}

impl HostdevUsb {
    /// Both mean the same device, by its place if both know it.
    pub fn is_same(&self, other: &HostdevUsb) -> bool {
        match (self.source.address, other.source.address) {
            (Some(one), Some(another)) => one == another,
            _ => {
                self.source.vendor.is_some()
                    && self.source.vendor == other.source.vendor
                    && self.source.product == other.source.product
            }
        }
    }

    /// As messages name it: `001.002`, or its vendor and product.
    pub fn named(&self) -> String {
        match &self.source {
            HostUsbSource {
                address: Some(address),
                ..
            } => format!("{:03}.{:03}", address.bus, address.device),
            source => {
                let id = |id: Option<UsbId>| id.unwrap_or_default().id;
                format!(
                    "vendor=0x{:04x} product=0x{:04x}",
                    id(source.vendor),
                    id(source.product)
                )
            }
        }
    }
}
