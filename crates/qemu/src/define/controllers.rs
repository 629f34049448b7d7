//! Controllers: what the chipset has, and what devices need. Their order is libvirt's: by kind as they came,
//! within a kind by number.

use std::collections::BTreeSet;

use ferrovirt_model::domain::{
    Address, ChannelTargetType, Controller, ControllerType, DiskBus, DiskDevice, Domain, DriveAddress,
    InputBus, SoundModel,
};

use super::controller_check;
use super::machine::Chipset;
use crate::capabilities::Emulator;
use crate::error::{Error, Result};

/// Settles `<controller>`.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator, chipset: Chipset) -> Result<()> {
    sort(&mut doc.devices.controllers);
    number(&mut doc.devices.controllers);
    chipset_controllers(doc, emulator, chipset);
    disk_addresses(doc)?;
    for_disks(doc);
    for_channels(doc);
    for index in 0..doc.devices.controllers.len() {
        models(doc, index, emulator, chipset)?;
        controller_check::tidy(&mut doc.devices.controllers[index]);
        controller_check::check(&doc.devices.controllers[index], doc)?;
    }
    usb_masters(&doc.devices.controllers)?;
    if doc.devices.controllers.iter().any(no_usb) && uses_usb(doc) {
        return Err(Error::unsupported(
            "USB is disabled for this domain, but USB devices are present in the domain XML",
        ));
    }
    Ok(())
}

/// A companion has its master, and where USB is off there is no other controller.
fn usb_masters(controllers: &[Controller]) -> Result<()> {
    let usb: Vec<&Controller> = controllers
        .iter()
        .filter(|c| c.kind == ControllerType::Usb)
        .collect();
    if usb.len() > 1 && usb.iter().any(|c| no_usb(c)) {
        return Err(Error::unsupported(
            "Can't add another USB controller: USB is disabled for this domain (model 'none')",
        ));
    }
    let mut companions = usb.iter().filter(|c| c.info.master_startport.is_some());
    if let Some(companion) = companions.next()
        && usb.iter().all(|c| c.info.master_startport.is_some())
    {
        let model = companion.model.as_deref().unwrap_or_default();
        return Err(Error::unsupported(format!(
            "No master USB controller specified for '{model}' with index {}",
            companion.number()
        )));
    }
    Ok(())
}

/// The first port of the master that a companion by its model has.
fn start_port(model: &str) -> Option<u32> {
    match model {
        "ich9-uhci1" => Some(0),
        "ich9-uhci2" => Some(2),
        "ich9-uhci3" => Some(4),
        _ => None,
    }
}

pub(super) fn no_usb(controller: &Controller) -> bool {
    controller.kind == ControllerType::Usb && controller.model.as_deref() == Some("none")
}

fn uses_usb(doc: &Domain) -> bool {
    doc.devices
        .inputs
        .iter()
        .any(|input| input.bus == Some(InputBus::Usb))
        || !doc.devices.hubs.is_empty()
        || doc
            .devices
            .controllers
            .iter()
            .any(|controller| controller.kind == ControllerType::Ccid)
        || doc
            .devices
            .disks
            .iter()
            .any(|disk| disk.target.bus == Some(DiskBus::Usb))
        || !doc.devices.redirdevs.is_empty()
        || { doc.devices.interfaces.iter() }.any(|card| card.model.as_deref() == Some("usb-net"))
        || { doc.devices.sounds.iter() }.any(|sound| sound.model == SoundModel::Usb)
        || doc
            .devices
            .serials
            .iter()
            .any(|s| s.target.as_ref().and_then(|t| t.kind.as_deref()) == Some("usb-serial"))
}

/// Puts a controller where libvirt would: after its kind's lower numbers, else at the end.
pub(super) fn insert(controllers: &mut Vec<Controller>, controller: Controller) {
    let mut place = None;
    let index = controller.index.map_or(-1, i64::from);
    for (at, other) in controllers.iter().enumerate().rev() {
        if other.kind != controller.kind {
            continue;
        }
        if other.index.map_or(-1, i64::from) > index {
            place = Some(at);
        } else if place.is_none() {
            place = Some(at + 1);
        }
    }
    controllers.insert(place.unwrap_or(controllers.len()), controller);
}

