//! Disks: a node for the bytes, a node for the format where there is one, then the device.

use ferrovirt_model::domain::{
    Address, BackingStore, ControllerType, DetectZeroes, Discard, Disk, DiskBus, DiskCache, DiskDevice,
    DiskIo, DiskType, Domain, ErrorPolicy,
};

use super::json::Object;
use super::place::{alias, controller_alias, place};
use super::{Arguments, Context};
use crate::error::{Error, Result};

/// All disks.
pub(super) fn all(context: &mut Context<'_>, args: &mut Arguments) -> Result<()> {
    let doc = context.doc;
    for disk in &doc.devices.disks {
        let class = match disk.device {
            DiskDevice::Disk | DiskDevice::Lun => &mut context.boot.disk,
            DiskDevice::Cdrom => &mut context.boot.cdrom,
            DiskDevice::Floppy => &mut context.boot.floppy,
        };
        let boot = disk.info.boot.or(class.take());
        let drive = nodes(disk, args)?;
        args.device(device(context.doc, disk, drive.as_deref(), boot)?);
    }
    Ok(())
}

/// Arguments of `blockdev-add`, lowest node first, and of `device_add` for a disk that is plugged into the running guest of
/// this document.
///
/// # Errors
/// The disk was not prepared.
pub(crate) fn hot(doc: &Domain, disk: &Disk) -> Result<(Vec<String>, String)> {
    let mut args = Arguments::default();
    let drive = nodes(disk, &mut args)?;
    let device = device(doc, disk, drive.as_deref(), disk.info.boot)?;
    let nodes = args.0.into_iter().filter(|arg| arg != "-blockdev").collect();
    Ok((nodes, device.finish()))
}

/// How the page cache is used: directly past it, and whether flushes are kept.
#[derive(Clone, Copy)]
struct CacheMode {
    direct: bool,
    no_flush: bool,
    write_cache: bool,
}

fn cache_of(disk: &Disk) -> Option<CacheMode> {
    let mode = |direct, no_flush, write_cache| {
        Some(CacheMode {
            direct,
            no_flush,
            write_cache,
        })
    };
    match disk.driver.as_ref().and_then(|driver| driver.cache) {
        Some(DiskCache::None) => mode(true, false, true),
        Some(DiskCache::Writethrough) => mode(false, false, false),
        Some(DiskCache::Writeback) => mode(false, false, true),
        Some(DiskCache::Directsync) => mode(true, false, false),
        Some(DiskCache::Unsafe) => mode(false, true, true),
        // Several guests on one image must not each have a cache.
        Some(DiskCache::Default) | None if disk.shareable => mode(true, false, true),
        Some(DiskCache::Default) | None => None,
    }
}

/// An image of a chain, top or below.
struct Image<'a> {
    kind: DiskType,
    path: &'a str,
    index: u32,
    format: &'a str,
    read_only: bool,
}

impl Image<'_> {
    fn storage(&self) -> String {
        format!("libvirt-{}-storage", self.index)
    }

    /// Raw data need no node of their own.
    fn node(&self) -> String {
        if self.format == "raw" {
            self.storage()
        } else {
            format!("libvirt-{}-format", self.index)
        }
    }
}

/// What lies below an image.
enum Below {
    /// Nobody looked: QEMU finds out.
    Unknown,
    /// Nothing.
    Nothing,
    /// This node.
    Node(String),
}

/// Writes the nodes of a disk, lowest first; returns the top one's name.
fn nodes(disk: &Disk, args: &mut Arguments) -> Result<Option<String>> {
    let Some((source, path)) = disk
        .source
        .as_ref()
        .and_then(|source| Some((source, source.path()?)))
    else {
        return Ok(None);
    };
    let format = disk
        .driver
        .as_ref()
        .and_then(|driver| driver.format.as_deref())
        .unwrap_or("raw");
    let below = match &disk.backing_store {
        None => Below::Unknown,
        Some(store) => backing(disk, store, args)?,
    };
    let top = Image {
        kind: disk.kind,
        path,
        index: source
            .index
            .ok_or_else(|| Error::Failed(format!("disk '{}' was not prepared", disk.target.dev)))?,
        format,
        read_only: disk.readonly,
    };
    image(disk, &top, &below, true, args);
    let driver = disk.driver.clone().unwrap_or_default();
    if driver.copy_on_read != Some(true) {
        return Ok(Some(top.node()));
    }
    let name = format!("libvirt-CoR-{}", disk.target.dev);
    let object = Object::driver("copy-on-read")
        .text("node-name", &name)
        .text("file", &top.node())
        .maybe_text(
            "discard",
            (driver.discard == Some(Discard::Unmap)).then_some("unmap"),
        );
    args.add("-blockdev", object.finish());
    Ok(Some(name))
}

