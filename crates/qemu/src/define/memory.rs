//! Memory modules: the slots they get, and what cannot be.

use ferrovirt_model::Kib;
use ferrovirt_model::cpuset::CpuSet;
use ferrovirt_model::domain::{Address, DimmAddress, Domain, MemoryDevice, MemoryModel, Numa, NumaCell};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};
use crate::live::memory::initial;

/// A guest whose memory can grow has at least one node: QEMU would make one by itself.
pub(super) fn settle_nodes(doc: &mut Domain) {
    if doc.max_memory.is_none() || !doc.numa_cells().is_empty() {
        return;
    }
    let cell = NumaCell {
        id: Some(0),
        cpus: CpuSet::new(0..doc.vcpu.count),
        memory: initial(doc).0,
        unit: Some("KiB".to_owned()),
        access: None,
        discard: None,
        distances: Vec::new(),
        caches: Vec::new(),
    };
    doc.cpu.get_or_insert_default().numa = Some(Numa {
        cells: vec![cell],
        interconnects: None,
    });
}

/// Settles the modules.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    let nodes = doc.numa_cells().len();
    let slots = doc.max_memory.as_ref().map(|max| max.slots.unwrap_or(0));
    for memory in &doc.devices.memories {
        check(memory, nodes, emulator)?;
    }
    if !doc.devices.memories.is_empty() && slots.is_none() {
        return Err(Error::unsupported(
            "cannot use/hotplug a memory device when domain 'maxMemory' is not defined",
        ));
    }
    place(&mut doc.devices.memories, slots.unwrap_or(0))?;
    overlaps(&doc.devices.memories)
}

fn check(memory: &MemoryDevice, nodes: usize, emulator: &Emulator) -> Result<()> {
    let model = memory.model;
    let device = match model {
        MemoryModel::Dimm => "pc-dimm",
        MemoryModel::Nvdimm => "nvdimm",
        MemoryModel::VirtioPmem => "virtio-pmem-pci",
        MemoryModel::VirtioMem => "virtio-mem-pci",
    };
    if !emulator.has(device) {
        return Err(Error::unsupported(format!(
            "{device} isn't supported by this QEMU binary (memory model '{model}')"
        )));
    }
    match (memory.target.node, model) {
        (Some(node), _) if node as usize >= nodes => {
            return Err(Error::unsupported(format!(
                "can't add memory backend for guest node '{node}' as the guest has only '{nodes}' NUMA nodes configured"
            )));
        }
        (None, MemoryModel::Dimm | MemoryModel::Nvdimm) if nodes > 0 => {
            return Err(Error::unsupported(format!(
                "target NUMA node needs to be specified for memory device of model '{model}'"
            )));
        }
        (Some(_), MemoryModel::VirtioPmem) => {
            return Err(Error::unsupported("virtio-pmem does not support NUMA nodes"));
        }
        _ => {}
    }
    match &memory.info.address {
        Some(Address::Dimm(_)) if !model.has_slot() => Err(Error::unsupported(format!(
            "only 'pci' addresses are supported for the {model} device"
        ))),
        Some(other) if model.has_slot() && !matches!(other, Address::Dimm(_)) => Err(Error::unsupported(
            format!("only 'dimm' addresses are supported for the {model} device"),
        )),
        _ => Ok(()),
    }
}

/// Each module gets the lowest slot that nobody asked for.
fn place(memories: &mut [MemoryDevice], slots: u32) -> Result<()> {
    let slot_of = |memory: &MemoryDevice| match &memory.info.address {
        Some(Address::Dimm(address)) => address.slot,
        _ => None,
    };
    let mut taken = Vec::new();
    for slot in memories.iter().filter_map(slot_of) {
        if slot >= slots {
            return Err(Error::unsupported(format!(
                "memory device slot '{slot}' exceeds slots count '{slots}'"
            )));
        }
        if taken.contains(&slot) {
            return Err(Error::Xml(format!(
                "memory device slot '{slot}' is already being used by another memory device"
            )));
        }
        taken.push(slot);
    }
    for memory in memories.iter_mut().filter(|memory| memory.model.has_slot()) {
        if slot_of(memory).is_some() {
            continue;
        }
        let Some(free) = (0..slots).find(|slot| !taken.contains(slot)) else {
            return Err(Error::unsupported(format!(
                "count of memory devices requiring memory slots exceeds slots count '{slots}'"
            )));
        };
        taken.push(free);
        let base = match &memory.info.address {
            Some(Address::Dimm(address)) => address.base,
            _ => None,
        };
        memory.info.address = Some(Address::Dimm(DimmAddress {
            slot: Some(free),
            base,
        }));
    }
    Ok(())
}

/// Where a device lies in the guest's memory, if that is said: first byte, and the one after the last.
fn range(memory: &MemoryDevice) -> Option<(u64, u64)> {
    let base = match &memory.info.address {
        Some(Address::Dimm(address)) => address.base,
        _ => memory.target.base,
    };
    let start = base.filter(|base| base.0 != 0)?.0;
    let label = memory.target.label.as_ref().map_or(0, |label| label.size.0);
    let mut size = memory.target.size.0.saturating_sub(label);
    let align = memory.source.as_ref().and_then(|source| source.align_size);
    if let Some(align) = align.filter(|align| align.0 > 0) {
        size -= size % align.0;
    }
    Some((start, start.saturating_add(Kib(size).bytes())))
}

fn overlaps(memories: &[MemoryDevice]) -> Result<()> {
    let ranges: Vec<(u64, u64)> = memories.iter().filter_map(range).collect();
    for (at, (start, end)) in ranges.iter().enumerate() {
        for (other, other_end) in &ranges[at + 1..] {
            if start < other_end && other < end {
                return Err(Error::unsupported(format!(
                    "memory device address [{start:#x}:{end:#x}] overlaps with other memory device ({other:#x})"
                )));
            }
        }
    }
    Ok(())
}
