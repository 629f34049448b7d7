//! The answers on disk, one file per binary and identity. What cannot be read or is of another time is
//! asked anew; a cache that cannot be written costs only time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Emulator, probe};
use crate::error::{Error, Result};

/// Raise this when what is asked changes.
const FORMAT: u32 = 3;

/// What makes an answer valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    format: u32,
    ours: String,
    path: PathBuf,
    size: u64,
    mtime: i64,
    mtime_nsec: i64,
    inode: u64,
    kvm: bool,
}

impl Identity {
    fn of(path: &Path) -> Result<Self> {
        let meta = std::fs::metadata(path).map_err(Error::io("Cannot check QEMU binary", path))?;
        Ok(Self {
            format: FORMAT,
            ours: env!("CARGO_PKG_VERSION").to_owned(),
            path: path.to_owned(),
            size: meta.size(),
            mtime: meta.mtime(),
            mtime_nsec: meta.mtime_nsec(),
            inode: meta.ino(),
            kvm: probe::kvm_works(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    identity: Identity,
    emulator: Emulator,
}

/// Identities the answers of this process were given for, to notice that a binary was replaced.
static KNOWN: std::sync::Mutex<Vec<Identity>> = std::sync::Mutex::new(Vec::new());

fn known() -> std::sync::MutexGuard<'static, Vec<Identity>> {
    KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether the binary is still the one that was asked.
pub(super) fn is_current(emulator: &Emulator) -> bool {
    Identity::of(&emulator.path).is_ok_and(|now| known().contains(&now))
}

fn file_of(cache_dir: &Path, path: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    cache_dir.join(format!("ferrovirt-{:016x}.json", hasher.finish()))
}

/// The answer from disk, or a fresh one that is then kept.
pub(super) async fn load_or_probe(path: &Path, cache_dir: &Path) -> Result<Emulator> {
    let identity = Identity::of(path)?;
    let file = file_of(cache_dir, path);
    let (wanted, from) = (identity.clone(), file.clone());
    let stored = tokio::task::spawn_blocking(move || load(&from, &wanted))
        .await
        .ok()
        .flatten();
    let emulator = match stored {
        Some(emulator) => emulator,
        None => {
            let emulator = probe::probe(path).await?;
            let stored = Stored {
                identity: identity.clone(),
                emulator: emulator.clone(),
            };
            tokio::task::spawn_blocking(move || save(&file, &stored))
                .await
                .ok();
            emulator
        }
    };
    let mut known = known();
    known.retain(|other| other.path != identity.path);
    known.push(identity);
    Ok(emulator)
}

fn load(file: &Path, wanted: &Identity) -> Option<Emulator> {
    let stored: Stored = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    (stored.identity == *wanted).then_some(stored.emulator)
}

fn save(file: &Path, stored: &Stored) {
    let written = file
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| {
            let bytes = serde_json::to_vec(stored).map_err(std::io::Error::other)?;
            ferrovirt_sys::durable::write(file, &bytes, 0o600)
        });
    if let Err(error) = written {
        tracing::warn!(file = %file.display(), %error, "cannot keep what QEMU said of itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_answer_is_kept_and_found_again() {
        let Some(path) = ferrovirt_sys::program::find_in_path("qemu-system-x86_64") else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_probe(&path, dir.path()).await.unwrap();
        assert_eq!(first.machine("q35").unwrap().alias.as_deref(), Some("q35"));
        assert!(first.machine("q35").unwrap().name.starts_with("pc-q35-"));
        assert!(first.default_machine().unwrap().name.starts_with("pc-i440fx-"));
        assert_eq!(first.machine("q35").unwrap().ram_id.as_deref(), Some("pc.ram"));
        assert!(first.has("virtio-net-pci") && first.has("pcie-root-port"));
        assert!(is_current(&first));
        let identity = Identity::of(&path).unwrap();
        assert_eq!(load(&file_of(dir.path(), &path), &identity), Some(first));
        let other = Identity { mtime: 1, ..identity };
        assert_eq!(load(&file_of(dir.path(), &path), &other), None);
        std::fs::write(file_of(dir.path(), &path), b"{").unwrap();
        assert_eq!(load(&file_of(dir.path(), &path), &other), None);
    }
}
