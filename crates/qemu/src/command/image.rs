//! Nodes of a disk, lowest first: one for the bytes, one for the format where there is one, filters above.

use ferrovirt_model::domain::{
    BackingStore, DataStore, DetectZeroes, Discard, Disk, DiskCache, DiskDevice, DiskDriver, DiskIo,
    DiskSource, DiskType, EncryptionSecret, MetadataCache, Reservations,
};

use super::Arguments;
use super::json::Object;
use super::remote;
use crate::error::{Error, Result};
use crate::live::alias::last_number;

/// How the page cache is used: directly past it, and whether flushes are kept.
#[derive(Clone, Copy)]
pub(super) struct CacheMode {
    direct: bool,
    no_flush: bool,
    pub(super) write_cache: bool,
}

/// The use of the cache, where it is not QEMU's own choice.
pub(super) fn cache_of(disk: &Disk) -> Option<CacheMode> {
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
        Some(DiskCache::Default) | None if disk.shareable && !disk.readonly => mode(true, false, true),
        Some(DiskCache::Default) | None => None,
    }
}

/// An image of a chain, top or below.
struct Image<'a> {
    kind: DiskType,
    source: &'a DiskSource,
    index: u32,
    format: &'a str,
    metadata_cache: Option<u64>,
    read_only: bool,
    /// Is it what the device sees?
    top: bool,
}

