//! `<cpu><numa>`: the NUMA nodes that the guest sees.

use super::memory_backing::{MemoryAccess, to_kib};
use crate::Kib;
use crate::cpuset::CpuSet;
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Xml, XmlError};
use std::collections::BTreeSet;

/// Distance of a node to itself.
const LOCAL: u32 = 10;
/// Distance of two nodes of which nothing is said.
const REMOTE: u32 = 20;
/// What cannot be reached at all.
const UNREACHABLE: u32 = 255;

/// `<sibling>`: how far another node is.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NumaSibling {
    /// The other node.
    #[xml(attr)]
    pub id: u32,
    /// How far it is: 10 is itself, 255 out of reach.
    #[xml(attr)]
    pub value: u32,
}

/// An amount with its unit.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct UnitValue {
    /// The amount.
    #[xml(attr)]
    pub value: u64,
    /// Its unit.
    #[xml(attr)]
    pub unit: Option<String>,
}

/// How a memory side cache finds a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CacheAssociativity {
    /// Not known.
    None,
    /// Each line has one place.
    Direct,
    /// Each line has some places.
    Full,
}

/// When a memory side cache writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CachePolicy {
    /// Not known.
    None,
    /// Later.
    Writeback,
    /// At once.
    Writethrough,
}

/// `<cache>`: a cache on the memory's side.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NumaCache {
    /// How near to the processor, from 1.
    #[xml(attr)]
    pub level: u32,
    /// How it finds a line.
    #[xml(attr)]
    pub associativity: CacheAssociativity,
    /// When it writes.
    #[xml(attr)]
    pub policy: CachePolicy,
    /// Its size.
    pub size: UnitValue,
    /// The size of a line.
    pub line: UnitValue,
}

/// `<cell>`: one node.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NumaCell {
    /// Its number, from 0; `normalize` fills it in.
    #[xml(attr)]
    pub id: Option<u32>,
    /// Its virtual CPUs.
    #[xml(attr)]
    pub cpus: Option<CpuSet>,
    /// Its memory, in `unit`.
    #[xml(attr)]
    pub memory: u64,
    /// The unit; `normalize` makes it KiB.
    #[xml(attr)]
    pub unit: Option<String>,
    /// Who sees what is written to its memory.
    #[xml(attr = "memAccess")]
    pub access: Option<MemoryAccess>,
    /// Its contents are thrown away at the end.
    #[xml(attr, with = "yes_no")]
    pub discard: Option<bool>,
    /// How far others are.
    #[xml(name = "sibling", within = "distances")]
    pub distances: Vec<NumaSibling>,
    /// Caches on the memory's side.
    #[xml(name = "cache")]
    pub caches: Vec<NumaCache>,
}

impl NumaCell {
    /// Its number.
    pub fn number(&self) -> u32 {
        self.id.unwrap_or(0)
    }
}

/// What an initiator does with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum NumaAccess {
    /// It reads or writes.
    Access,
    /// It reads.
    Read,
    /// It writes.
    Write,
}

/// `<latency>` or `<bandwidth>`: what it is like for one node to use the memory of another.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NumaLink {
    /// The node with the processor.
    #[xml(attr)]
    pub initiator: u32,
    /// The node with the memory.
    #[xml(attr)]
    pub target: u32,
    /// The target's cache of this level instead.
    #[xml(attr)]
    pub cache: Option<u32>,
    /// What is done.
    #[xml(attr = "type")]
    pub kind: NumaAccess,
    /// Nanoseconds, or KiB per second.
    #[xml(attr)]
    pub value: u64,
    /// Of a bandwidth: its unit, which `normalize` makes KiB.
    #[xml(attr)]
    pub unit: Option<String>,
}

/// `<interconnects>`: what it is like for one node to use the memory of others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Interconnects {
    /// How long it takes.
    #[xml(name = "latency")]
    pub latencies: Vec<NumaLink>,
    /// How much per time.
    #[xml(name = "bandwidth")]
    pub bandwidths: Vec<NumaLink>,
}

/// `<numa>`: the nodes that the guest sees.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Numa {
    /// The nodes; after `normalize` in the order of their numbers.
    #[xml(name = "cell")]
    pub cells: Vec<NumaCell>,
    /// What it is like to use the memory of others.
    pub interconnects: Option<Interconnects>,
}

impl Numa {
    /// The memory of all nodes.
    pub fn memory(&self) -> Kib {
        Kib(self
            .cells
            .iter()
            .fold(0, |sum, cell| sum.saturating_add(cell.memory)))
    }

    /// How far one node is from another; `None` if nothing is said of any.
    pub fn distance(&self, from: u32, to: u32) -> Option<u32> {
        if self.cells.iter().all(|cell| cell.distances.is_empty()) {
            return None;
        }
        let cell = self.cells.iter().find(|cell| cell.number() == from);
        let said = cell.and_then(|cell| cell.distances.iter().find(|sibling| sibling.id == to));
        let usual = if from == to { LOCAL } else { REMOTE };
        Some(said.map_or(usual, |sibling| sibling.value))
    }

    /// Whether there is anything for the table of memory attributes (HMAT).
    pub fn has_attributes(&self) -> bool {
        self.interconnects.is_some() || self.cells.iter().any(|cell| !cell.caches.is_empty())
    }

