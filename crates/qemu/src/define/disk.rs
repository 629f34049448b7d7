//! Disks: bus from the name, driver and format, order, and what cannot be combined.

use ferrovirt_model::domain::{Disk, DiskBus, DiskDevice, DiskDriver, DiskType, Domain};

use super::disk_check;

use crate::error::{Error, Result};

/// Settles `<disk>`.
pub(super) fn settle(doc: &mut Domain) -> Result<()> {
    sort(&mut doc.devices.disks);
    let machine = doc.os.kind.machine.clone().unwrap_or_default();
    for disk in &mut doc.devices.disks {
        settle_one(disk)?;
        if disk.target.bus == Some(DiskBus::Ide) && machine.starts_with("pc-q35") {
            return Err(Error::unsupported(
                "IDE controllers are unsupported for this QEMU binary or machine type",
            ));
        }
    }
    for disk in &doc.devices.disks {
        disk_check::check(disk, doc)?;
    }
    unique(&doc.devices.disks)
}

/// libvirt's order: a disk goes before the first of its bus with a later name; other buses keep their place.
pub fn sort(disks: &mut Vec<Disk>) {
    let unsorted = std::mem::take(disks);
    for disk in unsorted {
        let mut place = None;
        for (at, other) in disks.iter().enumerate().rev() {
            if other.target.bus != disk.target.bus {
                continue;
            }
            if device_index(&other.target.dev) > device_index(&disk.target.dev) {
                place = Some(at);
            } else if place.is_none() {
                place = Some(at + 1);
            }
        }
        disks.insert(place.unwrap_or(disks.len()), disk);
    }
}

/// The number in a name by libvirt's convention: `vda` is 0, `sdaa` is 26.
#[must_use]
pub fn device_index(name: &str) -> Option<u32> {
    let prefix = ["fd", "hd", "vd", "sd", "xvd", "ubd"]
        .into_iter()
        .find(|prefix| name.starts_with(prefix))?;
    let letters = name[prefix.len()..].trim_end_matches(|c: char| c.is_ascii_digit());
    if letters.is_empty() {
        return None;
    }
    let mut index: u32 = 0;
    for letter in letters.bytes() {
        if !letter.is_ascii_lowercase() {
            return None;
        }
        index = index.checked_mul(26)?.checked_add(u32::from(letter - b'a') + 1)?;
    }
    Some(index - 1)
}

fn bus_of_name(name: &str) -> Option<DiskBus> {
    Some(match name {
        _ if name.starts_with("hd") => DiskBus::Ide,
        _ if name.starts_with("sd") => DiskBus::Scsi,
        _ if name.starts_with("vd") => DiskBus::Virtio,
        _ if name.starts_with("fd") => DiskBus::Fdc,
        _ => return None,
    })
}

fn settle_one(disk: &mut Disk) -> Result<()> {
    let dev = disk.target.dev.clone();
    if device_index(&dev).is_none() {
        return Err(Error::unsupported(format!("unsupported disk type '{dev}'")));
    }
    let bus = match disk.target.bus {
        Some(bus) => bus,
        None if disk.device == DiskDevice::Floppy => DiskBus::Fdc,
        None => {
            bus_of_name(&dev).ok_or_else(|| Error::unsupported(format!("unsupported disk type '{dev}'")))?
        }
    };
    disk.target.bus = Some(bus);
    if disk.device == DiskDevice::Cdrom {
        disk.readonly = true;
    }
    let kind = disk.kind;
    let driver = disk.driver.get_or_insert_with(DiskDriver::default);
    driver.name.get_or_insert_with(|| "qemu".to_owned());
    if kind != DiskType::Volume {
        driver.format.get_or_insert_with(|| "raw".to_owned());
    }
    if driver.cache == Some(ferrovirt_model::domain::DiskCache::Default) {
        driver.cache = None;
    }
    Ok(())
}

fn unique(disks: &[Disk]) -> Result<()> {
    for (at, disk) in disks.iter().enumerate() {
        if disks[..at]
            .iter()
            .any(|other| other.target.dev == disk.target.dev)
        {
            return Err(Error::Xml(format!(
                "target '{}' duplicated for disk sources '{}' and '{}'",
                disk.target.dev,
                path_of(disks, &disk.target.dev),
                path(disk)
            )));
        }
    }
    Ok(())
}

fn path(disk: &Disk) -> &str {
    disk.source
        .as_ref()
        .and_then(|source| source.path())
        .unwrap_or_default()
}

fn path_of<'a>(disks: &'a [Disk], dev: &str) -> &'a str {
    disks.iter().find(|disk| disk.target.dev == dev).map_or("", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_numbers() {
        assert_eq!(device_index("vda"), Some(0));
        assert_eq!(device_index("sdz"), Some(25));
        assert_eq!(device_index("sdaa"), Some(26));
        assert_eq!(device_index("hdc2"), Some(2));
        for wrong in ["", "vd", "vdA", "xyz", "vd1", "sdzzzzzzzzzz"] {
            assert_eq!(device_index(wrong), None, "{wrong}");
        }
    }
}
