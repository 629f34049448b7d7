//! What is found out at the start about devices of the host.

use ferrovirt_model::domain::HostdevUsb;

/// The node of a USB device whose place is known.
#[must_use]
pub fn node_of_usb(device: &HostdevUsb) -> Option<String> {
    let address = device.source.address?;
    Some(format!("/dev/bus/usb/{:03}/{:03}", address.bus, address.device))
}
