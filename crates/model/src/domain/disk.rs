//! `<disk>`: one disk, CD-ROM or floppy of a guest.

use super::address::DeviceInfo;
use super::disk_source::{BackingStore, DiskSource};
use super::disk_tune::{BlockIo, Geometry, IoTune, ThrottleFilter};
use super::encryption::{DiskAuth, Encryption};
use super::virtio_options::VirtioOptions;
use ferrovirt_xml::values::on_off;
use ferrovirt_xml::{Rest, Xml};

/// Where the data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum DiskType {
    /// In a file.
    #[default]
    File,
    /// On a block device.
    Block,
    /// In the files of a directory.
    Dir,
    /// On another host.
    Network,
    /// In a volume of a storage pool.
    Volume,
    /// On an NVMe device of the host, without the host's driver.
    Nvme,
    /// With a process that speaks vhost-user.
    #[xml(name = "vhostuser")]
    VhostUser,
    /// With a vDPA device of the host.
    #[xml(name = "vhostvdpa")]
    VhostVdpa,
}

/// What a snapshot of the guest does with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum DiskSnapshot {
    /// Nothing.
    No,
    /// It is kept in the image.
    Internal,
    /// It is kept in a new image.
    External,
    /// Somebody else makes it.
    Manual,
}

/// As what the guest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum DiskDevice {
    /// A hard disk.
    #[default]
    Disk,
    /// A CD-ROM drive.
    Cdrom,
    /// A floppy drive.
    Floppy,
    /// A SCSI device passed through.
    Lun,
}

/// What the disk is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum DiskBus {
    /// IDE.
    Ide,
    /// The floppy controller.
    Fdc,
    /// SCSI.
    Scsi,
    /// virtio-blk.
    Virtio,
    /// Xen's block device.
    Xen,
    /// USB.
    Usb,
    /// User mode Linux's.
    Uml,
    /// SATA.
    Sata,
    /// SD card.
    Sd,
    /// NVMe.
    Nvme,
}

/// What an unmap request of the guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum Discard {
    /// It frees the space.
    Unmap,
    /// Nothing.
    Ignore,
}

/// What happens to zeroes that the guest writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum DetectZeroes {
    /// They are written.
    Off,
    /// They become a request to write zeroes.
    On,
    /// They become a request to unmap.
    Unmap,
}

/// How the host's page cache is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum DiskCache {
    /// As the hypervisor likes.
    Default,
    /// Not at all.
    None,
    /// For reading.
    Writethrough,
    /// For reading and writing.
    Writeback,
    /// Not at all, and each write is flushed.
    Directsync,
    /// For all, and flushes are ignored.
    Unsafe,
}

/// What an I/O error leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum ErrorPolicy {
    /// As the hypervisor likes.
    Default,
    /// The guest is paused.
    Stop,
    /// The guest gets the error.
    Report,
    /// Nothing.
    Ignore,
    /// The guest is paused when there is no space left, otherwise gets the error.
    Enospace,
}

/// How I/O is submitted to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum DiskIo {
    /// Linux AIO.
    Native,
    /// Threads.
    Threads,
    /// io_uring.
    #[xml(name = "io_uring")]
    IoUring,
}

/// `<metadata_cache>`: how much of an image's map is kept in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct MetadataCache {
    /// At most so much.
    pub max_size: Option<CacheSize>,
}

/// A size with its unit; in bytes after `normalize`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CacheSize {
    /// The unit.
    #[xml(attr, default = "\"bytes\".to_owned()")]
    pub unit: String,
    /// The number.
    #[xml(text)]
    pub value: u64,
}

/// `<queue>` of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct ThreadQueue {
    /// Number of the queue.
    #[xml(attr)]
    pub id: u32,
}

/// `<iothread>` of a disk: a thread that serves queues of it.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct DiskThread {
    /// Number of the thread.
    #[xml(attr)]
    pub id: u32,
    /// Which queues; none: they are shared out.
    #[xml(name = "queue")]
    pub queues: Vec<ThreadQueue>,
}

