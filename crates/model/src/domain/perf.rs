//! `<perf>`: which performance counters of the host are kept for a guest.

use ferrovirt_xml::Xml;
use ferrovirt_xml::values::yes_no;

/// Which counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Xml)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub enum PerfEventName {
    Cmt,
    Mbmt,
    Mbml,
    #[xml(name = "cpu_cycles")]
    CpuCycles,
    Instructions,
    #[xml(name = "cache_references")]
    CacheReferences,
    #[xml(name = "cache_misses")]
    CacheMisses,
    #[xml(name = "branch_instructions")]
    BranchInstructions,
    #[xml(name = "branch_misses")]
    BranchMisses,
    #[xml(name = "bus_cycles")]
    BusCycles,
    #[xml(name = "stalled_cycles_frontend")]
    StalledCyclesFrontend,
    #[xml(name = "stalled_cycles_backend")]
    StalledCyclesBackend,
    #[xml(name = "ref_cpu_cycles")]
    RefCpuCycles,
    #[xml(name = "cpu_clock")]
    CpuClock,
    #[xml(name = "task_clock")]
    TaskClock,
    #[xml(name = "page_faults")]
    PageFaults,
    #[xml(name = "context_switches")]
    ContextSwitches,
    #[xml(name = "cpu_migrations")]
    CpuMigrations,
    #[xml(name = "page_faults_min")]
    PageFaultsMin,
    #[xml(name = "page_faults_maj")]
    PageFaultsMaj,
    #[xml(name = "alignment_faults")]
    AlignmentFaults,
    #[xml(name = "emulation_faults")]
    EmulationFaults,
}

/// `<event>`: one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct PerfEvent {
    /// Which one.
    #[xml(attr)]
    pub name: PerfEventName,
    /// Is it kept?
    #[xml(attr, with = "yes_no")]
    pub enabled: bool,
}

/// `<perf>`; `normalize` sorts the counters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Perf {
    /// The counters.
    #[xml(name = "event")]
    pub events: Vec<PerfEvent>,
}
