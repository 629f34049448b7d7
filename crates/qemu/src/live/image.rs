//! Disk images: are they there, and what lies below them. Only the header is read, and nothing in it is trusted:
//! sizes are bounded, the depth of a chain is bounded, and an image whose format is not named is taken as raw.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ferrovirt_model::domain::{
    BackingStore, Disk, DiskDevice, DiskSource, DiskType, Domain, ImageFormat, StartupPolicy,
};

use crate::error::{Error, Result};

/// Longest chain of images.
const DEPTH: usize = 200;
/// Longest name of an image below another; the format's own limit.
const NAME: u32 = 1023;
const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Header extension with the format of the image below.
const FORMAT_EXTENSION: u32 = 0xe279_2aca;

/// Looks at all images of a guest: they must be there, and their chains go into the document.
///
/// # Errors
/// An image is missing or cannot be read, in libvirt's words.
pub fn inspect(doc: &mut Domain) -> Result<()> {
    for disk in &mut doc.devices.disks {
        inspect_disk(disk)?;
    }
    Ok(())
}

/// Looks at the images of one disk.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_disk(disk: &mut Disk) -> Result<()> {
    let Some(source) = disk.source.clone() else {
        return Ok(());
    };
    let Some(path) = source.path() else { return Ok(()) };
    if let Err(error) = check(Path::new(path)) {
        let optional = matches!(
            source.startup_policy,
            Some(StartupPolicy::Optional | StartupPolicy::Requisite)
        );
        if optional && disk.device == DiskDevice::Cdrom {
            tracing::warn!("disk {}: {error}; the drive stays empty", disk.target.dev);
            disk.source = None;
            return Ok(());
        }
        return Err(error);
    }
    // A chain that the user wrote down is taken as it is.
    if disk.backing_store.as_ref().is_some_and(|store| !store.detected) {
        return Ok(());
    }
    let format = disk
        .driver
        .as_ref()
        .and_then(|driver| driver.format.as_deref())
        .unwrap_or("raw")
        .to_owned();
    disk.backing_store = Some(Box::new(chain(Path::new(path), &format, 0)?));
    Ok(())
}

/// # Errors
/// The file is not there or may not be read.
fn check(path: &Path) -> Result<()> {
    std::fs::metadata(path)
        .map(|_| ())
        .map_err(Error::io("Cannot access storage file", path))
}

fn chain(path: &Path, format: &str, depth: usize) -> Result<BackingStore> {
    let end = BackingStore {
        detected: true,
        ..BackingStore::default()
    };
    if format != "qcow2" {
        return Ok(end);
    }
    if depth >= DEPTH {
        return Err(Error::Failed(format!(
            "the chain of images below '{}' has no end",
            path.display()
        )));
    }
    let Some((name, below_format)) = backing_of(path)? else {
        return Ok(end);
    };
    let place = path.parent().unwrap_or(Path::new("/")).join(&name);
    check(&place)?;
    let below = chain(&place, &below_format, depth + 1)?;
    Ok(found(&place, below_format, below))
}

