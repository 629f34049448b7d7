//! Memory: how much, behind what, and the modules that come with it.

use ferrovirt_model::Kib;
use ferrovirt_model::cpuset::CpuSet;
use ferrovirt_model::domain::{
    Address, MemoryAccess, MemoryAllocationMode, MemoryDevice, MemoryModel, MemorySource, NumaMode,
};

use super::json::Object;
use super::place::place;
use super::{Arguments, Context};
use crate::error::{Error, Result};
use crate::live::memory::{HugeMount, file_dir, huge_dir, initial};

/// Pages that are not huge.
const PAGE: Kib = Kib(4);

/// One piece of memory of which QEMU wants to know what is behind it.
struct Piece<'a> {
    /// Name of the object.
    id: String,
    /// Name of the file, if it is one of ours.
    file: &'a str,
    /// Size in KiB.
    size: Kib,
    /// The guest's node that it belongs to.
    node: Option<u32>,
    /// All of the machine's memory.
    whole: bool,
    /// The device, if it is one.
    device: Option<&'a MemoryDevice>,
}

/// What became of a piece.
pub(super) struct Backend {
    /// The object for threads that take the memory.
    threads: Option<Object>,
    /// The memory itself.
    memory: Object,
    /// Nothing of it is special: an old machine can do without.
    pub(super) plain: bool,
    /// The device takes all of its memory at once.
    prealloc: bool,
}

impl Backend {
    /// Adds it to the command line.
    pub(super) fn write(self, args: &mut Arguments) {
        for object in self.threads.into_iter().chain([self.memory]) {
            args.add("-object", object.finish());
        }
    }
}

/// How much there is; what all of it is, when the guest has no nodes; whether it may be swapped out.
pub(super) fn base(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    let doc = context.doc;
    let size = Kib(initial(doc).mib().saturating_mul(1024));
    let mut text = format!("size={}k", size.0);
    if let Some(max) = &doc.max_memory {
        check_growth(context)?;
        if let Some(slots) = max.slots {
            text += &format!(",slots={slots}");
        }
        text += &format!(",maxmem={}k", max.size.0);
    }
    args.add("-m", text);
    if doc.numa_cells().is_empty() {
        let id = super::machine::ram_id(context);
        let piece = Piece {
            id: id.to_owned(),
            file: id,
            size,
            node: None,
            whole: true,
            device: None,
        };
        backend(context, &piece)?.write(args);
    }
    let locked = doc.memory_backing.as_ref().is_some_and(|backing| backing.locked);
    args.add(
        "-overcommit",
        format!("mem-lock={}", if locked { "on" } else { "off" }),
    );
    Ok(())
}

fn check_growth(context: &Context<'_>) -> Result<()> {
    if context.doc.numa_cells().is_empty() {
        let text = "At least one numa node has to be configured when enabling memory hotplug";
        return Err(Error::unsupported(text));
    }
    Ok(())
}

/// What is behind one of the guest's nodes.
pub(super) fn of_cell(context: &Context<'_>, node: u32, size: Kib) -> Result<Backend> {
    let id = format!("ram-node{node}");
    let piece = Piece {
        file: &id,
        id: id.clone(),
        size,
        node: Some(node),
        whole: false,
        device: None,
    };
    backend(context, &piece)
}

/// The modules.
pub(super) fn devices(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    for device in &context.doc.devices.memories {
        let alias = device.info.alias.as_deref().unwrap_or_default();
        let piece = Piece {
            id: format!("mem{alias}"),
            file: alias,
            size: device.target.size,
            node: device.target.node,
            whole: false,
            device: Some(device),
        };
        let behind = backend(context, &piece)?;
        let prealloc = behind.prealloc;
        behind.write(args);
        args.device(front(context, device, &piece.id, prealloc)?);
    }
    Ok(())
}

