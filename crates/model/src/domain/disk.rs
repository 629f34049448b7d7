//! `<disk>`: one disk, CD-ROM or floppy of a guest.

use super::address::DeviceInfo;
use ferrovirt_xml::values::on_off;
use ferrovirt_xml::{Form, Rest, Xml};

/// Where the data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum DiskType {
    /// In a file.
    #[default]
    File,
    /// On a block device.
    Block,
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
    /// Is what is read from the backing file written into the image?
    #[xml(attr, with = "on_off")]
    pub copy_on_read: Option<bool>,
    /// What an unmap request does.
    #[xml(attr)]
    pub discard: Option<Discard>,
    /// Number of virtqueues.
    #[xml(attr)]
    pub queues: Option<u32>,
    /// What happens to zeroes.
    #[xml(attr)]
    pub detect_zeroes: Option<DetectZeroes>,
}

/// What a missing source leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum StartupPolicy {
    /// The start fails.
    Mandatory,
    /// The drive is empty, except at a start by the user.
    Requisite,
    /// The drive is empty.
    Optional,
}

/// `<source>`: where the data is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DiskSource {
    /// Path of a file.
    #[xml(attr)]
    pub file: Option<String>,
    /// Path of a block device.
    #[xml(attr)]
    pub dev: Option<String>,
    /// What its absence leads to.
    #[xml(attr = "startupPolicy")]
    pub startup_policy: Option<StartupPolicy>,
    /// Number of this image among all of the running guest.
    #[xml(attr, live)]
    pub index: Option<u32>,
}

impl DiskSource {
    /// The path, of whichever kind.
    pub fn path(&self) -> Option<&str> {
        self.file.as_deref().or(self.dev.as_deref())
    }

    /// Does it say more than what a run knows?
    pub(super) fn says_where(&self) -> bool {
        self.path().is_some_and(|path| !path.is_empty()) || self.startup_policy.is_some()
    }
}

/// `<backingStore>`: the image under an image. Without a type it is the end of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct BackingStore {
    /// Where the data is; `None` at the end of the chain.
    #[xml(attr = "type")]
    pub kind: Option<DiskType>,
    /// Number of this image among all of the running guest.
    #[xml(attr, live)]
    pub index: Option<u32>,
    /// Its format.
    #[xml(child = "format", attr = "type")]
    pub format: Option<String>,
    /// Its place.
    pub source: Option<DiskSource>,
    /// The image under this one.
    #[xml(name = "backingStore", when = "BackingStore::shows_next")]
    pub backing_store: Option<Box<BackingStore>>,
    /// Was it found in the image, rather than given by the user? Then only the live form shows it.
    #[xml(skip)]
    pub detected: bool,
}

impl BackingStore {
    fn shows_next(&self, form: &Form) -> bool {
        shown(&self.backing_store, form)
    }
}

/// A chain that was found in the image belongs to the run, one that the user gave to the definition.
fn shown(store: &Option<Box<BackingStore>>, form: &Form) -> bool {
    !form.inactive || store.as_ref().is_some_and(|store| !store.detected)
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
    /// How it is read and written.
    pub driver: Option<DiskDriver>,
    /// Where it is; `None` is an empty drive.
    #[xml(when = "Disk::shows_source")]
    pub source: Option<DiskSource>,
    /// The image under it.
    #[xml(name = "backingStore", when = "Disk::shows_backing_store")]
    pub backing_store: Option<Box<BackingStore>>,
    /// Where the guest sees it.
    pub target: DiskTarget,
    /// May the guest only read it?
    #[xml(flag)]
    pub readonly: bool,
    /// Do several guests use it at once?
    #[xml(flag)]
    pub shareable: bool,
    /// Serial number that the guest sees.
    pub serial: Option<String>,
    /// Boot order, alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Disk {
    fn shows_source(&self, form: &Form) -> bool {
        !form.inactive || self.source.as_ref().is_some_and(DiskSource::says_where)
    }

    fn shows_backing_store(&self, form: &Form) -> bool {
        shown(&self.backing_store, form)
    }
}
