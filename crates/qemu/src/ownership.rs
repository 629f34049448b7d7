//! Dynamic ownership (R31, R33): a guest's files belong to QEMU's user while it runs, and to whom they belonged
//! before and after. What they were is in the journal before it is changed.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ferrovirt_guest::{BackendError, Run, Step};
use ferrovirt_model::domain::{
    Backend, BackingStore, CharType, Disk, DiskSource, Domain, SecLabel, SecLabelType, SysInfo,
};
use ferrovirt_sys::{blocking, private_dev};

use crate::config::QemuConfig;
use crate::error::{Error, Plain, Result};
use crate::live;

/// Kind of the steps of this module.
pub const STEP: &str = "owner";
const MODEL: &str = "dac";

/// Puts the label of a run into its document.
pub fn label(doc: &mut Domain, config: &QemuConfig) {
    if !config.privileged {
        return;
    }
    let text = format!("+{}:+{}", config.uid, config.gid);
    let position = doc
        .seclabels
        .iter()
        .position(|label| label.model.as_deref() == Some(MODEL));
    let label = match position {
        Some(at) => &mut doc.seclabels[at],
        None => {
            doc.seclabels.push(SecLabel {
                model: Some(MODEL.to_owned()),
                relabel: Some(true),
                ..SecLabel::default()
            });
            let last = doc.seclabels.len() - 1;
            &mut doc.seclabels[last]
        }
    };
    if label.kind == SecLabelType::Dynamic {
        label.label = Some(text.clone());
        label.imagelabel = Some(text);
    }
}

/// Takes the label of a run out of its document.
pub fn unlabel(doc: &mut Domain) {
    for label in &mut doc.seclabels {
        if label.kind == SecLabelType::Dynamic {
            label.label = None;
            label.imagelabel = None;
        }
    }
}

/// Whose a file shall be; none: QEMU's user's.
pub(crate) type Owner = Option<(u32, u32)>;

/// Files that the guest's process opens itself.
pub(crate) fn files(doc: &Domain) -> Vec<(PathBuf, Owner)> {
    let mut files = Vec::new();
    for disk in &doc.devices.disks {
        files.extend(images(disk));
    }
    files.extend(opened(doc).into_iter().map(|path| (path, None)));
    for (_, backend) in live::char_devices(doc) {
        if is_file(backend) && !is_left_alone(backend) {
            files.extend(backend.path().map(|path| (PathBuf::from(path), None)));
        }
    }
    files
}

/// Those that are no images of disks and no ends of ports.
pub(crate) fn opened(doc: &Domain) -> Vec<PathBuf> {
    let os = [&doc.os.kernel, &doc.os.initrd, &doc.os.shim, &doc.os.dtb];
    let tables = doc.os.acpi.iter().flat_map(|acpi| &acpi.tables);
    let told = doc.sysinfos.iter().filter_map(|info| match info {
        SysInfo::Fwcfg(told) => Some(&told.entries),
        _ => None,
    });
    let inputs = doc.devices.inputs.iter();
    let sources = inputs.filter_map(|input| input.source.as_ref());
    let others = { os.into_iter().flatten() }
        .chain(tables.map(|table| &table.path))
        .chain(told.flatten().filter_map(|entry| entry.file.as_ref()))
        .chain(sources.flat_map(|source| [&source.evdev, &source.dev].into_iter().flatten()))
        .chain(doc.devices.pstores.iter().filter_map(|store| store.path.as_ref()));
    let store = live::nvram::file(doc).map(PathBuf::from);
    store.into_iter().chain(others.map(PathBuf::from)).collect()
}

/// What QEMU opens by its path. Both ends of a pair of pipes have names of their own.
fn is_file(backend: &Backend) -> bool {
    let pipe = || backend.path().is_some_and(|path| Path::new(path).exists());
    match backend.kind {
        CharType::File | CharType::Dev => true,
        CharType::Pipe => pipe(),
        _ => false,
    }
}

/// Does the document say that the file keeps its owner?
fn is_left_alone(backend: &Backend) -> bool {
    let labels = backend.source.iter().flat_map(|source| &source.seclabels);
    { labels }.any(|label| {
        label.relabel == Some(false) && label.model.as_deref().is_none_or(|model| model == MODEL)
    })
}

/// The images of a disk, but for those that the document wants left alone.
fn images(disk: &Disk) -> Vec<(PathBuf, Owner)> {
    let mut sources: Vec<&DiskSource> = disk.source.iter().collect();
    let mut below: Option<&BackingStore> = disk.backing_store.as_deref();
    while let Some(store) = below {
        sources.extend(store.source.as_deref());
        below = store.backing_store.as_deref();
    }
    let data = |source: &&DiskSource| {
        source
            .data_store
            .as_ref()
            .and_then(|store| store.source.as_deref())
            .cloned()
    };
    let stores: Vec<DiskSource> = sources.iter().filter_map(data).collect();
    sources.into_iter().chain(&stores).filter_map(owned).collect()
}

/// The file of an image with its owner; none where it is not on this host or is left alone.
fn owned(source: &DiskSource) -> Option<(PathBuf, Owner)> {
    let path = PathBuf::from(source.path()?);
    let mut labels = source.labels.iter();
    let label = labels.find(|label| label.model.as_deref().is_none_or(|model| model == MODEL));
    match label {
        Some(label) if label.relabel == Some(false) => None,
        Some(label) => Some((path, label.label.as_deref().and_then(ids))),
        None => Some((path, None)),
    }
}

