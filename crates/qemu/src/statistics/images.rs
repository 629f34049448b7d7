//! Figures of disks: of a running guest as QEMU tells them, of one that is off as its files show them.
//!
//! Files of a running guest are not looked at unless QEMU says that it works with them: storage that hangs would hang us,
//! too. Looks at files are few at a time, so that storage that hangs costs a few threads and not all.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrovirt_guest::{BlockStats, BlockWork, Requests};
use ferrovirt_model::domain::{BackingStore, Disk, Domain};
use tokio::sync::Semaphore;

use crate::live::image;
use crate::qmp::commands::{BlockCounters, BlockRow, NamedNode};

/// How many guests' files are looked at at once.
static LOOKS: Semaphore = Semaphore::const_new(16);
/// The unit in which the kernel counts what a file occupies.
const SECTOR: u64 = 512;
/// As much of an image as tells its size.
const HEADER: u64 = 32;

/// An image of a disk, as the document says it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Image {
    format: String,
    /// The disk's own, which the guest has requests for.
    top: bool,
    stats: BlockStats,
}

/// All images whose figures are wanted, in order.
fn images(doc: &Domain, backing: bool) -> Vec<Image> {
    let mut all = Vec::new();
    for disk in &doc.devices.disks {
        all.push(top(disk));
        let mut below = disk.backing_store.as_deref().filter(|_| backing);
        while let Some(store) = below {
            all.extend(lower(disk, store));
            below = store.backing_store.as_deref();
        }
    }
    all
}

fn top(disk: &Disk) -> Image {
    let path = disk.source.as_ref().and_then(|source| source.path());
    Image {
        format: disk
            .driver
            .as_ref()
            .and_then(|driver| driver.format.clone())
            .unwrap_or_else(|| "raw".to_owned()),
        top: true,
        stats: BlockStats {
            name: disk.target.dev.clone(),
            path: path.map(str::to_owned),
            // An empty drive has a number, too, which nobody asks for.
            index: disk
                .source
                .as_ref()
                .filter(|_| path.is_some())
                .and_then(|source| source.index),
            ..BlockStats::default()
        },
    }
}

fn lower(disk: &Disk, store: &BackingStore) -> Option<Image> {
    let path = store.source.as_ref()?.path()?;
    Some(Image {
        format: store.format_name().unwrap_or("raw").to_owned(),
        top: false,
        stats: BlockStats {
            name: disk.target.dev.clone(),
            path: Some(path.to_owned()),
            index: store.index,
            ..BlockStats::default()
        },
    })
}

/// Of a running guest: what QEMU said, if it said anything.
pub(super) async fn running(
    doc: &Domain,
    backing: bool,
    said: Option<(Vec<BlockRow>, Vec<NamedNode>)>,
    patience: Duration,
) -> Vec<BlockStats> {
    let images = images(doc, backing);
    let Some((rows, nodes)) = said else {
        return images.into_iter().map(|image| image.stats).collect();
    };
    let aliases = doc.devices.disks.iter().map(|disk| disk.info.alias.as_deref());
    let mut tops = aliases.map(|alias| alias.and_then(|alias| of_device(&rows, alias)));
    let mut all: Vec<BlockStats> = images
        .into_iter()
        .map(|mut image| {
            let row = if image.top { tops.next().flatten() } else { None };
            tell(&mut image, row, &rows, &nodes);
            image.stats
        })
        .collect();
    // Of block devices QEMU does not know how large they are on the host.
    let unknown = |stats: &BlockStats| stats.capacity.is_some() && stats.physical.is_none();
    let lacking: Vec<_> = all
        .iter()
        .filter(|s| unknown(s))
        .map(|s| s.path.clone())
        .collect();
    if lacking.is_empty() {
        return all;
    }
    let sizes = look(patience, move || {
        let size = |path: &Option<String>| Some(on_host(Path::new(path.as_deref()?))?.1);
        lacking.iter().map(size).collect::<Vec<_>>()
    });
    let sizes = sizes.await.unwrap_or_default();
    for (stats, size) in all.iter_mut().filter(|s| unknown(s)).zip(sizes) {
        stats.physical = size;
    }
    all
}

/// The row of a device: some are named by their id, some by their place.
fn of_device<'a>(rows: &'a [BlockRow], alias: &str) -> Option<&'a BlockRow> {
    rows.iter().find(|row| {
        let place = row.qdev.as_deref().unwrap_or_default();
        let id = place.strip_prefix("/machine/peripheral/").unwrap_or(place);
        id.split('/').next() == Some(alias)
    })
}

