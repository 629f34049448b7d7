//! What a disk looks like to the guest, and how much may go through it.

use ferrovirt_xml::Xml;

/// How a BIOS counts sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum GeometryTranslation {
    /// As the hypervisor likes.
    Auto,
    /// As the disk.
    None,
    /// One after the other.
    Lba,
}

/// `<geometry>`: cylinders, heads and sectors that the guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct Geometry {
    /// Cylinders.
    #[xml(attr)]
    pub cyls: u32,
    /// Heads.
    #[xml(attr)]
    pub heads: u32,
    /// Sectors per track.
    #[xml(attr)]
    pub secs: u32,
    /// How a BIOS counts them.
    #[xml(attr)]
    pub trans: Option<GeometryTranslation>,
}

/// `<blockio>`: sizes that the guest sees, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct BlockIo {
    /// Of a block.
    #[xml(attr)]
    pub logical_block_size: Option<u32>,
    /// Of what the disk itself writes.
    #[xml(attr)]
    pub physical_block_size: Option<u32>,
    /// Of what can be freed.
    #[xml(attr)]
    pub discard_granularity: Option<u32>,
}

/// `<throttlefilter>`: a group of limits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct ThrottleFilter {
    /// Its name.
    #[xml(attr)]
    pub group: String,
}

/// How much may go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct IoRates {
    /// Bytes per second.
    pub total_bytes_sec: Option<u64>,
    /// Bytes per second that are read.
    pub read_bytes_sec: Option<u64>,
    /// Bytes per second that are written.
    pub write_bytes_sec: Option<u64>,
    /// Requests per second.
    pub total_iops_sec: Option<u64>,
    /// Requests per second that read.
    pub read_iops_sec: Option<u64>,
    /// Requests per second that write.
    pub write_iops_sec: Option<u64>,
    /// Bytes per second, for a short time.
    pub total_bytes_sec_max: Option<u64>,
    /// Bytes per second that are read, for a short time.
    pub read_bytes_sec_max: Option<u64>,
    /// Bytes per second that are written, for a short time.
    pub write_bytes_sec_max: Option<u64>,
    /// Requests per second, for a short time.
    pub total_iops_sec_max: Option<u64>,
    /// Requests per second that read, for a short time.
    pub read_iops_sec_max: Option<u64>,
    /// Requests per second that write, for a short time.
    pub write_iops_sec_max: Option<u64>,
    /// Bytes that count as one request.
    pub size_iops_sec: Option<u64>,
}

/// For how long more may go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct IoLengths {
    /// Seconds of that short time.
    pub total_bytes_sec_max_length: Option<u64>,
    /// Seconds of that short time.
    pub read_bytes_sec_max_length: Option<u64>,
    /// Seconds of that short time.
    pub write_bytes_sec_max_length: Option<u64>,
    /// Seconds of that short time.
    pub total_iops_sec_max_length: Option<u64>,
    /// Seconds of that short time.
    pub read_iops_sec_max_length: Option<u64>,
    /// Seconds of that short time.
    pub write_iops_sec_max_length: Option<u64>,
}

/// `<iotune>`: how much may go through a disk. No limit and 0 are the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct IoTune {
    /// How much.
    #[xml(flatten)]
    pub rates: IoRates,
    /// The group's name.
    pub group_name: Option<String>,
    /// For how long more.
    #[xml(flatten)]
    pub lengths: IoLengths,
}

/// `<throttlegroup>`: how much may go through a group of disks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct ThrottleGroup {
    /// How much.
    #[xml(flatten)]
    pub rates: IoRates,
    /// For how long more.
    #[xml(flatten)]
    pub lengths: IoLengths,
    /// The group's name.
    pub group_name: Option<String>,
}

/// What has limits.
pub trait Limits: Clone {
    /// All limits, by their names, to be changed.
    fn all_mut(&mut self) -> [(&'static str, &mut Option<u64>); 19];

    /// All limits, by their names; 0 is none.
    fn all(&self) -> [(&'static str, u64); 19] {
        self.clone()
            .all_mut()
            .map(|(name, value)| (name, value.unwrap_or(0)))
    }

    /// Is there any limit?
    fn has_any(&self) -> bool {
        self.all().iter().any(|(_, value)| *value > 0)
    }
}

impl Limits for IoTune {
    fn all_mut(&mut self) -> [(&'static str, &mut Option<u64>); 19] {
        limits(&mut self.rates, &mut self.lengths)
    }
}

impl Limits for ThrottleGroup {
    fn all_mut(&mut self) -> [(&'static str, &mut Option<u64>); 19] {
        limits(&mut self.rates, &mut self.lengths)
    }
}

fn limits<'a>(
    rates: &'a mut IoRates,
    lengths: &'a mut IoLengths,
) -> [(&'static str, &'a mut Option<u64>); 19] {
    [
        ("total_bytes_sec", &mut rates.total_bytes_sec),
        ("read_bytes_sec", &mut rates.read_bytes_sec),
        ("write_bytes_sec", &mut rates.write_bytes_sec),
        ("total_iops_sec", &mut rates.total_iops_sec),
        ("read_iops_sec", &mut rates.read_iops_sec),
        ("write_iops_sec", &mut rates.write_iops_sec),
        ("total_bytes_sec_max", &mut rates.total_bytes_sec_max),
        ("read_bytes_sec_max", &mut rates.read_bytes_sec_max),
        ("write_bytes_sec_max", &mut rates.write_bytes_sec_max),
        ("total_iops_sec_max", &mut rates.total_iops_sec_max),
        ("read_iops_sec_max", &mut rates.read_iops_sec_max),
        ("write_iops_sec_max", &mut rates.write_iops_sec_max),
        ("size_iops_sec", &mut rates.size_iops_sec),
        (
            "total_bytes_sec_max_length",
            &mut lengths.total_bytes_sec_max_length,
        ),
        (
            "read_bytes_sec_max_length",
            &mut lengths.read_bytes_sec_max_length,
        ),
        (
            "write_bytes_sec_max_length",
            &mut lengths.write_bytes_sec_max_length,
        ),
        (
            "total_iops_sec_max_length",
            &mut lengths.total_iops_sec_max_length,
        ),
        ("read_iops_sec_max_length", &mut lengths.read_iops_sec_max_length),
        (
            "write_iops_sec_max_length",
            &mut lengths.write_iops_sec_max_length,
        ),
    ]
}
