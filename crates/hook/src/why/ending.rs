//! Why an object that was up has ended.

use std::time::{Duration, SystemTime};

use super::cause::{Class, Found, OOM, whole};
use super::choice::Choice;
use super::words::{self, clean, signal, tail};
use super::{Cause, Facts, hypervisor};
use crate::history::Operation;

/// What QEMU says when it is asked to go by a signal.
const TERMINATED: &str = "terminating on signal ";
/// Daemons that end a QEMU whose guest has powered off already.
const DAEMONS: &[&str] = &["ferrovirtd", "libvirtd", "virtqemud"];

/// Reasons of an end (R34) that need no closer look.
const REASONS: &[(&str, &str)] = &[
    ("migrated", "it went to another host"),
    ("saved", "it was saved to an image"),
    ("from snapshot", "it was set back to a snapshot"),
    ("daemon", "the daemon could not take it over"),
    ("failed", "it could not be kept up after a failure"),
];

/// Why it ended, for an operation that is its end.
pub(super) fn of_end<'a>(facts: &Facts, choice: &Choice<'_>, operation: &'a Operation) -> Found<'a> {
    let network = operation.row.kind.starts_with("net-");
    let default = match operation.row.kind.as_str() {
        "destroy" | "net-destroy" => "destroyed",
        _ => "unknown",
    };
    let reason = operation.row.reason.as_deref().unwrap_or(default);
    let log = hypervisor::about(Some(operation), facts.hypervisor_log.as_deref());
    let mut said = of_reason(reason, &log, operation.row.failure.as_deref());
    let asked = |operation: &Operation| words::asked_by(&operation.row.asked_by);
    if reason == "destroyed" {
        let by = words::by(&operation.row.asked_by);
        said.brief = format!(
            "it was destroyed{}",
            by.as_deref().unwrap_or(", by whom is not known")
        );
    }
    let request = choice.before.filter(|before| before.row.kind == "shutdown");
    if let (Class::Orderly, "shutdown", Some(request)) = (&said.class, reason, request) {
        let who = asked(request).unwrap_or_else(|| "a client".to_owned());
        said.brief = format!("it powered off, as {who} had asked it to");
    }
    if network && reason == "unknown" && said.class == Class::Error {
        said.brief = operation
            .row
            .failure
            .as_deref()
            .map_or_else(|| UNTOLD.to_owned(), clean);
    }
    said.found(operation.row.began, whole(operation))
}

/// Why it ended, from the words after `shut off`, when the history has nothing.
pub(super) fn of_state<'a>(facts: &Facts, reason: &str) -> Found<'a> {
    let log = hypervisor::about(None, facts.hypervisor_log.as_deref());
    let mut said = of_reason(reason, &log, None);
    if reason == "destroyed" {
        said.brief = "it was destroyed, by whom is not known".to_owned();
    }
    let mut found = said.found(SystemTime::UNIX_EPOCH, None);
    found.cause.when = None;
    found
}

/// What is said when nothing tells.
const UNTOLD: &str = "why is not known";

/// What is said about an end.
struct Said {
    class: Class,
    brief: String,
    own_words: String,
}

impl Said {
    fn new(class: Class, brief: impl Into<String>, own_words: impl Into<String>) -> Said {
        Said {
            class,
            brief: brief.into(),
            own_words: own_words.into(),
        }
    }

    fn found<'a>(self, when: SystemTime, took: Option<Duration>) -> Found<'a> {
        Found {
            class: self.class,
            cause: Cause {
                what: self.brief.clone(),
                words: self.own_words,
                when: Some(when),
                took,
                run: None,
            },
            brief: self.brief,
            row: None,
            step: None,
            remarks: Vec::new(),
        }
    }
}

fn of_reason(reason: &str, log: &str, failure: Option<&str>) -> Said {
    let failure = failure.unwrap_or_default();
    match reason {
        "destroyed" => Said::new(Class::Destroyed, "it was destroyed", tail(failure)),
        "crashed" => of_crash(log, failure),
        "shutdown" => match foreign_signal(log) {
            Some(brief) => Said::new(Class::Crash, brief, log),
            None => Said::new(Class::Orderly, "it was powered off from inside", ""),
        },
        _ => match REASONS.iter().find(|(known, _)| *known == reason) {
            Some((_, words)) if matches!(reason, "failed" | "daemon") => {
                let own = if failure.is_empty() {
                    log.to_owned()
                } else {
                    tail(failure)
                };
                Said::new(Class::Error, *words, own)
            }
            Some((_, words)) => Said::new(Class::Orderly, *words, ""),
            None => {
                let own = if failure.is_empty() {
                    log.to_owned()
                } else {
                    tail(failure)
                };
                Said::new(Class::Error, UNTOLD, own)
            }
        },
    }
}

fn of_crash(log: &str, failure: &str) -> Said {
    let own = match (failure.is_empty(), log.is_empty()) {
        (true, _) => log.to_owned(),
        (false, true) => tail(failure),
        (false, false) => format!("{}\n{log}", tail(failure)),
    };
    if hypervisor::is_oom(&own, true) {
        return Said::new(Class::OutOfMemory, OOM, own);
    }
    if let Some(brief) = foreign_signal(log) {
        return Said::new(Class::Crash, brief, own);
    }
    let brief = match (
        signal_in(failure).or_else(|| signal_in(log)),
        hypervisor::essence(&own),
    ) {
        (Some(number), _) => format!("QEMU was killed by {}", signal(number)),
        (None, essence) if essence.is_empty() => "it panicked, or QEMU died without a word".to_owned(),
        (None, essence) => format!("QEMU died: {essence}"),
    };
    Said::new(Class::Crash, brief, own)
}

/// Somebody sent QEMU a signal, and no daemon: `terminating on signal 15 from pid 42 (kill)`.
fn foreign_signal(log: &str) -> Option<String> {
    let (_, rest) = log.split_once(TERMINATED)?;
    let rest = rest.lines().next().unwrap_or_default();
    let (number, who) = rest.split_once(" from pid ")?;
    let number = number.parse().ok()?;
    let ours = DAEMONS.iter().any(|daemon| who.contains(daemon));
    // Without a name, it may have been the daemon, which does that to a guest that has powered off.
    (!ours && who.contains('(')).then(|| format!("QEMU was ended by {} of process {who}", signal(number)))
}

/// The number after `signal `.
fn signal_in(text: &str) -> Option<i32> {
    text.split("signal ").skip(1).find_map(|rest| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    })
}
