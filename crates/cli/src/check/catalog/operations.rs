//! Rules FH2xx: what a script compares its arguments with.

use crate::check::catalog::Rule;
use crate::check::finding::Level;

/// The rules, in the order of their codes.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "FH201",
        title: "unknown operation",
        level: Level::Error,
        why: "No driver has an operation of this name, so what depends on it never runs.",
        fix: "use one of the operations",
        bad: "if [ \"$2\" = \"perpare\" ]; then modprobe vfio-pci; fi",
        good: "if [ \"$2\" = \"prepare\" ]; then modprobe vfio-pci; fi",
    },
    Rule {
        code: "FH202",
        title: "operation of another driver",
        level: Level::Error,
        why: "The operation exists, but hooks of this driver never get it.",
        fix: "move this to the other driver's hook",
        bad: "# hooks/lxc\nif [ \"$2\" = port-created ]; then tc-setup; fi",
        good: "# hooks/network\nif [ \"$2\" = port-created ]; then tc-setup; fi",
    },
    Rule {
        code: "FH203",
        title: "sub-operation that never comes",
        level: Level::Error,
        why: "Each operation has one sub-operation: `prepare`, `start`, `started`, `reconnect`, `attach`, `migrate` and `restore` come with `begin`, `stopped` and `release` with `end`. Other pairs are never called.",
        fix: "use the pair that comes",
        bad: "case \"$2/$3\" in prepare/end) modprobe vfio-pci ;; esac",
        good: "case \"$2/$3\" in prepare/begin) modprobe vfio-pci ;; esac",
    },
    Rule {
        code: "FH204",
        title: "operation of an old libvirt",
        level: Level::Error,
        why: "Before libvirt 5.0 network hooks were called with `plugged` and `unplugged`, and a `<domain>` in the document. Now it is `port-created` and `port-deleted`, with a `<networkport>`.",
        fix: "use the new operation",
        bad: "if [ \"$2\" = plugged ]; then tc-setup; fi",
        good: "if [ \"$2\" = port-created ]; then tc-setup; fi",
    },
    Rule {
        code: "FH205",
        title: "`-` as the fourth argument of `release`",
        level: Level::Error,
        why: "Current libvirt passes the reason of a guest's end as the fourth argument of `release`: `shutdown`, `destroyed` and so on. A comparison with `-` is not fulfilled any more.",
        fix: "leave the fourth argument out of the comparison, or use a `*`",
        bad: "case \"$2/$3/$4\" in release/end/-) modprobe nvidia ;; esac",
        good: "case \"$2/$3/$4\" in release/end/*) modprobe nvidia ;; esac",
    },
    Rule {
        code: "FH206",
        title: "unknown reason",
        level: Level::Warning,
        why: "The fourth argument of `release` is one of a few words. This one does not come.",
        fix: "use one of the reasons",
        bad: "[ \"$4\" = rebooted ] && exit 0",
        good: "[ \"$4\" = destroyed ] && exit 0",
    },
    Rule {
        code: "FH207",
        title: "more than four arguments",
        level: Level::Error,
        why: "A hook is called with exactly four arguments. What is beyond is always empty.",
        fix: "take it from the document on stdin",
        bad: "host=$5",
        good: "host=$(xmllint --xpath 'string(/domain/name)' -)",
    },
];
