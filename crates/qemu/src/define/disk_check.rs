//! What a disk cannot be: parts that its bus, its kind or its format does not have, in libvirt's words.

use ferrovirt_model::domain::{
    Address, BackingStore, DeviceLabel, Disk, DiskBus, DiskCache, DiskDevice, DiskIo, DiskSource, DiskType,
    Domain, Encryption, EncryptionEngine, EncryptionFormat, ErrorPolicy, Limits, StartupPolicy,
    VirtioOptions,
};

use super::needs;
use crate::error::{Error, Result};
use crate::ownership;

/// The largest limit that QEMU takes.
const LIMIT: u64 = 1_000_000_000_000_000;

/// Something that is there, and the reason why it must not.
type Wrong = (bool, String);

fn first(wrongs: impl IntoIterator<Item = Wrong>) -> Result<()> {
    match wrongs.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, text)) => Err(Error::Unsupported(text)),
        None => Ok(()),
    }
}

/// Refuses a disk that cannot be.
pub(super) fn check(disk: &Disk, doc: &Domain) -> Result<()> {
    let bus = disk.target.bus.unwrap_or(DiskBus::Virtio);
    bus_and_device(disk, bus)?;
    first(driver(disk))?;
    first(by_bus(disk, doc, bus))?;
    first(looks(disk, bus))?;
    first(kinds(disk, doc, bus))?;
    chain(disk)?;
    limits(disk, doc)?;
    place(disk, bus)
}

fn bus_and_device(disk: &Disk, bus: DiskBus) -> Result<()> {
    let dev = &disk.target.dev;
    let lun = disk.device == DiskDevice::Lun;
    let format = disk.driver.as_ref().and_then(|driver| driver.format.as_deref());
    let removable = matches!(disk.device, DiskDevice::Cdrom | DiskDevice::Floppy);
    let empty = disk.source.as_ref().is_none_or(|source| !source.is_somewhere());
    let fdc = bus == DiskBus::Fdc;
    let hard = disk.device == DiskDevice::Disk && disk.readonly;
    first([
        (
            lun && format.is_some_and(|format| format != "raw"),
            "disk device 'lun' must use 'raw' format".to_owned(),
        ),
        (
            lun && bus == DiskBus::Virtio,
            "This QEMU doesn't support SCSI emulation with 'virtio-blk' device: disk device='lun' on bus 'virtio'"
                .to_owned(),
        ),
        (
            fdc != (disk.device == DiskDevice::Floppy),
            format!("Invalid bus type '{bus}' for disk '{dev}' with device '{}'", disk.device),
        ),
        (
            lun && bus != DiskBus::Scsi,
            format!("disk device='lun' is not supported for bus='{bus}'"),
        ),
        (
            removable && matches!(bus, DiskBus::Virtio | DiskBus::Sd),
            format!("disk type of '{dev}' does not support ejectable media"),
        ),
        (
            hard && matches!(bus, DiskBus::Ide | DiskBus::Sata),
            format!("readonly {bus} disks are not supported"),
        ),
        (
            empty && bus == DiskBus::Usb,
            format!("'usb' disk must not be empty ('{dev}')"),
        ),
        (
            matches!(bus, DiskBus::Xen | DiskBus::Uml | DiskBus::Nvme),
            format!("disk bus '{bus}' of '{dev}' is not supported with qemu"),
        ),
    ])
}

fn virtio_only(virtio: &VirtioOptions) -> [Wrong; 4] {
    let text = |name: &str| format!("{name} driver option is only supported for virtio devices");
    [
        (virtio.iommu.is_some(), text("iommu")),
        (virtio.ats.is_some(), text("ats")),
        (virtio.packed.is_some(), text("packed")),
        (virtio.page_per_vq.is_some(), text("page_per_vq")),
    ]
}

