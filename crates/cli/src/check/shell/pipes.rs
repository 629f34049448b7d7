//! What gets lost between processes: the status of a command before a pipe, and the pipes that a child holds.

use crate::check::finding::Remark;
use crate::check::shell::builtins;
use crate::check::shell::flow::Walker;
use crate::check::shell::state::{State, Stream};
use crate::check::shell::tree::{Command, Item, Kind, Link, PieceKind, Pipeline, Target};
use crate::check::shell::visit;

/// Programs that take what another writes and always succeed.
const SINKS: &[&str] = &["tee", "logger", "systemd-cat", "ts", "cat"];

/// Commands whose failure means nothing to a guest.
const HARMLESS: &[&str] = &[
    "echo",
    "printf",
    "date",
    "env",
    "set",
    "cat",
    "ls",
    "lsmod",
    "lspci",
    "grep",
    "dmesg",
    "journalctl",
    "uname",
    "id",
    "ps",
    "free",
    "print",
    "printenv",
    "export",
    "declare",
    ":",
    "true",
    "awk",
    "sed",
    "[",
    "test",
    "exit",
    "local",
    "log",
    "hostname",
    "ip",
    "lsusb",
    "tail",
    "head",
    "logger",
    "sort",
    "xmllint",
    "sleep",
];

/// Commands that are over at once even in the background.
const SHORT: &[&str] = &[
    "sync",
    "systemctl",
    "systemd-run",
    "kill",
    "killall",
    "pkill",
    "at",
    "batch",
    "true",
    ":",
];

/// A command whose failure should stop the guest, before a pipe that forgets it.
pub(crate) fn status(
    walker: &mut Walker<'_, '_, '_>,
    pipeline: &Pipeline,
    state: &State,
    tail: bool,
    decides: bool,
) {
    noisy_tee(walker, pipeline, state);
    let Some((sink, before)) = pipeline.commands.split_last() else {
        return;
    };
    let is_sink = |command: &Command| {
        command
            .name()
            .is_some_and(|name| SINKS.contains(&builtins::base(&name)))
    };
    let matters = tail || decides || state.errexit;
    let remembered = state.pipefail || walker.setting.reads_pipestatus;
    if !matters || remembered || !is_sink(sink) || state.beside || !walker.setting.is_hook {
        return;
    }
    let Some(first) = before.iter().rev().find(|command| !is_sink(command)) else {
        return;
    };
    if state.path.calls.aborting().is_empty() || is_harmless(first) {
        return;
    }
    let sink_name = sink.name().unwrap_or_default();
    let what = first.name().map_or_else(
        || "the commands".to_owned(),
        |name| format!("`{}`", builtins::base(&name)),
    );
    walker.findings.at(
        sink.span,
        Remark::new(
            "FH304",
            format!("the pipe into `{sink_name}` hides whether {what} failed"),
        ),
    );
}

fn is_harmless(command: &Command) -> bool {
    let quiet = |command: &Command| match &command.kind {
        Kind::Simple { words, .. } => {
            words.is_empty()
                || command
                    .name()
                    .is_some_and(|name| HARMLESS.contains(&builtins::base(&name)))
        }
        _ => true,
    };
    match &command.kind {
        Kind::Simple { .. } => quiet(command),
        Kind::Group(block) | Kind::Subshell(block) => visit::commands(block).into_iter().all(quiet),
        _ => true,
    }
}

/// `echo text | tee file` writes on stdout as well.
fn noisy_tee(walker: &mut Walker<'_, '_, '_>, pipeline: &Pipeline, state: &State) {
    let [first, .., last] = pipeline.commands.as_slice() else {
        return;
    };
    if last.name().is_none_or(|name| builtins::base(&name) != "tee") {
        return;
    }
    let mut end = state.clone();
    end.redirect(&last.redirects);
    if end.out == Stream::Out {
        super::output::noise(walker, first, state);
    }
}

