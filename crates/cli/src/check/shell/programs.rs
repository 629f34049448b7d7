//! Programs that a hook may not find, because its PATH is the daemon's.

use crate::check::finding::{Findings, Level, Remark};
use crate::check::operations;
use crate::check::place::on_hook_path;
use crate::check::shell::tree::{Block, Kind};
use crate::check::shell::visit;

/// Programs that people install where only their own shell looks.
const PERSONAL: &[&str] = &[
    "pip",
    "cargo",
    "npm",
    "npx",
    "conda",
    "pyenv",
    "rbenv",
    "nvm",
    "brew",
    "flatpak-spawn",
    "ll",
    "la",
];

/// Programs that hooks call, to recognise mistyped names.
const USUAL: &[&str] = &[
    "modprobe",
    "rmmod",
    "insmod",
    "systemctl",
    "service",
    "iptables",
    "ip6tables",
    "firewall-cmd",
    "sysctl",
    "cpupower",
    "taskset",
    "renice",
    "virsh",
    "mount",
    "umount",
    "mkdir",
    "rmdir",
    "chmod",
    "chown",
    "touch",
    "logger",
    "sleep",
    "brctl",
    "ethtool",
    "xmllint",
    "xmlstarlet",
    "driverctl",
    "lspci",
    "lsmod",
    "lsusb",
    "udevadm",
    "losetup",
    "cryptsetup",
    "iscsiadm",
    "timeout",
    "killall",
    "pkill",
    "pgrep",
    "fuser",
    "nmcli",
    "resolvectl",
    "hugeadm",
    "numactl",
    "ddcutil",
    "xrandr",
    "notify-send",
    "loginctl",
    "machinectl",
    "readlink",
    "realpath",
    "basename",
    "dirname",
    "mktemp",
    "setpci",
    "ovs-vsctl",
    "swapoff",
    "swapon",
    "nohup",
    "setsid",
    "runuser",
    "printf",
    "export",
    "source",
    "return",
    "continue",
    "break",
];

/// Looks for programs that are known to live elsewhere.
pub(crate) fn check(script: &Block, findings: &mut Findings<'_>) {
    let commands = visit::commands(script);
    let names: Vec<String> = commands.iter().filter_map(|command| command.name()).collect();
    let functions: Vec<&str> = commands
        .iter()
        .filter_map(|command| {
            if let Kind::Function { name, .. } = &command.kind {
                Some(name.as_str())
            } else {
                None
            }
        })
        .collect();
    let asked = names
        .iter()
        .any(|name| ["alias", "source", "."].contains(&name.as_str()));
    for command in commands {
        let Kind::Simple { words, .. } = &command.kind else {
            continue;
        };
        let (Some(name), Some(first)) = (command.name(), words.first()) else {
            continue;
        };
        let own = PERSONAL.contains(&name.as_str()) && !asked && !on_hook_path(&name);
        if let Some(meant) = mistyped(&name, &functions).filter(|_| !asked) {
            let remark = Remark::new("FH604", format!("there is no `{name}` on a hook's PATH"));
            findings.at(
                first.span,
                remark
                    .fix(format!("did you mean `{meant}`?"))
                    .level(Level::Warning),
            );
        }
        let home = first.raw.starts_with("~/") || first.raw.starts_with("$HOME/");
        if own || home {
            findings.at(
                first.span,
                Remark::new("FH604", format!("`{}` depends on who runs the hook", first.raw)),
            );
        }
    }
}

/// The program that is meant by a name that is one letter off.
fn mistyped(name: &str, functions: &[&str]) -> Option<&'static str> {
    let word = name.len() > 4 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !word || USUAL.contains(&name) || functions.contains(&name) || on_hook_path(name) {
        return None;
    }
    USUAL.iter().copied().find(|known| {
        let sorted = |text: &str| {
            let mut letters: Vec<char> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        let swapped = operations::distance(name, known) == 2 && sorted(name) == sorted(known);
        // Names with another beginning are other programs, such as `dmount`.
        name.chars().next() == known.chars().next() && (swapped || operations::distance(name, known) == 1)
    })
}
