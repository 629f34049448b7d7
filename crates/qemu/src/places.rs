//! Where one run of a guest keeps its things. libvirt's names: tools and scripts look there.

use std::path::{Path, PathBuf};

use ferrovirt_guest::Run;
use ferrovirt_model::domain::Domain;

use crate::config::QemuConfig;
use crate::error::{Error, Result};
use crate::live::memory;

/// The places of one run.
#[derive(Debug, Clone)]
pub struct Places {
    /// Monitor socket and keys.
    pub guest_dir: PathBuf,
    /// Sockets of channels.
    pub channel_dir: PathBuf,
    /// Number of the process.
    pub pid_file: PathBuf,
}

/// Longest part of a name in a path: socket paths are short.
const SHORT: usize = 20;

impl Places {
    /// The places of a run.
    #[must_use]
    pub fn of(config: &QemuConfig, id: i32, name: &str) -> Self {
        // A slash cannot be in a name that was defined; it must not lead elsewhere if it is.
        let short: String = name
            .chars()
            .take(SHORT)
            .map(|c| if c == '/' { '_' } else { c })
            .collect();
        Self {
            guest_dir: config.state_dir.join(format!("domain-{id}-{short}")),
            channel_dir: config.run_dir.join("channel").join(format!("{id}-{short}")),
            pid_file: config.run_dir.join(format!("{name}.pid")),
        }
    }

    /// The places of a run.
    #[must_use]
    pub fn of_run(config: &QemuConfig, run: &Run) -> Self {
        Self::of(config, run.id, run.name())
    }

    /// Where the monitor listens.
    #[must_use]
    pub fn monitor(&self) -> PathBuf {
        self.guest_dir.join("monitor.sock")
    }

    /// The key with which secrets would be given to QEMU.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.guest_dir.join("master-key.aes")
    }

    /// Makes the directories; they are QEMU's user's.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn make(&self, config: &QemuConfig) -> Result<()> {
        for dir in [&self.guest_dir, &self.channel_dir] {
            make_private(dir, config)?;
        }
        Ok(())
    }

    /// Makes the directories for what stands behind the guest's memory, where it needs any.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn make_memory(&self, doc: &Domain, config: &QemuConfig) -> Result<()> {
        let mut dirs = Vec::new();
        if memory::needs_files(doc) {
            dirs.push(memory::file_dir(&self.guest_dir));
        }
        if memory::needs_huge_pages(doc) {
            let mounts = memory::huge_mounts(config.hugetlbfs.as_deref());
            dirs.extend(
                mounts
                    .iter()
                    .map(|mount| memory::huge_dir(mount, &self.guest_dir)),
            );
        }
        dirs.iter().try_for_each(|dir| make_private(dir, config))
    }

    /// Removes all of it; what is not there is no error.
    pub fn remove(&self) {
        let mounts = memory::huge_mounts(None);
        let huge = mounts
            .iter()
            .map(|mount| memory::huge_dir(mount, &self.guest_dir));
        let own = [
            self.guest_dir.clone(),
            self.channel_dir.clone(),
            memory::file_dir(&self.guest_dir),
        ];
        for dir in own.into_iter().chain(huge) {
            told(&dir, std::fs::remove_dir_all(&dir));
        }
        told(&self.pid_file, std::fs::remove_file(&self.pid_file));
    }
}

fn told(path: &Path, result: std::io::Result<()>) {
    match result {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("cannot remove '{}': {error}", path.display()),
    }
}

fn make_private(dir: &Path, config: &QemuConfig) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(dir).map_err(Error::io("Cannot create directory", dir))?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o750))
        .map_err(Error::io("Cannot set mode of directory", dir))?;
    give(dir, config)
}

/// Gives a file of ours to QEMU's user.
///
/// # Errors
/// The kernel refuses.
pub fn give(path: &Path, config: &QemuConfig) -> Result<()> {
    if !config.privileged || (config.uid == 0 && config.gid == 0) {
        return Ok(());
    }
    std::os::unix::fs::chown(path, Some(config.uid), Some(config.gid))
        .map_err(Error::io("Cannot give to QEMU's user", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_sys::launch::Launcher;

    #[test]
    fn r15_libvirts_places() {
        let config = QemuConfig::below(Path::new("/"), Launcher::new(""));
        let places = Places::of(&config, 7, "a-name-that-is-longer-than-that");
        assert_eq!(
            places.monitor(),
            Path::new("/var/lib/libvirt/qemu/domain-7-a-name-that-is-longe/monitor.sock")
        );
        assert_eq!(
            places.channel_dir,
            Path::new("/run/libvirt/qemu/channel/7-a-name-that-is-longe")
        );
        assert_eq!(
            places.pid_file,
            Path::new("/run/libvirt/qemu/a-name-that-is-longer-than-that.pid")
        );
        assert!(
            Places::of(&config, 7, "../../etc")
                .guest_dir
                .starts_with("/var/lib/libvirt/qemu/domain-7-.._.._etc")
        );
    }
}
