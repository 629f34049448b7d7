//! `<cpu>`: the CPU that the guest sees.

use super::numa::Numa;
use std::num::NonZeroU32;

use ferrovirt_xml::values::on_off;
use ferrovirt_xml::{Rest, Xml};

/// Where the description of the CPU comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CpuMode {
    /// The model and features named here.
    Custom,
    /// The model nearest to the host's CPU.
    HostModel,
    /// The host's CPU itself.
    HostPassthrough,
    /// All that the hypervisor can do.
    Maximum,
}

/// How exactly the features must match the named ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CpuMatch {
    /// At least these.
    Minimum,
    /// Exactly these.
    Exact,
    /// Exactly these, and the host must have no others.
    Strict,
}

/// What is verified before the guest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CpuCheck {
    /// Nothing.
    None,
    /// What libvirt knows of the host.
    Partial,
    /// What the hypervisor made of it.
    Full,
}

/// May another model be taken where the named one is not supported?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum ModelFallback {
    /// Yes.
    #[default]
    Allow,
    /// No.
    Forbid,
}

/// `<cpu><model>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CpuModel {
    /// May another be taken?
    #[xml(attr)]
    pub fallback: Option<ModelFallback>,
    /// The vendor that the guest sees, 12 characters.
    #[xml(attr)]
    pub vendor_id: Option<String>,
    /// The model by libvirt's name.
    #[xml(text)]
    pub name: String,
}

/// What is asked about one feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum FeaturePolicy {
    /// The guest sees it, whatever the host has.
    Force,
    /// The guest sees it, and the host must have it.
    Require,
    /// As the model says.
    Optional,
    /// The guest does not see it.
    Disable,
    /// The host must not have it.
    Forbid,
}

/// `<cpu><feature>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct CpuFeature {
    /// What is asked.
    #[xml(attr)]
    pub policy: Option<FeaturePolicy>,
    /// Which feature.
    #[xml(attr)]
    pub name: String,
}

/// `<topology>`: sockets, and what is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct CpuTopology {
    /// Sockets of the machine.
    #[xml(attr)]
    pub sockets: NonZeroU32,
    /// Dies of a socket.
    #[xml(attr, default = "NonZeroU32::MIN")]
    pub dies: NonZeroU32,
    /// Clusters of a die.
    #[xml(attr, default = "NonZeroU32::MIN")]
    pub clusters: NonZeroU32,
    /// Cores of a cluster.
    #[xml(attr)]
    pub cores: NonZeroU32,
    /// Threads of a core.
    #[xml(attr)]
    pub threads: NonZeroU32,
}

impl CpuTopology {
    /// How many CPUs that makes.
    #[must_use]
    pub fn cpus(&self) -> u64 {
        [self.dies, self.clusters, self.cores, self.threads]
            .iter()
            .fold(u64::from(self.sockets.get()), |all, part| {
                all.saturating_mul(u64::from(part.get()))
            })
    }
}

/// Which caches the guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CpuCacheMode {
    /// Made up.
    Emulate,
    /// The host's.
    Passthrough,
    /// None.
    Disable,
}

/// `<cache>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct CpuCache {
    /// Of which level.
    #[xml(attr)]
    pub level: Option<u32>,
    /// Which ones.
    #[xml(attr)]
    pub mode: CpuCacheMode,
}

/// Whose width it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum MaxPhysAddrMode {
    /// One that is named.
    Emulate,
    /// The host's.
    Passthrough,
}

/// `<maxphysaddr>`: how wide physical addresses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct MaxPhysAddr {
    /// Whose width it is.
    #[xml(attr)]
    pub mode: MaxPhysAddrMode,
    /// How many bits.
    #[xml(attr)]
    pub bits: Option<u32>,
    /// At most so many of the host's.
    #[xml(attr)]
    pub limit: Option<u32>,
}

/// `<cpu>`.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Cpu {
    /// Where the description comes from.
    #[xml(attr)]
    pub mode: Option<CpuMode>,
    /// How exactly it must match.
    #[xml(attr = "match")]
    pub matching: Option<CpuMatch>,
    /// What is verified.
    #[xml(attr)]
    pub check: Option<CpuCheck>,
    /// Only what can move to another host?
    #[xml(attr, with = "on_off")]
    pub migratable: Option<bool>,
    /// The model.
    pub model: Option<CpuModel>,
    /// Its vendor.
    pub vendor: Option<String>,
    /// Sockets, and what is in them.
    pub topology: Option<CpuTopology>,
    /// What the guest sees of caches.
    pub cache: Option<CpuCache>,
    /// How wide physical addresses are.
    #[xml(name = "maxphysaddr")]
    pub max_phys_addr: Option<MaxPhysAddr>,
    /// Features beyond the model's.
    #[xml(name = "feature")]
    pub features: Vec<CpuFeature>,
    /// The NUMA nodes that the guest sees.
    pub numa: Option<Numa>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
