//! Disks and drives.

use std::path::Path;

use ferrovirt_model::node_device::{Removable, StorageCapability, StorageExtra};

use super::Look;
use crate::places::Places;
use crate::sysfs;
use crate::udev::Record;

/// What the kernel counts a disk's size in, whatever its own blocks.
const SECTOR: u64 = 512;

/// What udev knows of a disk.
pub(in crate::tree) fn record(places: &Places, dir: &Path) -> Option<Record> {
    let variables = sysfs::variables(&sysfs::text(&dir.join("uevent"))?);
    super::record(places, dir, &variables)
}

/// What kind of drive it is; none for what is no device of the host's (loop devices, RAM disks, device mapper).
pub(in crate::tree) fn drive_type(dir: &Path, record: Option<&Record>) -> Option<&'static str> {
    let has = |key: &str| record.and_then(|record| record.get(key)) == Some("1");
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match record.and_then(|record| record.get("ID_TYPE")) {
        Some("disk") => return Some("disk"),
        Some("cd") => return Some("cdrom"),
        Some("floppy") => return Some("floppy"),
        Some("sd") => return Some("sd"),
        Some("dasd") => return Some("dasd"),
        None | Some("generic") => {}
        Some(_) => return None,
    }
    if has("ID_DRIVE_FLOPPY") {
        return Some("floppy");
    }
    if has("ID_DRIVE_FLASH_SD") {
        return Some("sd");
    }
    // Those that udev says nothing of.
    match name {
        _ if name.starts_with("vd") || name.starts_with("nvme") => Some("disk"),
        _ if name.starts_with("dasd") => Some("dasd"),
        // A machine without udev.
        _ if record.is_none() => match sysfs::number(&dir.join("device/type")) {
            Some(0_u32) => Some("disk"),
            Some(5) => Some("cdrom"),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn describe(look: &Look<'_>) -> StorageCapability {
    let drive_type = drive_type(&look.dir, Some(&look.record)).unwrap_or("disk");
    let blocks = sysfs::number::<u64>(&look.dir.join("size"));
    let block_size = sysfs::number::<u64>(&look.dir.join("queue/logical_block_size"));
    // The kernel counts in sectors, documents in the disk's own blocks.
    let size = blocks.map(|blocks| blocks.saturating_mul(SECTOR));
    let blocks = match (size, block_size) {
        (Some(size), Some(block_size)) if block_size > 0 => Some(size / block_size),
        _ => blocks,
    };
    let positive = |number: &u64| *number > 0;
    let mut disk = StorageCapability {
        block: look.node().unwrap_or_default(),
        bus: look.record.get("ID_BUS").map(str::to_owned),
        drive_type: Some(drive_type.to_owned()),
        model: look.word("device/model"),
        vendor: look.word("device/vendor"),
        serial: look.record.get("ID_SERIAL").map(str::to_owned),
        ..StorageCapability::default()
    };
    let removable = sysfs::number(&look.dir.join("removable")) == Some(1_u32);
    match (drive_type, removable) {
        ("cdrom" | "floppy", true) => {
            let present = match drive_type {
                "cdrom" => look.record.get("ID_CDROM_MEDIA") == Some("1"),
                _ => size.is_some_and(|size| size > 0),
            };
            let of_medium = |number: Option<u64>| number.filter(|_| present);
            disk.extra.push(StorageExtra::Removable(Removable {
                available: u8::from(present),
                size: Some(of_medium(size).unwrap_or(0)),
                label: look
                    .record
                    .get("ID_FS_LABEL")
                    .filter(|_| present)
                    .map(str::to_owned),
                block_size: of_medium(block_size).filter(positive),
                blocks: of_medium(blocks).filter(positive),
            }));
        }
        _ => {
            disk.size = Some(size.unwrap_or(0));
            disk.block_size = block_size.filter(positive);
            disk.blocks = blocks.filter(positive);
        }
    }
    disk
}
