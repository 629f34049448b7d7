//! What Python scripts call: output, other programs, libvirt itself.

use tree_sitter::Node;

use crate::check::finding::{Findings, Level, Remark};
use crate::check::python::roles::Role;
use crate::check::python::{HIGHEST, Script, comparisons, guards};

/// Functions that run a program, and whether they wait for it.
const RUNNERS: &[(&str, bool)] = &[
    ("subprocess.run", true),
    ("subprocess.call", true),
    ("subprocess.check_call", true),
    ("subprocess.check_output", true),
    ("subprocess.getoutput", true),
    ("subprocess.Popen", false),
    ("os.system", true),
    ("os.popen", true),
    ("check_call", true),
    ("check_output", true),
    ("Popen", false),
];

/// Subcommands of virsh that change the guest.
const CHANGES: &[&str] = &[
    "start",
    "destroy",
    "shutdown",
    "reboot",
    "reset",
    "suspend",
    "resume",
    "save",
    "managedsave",
    "undefine",
    "attach-device",
    "detach-device",
    "setvcpus",
    "setmem",
    "vcpupin",
    "emulatorpin",
    "qemu-monitor-command",
];

/// The longest sleep, in seconds, that nobody notices.
const LONG: f64 = 10.0;

/// Looks at all calls.
pub(crate) fn check(script: &Script<'_>, findings: &mut Findings<'_>) {
    let moved = script.text.contains("sys.stdout =") || script.text.contains("redirect_stdout");
    for node in script.nodes.iter().filter(|node| node.kind() == "call") {
        let (Some(function), Some(arguments)) = (
            node.child_by_field_name("function"),
            node.child_by_field_name("arguments"),
        ) else {
            continue;
        };
        let name = script.of(function);
        match name {
            "print" | "sys.stdout.write" if !moved => noise(script, *node, arguments, findings),
            "open" => temporary(script, arguments, findings),
            "time.sleep" => long_sleep(script, *node, arguments, findings),
            "libvirt.open" | "libvirt.openReadOnly" if script.setting.is_hook && !findings.has("FH403") => {
                findings.at(
                    script.span(*node),
                    Remark::new("FH403", "a hook that calls libvirt can hang under libvirt"),
                );
            }
            _ => {}
        }
        if let Some((_, waits)) = RUNNERS.iter().find(|(runner, _)| *runner == name) {
            program(script, *node, arguments, *waits, findings);
        }
    }
}

fn noise(script: &Script<'_>, node: Node<'_>, arguments: Node<'_>, findings: &mut Findings<'_>) {
    let sure = script.setting.is_hook && (script.setting.placed || script.setting.compares_operation);
    if !sure || keyword(script, arguments, "file").is_some() || !is_prose(script, arguments) {
        return;
    }
    let block = up(node, |kind| kind == "block" || kind == "module");
    if block
        .is_some_and(|block| block.kind() == "block" && comparisons::failing_exit(script, block).is_some())
    {
        return;
    }
    let calls = guards::leading_to(script, node, 0);
    let filters = calls.filters();
    if filters.is_empty() {
        return;
    }
    let level = if calls.without(filters).is_empty() {
        Level::Error
    } else {
        Level::Warning
    };
    let remark = Remark::new(
        "FH306",
        format!(
            "for {} this text takes the place of the document",
            filters.names()
        ),
    );
    findings.at(
        script.span(node),
        remark.fix("print to sys.stderr, or use `logging`").level(level),
    );
}

/// Whether letters that are written out are printed, and no XML.
fn is_prose(script: &Script<'_>, arguments: Node<'_>) -> bool {
    let mut cursor = arguments.walk();
    let mut prose = false;
    for child in arguments.named_children(&mut cursor) {
        let text = script.of(child);
        let string = ["string", "binary_operator", "concatenated_string"].contains(&child.kind())
            || text.contains(".format(");
        if string {
            if text.contains('<') {
                return false;
            }
            prose |= text
                .trim_start_matches(['f', 'r', 'b', 'u'])
                .chars()
                .any(char::is_alphabetic);
        }
    }
    prose
}

fn program(
    script: &Script<'_>,
    node: Node<'_>,
    arguments: Node<'_>,
    waits: bool,
    findings: &mut Findings<'_>,
) {
    if !script.setting.is_hook {
        return;
    }
    let Some(command) = arguments.named_child(0) else {
        return;
    };
    let function = node
        .child_by_field_name("function")
        .map_or("", |function| script.of(function));
    let shell = function.starts_with("os.")
        || function == "subprocess.getoutput"
        || keyword(script, arguments, "shell").is_some_and(|value| script.of(value) == "True");
    if shell
        && command.kind() != "list"
        && let Some(part) = named_part(script, command)
    {
        findings.at(
            script.span(part),
            Remark::new("FH501", "a name such as `a$(reboot)` is run by a shell here"),
        );
    }
    virsh(script, node, command, findings);
    let discarded = node
        .parent()
        .is_some_and(|parent| parent.kind() == "expression_statement");
    let moved = ["stdout", "stderr"]
        .iter()
        .all(|stream| keyword(script, arguments, stream).is_some());
    if !waits && discarded && !moved {
        let remark = Remark::new(
            "FH308",
            "the process keeps the hook's stdout and stderr while it runs",
        );
        findings.at(
            script.span(node),
            remark.fix("pass `stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL`"),
        );
    }
}

