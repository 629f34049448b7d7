//! `-device` for devices of the host: `vfio-pci` and `usb-host`.

use ferrovirt_model::domain::{
    DeviceInfo, Domain, Hostdev, HostdevKind, HostdevPci, HostdevUsb, Interface, Rom, UsbGuestReset,
};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context};
use crate::live::hostdev::node_of_usb;

/// All devices of the host.
pub(super) fn all(context: &Context<'_>, args: &mut Arguments) {
    for (at, interface) in context.doc.devices.interfaces.iter().enumerate() {
        if let Some(device) = card(context.doc, interface, context.boot.network.filter(|_| at == 0)) {
            args.device(device);
        }
    }
    for hostdev in &context.doc.devices.hostdevs {
        if let Some(device) = device(context.doc, hostdev) {
            args.device(device);
        }
    }
}

/// A network card that is a device of the host; `boot` is its turn, if it has none of its own.
pub(crate) fn card(doc: &Domain, interface: &Interface, boot: Option<u32>) -> Option<Object> {
    let mut hostdev = interface.as_hostdev()?;
    hostdev.info.boot = hostdev.info.boot.or(boot);
    let HostdevKind::Pci(device) = &hostdev.kind else {
        return None;
    };
    let teaming = interface.teaming.as_ref();
    let partner = teaming.and_then(|teaming| teaming.persistent.as_deref());
    Some(pci(doc, &hostdev.info, device, partner))
}

/// One device; `None` for one that is missing and may be.
pub(crate) fn device(doc: &Domain, hostdev: &Hostdev) -> Option<Object> {
    match &hostdev.kind {
        HostdevKind::Pci(device) => Some(pci(doc, &hostdev.info, device, None)),
        HostdevKind::Usb(device) if device.source.missing == Some(true) => None,
        HostdevKind::Usb(device) => Some(usb(doc, &hostdev.info, device)),
        // Refused when a guest is defined.
        HostdevKind::Storage(_) | HostdevKind::Misc(_) | HostdevKind::Net(_) => None,
    }
}

fn pci(doc: &Domain, info: &DeviceInfo, device: &HostdevPci, partner: Option<&str>) -> Object {
    let driver = match device.ramfb {
        Some(true) => "vfio-pci-nohotplug",
        _ => "vfio-pci",
    };
    let on_off = |on: bool| if on { "on" } else { "off" };
    Object::driver(driver)
        .text("host", &device.source.address.to_string())
        .text("id", alias(info))
        .maybe_text("failover_pair_id", partner)
        .maybe_number("bootindex", info.boot)
        .maybe_text("display", device.display.map(on_off))
        .maybe_boolean("ramfb", device.ramfb.filter(|on| *on))
        .append(&place(doc, info))
        .append(&rom(info.rom.as_ref()))
}

fn usb(doc: &Domain, info: &DeviceInfo, device: &HostdevUsb) -> Object {
    let node = node_of_usb(device);
    let mut object = Object::driver("usb-host")
        .maybe_text("hostdevice", node.as_deref())
        .text("id", alias(info));
    if let Some(reset) = device.source.guest_reset {
        object = object
            .boolean("guest-reset", reset != UsbGuestReset::Off)
            .boolean("guest-resets-all", reset == UsbGuestReset::On);
    }
    object
        .maybe_number("bootindex", info.boot)
        .append(&place(doc, info))
}

/// A device's option ROM, of a card or of a device of the host.
pub(super) fn rom(rom: Option<&Rom>) -> Object {
    let Some(rom) = rom else { return Object::default() };
    if rom.enabled == Some(false) {
        return Object::default().text("romfile", "");
    }
    Object::default()
        .maybe_number("rombar", rom.bar.map(u32::from))
        .maybe_text("romfile", rom.file.as_deref())
}