/// Adds what QEMU said of one image.
fn tell(image: &mut Image, device: Option<&BlockRow>, rows: &[BlockRow], nodes: &[NamedNode]) {
    let stats = &mut image.stats;
    stats.work = device.map(|row| work(&row.stats));
    let Some(index) = stats.index else { return };
    let names = [
        format!("libvirt-{index}-format"),
        format!("libvirt-{index}-storage"),
    ];
    let named = |name: &String| nodes.iter().find(|node| node.node_name.as_ref() == Some(name));
    let Some(node) = names.iter().find_map(named) else {
        return;
    };
    let mut found = rows.iter().find_map(|row| node_row(row, &names));
    // With a node for the format, the bytes are in another one.
    while let Some(parent) = found.and_then(|row| row.parent.as_deref()) {
        found = Some(parent);
    }
    stats.allocation = Some(found.map_or(0, |row| row.stats.wr_highest_offset));
    stats.capacity = Some(node.image.virtual_size).filter(|size| *size > 0);
    stats.physical = node.image.actual_size.filter(|size| *size > 0);
}

/// The row of a node with one of these names, in a row or below it.
fn node_row<'a>(row: &'a BlockRow, names: &[String; 2]) -> Option<&'a BlockRow> {
    let mut next = Some(row);
    while let Some(row) = next {
        if row.node_name.as_ref().is_some_and(|name| names.contains(name)) {
            return Some(row);
        }
        next = row.backing.as_deref();
    }
    None
}

fn work(counters: &BlockCounters) -> BlockWork {
    BlockWork {
        reads: Requests {
            count: counters.rd_operations,
            bytes: counters.rd_bytes,
            time: counters.rd_total_time_ns,
        },
        writes: Requests {
            count: counters.wr_operations,
            bytes: counters.wr_bytes,
            time: counters.wr_total_time_ns,
        },
        flushes: Requests {
            count: counters.flush_operations,
            bytes: 0,
            time: counters.flush_total_time_ns,
        },
    }
}

/// Of a guest that is off: what its files show.
pub(super) async fn off(doc: &Domain, backing: bool, patience: Duration) -> Vec<BlockStats> {
    let images = images(doc, backing);
    let places: Vec<_> = images
        .iter()
        .map(|image| (image.stats.path.clone().map(PathBuf::from), image.format.clone()))
        .collect();
    let sizes = look(patience, move || {
        let size = |(path, format): &(Option<PathBuf>, String)| sizes(path.as_deref()?, format);
        places.iter().map(size).collect::<Vec<_>>()
    });
    let sizes = if images.is_empty() {
        Vec::new()
    } else {
        sizes.await.unwrap_or_default()
    };
    let mut sizes = sizes.into_iter();
    images
        .into_iter()
        .map(|image| {
            let mut stats = image.stats;
            if let Some(sizes) = sizes.next().flatten() {
                stats.allocation = Some(sizes.allocation);
                stats.capacity = sizes.capacity;
                stats.physical = Some(sizes.physical);
            }
            stats
        })
        .collect()
}

/// Does work that may wait for a disk; `None` when that takes too long or too many wait already.
async fn look<T: Send + 'static>(patience: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let limit = patience.max(super::BRIEFLY);
    let looked = async {
        let turn = LOOKS.acquire().await.ok()?;
        let work = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        work.await.ok()
    };
    tokio::time::timeout(limit, looked).await.ok().flatten()
}

/// Sizes of an image that nobody uses, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Sizes {
    allocation: u64,
    capacity: Option<u64>,
    physical: u64,
}

fn sizes(path: &Path, format: &str) -> Option<Sizes> {
    let (allocation, physical) = on_host(path)?;
    let capacity = if format == "raw" {
        Some(physical)
    } else {
        let mut header = Vec::new();
        File::open(path)
            .ok()?
            .take(HEADER)
            .read_to_end(&mut header)
            .ok()?;
        image::virtual_size(&header)
    };
    Some(Sizes {
        allocation,
        capacity,
        physical,
    })
}

/// What a file or device occupies, and how long it is.
fn on_host(path: &Path) -> Option<(u64, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    if meta.file_type().is_block_device() {
        let size = File::open(path).ok()?.seek(SeekFrom::End(0)).ok()?;
        return Some((size, size));
    }
    // Anything else, a pipe for example, has no size, and opening it may wait.
    meta.is_file()
        .then(|| (meta.blocks().saturating_mul(SECTOR), meta.len()))
}

#[cfg(test)]
mod tests;