/// USB controllers stand in the order of their numbers, companions behind the one whose they are.
fn sort(controllers: &mut [Controller]) {
    let usb = |controller: &Controller| controller.kind == ControllerType::Usb;
    let rank = |controller: &Controller| {
        let companion = controller.model.as_deref().and_then(start_port).is_some();
        (controller.index, companion)
    };
    let places: Vec<usize> = (0..controllers.len())
        .filter(|at| usb(&controllers[*at]))
        .collect();
    let mut sorted: Vec<Controller> = places.iter().map(|at| controllers[*at].clone()).collect();
    sorted.sort_by_key(rank);
    for (at, controller) in places.into_iter().zip(sorted) {
        controllers[at] = controller;
    }
}

/// Gives those without a number the next one of their kind. A companion of a USB controller has its master's.
fn number(controllers: &mut [Controller]) {
    for at in 0..controllers.len() {
        if controllers[at].index.is_some() {
            continue;
        }
        let kind = controllers[at].kind;
        let companion = |c: &Controller| {
            c.kind == ControllerType::Usb
                && c.model
                    .as_deref()
                    .is_some_and(|model| model.starts_with("ich9-uhci"))
        };
        let taken: Vec<u32> = controllers
            .iter()
            .filter(|c| c.kind == kind)
            .filter_map(|c| c.index)
            .collect();
        let index = if companion(&controllers[at]) && !taken.is_empty() {
            let master = controllers
                .iter()
                .rev()
                .find(|c| c.model.as_deref() == Some("ich9-ehci1"));
            master.and_then(|c| c.index).unwrap_or(taken[taken.len() - 1])
        } else {
            (0..).find(|index| !taken.contains(index)).unwrap_or(0)
        };
        controllers[at].index = Some(index);
    }
}

fn has(doc: &Domain, kind: ControllerType, index: u32) -> bool {
    doc.devices
        .controllers
        .iter()
        .any(|c| c.kind == kind && c.number() == index)
}

pub(super) fn ensure(doc: &mut Domain, kind: ControllerType, index: u32, model: Option<&str>) {
    if !has(doc, kind, index) {
        insert(&mut doc.devices.controllers, Controller::new(kind, index, model));
    }
}

fn chipset_controllers(doc: &mut Domain, emulator: &Emulator, chipset: Chipset) {
    ensure(doc, ControllerType::Usb, 0, Some(own_usb(emulator, chipset)));
    match chipset {
        Chipset::Q35 => {
            ensure(doc, ControllerType::Sata, 0, None);
            ensure(doc, ControllerType::Pci, 0, Some("pcie-root"));
        }
        Chipset::I440fx => ensure(doc, ControllerType::Pci, 0, Some("pci-root")),
    }
}

/// How many units one bus of a controller has, and how many buses.
fn shape(bus: DiskBus) -> Option<(ControllerType, u32, u32)> {
    Some(match bus {
        DiskBus::Ide => (ControllerType::Ide, 2, 2),
        DiskBus::Sata => (ControllerType::Sata, 1, 6),
        DiskBus::Scsi => (ControllerType::Scsi, 1, 7),
        DiskBus::Fdc => (ControllerType::Fdc, 1, 2),
        _ => return None,
    })
}

/// A disk's place on its controller follows from its name.
fn disk_addresses(doc: &mut Domain) -> Result<()> {
    let mut taken: Vec<(DiskBus, DriveAddress)> = Vec::new();
    for disk in &mut doc.devices.disks {
        let Some(bus) = disk.target.bus else { continue };
        let Some((_, buses, units)) = shape(bus) else {
            continue;
        };
        let address = match &disk.info.address {
            Some(Address::Drive(given)) => *given,
            Some(_) => {
                return Err(Error::unsupported(format!(
                    "invalid address type for disk '{}'",
                    disk.target.dev
                )));
            }
            None => {
                let index = super::disk::device_index(&disk.target.dev).unwrap_or(0);
                let (controller, rest) = (index / (buses * units), index % (buses * units));
                DriveAddress {
                    controller,
                    bus: rest / units,
                    target: 0,
                    unit: rest % units,
                }
            }
        };
        if bus == DiskBus::Ide && address.controller > 0 {
            return Err(Error::unsupported(format!(
                "Only 1 IDE controller is supported, disk '{}' needs another",
                disk.target.dev
            )));
        }
        if taken.contains(&(bus, address)) {
            return Err(Error::Xml(
                "Found duplicate drive address for disk with target name '".to_owned()
                    + &disk.target.dev
                    + &format!(
                        "' controller='{}' bus='{}' target='{}' unit='{}'",
                        address.controller, address.bus, address.target, address.unit
                    ),
            ));
        }
        taken.push((bus, address));
        disk.info.address = Some(Address::Drive(address));
    }
    Ok(())
}