/// What the guest sees of a module.
fn front(context: &Context<'_>, device: &MemoryDevice, behind: &str, prealloc: bool) -> Result<Object> {
    let target = &device.target;
    let driver = match device.model {
        MemoryModel::Dimm => "pc-dimm",
        MemoryModel::Nvdimm => "nvdimm",
        MemoryModel::VirtioPmem => "virtio-pmem-pci",
        MemoryModel::VirtioMem => "virtio-mem-pci",
    };
    let bytes = |size: Option<Kib>| size.map(Kib::bytes).and_then(|bytes| i64::try_from(bytes).ok());
    let base =
        |base: Option<ferrovirt_model::domain::MemoryBase>| base.and_then(|base| i64::try_from(base.0).ok());
    let label = bytes(target.label.as_ref().map(|label| label.size));
    let virtio_mem = device.model == MemoryModel::VirtioMem;
    let mut object = Object::driver(driver)
        .maybe_number("node", target.node)
        .maybe_number("label-size", label)
        .maybe_number("block-size", bytes(target.block))
        .maybe_number("requested-size", bytes(target.requested))
        .maybe_boolean("unarmed", target.readonly.then_some(true))
        .text("memdev", behind)
        .maybe_boolean("prealloc", (virtio_mem && prealloc).then_some(true))
        .maybe_number("memaddr", base(target.base))
        .maybe_boolean("dynamic-memslots", target.dynamic_slots)
        .maybe_text("id", device.info.alias.as_deref());
    if let Some(Address::Dimm(slot)) = &device.info.address {
        object = object
            .maybe_number("slot", slot.slot)
            .maybe_number("addr", base(slot.base));
    }
    if device.model.has_slot() {
        return Ok(object);
    }
    Ok(object.append(&place(context.doc, &device.info)))
}

/// What an object needs to know, found in all the places that say something about a piece.
struct Asked<'a> {
    access: Option<MemoryAccess>,
    discard: Option<bool>,
    /// Huge pages of this size.
    huge: Option<&'a HugeMount>,
    nodes: Option<(NumaMode, CpuSet)>,
    prealloc: bool,
}

fn asked<'a>(context: &'a Context<'_>, piece: &Piece<'_>) -> Result<Asked<'a>> {
    let doc = context.doc;
    let backing = doc.memory_backing.as_ref();
    let cell = doc.numa_cells().iter().find(|cell| cell.id == piece.node);
    let device = piece.device;
    let source = device.and_then(|device| device.source.as_ref());
    let access = device.and_then(|device| device.access);
    let access = access.or_else(|| cell.and_then(|cell| cell.access));
    let discard = device.and_then(|device| device.discard);
    let discard = discard.or_else(|| cell.and_then(|cell| cell.discard));
    let own = source.and_then(|source| source.page_size).map(Some);
    let of_file = source.is_some_and(|source| source.path.is_some());
    let page = own.or_else(|| {
        backing
            .and_then(|backing| backing.page_of(piece.node))
            .filter(|_| !of_file)
    });
    let huge = match page {
        Some(Some(PAGE)) | None => None,
        Some(size) => Some(mount(context, size)?),
    };
    let tune = doc.numatune.as_ref();
    if tune.is_some_and(ferrovirt_model::domain::NumaTune::is_auto) {
        return Err(Error::Failed(
            "Advice from numad is needed in case of automatic numa placement".to_owned(),
        ));
    }
    let (mode, set) = tune.and_then(|tune| tune.of_node(piece.node)).unwrap_or_default();
    let set = source.and_then(|source| source.nodemask.as_ref()).or(set);
    if let Some(known) = &context.given.nodes
        && let Some(missing) =
            set.and_then(|set| set.iter().find(|node| known.iter().all(|one| one != *node)))
    {
        return Err(Error::unsupported(format!("NUMA node {missing} is unavailable")));
    }
    let allocation = backing.and_then(|backing| backing.allocation.as_ref());
    let immediate =
        allocation.and_then(|allocation| allocation.mode) == Some(MemoryAllocationMode::Immediate);
    Ok(Asked {
        access: access.or_else(|| backing.and_then(|backing| backing.access)),
        discard: discard.or_else(|| backing.filter(|backing| backing.discard).map(|_| true)),
        huge,
        // The control group alone keeps the guest there.
        nodes: set
            .filter(|_| mode != NumaMode::Restrictive)
            .map(|set| (mode, set.clone())),
        prealloc: immediate,
    })
}

/// The mount of huge pages of this size, or of the host's usual one.
fn mount<'a>(context: &'a Context<'_>, size: Option<Kib>) -> Result<&'a HugeMount> {
    let mounts = &context.given.huge;
    if mounts.is_empty() {
        return Err(Error::Failed(
            "hugetlbfs filesystem is not mounted or disabled by administrator config".to_owned(),
        ));
    }
    let fits = |mount: &&HugeMount| size.map_or(mount.usual, |size| mount.page == size);
    mounts.iter().find(fits).ok_or_else(|| match size {
        Some(size) => Error::Failed(format!(
            "Unable to find any usable hugetlbfs mount for {} KiB",
            size.0
        )),
        None => {
            Error::Failed("Unable to find any usable hugetlbfs mount for the default page size".to_owned())
        }
    })
}

