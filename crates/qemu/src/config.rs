//! Where QEMU guests keep their things and as whom they run; the daemon fills this in from its settings.

use std::path::PathBuf;

use ferrovirt_sys::launch::Launcher;

/// Settings of the QEMU driver.
#[derive(Debug, Clone)]
pub struct QemuConfig {
    /// Data of each guest: monitor socket, keys. `/var/lib/libvirt/qemu`.
    pub state_dir: PathBuf,
    /// Live state: pid files, channel sockets. `/run/libvirt/qemu`.
    pub run_dir: PathBuf,
    /// One log per guest. `/var/log/libvirt/qemu`.
    pub log_dir: PathBuf,
    /// What was asked of the binaries. `/var/cache/libvirt/qemu/capabilities`.
    pub cache_dir: PathBuf,
    /// User of QEMU's processes.
    pub uid: u32,
    /// Group of QEMU's processes.
    pub gid: u32,
    /// Whether a guest's files get that owner while it runs.
    pub dynamic_ownership: bool,
    /// Where VNC listens unless a document says so.
    pub vnc_listen: String,
    /// First and last port for VNC.
    pub display_ports: (u16, u16),
    /// Most files a QEMU process may open; none: as the daemon.
    pub max_files: Option<u64>,
    /// Size of a core dump in bytes; none: as the daemon.
    pub max_core: Option<u64>,
    /// `ferrovirt-launch`.
    pub launcher: Launcher,
    /// Where the emulators are looked for, before `PATH`; empty in the packaged daemon.
    pub emulator_dirs: Vec<PathBuf>,
    /// Devices of the host that every guest may open.
    pub device_acl: Vec<PathBuf>,
    /// Whether guests may open no others than those and their own.
    pub device_rules: bool,
    /// Whether guests see no others, in a `/dev` of their own.
    pub private_dev: bool,
    /// Where huge pages are mounted; `None`: wherever they are.
    pub hugetlbfs: Option<Vec<PathBuf>>,
    /// Firmware and the template of its store; `None`: what distributions have.
    pub nvram: Option<Vec<(PathBuf, PathBuf)>>,
    /// What emulated TPMs store. `/var/lib/libvirt/swtpm`.
    pub swtpm_dir: PathBuf,
    /// What they log. `/var/log/swtpm/libvirt/qemu`.
    pub swtpm_log_dir: PathBuf,
    /// Their user.
    pub swtpm_uid: u32,
    /// Their group.
    pub swtpm_gid: u32,
    /// Whether this is the daemon of the system: taps, cgroups and other users are possible.
    pub privileged: bool,
    /// The host's name, for the header of logs.
    pub hostname: String,
}

impl QemuConfig {
    /// Settings of the system's daemon with everything below `root` (`/` for the real one), guests as root.
    #[must_use]
    pub fn below(root: &std::path::Path, launcher: Launcher) -> Self {
        Self {
            state_dir: root.join("var/lib/libvirt/qemu"),
            run_dir: root.join("run/libvirt/qemu"),
            log_dir: root.join("var/log/libvirt/qemu"),
            cache_dir: root.join("var/cache/libvirt/qemu/capabilities"),
            uid: 0,
            gid: 0,
            dynamic_ownership: true,
            vnc_listen: "127.0.0.1".to_owned(),
            display_ports: (5900, 65535),
            max_files: None,
            max_core: None,
            launcher,
            emulator_dirs: Vec::new(),
            device_acl: crate::device_rules::USUAL.iter().map(PathBuf::from).collect(),
            device_rules: true,
            private_dev: true,
            hugetlbfs: None,
            nvram: None,
            swtpm_dir: root.join("var/lib/libvirt/swtpm"),
            swtpm_log_dir: root.join("var/log/swtpm/libvirt/qemu"),
            swtpm_uid: 0,
            swtpm_gid: 0,
            privileged: true,
            hostname: "localhost".to_owned(),
        }
    }
}