impl Image<'_> {
    fn storage(&self) -> String {
        format!("libvirt-{}-storage", self.index)
    }

    fn slice(&self) -> String {
        format!("libvirt-{}-slice-sto", self.index)
    }

    /// Raw data need no node of their own.
    fn has_format(&self) -> bool {
        self.format != "raw"
    }

    fn node(&self) -> String {
        match (self.has_format(), self.source.slices.is_empty()) {
            (true, _) => format!("libvirt-{}-format", self.index),
            (false, true) => self.storage(),
            (false, false) => self.slice(),
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
pub(super) fn nodes(disk: &Disk, args: &mut Arguments) -> Result<Option<String>> {
    let Some(source) = disk.source.as_ref().filter(|source| source.is_somewhere()) else {
        return Ok(None);
    };
    refuse_secrets(disk, source)?;
    let driver = disk.driver.clone().unwrap_or_default();
    let below = match &disk.backing_store {
        None => Below::Unknown,
        Some(store) => backing(disk, store, args)?,
    };
    let top = Image {
        kind: disk.kind,
        source,
        index: source
            .index
            .ok_or_else(|| Error::Failed(format!("disk '{}' was not prepared", disk.target.dev)))?,
        format: driver.format.as_deref().unwrap_or("raw"),
        metadata_cache: driver.metadata_cache.as_ref().and_then(cache_size),
        read_only: disk.readonly,
        top: true,
    };
    image(disk, &top, &below, args)?;
    let mut node = top.node();
    if driver.copy_on_read == Some(true) {
        let name = format!("libvirt-CoR-{}", disk.target.dev);
        let object = Object::driver("copy-on-read")
            .text("node-name", &name)
            .text("file", &node)
            .text("discard", "unmap");
        args.add("-blockdev", object.finish());
        node = name;
    }
    for (number, filter) in (last_number(disk) + 1..).zip(&disk.throttle_filters) {
        let name = format!("libvirt-{number}-filter");
        let object = Object::driver("throttle")
            .text("node-name", &name)
            .text("throttle-group", &format!("throttle-{}", filter.group))
            .text("file", &node);
        args.add("-blockdev", object.finish());
        node = name;
    }
    Ok(Some(node))
}

/// What needs a secret cannot be had, for there is none: libvirt's words.
fn refuse_secrets(disk: &Disk, source: &DiskSource) -> Result<()> {
    let missing = |uuid: Option<String>, usage: Option<&String>| {
        let what = match (uuid, usage) {
            (Some(uuid), _) => format!("uuid '{uuid}'"),
            (None, usage) => format!("usage '{}'", usage.map_or("", String::as_str)),
        };
        Err(Error::unsupported(format!(
            "Secret not found: no secret with matching {what}"
        )))
    };
    if let Some(auth) = disk.auth.as_ref().or(source.auth.as_ref()) {
        return missing(
            auth.secret.uuid.map(|uuid| uuid.to_string()),
            auth.secret.usage.as_ref(),
        );
    }
    let encryption = disk.encryption.as_ref().or(source.encryption.as_ref());
    if let Some(EncryptionSecret { uuid, usage, .. }) =
        encryption.and_then(|encryption| encryption.secrets.first())
    {
        return missing(uuid.map(|uuid| uuid.to_string()), usage.as_ref());
    }
    let what = if encryption.is_some() {
        "encryption"
    } else if !source.cookies.is_empty() {
        "cookies"
    } else {
        return Ok(());
    };
    Err(Error::unsupported(format!(
        "<{what}> of disk '{}' needs a secret, which this driver cannot give to QEMU",
        disk.target.dev
    )))
}

fn cache_size(cache: &MetadataCache) -> Option<u64> {
    cache
        .max_size
        .as_ref()
        .map(|size| size.value)
        .filter(|size| *size > 0)
}

fn backing(disk: &Disk, store: &BackingStore, args: &mut Arguments) -> Result<Below> {
    let Some(kind) = store.kind else {
        return Ok(Below::Nothing);
    };
    let (Some(source), Some(index)) = (&store.source, store.index) else {
        return Err(Error::unsupported(format!(
            "backing store of disk '{}' has no source",
            disk.target.dev
        )));
    };
    refuse_secrets(disk, source)?;
    let below = match &store.backing_store {
        None => Below::Unknown,
        Some(next) => backing(disk, next, args)?,
    };
    let this = Image {
        kind,
        source,
        index,
        format: store.format_name().unwrap_or("raw"),
        metadata_cache: store
            .format
            .as_ref()
            .and_then(|format| cache_size(format.metadata_cache.as_ref()?)),
        read_only: true,
        top: false,
    };
    image(disk, &this, &below, args)?;
    Ok(Below::Node(this.node()))
}

/// The node with the data of an image that has only the map.
fn data_node(disk: &Disk, store: &DataStore, read_only: bool, args: &mut Arguments) -> Result<String> {
    let (Some(source), Some(index)) = (&store.source, store.index) else {
        return Err(Error::unsupported(format!(
            "<dataStore> of disk '{}' has no source",
            disk.target.dev
        )));
    };
    let this = Image {
        kind: store.kind,
        source,
        index,
        format: store.format.as_ref().map_or("raw", |format| format.kind.as_str()),
        metadata_cache: None,
        read_only,
        top: false,
    };
    image(disk, &this, &Below::Unknown, args)?;
    Ok(this.node())
}

fn image(disk: &Disk, image: &Image<'_>, below: &Below, args: &mut Arguments) -> Result<()> {
    let driver = disk.driver.clone().unwrap_or_default();
    let data = match &image.source.data_store {
        Some(store) => Some(data_node(disk, store, image.read_only, args)?),
        None => None,
    };
    let cache = cache_of(disk).map(|cache| {
        Object::default()
            .boolean("direct", cache.direct)
            .boolean("no-flush", cache.no_flush)
    });
    let with_cache = |object: Object| object.maybe_object("cache", cache.as_ref());
    // Belongs to the node the device or the next image sees.
    let seen = |object: Object| {
        object
            .boolean("read-only", image.read_only)
            .maybe_text("discard", discard(&driver))
            .maybe_text("detect-zeroes", if image.top { zeroes(&driver) } else { None })
    };
    let below_others = |object: Object| object.boolean("auto-read-only", true).text("discard", "unmap");
    let storage = storage(disk, image, args)?.text("node-name", &image.storage());
    let mut lowest = image.storage();
    if image.has_format() || !image.source.slices.is_empty() {
        args.add("-blockdev", with_cache(below_others(storage)).finish());
    } else {
        args.add("-blockdev", with_cache(seen(storage)).finish());
        return Ok(());
    }
    if let Some(slice) = image.source.slices.first() {
        let object = Object::driver("raw")
            .text("file", &lowest)
            .unsigned("offset", slice.offset)
            .unsigned("size", slice.size)
            .text("node-name", &image.slice());
        lowest = image.slice();
        if image.has_format() {
            args.add("-blockdev", with_cache(below_others(object)).finish());
        } else {
            args.add("-blockdev", with_cache(seen(object)).finish());
            return Ok(());
        }
    }
    let object = with_cache(seen(Object::default().text("node-name", &image.node())));
    let object = format_options(object, image, &driver).maybe_text("data-file", data.as_deref());
    let object = object.text("file", &lowest);
    let object = match below {
        Below::Node(name) => object.text("backing", name),
        Below::Nothing if has_backing(image.format) => object.null("backing"),
        Below::Unknown | Below::Nothing => object,
    };
    args.add("-blockdev", object.finish());
    Ok(())
}

fn has_backing(format: &str) -> bool {
    matches!(format, "qcow" | "qcow2" | "qed" | "vmdk")
}

fn format_options(object: Object, image: &Image<'_>, driver: &DiskDriver) -> Object {
    let name = match image.format {
        "fat" => "raw",
        "ploop" => "parallels",
        "vhd" => "vhdx",
        other => other,
    };
    let object = object.text("driver", name);
    if name != "qcow2" {
        return object;
    }
    object
        .maybe_boolean("discard-no-unref", driver.discard_no_unref.filter(|_| image.top))
        .maybe_unsigned("cache-size", image.metadata_cache)
}

/// The driver of the bytes with what it needs.
fn storage(disk: &Disk, image: &Image<'_>, args: &mut Arguments) -> Result<Object> {
    let source = image.source;
    let aio = disk
        .driver
        .as_ref()
        .and_then(|driver| driver.io)
        .map(|io| match io {
            DiskIo::Native => "native",
            DiskIo::Threads => "threads",
            DiskIo::IoUring => "io_uring",
        });
    Ok(match image.kind {
        DiskType::File | DiskType::Block => {
            let device = image.kind == DiskType::Block;
            let cdrom = device && disk.device == DiskDevice::Cdrom && image.top && is_drive(source);
            let driver = match (device, cdrom) {
                (true, true) => "host_cdrom",
                (true, false) => "host_device",
                (false, _) => "file",
            };
            let manager = source
                .reservations
                .as_ref()
                .map(|kept| manager(kept, &image.storage(), args));
            Object::driver(driver)
                .text("filename", source.path().unwrap_or_default())
                .maybe_text("aio", aio)
                .maybe_text("pr-manager", manager.as_deref())
        }
        DiskType::Dir => Object::driver("vvfat")
            .text("dir", source.dir.as_deref().unwrap_or_default())
            .boolean("floppy", disk.device == DiskDevice::Floppy)
            .boolean("rw", false),
        DiskType::Network => remote::storage(source, &image.storage(), args)?,
        DiskType::Nvme => {
            let address = source.address.unwrap_or_default();
            let place = format!(
                "{:04x}:{:02x}:{:02x}.{:x}",
                address.domain, address.bus, address.slot, address.function
            );
            Object::driver("nvme")
                .text("device", &place)
                .unsigned("namespace", source.namespace.unwrap_or(1))
        }
        DiskType::VhostVdpa => {
            return Err(Error::unsupported(
                "disk type 'vhostvdpa' is not supported by this driver",
            ));
        }
        DiskType::Volume => {
            return Err(Error::unsupported(format!(
                "Storage pool not found: no storage pool with matching name '{}'",
                source.pool.as_deref().unwrap_or_default()
            )));
        }
        DiskType::VhostUser => {
            return Err(Error::Failed(format!("disk '{}' has no image", disk.target.dev)));
        }
    })
}

/// Is this a drive of the host for CD-ROMs?
fn is_drive(source: &DiskSource) -> bool {
    let name = source.dev.as_deref().and_then(|dev| dev.strip_prefix("/dev/"));
    name.is_some_and(|name| name.starts_with("cdrom") || name.starts_with("sr"))
        && source
            .path()
            .is_some_and(|path| std::path::Path::new(path).exists())
}

/// Who keeps persistent reservations of the image.
fn manager(kept: &Reservations, storage: &str, args: &mut Arguments) -> String {
    let name = format!("pr-helper-{storage}");
    let path = kept.source.as_ref().map_or("", |source| source.path.as_str());
    let object = Object::default()
        .text("qom-type", "pr-manager-helper")
        .text("id", &name)
        .text("path", path);
    args.add("-object", object.finish());
    name
}

pub(super) fn discard(driver: &DiskDriver) -> Option<&'static str> {
    driver.discard.map(|discard| {
        if discard == Discard::Unmap {
            "unmap"
        } else {
            "ignore"
        }
    })
}

pub(super) fn zeroes(driver: &DiskDriver) -> Option<&'static str> {
    match driver.detect_zeroes? {
        DetectZeroes::Off => Some("off"),
        DetectZeroes::On => Some("on"),
        // Freed space must be allowed to be freed.
        DetectZeroes::Unmap if driver.discard == Some(Discard::Unmap) => Some("unmap"),
        DetectZeroes::Unmap => Some("on"),
    }
}
