//! Where the guests' files lie.

use std::path::PathBuf;

use ferrovirt_hook::Driver;
use ferrovirt_xml::UnknownPolicy;

/// Settings of one guest driver; the daemon fills them in from its own.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose hooks are called.
    pub driver: Driver,
    /// Definitions and `autostart/`: `$SYSCONFDIR/libvirt/qemu`.
    pub config_dir: PathBuf,
    /// Live state (`NAME.xml`): `/run/libvirt/qemu`.
    pub status_dir: PathBuf,
    /// The guests' logs: `/var/log/libvirt/qemu`.
    pub log_dir: PathBuf,
    /// Directory below `/run` whose flag file says that this boot's autostart is done.
    pub boot_flag_dir: PathBuf,
    /// What happens to elements that nobody knows in documents from clients.
    pub unknown: UnknownPolicy,
}
