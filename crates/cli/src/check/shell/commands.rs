//! Single commands: whether their arguments are safe, and whether a hook should run them at all.

use crate::check::finding::{Level, Remark};
use crate::check::operations::Driver;
use crate::check::shell::builtins;
use crate::check::shell::flow::Walker;
use crate::check::shell::output;
use crate::check::shell::state::{Path, State};
use crate::check::shell::tree::{Command, Item, Operation, PieceKind, Word};
use crate::check::shell::values::Value;
use crate::check::shell::waits;
use crate::check::source::Span;

/// What virsh does to a guest or network.
const VIRSH_CHANGES: &[&str] = &[
    "start",
    "destroy",
    "shutdown",
    "reboot",
    "reset",
    "suspend",
    "resume",
    "undefine",
    "save",
    "managedsave",
    "restore",
    "migrate",
    "attach-device",
    "attach-disk",
    "attach-interface",
    "detach-device",
    "detach-disk",
    "detach-interface",
    "update-device",
    "setvcpus",
    "setmem",
    "setmaxmem",
    "vcpupin",
    "emulatorpin",
    "iothreadpin",
    "schedinfo",
    "numatune",
    "blkiotune",
    "memtune",
    "qemu-monitor-command",
    "qemu-agent-command",
    "blockcommit",
    "blockcopy",
    "blockjob",
    "snapshot-create",
    "snapshot-create-as",
    "snapshot-revert",
    "snapshot-delete",
    "send-key",
    "inject-nmi",
    "domrename",
    "domif-setlink",
    "change-media",
    "autostart",
    "edit",
    "desc",
    "net-start",
    "net-destroy",
    "net-update",
    "net-undefine",
    "net-autostart",
    "dump",
    "domtime",
    "set-user-password",
];

/// What virsh tells of a guest or network.
const VIRSH_READS: &[&str] = &[
    "dumpxml",
    "domstate",
    "dominfo",
    "domiflist",
    "domblklist",
    "domid",
    "domuuid",
    "domname",
    "domifaddr",
    "vcpuinfo",
    "vcpucount",
    "vncdisplay",
    "domdisplay",
    "dommemstat",
    "domifstat",
    "domblkstat",
    "domstats",
    "domfsinfo",
    "net-dumpxml",
    "net-info",
    "net-dhcp-leases",
    "ttyconsole",
    "domcontrol",
    "metadata",
];

/// Commands in which a split name only makes a log line or a comparison wrong.
const FORGIVING: &[&str] = &[
    "echo", "printf", "logger", "[", "test", "return", "exit", "local", "export", "readonly", "declare",
    "typeset", "log",
];

/// All checks of one command.
pub(crate) fn check<'t>(
    walker: &mut Walker<'t, '_, '_>,
    command: &'t Command,
    name: &str,
    words: &'t [Word],
    state: &mut State,
) {
    brackets(walker, name, words);
    arguments(walker, name, words, state);
    let real = builtins::unwrapped(words);
    let program = real.first().and_then(Word::literal).unwrap_or_default();
    let program = builtins::base(&program);
    match program {
        "eval" | "sh" | "bash" | "dash" | "ash" | "su" | "runuser" | "ssh" => {
            executed(walker, program, real, state)
        }
        "virsh" => virsh(walker, command, real, state),
        "sleep" => waits::long_sleep(walker, command, state),
        "iptables" | "ip6tables" => iptables(walker, program, real),
        "cset" if !walker.findings.has("FH602") => walker.findings.at(
            command.span,
            Remark::new(
                "FH602",
                "`cset` needs cgroups v1, which current systems do not have",
            )
            .level(Level::Note),
        ),
        "exit" => status(walker, words),
        "tee" | "touch" | "cp" | "mv" | "mkfifo" | "install" => {
            let from = if program == "tee" || program == "touch" {
                1
            } else {
                2
            };
            for word in real.iter().skip(from).filter(|word| !word.raw.starts_with('-')) {
                written_file(walker, word, state);
            }
        }
        _ => {}
    }
    if name == "sudo" && words.get(1).is_some_and(|word| !word.raw.starts_with('-')) && walker.setting.is_hook
    {
        walker.findings.at(
            words[0].span,
            Remark::new(
                "FH605",
                "the hook already runs as root; `sudo` only adds ways to fail",
            ),
        );
    }
    output::noise(walker, command, state);
    output::moved(walker, command, state);
    output::reading(walker, command, state);
}

