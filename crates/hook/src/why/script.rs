//! What the end of a hook means, in words.

use ferrovirt_sys::errno_text;

use super::words::{clean, duration, object, signal, tail};
use super::{Facts, kinds};
use crate::history::{How, KindRow, RunRow};

/// What stands before the complaint about a filter's output.
const OUTPUT: &str = "output of ";
/// What stands before a script's status in the error of R13.
const UNEXPECTED: &str = ") unexpected ";
/// What the error of R13 ends with when a limit of a rule's sandbox killed the script.
const MEMORY: &str = "(its memory limit was reached)";

/// Statuses that a shell gives for its own reasons.
const STATUSES: &[(i32, &str)] = &[
    (126, "a shell says so of a command that it may not execute"),
    (127, "a shell says so of a command that it does not find"),
];

/// What somebody printed.
pub(super) struct Printed {
    pub(super) text: String,
    /// It was on standard output, not where errors belong.
    pub(super) on_stdout: bool,
}

/// `hook /etc/libvirt/hooks/qemu (qemu g prepare begin -)`.
pub(super) fn named(row: &RunRow) -> String {
    let arguments = [&row.object, &row.operation, &row.sub_operation, &row.extra];
    let arguments: Vec<&str> = arguments.into_iter().map(String::as_str).collect();
    format!(
        "hook {} ({} {})",
        clean(&row.script.to_string_lossy()),
        row.driver,
        clean(&arguments.join(" "))
    )
}

/// `its hook /etc/libvirt/hooks/qemu (prepare)`, `hook … (port-created) of network default`.
pub(super) fn short(facts: &Facts, row: &RunRow) -> String {
    let hook = format!(
        "hook {} ({})",
        clean(&row.script.to_string_lossy()),
        clean(&row.operation)
    );
    if (row.driver, &row.object) == (facts.driver, &facts.name) {
        format!("its {hook}")
    } else {
        format!("the {hook} of {}", object(row.driver, &row.object))
    }
}

/// How it ended: `failed with exit status 3`.
pub(super) fn ended(row: &RunRow) -> String {
    match &row.how {
        None => "still runs".to_owned(),
        Some(How::Exit(0)) => exit_0(row),
        Some(How::Exit(status)) => format!("failed with exit status {status}"),
        Some(How::Signal(number)) => {
            let because = if is_over_memory(row) {
                ", because the memory limit of its rule was reached"
            } else {
                ""
            };
            format!("was killed by {}{because}", signal(*number))
        }
        Some(How::NotStarted { errno, reason }) => {
            let more = reason.as_deref().map(|text| format!(": {}", clean(text)));
            format!(
                "cannot be executed ({}){}",
                errno_text(*errno),
                more.unwrap_or_default()
            )
        }
        Some(How::TimedOut { after }) => {
            format!("took longer than its limit of {} and was ended", duration(*after))
        }
        Some(How::Cancelled { by }) => format!("was ended by {}", clean(by)),
        Some(How::Refused { why }) => format!("was not run: {}", clean(why)),
        Some(How::Lost) => "was running when the daemon died".to_owned(),
    }
}

/// Whether a limit of its sandbox killed it.
pub(super) fn is_over_memory(row: &RunRow) -> bool {
    row.failure.as_deref().is_some_and(|text| text.contains(MEMORY))
}

/// How it ended, for a headline: without the details of why a file cannot be executed.
pub(super) fn ended_briefly(row: &RunRow) -> String {
    let text = ended(row);
    match (&row.how, text.split_once("): ")) {
        (Some(How::NotStarted { .. }), Some((error, reason))) => {
            let end = reason.find([';', '(']).unwrap_or(reason.len());
            format!("{error}): {}", reason[..end].trim_end())
        }
        _ => text,
    }
}

fn exit_0(row: &RunRow) -> String {
    match row.failure.as_deref().and_then(complaint) {
        Some(wrong) => format!("wrote what is no document: {wrong}"),
        None if row.failed => "was followed by an error, although it succeeded".to_owned(),
        None => "succeeded".to_owned(),
    }
}

/// What is wrong with a filter's output, from `internal error: output of PATH: WRONG`.
pub(super) fn complaint(failure: &str) -> Option<String> {
    let (_, rest) = failure.split_once(OUTPUT)?;
    let (_, wrong) = rest.split_once(": ")?;
    Some(clean(wrong))
}

/// Its own words: what it printed, from the run in full or from the text of the error.
pub(super) fn printed(facts: &Facts, row: &RunRow) -> Printed {
    let full = facts.runs.iter().find(|run| run.row.id == row.id);
    let stderr = full.map(|run| String::from_utf8_lossy(&run.stderr.bytes));
    let text = match stderr {
        Some(text) if !text.trim().is_empty() => tail(&text),
        _ => row.failure.as_deref().map(from_failure).unwrap_or_default(),
    };
    let stdout = full.map(|run| String::from_utf8_lossy(&run.stdout.bytes));
    match stdout {
        // The output of a filter is a document, not words.
        Some(stdout) if text.is_empty() && !kinds::is_filter(&row.operation) && !stdout.trim().is_empty() => {
            Printed {
                text: tail(&stdout),
                on_stdout: true,
            }
        }
        _ => Printed {
            text,
            on_stdout: false,
        },
    }
}

/// What stands in an error beyond what we say ourselves.
fn from_failure(failure: &str) -> String {
    match failure.split_once(UNEXPECTED) {
        Some((_, rest)) => {
            let text = rest.split_once(": ").map_or("", |(_, text)| text);
            tail(text.strip_suffix(MEMORY).unwrap_or(text))
        }
        // Errors of ours say no more than `ended`, but of output.
        None => complaint(failure).unwrap_or_default(),
    }
}

/// What is worth knowing about the way in which it failed.
pub(super) fn hint(row: &RunRow) -> Option<String> {
    let Some(How::Exit(status)) = row.how else {
        return None;
    };
    let (_, words) = STATUSES.iter().find(|(known, _)| *known == status)?;
    Some(format!("exit status {status}: {words}"))
}

/// One line about a hook that ran: its result, its time, and its words if it failed.
pub(super) fn line(facts: &Facts, row: &RunRow) -> String {
    let took = row.took.map(|took| format!(" after {}", duration(took)));
    let mut text = format!("{} {}{}", named(row), ended(row), took.unwrap_or_default());
    if row.failed {
        let words = printed(facts, row).text;
        let last = words.lines().last().unwrap_or_default();
        if !last.is_empty() && !text.contains(last) {
            text.push_str(": ");
            text.push_str(last);
        }
    }
    text
}

/// Whether the script belongs to what happened, rather than to somebody who tried something.
pub(super) fn is_real(row: &RunRow) -> bool {
    !matches!(row.kind, KindRow::Replay(_) | KindRow::Simulation)
}
