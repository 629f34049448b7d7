//! Memory, the nodes it lies on, and the threads that have places of their own.

use super::inconsistent;
use crate::Kib;
use crate::domain::{
    DefaultIoThread, Domain, MaxMemory, MemoryBacking, NumaMemory, NumaMode, NumaPlacement, NumaTune,
    VcpuPlacement, iothread,
};
use ferrovirt_xml::XmlError;

impl Domain {
    /// The sum of all memory is what its parts say, where there are any.
    pub(super) fn normalize_memory(&mut self) -> Result<(), XmlError> {
        let vcpus = self.vcpu.count;
        let numa = self.cpu.as_mut().and_then(|cpu| cpu.numa.as_mut());
        if let Some(numa) = numa {
            numa.normalize(vcpus)?;
        }
        if let Some(cpu) = &mut self.cpu {
            cpu.numa.take_if(|numa| numa.cells.is_empty());
        }
        for memory in &mut self.devices.memories {
            memory.normalize()?;
        }
        let numa = self.cpu.as_ref().and_then(|cpu| cpu.numa.as_ref());
        if let Some(initial) = numa.map(crate::domain::Numa::memory) {
            let devices = self.devices.memories.iter().map(|memory| memory.target.size.0);
            let all = devices.fold(initial.0, u64::saturating_add);
            self.memory = Kib(all.min(Kib::MAX.0));
        }
        if self.memory == Kib(0) {
            return Err(inconsistent(
                "Memory size must be specified via <memory> or in the <numa> configuration",
            ));
        }
        let current = self.current_memory.unwrap_or_default();
        let whole = current == Kib(0) || current > self.memory;
        self.current_memory = Some(if whole { self.memory } else { current });
        self.normalize_growth()?;
        let nodes = self.numa_cells().len();
        if let Some(backing) = &mut self.memory_backing {
            backing.normalize(nodes)?;
        }
        self.memory_backing
            .take_if(|backing| *backing == MemoryBacking::default());
        Ok(())
    }

    fn normalize_growth(&mut self) -> Result<(), XmlError> {
        if let Some(max) = &mut self.max_memory {
            max.slots.take_if(|slots| *slots == 0);
            if max.size == Kib(0) && max.slots.is_some() {
                return Err(inconsistent(
                    "maximum memory size must be specified when specifying number of memory slots",
                ));
            }
            if max.size != Kib(0) && max.size < self.memory {
                return Err(inconsistent(
                    "memory size must be less than or equal to the maximum memory size",
                ));
            }
        }
        self.max_memory.take_if(|max| *max == MaxMemory::default());
        Ok(())
    }

    /// Who chooses nodes and processors, and whom pins and schedulers are for.
    pub(super) fn normalize_threads(&mut self) -> Result<(), XmlError> {
        iothread::normalize(&mut self.iothreads, &mut self.iothread_ids)?;
        if let Some(default) = &self.default_iothread {
            iothread::check_pool(default.pool_min, default.pool_max)?;
        }
        self.default_iothread
            .take_if(|default| *default == DefaultIoThread::default());
        let threads: Vec<u32> = self.io_threads().iter().map(|thread| thread.id).collect();
        if let Some(tune) = &mut self.cputune {
            tune.normalize_threads(self.vcpu.count, &threads)?;
        }
        self.cputune.take_if(|tune| tune.is_empty());
        self.normalize_placement()
    }

    fn normalize_placement(&mut self) -> Result<(), XmlError> {
        let auto = self.vcpu.placement == VcpuPlacement::Auto;
        // Who lets the processors be chosen lets the nodes be chosen, too.
        self.vcpu.cpuset.take_if(|_| auto);
        let cells = self.numa_cells().len();
        if auto && self.numatune.as_ref().is_none_or(|tune| tune.memory.is_none()) {
            self.numatune.get_or_insert_default().memory = Some(NumaMemory {
                mode: NumaMode::Strict,
                placement: Some(NumaPlacement::Auto),
                nodeset: None,
            });
        }
        if let Some(tune) = &mut self.numatune {
            tune.normalize(auto, cells)?;
        }
        self.numatune.take_if(|tune| *tune == NumaTune::default());
        let pinned = self.vcpu.cpuset.is_some() || self.cputune.as_ref().is_some_and(|tune| tune.has_pins());
        if self.numatune.as_ref().is_some_and(NumaTune::is_auto) && !pinned {
            self.vcpu.placement = VcpuPlacement::Auto;
        }
        Ok(())
    }
}