/// An image that was found below another.
fn found(place: &Path, format: String, below: BackingStore) -> BackingStore {
    let block = std::fs::metadata(place).is_ok_and(|meta| {
        use std::os::unix::fs::FileTypeExt;
        meta.file_type().is_block_device()
    });
    let text = Some(place.display().to_string());
    let (kind, dev, file) = if block {
        (DiskType::Block, text, None)
    } else {
        (DiskType::File, None, text)
    };
    let source = DiskSource {
        dev,
        file,
        ..DiskSource::default()
    };
    BackingStore {
        kind: Some(kind),
        index: None,
        format: Some(ImageFormat {
            kind: format,
            metadata_cache: None,
        }),
        source: Some(Box::new(source)),
        backing_store: Some(Box::new(below)),
        detected: true,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// How large the guest sees a qcow2 image, in bytes, by its header. `None` when this is no such header.
pub(crate) fn virtual_size(header: &[u8]) -> Option<u64> {
    (header.get(..4)? == MAGIC.as_slice()).then(|| long(header, 24))?
}

/// Name and format of the image below, from the header.
fn backing_of(path: &Path) -> Result<Option<(PathBuf, String)>> {
    let mut file = File::open(path).map_err(Error::io("Failed to open file", path))?;
    let mut header = Vec::new();
    Read::by_ref(&mut file)
        .take(64 * 1024)
        .read_to_end(&mut header)
        .map_err(Error::io("cannot read header", path))?;
    let Some((offset, length, format)) = parse(&header) else {
        // A file that says nothing of itself: QEMU has the better words.
        return Ok(None);
    };
    if offset == 0 || length == 0 {
        return Ok(None);
    }
    let mut name = vec![0; length as usize];
    let read = file
        .seek(SeekFrom::Start(offset))
        .and_then(|_| file.read_exact(&mut name));
    match read {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(Error::io("cannot read header", path)(error)),
    }
    let name = String::from_utf8(name).map_err(|_| {
        Error::Failed(format!(
            "the name of the image below '{}' is not UTF-8",
            path.display()
        ))
    })?;
    let Some(format) = format else {
        return Err(Error::Failed(format!(
            "format of backing image '{name}' of image '{}' was not specified in the image metadata",
            path.display()
        )));
    };
    if name.contains(':') && !name.starts_with('/') {
        return Err(Error::unsupported(format!(
            "backing image '{name}' of image '{}' is not a file",
            path.display()
        )));
    }
    Ok(Some((PathBuf::from(name), format)))
}

/// Offset and length of the name, and the format, of the image below. `None` when this is no qcow2 header.
fn parse(header: &[u8]) -> Option<(u64, u32, Option<String>)> {
    if header.get(..4)? != MAGIC.as_slice() {
        return None;
    }
    let version = number(header, 4)?;
    let offset = long(header, 8)?;
    let length = number(header, 16)?;
    if length > NAME {
        return None;
    }
    let mut at = if version >= 3 {
        number(header, 100)? as usize
    } else {
        72
    };
    let mut format = None;
    while let (Some(kind), Some(size)) = (number(header, at), number(header, at.checked_add(4)?)) {
        if kind == 0 {
            break;
        }
        let start = at.checked_add(8)?;
        let end = start.checked_add(size as usize)?;
        if kind == FORMAT_EXTENSION {
            format = header
                .get(start..end)
                .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        }
        at = end.checked_next_multiple_of(8)?;
    }
    Some((offset, length, format))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(name: &str, format: &str) -> Vec<u8> {
        let mut bytes = vec![0; 104];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&3u32.to_be_bytes());
        bytes[100..104].copy_from_slice(&104u32.to_be_bytes());
        bytes.extend(FORMAT_EXTENSION.to_be_bytes());
        bytes.extend(u32::try_from(format.len()).unwrap().to_be_bytes());
        bytes.extend(format.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8) + 8, 0);
        let offset = bytes.len() as u64;
        bytes[8..16].copy_from_slice(&offset.to_be_bytes());
        bytes[16..20].copy_from_slice(&u32::try_from(name.len()).unwrap().to_be_bytes());
        bytes.extend(name.as_bytes());
        bytes
    }

    #[test]
    fn chains_are_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("top"), header("mid", "qcow2")).unwrap();
        std::fs::write(dir.path().join("mid"), header("base", "raw")).unwrap();
        std::fs::write(dir.path().join("base"), b"data").unwrap();
        let store = chain(&dir.path().join("top"), "qcow2", 0).unwrap();
        assert_eq!(store.format_name(), Some("qcow2"));
        let below = store.backing_store.unwrap();
        assert_eq!(below.format_name(), Some("raw"));
        assert!(below.backing_store.unwrap().kind.is_none());
        assert!(chain(&dir.path().join("base"), "raw", 0).unwrap().kind.is_none());
    }

    #[test]
    fn an_image_below_itself_ends() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("top"), header("top", "qcow2")).unwrap();
        assert!(chain(&dir.path().join("top"), "qcow2", 0).is_err());
    }

    #[test]
    fn r30_a_missing_image_is_named_in_libvirts_words() {
        let error = check(Path::new("/no/such/image")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Cannot access storage file '/no/such/image': No such file or directory"
        );
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
            let mut bytes = bytes;
            if magic && bytes.len() > 4 {
                bytes[..4].copy_from_slice(&MAGIC);
            }
            let _ = parse(&bytes);
            let _ = virtual_size(&bytes);
        }
    }
}