fn policy(mode: NumaMode) -> &'static str {
    match mode {
        NumaMode::Strict | NumaMode::Restrictive => "bind",
        NumaMode::Preferred => "preferred",
        NumaMode::Interleave => "interleave",
    }
}

fn backend(context: &Context<'_>, piece: &Piece<'_>) -> Result<Backend> {
    let mut asked = asked(context, piece)?;
    let backing = context.doc.memory_backing.as_ref();
    let of_file = piece.device.and_then(MemoryDevice::path);
    let source = backing.and_then(|backing| backing.source);
    let memfd = source == Some(MemorySource::Memfd) && of_file.is_none();
    let file = asked.huge.is_some()
        || of_file.is_some()
        || asked.access.is_some()
        || source == Some(MemorySource::File);
    let kind = match (memfd, file) {
        (true, _) => "memory-backend-memfd",
        (false, true) => "memory-backend-file",
        (false, false) => "memory-backend-ram",
    };
    let mut object = Object::default().text("qom-type", kind).text("id", &piece.id);
    if let Some(huge) = asked.huge {
        asked.prealloc = true;
        if memfd {
            let size = i64::try_from(huge.page.bytes()).unwrap_or(i64::MAX);
            object = object.boolean("hugetlb", true).number("hugetlbsize", size);
        }
    }
    if file && !memfd {
        object = object.text("mem-path", &path(context, piece, &asked));
        object = object.maybe_boolean("discard-data", asked.discard.filter(|_| of_file.is_none()));
    }
    if file || memfd {
        object = object.maybe_boolean("share", asked.access.map(|access| access == MemoryAccess::Shared));
        object = object.maybe_boolean(
            "x-use-canonical-path-for-ramblock-id",
            piece.whole.then_some(false),
        );
    }
    finish(context, piece, &asked, object).map(|mut backend| {
        backend.plain = kind == "memory-backend-ram" && asked.nodes.is_none();
        backend
    })
}

/// Where the file is that stands behind a piece.
fn path(context: &Context<'_>, piece: &Piece<'_>, asked: &Asked<'_>) -> String {
    let dir = &context.given.guest_dir;
    match (asked.huge, piece.device.and_then(MemoryDevice::path)) {
        (Some(mount), _) => huge_dir(mount, dir).display().to_string(),
        (None, Some(path)) => path.to_owned(),
        (None, None) => file_dir(dir).join(piece.file).display().to_string(),
    }
}

/// When it is taken, how much it is, and from where.
fn finish(
    context: &Context<'_>,
    piece: &Piece<'_>,
    asked: &Asked<'_>,
    mut object: Object,
) -> Result<Backend> {
    let source = piece.device.and_then(|device| device.source.as_ref());
    let pmem = source.is_some_and(|source| source.pmem);
    let virtio_mem = piece
        .device
        .is_some_and(|device| device.model == MemoryModel::VirtioMem);
    let nvdimm = piece
        .device
        .is_some_and(|device| device.model == MemoryModel::Nvdimm);
    let wanted = asked.prealloc || (nvdimm && !pmem);
    let prealloc = wanted && !virtio_mem;
    let allocation = context.doc.memory_backing.as_ref();
    let allocation = allocation.and_then(|backing| backing.allocation.as_ref());
    object = object.maybe_boolean("prealloc", prealloc.then_some(true));
    if !virtio_mem {
        object = object.maybe_number(
            "prealloc-threads",
            allocation.and_then(|allocation| allocation.threads),
        );
    }
    let bytes =
        i64::try_from(piece.size.bytes()).map_err(|_| Error::Xml("memory size is too large".to_owned()))?;
    let align = source.and_then(|source| source.align_size).map(Kib::bytes);
    object = object
        .maybe_boolean("reserve", virtio_mem.then_some(false))
        .number("size", bytes)
        .maybe_number("align", align.and_then(|align| i64::try_from(align).ok()))
        .maybe_boolean("pmem", pmem.then_some(true));
    let mut threads = None;
    if let Some((mode, nodes)) = &asked.nodes {
        object = object
            .numbers("host-nodes", nodes.iter())
            .text("policy", policy(*mode));
        if prealloc && context.emulator.version >= (7, 2, 0) {
            let id = format!("tc-{}", piece.id);
            threads = Some(
                Object::default()
                    .text("qom-type", "thread-context")
                    .text("id", &id)
                    .numbers("node-affinity", nodes.iter()),
            );
            object = object.text("prealloc-context", &id);
        }
    }
    Ok(Backend {
        threads,
        memory: object,
        plain: false,
        prealloc: wanted,
    })
}
