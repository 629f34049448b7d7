//! `<controller>`: what other devices are attached to.

use super::address::DeviceInfo;
use ferrovirt_xml::values::hex_plain;
use ferrovirt_xml::{Rest, Xml};

/// Kind of controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Xml)]
pub enum ControllerType {
    /// IDE.
    Ide,
    /// Floppy.
    Fdc,
    /// SCSI.
    Scsi,
    /// SATA.
    Sata,
    /// virtio-serial.
    VirtioSerial,
    /// Card readers.
    Ccid,
    /// USB.
    Usb,
    /// PCI.
    Pci,
}

/// `<target>` of a PCI controller.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct ControllerTarget {
    /// Chassis of a PCI bridge.
    #[xml(attr = "chassisNr")]
    pub chassis_nr: Option<u32>,
    /// Chassis of a PCI Express port.
    #[xml(attr)]
    pub chassis: Option<u32>,
    /// Port of a PCI Express port.
    #[xml(attr, with = "hex_plain")]
    pub port: Option<u32>,
    /// First bus of an expander.
    #[xml(attr = "busNr")]
    pub bus_nr: Option<u32>,
    /// Can devices be plugged while the guest runs?
    #[xml(attr, with = "ferrovirt_xml::values::on_off")]
    pub hotplug: Option<bool>,
}

/// `<controller>`: one controller.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Controller {
    /// Its kind.
    #[xml(attr = "type")]
    pub kind: ControllerType,
    /// Number among those of its kind; `normalize` fills it in.
    #[xml(attr)]
    pub index: Option<u32>,
    /// What the guest sees: `pcie-root-port`, `qemu-xhci`, `virtio-scsi`, …
    #[xml(attr)]
    pub model: Option<String>,
    /// Number of ports (virtio-serial, USB).
    #[xml(attr)]
    pub ports: Option<u32>,
    /// Number of interrupt vectors (virtio-serial).
    #[xml(attr)]
    pub vectors: Option<i32>,
    /// The device behind a PCI controller, by QEMU's name.
    #[xml(child = "model", attr = "name")]
    pub device: Option<String>,
    /// Numbers of a PCI controller.
    pub target: Option<ControllerTarget>,
    /// Alias, companion port, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Controller {
    /// A controller with its number and model, otherwise empty.
    pub fn new(kind: ControllerType, index: u32, model: Option<&str>) -> Self {
        Self {
            kind,
            index: Some(index),
            model: model.map(str::to_owned),
            ports: None,
            vectors: None,
            device: None,
            target: None,
            info: DeviceInfo::default(),
            rest: Rest::default(),
        }
    }

    /// Its number among those of its kind.
    pub fn number(&self) -> u32 {
        self.index.unwrap_or(0)
    }
}