/// User and group of a label, which are numbers: `+107:+107`.
pub(crate) fn ids(label: &str) -> Option<(u32, u32)> {
    let (user, group) = label.split_once(':')?;
    let number = |text: &str| text.strip_prefix('+').unwrap_or(text).parse().ok();
    Some((number(user)?, number(group)?))
}

/// Whether somebody wants these files left alone.
pub(crate) fn is_off(doc: &Domain, config: &QemuConfig) -> bool {
    !config.dynamic_ownership
        || !config.privileged
        || doc.seclabels.iter().any(|label| {
            label.model.as_deref().is_none_or(|model| model == MODEL)
                && (label.kind == SecLabelType::None || label.relabel == Some(false))
        })
}

/// Gives the guest's files to QEMU's user; each change is in the journal first. Devices of which QEMU has nodes of its own stay as they are.
///
/// # Errors
/// A file is missing, or its owner cannot be changed.
pub async fn take(run: &mut Run, config: &QemuConfig) -> std::result::Result<(), BackendError> {
    let files = files(&run.doc);
    take_files(run, config, files).await
}

/// The same of a disk that comes to a running guest.
///
/// # Errors
/// As [`take`].
pub async fn take_disk(
    run: &mut Run,
    config: &QemuConfig,
    disk: &Disk,
) -> std::result::Result<(), BackendError> {
    take_files(run, config, images(disk)).await
}

/// The same of nodes of the host's devices.
///
/// # Errors
/// As [`take`].
pub async fn take_nodes(
    run: &mut Run,
    config: &QemuConfig,
    nodes: Vec<PathBuf>,
) -> std::result::Result<(), BackendError> {
    take_files(run, config, nodes.into_iter().map(|node| (node, None)).collect()).await
}

/// Gives the nodes of a device that has gone back to whom they belonged.
pub fn leave_nodes(run: &mut Run, nodes: &[PathBuf]) {
    for step in run.steps().iter().filter(|step| step.kind == STEP) {
        if nodes.iter().any(|node| node == Path::new(step.get("path"))) {
            give_back(step);
            run.undone(step);
        }
    }
}

/// Gives the images of a disk that has gone back to whom they belonged, but for those that other disks use.
pub fn leave_disk(run: &mut Run, disk: &Disk) {
    let (gone, used) = (images(disk), files(&run.doc));
    for step in run.steps().iter().filter(|step| step.kind == STEP) {
        let path = Path::new(step.get("path")).to_owned();
        let is = |list: &[(PathBuf, Owner)]| list.iter().any(|(file, _)| *file == path);
        if is(&gone) && !is(&used) {
            give_back(step);
            run.undone(step);
        }
    }
}

async fn take_files(
    run: &mut Run,
    config: &QemuConfig,
    files: Vec<(PathBuf, Owner)>,
) -> std::result::Result<(), BackendError> {
    let off = is_off(&run.doc, config);
    for (path, owner) in files {
        let (uid, gid) = owner.unwrap_or((config.uid, config.gid));
        let meta = blocking::here(|| std::fs::metadata(&path)).map_err(Error::io("unable to stat", &path))?;
        let is_its_own = || run.has_own_dev() && blocking::here(|| private_dev::holds(&path));
        if off || (meta.uid() == uid && meta.gid() == gid) || is_its_own() {
            continue;
        }
        let step = Step::new(STEP)
            .with("path", path.display().to_string())
            .with("uid", meta.uid().to_string())
            .with("gid", meta.gid().to_string());
        run.journal(step).await?;
        blocking::here(|| change(&path, uid, gid))?;
    }
    Ok(())
}

fn change(path: &Path, uid: u32, gid: u32) -> Result<()> {
    match std::os::unix::fs::chown(path, Some(uid), Some(gid)) {
        Ok(()) => Ok(()),
        // Read-only media keep whom they belong to; the open that follows has the better words.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        Err(source) => Err(Error::Failed(format!(
            "unable to set user and group to '{uid}:{gid}' on '{}': {}",
            path.display(),
            Plain(&source)
        ))),
    }
}

/// Undoes one step.
pub fn give_back(step: &Step) {
    let (Ok(uid), Ok(gid)) = (step.get("uid").parse(), step.get("gid").parse()) else {
        return;
    };
    let path = Path::new(step.get("path"));
    match std::os::unix::fs::chown(path, Some(uid), Some(gid)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(
            "cannot give '{}' back to {uid}:{gid}: {}",
            path.display(),
            Plain(&error)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_sys::launch::Launcher;

    #[test]
    fn r33_labels_come_and_go() {
        let config = QemuConfig::below(Path::new("/nowhere"), Launcher::new(""));
        let config = QemuConfig { gid: 1234, ..config };
        let mut doc = Domain::default();
        label(&mut doc, &config);
        label(&mut doc, &config);
        assert_eq!(doc.seclabels.len(), 1);
        assert_eq!(doc.seclabels[0].label.as_deref(), Some("+0:+1234"));
        unlabel(&mut doc);
        assert_eq!(doc.seclabels[0].imagelabel, None);
    }

    #[test]
    fn r33_a_file_goes_back_to_whom_it_belonged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::write(&path, b"").unwrap();
        if change(&path, 0, 1234).is_err() {
            return; // not root
        }
        assert_eq!(std::fs::metadata(&path).unwrap().gid(), 1234);
        let step = Step::new(STEP)
            .with("path", path.display().to_string())
            .with("uid", "0")
            .with("gid", "0");
        give_back(&step);
        assert_eq!(std::fs::metadata(&path).unwrap().gid(), 0);
        std::fs::remove_file(&path).unwrap();
        give_back(&step);
    }
}
