//! Disks: their nodes (`image`), then the device.

use ferrovirt_model::domain::{
    Address, ControllerType, Disk, DiskBus, DiskDevice, DiskDriver, DiskType, Domain, ErrorPolicy,
};

use super::image::{cache_of, discard, nodes, zeroes};
use super::json::Object;
use super::place::{alias, controller_alias, place};
use super::virtio::{self, options};
use super::{Arguments, Context, escaped};
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
        match (disk.target.bus, disk.kind) {
            (Some(DiskBus::Sd), _) => card(disk, args)?,
            (_, DiskType::VhostUser) => vhost_user(doc, disk, boot, args),
            _ => {
                // That of a floppy is its controller's.
                let boot = boot.filter(|_| !is_floppy(disk));
                let drive = nodes(disk, args)?;
                args.device(device(doc, disk, drive.as_deref(), boot)?);
            }
        }
    }
    Ok(())
}

/// Place in the boot order of the floppies, by their drives.
pub(super) fn floppy_boot(context: &Context<'_>) -> Vec<(char, u32)> {
    let mut class = context.boot.floppy;
    let floppies = context.doc.devices.disks.iter().filter(|disk| is_floppy(disk));
    floppies
        .filter_map(|disk| {
            let drive = if drive_address(disk).unit == 0 { 'A' } else { 'B' };
            let index = disk.info.boot.or(class.take())?;
            Some((drive, index))
        })
        .collect()
}

fn is_floppy(disk: &Disk) -> bool {
    disk.device == DiskDevice::Floppy
}

/// Arguments of `blockdev-add`, lowest node first, and of `device_add` for a disk that is plugged into the running guest of
/// this document.
///
/// # Errors
/// The disk was not prepared, or needs more than nodes.
pub(crate) fn hot(doc: &Domain, disk: &Disk) -> Result<(Vec<String>, String)> {
    let mut args = Arguments::default();
    let drive = nodes(disk, &mut args)?;
    if args.0.iter().any(|arg| arg == "-object") {
        return Err(Error::unsupported(format!(
            "disk '{}' needs objects that a running guest cannot be given",
            disk.target.dev
        )));
    }
    let device = device(doc, disk, drive.as_deref(), disk.info.boot)?;
    let nodes = args.0.into_iter().filter(|arg| arg != "-blockdev").collect();
    Ok((nodes, device.finish()))
}

/// A card in a slot of the board, which has no device of its own.
fn card(disk: &Disk, args: &mut Arguments) -> Result<()> {
    let source = disk.source.as_ref();
    let path = source.and_then(|source| source.path()).ok_or_else(|| {
        Error::unsupported(format!(
            "disk '{}' on bus 'sd' must be a file of this host",
            disk.target.dev
        ))
    })?;
    let driver = disk.driver.clone().unwrap_or_default();
    let format = driver.format.as_deref().unwrap_or("raw");
    let number = disk.target.index().unwrap_or(0);
    let mut text = format!("file={},format={format},if=sd,index={number}", escaped(path));
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            text.push_str(&format!(",{name}={value}"));
        }
    };
    add("readonly", disk.readonly.then_some("on"));
    let shared = (disk.shareable && driver.cache.is_none()).then_some("none");
    add("cache", driver.cache.map(|cache| cache.as_str()).or(shared));
    add(
        "copy-on-read",
        driver.copy_on_read.map(|on| if on { "on" } else { "off" }),
    );
    add("discard", discard(&driver));
    add("detect-zeroes", zeroes(&driver));
    add("aio", driver.io.map(|io| io.as_str()));
    args.add("-drive", text);
    Ok(())
}

/// A disk that another process has.
fn vhost_user(doc: &Domain, disk: &Disk, boot: Option<u32>, args: &mut Arguments) {
    let id = alias(&disk.info);
    let source = disk.source.clone().unwrap_or_default();
    let chardev = format!("chr-vu-{id}");
    let mut text = format!(
        "socket,id={chardev},path={}",
        escaped(source.path.as_deref().unwrap_or_default())
    );
    if let Some(again) = source.reconnect.filter(|again| again.enabled == Some(true)) {
        let seconds = u64::from(again.timeout.unwrap_or(0));
        text.push_str(&format!(",reconnect-ms={}", seconds * 1000));
    }
    args.add("-chardev", text);
    let driver = disk.driver.clone().unwrap_or_default();
    let object = Object::driver(&virtio::name("vhost-user-blk", disk.model.as_deref()))
        .append(&options(Some(&driver.virtio)))
        .maybe_boolean("event_idx", driver.event_idx)
        .maybe_number("num-queues", driver.queues)
        .maybe_number("queue-size", driver.queue_size)
        .append(&place(doc, &disk.info))
        .text("chardev", &chardev)
        .text("id", id)
        .maybe_number("bootindex", boot);
    args.device(object);
}

