//! What libvirt's parser fills in and refuses without asking a hypervisor, in its words. What depends on the
//! hypervisor (machine types, models, controllers, addresses) is completed by the hypervisor's crate.

mod address;
mod audio;
mod chardev;
mod clock;
mod container;
mod controller;
mod cpu;
mod disk;
mod disk_source;
mod disk_tune;
mod display;
mod features;
mod host_card;
mod hostdev;
mod input;
mod interface;
mod ip;
mod machine;
mod memory;
mod qemu_namespace;
mod shmem;

use super::{BootDevice, Cpu, Device, Domain, LxcNamespace, REDIR_ANY, RngBackend, SecLabelType, Tpm};
use crate::Uuid;
use ferrovirt_xml::XmlError;

/// Well-formed, but wrong: libvirt's code for `XML error`.
fn inconsistent(text: impl Into<String>) -> XmlError {
    XmlError::Inconsistent(text.into())
}

/// Understood, but not to be had: libvirt's code for `unsupported configuration`.
fn unsupported(text: impl Into<String>) -> XmlError {
    XmlError::Unsupported(text.into())
}

pub(super) use disk::position_for as disk_position;

/// Completes a device on its own.
pub(super) fn device(device: &mut Device) -> Result<(), XmlError> {
    match device {
        Device::Disk(disk) => {
            let mut alone = vec![std::mem::take(&mut **disk)];
            disk::normalize(&mut alone)?;
            if let Some(complete) = alone.pop() {
                **disk = complete;
            }
            address::normalize(&mut disk.info)
        }
        Device::Interface(card) => {
            interface::normalize(card)?;
            address::normalize(&mut card.info)
        }
        Device::Filesystem(mount) => {
            container::normalize_filesystem(mount)?;
            address::normalize(&mut mount.info)
        }
        Device::Hostdev(hostdev) => {
            hostdev::normalize(hostdev)?;
            address::normalize(&mut hostdev.info)
        }
        Device::Other(_) => Ok(()),
    }
}

impl Domain {
    /// Fills in what does not depend on the hypervisor, and refuses what cannot be with any. Once is enough; twice
    /// changes nothing.
    ///
    /// # Errors
    /// Parts that contradict each other.
    pub fn normalize(&mut self) -> Result<(), XmlError> {
        check_name(&self.name)?;
        if self.title.as_ref().is_some_and(|title| title.contains('\n')) {
            return Err(inconsistent("Domain title can't contain newlines"));
        }
        self.uuid.get_or_insert_with(Uuid::random);
        cpu::normalize_number(self)?;
        self.normalize_memory()?;
        self.normalize_tuning()?;
        self.normalize_threads()?;
        if self.os.kind.kind.is_empty() {
            return Err(inconsistent("an os <type> must be specified"));
        }
        self.os.normalize_firmware()?;
        container::check_init(&self.os)?;
        container::normalize_id_map(&mut self.id_map)?;
        features::normalize(&mut self.features)?;
        clock::normalize(&mut self.clock)?;
        machine::normalize(self)?;
        qemu_namespace::normalize(self)?;
        self.lxc_namespace
            .take_if(|shared| *shared == LxcNamespace::default());
        if let Some(cpu) = &mut self.cpu {
            cpu::normalize(cpu)?;
        }
        self.cpu.take_if(|cpu| *cpu == Cpu::default());
        self.normalize_devices()?;
        self.normalize_boot()?;
        self.normalize_labels()
    }

    /// Elements that say nothing are not there.
    fn normalize_tuning(&mut self) -> Result<(), XmlError> {
        if let Some(tune) = &mut self.blkiotune {
            tune.normalize()?;
        }
        if let Some(tune) = &mut self.memtune {
            tune.normalize();
        }
        if let Some(tune) = &mut self.cputune {
            tune.normalize()?;
        }
        self.blkiotune.take_if(|tune| tune.is_empty());
        self.memtune.take_if(|tune| tune.is_empty());
        Ok(())
    }

