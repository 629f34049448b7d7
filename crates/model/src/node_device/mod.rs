//! `<device>`: a device of the host as clients see it. The daemon writes these documents; fields stand in the order in which
//! libvirt writes them.

mod drm;
mod net;
mod pci;
mod scsi;
mod storage;
mod system;
#[cfg(test)]
mod tests;
mod usb;

pub use drm::DrmCapability;
pub use net::{NetCapability, NetKind, NetKindOf, NetLink};
pub use pci::{
    IommuGroup, LinkValidity, MdevType, MdevTypes, NumaNode, PciCapability, PciClass, PciExpress, PciExtra,
    PciFunction, PciFunctions, PciId, PciLink, VirtualFunctions, Vpd, VpdAccess, VpdFields, VpdIndexed,
};
pub use scsi::{
    FcHost, ScsiCapability, ScsiGenericCapability, ScsiHostCapability, ScsiHostExtra, ScsiTargetCapability,
    VportOps,
};
pub use storage::{Removable, StorageCapability, StorageExtra};
pub use system::{Firmware, Hardware, SystemCapability};
pub use usb::{UsbDeviceCapability, UsbInterfaceCapability};

use ferrovirt_xml::{Form, Xml};

/// The whole document.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NodeDevice {
    /// The name that libvirt makes of the kernel's.
    pub name: String,
    /// Where it is in sysfs.
    pub path: Option<String>,
    /// Its node in `/dev`, then the links to it.
    #[xml(name = "devnode")]
    pub nodes: Vec<DevNode>,
    /// The nearest device above it that is a node device, too.
    pub parent: Option<String>,
    /// The driver that has it.
    #[xml(within = "driver", name = "name")]
    pub driver: Vec<String>,
    /// What it is.
    pub capability: Capability,
}

impl NodeDevice {
    /// The document as libvirt formats it, with a newline at its end.
    pub fn to_xml(&self) -> String {
        ferrovirt_xml::to_string("device", self, &Form::LIVE)
    }
}

/// `<devnode>`: a file in `/dev`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct DevNode {
    /// The node or a link to it.
    #[xml(attr = "type")]
    pub kind: DevNodeKind,
    /// Its path.
    #[xml(text)]
    pub path: String,
}

/// What a file in `/dev` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum DevNodeKind {
    /// The node.
    Dev,
    /// A link to it.
    Link,
}

/// `<capability>`: what a device is. PCI devices are larger than the others, hence the box.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
#[xml(tag = "type")]
pub enum Capability {
    /// The machine.
    System(SystemCapability),
    /// A function on a PCI bus.
    Pci(PciCapability),
    /// A device on a USB bus.
    #[xml(name = "usb_device")]
    UsbDevice(UsbDeviceCapability),
    /// One interface of it.
    Usb(UsbInterfaceCapability),
    /// A network device.
    Net(NetCapability),
    /// A SCSI controller.
    #[xml(name = "scsi_host")]
    ScsiHost(ScsiHostCapability),
    /// What a SCSI controller talks with.
    #[xml(name = "scsi_target")]
    ScsiTarget(ScsiTargetCapability),
    /// A SCSI device.
    Scsi(ScsiCapability),
    /// A disk.
    Storage(StorageCapability),
    /// The generic node of a SCSI device.
    #[xml(name = "scsi_generic")]
    ScsiGeneric(ScsiGenericCapability),
    /// A node of a graphics card.
    Drm(DrmCapability),
}
