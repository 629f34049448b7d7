//! Where a chip keeps what it stores, and what becomes of it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ferrovirt_model::Uuid;
use ferrovirt_model::domain::{Domain, TpmBackend, TpmSourceType, TpmVersion};

use crate::config::QemuConfig;
use crate::error::{Error, Result};
use crate::live::tpm::emulated;

/// One chip's storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// A directory.
    Dir(PathBuf),
    /// A file.
    File(PathBuf),
}

/// Who may go through to the directories of single guests; nobody sees their names.
const PASSABLE: u32 = 0o711;
/// The storage is its user's alone.
const OWN: u32 = 0o700;

impl Storage {
    /// That of a document's chip: as it says, or one of its own below its guest's UUID.
    #[must_use]
    pub fn of(backend: &TpmBackend, uuid: Option<Uuid>, config: &QemuConfig) -> Self {
        let source = backend.source.as_ref();
        let path = source
            .and_then(|source| source.path.as_deref())
            .map(PathBuf::from);
        match (source.and_then(|source| source.kind), path) {
            (Some(TpmSourceType::File), Some(path)) => Self::File(path),
            (_, Some(path)) => Self::Dir(path),
            (_, None) => {
                let version = match backend.version {
                    Some(TpmVersion::V2_0) => "tpm2",
                    _ => "tpm1.2",
                };
                Self::Dir(of_guest(uuid, config).join(version))
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Dir(path) | Self::File(path) => path,
        }
    }

    /// Is nothing stored yet?
    #[must_use]
    pub fn is_new(&self) -> bool {
        match self {
            Self::Dir(path) => std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none()),
            Self::File(path) => std::fs::metadata(path).map_or(true, |meta| meta.len() == 0),
        }
    }

    /// How it is told to `swtpm_setup`.
    #[must_use]
    pub fn for_setup(&self) -> String {
        match self {
            Self::Dir(path) => path.display().to_string(),
            Self::File(path) => format!("file://{}", path.display()),
        }
    }

    /// How it is told to `swtpm`.
    #[must_use]
    pub fn for_program(&self) -> String {
        match self {
            Self::Dir(path) => format!("dir={},mode=0600", path.display()),
            Self::File(path) => format!("backend-uri=file://{},mode=0600", path.display()),
        }
    }

    /// Makes the directories, those of the guest's own chip passable, the last one its user's.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn make(&self, config: &QemuConfig) -> Result<()> {
        let Self::Dir(dir) = self else { return Ok(()) };
        if let Some(above) = dir.parent().filter(|above| above.starts_with(&config.swtpm_dir)) {
            for dir in [config.swtpm_dir.as_path(), above] {
                make_dir(dir, PASSABLE, None)?;
            }
        }
        make_dir(dir, OWN, owner(config))
    }

    /// Removes it; one that is not there is no error. In a directory that the document names only a chip's own files go, and
    /// it goes itself when nothing else is in it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove(&self) -> Result<()> {
        let removed = match self {
            Self::Dir(path) => remove_files(path),
            Self::File(path) => std::fs::remove_file(path),
        };
        there(removed).map_err(Error::io("cannot remove TPM storage", self.path()))
    }
}

/// What is not there need not be removed.
fn there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn remove_files(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == ".lock" || name.starts_with("tpm2-00.") || name.starts_with("tpm-00.") {
            std::fs::remove_file(entry.path())?;
        }
    }
    match std::fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other,
    }
}

/// Whose a chip's files are; nobody's in particular without root.
pub(super) fn owner(config: &QemuConfig) -> Option<(u32, u32)> {
    config.privileged.then_some((config.swtpm_uid, config.swtpm_gid))
}

/// Makes a directory with exactly this mode, of this owner.
pub(super) fn make_dir(dir: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(Error::io("Cannot create directory", dir))?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode))
        .map_err(Error::io("Cannot set mode of directory", dir))?;
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::chown(dir, Some(uid), Some(gid))
            .map_err(Error::io("Cannot give to swtpm's user", dir))?;
    }
    Ok(())
}

/// The directory of all chips of a guest.
pub(super) fn of_guest(uuid: Option<Uuid>, config: &QemuConfig) -> PathBuf {
    // Each defined guest has one; never the directory of all.
    let name = uuid.map_or_else(|| "unnamed".to_owned(), |uuid| uuid.to_string());
    config.swtpm_dir.join(name)
}

/// Where the chip of a run listens.
#[must_use]
pub fn socket_path(config: &QemuConfig, id: i32, name: &str) -> PathBuf {
    let places = crate::places::Places::of(config, id, name);
    let short = places.channel_dir.file_name().unwrap_or_default().to_owned();
    let file = format!("{}-swtpm.sock", short.to_string_lossy());
    config.run_dir.join("swtpm").join(file)
}

