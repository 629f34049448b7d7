//! The host as the kernel describes it under `/proc` and `/sys`, for the capabilities of all hypervisors: the one place of this crate that
//! reads files. What is not there is left out; nothing here fails.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use crate::Kib;
use crate::capabilities::{
    CacheBank, Cell, CellCpu, CellCpus, CellPages, Cells, CpuTopology, Distance, Host, HostCpu, PageSize,
    PhysicalAddress, Signature,
};

const CPUS: &str = "/sys/devices/system/cpu";
const NODES: &str = "/sys/devices/system/node";

fn read(path: impl AsRef<Path>) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn number<T: FromStr>(path: impl AsRef<Path>) -> Option<T> {
    read(path)?.parse().ok()
}

/// Describes the host; blocks for as long as some hundred small reads take.
pub fn describe() -> Host {
    let cpus = list(&read(format!("{CPUS}/online")).unwrap_or_else(|| "0".to_owned()));
    let cells = cells(&cpus);
    let info = read("/proc/cpuinfo").unwrap_or_default();
    Host {
        cpu: cpu(&info, &cpus, cells.len()),
        topology: vec![Cells {
            num: u32::try_from(cells.len()).unwrap_or(1),
            list: cells,
        }],
        caches: caches(&cpus),
        iommu: fs::read_dir("/sys/kernel/iommu_groups").is_ok_and(|mut groups| groups.next().is_some()),
        ..Host::default()
    }
}

/// The host's processors: those that there can be, and those that are on. Two small reads.
pub fn processors() -> (Vec<u32>, Vec<u32>) {
    let of = |what: &str| list(&read(format!("{CPUS}/{what}")).unwrap_or_else(|| "0".to_owned()));
    (of("present"), of("online"))
}

/// A kernel list such as `0-3,8`.
fn list(text: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            // The kernel's own limit on CPUs is far below.
            numbers.extend(first..=last.min(first.saturating_add(65_536)));
        }
    }
    numbers
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

fn cpu(info: &str, cpus: &[u32], cells: usize) -> HostCpu {
    let vendor = field(info, "vendor_id").map(|vendor| match vendor {
        "GenuineIntel" => "Intel".to_owned(),
        "AuthenticAMD" => "AMD".to_owned(),
        "HygonGenuine" => "Hygon".to_owned(),
        other => other.to_owned(),
    });
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let signature = || {
        Some(Signature {
            family: field(info, "cpu family")?.parse().ok()?,
            model: field(info, "model")?.parse().ok()?,
            stepping: field(info, "stepping")?.parse().ok()?,
        })
    };
    let bits = field(info, "address sizes").and_then(|text| text.split_whitespace().next()?.parse().ok());
    HostCpu {
        arch: "x86_64".to_owned(),
        vendor,
        microcode: field(info, "microcode").and_then(hex),
        signature: signature(),
        topology: Some(topology(cpus, cells)),
        physical_address: bits.map(|bits| PhysicalAddress {
            mode: "emulate".to_owned(),
            bits,
        }),
        pages: page_sizes(info)
            .into_iter()
            .map(|size| PageSize {
                unit: "KiB".to_owned(),
                size,
            })
            .collect(),
        ..HostCpu::default()
    }
}

fn topology_of(cpu: u32, what: &str) -> u32 {
    number(format!("{CPUS}/cpu{cpu}/topology/{what}")).unwrap_or(0)
}

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> u32 {
    let set: std::collections::BTreeSet<T> = values.collect();
    u32::try_from(set.len()).unwrap_or(1).max(1)
}

fn topology(cpus: &[u32], cells: usize) -> CpuTopology {
    let all = distinct(cpus.iter()).max(1);
    let sockets = distinct(cpus.iter().map(|cpu| topology_of(*cpu, "physical_package_id")));
    let cores = distinct(cpus.iter().map(|cpu| {
        (
            topology_of(*cpu, "physical_package_id"),
            topology_of(*cpu, "core_id"),
        )
    }));
    CpuTopology {
        sockets: (sockets / u32::try_from(cells).unwrap_or(1).max(1)).max(1),
        dies: 1,
        clusters: 1,
        cores: (cores / sockets).max(1),
        threads: (all / cores).max(1),
    }
}

fn page_sizes(info: &str) -> Vec<u64> {
    let flags = field(info, "flags").unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|known| known == flag);
    let mut sizes = vec![4];
    sizes.extend(has("pse").then_some(2048));
    sizes.extend(has("pdpe1gb").then_some(1_048_576));
    sizes
}

