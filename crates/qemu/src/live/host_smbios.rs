//! What the host's own firmware says of the host, for guests whose `<smbios mode='host'/>` asks for it: read from sysfs
//! when such a guest starts.

use std::path::Path;

use ferrovirt_model::domain::{Domain, SmbiosInfo, SmbiosMode, SysInfoEntry, SysInfoTable};

/// Where the kernel shows it.
const DIRECTORY: &str = "/sys/class/dmi/id";

/// Entries of a table with the file of each; the machine's UUID stays the guest's own.
type Files = &'static [(&'static str, &'static str)];

const BIOS: Files = &[
    ("vendor", "bios_vendor"),
    ("version", "bios_version"),
    ("date", "bios_date"),
    ("release", "bios_release"),
];
const SYSTEM: Files = &[
    ("manufacturer", "sys_vendor"),
    ("product", "product_name"),
    ("version", "product_version"),
    ("serial", "product_serial"),
    ("sku", "product_sku"),
    ("family", "product_family"),
];
const BOARD: Files = &[
    ("manufacturer", "board_vendor"),
    ("product", "board_name"),
    ("version", "board_version"),
    ("serial", "board_serial"),
    ("asset", "board_asset_tag"),
];
const CHASSIS: Files = &[
    ("manufacturer", "chassis_vendor"),
    ("version", "chassis_version"),
    ("serial", "chassis_serial"),
    ("asset", "chassis_asset_tag"),
];

/// The host's tables for a guest that wants them; `None` for one that does not, and where the host shows none.
#[must_use]
pub fn wanted(doc: &Domain) -> Option<SmbiosInfo> {
    let mode = doc.os.smbios.map(|smbios| smbios.mode);
    if mode == Some(SmbiosMode::Host) {
        read(Path::new(DIRECTORY))
    } else {
        None
    }
}

fn read(directory: &Path) -> Option<SmbiosInfo> {
    let table = |files: Files| {
        let entries = files.iter().filter_map(|(name, file)| {
            let text = std::fs::read(directory.join(file)).ok()?;
            let value = String::from_utf8_lossy(&text).trim().to_owned();
            let plain = !value.is_empty() && !value.contains(char::is_control);
            plain.then(|| SysInfoEntry {
                name: (*name).to_owned(),
                value,
            })
        });
        let entries: Vec<_> = entries.collect();
        (!entries.is_empty()).then_some(SysInfoTable { entries })
    };
    let info = SmbiosInfo {
        bios: table(BIOS),
        system: table(SYSTEM),
        base_boards: table(BOARD).into_iter().collect(),
        chassis: table(CHASSIS),
        oem_strings: None,
    };
    (info != SmbiosInfo::default()).then_some(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_shows_becomes_tables() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), None);
        for (file, text) in [
            ("bios_vendor", "V, W\n"),
            ("product_name", " P \n"),
            ("product_uuid", "3f0c2a52-0d5e-4c0e-9a55-6c1e7d9b2f10\n"),
            ("product_serial", "\n"),
            ("board_name", "a\u{1}b"),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let info = read(dir.path()).unwrap();
        assert_eq!(
            info.bios.as_ref().and_then(|bios| bios.value("vendor")),
            Some("V, W")
        );
        let system = info.system.unwrap();
        assert_eq!(system.entries.len(), 1);
        assert_eq!(system.value("product"), Some("P"));
        assert!(info.base_boards.is_empty() && info.chassis.is_none());
    }
}