/// Controllers that disks hang on, in libvirt's order of kinds.
fn for_disks(doc: &mut Domain) {
    for bus in [DiskBus::Scsi, DiskBus::Fdc, DiskBus::Ide, DiskBus::Sata] {
        let Some((kind, ..)) = shape(bus) else { continue };
        let highest = doc
            .devices
            .disks
            .iter()
            .filter(|disk| {
                disk.target.bus == Some(bus)
                    && (kind != ControllerType::Fdc || disk.device == DiskDevice::Floppy)
            })
            .filter_map(|disk| match &disk.info.address {
                Some(Address::Drive(address)) => Some(address.controller),
                _ => None,
            })
            .max();
        if let Some(highest) = highest {
            for index in 0..=highest {
                ensure(doc, kind, index, None);
            }
        }
    }
}

/// virtio-serial controllers for channels and consoles.
fn for_channels(doc: &mut Domain) {
    let virtio_console = |kind: Option<&str>| kind == Some("virtio");
    let infos = doc
        .devices
        .channels
        .iter()
        .filter(|channel| channel.target.kind == ChannelTargetType::Virtio)
        .map(|channel| &channel.info)
        .chain(
            doc.devices
                .consoles
                .iter()
                .filter(|console| virtio_console(console.target.as_ref().and_then(|t| t.kind.as_deref())))
                .map(|console| &console.info),
        );
    let wanted = infos.map(|info| match &info.address {
        Some(Address::VirtioSerial(address)) => address.controller,
        _ => 0,
    });
    for index in wanted.collect::<BTreeSet<_>>() {
        ensure(doc, ControllerType::VirtioSerial, index, None);
    }
}

/// The model of a controller that has none, and whether this driver has the one it has.
fn models(doc: &mut Domain, at: usize, emulator: &Emulator, chipset: Chipset) -> Result<()> {
    let controller = &mut doc.devices.controllers[at];
    let unsupported = |kind: &str, model: &str| {
        Err(Error::unsupported(format!(
            "{kind} controller model '{model}' is not supported"
        )))
    };
    match controller.kind {
        ControllerType::Usb => {
            let model = controller.model.get_or_insert_with(|| USB.to_owned());
            if let Some(port) = start_port(model) {
                controller.info.master_startport.get_or_insert(port);
            }
            if model != "none" && usb_device(model).is_none_or(|device| !emulator.has(device)) {
                return unsupported("USB", model);
            }
            if let Some(ports) = controller.ports.filter(|ports| *ports > XHCI_PORTS)
                && model.ends_with("-xhci")
            {
                return Err(Error::unsupported(format!(
                    "'{model}' controller only supports up to '{XHCI_PORTS}' ports, not {ports}"
                )));
            }
        }
        ControllerType::Scsi => {
            if controller.model.as_deref() == Some("auto") {
                controller.model = None;
            }
            let model = controller.model.get_or_insert_with(|| "lsilogic".to_owned());
            if scsi_device(model).is_none_or(|device| !has_scsi(emulator, device)) {
                return unsupported("SCSI", model);
            }
        }
        ControllerType::Pci => pci(controller, chipset)?,
        ControllerType::Ide if chipset == Chipset::Q35 => {
            return Err(Error::unsupported(
                "IDE controllers are unsupported for this QEMU binary or machine type",
            ));
        }
        ControllerType::Ide if controller.number() > 0 => {
            return Err(Error::unsupported(
                "Only a single IDE controller is supported for this machine type",
            ));
        }
        ControllerType::Fdc if controller.number() > 0 => {
            return Err(Error::unsupported("Only a single fdc controller is supported"));
        }
        ControllerType::VirtioSerial => {
            if let Some(model) = controller.model.as_deref()
                && !matches!(
                    model,
                    "virtio" | "virtio-transitional" | "virtio-non-transitional"
                )
            {
                return unsupported("virtio-serial", model);
            }
        }
        _ => {}
    }
    Ok(())
}