/// `<driver>` and the disk's model.
fn driver(disk: &Disk) -> Vec<Wrong> {
    let dev = &disk.target.dev;
    let driver = disk.driver.clone().unwrap_or_default();
    let format = driver.format.as_deref().unwrap_or("raw");
    let model = disk.model.as_deref();
    let removable = matches!(disk.device, DiskDevice::Cdrom | DiskDevice::Floppy);
    vec![
        (
            driver.name.as_deref().is_some_and(|name| name != "qemu"),
            format!(
                "unsupported driver name '{}' for disk '{dev}'",
                driver.name.as_deref().unwrap_or_default()
            ),
        ),
        (
            driver.rerror_policy == Some(ErrorPolicy::Enospace),
            "Invalid disk read error policy: 'enospace'".to_owned(),
        ),
        (
            driver.io == Some(DiskIo::Native)
                && !matches!(driver.cache, Some(DiskCache::None | DiskCache::Directsync)),
            "io='native' needs either no disk cache or directsync cache mode".to_owned(),
        ),
        (
            driver.copy_on_read == Some(true) && disk.readonly,
            format!("copy_on_read is not compatible with read-only disk '{dev}'"),
        ),
        (
            driver.copy_on_read.is_some() && removable,
            format!("copy_on_read is not supported with removable disk '{dev}'"),
        ),
        (
            driver.discard_no_unref.is_some() && format != "qcow2",
            "'discard_no_unref' only works with qcow2 disk format".to_owned(),
        ),
        (
            driver.discard_no_unref == Some(true) && disk.readonly,
            "'discard_no_unref' is not compatible with read-only disk".to_owned(),
        ),
        (
            driver.metadata_cache.is_some() && format != "qcow2",
            "metadata cache max size control is supported only with qcow2 images".to_owned(),
        ),
        (
            driver.iothread.is_some() && !driver.threads.is_empty(),
            "disk driver 'iothread' attribute can't be used together with 'iothreads' subelement".to_owned(),
        ),
        (
            model.is_some_and(|model| {
                !matches!(
                    model,
                    "virtio" | "virtio-transitional" | "virtio-non-transitional"
                )
            }),
            format!(
                "Invalid value for attribute 'model' in element 'disk': '{}'",
                model.unwrap_or_default()
            ),
        ),
        (
            disk.shareable && !disk.readonly && format != "raw",
            format!("shared access for disk '{dev}' requires use of supported storage format"),
        ),
    ]
}

/// What of `<driver>` belongs to a bus.
fn by_bus(disk: &Disk, doc: &Domain, bus: DiskBus) -> Vec<Wrong> {
    let dev = &disk.target.dev;
    let driver = disk.driver.clone().unwrap_or_default();
    let model = disk.model.as_deref();
    let mut wrongs = Vec::new();
    let threads = driver
        .threads
        .iter()
        .map(|thread| thread.id)
        .chain(driver.iothread);
    if let Some(thread) = threads
        .into_iter()
        .find(|thread| !needs::has_iothread(doc, *thread))
    {
        let text = format!("Disk iothread '{thread}' not defined in iothreadid");
        wrongs.push((bus == DiskBus::Virtio, text));
    }
    if bus != DiskBus::Virtio {
        let text = |name: &str| format!("disk {name} mode supported only for virtio bus");
        let queue =
            |name: &str| format!("{name} attribute in disk driver element is only supported for virtio bus");
        wrongs.extend([
            (
                model.is_some(),
                format!(
                    "disk model '{}' not supported for bus '{bus}'",
                    model.unwrap_or_default()
                ),
            ),
            (driver.ioeventfd.is_some(), text("ioeventfd")),
            (driver.event_idx.is_some(), text("event_idx")),
            (driver.queues.is_some(), queue("queues")),
            (driver.queue_size.is_some(), queue("queue_size")),
            (
                driver.iothread.is_some() || !driver.threads.is_empty(),
                format!("IOThreads not available for bus {bus} target {dev}"),
            ),
        ]);
        wrongs.extend(virtio_only(&driver.virtio));
    }
    wrongs
}

