//! What a controller cannot be told, in libvirt's words.

use ferrovirt_model::domain::{Address, Controller, ControllerType, DiskBus, Domain};

use super::needs;
use crate::error::{Error, Result};

type Wrong = (bool, String);

fn first(wrongs: impl IntoIterator<Item = Wrong>) -> Result<()> {
    match wrongs.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, text)) => Err(Error::Unsupported(text)),
        None => Ok(()),
    }
}

/// Drops what says nothing.
pub(super) fn tidy(controller: &mut Controller) {
    if let Some(driver) = &mut controller.driver {
        for value in [
            &mut driver.queues,
            &mut driver.cmd_per_lun,
            &mut driver.max_sectors,
            &mut driver.iothread,
        ] {
            value.take_if(|value| *value == 0);
        }
    }
    controller.driver.take_if(|driver| *driver == Default::default());
}

/// Refuses a controller that cannot be.
pub(super) fn check(controller: &Controller, doc: &Domain) -> Result<()> {
    let model = controller.model.as_deref().unwrap_or_default();
    let kind = controller.kind;
    let scsi = kind == ControllerType::Scsi;
    let virtio_scsi = scsi && model.starts_with("virtio");
    let virtio = virtio_scsi || kind == ControllerType::VirtioSerial;
    let driver = controller.driver.unwrap_or_default();
    let only = |name: &str| format!("'{name}' is only supported by virtio-scsi controller");
    let thread = driver.iothread.unwrap_or(0);
    let ide_model = !model.is_empty()
        && matches!(
            kind,
            ControllerType::Ide | ControllerType::Sata | ControllerType::Fdc | ControllerType::Ccid
        );
    first([
        (
            ide_model,
            format!("{kind} controller model '{model}' is not supported"),
        ),
        (driver.queues.is_some() && !virtio_scsi, only("queues")),
        (driver.cmd_per_lun.is_some() && !virtio_scsi, only("cmd_per_lun")),
        (driver.max_sectors.is_some() && !virtio_scsi, only("max_sectors")),
        (driver.ioeventfd.is_some() && !virtio_scsi, only("ioeventfd")),
        (
            driver.iothread.is_some() && !virtio_scsi,
            "'iothread' attribute only supported for virtio scsi controllers".to_owned(),
        ),
        (
            driver.iothread.is_some() && !needs::has_iothread(doc, thread),
            format!("controller iothread '{thread}' not defined in iothreadid"),
        ),
        (
            !virtio && !driver.virtio.is_empty(),
            format!(
                "virtio options of <driver> are only supported for virtio devices, not for controller '{kind}'"
            ),
        ),
        (
            controller.ports.is_some() && !matches!(kind, ControllerType::VirtioSerial | ControllerType::Usb),
            format!("attribute 'ports' is not supported for controller '{kind}'"),
        ),
        (
            controller.vectors.is_some() && kind != ControllerType::VirtioSerial,
            format!("attribute 'vectors' is not supported for controller '{kind}'"),
        ),
        (
            (controller.target.is_some() || controller.device.is_some() || controller.pcihole64.is_some())
                && kind != ControllerType::Pci,
            format!("<target>, <model> and <pcihole64> are not supported for controller '{kind}'"),
        ),
        (
            controller.pcihole64.is_some() && controller.number() > 0,
            "<pcihole64> is only supported for the root bus".to_owned(),
        ),
    ])?;
    targets(controller, doc)
}

/// Units of an lsilogic controller have no targets.
fn targets(controller: &Controller, doc: &Domain) -> Result<()> {
    let model = controller.model.as_deref().unwrap_or_default();
    let lsilogic = controller.kind == ControllerType::Scsi && model == "lsilogic";
    let far = doc.devices.disks.iter().any(|disk| match &disk.info.address {
        Some(Address::Drive(at)) => {
            disk.target.bus == Some(DiskBus::Scsi) && at.controller == controller.number() && at.target > 0
        }
        _ => false,
    });
    first([(
        lsilogic && far,
        format!("target must be 0 for controller model '{model}'"),
    )])
}

/// QEMU's devices for a model of PCI controller, the usual one first.
pub(super) fn pci_devices(model: &str) -> &'static [&'static str] {
    match model {
        "pcie-root-port" => &["pcie-root-port", "ioh3420"],
        "pcie-to-pci-bridge" => &["pcie-pci-bridge"],
        "pci-bridge" => &["pci-bridge"],
        "dmi-to-pci-bridge" => &["i82801b11-bridge"],
        "pcie-switch-upstream-port" => &["x3130-upstream"],
        "pcie-switch-downstream-port" => &["xio3130-downstream"],
        "pci-expander-bus" => &["pxb"],
        "pcie-expander-bus" => &["pxb-pcie"],
        _ => &[],
    }
}

/// Numbers that a PCI controller cannot have.
pub(super) fn pci(controller: &Controller, pc: bool) -> Result<()> {
    let model = controller.model.as_deref().unwrap_or_default();
    let index = controller.number();
    let target = controller.target.clone().unwrap_or_default();
    let port = matches!(model, "pcie-root-port" | "pcie-switch-downstream-port");
    let bridge = model == "pci-bridge";
    let expander = matches!(model, "pci-expander-bus" | "pcie-expander-bus");
    let device = controller.device.as_deref();
    let invalid = |name: &str| {
        format!("Option '{name}' is not valid for PCI controller with index '{index}', model '{model}'")
    };
    let range = |name: &str, value: Option<u32>, low: u32| {
        let value = value.unwrap_or(low);
        let text = format!("PCI controller {name} '{value}' out of range - must be {low}-255");
        (!(low..=255).contains(&value), text)
    };
    first([
        range("chassisNr", target.chassis_nr, 1),
        range("chassis", target.chassis, 0),
        range("port", target.port, 0),
        range("busNr", target.bus_nr, 1),
        (
            device.is_some_and(|device| !pci_devices(model).contains(&device)),
            format!(
                "Option 'modelName' has invalid value for PCI controller with index '{index}', model '{model}' and modelName '{}'",
                device.unwrap_or_default()
            ),
        ),
        (target.chassis_nr.is_some() && !bridge, invalid("chassisNr")),
        (target.chassis.is_some() && !port, invalid("chassis")),
        (target.port.is_some() && !port, invalid("port")),
        (target.bus_nr.is_some() && !expander, invalid("busNr")),
        (
            target.node.is_some(),
            format!(
                "{model} with index {index} is configured for a NUMA node not present in the domain's <cpu><numa> array"
            ),
        ),
        (
            target.hotplug.is_some() && !port && !(pc && index == 0),
            invalid("hotplug"),
        ),
        (
            target.mem_reserve.is_some() && !bridge && model != "pcie-root-port",
            invalid("memReserve"),
        ),
    ])
}
