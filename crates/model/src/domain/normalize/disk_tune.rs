//! Limits of a disk and of groups of disks, and what of its looks depends on nothing else.

use super::{inconsistent, unsupported};
use crate::domain::{BlockIo, Disk, IoRates, IoTune, Limits, ThrottleGroup};
use ferrovirt_xml::XmlError;

/// Longest vendor and product of a SCSI disk.
const VENDOR: usize = 8;
const PRODUCT: usize = 40;

/// Completes what a disk looks like and how much may go through it.
pub(super) fn normalize(disk: &mut Disk) -> Result<(), XmlError> {
    if let Some(limits) = &mut disk.iotune {
        clear(limits);
        check(&limits.rates)?;
    }
    disk.iotune.take_if(|limits| *limits == IoTune::default());
    if let Some(blockio) = &mut disk.blockio {
        let sizes = [
            &mut blockio.logical_block_size,
            &mut blockio.physical_block_size,
            &mut blockio.discard_granularity,
        ];
        for size in sizes {
            size.take_if(|size| *size == 0);
        }
    }
    disk.blockio.take_if(|blockio| *blockio == BlockIo::default());
    if let Some(wwn) = &disk.wwn
        && (wwn.len() != 16 || !wwn.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(inconsistent(format!("malformed wwn: {wwn}")));
    }
    for (name, text, longest) in [
        ("vendor", &disk.vendor, VENDOR),
        ("product", &disk.product, PRODUCT),
    ] {
        let Some(text) = text else { continue };
        if text.len() > longest {
            return Err(inconsistent(format!(
                "disk {name} is more than {longest} characters"
            )));
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(inconsistent(format!("disk {name} is not printable string")));
        }
    }
    Ok(())
}

/// A limit of 0 is none.
fn clear(limits: &mut impl Limits) {
    for (_, value) in limits.all_mut() {
        value.take_if(|value| *value == 0);
    }
}

fn check(l: &IoRates) -> Result<(), XmlError> {
    let both = |total: Option<u64>, read: Option<u64>, write: Option<u64>| {
        total.is_some() && (read.is_some() || write.is_some())
    };
    let wrong = [
        (
            both(l.total_bytes_sec, l.read_bytes_sec, l.write_bytes_sec),
            "bytes_sec",
        ),
        (
            both(l.total_iops_sec, l.read_iops_sec, l.write_iops_sec),
            "iops_sec",
        ),
        (
            both(l.total_bytes_sec_max, l.read_bytes_sec_max, l.write_bytes_sec_max),
            "bytes_sec_max",
        ),
        (
            both(l.total_iops_sec_max, l.read_iops_sec_max, l.write_iops_sec_max),
            "iops_sec_max",
        ),
    ];
    match wrong.iter().find(|(wrong, _)| *wrong) {
        Some((_, name)) => Err(inconsistent(format!(
            "total and read/write {name} cannot be set at the same time"
        ))),
        None => Ok(()),
    }
}

/// Completes the groups of a guest, and looks whether the disks' filters name them.
pub(super) fn normalize_groups(groups: &mut [ThrottleGroup], disks: &[Disk]) -> Result<(), XmlError> {
    for at in 0..groups.len() {
        clear(&mut groups[at]);
        check(&groups[at].rates)?;
        let Some(name) = groups[at].group_name.clone() else {
            return Err(inconsistent("throttle group name cannot be empty"));
        };
        if groups[..at]
            .iter()
            .any(|other| other.group_name.as_ref() == Some(&name))
        {
            return Err(inconsistent(format!("duplicate throttle group '{name}' found")));
        }
    }
    for disk in disks {
        for filter in &disk.throttle_filters {
            if !groups
                .iter()
                .any(|group| group.group_name.as_ref() == Some(&filter.group))
            {
                return Err(unsupported(format!(
                    "throttle group '{}' not found",
                    filter.group
                )));
            }
        }
    }
    Ok(())
}
