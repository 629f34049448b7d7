//! What a guest gets of the host's processors, memory and disks, and under which group: `<cputune>`, `<memtune>`,
//! `<blkiotune>`, `<numatune>`, `<resource>`.

use crate::cpuset::CpuSet;
use crate::units::Kib;
use ferrovirt_xml::Xml;

/// `<cputune>`: its share of the processors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CpuTune {
    /// Weight against other guests (1024 is usual).
    pub shares: Option<u64>,
    /// The period that `quota` is about, in microseconds.
    pub period: Option<u64>,
    /// How long it may run in each period, in microseconds; negative: without limit.
    pub quota: Option<i64>,
}

/// `<memtune>`: limits of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct MemTune {
    /// Never more than this.
    pub hard_limit: Option<Kib>,
    /// Down to this when the host is short of memory.
    pub soft_limit: Option<Kib>,
    /// Memory and swap together never more than this.
    pub swap_hard_limit: Option<Kib>,
}

/// `<blkiotune>`: its share of the disks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct BlkioTune {
    /// Weight against other guests, 10 to 1000.
    pub weight: Option<u32>,
    /// The same and limits for single disks of the host.
    #[xml(name = "device")]
    pub devices: Vec<BlkioDevice>,
}

/// `<blkiotune><device>`: one disk of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct BlkioDevice {
    /// Its device node.
    pub path: String,
    /// Weight against other guests.
    pub weight: Option<u32>,
    /// Reads in a second.
    pub read_iops_sec: Option<u32>,
    /// Writes in a second.
    pub write_iops_sec: Option<u32>,
    /// Bytes read in a second.
    pub read_bytes_sec: Option<u64>,
    /// Bytes written in a second.
    pub write_bytes_sec: Option<u64>,
}

impl BlkioDevice {
    /// Does it set nothing?
    pub fn is_idle(&self) -> bool {
        let path = self.path.clone();
        *self
            == Self {
                path,
                ..Self::default()
            }
    }
}

/// How memory is taken from the NUMA nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum NumaMode {
    /// Only from them.
    #[default]
    Strict,
    /// From them first.
    Preferred,
    /// From them in turn.
    Interleave,
    /// Only from them, by the control group alone.
    Restrictive,
}

/// Who chooses the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum NumaPlacement {
    /// The document.
    Static,
}

/// `<numatune><memory>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NumaMemory {
    /// How they are used.
    #[xml(attr, default)]
    pub mode: NumaMode,
    /// Who chooses; `normalize` drops the only answer.
    #[xml(attr)]
    pub placement: Option<NumaPlacement>,
    /// Which nodes.
    #[xml(attr)]
    pub nodeset: CpuSet,
}

/// `<numatune>`: from which NUMA nodes memory is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct NumaTune {
    /// For the whole guest.
    pub memory: Option<NumaMemory>,
}

/// `<resource>`: the group of guests that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Resource {
    /// Path of the control group above it: `/machine`.
    pub partition: String,
}