/// The definition of a guest goes, or the guest itself when it had none: what its chip stores goes with it, unless somebody
/// wants it kept.
///
/// # Errors
/// It cannot be removed.
pub fn forget(doc: &Domain, config: &QemuConfig, remove: Option<bool>) -> Result<()> {
    let Some((_, backend)) = emulated(doc) else {
        return Ok(());
    };
    if !remove.unwrap_or(!backend.is_persistent()) {
        return Ok(());
    }
    Storage::of(backend, doc.uuid, config).remove()?;
    // All versions that the guest ever had.
    let own = of_guest(doc.uuid, config);
    there(std::fs::remove_dir_all(&own)).map_err(Error::io("cannot remove TPM storage", own))
}

/// A guest that runs is undefined: at its end only its document says what becomes of its chip. Another wish would be lost by
/// then.
///
/// # Errors
/// It is another one.
pub fn can_wait(doc: &Domain, remove: Option<bool>) -> Result<()> {
    match (emulated(doc), remove) {
        (Some((_, backend)), Some(remove)) if remove == backend.is_persistent() => {
            let (flag, kept) = if remove {
                ("--tpm", "yes")
            } else {
                ("--keep-tpm", "no")
            };
            Err(Error::Invalid(format!(
                "{flag} has no effect on a guest that runs, as its <tpm> has persistent_state='{kept}'; undefine it when it \
                 is shut off"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_model::UnknownPolicy;
    use ferrovirt_sys::launch::Launcher;

    fn guest(backend: &str) -> Domain {
        let text = format!(
            "<domain type='qemu'><name>g</name><uuid>11d7cd22-da89-3094-6212-079a48a309a1</uuid>\
             <memory>1024</memory><os><type>hvm</type></os><devices><tpm model='tpm-crb'>{backend}</tpm></devices></domain>"
        );
        Domain::parse(&text, UnknownPolicy::Refuse).unwrap().value
    }

    #[test]
    fn r15_a_chip_stores_below_the_guests_uuid() {
        let root = tempfile::tempdir().unwrap();
        let config = QemuConfig {
            privileged: false,
            ..QemuConfig::below(root.path(), Launcher::new(""))
        };
        let doc = guest("<backend type='emulator' version='2.0'/>");
        let (_, backend) = emulated(&doc).unwrap();
        let storage = Storage::of(backend, doc.uuid, &config);
        let dir = root
            .path()
            .join("var/lib/libvirt/swtpm/11d7cd22-da89-3094-6212-079a48a309a1");
        assert_eq!(storage, Storage::Dir(dir.join("tpm2")));
        assert!(storage.is_new());
        storage.make(&config).unwrap();
        assert!(storage.is_new());
        std::fs::write(storage.path().join("tpm2-00.permall"), "x").unwrap();
        assert!(!storage.is_new());
        forget(&doc, &config, Some(false)).unwrap();
        assert!(dir.exists());
        forget(&doc, &config, None).unwrap();
        assert!(!dir.exists());
        forget(&doc, &config, None).unwrap();
    }

    #[test]
    fn what_shall_stay_stays_until_somebody_says_otherwise() {
        let root = tempfile::tempdir().unwrap();
        let config = QemuConfig {
            privileged: false,
            ..QemuConfig::below(root.path(), Launcher::new(""))
        };
        let file = root.path().join("state");
        std::fs::write(&file, "x").unwrap();
        let doc = guest(&format!(
            "<backend type='emulator' version='2.0' persistent_state='yes'><source type='file' path='{}'/></backend>",
            file.display()
        ));
        forget(&doc, &config, None).unwrap();
        assert!(file.exists());
        forget(&doc, &config, Some(true)).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn what_is_not_the_chips_stays_in_a_directory_of_the_users() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".lock", "tpm2-00.permall", "photo.jpg"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let storage = Storage::Dir(dir.path().to_owned());
        storage.remove().unwrap();
        let left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["photo.jpg"]);
        std::fs::remove_file(dir.path().join("photo.jpg")).unwrap();
        storage.remove().unwrap();
        assert!(!dir.path().exists());
        storage.remove().unwrap();
    }

    #[test]
    fn r15_the_socket_has_libvirts_name() {
        let config = QemuConfig::below(Path::new("/"), Launcher::new(""));
        assert_eq!(
            socket_path(&config, 7, "a-name-that-is-longer-than-that"),
            Path::new("/run/libvirt/qemu/swtpm/7-a-name-that-is-longe-swtpm.sock")
        );
    }
}