/// The part of an expression that puts the name into a text.
fn named_part<'t>(script: &Script<'t>, command: Node<'t>) -> Option<Node<'t>> {
    let range = command.byte_range();
    script.nodes.iter().copied().find(|node| {
        range.start <= node.start_byte()
            && node.end_byte() <= range.end
            && ["identifier", "subscript"].contains(&node.kind())
            && script.roles.role(script.text, *node) == Some(Role::Argument(1))
            && up(*node, |kind| {
                kind == "call" || kind == "interpolation" || kind == "binary_operator"
            })
            .is_none_or(|around| !script.of(around).contains("quote("))
    })
}

fn virsh(script: &Script<'_>, node: Node<'_>, command: Node<'_>, findings: &mut Findings<'_>) {
    if command.kind() != "list" {
        return;
    }
    let mut cursor = command.walk();
    let parts: Vec<Node<'_>> = command.named_children(&mut cursor).collect();
    let text = |i: usize| {
        parts
            .get(i)
            .and_then(|part| script.literal(*part))
            .unwrap_or_default()
    };
    if text(0).rsplit('/').next() != Some("virsh") {
        return;
    }
    let own = parts
        .iter()
        .skip(2)
        .any(|part| script.roles.role(script.text, *part) == Some(Role::Argument(1)));
    let sub = text(1);
    let remark = if own && CHANGES.contains(&sub.as_str()) {
        Remark::new(
            "FH401",
            format!("`virsh {sub}` waits for the operation that waits for this hook"),
        )
    } else if own {
        Remark::new(
            "FH402",
            format!("under libvirt `virsh {sub}` hangs here: the guest is locked while its hook runs"),
        )
    } else if !findings.has("FH403") {
        Remark::new("FH403", "a hook that calls libvirt can hang under libvirt")
    } else {
        return;
    };
    findings.at(script.span(node), remark);
}

/// `open("/tmp/…", "w")`
fn temporary(script: &Script<'_>, arguments: Node<'_>, findings: &mut Findings<'_>) {
    let path = arguments
        .named_child(0)
        .filter(|node| script.literal(*node).is_some());
    let mode = keyword(script, arguments, "mode").or_else(|| arguments.named_child(1));
    let writes = mode
        .and_then(|node| script.literal(node))
        .is_some_and(|mode| mode.starts_with(['w', 'a']));
    let Some((node, text)) = path.and_then(|node| Some((node, script.literal(node)?))) else {
        return;
    };
    if writes
        && ["/tmp/", "/var/tmp/", "/dev/shm/"]
            .iter()
            .any(|dir| text.starts_with(dir))
    {
        let message = format!("anybody can put something else at `{text}` beforehand");
        findings.at(script.span(node), Remark::new("FH503", message));
    }
}

fn long_sleep(script: &Script<'_>, node: Node<'_>, arguments: Node<'_>, findings: &mut Findings<'_>) {
    let seconds = arguments
        .named_child(0)
        .and_then(|node| script.of(node).parse::<f64>().ok());
    if let Some(seconds) = seconds.filter(|seconds| *seconds > LONG) {
        findings.at(
            script.span(node),
            Remark::new("FH405", format!("the guest waits {seconds} s for this")),
        );
    }
    let Some(around) = up(node, |kind| {
        kind == "while_statement" || kind == "function_definition"
    }) else {
        return;
    };
    if around.kind() != "while_statement" {
        return;
    }
    let text = script.of(around);
    let bounded = [
        "break",
        "return",
        "raise",
        "exit(",
        "+=",
        "-=",
        "time.time",
        "monotonic",
        "<",
        ">",
    ];
    if !bounded.iter().any(|sign| text.contains(sign)) {
        let span = script.span(around);
        let word = crate::check::source::Span {
            start: span.start,
            end: span.start + 5,
        };
        findings.at(
            word,
            Remark::new(
                "FH404",
                "nothing ends this wait when what it waits for never comes",
            ),
        );
    }
}

/// A keyword argument's value.
fn keyword<'t>(script: &Script<'t>, arguments: Node<'t>, wanted: &str) -> Option<Node<'t>> {
    let mut cursor = arguments.walk();
    let found = arguments.named_children(&mut cursor).find(|child| {
        child.kind() == "keyword_argument"
            && child
                .child_by_field_name("name")
                .is_some_and(|name| script.of(name) == wanted)
    })?;
    found.child_by_field_name("value")
}

/// The nearest node above of a kind.
fn up<'t>(node: Node<'t>, wanted: impl Fn(&str) -> bool) -> Option<Node<'t>> {
    let mut up = node.parent();
    for _ in 0..HIGHEST {
        let parent = up?;
        if wanted(parent.kind()) {
            return Some(parent);
        }
        up = parent.parent();
    }
    None
}
