//! Where a guest belongs on its host: `<numatune>` and `<resource>`.

use crate::cpuset::CpuSet;
use ferrovirt_xml::Xml;

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