fn virtio_blk(doc: &Domain, disk: &Disk, driver: &DiskDriver) -> Object {
    let thread = driver.iothread.map(|number| format!("iothread{number}"));
    let threads: Vec<Object> = driver
        .threads
        .iter()
        .map(|thread| {
            let queues: Vec<u32> = thread.queues.iter().map(|queue| queue.id).collect();
            Object::default()
                .text("iothread", &format!("iothread{}", thread.id))
                .maybe_numbers("vqs", &queues)
        })
        .collect();
    Object::driver(&virtio::name("virtio-blk", disk.model.as_deref()))
        .append(&options(Some(&driver.virtio)))
        .maybe_text("iothread", thread.as_deref())
        .maybe_boolean("ioeventfd", driver.ioeventfd)
        .maybe_boolean("event_idx", driver.event_idx)
        .maybe_number("num-queues", driver.queues)
        .maybe_number("queue-size", driver.queue_size)
        .maybe_list("iothread-vq-mapping", &threads)
        .append(&place(doc, &disk.info))
}

fn device(doc: &Domain, disk: &Disk, drive: Option<&str>, boot: Option<u32>) -> Result<Object> {
    let driver = disk.driver.clone().unwrap_or_default();
    let cd = disk.device == DiskDevice::Cdrom;
    let object = match disk.target.bus.unwrap_or(DiskBus::Virtio) {
        DiskBus::Virtio => virtio_blk(doc, disk, &driver),
        DiskBus::Ide => ide(doc, disk, if cd { "ide-cd" } else { "ide-hd" }),
        DiskBus::Sata => sata(doc, disk, if cd { "ide-cd" } else { "ide-hd" }),
        DiskBus::Scsi => scsi(doc, disk),
        DiskBus::Usb => Object::driver("usb-storage").append(&place(doc, &disk.info)),
        DiskBus::Fdc => Object::driver("floppy").number("unit", drive_address(disk).unit),
        bus @ (DiskBus::Xen | DiskBus::Uml | DiskBus::Sd | DiskBus::Nvme) => {
            return Err(Error::unsupported(format!(
                "disk bus '{bus}' is not supported with qemu"
            )));
        }
    };
    let write_cache = cache_of(disk)
        .filter(|_| disk.device != DiskDevice::Lun)
        .map(|c| if c.write_cache { "on" } else { "off" });
    let (werror, rerror) = policies(&driver);
    let object = object
        .maybe_boolean("share-rw", disk.shareable.then_some(true))
        .maybe_text("drive", drive)
        .text("id", alias(&disk.info))
        .maybe_number("bootindex", boot);
    Ok(looks(object, disk, write_cache)
        .maybe_text("werror", werror)
        .maybe_text("rerror", rerror))
}

/// What the guest sees of the disk besides its data.
fn looks(object: Object, disk: &Disk, write_cache: Option<&str>) -> Object {
    let sizes = disk.blockio.unwrap_or_default();
    // The number that the name stands for; its form was looked at.
    let wwn = disk
        .wwn
        .as_deref()
        .and_then(|wwn| u64::from_str_radix(wwn, 16).ok());
    let ata = matches!(disk.target.bus, Some(DiskBus::Ide | DiskBus::Sata));
    let usb = disk.target.bus == Some(DiskBus::Usb);
    let object = object
        .maybe_number("logical_block_size", sizes.logical_block_size)
        .maybe_number("physical_block_size", sizes.physical_block_size)
        .maybe_number("discard_granularity", sizes.discard_granularity)
        .maybe_unsigned("wwn", wwn)
        .maybe_number("rotation_rate", disk.target.rotation_rate)
        .maybe_text("vendor", disk.vendor.as_deref())
        .maybe_text(if ata { "model" } else { "product" }, disk.product.as_deref())
        .maybe_boolean("removable", disk.target.removable.or(usb.then_some(false)))
        .maybe_text("write-cache", write_cache);
    let object = match &disk.geometry {
        Some(geometry) => object
            .number("cyls", geometry.cyls)
            .number("heads", geometry.heads)
            .number("secs", geometry.secs)
            .maybe_text("bios-chs-trans", geometry.trans.map(|trans| trans.as_str())),
        None => object,
    };
    // libvirt escapes blanks, which guests see.
    let serial = disk.serial.as_ref().map(|serial| serial.replace(' ', "\\ "));
    object.maybe_text("serial", serial.as_deref())
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

fn scsi(doc: &Domain, disk: &Disk) -> Object {
    let driver = match disk.device {
        DiskDevice::Lun => "scsi-block",
        DiskDevice::Cdrom => "scsi-cd",
        DiskDevice::Disk | DiskDevice::Floppy => "scsi-hd",
    };
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
    if disk.device == DiskDevice::Lun {
        return object;
    }
    let own = || format!("drive-{}", name_of_place(doc, disk));
    object.text("device_id", &disk.serial.clone().unwrap_or_else(own))
}

/// libvirt's own name of a disk by its place, whatever the user called it.
fn name_of_place(doc: &Domain, disk: &Disk) -> String {
    crate::live::alias::disk_name(doc, disk).unwrap_or_else(|| alias(&disk.info).to_owned())
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