fn backing(disk: &Disk, store: &BackingStore, args: &mut Arguments) -> Result<Below> {
    let Some(kind) = store.kind else {
        return Ok(Below::Nothing);
    };
    let path = store.source.as_ref().and_then(|source| source.path());
    let (Some(path), Some(index)) = (path, store.index) else {
        return Err(Error::unsupported(format!(
            "backing store of disk '{}' has no source",
            disk.target.dev
        )));
    };
    let below = match &store.backing_store {
        None => Below::Unknown,
        Some(next) => backing(disk, next, args)?,
    };
    let format = store.format.as_deref().unwrap_or("raw");
    let this = Image {
        kind,
        path,
        index,
        format,
        read_only: true,
    };
    image(disk, &this, &below, false, args);
    Ok(Below::Node(this.node()))
}

fn image(disk: &Disk, image: &Image<'_>, below: &Below, top: bool, args: &mut Arguments) {
    let driver = disk.driver.clone().unwrap_or_default();
    let raw = image.format == "raw";
    let cache = cache_of(disk).map(|cache| {
        Object::default()
            .boolean("direct", cache.direct)
            .boolean("no-flush", cache.no_flush)
    });
    let with_cache = |object: Object| match &cache {
        Some(cache) => object.object("cache", cache),
        None => object,
    };
    // Belongs to the node the device sees.
    let top_options = |object: Object| {
        if top {
            object
                .maybe_text("discard", discard(&driver))
                .maybe_text("detect-zeroes", zeroes(&driver))
        } else {
            object
        }
    };
    let kind = if image.kind == DiskType::Block {
        "host_device"
    } else {
        "file"
    };
    let aio = driver.io.map(|io| match io {
        DiskIo::Native => "native",
        DiskIo::Threads => "threads",
        DiskIo::IoUring => "io_uring",
    });
    let storage = Object::driver(kind)
        .text("filename", image.path)
        .maybe_text("aio", aio)
        .text("node-name", &image.storage());
    let storage = if raw {
        top_options(storage.boolean("read-only", image.read_only))
    } else {
        storage.boolean("auto-read-only", true).text("discard", "unmap")
    };
    args.add("-blockdev", with_cache(storage).finish());
    if raw {
        return;
    }
    let object = Object::default()
        .text("node-name", &image.node())
        .boolean("read-only", image.read_only);
    let object = with_cache(top_options(object))
        .text("driver", image.format)
        .text("file", &image.storage());
    let object = match below {
        Below::Unknown => object,
        Below::Nothing => object.null("backing"),
        Below::Node(name) => object.text("backing", name),
    };
    args.add("-blockdev", object.finish());
}

fn discard(driver: &ferrovirt_model::domain::DiskDriver) -> Option<&'static str> {
    driver.discard.map(|discard| {
        if discard == Discard::Unmap {
            "unmap"
        } else {
            "ignore"
        }
    })
}

fn zeroes(driver: &ferrovirt_model::domain::DiskDriver) -> Option<&'static str> {
    match driver.detect_zeroes? {
        DetectZeroes::Off => Some("off"),
        DetectZeroes::On => Some("on"),
        // Freed space must be allowed to be freed.
        DetectZeroes::Unmap if driver.discard == Some(Discard::Unmap) => Some("unmap"),
        DetectZeroes::Unmap => Some("on"),
    }
}

