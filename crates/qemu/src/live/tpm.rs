//! The host's security chip, opened for a guest.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ferrovirt_model::domain::{Domain, Tpm, TpmBackend, TpmBackendType};

use crate::error::{Error, Result};

/// What the chip's own descriptor is called, behind the device's alias.
pub const DEVICE: &str = "tpm";
/// The same of the one that cuts a command short.
pub const CANCEL: &str = "cancel";

/// The chip of a document that a program plays for this guest alone.
#[must_use]
pub fn emulated(doc: &Domain) -> Option<(&Tpm, &TpmBackend)> {
    let tpms = doc.devices.tpms.iter();
    let mut backends = tpms.filter_map(|tpm| Some((tpm, tpm.backend()?)));
    backends.find(|(_, backend)| backend.kind == TpmBackendType::Emulator)
}

/// Opens the host's chips that a document has: two descriptors each, by their names.
///
/// # Errors
/// There is none, or it cannot be opened (one program at a time has it).
pub fn open(doc: &Domain) -> Result<Vec<(String, OwnedFd)>> {
    let mut descriptors = Vec::new();
    for tpm in &doc.devices.tpms {
        let Some(backend) = tpm.backend() else { continue };
        if backend.kind != TpmBackendType::Passthrough {
            continue;
        }
        let alias = tpm.info.alias.clone().unwrap_or_default();
        let path = backend.device.as_ref().and_then(|device| device.path.as_deref());
        let path = Path::new(path.unwrap_or_default());
        let device = OpenOptions::new().read(true).write(true).open(path);
        let device = device.map_err(Error::io("Could not open TPM device", path))?;
        let cancel = cancel_path(path, Path::new("/sys/class"));
        let file = OpenOptions::new().write(true).open(&cancel);
        let file = file.map_err(Error::io("Could not open TPM device's cancel path", &cancel))?;
        descriptors.push((format!("{alias}-{DEVICE}"), OwnedFd::from(device)));
        descriptors.push((format!("{alias}-{CANCEL}"), OwnedFd::from(file)));
    }
    Ok(descriptors)
}

/// Where a chip's command is cut short; nowhere for one of version 2.0, whose driver does it by itself.
fn cancel_path(device: &Path, classes: &Path) -> PathBuf {
    let name = device.file_name().unwrap_or_default();
    let places = ["misc", "tpm"].map(|class| classes.join(class).join(name).join("device/cancel"));
    let found = places.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| PathBuf::from("/dev/null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chip_without_a_file_to_cancel_by_has_none() {
        let classes = tempfile::tempdir().unwrap();
        let dir = classes.path().join("tpm/tpm3/device");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("cancel"), "").unwrap();
        let of = |path: &str| cancel_path(Path::new(path), classes.path());
        assert_eq!(of("/dev/tpm3"), dir.join("cancel"));
        assert_eq!(of("/dev/tpm0"), Path::new("/dev/null"));
    }
}
