//! Rules FH4xx: calls that wait.

use crate::check::catalog::Rule;
use crate::check::finding::Level;

/// The rules, in the order of their codes.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "FH401",
        title: "virsh changes the own guest",
        level: Level::Error,
        why: "The operation waits for the hook, and virsh waits for the operation. Under libvirt both wait for ever; ferrovirt refuses the call at once.",
        fix: "do it outside of the hook, for example with `systemd-run`",
        bad: "[ \"$2\" = release ] && virsh start \"$1\"",
        good: "[ \"$2\" = release ] && systemd-run --on-active=5 virsh start \"$1\"",
    },
    Rule {
        code: "FH402",
        title: "virsh asks for the own guest",
        level: Level::Warning,
        why: "libvirt keeps the guest locked while its hook runs, so the question is never answered. The document is on stdin. (ferrovirt answers.)",
        fix: "read the document from stdin",
        bad: "xml=$(virsh dumpxml \"$1\")",
        good: "xml=$(cat)",
    },
    Rule {
        code: "FH403",
        title: "virsh in a hook",
        level: Level::Note,
        why: "libvirt's manual forbids hooks to call libvirt: the call may wait for what waits for the hook. Calls about other guests, or about devices, mostly work. With ferrovirt they do.",
        fix: "avoid it where the document or sysfs tells the same",
        bad: "virsh nodedev-detach pci_0000_01_00_0",
        good: "echo 0000:01:00.0 > /sys/bus/pci/drivers/nvidia/unbind",
    },
    Rule {
        code: "FH404",
        title: "wait without end",
        level: Level::Warning,
        why: "If what the loop waits for never comes, the guest's operation hangs, and no other operation on it is possible.",
        fix: "count, and give up with an error: `timeout 30 sh -c …`",
        bad: "while lsmod | grep -q nvidia; do sleep 1; done",
        good: "for i in 1 2 3 4 5; do lsmod | grep -q nvidia || break; sleep 1; done",
    },
    Rule {
        code: "FH405",
        title: "long sleep",
        level: Level::Note,
        why: "The guest's operation waits as long. Whoever asked for it thinks that it hangs.",
        fix: "wait for the thing itself, with a bound",
        bad: "sleep 30",
        good: "for i in 1 2 3 4 5; do [ -e /dev/sdx ] && break; sleep 1; done",
    },
];
