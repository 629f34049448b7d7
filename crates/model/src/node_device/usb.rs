//! USB: devices and their interfaces.

use super::PciId;
use ferrovirt_xml::Xml;

/// `<capability type='usb_device'>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct UsbDeviceCapability {
    /// Its bus.
    pub bus: u32,
    /// Its number on the bus; another one each time it is plugged in.
    pub device: u32,
    /// What it is.
    pub product: PciId,
    /// Who made it.
    pub vendor: PciId,
}

/// `<capability type='usb'>`: an interface of a USB device.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct UsbInterfaceCapability {
    /// Its number within the device.
    pub number: u32,
    /// Its class.
    pub class: u32,
    /// Its subclass.
    pub subclass: u32,
    /// The protocol that it speaks.
    pub protocol: u32,
}
