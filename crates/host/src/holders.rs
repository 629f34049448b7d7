//! Who has a device open: the processes that keep a driver from letting go.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::places::Places;
use crate::sysfs;

/// A process that has a node of a device open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// What it has open.
    pub node: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (process {}, {})", self.name, self.pid, self.node)
    }
}

/// How deep nodes lie below a device: a disk's partition is at 8.
const DEPTH: usize = 10;

/// The processes that have a node of the device at this sysfs directory open, or of what hangs on it. Goes through `/proc`:
/// some milliseconds for a thousand processes.
pub(crate) fn of(places: &Places, device: &Path) -> Vec<Holder> {
    let mut numbers = BTreeSet::new();
    nodes(device, DEPTH, &mut numbers);
    if numbers.is_empty() {
        return Vec::new();
    }
    let mut holders = BTreeSet::new();
    for name in sysfs::names(&places.proc) {
        let Ok(pid) = name.parse() else { continue };
        let process = places.proc.join(&name);
        for descriptor in sysfs::names(&process.join("fd")) {
            let link = process.join("fd").join(descriptor);
            let Ok(node) = fs::read_link(&link) else { continue };
            // Only what lies in /dev is looked at: a stat of a dead network file system would hang.
            let Ok(below) = node.strip_prefix("/dev") else {
                continue;
            };
            let number = fs::metadata(places.dev.join(below)).map(|node| node.rdev());
            if number.is_ok_and(|number| numbers.contains(&number)) {
                holders.insert(Holder {
                    pid,
                    name: sysfs::text(&process.join("comm")).unwrap_or_default(),
                    node: node.display().to_string(),
                });
            }
        }
    }
    holders.into_iter().collect()
}

/// Numbers of the nodes of a device and of all below it.
fn nodes(dir: &Path, depth: usize, found: &mut BTreeSet<u64>) {
    let number = sysfs::text(&dir.join("dev"));
    let number = number.as_deref().and_then(|text| text.split_once(':'));
    if let Some((major, minor)) = number
        && let (Ok(major), Ok(minor)) = (major.parse(), minor.parse())
    {
        found.insert(rustix::fs::makedev(major, minor));
    }
    if depth == 0 {
        return;
    }
    let below = fs::read_dir(dir).into_iter().flatten().flatten();
    // Links lead to drivers, groups and neighbours.
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        nodes(&entry.path(), depth - 1, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_node_open_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("device");
        let below = device.join("drm/card0");
        fs::create_dir_all(&below).unwrap();
        let null = fs::metadata("/dev/null").unwrap().rdev();
        let text = format!("{}:{}\n", rustix::fs::major(null), rustix::fs::minor(null));
        fs::write(below.join("dev"), text).unwrap();
        let file = fs::File::open("/dev/null").unwrap();
        let holders = of(&Places::real(), &device);
        let me = holders
            .iter()
            .find(|holder| holder.pid == std::process::id())
            .unwrap();
        assert_eq!(me.node, "/dev/null");
        assert!(
            me.to_string()
                .contains(&format!("process {}", std::process::id())),
            "{me}"
        );
        drop(file);
        fs::remove_file(below.join("dev")).unwrap();
        assert!(of(&Places::real(), &device).is_empty());
    }
}