fn device(doc: &Domain, disk: &Disk, drive: Option<&str>, boot: Option<u32>) -> Result<Object> {
    let driver = disk.driver.clone().unwrap_or_default();
    let cd = disk.device == DiskDevice::Cdrom;
    let object = match disk.target.bus.unwrap_or(DiskBus::Virtio) {
        DiskBus::Virtio => Object::driver("virtio-blk-pci")
            .maybe_number("num-queues", driver.queues)
            .append(&place(doc, &disk.info)),
        DiskBus::Ide => ide(doc, disk, if cd { "ide-cd" } else { "ide-hd" }),
        DiskBus::Sata => sata(doc, disk, if cd { "ide-cd" } else { "ide-hd" }),
        DiskBus::Scsi => scsi(doc, disk, if cd { "scsi-cd" } else { "scsi-hd" }),
        DiskBus::Usb => Object::driver("usb-storage").append(&place(doc, &disk.info)),
        DiskBus::Fdc => Object::driver("floppy").number("unit", drive_address(disk).unit),
        bus @ (DiskBus::Xen | DiskBus::Uml | DiskBus::Sd | DiskBus::Nvme) => {
            return Err(Error::unsupported(format!(
                "disk bus '{bus}' is not supported with qemu"
            )));
        }
    };
    let usb = disk.target.bus == Some(DiskBus::Usb);
    let floppy = disk.device == DiskDevice::Floppy;
    let write_cache = cache_of(disk)
        .filter(|_| !floppy && !cd)
        .map(|c| if c.write_cache { "on" } else { "off" });
    let (werror, rerror) = policies(&driver);
    Ok(object
        .maybe_boolean("share-rw", disk.shareable.then_some(true))
        .maybe_text("drive", drive)
        .text("id", alias(&disk.info))
        .maybe_number("bootindex", boot)
        .maybe_boolean("removable", usb.then_some(false))
        .maybe_text("write-cache", write_cache)
        .maybe_text("serial", disk.serial.as_deref())
        .maybe_text("werror", werror)
        .maybe_text("rerror", rerror))
}

fn drive_address(disk: &Disk) -> ferrovirt_model::domain::DriveAddress {
    match &disk.info.address {
        Some(Address::Drive(address)) => *address,
        _ => ferrovirt_model::domain::DriveAddress::default(),
    }
}

fn ide(doc: &Domain, disk: &Disk, driver: &str) -> Object {
    let address = drive_address(disk);
    let bus = controller_alias(doc, ControllerType::Ide, address.controller);
    Object::driver(driver)
        .text("bus", &format!("{bus}.{}", address.bus))
        .number("unit", address.unit)
}

fn sata(doc: &Domain, disk: &Disk, driver: &str) -> Object {
    let address = drive_address(disk);
    let bus = controller_alias(doc, ControllerType::Sata, address.controller);
    Object::driver(driver).text("bus", &format!("{bus}.{}", address.unit))
}

fn scsi(doc: &Domain, disk: &Disk, driver: &str) -> Object {
    let address = drive_address(disk);
    let bus = controller_alias(doc, ControllerType::Scsi, address.controller);
    let object = Object::driver(driver).text("bus", &format!("{bus}.0"));
    let object = if crate::live::is_lsilogic(doc, address.controller) {
        object.number("scsi-id", address.unit)
    } else {
        object
            .number("channel", address.bus)
            .number("scsi-id", address.target)
            .number("lun", address.unit)
    };
    object.text("device_id", &format!("drive-{}", alias(&disk.info)))
}

/// What an error in writing and in reading leads to.
fn policies(driver: &ferrovirt_model::domain::DiskDriver) -> (Option<&'static str>, Option<&'static str>) {
    let word = |policy: ErrorPolicy| match policy {
        ErrorPolicy::Default => None,
        ErrorPolicy::Stop => Some("stop"),
        ErrorPolicy::Report => Some("report"),
        ErrorPolicy::Ignore => Some("ignore"),
        ErrorPolicy::Enospace => Some("enospc"),
    };
    let write = driver.error_policy.and_then(word);
    let read = match driver.rerror_policy {
        Some(policy) => word(policy),
        // Reading knows no lack of space.
        None => write.map(|word| if word == "enospc" { "report" } else { word }),
    };
    (write, read)
}
