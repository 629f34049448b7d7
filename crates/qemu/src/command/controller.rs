//! Controllers, kind by kind in libvirt's order. What the chipset has is not named.

use ferrovirt_model::domain::{Controller, ControllerType};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context};
use crate::define::{Chipset, scsi_device, usb_device};

const ORDER: [ControllerType; 7] = [
    ControllerType::Pci,
    ControllerType::Usb,
    ControllerType::Scsi,
    ControllerType::Ide,
    ControllerType::Sata,
    ControllerType::VirtioSerial,
    ControllerType::Ccid,
];

/// All controllers.
pub(super) fn all(context: &Context<'_>, args: &mut Arguments) {
    for kind in ORDER {
        for controller in context.doc.devices.controllers.iter().filter(|c| c.kind == kind) {
            if let Some(object) = one(context, controller) {
                args.device(object.append(&place(context.doc, &controller.info)));
            }
        }
    }
    // q35 has no floppy controller of its own.
    let floppy = context
        .doc
        .devices
        .controllers
        .iter()
        .any(|c| c.kind == ControllerType::Fdc);
    if floppy && context.chipset == Chipset::Q35 {
        args.device(Object::driver("isa-fdc"));
    }
}

fn one(context: &Context<'_>, controller: &Controller) -> Option<Object> {
    let id = alias(&controller.info);
    let model = controller.model.as_deref().unwrap_or_default();
    match controller.kind {
        ControllerType::Pci => pci(controller, model, id),
        ControllerType::Usb => usb(controller, model, id),
        ControllerType::Scsi => Some(Object::driver(scsi_device(model)?).text("id", id)),
        ControllerType::Sata if context.chipset == Chipset::Q35 && controller.number() == 0 => None,
        ControllerType::Sata => Some(Object::driver("ahci").text("id", id)),
        ControllerType::VirtioSerial => {
            let suffix = model.strip_prefix("virtio").unwrap_or_default();
            Some(
                Object::driver(&format!("virtio-serial-pci{suffix}"))
                    .text("id", id)
                    .maybe_number("max_ports", controller.ports)
                    .maybe_number("vectors", controller.vectors),
            )
        }
        ControllerType::Ccid => Some(Object::driver("usb-ccid").text("id", id)),
        ControllerType::Ide | ControllerType::Fdc => None,
    }
}

fn pci(controller: &Controller, model: &str, id: &str) -> Option<Object> {
    let target = controller.target.clone().unwrap_or_default();
    let device = controller.device.as_deref().unwrap_or(model);
    Some(match model {
        "pcie-root-port" => Object::driver(device)
            .maybe_number("port", target.port)
            .maybe_number("chassis", target.chassis)
            .maybe_boolean("hotplug", target.hotplug)
            .text("id", id),
        "pci-bridge" => Object::driver(device)
            .maybe_number("chassis_nr", target.chassis_nr)
            .text("id", id),
        "pcie-to-pci-bridge" | "dmi-to-pci-bridge" => Object::driver(device).text("id", id),
        _ => return None,
    })
}

fn usb(controller: &Controller, model: &str, id: &str) -> Option<Object> {
    let object = Object::driver(usb_device(model)?);
    let object = match (model, controller.ports) {
        ("qemu-xhci" | "nec-xhci", Some(ports)) => object.number("p2", ports).number("p3", ports),
        _ => object,
    };
    Some(match controller.info.master_startport {
        // A companion shares its master's bus and has no name of its own.
        Some(port) => object
            .text("masterbus", &format!("{id}.0"))
            .number("firstport", port),
        None => object.text("id", id),
    })
}
