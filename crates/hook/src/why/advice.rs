//! What to do next: commands that can be copied, each with what it is for.

use std::path::Path;

use super::cause::{Class, Found};
use super::choice::{self, Life};
use super::kinds::Way;
use super::words::{path_word, shell_word};
use super::{Facts, RunningNow, script};
use crate::event::Driver;
use crate::history::{How, KindRow, Operation, RunRow, SkipRow};

/// Errors of `execve`.
const ENOEXEC: i32 = 8;
const EACCES: i32 = 13;

/// What to do about words of QEMU or of the kernel; the first that fits.
const ABOUT_WORDS: &[(&str, &str)] = &[
    (
        "is not a valid device model name",
        "qemu-system-x86_64 -device help # what devices this QEMU has",
    ),
    (
        "Could not access KVM kernel module",
        "ls -l /dev/kvm # whether it is there, and for whom",
    ),
    (
        "Failed to get \"write\" lock",
        "lslocks # which process has the image open",
    ),
    (
        "Failed to get shared \"write\" lock",
        "lslocks # which process has the image open",
    ),
    ("Cannot allocate memory", "free -m # how much memory is left"),
    ("cannot set up guest memory", "free -m # how much memory is left"),
    ("Address already in use", "ss -tulpn # which process has the port"),
    ("vfio", "lspci -nnk # which driver has the device"),
];

/// What to do about the reason why a file cannot be executed: part of the reason, command (`FILE` stands for it), purpose.
const ABOUT_FILES: &[(&str, &str, &str)] = &[
    (
        "carriage return",
        "sed -i 's/\\r$//' FILE",
        "take the line ends of Windows away",
    ),
    (
        "without a first line",
        "sed -i '1i #!/bin/sh' FILE",
        "if it is a script for the shell",
    ),
    (
        "#! without an interpreter",
        "sed -i '1s|.*|#!/bin/sh|' FILE",
        "if it is a script for the shell",
    ),
    (
        "interpreter ",
        "head -n 1 FILE",
        "install the interpreter that it names, or name another one",
    ),
    (
        "another kind of machine",
        "file FILE",
        "for which machine it was made",
    ),
    ("dynamic loader", "file FILE", "which loader it needs"),
    ("SELinux", "ausearch -m avc -ts recent", "what was denied"),
    ("AppArmor", "journalctl -k -g apparmor", "what was denied"),
    ("noexec", "findmnt -T FILE", "whether it is mounted noexec"),
];

/// What to do about a hook of which nothing more is known.
const KERNEL_LOG: &str = "journalctl -k -g 'Out of memory' # whether the kernel killed it";

/// After a failure or an end.
pub(super) fn after(facts: &Facts, operation: Option<&Operation>, found: &Found<'_>) -> Vec<String> {
    let mut next = match (&found.class, found.row) {
        (Class::Hook, Some(row)) => about_hook(row),
        (Class::Destroyed | Class::DaemonDied, Some(row)) => vec![show(row)],
        (Class::Disk(path), _) => vec![format!(
            "ls -l {} # whether it is there, and for whom",
            shell_word(path)
        )],
        (Class::Device(_, remedies), _) => remedies.clone(),
        (Class::OutOfMemory, _) => vec![
            "journalctl -k -g 'Out of memory' # what the kernel killed, and why".to_owned(),
            "free -m # how much memory is left".to_owned(),
        ],
        (Class::Hypervisor | Class::Crash | Class::Error, _) => about_words(&found.cause.words),
        _ => Vec::new(),
    };
    if found.class == Class::DaemonDied {
        next.push("journalctl -u ferrovirtd # why the daemon died".to_owned());
    }
    if matches!(found.class, Class::Hypervisor | Class::Crash) {
        next.extend(log_of(facts));
    }
    if matches!(
        found.class,
        Class::Disk(_) | Class::Device(..) | Class::Hypervisor | Class::OutOfMemory
    ) {
        next.push(format!(
            "{} {} # change it",
            edit(facts.driver),
            shell_word(&facts.name)
        ));
    }
    next.extend(again(facts, operation));
    next
}

/// The same once more, where that makes sense.
fn again(facts: &Facts, operation: Option<&Operation>) -> Option<String> {
    facts.state.as_ref()?;
    let way = operation.map_or(Way::Up, choice::way);
    let up = choice::life(facts) == Life::Up;
    // Of a guest that went to another host, a second one must not be started here.
    let elsewhere = operation.is_some_and(|operation| operation.row.reason.as_deref() == Some("migrated"));
    match (way, up) {
        (Way::Beside, _) | (Way::Up, true) => None,
        (Way::Down, true) => Some(destroy(facts, "try again")),
        (_, false) => (!elsewhere).then(|| start(facts)),
    }
}

fn about_words(words: &str) -> Vec<String> {
    let known = ABOUT_WORDS.iter().find(|(sign, _)| words.contains(sign));
    known
        .map(|(_, command)| (*command).to_owned())
        .into_iter()
        .collect()
}

