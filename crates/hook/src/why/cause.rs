//! What failed first in an operation, or ended the object.

use std::time::Duration;

use super::choice::{self, Choice};
use super::kinds::{self, Way};
use super::words::{self, clean, tail};
use super::{Cause, Facts, device, hypervisor, script};
use crate::error::PREFIX;
use crate::history::{How, Operation, RunRow, StepRow};

/// What stands before the path in the error about a disk.
const DISK: &str = "Cannot access storage file '";
/// The error of a file that is not there.
const MISSING: &str = "No such file or directory";
/// What libvirt puts before errors that have no better class.
const INTERNAL: &str = "internal error: ";
/// Steps of the way down: a failure that is recorded with one of them while the way led up came before.
const DOWN_STEPS: &[&str] = &["kill", "stopped", "unplug", "labels", "release"];

/// What kind of failure it is: what to do depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Class {
    /// A hook.
    Hook,
    /// A disk's file.
    Disk(String),
    /// A device of the host, and what to do about it.
    Device(device::Trouble, Vec<String>),
    /// QEMU refused.
    Hypervisor,
    /// The kernel had no memory left.
    OutOfMemory,
    /// A process was ended by a signal or an error of its own.
    Crash,
    /// Somebody destroyed it.
    Destroyed,
    /// The daemon died.
    DaemonDied,
    /// It ended in an orderly way.
    Orderly,
    /// Anything else: the error's text is all there is.
    Error,
}

/// What was found.
pub(super) struct Found<'a> {
    pub(super) class: Class,
    pub(super) cause: Cause,
    /// The end of the headline.
    pub(super) brief: String,
    /// The run of a hook that it was.
    pub(super) row: Option<&'a RunRow>,
    /// The step that it was.
    pub(super) step: Option<&'a StepRow>,
    /// What belongs into the remarks.
    pub(super) remarks: Vec<String>,
}

/// Finds what failed first in an operation that failed, is lost or is still under way.
pub(super) fn of_failure<'a>(
    facts: &Facts,
    choice: &Choice<'a>,
    operation: &'a Operation,
) -> Option<Found<'a>> {
    if operation.row.lost {
        return Some(daemon_died(facts, operation));
    }
    let mut refused = operation.runs.iter().filter(|row| {
        script::is_real(row)
            && row.failed
            && !row.ignored
            && kinds::refuses(row)
            && row.how != Some(How::Lost)
    });
    if let Some(row) = refused.next() {
        return Some(of_hook(facts, choice, operation, row));
    }
    let failure = operation.row.failure.as_deref()?;
    if let Some(row) = blamed_filter(operation, failure) {
        return Some(of_output(row, failure));
    }
    Some(of_text(facts, operation, failure))
}

fn of_hook<'a>(facts: &Facts, choice: &Choice<'a>, operation: &Operation, row: &'a RunRow) -> Found<'a> {
    let printed = script::printed(facts, row);
    let mut remarks: Vec<String> = script::hint(row).into_iter().collect();
    if printed.on_stdout {
        remarks.push("its words are from its standard output; errors belong on standard error".to_owned());
    }
    remarks.extend(several(operation, row));
    // A script that detaches devices says why that failed as virsh does.
    remarks.extend(device::of_text(facts, &printed.text).map(|told| told.brief));
    let by_destroy = matches!(&row.how, Some(How::Cancelled { by }) if by == "destroy");
    let hook = script::short(facts, row);
    let (class, brief) = if by_destroy {
        let who = choice.sequel.iter().find_map(|end| words::by(&end.row.asked_by));
        let by = who.unwrap_or_default();
        (Class::Destroyed, format!("it was destroyed{by} while {hook} ran"))
    } else {
        (Class::Hook, format!("{hook} {}", script::ended_briefly(row)))
    };
    Found {
        class,
        cause: hook_cause(row, script::ended(row), printed.text),
        brief,
        row: Some(row),
        step: None,
        remarks,
    }
}

/// More than one script of the call failed (R14): the first is the cause, the last is what the client was told.
fn several(operation: &Operation, first: &RunRow) -> Option<String> {
    let call = || operation.runs.iter().filter(|row| row.call == first.call);
    let failed: Vec<&RunRow> = call().filter(|row| row.failed && !row.ignored).collect();
    let last = failed.last().filter(|last| last.id != first.id)?;
    Some(format!(
        "{} of the {} hooks of this call failed: {} first, {} last; the client was told of the last",
        failed.len(),
        call().count(),
        clean(&first.script.to_string_lossy()),
        clean(&last.script.to_string_lossy())
    ))
}

fn hook_cause(row: &RunRow, ended: String, printed: String) -> Cause {
    Cause {
        what: format!("{} {ended}", script::named(row)),
        words: printed,
        when: Some(row.began),
        took: row.took,
        run: Some(row.id),
    }
}

/// A script did well, but what it wrote was refused: by the engine (then the error names it), or as a document later.
fn blamed_filter<'a>(operation: &'a Operation, failure: &str) -> Option<&'a RunRow> {
    let filters = || {
        operation
            .runs
            .iter()
            .filter(|row| kinds::is_filter(&row.operation))
    };
    let named = filters().find(|row| failure.contains(&format!("output of {}", row.script.display())));
    let is_about_xml = failure.contains("XML") || failure.contains("xml");
    named.or_else(|| filters().next_back().filter(|_| is_about_xml))
}

