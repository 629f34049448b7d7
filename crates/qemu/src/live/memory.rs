//! Sizes of memory as QEMU can have them, and the host's huge pages.

use std::path::{Path, PathBuf};

use ferrovirt_model::Kib;
use ferrovirt_model::cpuset::CpuSet;
use ferrovirt_model::domain::{Domain, MemoryModel, MemorySource};

/// What memory at boot is a multiple of, in KiB.
const STEP: u64 = 1024;
/// What a module is a multiple of, in KiB.
const MODULE_STEP: u64 = 2048;

/// Memory at boot: all but that of the devices.
#[must_use]
pub fn initial(doc: &Domain) -> Kib {
    let devices = doc.devices.memories.iter().map(|memory| memory.target.size.0);
    Kib(doc.memory.0.saturating_sub(devices.fold(0, u64::saturating_add)))
}

/// Rounds all memory up to what QEMU's machines take.
pub fn align(doc: &mut Domain) {
    let mut at_boot = initial(doc).0.next_multiple_of(STEP);
    if let Some(numa) = doc.cpu.as_mut().and_then(|cpu| cpu.numa.as_mut()) {
        for cell in &mut numa.cells {
            cell.memory = cell.memory.next_multiple_of(STEP);
        }
        at_boot = numa.memory().0;
    }
    let mut all = at_boot;
    for memory in &mut doc.devices.memories {
        let size = &mut memory.target.size.0;
        *size = size.next_multiple_of(MODULE_STEP);
        all = all.saturating_add(*size);
    }
    doc.memory = Kib(all);
    if let Some(max) = &mut doc.max_memory {
        max.size = Kib(max.size.0.next_multiple_of(STEP));
    }
}

/// A mounted file system of huge pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HugeMount {
    /// Size of its pages.
    pub page: Kib,
    /// Where it is mounted.
    pub path: PathBuf,
    /// Its pages are the host's usual huge ones.
    pub usual: bool,
}

/// The mounts of huge pages; `configured` are those that the administrator named, if he named any.
#[must_use]
pub fn huge_mounts(configured: Option<&[PathBuf]>) -> Vec<HugeMount> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let usual = usual_page(&memory);
    let mut found = parse_mounts(&mounts, usual);
    if let Some(configured) = configured {
        found.retain(|mount| configured.contains(&mount.path));
    }
    found
}

/// `Hugepagesize:    2048 kB`
fn usual_page(memory: &str) -> Option<Kib> {
    let line = memory
        .lines()
        .find_map(|line| line.strip_prefix("Hugepagesize:"))?;
    line.split_whitespace().next()?.parse().ok().map(Kib)
}

fn parse_mounts(mounts: &str, usual: Option<Kib>) -> Vec<HugeMount> {
    let parsed = mounts.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, path, "hugetlbfs", options, ..] = fields[..] else {
            return None;
        };
        let size = options
            .split(',')
            .find_map(|option| option.strip_prefix("pagesize="));
        let page = match size {
            Some(size) => {
                let digits = size.trim_end_matches(|c: char| !c.is_ascii_digit());
                Kib::from_unit(digits.parse().ok()?, &size[digits.len()..]).ok()?
            }
            None => usual?,
        };
        Some(HugeMount {
            page,
            path: PathBuf::from(path.replace("\\040", " ")),
            usual: Some(page) == usual,
        })
    });
    parsed.collect()
}

/// The host's NUMA nodes; `None` on a kernel that does not tell.
#[must_use]
pub fn host_nodes() -> Option<CpuSet> {
    let text = std::fs::read_to_string("/sys/devices/system/node/online").ok()?;
    text.trim().parse().ok()
}

/// Whether files of ours stand behind any of the memory.
#[must_use]
pub fn needs_files(doc: &Domain) -> bool {
    let backing = doc.memory_backing.as_ref();
    let asked =
        backing.is_some_and(|backing| backing.source == Some(MemorySource::File) || backing.access.is_some());
    let modules = doc.devices.memories.iter();
    let mut modules =
        modules.filter(|memory| matches!(memory.model, MemoryModel::Dimm | MemoryModel::VirtioMem));
    asked
        || doc.numa_cells().iter().any(|cell| cell.access.is_some())
        || modules.any(|memory| memory.access.is_some())
}

/// Whether any of the memory is of huge pages.
#[must_use]
pub fn needs_huge_pages(doc: &Domain) -> bool {
    let asked = |backing: &ferrovirt_model::domain::MemoryBacking| backing.hugepages.is_some();
    let sized = |memory: &ferrovirt_model::domain::MemoryDevice| {
        memory
            .source
            .as_ref()
            .is_some_and(|source| source.page_size.is_some())
    };
    doc.memory_backing.as_ref().is_some_and(asked) || doc.devices.memories.iter().any(sized)
}

/// The last part of a run's directories, from its own: `7-name` of `domain-7-name`.
#[must_use]
pub fn short_name(guest_dir: &Path) -> String {
    let name = guest_dir.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix("domain-").unwrap_or(&name).to_owned()
}

/// The directory of a run for the files behind its memory.
#[must_use]
pub fn file_dir(guest_dir: &Path) -> PathBuf {
    let state = guest_dir.parent().unwrap_or(Path::new("/"));
    state.join("ram").join(short_name(guest_dir))
}

/// The directory of a run for huge pages on this mount.
#[must_use]
pub fn huge_dir(mount: &HugeMount, guest_dir: &Path) -> PathBuf {
    mount.path.join("libvirt/qemu").join(short_name(guest_dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_huge_pages() {
        let usual = usual_page("MemTotal: 5 kB\nHugepagesize:       2048 kB\n");
        assert_eq!(usual, Some(Kib(2048)));
        let text = "sysfs /sys sysfs rw 0 0\nhugetlbfs /dev/huge\\040pages hugetlbfs rw,pagesize=2M 0 0\n\
                    none /big hugetlbfs rw,pagesize=1024M 0 0\nnone /plain hugetlbfs rw 0 0\nbroken hugetlbfs\n";
        let found = parse_mounts(text, usual);
        let of = |page, path: &str, usual| HugeMount {
            page: Kib(page),
            path: PathBuf::from(path),
            usual,
        };
        assert_eq!(
            found,
            [
                of(2048, "/dev/huge pages", true),
                of(1 << 20, "/big", false),
                of(2048, "/plain", true)
            ]
        );
        let dir = Path::new("/var/lib/libvirt/qemu/domain-7-web");
        assert_eq!(file_dir(dir), Path::new("/var/lib/libvirt/qemu/ram/7-web"));
        assert_eq!(huge_dir(&found[1], dir), Path::new("/big/libvirt/qemu/7-web"));
    }

    proptest::proptest! {
        #[test]
        fn any_table_of_mounts_is_read(text in "([a-z/]{0,8} ?(hugetlbfs)? ?(pagesize=[0-9]{0,22}[KMG]?)?\n){0,4}") {
            let _ = parse_mounts(&text, None);
        }
    }
}