/// `<driver>`: how the data is read and written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DiskDriver {
    /// Always `qemu` here.
    #[xml(attr)]
    pub name: Option<String>,
    /// Format of the data: `raw`, `qcow2`, …
    #[xml(attr = "type")]
    pub format: Option<String>,
    /// Use of the host's page cache.
    #[xml(attr)]
    pub cache: Option<DiskCache>,
    /// What an error in writing (without `rerror_policy`: any) leads to.
    #[xml(attr)]
    pub error_policy: Option<ErrorPolicy>,
    /// What an error in reading leads to.
    #[xml(attr)]
    pub rerror_policy: Option<ErrorPolicy>,
    /// How I/O is submitted.
    #[xml(attr)]
    pub io: Option<DiskIo>,
    /// Are requests taken without the guest having to stop?
    #[xml(attr, with = "on_off")]
    pub ioeventfd: Option<bool>,
    /// May the guest leave out notifications?
    #[xml(attr, with = "on_off")]
    pub event_idx: Option<bool>,
    /// Is what is read from the backing file written into the image?
    #[xml(attr, with = "on_off")]
    pub copy_on_read: Option<bool>,
    /// What an unmap request does.
    #[xml(attr)]
    pub discard: Option<Discard>,
    /// Number of the thread that serves it.
    #[xml(attr)]
    pub iothread: Option<u32>,
    /// What happens to zeroes.
    #[xml(attr)]
    pub detect_zeroes: Option<DetectZeroes>,
    /// Number of virtqueues.
    #[xml(attr)]
    pub queues: Option<u32>,
    /// Length of each.
    #[xml(attr)]
    pub queue_size: Option<u32>,
    /// Does freed space keep its place in the image?
    #[xml(attr, with = "on_off")]
    pub discard_no_unref: Option<bool>,
    /// How the device speaks virtio.
    #[xml(flatten)]
    pub virtio: VirtioOptions,
    /// Threads that serve its queues.
    #[xml(name = "iothread", within = "iothreads")]
    pub threads: Vec<DiskThread>,
    /// How much of its map is kept in memory.
    #[xml(name = "metadata_cache")]
    pub metadata_cache: Option<MetadataCache>,
}

/// `<target>`: where the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DiskTarget {
    /// Name by libvirt's convention (`vda`, `sdb`, `hdc`, `fda`); unique in the guest.
    #[xml(attr)]
    pub dev: String,
    /// What it is attached to; `normalize` derives it from `dev` where it is missing.
    #[xml(attr)]
    pub bus: Option<DiskBus>,
    /// Does the guest see it as one that can be taken out (USB)?
    #[xml(attr, with = "on_off")]
    pub removable: Option<bool>,
    /// Turns per minute; 1 is one that does not turn.
    #[xml(attr)]
    pub rotation_rate: Option<u32>,
}

impl DiskTarget {
    /// Number of the name, as the letters count: `vda` is 0, `vdb` 1, `vdaa` 26. `None` if it is no such name.
    pub fn index(&self) -> Option<u32> {
        let prefixes = ["fd", "hd", "vd", "sd", "xvd", "ubd"];
        let letters = prefixes.iter().find_map(|prefix| self.dev.strip_prefix(prefix))?;
        let letters = letters.trim_end_matches(|c: char| c.is_ascii_digit());
        let count = letters.bytes().try_fold(0u32, |sum, byte| match byte {
            b'a'..=b'z' => sum.checked_mul(26)?.checked_add(u32::from(byte - b'a') + 1),
            _ => None,
        })?;
        count.checked_sub(1)
    }
}

/// `<disk>`: one disk.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Disk {
    /// Where the data is.
    #[xml(attr = "type", default)]
    pub kind: DiskType,
    /// As what the guest sees it.
    #[xml(attr, default)]
    pub device: DiskDevice,
    /// What the guest sees: `virtio`, `virtio-transitional`, `virtio-non-transitional`.
    #[xml(attr)]
    pub model: Option<String>,
    /// What a snapshot does with it.
    #[xml(attr)]
    pub snapshot: Option<DiskSnapshot>,
    /// How it is read and written.
    pub driver: Option<DiskDriver>,
    /// Who asks for the data; also in the source.
    pub auth: Option<DiskAuth>,
    /// Where it is; `None` is an empty drive.
    #[xml(when = "Disk::shows_source")]
    pub source: Option<DiskSource>,
    /// The image under it.
    #[xml(name = "backingStore", when = "Disk::shows_backing_store")]
    pub backing_store: Option<Box<BackingStore>>,
    /// Cylinders, heads and sectors that the guest sees.
    pub geometry: Option<Geometry>,
    /// Sizes of blocks that the guest sees.
    pub blockio: Option<BlockIo>,
    /// Where the guest sees it.
    pub target: DiskTarget,
    /// How much may go through it.
    pub iotune: Option<IoTune>,
    /// Groups through whose limits it goes.
    #[xml(name = "throttlefilter", within = "throttlefilters")]
    pub throttle_filters: Vec<ThrottleFilter>,
    /// May the guest only read it?
    #[xml(flag)]
    pub readonly: bool,
    /// Do several guests use it at once?
    #[xml(flag)]
    pub shareable: bool,
    /// Serial number that the guest sees.
    pub serial: Option<String>,
    /// World wide name that the guest sees.
    pub wwn: Option<String>,
    /// Vendor that the guest sees.
    pub vendor: Option<String>,
    /// Product that the guest sees.
    pub product: Option<String>,
    /// How the data is encrypted; also in the source.
    pub encryption: Option<Encryption>,
    /// Boot order, alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
