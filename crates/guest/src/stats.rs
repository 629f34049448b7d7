//! Figures of a guest, in groups: what is asked for and what came of it. A group or a figure that cannot be told (the
//! guest is off, the hypervisor is busy, the kernel does not know) is left out; nothing here is an error.

use std::time::Duration;

/// Which groups are asked for, and how long that may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatsAsk {
    /// Processor time of the whole guest.
    pub cpu: bool,
    /// Memory.
    pub balloon: bool,
    /// Each virtual processor.
    pub vcpus: bool,
    /// Network cards.
    pub interfaces: bool,
    /// Disks.
    pub blocks: bool,
    /// With `blocks`: the images below a disk's image, too.
    pub backing: bool,
    /// How fast the guest changes its memory.
    pub dirty_rate: bool,
    /// How long the hypervisor, and a disk, may take to answer; zero asks only who is not busy with a question already.
    pub patience: Duration,
}

impl StatsAsk {
    /// Whether no group is asked for.
    pub fn asks_nothing(&self) -> bool {
        let host = self.cpu || self.vcpus || self.interfaces;
        !(host || self.balloon || self.blocks || self.dirty_rate)
    }
}

/// What came of a [`StatsAsk`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestStats {
    /// Processor time.
    pub cpu: Option<CpuStats>,
    /// Memory.
    pub balloon: Option<BalloonStats>,
    /// Virtual processors that are plugged in.
    pub vcpus: Vec<VcpuStats>,
    /// Network cards, in the order of the document.
    pub interfaces: Vec<InterfaceStats>,
    /// Disks' images; `None` when nobody could be asked.
    pub blocks: Option<Vec<BlockStats>>,
    /// The guest's writing to its memory.
    pub dirty_rate: Option<DirtyRateStats>,
}

/// Processor time since the start, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// All.
    pub total: u64,
    /// In programs.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
}

/// Memory, in KiB; figures that only the guest's driver knows are `None` without it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BalloonStats {
    /// What the guest has now.
    pub current: Option<u64>,
    /// Read from its swap space.
    pub swap_in: Option<u64>,
    /// Written to its swap space.
    pub swap_out: Option<u64>,
    /// Page faults with disk access, a number.
    pub major_fault: Option<u64>,
    /// Page faults without, a number.
    pub minor_fault: Option<u64>,
    /// Not used for anything.
    pub unused: Option<u64>,
    /// What its system counts as its memory.
    pub available: Option<u64>,
    /// What new programs could have.
    pub usable: Option<u64>,
    /// When the guest said all this, in seconds since 1970; 0 is never.
    pub last_update: Option<u64>,
    /// Used as cache of disks.
    pub disk_caches: Option<u64>,
    /// Huge pages that were given, a number.
    pub hugetlb_pgalloc: Option<u64>,
    /// Huge pages that could not be given, a number.
    pub hugetlb_pgfail: Option<u64>,
    /// What its process occupies on the host.
    pub rss: Option<u64>,
}

/// One virtual processor, times in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VcpuStats {
    /// Its number.
    pub number: u32,
    /// Processor time that it has used.
    pub time: Option<u64>,
    /// Time that it has waited, as the scheduler sums it up where it does.
    pub wait: Option<u64>,
    /// Time that it has waited for a processor.
    pub delay: Option<u64>,
    /// The host's processor on which it ran last.
    pub processor: Option<u32>,
}

/// What has gone through a network card in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets with errors.
    pub errors: u64,
    /// Packets that were dropped.
    pub drops: u64,
}

/// One network card, as the guest sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceStats {
    /// Its end on the host; `None` when it has none.
    pub name: Option<String>,
    /// What the guest has received; `None` when the host's end is not there.
    pub received: Option<Traffic>,
    /// What the guest has sent.
    pub sent: Option<Traffic>,
}

/// Requests of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// How many.
    pub count: u64,
    /// How many bytes.
    pub bytes: u64,
    /// How long they took together, in nanoseconds.
    pub time: u64,
}

/// What the guest did with one disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockWork {
    /// Reads.
    pub reads: Requests,
    /// Writes.
    pub writes: Requests,
    /// Flushes; they have no bytes.
    pub flushes: Requests,
}

/// One image: of a disk, or below one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockStats {
    /// The disk's name in the guest's document.
    pub name: String,
    /// The file or device.
    pub path: Option<String>,
    /// The image's number.
    pub index: Option<u32>,
    /// What was done with it.
    pub work: Option<BlockWork>,
    /// How far into it anything was written, or what it occupies, in bytes.
    pub allocation: Option<u64>,
    /// How large the guest sees it, in bytes.
    pub capacity: Option<u64>,
    /// How large it is on the host, in bytes.
    pub physical: Option<u64>,
}

/// What of a measurement of the guest's writing there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DirtyRateStatus {
    /// Nobody has asked for one.
    #[default]
    Unstarted,
    /// It goes on.
    Measuring,
    /// It is over.
    Measured,
}

/// The last measurement of how fast the guest changes its memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirtyRateStats {
    /// How far it is.
    pub status: DirtyRateStatus,
    /// When it began, in seconds (of a clock of the hypervisor's choice).
    pub start_time: i64,
    /// How long it takes, in seconds.
    pub period: i64,
    /// How it is made.
    pub mode: String,
    /// What came of it, in MiB per second.
    pub mib_per_second: Option<i64>,
    /// The same of single virtual processors: number and rate.
    pub vcpus: Vec<(u32, i64)>,
}
