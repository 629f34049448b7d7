//! What the daemon tells this crate about the host.

use std::path::PathBuf;

use ferrovirt_sys::launch::Launcher;

/// Settings of the driver for containers.
#[derive(Debug, Clone)]
pub struct LxcConfig {
    /// Sockets of the controllers: `/run/libvirt/lxc`.
    pub run_dir: PathBuf,
    /// Logs: `/var/log/libvirt/lxc`.
    pub log_dir: PathBuf,
    /// The program `ferrovirt-lxc`, which is its own launcher.
    pub controller: Launcher,
}

impl LxcConfig {
    /// Where the controller of this container listens.
    #[must_use]
    pub fn socket(&self, name: &str) -> PathBuf {
        self.run_dir.join(format!("{name}.sock"))
    }

    /// Number of the controller's process, where libvirt has it too.
    #[must_use]
    pub fn pid_file(&self, name: &str) -> PathBuf {
        self.run_dir.join(format!("{name}.pid"))
    }
}