/// What the guest sees of it.
fn looks(disk: &Disk, bus: DiskBus) -> Vec<Wrong> {
    let dev = &disk.target.dev;
    let hard = matches!(disk.device, DiskDevice::Disk | DiskDevice::Lun);
    let lun = disk.device == DiskDevice::Lun;
    let translated = disk
        .geometry
        .as_ref()
        .is_some_and(|geometry| geometry.trans.is_some());
    let names = disk.vendor.is_some() || disk.product.is_some();
    let spins = matches!(bus, DiskBus::Ide | DiskBus::Sata | DiskBus::Scsi);
    let serial = disk.serial.as_deref().unwrap_or_default();
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_ .+".contains(c);
    vec![
        (
            disk.geometry.is_some() && matches!(bus, DiskBus::Usb | DiskBus::Sd),
            format!("CHS <geometry> can not be set for '{bus}' bus"),
        ),
        (
            translated && bus != DiskBus::Ide,
            format!("CHS <geometry> translation mode can only be set for 'ide' bus not '{bus}'"),
        ),
        (
            disk.serial.is_some() && bus == DiskBus::Sd,
            format!("Serial property not supported for drive bus '{bus}'"),
        ),
        (
            !serial.chars().all(safe),
            format!("driver serial '{serial}' contains unsafe characters"),
        ),
        (
            lun && disk.serial.is_some(),
            "scsi-block 'lun' devices do not support the serial property".to_owned(),
        ),
        (
            disk.wwn.is_some() && !matches!(bus, DiskBus::Ide | DiskBus::Scsi),
            "Only ide and scsi disk support wwn".to_owned(),
        ),
        (
            lun && disk.wwn.is_some(),
            "Setting wwn is not supported for lun device".to_owned(),
        ),
        (
            disk.vendor.is_some() && bus != DiskBus::Scsi,
            "Only scsi disk supports 'vendor'".to_owned(),
        ),
        (
            disk.product.is_some() && !spins,
            "Only ide, sata and scsi disk supports 'product'".to_owned(),
        ),
        (
            lun && names,
            "Setting vendor or product is not supported for lun device".to_owned(),
        ),
        (
            bus == DiskBus::Scsi && disk.product.as_ref().is_some_and(|product| product.len() > 16),
            "disk product is more than 16 characters".to_owned(),
        ),
        (
            disk.target.rotation_rate.is_some() && !spins,
            format!("rotation_rate is only valid for SCSI/IDE/SATA bus, not for '{dev}'"),
        ),
        (
            disk.target.rotation_rate.is_some() && !hard,
            format!("rotation_rate is only valid for disk device, not for '{dev}'"),
        ),
        (
            disk.target.removable.is_some() && bus != DiskBus::Usb,
            "removable is only valid for usb disks".to_owned(),
        ),
        (
            disk.info.acpi_index.is_some() && !matches!(bus, DiskBus::Virtio),
            "ACPI index is only supported for PCI devices".to_owned(),
        ),
    ]
}

/// What belongs to some kinds of sources only.
fn kinds(disk: &Disk, doc: &Domain, bus: DiskBus) -> Vec<Wrong> {
    let dev = &disk.target.dev;
    let source = disk.source.clone().unwrap_or_default();
    let policy = source.startup_policy;
    let local = matches!(
        disk.kind,
        DiskType::File | DiskType::Block | DiskType::Dir | DiskType::Volume
    );
    let removable = matches!(disk.device, DiskDevice::Cdrom | DiskDevice::Floppy);
    let lun = disk.device == DiskDevice::Lun;
    let mut wrongs = vec![
        (
            policy == Some(StartupPolicy::Requisite) && !removable,
            format!("disk startupPolicy 'requisite' is allowed only for cdrom or floppy, not for '{dev}'"),
        ),
        (
            policy.is_some() && !local,
            format!(
                "disk startupPolicy '{}' is not allowed for disk of '{}' type",
                policy.map_or("", |policy| policy.as_str()),
                disk.kind
            ),
        ),
        (
            source.reservations.is_some() && !lun,
            "<reservations/> allowed only for lun devices".to_owned(),
        ),
        (
            source.reservations.as_ref().is_some_and(|kept| kept.managed),
            "<reservations managed='yes'> is not supported by this driver".to_owned(),
        ),
        (
            source
                .reservations
                .as_ref()
                .is_some_and(|kept| !kept.managed && kept.source.is_none()),
            "missing connection type for <reservations/>".to_owned(),
        ),
        (
            disk.kind == DiskType::VhostVdpa,
            "vhostvdpa disk is not supported with this QEMU binary".to_owned(),
        ),
        (
            bus == DiskBus::Sd && !matches!(disk.kind, DiskType::File | DiskType::Block),
            format!("disk type '{}' is not supported for bus 'sd'", disk.kind),
        ),
        (
            bus == DiskBus::Sd && disk.iotune.is_some(),
            "<iotune> is not supported with bus='sd'".to_owned(),
        ),
    ];
    if disk.kind == DiskType::VhostUser {
        wrongs.extend(vhost_user(disk, bus));
        wrongs.push((
            !needs::shares_memory(doc),
            "'vhostuser' requires shared memory".to_owned(),
        ));
    }
    wrongs
}