/// To read the hypervisor's log.
pub(super) fn log_of(facts: &Facts) -> Option<String> {
    let word = shell_word(&format!("/var/log/libvirt/qemu/{}.log", facts.name));
    (facts.driver == Driver::Qemu).then(|| format!("less {word} # all that QEMU said"))
}

fn about_hook(row: &RunRow) -> Vec<String> {
    let file = path_word(&row.script);
    let mut next = match &row.how {
        Some(How::NotStarted { errno, reason }) => about_file(&row.script, *errno, reason.as_deref()),
        Some(How::Refused { why }) if why.contains("writable") => {
            vec![format!("chmod go-w {file} # only its owner may change it")]
        }
        Some(How::TimedOut { .. }) => about_limit(row, "'timeout'"),
        Some(How::Signal(_)) if script::is_over_memory(row) => about_limit(row, "'memory' of the sandbox"),
        Some(How::Signal(9)) => vec![KERNEL_LOG.to_owned()],
        _ => Vec::new(),
    };
    next.push(show(row));
    // A command of a rule is not one of the scripts that are looked at for mistakes.
    if matches!(row.kind, KindRow::Script | KindRow::GuestDirectory)
        && !matches!(row.how, Some(How::Cancelled { .. }))
    {
        next.push(format!(
            "ferrovirt check {file} # mistakes in it, found without running it"
        ));
    }
    if row.id.0 > 0 {
        next.push(format!(
            "ferrovirt replay {} # run it again with the same document",
            row.id
        ));
    }
    next
}

fn show(row: &RunRow) -> String {
    format!(
        "ferrovirt show {} # all that it printed, and the document that it got",
        row.id
    )
}

fn about_limit(row: &RunRow, what: &str) -> Vec<String> {
    let rule = row
        .rule
        .as_deref()
        .map_or_else(String::new, |rule| format!(" of rule {}", shell_word(rule)));
    vec![format!(
        "Make the script need less, or raise {what}{rule} in /etc/ferrovirt/hooks.d."
    )]
}

fn about_file(script: &Path, errno: i32, reason: Option<&str>) -> Vec<String> {
    let file = path_word(script);
    let reason = reason.unwrap_or_default();
    let known = ABOUT_FILES.iter().find(|(sign, _, _)| reason.contains(sign));
    match (known, errno) {
        (Some((_, command, purpose)), _) => vec![format!("{} # {purpose}", command.replace("FILE", &file))],
        (None, EACCES) => vec![format!("chmod +x {file} # it must be executable")],
        (None, ENOEXEC) => vec![format!("file {file} # what it is")],
        (None, _) => Vec::new(),
    }
}

/// While a hook runs. `start`: a start waits for it.
pub(super) fn while_running(hook: &RunningNow, refuses: bool, start: bool, facts: &Facts) -> Vec<String> {
    let look = match hook.waits_for {
        Some(_) => "ferrovirt ps # which hook has the lock",
        None => "ferrovirt ps --tree # what it is doing",
    };
    let then = if refuses { "fails" } else { "goes on" };
    let mut next = vec![
        look.to_owned(),
        format!(
            "ferrovirt cancel {} # end it and its tree; what waits then {then}",
            hook.id
        ),
    ];
    if start && facts.driver != Driver::Network {
        next.push(destroy(facts, "give the whole start up"));
    }
    next
}

/// About a failure that stops nothing.
pub(super) fn look_at(row: &RunRow) -> String {
    show(row)
}

/// About a script that is not run.
pub(super) fn about_skip(skip: &SkipRow) -> Option<String> {
    let file = path_word(&skip.path);
    skip.reason
        .contains("no execute bit")
        .then(|| format!("chmod +x {file} # if it is meant to be a hook"))
}

/// To start it.
pub(super) fn start(facts: &Facts) -> String {
    let name = shell_word(&facts.name);
    let command = if facts.driver == Driver::Network {
        "net-start"
    } else {
        "start"
    };
    format!("{} {command} {name} # start it", virsh(facts.driver))
}

/// To end it.
pub(super) fn destroy(facts: &Facts, purpose: &str) -> String {
    let name = shell_word(&facts.name);
    let command = if facts.driver == Driver::Network {
        "net-destroy"
    } else {
        "destroy"
    };
    format!("{} {command} {name} # {purpose}", virsh(facts.driver))
}

/// To see which objects there are.
pub(super) fn list(driver: Driver) -> String {
    let command = if driver == Driver::Network {
        "net-list"
    } else {
        "list"
    };
    format!("{} {command} --all # what there is", virsh(driver))
}

fn edit(driver: Driver) -> String {
    let command = if driver == Driver::Network {
        "net-edit"
    } else {
        "edit"
    };
    format!("{} {command}", virsh(driver))
}

fn virsh(driver: Driver) -> &'static str {
    match driver {
        Driver::Lxc => "virsh -c lxc:///system",
        Driver::Libxl => "virsh -c xen:///system",
        Driver::Daemon | Driver::Qemu | Driver::Network => "virsh",
    }
}
