//! What a test needs from the machine. Where it is missing, a test is skipped and says why; in CI (`CI=true`)
//! it fails instead, because there nothing may be left out unseen.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program or a right that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `virsh`
    Virsh,
    /// `qemu-system-x86_64`
    Qemu,
    /// `qemu-img`
    QemuImg,
    /// `swtpm`, with `swtpm_setup`
    Swtpm,
    /// `virt-install`
    VirtInstall,
    /// `dnsmasq`
    Dnsmasq,
    /// `nft`
    Nft,
    /// `iptables`
    Iptables,
    /// The small Linux guest (`tests/guest/build`): apt, busybox
    Linux,
    /// `busybox`, linked statically, for the roots of containers
    Busybox,
    /// Control groups of the world's own, for the scopes of containers
    Cgroups,
}

/// What every test needs.
const ALWAYS: &[&str] = &["virsh", "unshare", "setpriv", "timeout", "ip", "mount", "kill"];

impl Tool {
    fn program(self) -> &'static str {
        match self {
            Tool::Virsh => "virsh",
            Tool::Qemu => "qemu-system-x86_64",
            Tool::QemuImg => "qemu-img",
            Tool::Swtpm => "swtpm_setup",
            Tool::VirtInstall => "virt-install",
            Tool::Dnsmasq => "dnsmasq",
            Tool::Nft => "nft",
            Tool::Iptables => "iptables",
            Tool::Linux | Tool::Busybox => "busybox",
            Tool::Cgroups => "unshare",
        }
    }
}

/// Why the test cannot run here, or `None`.
pub fn missing(needs: &[Tool]) -> Option<String> {
    if !is_root() {
        return Some("needs root, to make namespaces".to_owned());
    }
    let names = ALWAYS
        .iter()
        .copied()
        .chain(needs.iter().map(|tool| tool.program()));
    let lacking: Vec<&str> = names.filter(|name| find(name).is_none()).collect();
    if !lacking.is_empty() {
        return Some(format!(
            "not installed: {} (scripts/install-deps)",
            lacking.join(" ")
        ));
    }
    if needs.contains(&Tool::Linux) {
        guest_image().err()
    } else {
        None
    }
}

/// How often a loop of kills runs: as often as `PROOF` says; without it `whole` times, and a tenth of that under CI.
pub fn proof(whole: usize) -> usize {
    let wanted = std::env::var("PROOF").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(if is_ci() { whole / 10 } else { whole })
}

/// Whether nothing may be skipped.
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// A program on the search path.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Where the guest's kernel and initramfs lie.
pub fn guest_dir() -> PathBuf {
    std::env::var_os("FERROVIRT_GUEST")
        .map_or_else(|| PathBuf::from("/var/tmp/ferrovirt-guest"), PathBuf::from)
}

/// Makes the guest's kernel and initramfs, or finds them made.
fn guest_image() -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/build");
    let output = Command::new(script)
        .output()
        .map_err(|e| format!("tests/guest/build: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "tests/guest/build: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t0\t")))
}