/// Names that are split at blanks on their way into a command.
pub(crate) fn arguments(walker: &mut Walker<'_, '_, '_>, name: &str, words: &[Word], state: &State) {
    if !walker.setting.is_hook
        || state.path.name.is_some()
        || builtins::DECLARING.contains(&name)
        || name == "eval"
    {
        return;
    }
    for word in words {
        unquoted(walker, name, word, state);
    }
}

fn unquoted(walker: &mut Walker<'_, '_, '_>, name: &str, word: &Word, state: &State) {
    for (parameter, piece) in word.parameters().filter(|(_, piece)| !piece.quoted) {
        let safe = [Operation::Length, Operation::Alternative, Operation::Transform];
        if safe.contains(&parameter.operation) || ["#", "?"].contains(&parameter.name.as_str()) {
            continue;
        }
        let value = state.parameter(parameter);
        let forgiving = FORGIVING.contains(&name);
        if value.is_named() {
            let mut remark = Remark::new(
                "FH502",
                format!(
                    "`{}` is split if the name has blanks",
                    source_of(word, piece.span)
                ),
            );
            if forgiving {
                remark = remark.level(Level::Note);
            }
            walker.findings.at(piece.span, remark);
        } else if value.is_argument(4) && !forgiving_echo(name) {
            let remark = Remark::new("FH502", "the reason `from snapshot` is split into two words here");
            walker.findings.at(piece.span, remark.level(Level::Note));
        }
    }
}

fn forgiving_echo(name: &str) -> bool {
    ["echo", "printf", "logger"].contains(&name)
}

fn source_of(word: &Word, span: Span) -> String {
    let start = span.start.saturating_sub(word.span.start);
    let end = span.end.saturating_sub(word.span.start);
    word.raw.get(start..end).unwrap_or(&word.raw).to_owned()
}

/// A name inside text that a shell reads.
fn executed(walker: &mut Walker<'_, '_, '_>, program: &str, words: &[Word], state: &State) {
    if state.path.name.is_some() || !walker.setting.is_hook {
        return;
    }
    let read: &[Word] = match program {
        "eval" => words.get(1..).unwrap_or(&[]),
        "ssh" => words.get(2..).unwrap_or(&[]),
        _ => {
            let flag = words
                .iter()
                .position(|word| word.raw.starts_with('-') && word.raw.ends_with('c'));
            flag.and_then(|at| words.get(at + 1..at + 2)).unwrap_or(&[])
        }
    };
    for word in read {
        for (parameter, piece) in word.parameters() {
            if state.parameter(parameter).is_named() && parameter.operation != Operation::Transform {
                let mut remark = Remark::new(
                    "FH501",
                    format!("a name such as `a$(reboot)` is run by `{program}` here"),
                );
                if program == "ssh" {
                    remark = remark.level(Level::Warning);
                }
                walker.findings.at(piece.span, remark);
                return;
            }
        }
    }
}

