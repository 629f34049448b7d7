//! The store of a firmware's variables: made of its template before the first start, and for whoever asks for it again.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use ferrovirt_model::domain::{Domain, NvramType};

use crate::config::QemuConfig;
use crate::error::{Error, Result};
use crate::places::give;

/// The file in which a guest's variables are; `None` where they are on a device or nowhere.
#[must_use]
pub fn file(doc: &Domain) -> Option<&Path> {
    let nvram = doc.os.nvram.as_ref()?;
    let target = nvram.target().filter(|_| nvram.kind != Some(NvramType::Block));
    target.map(Path::new)
}

/// Makes the store of a guest that starts, unless it is there; `again`: also then.
///
/// # Errors
/// There is no template, its format is another one, or the kernel refuses.
pub fn make(doc: &Domain, config: &QemuConfig, again: bool) -> Result<()> {
    let Some(path) = file(doc) else { return Ok(()) };
    if path.exists() && !again {
        return Ok(());
    }
    let nvram = doc.os.nvram.clone().unwrap_or_default();
    let Some(template) = nvram.template.as_deref().map(Path::new) else {
        let loader = doc.os.loader.as_ref().and_then(|loader| loader.path.clone());
        return Err(Error::Failed(format!(
            "unable to find any master var store for loader: {}",
            loader.unwrap_or_default()
        )));
    };
    if nvram
        .template_format
        .is_some_and(|format| Some(format) != nvram.format)
    {
        return Err(Error::unsupported(format!(
            "the format of the NVRAM template '{}' is another than that of the NVRAM '{}'",
            template.display(),
            path.display()
        )));
    }
    let content = std::fs::read(template).map_err(Error::io("Failed to open file", template))?;
    if let Some(dir) = path.parent() {
        make_dir(dir, config)?;
    }
    // A daemon that dies on the way leaves no half of a store.
    let part = path.with_extension("new");
    let written = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| file.write_all(&content).and_then(|()| file.sync_all()));
    written.map_err(Error::io("Failed to create file", &part))?;
    give(&part, config)?;
    std::fs::rename(&part, path).map_err(Error::io("Failed to create file", path))
}

fn make_dir(dir: &Path, config: &QemuConfig) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir).map_err(Error::io("Cannot create directory", dir))?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
        .map_err(Error::io("Cannot set mode of directory", dir))?;
    give(dir, config)
}

/// Removes the store of a guest that is undefined, or keeps it; without a word on it, one that is there is in the way.
///
/// # Errors
/// There is a store and nothing is said, or it cannot be removed.
pub fn forget(doc: &Domain, remove: Option<bool>) -> Result<()> {
    let Some(path) = file(doc).filter(|path| path.exists()) else {
        return Ok(());
    };
    match remove {
        Some(true) => std::fs::remove_file(path).map_err(Error::io("failed to remove nvram", path)),
        Some(false) => Ok(()),
        None => Err(Error::Invalid("cannot undefine domain with nvram".to_owned())),
    }
}
