//! Facts about this machine that clients ask for: processors, memory, names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use ferrovirt_model::Uuid;

use crate::settings::Settings;

/// The machine, as `virsh nodeinfo` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Architecture in libvirt's words: `x86_64`.
    pub architecture: String,
    /// Name of this host.
    pub hostname: String,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Processors that are on.
    pub cpus: u32,
    /// Their frequency; 0 if nobody knows.
    pub mhz: u32,
    /// NUMA nodes.
    pub numa_nodes: u32,
    /// Sockets of each NUMA node.
    pub sockets: u32,
    /// Cores of each socket.
    pub cores: u32,
    /// Threads of each core.
    pub threads: u32,
}

impl Node {
    /// Look at this machine. Reads files of `/proc` and `/sys` only; what is missing there is counted as one.
    pub fn read() -> Self {
        let uname = rustix::system::uname();
        Self::read_below(
            Path::new("/"),
            &uname.machine().to_string_lossy(),
            &uname.nodename().to_string_lossy(),
        )
    }

    fn read_below(root: &Path, architecture: &str, hostname: &str) -> Self {
        let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
        let meminfo = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
        let system = root.join("sys/devices/system");
        let online = fs::read_to_string(system.join("cpu/online")).unwrap_or_default();
        let online = ranges(&online);
        let cpus = if online.is_empty() { 1 } else { count(online.len()) };
        let shape = Shape::read(&system, &online).filter(|s| s.product() == u64::from(cpus));
        // A machine that is not regular is shown as one socket of single cores, as libvirt does.
        let shape = shape.unwrap_or(Shape {
            nodes: 1,
            sockets: 1,
            cores: cpus,
            threads: 1,
        });
        Self {
            architecture: architecture.to_owned(),
            hostname: hostname.to_owned(),
            memory_kib: number_after(&meminfo, "MemTotal").unwrap_or(0),
            cpus,
            mhz: number_after(&cpuinfo, "cpu MHz")
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0),
            numa_nodes: shape.nodes,
            sockets: shape.sockets,
            cores: shape.cores,
            threads: shape.threads,
        }
    }
}

struct Shape {
    nodes: u32,
    sockets: u32,
    cores: u32,
    threads: u32,
}

impl Shape {
    fn product(&self) -> u64 {
        [self.nodes, self.sockets, self.cores, self.threads]
            .into_iter()
            .map(u64::from)
            .product()
    }

    fn read(system: &Path, online: &[u32]) -> Option<Self> {
        let mut sockets = BTreeSet::new();
        let mut cores = BTreeSet::new();
        for cpu in online {
            let topology = system.join(format!("cpu/cpu{cpu}/topology"));
            let id = |name| {
                fs::read_to_string(topology.join(name))
                    .ok()?
                    .trim()
                    .parse::<i64>()
                    .ok()
            };
            let (socket, core) = (id("physical_package_id")?, id("core_id")?);
            sockets.insert(socket);
            cores.insert((socket, core));
        }
        let nodes =
            fs::read_to_string(system.join("node/online")).map_or(1, |text| ranges(&text).len().max(1));
        let (sockets, cores) = (sockets.len(), cores.len());
        if nodes == 0 || sockets == 0 || cores == 0 {
            return None;
        }
        Some(Self {
            nodes: count(nodes),
            sockets: count((sockets / nodes).max(1)),
            cores: count((cores / sockets).max(1)),
            threads: count((online.len() / cores).max(1)),
        })
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The kernel's lists of numbers: `0-3,8`. What is no number is left out.
fn ranges(text: &str) -> Vec<u32> {
    /// More processors than any kernel has.
    const MOST: u32 = 1 << 16;
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        (last < MOST).then_some(first..=last)
    };
    text.trim().split(',').filter_map(part).flatten().collect()
}

/// The whole number on the first line that begins with `name`: `name : 2400.000`.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let digits = line.trim_start_matches(|c: char| c.is_whitespace() || c == ':');
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// The host's UUID unless the settings have one.
static THIS_HOST: OnceLock<Uuid> = OnceLock::new();

/// The host's UUID: that of the settings, or as its firmware has it, or its installation; where none is known, one for this daemon.
pub fn host_uuid(settings: &Settings) -> Uuid {
    let set = settings.libvirtd.host_uuid.map(|uuid| Uuid(*uuid.as_bytes()));
    set.unwrap_or_else(|| *THIS_HOST.get_or_init(found_uuid))
}

fn found_uuid() -> Uuid {
    let read = |path| std::fs::read_to_string(path).ok()?.parse::<Uuid>().ok();
    let known = read("/sys/class/dmi/id/product_uuid").or_else(|| read("/etc/machine-id"));
    known.unwrap_or_else(Uuid::random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn machine(cpus: &[(u32, u32)], online: &str, nodes: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: String, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (i, (socket, core)) in cpus.iter().enumerate() {
            let topology = format!("sys/devices/system/cpu/cpu{i}/topology");
            put(format!("{topology}/physical_package_id"), &format!("{socket}\n"));
            put(format!("{topology}/core_id"), &format!("{core}\n"));
        }
        put("sys/devices/system/cpu/online".to_owned(), online);
        put("sys/devices/system/node/online".to_owned(), nodes);
        put(
            "proc/cpuinfo".to_owned(),
            "processor\t: 0\ncpu MHz\t\t: 2445.406\n",
        );
        put(
            "proc/meminfo".to_owned(),
            "MemTotal:       24660752 kB\nMemFree: 1 kB\n",
        );
        dir
    }

    fn shape(dir: &tempfile::TempDir) -> (u32, u32, u32, u32, u32) {
        let node = Node::read_below(dir.path(), "x86_64", "h");
        (node.cpus, node.numa_nodes, node.sockets, node.cores, node.threads)
    }

    #[test]
    fn a_regular_machine() {
        let cpus = [(0, 0), (0, 0), (0, 1), (0, 1), (1, 0), (1, 0), (1, 1), (1, 1)];
        let dir = machine(&cpus, "0-7\n", "0-1\n");
        assert_eq!(shape(&dir), (8, 2, 1, 2, 2));
        let node = Node::read_below(dir.path(), "x86_64", "h");
        assert_eq!((node.mhz, node.memory_kib), (2445, 24_660_752));
    }

    #[test]
    fn an_irregular_machine_is_one_socket() {
        let dir = machine(&[(0, 0), (0, 1), (0, 1)], "0-2\n", "0\n");
        assert_eq!(shape(&dir), (3, 1, 1, 3, 1));
    }

    #[test]
    fn nothing_to_read() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(shape(&dir), (1, 1, 1, 1, 1));
    }

    #[test]
    fn this_machine_has_something() {
        let node = Node::read();
        assert!(node.cpus > 0 && node.memory_kib > 0 && !node.hostname.is_empty());
    }

    proptest! {
        #[test]
        fn lists_of_numbers_never_panic(text in "[0-9,-]{0,20}") {
            prop_assert!(ranges(&text).len() <= 20 << 16);
        }
    }
}