    /// Numbers the nodes, and gives those CPUs to the first that nobody has; `vcpus` is how many there are.
    pub(crate) fn normalize(&mut self, vcpus: u32) -> Result<(), XmlError> {
        let count = self.cells.len();
        let mut seen = BTreeSet::new();
        for (at, cell) in self.cells.iter_mut().enumerate() {
            let number = cell.id.unwrap_or(at as u32);
            cell.id = Some(number);
            if number as usize >= count {
                return Err(XmlError::Inconsistent(
                    "Exactly one 'cell' element per guest NUMA cell allowed, non-contiguous ranges or ranges not \
                     starting from 0 are not allowed"
                        .to_owned(),
                ));
            }
            if !seen.insert(number) {
                return Err(XmlError::Inconsistent(format!(
                    "Duplicate NUMA cell info for cell id '{number}'"
                )));
            }
            to_kib(&mut cell.memory, &mut cell.unit)?;
            cell.normalize_caches()?;
        }
        self.cells.sort_by_key(|cell| cell.id);
        self.normalize_cpus(vcpus)?;
        self.normalize_distances()?;
        self.normalize_links()
    }

    fn normalize_cpus(&mut self, vcpus: u32) -> Result<(), XmlError> {
        let mut owners = std::collections::BTreeMap::new();
        for cell in &self.cells {
            for cpu in cell.cpus.iter().flat_map(CpuSet::iter) {
                if let Some(other) = owners.insert(cpu, cell.number()) {
                    return Err(XmlError::Inconsistent(format!(
                        "NUMA cells {} and {other} have overlapping vCPU ids",
                        cell.number()
                    )));
                }
            }
        }
        if owners.len() as u64 > u64::from(vcpus) {
            let text = "Number of CPUs in <numa> exceeds the <vcpu> count";
            return Err(XmlError::Inconsistent(text.to_owned()));
        }
        if owners.keys().next_back().is_some_and(|highest| *highest >= vcpus) {
            let text = "CPU IDs in <numa> exceed the <vcpu> count";
            return Err(XmlError::Inconsistent(text.to_owned()));
        }
        let Some(first) = self.cells.first_mut() else {
            return Ok(());
        };
        let free = (0..vcpus).filter(|cpu| !owners.contains_key(cpu));
        let own: Vec<u32> = first.cpus.iter().flat_map(CpuSet::iter).collect();
        first.cpus = CpuSet::new(own.into_iter().chain(free));
        Ok(())
    }

    /// What is said of one direction holds for the other, unless that is said, too.
    fn normalize_distances(&mut self) -> Result<(), XmlError> {
        let count = self.cells.len();
        let mut table = vec![vec![None; count]; count];
        for (at, cell) in self.cells.iter().enumerate() {
            for NumaSibling { id, value } in &cell.distances {
                let (other, value) = (*id as usize, *value);
                if other >= count {
                    return Err(XmlError::Inconsistent(format!(
                        "'sibling_id {id}' does not refer to a valid cell within NUMA cell id {at}"
                    )));
                }
                if !(LOCAL..=UNREACHABLE).contains(&value) || (other == at) != (value == LOCAL) {
                    return Err(XmlError::Inconsistent(format!(
                        "'value {value}' is invalid for 'sibling id {id}' under NUMA cell id {at}"
                    )));
                }
                table[at][at] = Some(LOCAL);
                table[other][other] = Some(LOCAL);
                table[at][other] = Some(value);
                table[other][at].get_or_insert(value);
            }
        }
        for (cell, row) in self.cells.iter_mut().zip(table) {
            let known = (0..).zip(row).filter_map(|(id, value)| Some((id, value?)));
            cell.distances = known.map(|(id, value)| NumaSibling { id, value }).collect();
        }
        Ok(())
    }

    fn normalize_links(&mut self) -> Result<(), XmlError> {
        let Some(links) = &mut self.interconnects else {
            return Ok(());
        };
        for link in &links.latencies {
            if link.unit.is_some() {
                let text = "'unit' is not for element 'latency'".to_owned();
                return Err(XmlError::Unsupported(text));
            }
        }
        for link in &mut links.bandwidths {
            to_kib(&mut link.value, &mut link.unit)?;
        }
        for link in links.latencies.iter().chain(&links.bandwidths) {
            let count = self.cells.len();
            let cell = |number: u32, what: &str| {
                self.cells.get(number as usize).ok_or_else(|| {
                    XmlError::Inconsistent(format!(
                        "'{what}' refers to a non-existent NUMA node {number} of {count}"
                    ))
                })
            };
            if cell(link.initiator, "initiator")?.cpus.is_none() {
                let text = "NUMA nodes without CPUs can't be initiator".to_owned();
                return Err(XmlError::Inconsistent(text));
            }
            let target = cell(link.target, "target")?;
            let level = link
                .cache
                .filter(|level| target.caches.iter().all(|cache| cache.level != *level));
            if let Some(level) = level {
                return Err(XmlError::Inconsistent(format!(
                    "'cache' refers to a non-existent NUMA node cache {level}"
                )));
            }
        }
        self.interconnects
            .take_if(|links| *links == Interconnects::default());
        Ok(())
    }
}

impl NumaCell {
    fn normalize_caches(&mut self) -> Result<(), XmlError> {
        for cache in &mut self.caches {
            to_kib(&mut cache.size.value, &mut cache.size.unit)?;
            if cache.level == 0 {
                return Err(XmlError::Inconsistent(
                    "cache 'level' must not be zero".to_owned(),
                ));
            }
            let line = Kib::bytes_of(cache.line.value, cache.line.unit.as_deref().unwrap_or("B"));
            cache.line.value = line.map_err(XmlError::Unsupported)?;
            cache.line.unit = Some("B".to_owned());
        }
        self.caches.sort_by_key(|cache| cache.level);
        let twice = self.caches.windows(2).find(|pair| pair[0].level == pair[1].level);
        match twice {
            Some(pair) => Err(XmlError::Inconsistent(format!(
                "Cache level '{}' already defined",
                pair[0].level
            ))),
            None => Ok(()),
        }
    }
}
