//! The NUMA nodes that the guest sees.

use ferrovirt_model::Kib;
use ferrovirt_model::cpuset::CpuSet;
use ferrovirt_model::domain::{
    CacheAssociativity, CachePolicy, MemoryAllocationMode, Numa, NumaAccess, NumaLink,
};

use super::{Arguments, Context, memory};
use crate::error::Result;

/// Nodes, distances, and what it is like to use the memory of others.
pub(super) fn all(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    let Some(numa) = context.doc.cpu.as_ref().and_then(|cpu| cpu.numa.as_ref()) else {
        return Ok(());
    };
    cells(context, numa, args)?;
    for from in &numa.cells {
        for to in &numa.cells {
            if let Some(value) = numa.distance(from.number(), to.number()) {
                let text = format!("dist,src={},dst={},val={value}", from.number(), to.number());
                args.add("-numa", text);
            }
        }
    }
    attributes(numa, args);
    Ok(())
}

fn cells(context: &Context<'_>, numa: &Numa, args: &mut Arguments) -> Result<()> {
    let mut behind = Vec::new();
    for cell in &numa.cells {
        behind.push(memory::of_cell(context, cell.number(), Kib(cell.memory))?);
    }
    // An old machine can do without objects, but not for some of the nodes only.
    let name = context.doc.os.kind.machine.as_deref().unwrap_or_default();
    let old = context
        .emulator
        .machine(name)
        .is_some_and(|machine| machine.numa_mem);
    let objects = !old || behind.iter().any(|backend| !backend.plain);
    let allocation = context.doc.memory_backing.as_ref();
    let allocation = allocation.and_then(|backing| backing.allocation.as_ref());
    if !objects && allocation.and_then(|a| a.mode) == Some(MemoryAllocationMode::Immediate) {
        args.flag("-mem-prealloc");
    }
    for (cell, backend) in numa.cells.iter().zip(behind) {
        let node = cell.number();
        let mut text = format!("node,nodeid={node}");
        let cpus = cell.cpus.as_ref().map(CpuSet::to_string);
        for range in cpus.iter().flat_map(|cpus| cpus.split(',')) {
            text += &format!(",cpus={range}");
        }
        if numa.has_attributes() {
            text += &format!(",initiator={}", initiator(numa, node));
        }
        if objects {
            backend.write(args);
            text += &format!(",memdev=ram-node{node}");
        } else {
            text += &format!(",mem={}", cell.memory / 1024);
        }
        args.add("-numa", text);
    }
    Ok(())
}

/// Whose processors are nearest to a node's memory: its own; else those that reach it fastest; else the first.
fn initiator(numa: &Numa, node: u32) -> u32 {
    let has_cpus = |number: u32| {
        numa.cells
            .iter()
            .any(|cell| cell.number() == number && cell.cpus.is_some())
    };
    if has_cpus(node) {
        return node;
    }
    let links = numa.interconnects.clone().unwrap_or_default();
    let to_node = |link: &&NumaLink| link.target == node && link.cache.is_none();
    let fast = links
        .latencies
        .iter()
        .filter(to_node)
        .min_by_key(|link| link.value);
    let wide = || {
        links
            .bandwidths
            .iter()
            .filter(to_node)
            .max_by_key(|link| link.value)
    };
    let first = || numa.cells.iter().find(|cell| cell.cpus.is_some());
    fast.or_else(wide)
        .map(|link| link.initiator)
        .or_else(|| first().map(ferrovirt_model::domain::NumaCell::number))
        .unwrap_or(0)
}

/// The table of memory attributes.
fn attributes(numa: &Numa, args: &mut Arguments) {
    const LEVELS: [&str; 4] = ["memory", "first-level", "second-level", "third-level"];
    let links = numa.interconnects.clone().unwrap_or_default();
    let row = |link: &NumaLink, what: &str, value: String| {
        let level = LEVELS.get(link.cache.unwrap_or(0) as usize).unwrap_or(&LEVELS[0]);
        let kind = match link.kind {
            NumaAccess::Access => "access",
            NumaAccess::Read => "read",
            NumaAccess::Write => "write",
        };
        format!(
            "hmat-lb,initiator={},target={},hierarchy={level},data-type={kind}-{what},{what}={value}",
            link.initiator, link.target
        )
    };
    for link in &links.latencies {
        args.add("-numa", row(link, "latency", link.value.to_string()));
    }
    for link in &links.bandwidths {
        args.add("-numa", row(link, "bandwidth", format!("{}K", link.value)));
    }
    for cell in &numa.cells {
        for cache in &cell.caches {
            let associativity = match cache.associativity {
                CacheAssociativity::None => "none",
                CacheAssociativity::Direct => "direct",
                CacheAssociativity::Full => "complex",
            };
            let policy = match cache.policy {
                CachePolicy::None => "none",
                CachePolicy::Writeback => "write-back",
                CachePolicy::Writethrough => "write-through",
            };
            let text = format!(
                "hmat-cache,node-id={},size={}K,level={},associativity={associativity},policy={policy},line={}",
                cell.number(),
                cache.size.value,
                cache.level,
                cache.line.value
            );
            args.add("-numa", text);
        }
    }
}
