//! The machine: emulator, architecture, machine type, boot order, what a run's ends lead to.

use ferrovirt_model::domain::{BootDevice, CrashLifecycle, Domain, Lifecycle, VirtType};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};

/// The chipset, which decides how devices are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chipset {
    /// `pc`: one PCI bus.
    I440fx,
    /// `q35`: PCI Express.
    Q35,
}

impl Chipset {
    /// The chipset of a machine type by its canonical name.
    #[must_use]
    pub fn of_machine(name: &str) -> Option<Self> {
        if name.starts_with("pc-q35-") || name == "q35" {
            Some(Self::Q35)
        } else if name == "pc"
            || name.starts_with("pc-i440fx-")
            || name.starts_with("pc-0.")
            || name.starts_with("pc-1.")
        {
            Some(Self::I440fx)
        } else {
            None
        }
    }

    /// The chipset of a completed document; `I440fx` for one without a machine.
    #[must_use]
    pub fn of(doc: &Domain) -> Self {
        doc.os
            .kind
            .machine
            .as_deref()
            .and_then(Self::of_machine)
            .unwrap_or(Self::I440fx)
    }
}

/// Settles what concerns the machine as a whole.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator) -> Result<Chipset> {
    let path = emulator.path.display().to_string();
    if doc.os.kind.kind != "hvm" {
        return Err(Error::unsupported(format!(
            "Emulator '{path}' does not support os type '{}'",
            doc.os.kind.kind
        )));
    }
    let arch = super::architecture(doc).to_owned();
    // An x86_64 binary runs i686 guests as well.
    if emulator.arch != arch && !(emulator.arch == "x86_64" && arch == "i686") {
        return Err(Error::unsupported(format!(
            "Emulator '{path}' does not support arch '{arch}'"
        )));
    }
    if doc.kind == VirtType::Kvm && !emulator.kvm {
        return Err(Error::unsupported(format!(
            "Emulator '{path}' does not support virt type 'kvm'"
        )));
    }
    doc.os.kind.arch = Some(arch);
    if doc.devices.emulator.is_none() {
        doc.devices.emulator = Some(path.clone());
    }
    let machine = match doc.os.kind.machine.as_deref() {
        Some(name) => emulator.machine(name),
        None => emulator.default_machine(),
    };
    let Some(machine) = machine else {
        let name = doc.os.kind.machine.clone().unwrap_or_default();
        return Err(Error::unsupported(format!(
            "Emulator '{path}' does not support machine type '{name}'"
        )));
    };
    doc.os.kind.machine = Some(machine.name.clone());
    if machine.cpu_max > 0 && doc.vcpu.count > machine.cpu_max {
        return Err(Error::unsupported(format!(
            "Maximum CPUs greater than specified machine type limit {}",
            machine.cpu_max
        )));
    }
    let chipset = Chipset::of_machine(&machine.name).ok_or_else(|| {
        Error::unsupported(format!(
            "machine type '{}' is not supported by this driver",
            machine.name
        ))
    })?;
    boot_order(doc)?;
    lifecycle(doc)?;
    Ok(chipset)
}

/// The first hard disk, unless something says what is booted.
fn boot_order(doc: &mut Domain) -> Result<()> {
    let devices = &doc.devices;
    let mut orders: Vec<u32> = devices
        .disks
        .iter()
        .map(|disk| disk.info.boot)
        .chain(devices.interfaces.iter().map(|interface| interface.info.boot))
        .chain(devices.redirdevs.iter().map(|redirdev| redirdev.info.boot))
        .flatten()
        .collect();
    if !orders.is_empty() && !doc.os.boot.is_empty() {
        return Err(Error::unsupported(
            "per-device boot elements cannot be used together with os/boot elements",
        ));
    }
    if orders.is_empty() && doc.os.boot.is_empty() {
        doc.os.boot.push(BootDevice::Hd);
    }
    orders.sort_unstable();
    if let Some(pair) = orders.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::Xml(format!(
            "boot order '{}' used for more than one device",
            pair[0]
        )));
    }
    Ok(())
}

fn lifecycle(doc: &Domain) -> Result<()> {
    let unsupported = |text: &str| Err(Error::unsupported(format!("qemu driver doesn't support {text}")));
    if doc.on_reboot == Lifecycle::RenameRestart
        || doc.on_poweroff == Lifecycle::RenameRestart
        || doc.on_crash == CrashLifecycle::RenameRestart
    {
        return unsupported("the 'rename-restart' action for 'on_reboot'/'on_poweroff'/'on_crash'");
    }
    if doc.on_reboot == Lifecycle::Preserve || doc.on_poweroff == Lifecycle::Preserve {
        return unsupported("the 'preserve' action for 'on_reboot'/'on_poweroff'");
    }
    if doc.on_reboot == Lifecycle::Destroy && doc.on_poweroff == Lifecycle::Restart {
        return unsupported("'onReboot' set to 'destroy and 'onPoweroff' set to 'reboot'");
    }
    Ok(())
}
