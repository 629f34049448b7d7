//! Reading the whole tree, or one device of it.

use std::path::Path;

use super::describe::storage;
use super::kind::{Kind, LISTS};
use super::{Device, Snapshot};
use crate::places::Places;
use crate::sysfs;

/// All devices.
pub(super) fn all(places: &Places) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.insert(Device::computer());
    let mut found = Vec::new();
    for (list, subsystem) in LISTS {
        let dir = places.sys.join(list);
        for name in sysfs::names(&dir) {
            // Old kernels have directories here; what is no link is no device either.
            let Some(target) = sysfs::target_of(&dir, &name) else {
                continue;
            };
            let Ok(path) = target.strip_prefix(&places.sys) else {
                continue;
            };
            let path = format!("/{}", path.display());
            found.extend(one(places, &path, subsystem));
        }
    }
    // Parents are found by their places, so those go first.
    found.sort_by(|one, other| one.path.cmp(&other.path));
    for device in found {
        let parent = Some(snapshot.above(&device.path));
        snapshot.insert(Device { parent, ..device });
    }
    snapshot
}

/// One device, if it is one that clients know; its parent is not looked for.
pub(super) fn one(places: &Places, path: &str, subsystem: &str) -> Option<Device> {
    let dir = places.sys.join(path.trim_start_matches('/'));
    let variables = sysfs::variables(&sysfs::text(&dir.join("uevent"))?);
    let kind = Kind::of(subsystem, &variables)?;
    let suffix = match kind {
        Kind::Net => sysfs::word(&dir.join("address")),
        Kind::Storage => {
            let record = storage::record(places, &dir);
            storage::drive_type(&dir, record.as_ref())?;
            record.and_then(|record| record.get("ID_SERIAL").map(str::to_owned))
        }
        _ => None,
    };
    Some(Device {
        name: name(subsystem, Path::new(path), suffix.as_deref()).into(),
        path: path.into(),
        kind,
        parent: None,
    })
}

/// The name that libvirt makes of the kernel's: whatever is not a letter or a digit is an underscore.
fn name(subsystem: &str, path: &Path, suffix: Option<&str>) -> String {
    let own = path.file_name().unwrap_or_default().to_string_lossy();
    let mut whole = format!("{subsystem}_{own}");
    if let Some(suffix) = suffix {
        whole.push('_');
        whole.push_str(suffix);
    }
    // Byte for byte, as C does it.
    let bytes = whole.bytes();
    bytes
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte)
            } else {
                '_'
            }
        })
        .collect()
}
