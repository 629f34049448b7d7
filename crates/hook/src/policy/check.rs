//! Whether a rule can be followed: what it names exists, is raised, and goes together. And what can be and is odd.

use std::fs;
use std::path::Path;

use ferrovirt_sys::program::may_execute;

use crate::event::{Audience, Driver, Row, operations};
use crate::policy::condition::{When, WhenDraft};
use crate::policy::finding::quoted;
use crate::policy::reader::Notes;
use crate::policy::rule::{Command, Draft};
use crate::policy::suggest::instead;
use crate::policy::treatment::{OnFailure, Payload, keys};

/// Operations that have to do with a port of a network (R73, R74).
const PORTS: [&str; 2] = ["port-created", "port-deleted"];

/// What a condition is about: with no such event in the rule it never holds.
type About = (&'static str, fn(Driver, &Row) -> bool, &'static str);

const ABOUT: [About; 6] = [
    (
        "guest",
        |driver, row| is_guest(driver) || PORTS.contains(&row.operation()),
        "guests and the ports of networks",
    ),
    ("network", |driver, _| driver == Driver::Network, "networks"),
    (
        "uuid",
        |driver, _| driver != Driver::Daemon,
        "guests and networks",
    ),
    (
        "metadata",
        |driver, _| driver != Driver::Daemon,
        "guests and networks",
    ),
    ("device", |driver, _| is_guest(driver), "guests"),
    (
        "on_network",
        |driver, row| is_guest(driver) || PORTS.contains(&row.operation()),
        "guests and the ports of networks",
    ),
];

fn is_guest(driver: Driver) -> bool {
    matches!(driver, Driver::Qemu | Driver::Lxc | Driver::Libxl)
}

/// Finds what the words of `[rule.when]` stand for, and notes everything that is wrong with the rule that begins at `at`.
pub(crate) fn check(draft: &mut Draft, at: usize, notes: &mut Notes<'_>) -> When {
    if draft.places.of("run").is_none() && draft.places.has_none_of(&keys::<Draft>().map(|key| key.name)) {
        notes.error(
            at,
            "this rule does nothing: give it commands (run) or say how scripts are run (timeout, on_failure, ...)",
        );
    }
    for command in &draft.run {
        program(command, draft.places.of("run").unwrap_or(at), notes);
    }
    user(draft, notes);
    let drivers = drivers(&draft.when, notes);
    let (named, all_known) = named(&draft.when, notes);
    let when = When {
        drivers: draft.when.drivers.iter().map(|(_, driver)| *driver).collect(),
        operations: named,
        conditions: std::mem::take(&mut draft.when.conditions),
    };
    // What follows from events that are wrong themselves would be noise.
    if drivers && all_known && when.events().next().is_some() {
        together(draft, &when, notes);
    }
    when
}

/// Whether what the rule says goes with the events that it names.
pub(crate) fn together(draft: &Draft, when: &When, notes: &mut Notes<'_>) {
    conditions(draft, when, notes);
    failures(draft, when, notes);
    waiting(draft, when, notes);
    documents(draft, when, notes);
    audience(draft, when, notes);
}

/// Drivers that this build has no events of; `false` when the rule has no others.
fn drivers(when: &WhenDraft, notes: &mut Notes<'_>) -> bool {
    let missing: Vec<_> = when
        .drivers
        .iter()
        .filter(|(_, driver)| !operations(*driver).any(|row| row.is_raised(*driver)))
        .collect();
    let others = when.drivers.is_empty() || missing.len() < when.drivers.len();
    for (at, driver) in missing {
        let message = format!("this build does not raise any event of driver '{driver}'");
        if others {
            notes.warn(*at, message);
        } else {
            notes.error(*at, message);
        }
    }
    others
}

/// The operations by their words of the table, and whether all are fine.
fn named(when: &WhenDraft, notes: &mut Notes<'_>) -> (Vec<&'static str>, bool) {
    let drivers: Vec<Driver> = match when.drivers.as_slice() {
        [] => Driver::ALL.to_vec(),
        named => named.iter().map(|(_, driver)| *driver).collect(),
    };
    let find = |driver: Driver, word: &str| operations(driver).find(|row| row.operation() == word);
    // When none of them raises anything, that is said already.
    let alive = drivers
        .iter()
        .any(|driver| operations(*driver).any(|row| row.is_raised(*driver)));
    let mut named = Vec::new();
    let before = notes.errors();
    for (at, word) in &when.operations {
        let rows: Vec<(Driver, &Row)> = drivers
            .iter()
            .filter_map(|driver| Some((*driver, find(*driver, word)?)))
            .collect();
        let Some((_, row)) = rows.first() else {
            let elsewhere: Vec<Driver> = Driver::ALL
                .into_iter()
                .filter(|driver| find(*driver, word).is_some())
                .collect();
            notes.error(*at, unknown(word, &drivers, &elsewhere));
            continue;
        };
        named.push(row.operation());
        if alive && !rows.iter().any(|(driver, row)| row.is_raised(*driver)) {
            let drivers: Vec<Driver> = rows.iter().map(|(driver, _)| *driver).collect();
            notes.error(
                *at,
                format!("this build does not raise '{word}' for {}", list(&drivers)),
            );
        }
    }
    (named, notes.errors() == before)
}

/// The message about an operation that no driver of the rule has.
fn unknown(word: &str, drivers: &[Driver], elsewhere: &[Driver]) -> String {
    if elsewhere.is_empty() {
        let mut known: Vec<&str> = drivers
            .iter()
            .flat_map(|driver| operations(*driver).map(Row::operation))
            .collect();
        known.sort_unstable();
        known.dedup();
        return format!("unknown operation {}{}", quoted(word), instead(word, &known));
    }
    format!(
        "driver {} has no operation {}; {} has",
        list(drivers),
        quoted(word),
        list(elsewhere)
    )
}

