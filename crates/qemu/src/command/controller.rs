//! Controllers, kind by kind in libvirt's order. What the chipset has is not named.

use ferrovirt_model::domain::{Controller, ControllerType};

use super::json::Object;
use super::place::{alias, place};
use super::virtio::options;
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

/// What the root bus is told.
pub(super) fn root(context: &Context<'_>, args: &mut Arguments) {
    let mut controllers = context.doc.devices.controllers.iter();
    let Some(root) = controllers.find(|c| c.kind == ControllerType::Pci && c.number() == 0) else {
        return;
    };
    if let Some(size) = root.pcihole64 {
        let host = if context.chipset == Chipset::Q35 {
            "q35-pcihost"
        } else {
            "i440FX-pcihost"
        };
        args.add("-global", format!("{host}.pci-hole64-size={}K", size.0));
    }
    if let Some(hotplug) = root.target.as_ref().and_then(|target| target.hotplug) {
        let on = if hotplug { "on" } else { "off" };
        args.add("-global", format!("PIIX4_PM.acpi-root-pci-hotplug={on}"));
    }
}

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
    let boot = super::disk::floppy_boot(context);
    if floppy && context.chipset == Chipset::Q35 {
        let device = Object::driver("isa-fdc");
        args.device(boot.iter().fold(device, |device, (drive, index)| {
            device.number(&format!("bootindex{drive}"), *index)
        }));
    } else {
        for (drive, index) in boot {
            args.add("-global", format!("isa-fdc.bootindex{drive}={index}"));
        }
    }
}

fn one(context: &Context<'_>, controller: &Controller) -> Option<Object> {
    let id = alias(&controller.info);
    let model = controller.model.as_deref().unwrap_or_default();
    match controller.kind {
        ControllerType::Pci => pci(controller, model, id),
        ControllerType::Usb => usb(controller, model, id),
        ControllerType::Scsi => {
            let driver = controller.driver.unwrap_or_default();
            let thread = driver.iothread.map(|number| format!("iothread{number}"));
            Some(
                Object::driver(scsi_device(model)?)
                    .append(&options(Some(&driver.virtio)))
                    .maybe_text("iothread", thread.as_deref())
                    .text("id", id)
                    .maybe_number("num_queues", driver.queues)
                    .maybe_number("cmd_per_lun", driver.cmd_per_lun)
                    .maybe_number("max_sectors", driver.max_sectors)
                    .maybe_boolean("ioeventfd", driver.ioeventfd),
            )
        }
        ControllerType::Sata if context.chipset == Chipset::Q35 && controller.number() == 0 => None,
        ControllerType::Sata => Some(Object::driver("ahci").text("id", id)),
        ControllerType::VirtioSerial => {
            let suffix = model.strip_prefix("virtio").unwrap_or_default();
            Some(
                Object::driver(&format!("virtio-serial-pci{suffix}"))
                    .append(&options(controller.driver.as_ref().map(|driver| &driver.virtio)))
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
    let reserved = target.mem_reserve.map(|kib| kib.saturating_mul(1024));
    Some(match model {
        "pcie-root-port" | "pcie-switch-downstream-port" => Object::driver(device)
            .maybe_number("port", target.port)
            .maybe_number("chassis", target.chassis)
            .maybe_boolean("hotplug", target.hotplug)
            .maybe_unsigned("mem-reserve", reserved)
            .text("id", id),
        "pci-bridge" => Object::driver(device)
            .maybe_number("chassis_nr", target.chassis_nr)
            .maybe_unsigned("mem-reserve", reserved)
            .text("id", id),
        "pci-expander-bus" | "pcie-expander-bus" => Object::driver(device)
            .maybe_number("bus_nr", target.bus_nr)
            .text("id", id),
        "pcie-to-pci-bridge" | "dmi-to-pci-bridge" | "pcie-switch-upstream-port" => {
            Object::driver(device).text("id", id)
        }
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