fn virsh(walker: &mut Walker<'_, '_, '_>, command: &Command, words: &[Word], state: &State) {
    let mut rest = words.get(1..).unwrap_or(&[]);
    while let Some(word) = rest.first().filter(|word| word.raw.starts_with('-')) {
        let takes_value = ["-c", "--connect", "-k", "-K", "-l"].contains(&word.raw.as_str());
        rest = &rest[if takes_value { 2.min(rest.len()) } else { 1 }..];
    }
    let Some(sub) = rest.first().and_then(Word::literal) else {
        return;
    };
    if state.beside || !walker.setting.is_hook {
        return;
    }
    let own = rest[1..].iter().any(|word| {
        let value = state.value(word);
        let is_own = |value: &Value| {
            value.is_argument(1)
                || state
                    .path
                    .name
                    .as_ref()
                    .is_some_and(|n| n.known().is_some() && n == value)
        };
        is_own(&value)
    });
    let net = sub.starts_with("net-");
    let mine = own && (net == (walker.setting.driver == Some(Driver::Network)));
    if mine && VIRSH_CHANGES.contains(&sub.as_str()) {
        let message = format!("`virsh {sub}` waits for the operation that waits for this hook");
        walker.findings.at(command.span, Remark::new("FH401", message));
    } else if mine && VIRSH_READS.contains(&sub.as_str()) {
        let message =
            format!("under libvirt `virsh {sub}` hangs here: the guest is locked while its hook runs");
        walker.findings.at(command.span, Remark::new("FH402", message));
    } else if !walker.findings.has("FH403") {
        walker.findings.at(
            command.span,
            Remark::new("FH403", "a hook that calls libvirt can hang under libvirt"),
        );
    }
}

fn iptables(walker: &mut Walker<'_, '_, '_>, program: &str, words: &[Word]) {
    let has = |short: char, long: &str| {
        words.iter().any(|w| {
            w.raw == long
                || (w.raw.starts_with('-')
                    && !w.raw.starts_with("--")
                    && w.raw.contains(short)
                    && w.raw.len() <= 4)
        })
    };
    let changes = words.iter().any(|w| {
        [
            "-A", "-I", "-D", "-R", "-N", "-X", "-F", "-P", "--append", "--insert", "--delete",
        ]
        .contains(&w.raw.as_str())
    });
    if !changes || has('w', "--wait") || words.iter().any(|w| w.raw.starts_with("--wait")) {
        return;
    }
    if !walker.findings.has("FH601") {
        let remark = Remark::new(
            "FH601",
            format!("`{program}` without `-w` fails when somebody else changes rules meanwhile"),
        );
        walker.findings.at(words[0].span, remark);
    }
}

fn status(walker: &mut Walker<'_, '_, '_>, words: &[Word]) {
    let Some(word) = words.get(1) else { return };
    let Some(number) = word.literal().and_then(|text| text.parse::<i64>().ok()) else {
        return;
    };
    if number > 255 {
        let remark = Remark::new(
            "FH305",
            format!("exit status {number} arrives as {}", number % 256),
        );
        let level = if number % 256 == 0 {
            Level::Error
        } else {
            Level::Warning
        };
        walker.findings.at(word.span, remark.level(level));
    }
}

/// A file name that bash splits, and then refuses as ambiguous.
pub(crate) fn redirected(walker: &mut Walker<'_, '_, '_>, word: &Word, state: &State) {
    if walker.setting.is_hook && walker.setting.bash && state.path.name.is_none() {
        unquoted(walker, ">", word, state);
    }
}

/// A file that a command writes.
pub(crate) fn written_file(walker: &mut Walker<'_, '_, '_>, word: &Word, state: &State) {
    let Some(text) = state.value(word).known() else {
        return;
    };
    let shared = ["/tmp/", "/var/tmp/", "/dev/shm/"]
        .iter()
        .any(|dir| text.starts_with(dir));
    // Scream and Looking Glass define their own names there.
    if !shared || text.contains("looking-glass") || text.contains("scream") || text.contains('*') {
        return;
    }
    if !walker.written.insert(text.clone()) {
        return;
    }
    walker.findings.at(
        word.span,
        Remark::new(
            "FH503",
            format!("anybody can put something else at `{text}` beforehand"),
        ),
    );
}

