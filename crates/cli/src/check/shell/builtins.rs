//! What the shell's own commands do to variables and arguments, and which names are no programs.

use crate::check::shell::state::State;
use crate::check::shell::tree::{Command, Item, Kind, PieceKind, Word};
use crate::check::shell::values::Value;

/// Words that declare variables and take `NAME=VALUE`.
pub(crate) const DECLARING: &[&str] = &["local", "declare", "typeset", "export", "readonly"];

/// Programs that run another program, which is what counts.
const WRAPPERS: &[&str] = &[
    "sudo", "nohup", "setsid", "command", "exec", "env", "nice", "ionice", "time", "timeout", "chrt",
    "builtin",
];

/// `exec` with redirects only, which move the script's own descriptors.
pub(crate) fn is_bare_exec(command: &Command) -> bool {
    matches!(&command.kind, Kind::Simple { words, .. } if words.len() == 1)
        && command.name().as_deref() == Some("exec")
}

/// `exit 1` by itself.
pub(crate) fn is_failing_exit(item: &Item) -> bool {
    let [(_, pipeline)] = item.chain.as_slice() else {
        return false;
    };
    let [command] = pipeline.commands.as_slice() else {
        return false;
    };
    let status = command.words().get(1).and_then(Word::literal);
    command.name().as_deref() == Some("exit")
        && status.is_some_and(|text| text.parse::<i64>().is_ok_and(|n| n % 256 != 0))
}

/// The words of the program that really runs, without `sudo`, `timeout 5` and the like.
pub(crate) fn unwrapped(words: &[Word]) -> &[Word] {
    let mut rest = words;
    while let Some(name) = rest.first().and_then(Word::literal) {
        if !WRAPPERS.contains(&base(&name)) {
            break;
        }
        let takes_number = ["timeout", "chrt"].contains(&base(&name));
        rest = &rest[1..];
        let skipped = |word: &Word| {
            word.raw.starts_with('-')
                || word.raw.contains('=')
                || (takes_number && word.raw.starts_with(|c: char| c.is_ascii_digit()))
        };
        while rest.first().is_some_and(skipped) {
            let takes_value = ["-u", "-g", "-n", "-k", "-s", "-c"].contains(&rest[0].raw.as_str());
            rest = &rest[if takes_value { 2.min(rest.len()) } else { 1 }..];
        }
    }
    rest
}

/// A program's name without its directory.
pub(crate) fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The values of arguments, with `"$@"` spread out. `None` when their number is unknown.
pub(crate) fn spread(words: &[Word], state: &State) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    for word in words {
        let [piece] = word.pieces.as_slice() else {
            all.push(state.value(word));
            continue;
        };
        match &piece.kind {
            PieceKind::Parameter(parameter) if parameter.name == "@" || parameter.name == "*" => {
                all.extend(state.arguments.clone()?);
            }
            _ => all.push(state.value(word)),
        }
    }
    Some(all)
}

/// `NAME=VALUE` written as an argument.
pub(crate) fn split_assignment(word: &Word) -> Option<(String, Word)> {
    let (name, rest) = word.raw.split_once('=')?;
    let name = name.trim_end_matches('+');
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let mut value = word.clone();
    let first = value.pieces.first_mut()?;
    if let PieceKind::Text(text) = &mut first.kind {
        *text = text.split_once('=')?.1.to_owned();
    }
    value.raw = rest.to_owned();
    Some((name.to_owned(), value))
}

/// What a builtin changes.
pub(crate) fn effect(name: &str, words: &[Word], state: &mut State) {
    match name {
        "shift" => shift(words, state),
        "set" => set(words, state),
        "read" | "mapfile" | "readarray" | "unset" | "getopts" => {
            for word in words.iter().skip(1).filter(|word| !word.raw.starts_with('-')) {
                state.assign(&word.raw, Value::any(false));
            }
        }
        "printf" if words.get(1).is_some_and(|word| word.raw == "-v") => {
            if let Some(variable) = words.get(2) {
                state.assign(&variable.raw, Value::any(false));
            }
        }
        _ if DECLARING.contains(&name) => {
            for (variable, value) in words.iter().skip(1).filter_map(split_assignment) {
                let value = state.value(&value);
                state.assign(&variable, value);
            }
        }
        _ => {}
    }
}

fn shift(words: &[Word], state: &mut State) {
    let count = words
        .get(1)
        .map_or(Some(1), |word| word.raw.parse::<usize>().ok());
    state.arguments = match (state.arguments.take(), count) {
        (Some(all), Some(count)) if !state.uncertain => Some(all.into_iter().skip(count).collect()),
        _ => None,
    };
}

fn set(words: &[Word], state: &mut State) {
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let raw = word.raw.as_str();
        if raw == "--" || !raw.starts_with(['-', '+']) {
            state.arguments = None;
            return;
        }
        let on = raw.starts_with('-');
        if raw.contains('e') && !raw.starts_with("--") {
            state.errexit = on;
        }
        if raw.ends_with('o') {
            match words.next().map(|word| word.raw.as_str()) {
                Some("pipefail") => state.pipefail = on,
                Some("errexit") => state.errexit = on,
                _ => {}
            }
        }
    }
}