fn list(drivers: &[Driver]) -> String {
    drivers
        .iter()
        .map(|driver| driver.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Conditions that can never hold.
fn conditions(draft: &Draft, when: &When, notes: &mut Notes<'_>) {
    for (key, fits, about) in ABOUT {
        if let Some(at) = draft.when_places.of(key)
            && !when.events().any(|(driver, row)| fits(driver, row))
        {
            notes.error(
                at,
                format!("'{key}' never holds here: it is about {about}, and no event of this rule is"),
            );
        }
    }
    if let (Some(at), Some(_)) = (draft.when_places.of("script"), draft.places.of("run")) {
        notes.error(
            at,
            "'script' is about scripts, and what this rule says is for its own commands (run): make it two rules",
        );
    }
}

/// `on_failure = "abort"` where nothing can be aborted.
fn failures(draft: &Draft, when: &When, notes: &mut Notes<'_>) {
    let (Some(at), Some(OnFailure::Abort)) = (draft.places.of("on_failure"), draft.settings.on_failure)
    else {
        return;
    };
    let may_abort = |word: Option<&str>| {
        when.events()
            .any(|(_, row)| row.may_abort() && word.is_none_or(|word| word == row.operation()))
    };
    if when.operations.is_empty() && !may_abort(None) {
        notes.error(at, "none of the events of this rule can be aborted");
    }
    for operation in &when.operations {
        if !may_abort(Some(operation)) {
            notes.error(
                at,
                format!(
                    "'{operation}' cannot be aborted: it tells of what is so already; leave it to a rule of its own"
                ),
            );
        }
    }
}

/// What somebody waits for cannot run beside, and limits that never come.
fn waiting(draft: &Draft, when: &When, notes: &mut Notes<'_>) {
    if let (Some(at), Some(true)) = (draft.places.of("async"), draft.settings.run_async)
        && let Some((driver, row)) = when.events().find(|(_, row)| row.may_abort() || row.is_filter())
    {
        let (operation, why) = (
            row.operation(),
            if row.is_filter() {
                "its output is waited for"
            } else {
                "it may be refused"
            },
        );
        notes.error(
            at,
            format!(
                "'{operation}' of {driver} cannot be async: {why}; name operations that cannot be aborted, such as \
                 \"release\""
            ),
        );
    }
    if let (Some(at), Some(warn), Some(limit)) = (
        draft.places.of("warn_after"),
        draft.settings.warn_after,
        draft.settings.timeout,
    ) && warn >= limit
    {
        notes.warn(at, "this warning never comes: the timeout is not later");
    }
}

/// What is sent and what comes back.
fn documents(draft: &Draft, when: &When, notes: &mut Notes<'_>) {
    if let (Some(at), Some(Payload::Json)) = (draft.places.of("payload"), draft.settings.payload) {
        let filter = |word: &&&str| {
            when.events()
                .any(|(_, row)| row.is_filter() && row.operation() == **word)
        };
        for operation in when.operations.iter().filter(filter) {
            notes.error(
                at,
                format!("'{operation}' is a filter, XML in and XML out: there is no JSON for it"),
            );
        }
    }
    if let Some(at) = draft.places.of("release_reason")
        && !when.events().any(|(_, row)| row.operation() == "release")
    {
        notes.warn(at, "this says nothing: 'release' is no event of this rule");
    }
}

/// Scripts are never called for what is there for rules alone.
fn audience(draft: &Draft, when: &When, notes: &mut Notes<'_>) {
    if draft.places.of("run").is_some() {
        return;
    }
    for (at, word) in &draft.when.operations {
        let for_rules = when
            .events()
            .filter(|(_, row)| row.operation() == word)
            .all(|(_, row)| row.audience() == Audience::Rules);
        if for_rules {
            notes.error(
                *at,
                format!(
                    "scripts are never called for '{word}', only commands of rules: this rule needs a 'run'"
                ),
            );
        }
    }
}

/// A program that could not be called now.
fn program(command: &Command, at: usize, notes: &mut Notes<'_>) {
    let shown = quoted(&command.program.to_string_lossy());
    let odd = match fs::metadata(&command.program) {
        Err(error) => {
            let hint = if command.args.is_empty() && shown.contains(' ') {
                "; there is no shell: a command with arguments is a list, [\"/path\", \"argument\"]"
            } else {
                ""
            };
            Some(format!("{error}{hint}"))
        }
        Ok(metadata) if !metadata.is_file() => Some("it is not a regular file".to_owned()),
        Ok(_) if !may_execute(&command.program) => Some("this daemon may not execute it".to_owned()),
        Ok(metadata) => {
            writable_by_others(&metadata).then(|| "others than its owner may write to it (R94)".to_owned())
        }
    };
    if let Some(odd) = odd {
        notes.warn(at, format!("{shown}: {odd}"));
    }
}

/// Whether group or others may write (R94).
pub(crate) fn writable_by_others(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.mode() & 0o022 != 0
}

/// A user that the machine's own list does not have; a directory service may know him all the same.
fn user(draft: &Draft, notes: &mut Notes<'_>) {
    const USERS: &str = "/etc/passwd";
    let (Some(at), Some(user)) = (draft.places.of("user"), &draft.settings.user) else {
        return;
    };
    if user.bytes().all(|b| b.is_ascii_digit()) {
        return;
    }
    let known = fs::read_to_string(Path::new(USERS))
        .is_ok_and(|users| users.lines().any(|line| line.split(':').next() == Some(user)));
    if !known {
        notes.warn(at, format!("user {} is not in {USERS}", quoted(user)));
    }
}