/// A child that outlives the script and holds its stdout or stderr.
pub(crate) fn background(walker: &mut Walker<'_, '_, '_>, item: &Item, state: &State) {
    if state.beside || walker.setting.waits || !walker.setting.is_hook {
        return;
    }
    let Some((_, pipeline)) = item.chain.last() else {
        return;
    };
    let (Some(first), Some(last)) = (pipeline.commands.first(), pipeline.commands.last()) else {
        return;
    };
    let name = first.name().unwrap_or_default();
    let real = builtins::unwrapped(first.words())
        .first()
        .and_then(|word| word.literal())
        .unwrap_or(name);
    if SHORT.contains(&builtins::base(&real)) {
        return;
    }
    let holds = |command: &Command, is_last: bool| {
        let mut inner = state.clone();
        inner.redirect(&command.redirects);
        redirected_inside(walker, command, &mut inner);
        let out = is_last && inner.out != Stream::Elsewhere;
        (out, inner.err != Stream::Elsewhere)
    };
    let (mut out, mut err) = (false, false);
    for command in &pipeline.commands {
        let (o, e) = holds(command, std::ptr::eq(command, last));
        out |= o;
        err |= e;
    }
    let held = match (out, err) {
        (true, true) => "stdout and stderr",
        (true, false) => "stdout",
        (false, true) => "stderr",
        (false, false) => return,
    };
    walker.findings.at(
        pipeline.span,
        Remark::new("FH308", format!("the background process keeps the hook's {held}")),
    );
}

/// A subshell or function that moves its descriptors with its first command.
fn redirected_inside(walker: &Walker<'_, '_, '_>, command: &Command, state: &mut State) {
    let mut command = command;
    if let Some(function) = command
        .name()
        .and_then(|name| walker.functions.get(name.as_str()))
        && let Kind::Function { body, .. } = &function.kind
    {
        state.redirect(&body.redirects);
        command = body;
    }
    let (Kind::Group(block) | Kind::Subshell(block)) = &command.kind else {
        return;
    };
    for item in &block.items {
        let [(Link::First, pipeline)] = item.chain.as_slice() else {
            return;
        };
        let [inner] = pipeline.commands.as_slice() else {
            return;
        };
        if builtins::is_bare_exec(inner) {
            state.redirect(&inner.redirects);
        }
    }
}

/// `$?` right after a command that nobody asks for its status.
pub(crate) fn other_status(walker: &mut Walker<'_, '_, '_>, before: &Item, item: &Item) {
    let [(_, pipeline)] = before.chain.as_slice() else {
        return;
    };
    let [command] = pipeline.commands.as_slice() else {
        return;
    };
    let name = command.name().unwrap_or_default();
    let substitutes = |command: &Command| {
        let words = command.words().iter().flat_map(|word| &word.pieces);
        words
            .into_iter()
            .any(|piece| matches!(piece.kind, PieceKind::Command(_)))
    };
    let hides = ["echo", "printf", "logger"].contains(&name.as_str())
        || (builtins::DECLARING.contains(&name.as_str()) && substitutes(command));
    let writes = command
        .redirects
        .iter()
        .any(|redirect| matches!(&redirect.target, Target::Write(_)));
    if !hides || before.background || writes {
        return;
    }
    let first = item
        .chain
        .first()
        .and_then(|(_, pipeline)| pipeline.commands.first());
    let asked = match first.map(|command| &command.kind) {
        Some(Kind::If(branches)) => branches
            .first()
            .and_then(|(condition, _)| condition.as_ref())
            .map(visit::words),
        Some(Kind::Simple { words, .. })
            if first.is_some_and(|c| c.name().is_some_and(|n| n == "[" || n == "test")) =>
        {
            Some(words.iter().collect())
        }
        _ => None,
    };
    for word in asked.into_iter().flatten() {
        if let Some((_, piece)) = word.parameters().find(|(parameter, _)| parameter.name == "?") {
            walker.findings.at(
                piece.span,
                Remark::new("FH309", format!("this is the status of `{name}`")),
            );
        }
    }
}