    fn normalize_devices(&mut self) -> Result<(), XmlError> {
        let devices = &mut self.devices;
        disk::normalize(&mut devices.disks)?;
        disk_tune::normalize_groups(&mut self.throttle_groups, &devices.disks)?;
        controller::normalize(&mut devices.controllers)?;
        devices
            .filesystems
            .iter_mut()
            .try_for_each(container::normalize_filesystem)?;
        devices.interfaces.iter_mut().try_for_each(interface::normalize)?;
        devices.hostdevs.iter_mut().try_for_each(hostdev::normalize)?;
        hostdev::check_unique(devices)?;
        chardev::normalize(devices, self.os.kind.kind == "hvm")?;
        devices
            .graphics
            .iter_mut()
            .try_for_each(display::normalize_graphics)?;
        display::normalize_videos(&mut devices.videos)?;
        devices.inputs.iter_mut().try_for_each(input::normalize)?;
        audio::normalize(&mut devices.sounds, &mut devices.audios)?;
        devices.tpms.iter_mut().try_for_each(Tpm::normalize)?;
        devices.shmems.iter_mut().try_for_each(shmem::normalize)?;
        // What fits any device need not be said.
        for rule in { devices.redirfilter.iter_mut() }.flat_map(|filter| &mut filter.rules) {
            for part in [
                &mut rule.class,
                &mut rule.vendor,
                &mut rule.product,
                &mut rule.version,
            ] {
                part.take_if(|part| *part == REDIR_ANY);
            }
        }
        for rng in &mut devices.rngs {
            if let RngBackend::Random(path) = &mut rng.backend {
                path.get_or_insert_with(|| "/dev/random".to_owned());
            }
            rng.driver.take_if(|driver| driver.is_empty());
        }
        devices.infos_mut().into_iter().try_for_each(address::normalize)?;
        address::check_unique(&devices.infos())?;
        address::check_roms(devices)
    }

    /// Either classes of devices or single devices have an order; without any the hard disk comes first.
    fn normalize_boot(&mut self) -> Result<(), XmlError> {
        if let Some(menu) = &mut self.os.boot_menu {
            menu.timeout.take_if(|_| !menu.enable);
            if let Some(timeout) = menu.timeout.filter(|timeout| *timeout > 65535) {
                let text =
                    format!("invalid value for boot menu timeout: '{timeout}', must be in range [0,65535]");
                return Err(unsupported(text));
            }
        }
        let mut orders: Vec<u32> = self.devices.infos().iter().filter_map(|info| info.boot).collect();
        orders.sort_unstable();
        if orders.first() == Some(&0) {
            return Err(inconsistent(
                "Invalid value for attribute 'order' in element 'boot': '0'. Zero is not permitted",
            ));
        }
        if let Some(twice) = orders.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(inconsistent(format!(
                "boot order '{}' used for more than one device",
                twice[0]
            )));
        }
        match (self.os.boot.is_empty(), orders.is_empty()) {
            (false, false) => Err(unsupported(
                "per-device boot elements cannot be used together with os/boot elements",
            )),
            (true, true) if self.os.kind.kind == "hvm" => {
                self.os.boot.push(BootDevice::Hd);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Each security driver has one label, and where there are several each says whose it is.
    fn check_labels(&self) -> Result<(), XmlError> {
        let mut seen = Vec::new();
        for model in self.seclabels.iter().filter_map(|label| label.model.as_deref()) {
            if seen.contains(&model) {
                return Err(unsupported(format!(
                    "seclabel for model {model} is already provided"
                )));
            }
            seen.push(model);
        }
        if self.seclabels.len() > 1 && seen.len() < self.seclabels.len() {
            return Err(inconsistent("missing security model when using multiple labels"));
        }
        Ok(())
    }

    fn normalize_labels(&mut self) -> Result<(), XmlError> {
        self.check_labels()?;
        for label in &mut self.seclabels {
            let dynamic = label.kind == SecLabelType::Dynamic;
            match (label.kind, label.relabel) {
                (SecLabelType::Dynamic, Some(false)) => {
                    return Err(unsupported("dynamic label type must use resource relabeling"));
                }
                (SecLabelType::None, Some(true)) => {
                    return Err(unsupported(
                        "resource relabeling is not compatible with 'none' label type",
                    ));
                }
                _ => label.relabel.get_or_insert(dynamic),
            };
            if label.kind == SecLabelType::Static && label.label.is_none() {
                return Err(inconsistent("security label is missing"));
            }
        }
        Ok(())
    }
}

/// A name is a file name too, and a line of many tables.
fn check_name(name: &str) -> Result<(), XmlError> {
    if name.contains('/') {
        return Err(inconsistent(format!("name {name} cannot contain '/'")));
    }
    if name.contains('\n') {
        return Err(inconsistent(format!(
            "name {} cannot contain '\\n'",
            name.replace('\n', "\\n")
        )));
    }
    if name.trim().is_empty() {
        return Err(inconsistent(
            "name must contain at least one non-whitespace character",
        ));
    }
    Ok(())
}
