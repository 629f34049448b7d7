//! `<memoryBacking>`: with what the host backs a guest's memory.

use crate::Kib;
use crate::cpuset::CpuSet;
use ferrovirt_xml::{Rest, Xml, XmlError};

/// From where the host takes the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum MemorySource {
    /// A file.
    File,
    /// Memory without a name.
    Anonymous,
    /// A file without a name, in memory.
    Memfd,
}

/// Who sees what is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum MemoryAccess {
    /// All who have the file.
    Shared,
    /// The guest alone.
    Private,
}

/// When pages are taken from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum MemoryAllocationMode {
    /// All at the start.
    Immediate,
    /// When the guest touches them.
    Ondemand,
}

/// `<allocation>`: when pages are taken from the host, and by how many threads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct MemoryAllocation {
    /// When.
    #[xml(attr)]
    pub mode: Option<MemoryAllocationMode>,
    /// By how many threads.
    #[xml(attr)]
    pub threads: Option<u32>,
}

/// `<page>`: huge pages of one size.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct HugePage {
    /// Size of one of them, in `unit`.
    #[xml(attr)]
    pub size: u64,
    /// Unit of the size; `normalize` makes it KiB.
    #[xml(attr)]
    pub unit: Option<String>,
    /// The guest's NUMA nodes that are backed by them; none: all others.
    #[xml(attr)]
    pub nodeset: Option<CpuSet>,
}

/// `<hugepages>`: without pages, those of the host's usual size.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct HugePages {
    /// The sizes.
    #[xml(name = "page")]
    pub pages: Vec<HugePage>,
}

/// `<memoryBacking>`: with what the host backs a guest's memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct MemoryBacking {
    /// Huge pages.
    pub hugepages: Option<HugePages>,
    /// Equal pages of guests are not merged.
    #[xml(flag)]
    pub nosharepages: bool,
    /// It stays in the host's memory.
    #[xml(flag)]
    pub locked: bool,
    /// From where it is taken.
    #[xml(child = "source", attr = "type")]
    pub source: Option<MemorySource>,
    /// Who sees what is written to it.
    #[xml(child = "access", attr = "mode")]
    pub access: Option<MemoryAccess>,
    /// When it is taken.
    pub allocation: Option<MemoryAllocation>,
    /// Its contents are thrown away at the end, before anything is written back.
    #[xml(flag)]
    pub discard: bool,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// Turns an amount with a unit into KiB.
pub(super) fn to_kib(amount: &mut u64, unit: &mut Option<String>) -> Result<(), XmlError> {
    let kib = Kib::from_unit(*amount, unit.as_deref().unwrap_or("KiB"));
    *amount = kib.map_err(XmlError::Unsupported)?.0;
    *unit = Some("KiB".to_owned());
    Ok(())
}

impl MemoryBacking {
    /// The pages that back a node of the guest (`None`: a guest without nodes): their size, `None` for the host's usual
    /// one. The outer `None` is: no huge pages.
    pub fn page_of(&self, node: Option<u32>) -> Option<Option<Kib>> {
        let pages = &self.hugepages.as_ref()?.pages;
        if pages.is_empty() {
            return Some(None);
        }
        let of_node = |page: &&HugePage| match (&page.nodeset, node) {
            (Some(set), Some(node)) => set.iter().any(|one| one == node),
            _ => false,
        };
        let page = pages.iter().find(of_node);
        let page = page.or_else(|| pages.iter().find(|page| page.nodeset.is_none()))?;
        Some(Some(Kib(page.size)))
    }

    /// Sizes become KiB, and pages of nodes that are not there are refused; `nodes` is how many the guest has.
    pub(crate) fn normalize(&mut self, nodes: usize) -> Result<(), XmlError> {
        self.allocation
            .take_if(|allocation| *allocation == MemoryAllocation::default());
        let threads = self.allocation.as_ref().and_then(|allocation| allocation.threads);
        if threads == Some(0) {
            let text =
                "Invalid value for attribute 'threads' in element 'allocation': '0'. Zero is not permitted";
            return Err(XmlError::Inconsistent(text.to_owned()));
        }
        let Some(huge) = &mut self.hugepages else {
            return Ok(());
        };
        for page in &mut huge.pages {
            to_kib(&mut page.size, &mut page.unit)?;
            if page.size == 0 {
                return Err(XmlError::Unsupported("hugepage size can't be zero".to_owned()));
            }
            // Node 0 of a guest without nodes is all of it.
            let all = |set: &mut CpuSet| nodes == 0 && set.iter().eq([0]);
            page.nodeset.take_if(all);
        }
        check_pages(&huge.pages, nodes)
    }
}

fn check_pages(pages: &[HugePage], nodes: usize) -> Result<(), XmlError> {
    for (at, page) in pages.iter().enumerate() {
        for before in &pages[..at] {
            match (&page.nodeset, &before.nodeset) {
                (None, None) => {
                    return Err(XmlError::Unsupported(format!(
                        "two master hugepages detected: {} and {}",
                        page.size, before.size
                    )));
                }
                (Some(one), Some(other)) if one.iter().any(|node| other.iter().any(|o| o == node)) => {
                    return Err(XmlError::Unsupported(format!(
                        "nodeset attribute of hugepages of sizes {} and {} intersect",
                        page.size, before.size
                    )));
                }
                _ => {}
            }
        }
        let missing = page.nodeset.as_ref();
        let missing = missing.and_then(|set| set.iter().find(|node| *node as usize >= nodes));
        if let Some(node) = missing {
            return Err(XmlError::Unsupported(format!("hugepages: node {node} not found")));
        }
    }
    Ok(())
}
