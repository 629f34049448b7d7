//! Waiting that may never end.

use crate::check::finding::Remark;
use crate::check::shell::builtins;
use crate::check::shell::flow::Walker;
use crate::check::shell::state::State;
use crate::check::shell::tree::{Block, Command, Kind, PieceKind, Relation, Test};
use crate::check::shell::{tests_in_brackets, visit};
use crate::check::source::Span;

/// Commands that end a loop, count, or bound a wait themselves.
const BOUNDING: &[&str] = &[
    "break", "exit", "return", "let", "expr", "timeout", "read", "date", "seq", "kill",
];

/// The longest sleep, in seconds, that nobody notices.
const LONG: f64 = 10.0;

/// A loop that waits for something that may never come.
pub(crate) fn endless(
    walker: &mut Walker<'_, '_, '_>,
    command: &Command,
    until: bool,
    condition: &Block,
    body: &Block,
    state: &State,
) {
    if state.beside {
        return;
    }
    let mut commands = visit::commands(condition);
    commands.extend(visit::commands(body));
    let named = |wanted: &str| {
        commands
            .iter()
            .any(|c| c.name().is_some_and(|name| builtins::base(&name) == wanted))
    };
    let probes = visit::commands(condition).iter().any(|c| {
        c.name()
            .is_some_and(|name| ["ping", "nc", "curl", "pgrep", "systemctl"].contains(&builtins::base(&name)))
    });
    let waits = named("sleep") || (probes && body_is_idle(body));
    if !waits || commands.iter().any(|command| bounds(command)) || reads_clock(condition) || reads_clock(body)
    {
        return;
    }
    let word = if until { "until" } else { "while" };
    let span = Span {
        start: command.span.start,
        end: command.span.start + word.len(),
    };
    walker.findings.at(
        span,
        Remark::new(
            "FH404",
            "nothing ends this wait when what it waits for never comes",
        ),
    );
}

fn body_is_idle(body: &Block) -> bool {
    visit::commands(body).iter().all(|c| {
        c.name()
            .is_some_and(|name| [":", "true", "echo"].contains(&name.as_str()))
    })
}

fn bounds(command: &Command) -> bool {
    match &command.kind {
        Kind::Arithmetic(_) => true,
        Kind::Test(test) => counts(test),
        Kind::Simple { words, .. } => {
            let Some(name) = command.name() else { return true };
            let bounded_ping = builtins::base(&name) == "ping" && words.iter().any(|w| w.raw == "-w");
            let inner = words.get(1..words.len().saturating_sub(1)).unwrap_or(&[]);
            let test = if name == "[" {
                tests_in_brackets::classic(inner)
            } else {
                None
            };
            BOUNDING.contains(&builtins::base(&name)) && !bounded_ping
                || test.is_some_and(|test| counts(&test))
        }
        _ => false,
    }
}

fn counts(test: &Test) -> bool {
    match test {
        Test::And(a, b) | Test::Or(a, b) => counts(a) || counts(b),
        Test::Not(inner) => counts(inner),
        Test::One(_) => false,
        Test::Two { relation, .. } => *relation == Relation::Other,
    }
}

/// Whether a loop looks at `$SECONDS` or calculates.
fn reads_clock(block: &Block) -> bool {
    visit::words(block).iter().any(|word| {
        word.pieces.iter().any(|piece| match &piece.kind {
            PieceKind::Arithmetic(_) => true,
            PieceKind::Parameter(parameter) => ["SECONDS", "EPOCHSECONDS"].contains(&parameter.name.as_str()),
            _ => false,
        })
    })
}

/// `sleep 60`
pub(crate) fn long_sleep(walker: &mut Walker<'_, '_, '_>, command: &Command, state: &State) {
    if state.beside || state.path.calls.is_empty() {
        return;
    }
    let seconds: f64 = command
        .words()
        .iter()
        .skip(1)
        .filter_map(|word| word.literal())
        .filter_map(seconds)
        .sum();
    if seconds > LONG {
        walker.findings.at(
            command.span,
            Remark::new("FH405", format!("the guest waits {seconds} s for this")),
        );
    }
}

fn seconds(text: String) -> Option<f64> {
    let units = [('s', 1.0), ('m', 60.0), ('h', 3600.0), ('d', 86400.0)];
    let unit = units.iter().find(|(letter, _)| text.ends_with(*letter));
    let number = text
        .trim_end_matches(|c: char| c.is_ascii_alphabetic())
        .parse::<f64>()
        .ok()?;
    Some(number * unit.map_or(1.0, |(_, factor)| *factor))
}