fn vhost_user(disk: &Disk, bus: DiskBus) -> Vec<Wrong> {
    let driver = disk.driver.clone().unwrap_or_default();
    let not = |name: &str| format!("{name} is not supported with vhostuser disk");
    vec![
        (
            bus != DiskBus::Virtio,
            "vhostuser disk supports only virtio bus".to_owned(),
        ),
        (driver.cache.is_some(), not("cache")),
        (driver.error_policy.is_some(), not("error_policy")),
        (driver.rerror_policy.is_some(), not("rerror_policy")),
        (driver.io.is_some(), not("io")),
        (driver.ioeventfd.is_some(), not("ioeventfd")),
        (driver.copy_on_read.is_some(), not("copy_on_read")),
        (driver.discard.is_some(), not("discard")),
        (
            driver.iothread.is_some() || !driver.threads.is_empty(),
            not("iothread"),
        ),
        (driver.detect_zeroes.is_some(), not("detect_zeroes")),
        (disk.readonly, not("readonly")),
        (disk.shareable, not("shareable")),
        (disk.iotune.is_some(), not("iotune")),
        (disk.blockio.is_some(), not("blockio")),
        (disk.geometry.is_some(), not("geometry")),
        (disk.serial.is_some(), not("serial")),
        (!disk.throttle_filters.is_empty(), not("throttlefilters")),
    ]
}

/// The images of a disk.
fn chain(disk: &Disk) -> Result<()> {
    let format = disk.driver.as_ref().and_then(|driver| driver.format.as_deref());
    if let Some(source) = &disk.source {
        image(disk.kind, source, format, disk.readonly)?;
    }
    if let Some(encryption) = &disk.encryption {
        encrypted(encryption, disk.kind, disk.source.as_ref(), format)?;
    }
    let mut below: Option<&BackingStore> = disk.backing_store.as_deref();
    while let Some(store) = below {
        if let (Some(kind), Some(source)) = (store.kind, &store.source) {
            image(kind, source, store.format_name(), true)?;
        }
        below = store.backing_store.as_deref();
    }
    Ok(())
}

fn image(kind: DiskType, source: &DiskSource, format: Option<&str>, read_only: bool) -> Result<()> {
    let name = format.unwrap_or("raw");
    let fat = name == "fat";
    let known = matches!(
        name,
        "raw"
            | "qcow2"
            | "qcow"
            | "qed"
            | "vmdk"
            | "vdi"
            | "vpc"
            | "vhd"
            | "cloop"
            | "dmg"
            | "bochs"
            | "ploop"
            | "fat"
    );
    let data = source.data_store.as_ref().and_then(|store| store.format.as_ref());
    first([
        (
            !known,
            format!("unsupported disk driver type '{name}': no such storage format"),
        ),
        (
            kind == DiskType::Dir && !fat,
            "storage type 'dir' requires use of storage format 'fat'".to_owned(),
        ),
        (
            fat && !matches!(kind, DiskType::Dir | DiskType::Volume),
            "storage format 'fat' is supported only with 'dir' storage type".to_owned(),
        ),
        (
            kind == DiskType::Dir && !read_only,
            "virtual FAT storage can't be accessed in read-write mode".to_owned(),
        ),
        (
            source.protocol == Some(ferrovirt_model::domain::DiskProtocol::Tftp),
            "'tftp' protocol is not supported with this QEMU binary".to_owned(),
        ),
        (
            source.data_store.is_some() && name != "qcow2",
            "<dataStore> feature available only with qcow2 images".to_owned(),
        ),
        (
            data.is_some_and(|data| data.kind != "raw"),
            "only 'raw' images supported as <dataStore>".to_owned(),
        ),
        (
            source.labels.iter().any(names_nobody),
            "a <seclabel> of model 'dac' needs numbers: '+UID:+GID'".to_owned(),
        ),
        (
            source.slices.len() > 1,
            "only one <slice> of a source is supported".to_owned(),
        ),
    ])?;
    match &source.encryption {
        Some(encryption) => encrypted(encryption, kind, Some(source), format),
        None => Ok(()),
    }
}

