//! Limits of a disk: QEMU is told of them when its devices are there.

use ferrovirt_model::domain::{Disk, DiskBus, Limits};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::machine::WORK_DEADLINE;
use crate::qmp::{Monitor, QmpError};

const COMMAND: &str = "block_set_io_throttle";

/// Tells a guest the limits of a disk, if it has any.
///
/// # Errors
/// QEMU refuses them, or does not answer.
pub(crate) async fn tell(monitor: &Monitor, disk: &Disk) -> Result<(), QmpError> {
    let Some(text) = arguments(disk) else {
        return Ok(());
    };
    let arguments = RawValue::from_string(text).map_err(|source| QmpError::Encode {
        command: COMMAND.to_owned(),
        source,
    })?;
    monitor.raw(COMMAND, Some(&arguments), WORK_DEADLINE).await?;
    Ok(())
}

fn arguments(disk: &Disk) -> Option<String> {
    let limits = disk.iotune.as_ref()?;
    let alias = disk.info.alias.as_deref().unwrap_or_default();
    // The part of a virtio device that has the image.
    let device = match disk.target.bus {
        Some(DiskBus::Virtio) => format!("/machine/peripheral/{alias}/virtio-backend"),
        _ => alias.to_owned(),
    };
    let mut map = Map::new();
    map.insert("id".to_owned(), Value::from(device));
    for (name, value) in limits.all() {
        // Whoever names no length has QEMU's own.
        if value > 0 || !name.ends_with("_length") {
            map.insert(limit(name), Value::from(value));
        }
    }
    if let Some(group) = &limits.group_name {
        map.insert("group".to_owned(), Value::from(group.as_str()));
    }
    Some(Value::from(map).to_string())
}

/// QEMU's name of a limit: `bps_rd_max` for `read_bytes_sec_max`.
fn limit(name: &str) -> String {
    if name == "size_iops_sec" {
        return "iops_size".to_owned();
    }
    let (which, rest) = name.split_once('_').unwrap_or((name, ""));
    let (what, rest) = rest.split_once("_sec").unwrap_or((rest, ""));
    let what = if what == "bytes" { "bps" } else { what };
    let which = match which {
        "read" => "_rd",
        "write" => "_wr",
        _ => "",
    };
    format!("{what}{which}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_model::domain::{DeviceInfo, IoRates, IoTune};

    #[test]
    fn limits_have_qemus_names() {
        for (ours, theirs) in [
            ("total_bytes_sec", "bps"),
            ("read_bytes_sec_max", "bps_rd_max"),
            ("write_iops_sec_max_length", "iops_wr_max_length"),
            ("size_iops_sec", "iops_size"),
        ] {
            assert_eq!(limit(ours), theirs);
        }
    }

    #[test]
    fn only_disks_with_limits_have_some() {
        let mut disk = Disk {
            info: DeviceInfo {
                alias: Some("sata0-0-0".to_owned()),
                ..DeviceInfo::default()
            },
            ..Disk::default()
        };
        assert_eq!(arguments(&disk), None);
        disk.iotune = Some(IoTune {
            rates: IoRates {
                read_iops_sec: Some(7),
                ..IoRates::default()
            },
            group_name: Some("g".to_owned()),
            ..IoTune::default()
        });
        let told: Value = serde_json::from_str(&arguments(&disk).unwrap()).unwrap();
        assert_eq!(told["id"], "sata0-0-0");
        assert_eq!(told["iops_rd"], 7);
        assert_eq!(told["bps"], 0);
        assert_eq!(told["group"], "g");
        assert_eq!(told.get("bps_max_length"), None);
    }
}
