//! Disks: buses by the names of targets, drivers, the order of libvirt.

use super::{disk_source, disk_tune, inconsistent, unsupported};
use crate::domain::{
    Address, Disk, DiskBus, DiskCache, DiskDevice, DiskProtocol, DiskSnapshot, DiskTarget, DiskType,
    ErrorPolicy,
};
use ferrovirt_xml::XmlError;

/// Completes each disk and puts those of one bus in the order of their targets.
pub(super) fn normalize(disks: &mut Vec<Disk>) -> Result<(), XmlError> {
    for disk in disks.iter_mut() {
        normalize_one(disk)?;
    }
    let given = std::mem::take(disks);
    for disk in given {
        if let Some(other) = disks.iter().find(|other| other.target.dev == disk.target.dev) {
            let path = |disk: &Disk| {
                disk.source
                    .as_ref()
                    .and_then(|s| s.path())
                    .unwrap_or("")
                    .to_owned()
            };
            let (target, first, second) = (&disk.target.dev, path(other), path(&disk));
            let text = format!("target '{target}' duplicated for disk sources '{first}' and '{second}'");
            return Err(inconsistent(text));
        }
        if let Some(Address::Drive(place)) = &disk.info.address
            && disks
                .iter()
                .any(|o| o.target.bus == disk.target.bus && o.info.address == disk.info.address)
        {
            return Err(unsupported(format!(
                "Found duplicate drive address for disk with target name '{}' controller='{}' bus='{}' target='{}' unit='{}'",
                disk.target.dev, place.controller, place.bus, place.target, place.unit
            )));
        }
        let position = position_for(disks, &disk.target);
        disks.insert(position, disk);
    }
    Ok(())
}

fn normalize_one(disk: &mut Disk) -> Result<(), XmlError> {
    check_target(disk)?;
    if disk.target.bus.is_none() {
        disk.target.bus = usual_bus(disk);
    }
    let nothing_kept = disk.rest.is_empty();
    disk.source
        .take_if(|source| !source.says_where() && source.index.is_none() && nothing_kept);
    // An empty drive is a drive for files, whatever was in it.
    if disk.source.is_none() && matches!(disk.kind, DiskType::Network | DiskType::Volume) {
        disk.kind = DiskType::File;
    }
    disk_source::normalize(disk)?;
    let driver = disk.driver.get_or_insert_default();
    driver.name.get_or_insert_with(|| "qemu".to_owned());
    if disk.kind != DiskType::Volume {
        driver.format.get_or_insert_with(|| "raw".to_owned());
    }
    driver.cache.take_if(|cache| *cache == DiskCache::Default);
    driver
        .error_policy
        .take_if(|policy| *policy == ErrorPolicy::Default);
    driver
        .rerror_policy
        .take_if(|policy| *policy == ErrorPolicy::Default);
    if disk.device == DiskDevice::Cdrom {
        disk.readonly = true;
    }
    if disk.kind == DiskType::VhostUser {
        disk.snapshot.get_or_insert(DiskSnapshot::No);
    }
    disk.snapshot
        .take_if(|snapshot| *snapshot == DiskSnapshot::No && disk.readonly);
    let empty = disk.source.as_ref().is_none_or(|source| !source.is_somewhere());
    if empty && matches!(disk.device, DiskDevice::Disk | DiskDevice::Lun) {
        return Err(inconsistent(format!(
            "missing source information for device {}",
            disk.target.dev
        )));
    }
    disk_tune::normalize(disk)?;
    check_address(disk)?;
    let passes_through = match disk.kind {
        DiskType::Block | DiskType::Volume => true,
        DiskType::Network => disk.source.as_ref().and_then(|s| s.protocol) == Some(DiskProtocol::Iscsi),
        _ => false,
    };
    if disk.device == DiskDevice::Lun && !passes_through {
        return Err(unsupported(format!(
            "disk '{}' improperly configured for a device='lun'",
            disk.target.dev
        )));
    }
    Ok(())
}

fn check_target(disk: &Disk) -> Result<(), XmlError> {
    let dev = &disk.target.dev;
    let prefix = |prefixes: &[&str]| prefixes.iter().any(|prefix| dev.starts_with(prefix));
    match disk.device {
        DiskDevice::Disk | DiskDevice::Lun if prefix(&["fd"]) => {
            Err(inconsistent(format!("Invalid harddisk device name: {dev}")))
        }
        DiskDevice::Floppy if !prefix(&["fd"]) => {
            Err(inconsistent(format!("Invalid floppy device name: {dev}")))
        }
        DiskDevice::Cdrom if !prefix(&["xvd", "hd", "sd", "vd"]) => {
            Err(inconsistent(format!("Invalid cdrom device name: {dev}")))
        }
        _ if dev.ends_with(|c: char| c.is_ascii_digit()) => Err(unsupported(format!(
            "invalid disk target '{dev}', partitions can't appear in disk targets"
        ))),
        _ if disk.target.index().is_none() => {
            Err(inconsistent(format!("Invalid harddisk device name: {dev}")))
        }
        _ => Ok(()),
    }
}

/// A place on a bus is of the bus's kind.
fn check_address(disk: &Disk) -> Result<(), XmlError> {
    let (Some(address), Some(bus)) = (&disk.info.address, disk.target.bus) else {
        return Ok(());
    };
    let fits = match bus {
        DiskBus::Ide | DiskBus::Fdc | DiskBus::Scsi | DiskBus::Sata => matches!(address, Address::Drive(_)),
        DiskBus::Virtio | DiskBus::Nvme => matches!(address, Address::Pci(_)),
        DiskBus::Usb => matches!(address, Address::Usb(_)),
        DiskBus::Xen | DiskBus::Uml | DiskBus::Sd => false,
    };
    if fits {
        return Ok(());
    }
    let (kind, dev) = (address.as_str(), &disk.target.dev);
    Err(unsupported(format!(
        "Invalid address type '{kind}' for the disk '{dev}' with the bus type '{bus}'"
    )))
}

/// The bus by the target's name, where the document does not say.
fn usual_bus(disk: &Disk) -> Option<DiskBus> {
    if disk.device == DiskDevice::Floppy {
        return Some(DiskBus::Fdc);
    }
    let by_prefix = [
        ("hd", DiskBus::Ide),
        ("sd", DiskBus::Scsi),
        ("vd", DiskBus::Virtio),
        ("xvd", DiskBus::Xen),
        ("ubd", DiskBus::Uml),
        ("fd", DiskBus::Fdc),
    ];
    by_prefix
        .iter()
        .find(|(prefix, _)| disk.target.dev.starts_with(prefix))
        .map(|(_, bus)| *bus)
}

/// Where libvirt puts a disk: before the first on its bus with a later name, else after the last on its bus, else last.
pub(in crate::domain) fn position_for(disks: &[Disk], target: &DiskTarget) -> usize {
    let same_bus = || {
        disks
            .iter()
            .enumerate()
            .filter(|(_, other)| other.target.bus == target.bus)
    };
    let later = same_bus().find(|(_, other)| other.target.index() > target.index());
    let last = same_bus().next_back();
    later
        .map(|(at, _)| at)
        .or(last.map(|(at, _)| at + 1))
        .unwrap_or(disks.len())
}
