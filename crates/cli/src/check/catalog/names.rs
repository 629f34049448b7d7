//! Rules FH5xx: names and variables.

use crate::check::catalog::Rule;
use crate::check::finding::Level;

/// The rules, in the order of their codes.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "FH501",
        title: "name is run as a command",
        level: Level::Error,
        why: "Guests may have names such as `a$(reboot)` or `x; rm -rf /`. Here the name becomes a part of text that a shell reads, and is run as root.",
        fix: "pass the name as an argument, not as a part of the text",
        bad: "eval \"run-hook $1\"",
        good: "run-hook \"$1\"",
    },
    Rule {
        code: "FH502",
        title: "name without quotes",
        level: Level::Warning,
        why: "Names of guests may have blanks and stars. Without quotes the shell makes several words of them, or the names of files.",
        fix: "put it in double quotes",
        bad: "mkdir -p /run/hooks/$1",
        good: "mkdir -p \"/run/hooks/$1\"",
    },
    Rule {
        code: "FH503",
        title: "fixed name in a directory for everybody",
        level: Level::Warning,
        why: "Everybody can write to /tmp. Whoever makes a link of this name beforehand decides which file root writes.",
        fix: "use /run, /var/log or /var/lib, or `mktemp`",
        bad: "echo started >> /tmp/hook.log",
        good: "echo started >> /var/log/libvirt/hook.log",
    },
    Rule {
        code: "FH504",
        title: "variable that nothing sets",
        level: Level::Warning,
        why: "The variable is empty: nothing in the script sets it, and it is not in a hook's environment.",
        fix: "set it, or source the file that does",
        bad: "virsh nodedev-detach \"$VIRSH_GPU_VIDEO\"",
        good: ". /etc/libvirt/hooks/kvm.conf\nvirsh nodedev-detach \"$VIRSH_GPU_VIDEO\"",
    },
    Rule {
        code: "FH505",
        title: "variable of a login session",
        level: Level::Warning,
        why: "A hook has no session: its environment is LC_ALL and, where the daemon has them, LD_LIBRARY_PATH, LD_PRELOAD, PATH, HOME, USER, LOGNAME and TMPDIR.",
        fix: "set it in the script, or find it out",
        bad: "su - \"$SUDO_USER\" -c true",
        good: "su - alice -c true",
    },
];
