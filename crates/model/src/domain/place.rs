//! Where a guest belongs on its host: `<numatune>` and `<resource>`.

use crate::cpuset::CpuSet;
use ferrovirt_xml::{Xml, XmlError};

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
    /// An advisory service.
    Auto,
}

/// `<numatune><memory>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NumaMemory {
    /// How they are used.
    #[xml(attr, default)]
    pub mode: NumaMode,
    /// Who chooses; `normalize` leaves `auto` only.
    #[xml(attr)]
    pub placement: Option<NumaPlacement>,
    /// Which nodes; none where somebody else chooses.
    #[xml(attr)]
    pub nodeset: Option<CpuSet>,
}

/// `<numatune><memnode>`: the same of one of the guest's nodes.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct MemNode {
    /// The guest's node.
    #[xml(attr = "cellid")]
    pub cell: u32,
    /// How the host's nodes are used.
    #[xml(attr, default)]
    pub mode: NumaMode,
    /// Which nodes of the host.
    #[xml(attr)]
    pub nodeset: CpuSet,
}

/// `<numatune>`: from which NUMA nodes memory is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct NumaTune {
    /// For the whole guest.
    pub memory: Option<NumaMemory>,
    /// For single nodes of the guest.
    #[xml(name = "memnode")]
    pub memnodes: Vec<MemNode>,
}

impl NumaTune {
    /// Whether somebody else chooses the nodes.
    pub fn is_auto(&self) -> bool {
        let placement = self.memory.as_ref().and_then(|memory| memory.placement);
        placement == Some(NumaPlacement::Auto)
    }

    /// How the memory of one of the guest's nodes is taken from the host's (`None`: of a guest without nodes).
    pub fn of_node(&self, node: Option<u32>) -> Option<(NumaMode, Option<&CpuSet>)> {
        let own = self.memnodes.iter().find(|own| Some(own.cell) == node);
        let own = own.map(|own| (own.mode, Some(&own.nodeset)));
        own.or_else(|| {
            self.memory
                .as_ref()
                .map(|memory| (memory.mode, memory.nodeset.as_ref()))
        })
    }

    /// Settles who chooses: `auto_cpus` is whether somebody else chooses the processors, `cells` how many nodes there are.
    pub(crate) fn normalize(&mut self, auto_cpus: bool, cells: usize) -> Result<(), XmlError> {
        if let Some(memory) = &mut self.memory {
            let auto = match memory.placement {
                Some(placement) => placement == NumaPlacement::Auto,
                None => memory.nodeset.is_none() && auto_cpus,
            };
            if !auto && memory.nodeset.is_none() {
                let text = "nodeset for NUMA memory tuning must be set if 'placement' is 'static'";
                return Err(XmlError::Unsupported(text.to_owned()));
            }
            memory.nodeset.take_if(|_| auto);
            memory.placement = auto.then_some(NumaPlacement::Auto);
        }
        if self.memnodes.is_empty() {
            return Ok(());
        }
        if self.is_auto() {
            let text = "Per-node binding is not compatible with automatic NUMA placement.";
            return Err(XmlError::Unsupported(text.to_owned()));
        }
        self.check_memnodes(cells).map_err(XmlError::Inconsistent)?;
        self.memnodes.sort_by_key(|own| own.cell);
        Ok(())
    }

    fn check_memnodes(&self, cells: usize) -> Result<(), String> {
        if cells == 0 {
            return Err("Element 'memnode' is invalid without any guest NUMA cells".to_owned());
        }
        let whole = self
            .memory
            .as_ref()
            .map(|memory| memory.mode == NumaMode::Restrictive);
        for (at, own) in self.memnodes.iter().enumerate() {
            match (whole, own.mode == NumaMode::Restrictive) {
                (Some(true), false) => {
                    return Err(
                        "'restrictive' mode is required in memnode element when mode is 'restrictive' in \
                                memory element"
                            .to_owned(),
                    );
                }
                (Some(false), true) => {
                    return Err(
                        "'restrictive' mode is required in memory element when mode is 'restrictive' in \
                                memnode element"
                            .to_owned(),
                    );
                }
                _ => {}
            }
            if own.cell as usize >= cells {
                return Err(
                    "Argument 'cellid' in memnode element must correspond to existing guest's NUMA cell"
                        .to_owned(),
                );
            }
            if self.memnodes[..at].iter().any(|other| other.cell == own.cell) {
                return Err(format!("Multiple 'memnode' elements with 'cellid' {}", own.cell));
            }
        }
        Ok(())
    }
}

/// `<resource>`: the group of guests that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Resource {
    /// Path of the control group above it: `/machine`.
    pub partition: String,
}
