//! Where a device sits, in QEMU's words.

use ferrovirt_model::domain::{Address, ControllerType, DeviceInfo, Domain};

use super::json::Object;

/// `"bus": …, "addr": …` of a device.
pub(super) fn place(doc: &Domain, info: &DeviceInfo) -> Object {
    match &info.address {
        Some(Address::Pci(address)) => {
            let function = address.function.unwrap_or(0);
            let slot = address.slot.unwrap_or(0);
            let addr = if function == 0 {
                format!("{slot:#x}")
            } else {
                format!("{slot:#x}.{function:#x}")
            };
            Object::default()
                .text("bus", &bus(doc, address.bus.unwrap_or(0)))
                .maybe_boolean("multifunction", address.multifunction)
                .text("addr", &addr)
                .maybe_number("acpi-index", info.acpi_index)
        }
        Some(Address::Usb(address)) => Object::default()
            .text(
                "bus",
                &format!("{}.0", controller_alias(doc, ControllerType::Usb, address.bus)),
            )
            .maybe_text("port", address.port.as_deref()),
        Some(Address::VirtioSerial(address)) => Object::default()
            .text(
                "bus",
                &format!(
                    "{}.{}",
                    controller_alias(doc, ControllerType::VirtioSerial, address.controller),
                    address.bus
                ),
            )
            .number("nr", address.port),
        _ => Object::default(),
    }
}

/// QEMU's name of a PCI bus.
fn bus(doc: &Domain, number: u32) -> String {
    controller_alias(doc, ControllerType::Pci, number)
}

/// The alias of a controller, which names its bus.
pub(super) fn controller_alias(doc: &Domain, kind: ControllerType, number: u32) -> String {
    doc.devices
        .controllers
        .iter()
        .find(|c| c.kind == kind && c.number() == number && c.info.master_startport.is_none())
        .and_then(|c| c.info.alias.clone())
        .unwrap_or_else(|| format!("pci.{number}"))
}

/// The device's alias; documents that were prepared have them all.
pub(super) fn alias(info: &DeviceInfo) -> &str {
    info.alias.as_deref().unwrap_or_default()
}