/// The model of a USB controller that was asked for without one.
const USB: &str = "piix3-uhci";

/// As many ports as QEMU's xHCI controllers have at most.
const XHCI_PORTS: u32 = 15;

/// The model of the USB controller that a guest gets without asking.
fn own_usb(emulator: &Emulator, chipset: Chipset) -> &'static str {
    let order: &[&str] = match chipset {
        Chipset::Q35 => &["qemu-xhci", "nec-xhci", "ich9-ehci1", USB],
        Chipset::I440fx => &[USB],
    };
    order
        .iter()
        .find(|model| usb_device(model).is_some_and(|device| emulator.has(device)))
        .copied()
        .unwrap_or("none")
}

/// QEMU's device for a model of USB controller.
pub(crate) fn usb_device(model: &str) -> Option<&'static str> {
    Some(match model {
        "piix3-uhci" => "piix3-usb-uhci",
        "piix4-uhci" => "piix4-usb-uhci",
        "ehci" => "usb-ehci",
        "ich9-ehci1" => "ich9-usb-ehci1",
        "ich9-uhci1" => "ich9-usb-uhci1",
        "ich9-uhci2" => "ich9-usb-uhci2",
        "ich9-uhci3" => "ich9-usb-uhci3",
        "vt82c686b-uhci" => "vt82c686b-usb-uhci",
        "pci-ohci" => "pci-ohci",
        "nec-xhci" => "nec-usb-xhci",
        "qemu-xhci" => "qemu-xhci",
        _ => return None,
    })
}

/// Whether QEMU has the device; one is there by another name.
fn has_scsi(emulator: &Emulator, device: &str) -> bool {
    emulator.has(device) || device == "lsi" && emulator.has("lsi53c895a")
}

/// QEMU's device for a model of SCSI controller.
pub(crate) fn scsi_device(model: &str) -> Option<&'static str> {
    Some(match model {
        "lsilogic" => "lsi",
        "dc390" => "dc390",
        "am53c974" => "am53c974",
        "vmpvscsi" => "pvscsi",
        "lsisas1078" => "megasas",
        "lsisas1068" => "mptsas1068",
        "virtio-scsi" => "virtio-scsi-pci",
        "virtio-transitional" => "virtio-scsi-pci-transitional",
        "virtio-non-transitional" => "virtio-scsi-pci-non-transitional",
        _ => return None,
    })
}

fn pci(controller: &Controller, chipset: Chipset) -> Result<()> {
    let index = controller.number();
    let model = controller.model.as_deref().unwrap_or_default();
    let root = match chipset {
        Chipset::Q35 => "pcie-root",
        Chipset::I440fx => "pci-root",
    };
    if index == 0 && model != root {
        return Err(Error::unsupported(format!(
            "The PCI controller with index=0 must be model='{root}' for this machine type, but model='{model}' was found instead"
        )));
    }
    let known = match chipset {
        Chipset::Q35 => matches!(
            model,
            "pcie-root-port"
                | "pcie-to-pci-bridge"
                | "pci-bridge"
                | "dmi-to-pci-bridge"
                | "pcie-switch-upstream-port"
                | "pcie-switch-downstream-port"
                | "pcie-expander-bus"
        ),
        Chipset::I440fx => matches!(model, "pci-bridge" | "pci-expander-bus"),
    };
    if index > 0 && !known {
        return Err(Error::unsupported(format!(
            "PCI controller model '{model}' is not supported for this machine type"
        )));
    }
    controller_check::pci(controller, chipset == Chipset::I440fx)
}
