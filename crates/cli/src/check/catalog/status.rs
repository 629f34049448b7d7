//! Rules FH3xx: exit status, stdin and stdout.

use crate::check::catalog::Rule;
use crate::check::finding::Level;

/// The rules, in the order of their codes.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "FH301",
        title: "fails for operations that it does not know",
        level: Level::Error,
        why: "A hook is called for every operation, also those that were added after it was written. If it fails for an unknown one, that operation is refused: `reconnect` failing ends running guests when the daemon restarts, `migrate` and `restore` failing stop these.",
        fix: "exit 0 for everything that the script does not care about",
        bad: "case \"$2\" in\nprepare) modprobe vfio-pci ;;\n*) echo \"unknown: $2\" >&2; exit 1 ;;\nesac",
        good: "case \"$2\" in\nprepare) modprobe vfio-pci ;;\n*) exit 0 ;;\nesac",
    },
    Rule {
        code: "FH302",
        title: "fails for other names",
        level: Level::Error,
        why: "A hook is called for every guest and network of its driver. If it fails for those that it does not know, they do not start any more.",
        fix: "exit 0 for other names",
        bad: "[ \"$1\" = win10 ] || exit 1",
        good: "[ \"$1\" = win10 ] || exit 0",
    },
    Rule {
        code: "FH303",
        title: "the last test is the exit status",
        level: Level::Error,
        why: "A script's status is that of its last command. If that is `[ … ] && command`, and the test is not fulfilled, the script has failed, and with it the operation: for every guest and every operation that it did not care about.",
        fix: "use `if … then … fi`, or end with `exit 0`",
        bad: "[ \"$2\" = prepare ] && modprobe vfio-pci",
        good: "if [ \"$2\" = prepare ]; then modprobe vfio-pci; fi",
    },
    Rule {
        code: "FH304",
        title: "status lost in a pipe",
        level: Level::Warning,
        why: "The status of a pipeline is that of its last command, and `tee` and `logger` always succeed. The guest starts although its preparation failed.",
        fix: "`set -o pipefail` (bash), or redirect to a file instead",
        bad: "prepare-gpu 2>&1 | tee -a /var/log/hook.log",
        good: "prepare-gpu >> /var/log/hook.log 2>&1",
    },
    Rule {
        code: "FH305",
        title: "exit status over 255",
        level: Level::Error,
        why: "Only the lowest eight bits of an exit status arrive. 256 is 0, which is success.",
        fix: "use a status from 1 to 125",
        bad: "exit 256",
        good: "exit 1",
    },
    Rule {
        code: "FH306",
        title: "text in place of the document",
        level: Level::Warning,
        why: "What a hook writes on stdout during `migrate` and `restore` replaces the guest's document. A line of text is no XML, so the migration fails, or the guest cannot be restored.",
        fix: "write messages to stderr (`>&2`), to a file or to `logger`",
        bad: "echo \"hook called for $1\"",
        good: "echo \"hook called for $1\" >&2",
    },
    Rule {
        code: "FH307",
        title: "stdin read twice",
        level: Level::Warning,
        why: "The document comes once. After one command has read it, the next gets nothing.",
        fix: "keep it: `xml=$(cat)`, and use `printf '%s' \"$xml\" |`",
        bad: "name=$(xmllint --xpath 'string(//name)' -)\nuuid=$(xmllint --xpath 'string(//uuid)' -)",
        good: "xml=$(cat)\nname=$(printf '%s' \"$xml\" | xmllint --xpath 'string(//name)' -)",
    },
    Rule {
        code: "FH308",
        title: "background process with the hook's pipes",
        level: Level::Warning,
        why: "libvirt waits until nobody holds the hook's stdout and stderr any more. A process in the background that inherited them makes the guest's start wait until it ends.",
        fix: "redirect both: `command >/dev/null 2>&1 &`",
        bad: "watch-gpu &",
        good: "watch-gpu >/dev/null 2>&1 &",
    },
    Rule {
        code: "FH309",
        title: "status of another command",
        level: Level::Warning,
        why: "`$?` is the status of the last command. After `echo`, or after `local x=$(…)`, that is not the command that was meant, and a failure goes unnoticed.",
        fix: "put the command itself into `if`, or keep its status: `status=$?`",
        bad: "prepare-gpu\necho \"prepared\"\nif [ $? -ne 0 ]; then exit 1; fi",
        good: "if ! prepare-gpu; then exit 1; fi",
    },
];
