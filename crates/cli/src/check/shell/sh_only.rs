//! What bash knows and `sh` does not, in scripts that begin with `#!/bin/sh`.

use crate::check::finding::{Findings, Remark};
use crate::check::shell::tree::{Block, Command, Kind, Operation, Parameter, PieceKind, Target, Word};
use crate::check::shell::visit;
use crate::check::source::{Source, Span};

/// Commands that only bash has.
const COMMANDS: &[(&str, &str)] = &[
    ("source", "`.`"),
    ("declare", "a plain assignment"),
    ("typeset", "a plain assignment"),
    ("mapfile", "a `while read` loop"),
    ("readarray", "a `while read` loop"),
    ("shopt", "nothing; it is bash's own"),
    ("let", "`$((…))`"),
    ("pushd", "`cd`"),
    ("popd", "`cd`"),
    ("disown", "nothing; it is bash's own"),
    ("function", "`name() {`"),
];

/// Options that only bash's builtins have.
const OPTIONS: &[(&str, &[&str])] = &[
    ("echo", &["-e", "-en", "-ne"]),
    (
        "read",
        &["-p", "-a", "-t", "-n", "-s", "-d", "-ra", "-rp", "-rd", "-rs"],
    ),
    ("printf", &["-v"]),
    ("export", &["-f", "-n"]),
    ("type", &["-t", "-p", "-P"]),
    ("local", &["-a", "-A", "-r", "-i", "-n"]),
];

/// Variables that only bash sets.
const VARIABLES: &[&str] = &[
    "RANDOM",
    "SECONDS",
    "BASH_SOURCE",
    "FUNCNAME",
    "PIPESTATUS",
    "BASH_VERSION",
    "EUID",
    "UID",
    "HOSTNAME",
    "BASH_REMATCH",
];

/// Looks for everything of that kind.
pub(crate) fn check(script: &Block, source: &Source, findings: &mut Findings<'_>) {
    let mut found: Vec<(Span, String)> = Vec::new();
    let own: Vec<&str> = visit::commands(script)
        .iter()
        .filter_map(|command| {
            if let Kind::Function { name, .. } = &command.kind {
                Some(name.as_str())
            } else {
                None
            }
        })
        .collect();
    for command in visit::commands(script) {
        commands(command, source, &own, &mut found);
    }
    for word in visit::words(script) {
        words(word, source, &mut found);
    }
    for (span, what) in found {
        findings.at(
            span,
            Remark::new("FH107", format!("{what} is bash, but the script is run by `sh`")),
        );
    }
}

fn commands(command: &Command, source: &Source, own: &[&str], found: &mut Vec<(Span, String)>) {
    let span = command.span;
    let start = |length: usize| Span {
        start: span.start,
        end: span.start + length,
    };
    match &command.kind {
        Kind::Test(_) => found.push((start(2), "`[[ ]]`".to_owned())),
        Kind::Arithmetic(_) => found.push((start(2), "`(( ))`".to_owned())),
        Kind::ArithmeticFor { .. } => found.push((start(3), "`for ((…))`".to_owned())),
        Kind::Function { name, .. }
            if source.slice(span).starts_with("function ") || before(source, span, "function ") =>
        {
            found.push((start(name.len()), "`function`".to_owned()));
        }
        Kind::Simple { assignments, words } => {
            for assignment in assignments {
                if assignment.array {
                    found.push((assignment.span, "an array".to_owned()));
                } else if assignment.append {
                    found.push((assignment.span, "`+=`".to_owned()));
                }
            }
            simple(words, own, found);
        }
        _ => {}
    }
    for redirect in &command.redirects {
        match &redirect.target {
            Target::Text(word) => found.push((word.span, "`<<<`".to_owned())),
            Target::Process(_) => found.push((span, "process substitution".to_owned())),
            Target::Write(word) if redirect.descriptor.is_none() => {
                found.push((word.span, "`&>`".to_owned()))
            }
            _ => {}
        }
    }
}

fn before(source: &Source, span: Span, text: &str) -> bool {
    source
        .slice(Span {
            start: 0,
            end: span.start,
        })
        .ends_with(text)
}

fn simple(words: &[Word], own: &[&str], found: &mut Vec<(Span, String)>) {
    let Some((first, rest)) = words.split_first() else {
        return;
    };
    let Some(name) = first.literal() else { return };
    if own.contains(&name.as_str()) {
        return;
    }
    if let Some((_, instead)) = COMMANDS.iter().find(|(command, _)| *command == name) {
        found.push((first.span, format!("`{name}` (instead of {instead})")));
    }
    if let Some((_, options)) = OPTIONS.iter().find(|(command, _)| *command == name)
        && let Some(word) = rest.first().filter(|word| options.contains(&word.raw.as_str()))
    {
        found.push((word.span, format!("`{name} {}`", word.raw)));
    }
    if (name == "[" || name == "test")
        && let Some(word) = rest.iter().find(|word| word.raw == "==" || word.raw == "=~")
    {
        found.push((word.span, format!("`{}` in `[ ]`", word.raw)));
    }
    if name == "set" && rest.iter().any(|word| word.raw == "pipefail") {
        found.push((first.span, "`set -o pipefail`".to_owned()));
    }
    if name == "trap"
        && rest
            .iter()
            .skip(1)
            .any(|word| ["ERR", "DEBUG", "RETURN"].contains(&word.raw.as_str()))
    {
        found.push((first.span, "a trap on `ERR`".to_owned()));
    }
}

fn words(word: &Word, source: &Source, found: &mut Vec<(Span, String)>) {
    for piece in &word.pieces {
        match &piece.kind {
            PieceKind::Ansi(_) => found.push((piece.span, "`$'…'`".to_owned())),
            PieceKind::Process(_) => found.push((piece.span, "process substitution".to_owned())),
            PieceKind::Parameter(parameter) => {
                if let Some(what) = parameters(parameter) {
                    found.push((piece.span, what));
                }
            }
            PieceKind::Text(text) if !piece.quoted && is_range(text) && source.slice(piece.span) == text => {
                found.push((piece.span, "a brace range".to_owned()));
            }
            _ => {}
        }
    }
}

fn parameters(parameter: &Parameter) -> Option<String> {
    let what = match parameter.operation {
        Operation::Substring => "`${name:offset}`",
        Operation::Letters => "`${name^^}`",
        Operation::Replace => "`${name/old/new}`",
        Operation::Indirect => "`${!name}`",
        Operation::Transform => "`${name@Q}`",
        _ if parameter.indexed => "an array",
        _ if VARIABLES.contains(&parameter.name.as_str()) => return Some(format!("`${}`", parameter.name)),
        _ => return None,
    };
    Some(what.to_owned())
}

/// `{1..5}`
fn is_range(text: &str) -> bool {
    let Some((_, rest)) = text.split_once('{') else {
        return false;
    };
    let Some((inner, _)) = rest.split_once('}') else {
        return false;
    };
    let Some((from, to)) = inner.split_once("..") else {
        return false;
    };
    let plain =
        |part: &str| !part.is_empty() && part.len() < 12 && part.chars().all(|c| c.is_ascii_alphanumeric());
    plain(from) && plain(to)
}
