//! Where the networks' files lie and which programs serve them.

use std::path::PathBuf;

use ferrovirt_sys::launch::Launcher;
use ferrovirt_xml::UnknownPolicy;

/// Settings of the network driver; the daemon fills them in from its own.
#[derive(Debug, Clone)]
pub struct Config {
    /// Definitions and `autostart/`: `$SYSCONFDIR/libvirt/qemu/networks`.
    pub config_dir: PathBuf,
    /// Live state, ports and pid files: `/run/libvirt/network`.
    pub status_dir: PathBuf,
    /// dnsmasq's configuration and leases: `/var/lib/libvirt/dnsmasq`.
    pub state_dir: PathBuf,
    /// Directory below `/run` whose flag file says that this boot's autostart is done.
    pub boot_flag_dir: PathBuf,
    /// The dnsmasq program, as a name or a path.
    pub dnsmasq: PathBuf,
    /// The nft program, as a name or a path.
    pub nft: PathBuf,
    /// The program `ferrovirt-launch`.
    pub launcher: Launcher,
    /// The program `ferrovirt-lease`, dnsmasq's script.
    pub lease_helper: PathBuf,
    /// What happens to elements that nobody knows in documents from clients.
    pub unknown: UnknownPolicy,
    /// Whether the daemon may change the host's network; an ordinary user's daemon keeps definitions only.
    pub privileged: bool,
}

/// Why networks that are marked so are being started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autostart {
    /// The daemon starts: once per boot of the machine (R24).
    Boot,
    /// SIGHUP: whichever is down (R22).
    Reload,
}