/// A label whose owner is not a number.
fn names_nobody(label: &DeviceLabel) -> bool {
    let dac = label.model.as_deref() == Some("dac");
    dac && label
        .label
        .as_deref()
        .is_some_and(|label| ownership::ids(label).is_none())
}

fn encrypted(
    encryption: &Encryption,
    kind: DiskType,
    source: Option<&DiskSource>,
    format: Option<&str>,
) -> Result<()> {
    use EncryptionFormat::{Default, Luks2, LuksAny, Qcow};
    let librbd = encryption.engine == Some(EncryptionEngine::Librbd);
    let rbd = source.and_then(|source| source.protocol) == Some(ferrovirt_model::domain::DiskProtocol::Rbd);
    first([
        (
            matches!(encryption.format, Qcow | Default),
            "old qcow/qcow2 <encryption> is not supported".to_owned(),
        ),
        (
            librbd && !rbd,
            "librbd encryption is supported only with RBD backed disks".to_owned(),
        ),
        (
            !librbd && matches!(encryption.format, Luks2 | LuksAny),
            format!(
                "'{}' is currently not supported by the qemu encryption engine",
                encryption.format
            ),
        ),
        (
            !librbd && encryption.secrets.len() > 1,
            "qemu encryption engine expects only a single secret".to_owned(),
        ),
        (
            encryption.cipher.is_some(),
            "supplying <cipher> for domain disk definition is unnecessary".to_owned(),
        ),
        (
            encryption.ivgen.is_some(),
            "supplying <ivgen> for domain disk definition is unnecessary".to_owned(),
        ),
        (
            !librbd && kind != DiskType::Volume && !matches!(format.unwrap_or("raw"), "raw" | "qcow2"),
            "encryption is supported only with 'raw' and 'qcow2' image format".to_owned(),
        ),
        (
            librbd && format.is_some_and(|format| format != "raw"),
            "librbd encryption is supported only with 'raw' image format".to_owned(),
        ),
    ])
}

fn limits(disk: &Disk, doc: &Domain) -> Result<()> {
    let dev = &disk.target.dev;
    let Some(limits) = &disk.iotune else { return Ok(()) };
    let shares = |other: &&Disk| {
        other.target.dev != *dev
            && other.iotune.as_ref().is_some_and(|of| {
                of.group_name.is_some() && of.group_name == limits.group_name && of != limits
            })
    };
    let group = limits.group_name.as_deref().unwrap_or_default();
    first([
        (
            !limits.has_any(),
            "group_name can be configured only together with settings".to_owned(),
        ),
        (
            limits.all().iter().any(|(_, value)| *value > LIMIT),
            format!("block I/O throttle limit must be no more than {LIMIT} using QEMU"),
        ),
        (
            !disk.throttle_filters.is_empty(),
            format!("block 'throttlefilters' can't be used together with 'iotune' for disk '{dev}'"),
        ),
        (
            doc.devices.disks.iter().any(|other| shares(&other)),
            format!("different iotunes for disks with the same group_name '{group}'"),
        ),
    ])
}

/// What of a drive address its controller does not have.
fn place(disk: &Disk, bus: DiskBus) -> Result<()> {
    let Some(Address::Drive(at)) = &disk.info.address else {
        return Ok(());
    };
    let floppy = bus == DiskBus::Fdc;
    first([
        (
            floppy && at.controller > 0,
            "Only 1 fdc controller is supported".to_owned(),
        ),
        (floppy && at.bus > 0, "Only 1 fdc bus is supported".to_owned()),
        (
            floppy && at.target > 0,
            "target must be 0 for controller fdc".to_owned(),
        ),
        (
            bus == DiskBus::Ide && at.controller > 0,
            "Only 1 IDE controller is supported".to_owned(),
        ),
        (
            matches!(bus, DiskBus::Ide | DiskBus::Sata) && at.target > 0,
            format!("target must be 0 for {bus} controller"),
        ),
        (
            bus == DiskBus::Sata && at.bus > 0,
            "bus must be 0 for sata controller".to_owned(),
        ),
        (
            bus == DiskBus::Scsi && at.bus > 0,
            "SCSI controller only supports 1 bus".to_owned(),
        ),
    ])
}
