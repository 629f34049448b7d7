//! SCSI controllers, targets, devices and generic nodes.

use ferrovirt_model::node_device::{
    FcHost, ScsiCapability, ScsiGenericCapability, ScsiHostCapability, ScsiHostExtra, ScsiTargetCapability,
    VportOps,
};

use super::Look;
use crate::sysfs;

pub(super) fn host(look: &Look<'_>) -> Option<ScsiHostCapability> {
    let name = look.device.kernel_name();
    let class = look.shared.places.sys.join("class");
    let own = class.join("scsi_host").join(name);
    let fibre = class.join("fc_host").join(name);
    let wwn = |file: &str| {
        let text = sysfs::word(&fibre.join(file))?;
        Some(text.trim_start_matches("0x").to_owned())
    };
    let fc_host = || {
        Some(ScsiHostExtra::FcHost(FcHost {
            wwnn: wwn("node_name")?,
            wwpn: wwn("port_name")?,
            fabric_wwn: wwn("fabric_name").unwrap_or_default(),
        }))
    };
    let vports = || {
        let dir = [&fibre, &own]
            .into_iter()
            .find(|dir| dir.join("vport_create").exists())?;
        Some(ScsiHostExtra::VportOps(VportOps {
            max: sysfs::number(&dir.join("max_npiv_vports"))?,
            vports: sysfs::number(&dir.join("npiv_vports_inuse"))?,
        }))
    };
    Some(ScsiHostCapability {
        host: name.strip_prefix("host")?.parse().ok()?,
        unique_id: sysfs::number(&own.join("unique_id")),
        extra: [fc_host(), vports()].into_iter().flatten().collect(),
    })
}

pub(super) fn target(look: &Look<'_>) -> ScsiTargetCapability {
    ScsiTargetCapability {
        target: look.device.kernel_name().to_owned(),
    }
}

pub(super) fn device(look: &Look<'_>) -> Option<ScsiCapability> {
    let mut numbers = look
        .device
        .kernel_name()
        .split(':')
        .map(|part| part.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    let mut small = || next().and_then(|number| u32::try_from(number).ok());
    let (host, bus, target) = (small()?, small()?, small()?);
    Some(ScsiCapability {
        host,
        bus,
        target,
        lun: next()?,
        kind: sysfs::number(&look.dir.join("type")).map(|kind: u32| word(kind).to_owned()),
    })
}

/// The word for a device type of SCSI.
fn word(kind: u32) -> &'static str {
    match kind {
        0x0 => "disk",
        0x1 => "tape",
        0x3 => "processor",
        0x4 => "worm",
        0x5 => "cdrom",
        0x6 => "scanner",
        0x7 => "mod",
        0x8 => "changer",
        0xc => "raid",
        0xd => "enclosure",
        _ => "unknown",
    }
}

pub(super) fn generic(look: &Look<'_>) -> ScsiGenericCapability {
    ScsiGenericCapability {
        char: look.node().unwrap_or_default(),
    }
}
