//! `<hostdev>`: its mode fits its kind, its device is named, and no device of the host is there twice.

use super::{inconsistent, ip, unsupported};
use crate::domain::{
    Devices, HostPciAddress, Hostdev, HostdevKind, HostdevMode, HostdevPci, HostdevUsb, Interface,
};
use ferrovirt_xml::XmlError;

/// One device.
pub(super) fn normalize(hostdev: &mut Hostdev) -> Result<(), XmlError> {
    if hostdev.mode != hostdev.kind.mode() {
        let kind = hostdev.kind.tag();
        return Err(unsupported(match hostdev.mode {
            HostdevMode::Subsystem => format!("unknown host device source address type '{kind}'"),
            HostdevMode::Capabilities => format!("unknown host device type '{kind}'"),
        }));
    }
    match &mut hostdev.kind {
        HostdevKind::Storage(_) | HostdevKind::Misc(_) => Ok(()),
        HostdevKind::Net(net) => ip::normalize(ip::Whose::Hostdev, &mut net.ips, &mut net.routes),
        HostdevKind::Pci(pci) => normalize_pci(pci),
        HostdevKind::Usb(usb) => normalize_usb(usb),
    }
}

/// No device of a bus is there twice.
pub(super) fn check_unique(devices: &Devices) -> Result<(), XmlError> {
    let cards: Vec<Hostdev> = { devices.interfaces.iter() }
        .filter_map(Interface::as_hostdev)
        .collect();
    let of_bus: Vec<&HostdevKind> = { cards.iter() }
        .chain(&devices.hostdevs)
        .filter(|hostdev| hostdev.mode == HostdevMode::Subsystem)
        .map(|hostdev| &hostdev.kind)
        .collect();
    let twice = |(at, kind): (usize, &&HostdevKind)| of_bus[..at].iter().any(|before| before.is_same(kind));
    match of_bus.iter().enumerate().any(twice) {
        true => Err(inconsistent("Hostdev already exists in the domain configuration")),
        false => Ok(()),
    }
}

fn normalize_pci(pci: &mut HostdevPci) -> Result<(), XmlError> {
    pci.managed.get_or_insert(false);
    check_address(&pci.source.address)?;
    if pci.ramfb == Some(true) && pci.display != Some(true) {
        return Err(unsupported(
            "'ramfb' attribute of a host device is only supported with display='on'",
        ));
    }
    Ok(())
}

/// Where a device of the host can be.
pub(super) fn check_address(address: &HostPciAddress) -> Result<(), XmlError> {
    let limits = [
        ("domain", address.domain, 0xffff_u32),
        ("bus", address.bus, 0xff),
        ("slot", address.slot, 0x1f),
        ("function", address.function, 7),
    ];
    if let Some((name, value, limit)) = limits.into_iter().find(|(_, value, limit)| value > limit) {
        let text = format!("Invalid PCI address {name}='0x{value:x}', must be <= 0x{limit:X}");
        return Err(inconsistent(text));
    }
    if (address.domain, address.bus, address.slot) == (0, 0, 0) {
        let text = "Invalid PCI address 0000:00:00, at least one of domain, bus, or slot must be > 0";
        return Err(inconsistent(text));
    }
    Ok(())
}

fn normalize_usb(usb: &mut HostdevUsb) -> Result<(), XmlError> {
    usb.managed.get_or_insert(false);
    let source = &usb.source;
    match (source.vendor, source.product, source.address) {
        (Some(_), None, _) => Err(inconsistent("missing product")),
        (None, Some(_), _) => Err(inconsistent("missing vendor")),
        (None, None, None) => Err(inconsistent(
            "USB host device: vendor and product, or an address must be specified",
        )),
        (Some(vendor), ..) if vendor.id == 0 => Err(inconsistent("vendor cannot be 0.")),
        _ => Ok(()),
    }
}