fn cells(cpus: &[u32]) -> Vec<Cell> {
    let nodes = read(format!("{NODES}/online"))
        .map(|text| list(&text))
        .unwrap_or_default();
    let memory_of = |text: &str| {
        text.lines()
            .find(|line| line.contains("MemTotal:"))
            .and_then(|line| line.split_whitespace().rev().nth(1)?.parse().ok())
            .map(Kib)
    };
    if nodes.is_empty() {
        let memory = read("/proc/meminfo").as_deref().and_then(memory_of);
        return vec![cell(0, memory, cpus, Vec::new())];
    }
    let one = |node: &u32| {
        let dir = format!("{NODES}/node{node}");
        let memory = read(format!("{dir}/meminfo")).as_deref().and_then(memory_of);
        let of_node = read(format!("{dir}/cpulist"))
            .map(|text| list(&text))
            .unwrap_or_default();
        let distances = read(format!("{dir}/distance")).unwrap_or_default();
        let values: Vec<u32> = distances
            .split_whitespace()
            .filter_map(|value| value.parse().ok())
            .collect();
        let distances = nodes
            .iter()
            .zip(values)
            .map(|(id, value)| Distance { id: *id, value })
            .collect();
        cell(*node, memory, &of_node, distances)
    };
    nodes.iter().map(one).collect()
}

fn cell(id: u32, memory: Option<Kib>, cpus: &[u32], distances: Vec<Distance>) -> Cell {
    let huge = |size: u64| {
        let own: Option<u64> = number(format!(
            "{NODES}/node{id}/hugepages/hugepages-{size}kB/nr_hugepages"
        ));
        own.or_else(|| {
            number(format!(
                "/sys/kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages"
            ))
        })
    };
    let page = |size: u64, count: u64| CellPages {
        unit: "KiB".to_owned(),
        size,
        count,
    };
    let huge_pages: Vec<CellPages> = [2048, 1_048_576]
        .into_iter()
        .filter_map(|size| Some(page(size, huge(size)?)))
        .collect();
    let in_huge: u64 = huge_pages.iter().map(|pages| pages.size * pages.count).sum();
    let mut pages: Vec<CellPages> = memory
        .map(|memory| page(4, memory.0.saturating_sub(in_huge) / 4))
        .into_iter()
        .collect();
    pages.extend(huge_pages);
    let list = cpus
        .iter()
        .map(|cpu| CellCpu {
            id: *cpu,
            socket_id: topology_of(*cpu, "physical_package_id"),
            die_id: topology_of(*cpu, "die_id"),
            cluster_id: number::<i64>(format!("{CPUS}/cpu{cpu}/topology/cluster_id"))
                .and_then(|id| u32::try_from(id).ok())
                .unwrap_or(0),
            core_id: topology_of(*cpu, "core_id"),
            siblings: read(format!("{CPUS}/cpu{cpu}/topology/thread_siblings_list"))
                .unwrap_or_else(|| cpu.to_string()),
        })
        .collect();
    let cpus = CellCpus {
        num: u32::try_from(cpus.len()).unwrap_or(0),
        list,
    };
    Cell {
        id,
        memory,
        pages,
        distances,
        cpus,
    }
}

/// Caches of level 2 and above, each once.
fn caches(cpus: &[u32]) -> Vec<CacheBank> {
    let mut banks: Vec<CacheBank> = Vec::new();
    for cpu in cpus {
        for index in 0..8 {
            let dir = format!("{CPUS}/cpu{cpu}/cache/index{index}");
            let Some(level) = number::<u32>(format!("{dir}/level")).filter(|level| *level > 1) else {
                continue;
            };
            let size =
                read(format!("{dir}/size")).and_then(|size| size.strip_suffix('K')?.parse::<u64>().ok());
            let (Some(size), Some(cpus)) = (size, read(format!("{dir}/shared_cpu_list"))) else {
                continue;
            };
            let kind = match read(format!("{dir}/type")).as_deref() {
                Some("Data") => "data",
                Some("Instruction") => "code",
                _ => "both",
            };
            let (size, unit) = if size.is_multiple_of(1024) {
                (size / 1024, "MiB")
            } else {
                (size, "KiB")
            };
            let id = number(format!("{dir}/id")).unwrap_or(0);
            let bank = CacheBank {
                id,
                level,
                kind: kind.to_owned(),
                size,
                unit: unit.to_owned(),
                cpus,
            };
            if !banks.contains(&bank) {
                banks.push(bank);
            }
        }
    }
    banks.sort_by_key(|bank| (bank.level, bank.kind.clone(), bank.id));
    banks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        assert_eq!(list("0-3,8"), [0, 1, 2, 3, 8]);
        assert!(list("").is_empty());
        assert!(list("x,2-1").is_empty());
    }

    #[test]
    fn this_host_has_a_cpu_and_memory() {
        let host = describe();
        assert_eq!(host.cpu.arch, "x86_64");
        let cell = &host.topology[0].list[0];
        assert!(cell.memory.is_some_and(|memory| memory.0 > 0));
        assert!(cell.cpus.num > 0);
    }
}