/// What a word says by itself.
pub(crate) fn contents(walker: &mut Walker<'_, '_, '_>, word: &Word, state: &State) {
    for (parameter, piece) in word.parameters() {
        let fifth = parameter.name.parse::<usize>().is_ok_and(|number| number > 4);
        let whole = state.arguments.as_ref().is_some_and(|all| all.len() == 4) && state.depth == 0;
        if fifth && whole && parameter.operation == Operation::Plain && walker.setting.is_hook {
            let message = format!("a hook has four arguments; `${}` is always empty", parameter.name);
            walker.findings.at(piece.span, Remark::new("FH207", message));
        }
    }
    let text: String = word
        .pieces
        .iter()
        .map(|piece| {
            if let PieceKind::Text(text) = &piece.kind {
                text
            } else {
                "\u{1}"
            }
        })
        .collect();
    if let Some(controller) = old_cgroup(&text)
        && !walker.setting.knows_cgroups
        && walker.written.insert(controller.to_owned())
    {
        let message = format!("`/sys/fs/cgroup/{controller}` exists with cgroups v1 only");
        walker.findings.at(word.span, Remark::new("FH602", message));
    }
    let defined = text
        .strip_prefix("/etc/libvirt/qemu/")
        .or_else(|| text.strip_prefix("/etc/libvirt/qemu/networks/"));
    let parameter = word
        .parameters()
        .any(|(parameter, _)| state.parameter(parameter).is_named());
    if defined.is_some_and(|rest| rest.ends_with(".xml") && rest.contains('\u{1}'))
        && parameter
        && walker.setting.is_hook
    {
        walker.findings.at(
            word.span,
            Remark::new("FH603", "the definition file is not what the guest runs with"),
        );
    }
    let runs_tree = text.contains(".d/\u{1}/\u{1}/\u{1}");
    if runs_tree && state.value(word).holds(1) && !walker.findings.has("FH606") {
        walker.findings.at(
            word.span,
            Remark::new(
                "FH606",
                "this hook only looks for scripts in a tree of directories",
            ),
        );
    }
}

fn old_cgroup(text: &str) -> Option<&str> {
    const CONTROLLERS: &[&str] = &[
        "cpuset",
        "cpu",
        "cpuacct",
        "cpu,cpuacct",
        "memory",
        "devices",
        "blkio",
        "freezer",
        "net_cls",
        "pids",
        "hugetlb",
        "perf_event",
        "systemd",
    ];
    let rest = text.strip_prefix("/sys/fs/cgroup/")?;
    let first = rest.split('/').next()?;
    CONTROLLERS.contains(&first).then_some(first)
}

/// The script's status is that of a test that only chose what to do.
pub(crate) fn last_test(walker: &mut Walker<'_, '_, '_>, item: &Item, refused: &Path) {
    let stopped = refused.calls.aborting();
    if !refused.alive || stopped.is_empty() || !walker.setting.is_hook {
        return;
    }
    let what = if refused.mismatch == Some(super::state::About::Name) {
        "other names"
    } else {
        "other operations"
    };
    let remark = Remark::new(
        "FH303",
        format!("for {what} the hook fails here: the test's status is the script's"),
    );
    walker.findings.at(item.span, remark);
}

/// `[ … ` without its end, and `["$2"`, which is a program's name.
fn brackets(walker: &mut Walker<'_, '_, '_>, name: &str, words: &[Word]) {
    let (Some(first), Some(last)) = (words.first(), words.last()) else {
        return;
    };
    if name == "[" && last.raw != "]" {
        walker.findings.at(
            first.span,
            Remark::new("FH108", "`[` lacks its `]`, with a blank before it"),
        );
    } else if name != "[" && first.raw.starts_with("[\"") || first.raw.starts_with("[$") {
        walker
            .findings
            .at(first.span, Remark::new("FH108", "a blank is missing after `[`"));
    }
}
