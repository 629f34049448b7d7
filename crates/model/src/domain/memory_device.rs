//! `<memory>` among the devices: modules that can be put in and memory that keeps its contents.

use super::address::DeviceInfo;
use super::memory_backing::MemoryAccess;
use crate::cpuset::CpuSet;
use crate::{Kib, Uuid};
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Rest, Xml, XmlError};

/// Kind of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum MemoryModel {
    /// A module.
    #[default]
    Dimm,
    /// A module that keeps its contents.
    Nvdimm,
    /// Memory that keeps its contents, by virtio.
    VirtioPmem,
    /// Memory that grows and shrinks, by virtio.
    VirtioMem,
}

impl MemoryModel {
    /// Whether it is put into a slot for modules.
    pub fn has_slot(self) -> bool {
        matches!(self, MemoryModel::Dimm | MemoryModel::Nvdimm)
    }
}

/// `<memory><source>`: what is behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct MemoryDeviceSource {
    /// The file with its contents.
    pub path: Option<String>,
    /// What the address of the mapping is a multiple of.
    #[xml(name = "alignsize")]
    pub align_size: Option<Kib>,
    /// The file lies on persistent memory.
    #[xml(flag)]
    pub pmem: bool,
    /// Nodes of the host that it is taken from.
    pub nodemask: Option<CpuSet>,
    /// Size of the host's pages.
    #[xml(name = "pagesize")]
    pub page_size: Option<Kib>,
}

/// `<memory><target><label>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct MemoryLabel {
    /// Size of the area for labels.
    pub size: Kib,
}

/// `<memory><target>`: as what the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct MemoryTarget {
    /// Whether the hypervisor cuts it into slots as needed.
    #[xml(attr = "dynamicMemslots", with = "yes_no")]
    pub dynamic_slots: Option<bool>,
    /// Its size.
    pub size: Kib,
    /// The guest's NUMA node that it belongs to.
    pub node: Option<u32>,
    /// The area for labels.
    pub label: Option<MemoryLabel>,
    /// What the guest takes and gives at a time.
    pub block: Option<Kib>,
    /// How much the guest shall have of it.
    pub requested: Option<Kib>,
    /// How much the guest has of it.
    #[xml(live)]
    pub current: Option<Kib>,
    /// The guest must not write to it.
    #[xml(flag)]
    pub readonly: bool,
    /// Where it begins in the guest's memory.
    #[xml(child = "address", attr = "base")]
    pub base: Option<MemoryBase>,
}

/// An address in the guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemoryBase(pub u64);

impl std::str::FromStr for MemoryBase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16),
            _ => text.parse(),
        };
        parsed
            .map(Self)
            .map_err(|_| format!("'{text}' is not an address"))
    }
}

impl std::fmt::Display for MemoryBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// `<memory>` among the devices.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct MemoryDevice {
    /// Kind of memory.
    #[xml(attr)]
    pub model: MemoryModel,
    /// Who sees what is written to it.
    #[xml(attr)]
    pub access: Option<MemoryAccess>,
    /// Its contents are thrown away at the end.
    #[xml(attr, with = "yes_no")]
    pub discard: Option<bool>,
    /// Its own identity, for those that keep their contents.
    pub uuid: Option<Uuid>,
    /// What is behind it.
    pub source: Option<MemoryDeviceSource>,
    /// As what the guest sees it.
    pub target: MemoryTarget,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl MemoryDevice {
    /// Path of the file behind it.
    pub fn path(&self) -> Option<&str> {
        self.source.as_ref().and_then(|source| source.path.as_deref())
    }

    /// Checks what each kind must and must not have.
    pub(crate) fn normalize(&mut self) -> Result<(), XmlError> {
        let inconsistent = |text: &str| Err(XmlError::Inconsistent(text.to_owned()));
        let unsupported = |text: &str| Err(XmlError::Unsupported(text.to_owned()));
        self.source
            .take_if(|source| *source == MemoryDeviceSource::default());
        let source = self.source.clone().unwrap_or_default();
        let of_file = matches!(self.model, MemoryModel::Nvdimm | MemoryModel::VirtioPmem);
        match (of_file, source.path.is_some()) {
            (true, false) => return inconsistent("path is required for model 'nvdimm' and 'virtio-pmem'"),
            (false, true) => return unsupported("'path' is not for memory models 'dimm' and 'virtio-mem'"),
            _ => {}
        }
        if of_file && (source.page_size.is_some() || source.nodemask.is_some()) {
            return unsupported(
                "'pagesize' and 'nodemask' are not for memory models 'nvdimm' and 'virtio-pmem'",
            );
        }
        if self.model != MemoryModel::Nvdimm && (source.pmem || source.align_size.is_some()) {
            return unsupported("'pmem' and 'alignsize' are for memory model 'nvdimm' only");
        }
        if self.uuid.is_some() {
            return unsupported("UUID is not supported for NVDIMM device: 'uuid'");
        }
        if self.model == MemoryModel::VirtioPmem {
            if self.access == Some(MemoryAccess::Private) {
                return unsupported("shared access mode required for virtio-pmem device");
            }
            self.access = Some(MemoryAccess::Shared);
        }
        let target = &mut self.target;
        if self.model != MemoryModel::Nvdimm && (target.label.is_some() || target.readonly) {
            return unsupported("'label' and 'readonly' are for memory model 'nvdimm' only");
        }
        let label = target.label.as_ref().map_or(Kib(0), |label| label.size);
        if target.label.is_some() && label < Kib(128) {
            return inconsistent("nvdimm label must be at least 128KiB");
        }
        if label >= target.size && target.label.is_some() {
            return inconsistent("label size must be smaller than NVDIMM size");
        }
        if self.model == MemoryModel::VirtioMem {
            return target.check_virtio_mem();
        }
        if target.block.is_some() || target.requested.is_some() || target.dynamic_slots.is_some() {
            return unsupported(
                "'block', 'requested' and 'dynamicMemslots' are for memory model 'virtio-mem' only",
            );
        }
        if self.model != MemoryModel::VirtioPmem && target.base.is_some() {
            return unsupported("'target/address' is for memory models 'virtio-mem' and 'virtio-pmem' only");
        }
        Ok(())
    }
}

impl MemoryTarget {
    fn check_virtio_mem(&mut self) -> Result<(), XmlError> {
        let inconsistent = |text: &str| Err(XmlError::Inconsistent(text.to_owned()));
        let (Some(block), Some(requested)) = (self.block, self.requested) else {
            return inconsistent(
                "Missing required element 'block' or 'requested' of memory model 'virtio-mem'",
            );
        };
        if requested > self.size {
            return inconsistent("requested size must be smaller than or equal to @size");
        }
        if !block.0.is_power_of_two() {
            return inconsistent("block size must be a power of two");
        }
        if !requested.0.is_multiple_of(block.0) {
            return inconsistent("requested size must be an integer multiple of block size");
        }
        Ok(())
    }
}