fn of_output<'a>(row: &'a RunRow, failure: &str) -> Found<'a> {
    let text = clean(failure.strip_prefix(PREFIX).unwrap_or(failure));
    let text = text.strip_prefix(INTERNAL).unwrap_or(&text);
    let wrong = script::complaint(text).unwrap_or_else(|| text.to_owned());
    let ended = format!("wrote what is no document: {wrong}");
    let hook = clean(&row.script.to_string_lossy());
    Found {
        class: Class::Hook,
        cause: hook_cause(row, ended.clone(), text.to_owned()),
        brief: format!("its hook {hook} ({}) {ended}", row.operation),
        row: Some(row),
        step: None,
        remarks: Vec::new(),
    }
}

fn daemon_died<'a>(facts: &Facts, operation: &'a Operation) -> Found<'a> {
    let ran = |row: &&RunRow| matches!(row.how, None | Some(How::Lost));
    let row = operation
        .runs
        .iter()
        .rev()
        .filter(|row| script::is_real(row))
        .find(ran);
    let last = operation.steps.last();
    let (during, place) = match (row, last) {
        (Some(row), _) => (
            format!(" while {} ran", script::short(facts, row)),
            format!(" while {} ran", script::named(row)),
        ),
        (None, Some(step)) => (String::new(), format!(" after step '{}'", clean(&step.name))),
        (None, None) => (String::new(), String::new()),
    };
    let words = row.map(|row| script::printed(facts, row).text);
    // After the last of what is known.
    let when = match (row, last) {
        (Some(row), _) => row.began,
        (None, Some(step)) => step.began.checked_add(step.took).unwrap_or(step.began),
        (None, None) => operation.row.began,
    };
    Found {
        class: Class::DaemonDied,
        cause: Cause {
            what: format!("the daemon died{place}"),
            words: words.unwrap_or_default(),
            when: Some(when),
            took: None,
            run: row.map(|row| row.id),
        },
        brief: format!("the daemon died{during}"),
        row,
        step: None,
        remarks: Vec::new(),
    }
}

/// What the text of the error says, where no hook is to blame.
fn of_text<'a>(facts: &Facts, operation: &'a Operation, failure: &str) -> Found<'a> {
    let step = failing_step(operation);
    let text = step.and_then(|step| step.failure.as_deref()).unwrap_or(failure);
    let (class, what, own_words, brief) = classify(operation, text);
    let log = operation.hypervisor_log.as_deref().map(hypervisor::of_log);
    let of_device = device::of_text(facts, text)
        .or_else(|| device::of_text(facts, log.as_deref().filter(|_| class == Class::Hypervisor)?));
    let (class, brief, remarks) = match of_device {
        Some(told) => (Class::Device(told.trouble, told.next), told.brief, told.remarks),
        None => (class, brief, Vec::new()),
    };
    let at = match step {
        Some(step) => format!("step '{}' failed", clean(&step.name)),
        None => format!("the operation '{}' failed", clean(&operation.row.kind)),
    };
    let colon = if what.is_empty() { "" } else { ": " };
    let (when, took) = match step {
        Some(step) => (step.began, Some(step.took)),
        None => (operation.row.began, whole(operation)),
    };
    Found {
        class,
        cause: Cause {
            what: format!("{at}{colon}{what}"),
            words: own_words,
            when: Some(when),
            took,
            run: None,
        },
        brief,
        row: None,
        step,
        remarks,
    }
}

/// Class, what it was, its own words, and the end of the headline.
fn classify(operation: &Operation, text: &str) -> (Class, String, String, String) {
    let error = clean(text.strip_prefix(INTERNAL).unwrap_or(text));
    let qemu = hypervisor::of_failure(text);
    let log = operation.hypervisor_log.as_deref().map(hypervisor::of_log);
    if hypervisor::is_oom(text, false) || log.as_deref().is_some_and(|log| hypervisor::is_oom(log, false)) {
        let words = qemu.unwrap_or_else(|| tail(text));
        return (Class::OutOfMemory, OOM.to_owned(), words, OOM.to_owned());
    }
    if let Some(words) = qemu {
        let words = if words.is_empty() {
            log.unwrap_or_default()
        } else {
            words
        };
        let essence = hypervisor::essence(&words);
        let brief = if essence.is_empty() {
            "QEMU ended at once, without a word".to_owned()
        } else {
            format!("QEMU ended at once: {essence}")
        };
        return (Class::Hypervisor, "QEMU ended at once".to_owned(), words, brief);
    }
    if let Some((path, why)) = text.split_once(DISK).and_then(|(_, rest)| rest.split_once('\'')) {
        let (path, why) = (clean(path), clean(why.trim_start_matches(": ")));
        let brief = if why.contains(MISSING) {
            format!("its disk {path} is missing")
        } else {
            format!("its disk {path} cannot be used: {why}")
        };
        return (
            Class::Disk(path),
            "a disk cannot be used".to_owned(),
            tail(text),
            brief,
        );
    }
    if choice::is_destroyed(operation) {
        let brief = "it was destroyed meanwhile".to_owned();
        return (Class::Destroyed, brief.clone(), tail(text), brief);
    }
    (Class::Error, String::new(), tail(text), error)
}

/// What is said of a machine that has no memory left.
pub(super) const OOM: &str = "the kernel ran out of memory and killed QEMU";

/// The step that failed.
fn failing_step(operation: &Operation) -> Option<&StepRow> {
    let steps = &operation.steps;
    let is_down = |step: &&StepRow| DOWN_STEPS.contains(&step.name.as_str());
    let failed = |step: &&StepRow| step.failure.is_some();
    if kinds::way(operation) != Way::Up {
        return steps.iter().find(failed);
    }
    let on_the_way_up = || steps.iter().take_while(|step| !is_down(step));
    on_the_way_up().find(failed).or_else(|| on_the_way_up().last())
}

/// How long all of it took.
pub(super) fn whole(operation: &Operation) -> Option<Duration> {
    operation.row.ended?.duration_since(operation.row.began).ok()
}
