//! Rules FH6xx: what the system has.

use crate::check::catalog::Rule;
use crate::check::finding::Level;

/// The rules, in the order of their codes.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "FH601",
        title: "iptables without `-w`",
        level: Level::Note,
        why: "Other programs, the daemon among them, change rules at the same time. Without `-w` the older iptables fails at once when another one holds the lock.",
        fix: "add `-w`",
        bad: "iptables -I FORWARD -o virbr0 -j ACCEPT",
        good: "iptables -w -I FORWARD -o virbr0 -j ACCEPT",
    },
    Rule {
        code: "FH602",
        title: "cgroups v1",
        level: Level::Warning,
        why: "Current systems have cgroups v2 only. Directories such as /sys/fs/cgroup/cpuset do not exist there, and `cset` does not work.",
        fix: "use `systemctl set-property --runtime -- system.slice AllowedCPUs=…`",
        bad: "echo 0-3 > /sys/fs/cgroup/cpuset/machine.slice/cpuset.cpus",
        good: "systemctl set-property --runtime -- machine.slice AllowedCPUs=0-3",
    },
    Rule {
        code: "FH603",
        title: "definition file instead of the document",
        level: Level::Note,
        why: "/etc/libvirt/qemu/NAME.xml is what the guest was defined with. A transient guest has none, and a running one may differ. The document on stdin is what it runs with.",
        fix: "read stdin",
        bad: "grep hugepages \"/etc/libvirt/qemu/$1.xml\"",
        good: "grep hugepages /dev/stdin",
    },
    Rule {
        code: "FH604",
        title: "program that a hook does not find",
        level: Level::Note,
        why: "A hook has the daemon's PATH and often no HOME: what is installed for one person is not found. A mistyped name (a warning) is never found.",
        fix: "use the right name, or a full path that does not depend on a person",
        bad: "~/bin/start-vm",
        good: "/usr/local/bin/start-vm",
    },
    Rule {
        code: "FH605",
        title: "sudo in a hook",
        level: Level::Note,
        why: "Hooks run as root already. `sudo` may want a terminal or a password, and fails then.",
        fix: "leave it out",
        bad: "sudo modprobe vfio-pci",
        good: "modprobe vfio-pci",
    },
    Rule {
        code: "FH606",
        title: "dispatcher of a directory tree",
        level: Level::Note,
        why: "This script runs what lies in `qemu.d/GUEST/OPERATION/SUB-OPERATION`, as many guides have it. Directories are not called otherwise. ferrovirt can read such a tree itself; copies of the dispatcher differ in how they quote names and keep statuses.",
        fix: "nothing, if it works; otherwise let ferrovirt read the tree",
        bad: "\"$dir/qemu.d/$1/$2/$3\"",
        good: "\"$dir/qemu.d/10-all-guests\"",
    },
];
