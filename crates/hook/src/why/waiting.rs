//! A hook runs now, and something waits for it.

use super::choice::{self, Choice};
use super::telling::{plain, subject};
use super::words::{as_duration, clean, object, seconds};
use super::{Cause, Facts, RunningNow, Story, Verdict, advice, after, cause, kinds, script};
use crate::event::Driver;
use crate::history::{Operation, RunId, RunRow};

/// What a hook's operation tells of what waits for it, where the history does not.
const WAITING: &[(&str, &str)] = &[
    ("prepare", "being started"),
    ("start", "being started"),
    ("started", "being started"),
    ("restore", "being restored"),
    ("migrate", "being migrated"),
    ("reconnect", "being taken over"),
    ("attach", "being taken over"),
    ("port-created", "being started"),
    ("stopped", "ending"),
    ("port-deleted", "ending"),
    ("release", "ending"),
];

/// Operations of hooks whose failure stops nothing: what waits for them goes on.
const HARMLESS: &[&str] = &["stopped", "release", "port-deleted"];

/// The operation that a hook belongs to.
fn operation_of<'a>(facts: &'a Facts, hook: &RunningNow) -> Option<(&'a Operation, Option<&'a RunRow>)> {
    let newest_first = || facts.operations.iter().rev();
    let by_run = newest_first().find_map(|operation| {
        let row = operation
            .runs
            .iter()
            .find(|row| row.id == RunId(hook.id) && row.how.is_none())?;
        Some((operation, Some(row)))
    });
    by_run.or_else(|| {
        newest_first()
            .find(|operation| choice::is_under_way(operation))
            .map(|found| (found, None))
    })
}

/// A hook runs, and something waits for it; its number.
pub(super) fn waiting(facts: &Facts, choice: &Choice<'_>) -> Option<(Story, u64)> {
    let waits = |hook: &&RunningNow| {
        operation_of(facts, hook).is_none_or(|(operation, _)| choice::is_under_way(operation))
    };
    let hook = facts.running.iter().find(waits)?;
    let known = operation_of(facts, hook);
    let doing = known.map_or_else(|| doing(hook), |(operation, _)| kinds::being(operation));
    let took = seconds(hook.seconds);
    let who = running_hook(facts, hook);
    let headline = match &hook.waits_for {
        Some(lock) => format!(
            "{} is {doing} and waits: {who} has waited for lock '{}' for {took}",
            subject(facts),
            clean(lock)
        ),
        None => format!(
            "{} is {doing} and waits for {who}, which has run for {took}",
            subject(facts)
        ),
    };
    let mut story = plain(Verdict::WaitsForHook, headline);
    let failed =
        known.and_then(|(operation, _)| Some((operation, cause::of_failure(facts, choice, operation)?)));
    let begins = failed.is_none() && doing == "being started";
    if let Some((operation, found)) = failed {
        let did_not = kinds::did_not(operation);
        story.headline = format!(
            "{} {did_not}: {}; its end waits for {who}, which has run for {took}",
            subject(facts),
            found.brief
        );
        story.afterwards = after::afterwards(facts, choice, &found);
        story.remarks = found.remarks;
        story.first = Some(found.cause);
    } else {
        story.first = Some(still_running(hook, known.and_then(|(_, row)| row)));
    }
    let refuses = !HARMLESS.contains(&called_for(hook));
    story.next = advice::while_running(hook, refuses, begins, facts);
    story.remarks.extend(limits(hook));
    Some((story, hook.id))
}

/// The operation of its arguments.
fn called_for(hook: &RunningNow) -> &str {
    hook.arguments.get(1).map_or("-", String::as_str)
}

fn doing(hook: &RunningNow) -> String {
    let known = WAITING.iter().find(|(name, _)| *name == called_for(hook));
    known.map_or("busy", |(_, doing)| doing).to_owned()
}

/// `its hook PATH (prepare)`, `the hook PATH (port-created) of network default`.
pub(super) fn running_hook(facts: &Facts, hook: &RunningNow) -> String {
    let text = format!(
        "hook {} ({})",
        clean(&hook.script.to_string_lossy()),
        clean(called_for(hook))
    );
    let about_port = called_for(hook).starts_with("port-") && facts.driver != Driver::Network;
    match hook.arguments.first() {
        Some(name) if about_port => format!("the {text} of {}", object(Driver::Network, name)),
        Some(name) if *name != facts.name => format!("the {text} of {}", clean(name)),
        _ => format!("its {text}"),
    }
}

fn still_running(hook: &RunningNow, row: Option<&RunRow>) -> Cause {
    let what = match &hook.waits_for {
        Some(lock) => format!("waits for lock '{}'", clean(lock)),
        None => "still runs".to_owned(),
    };
    let named = row.map_or_else(
        || {
            let arguments = clean(&hook.arguments.join(" "));
            format!("hook {} ({arguments})", clean(&hook.script.to_string_lossy()))
        },
        script::named,
    );
    Cause {
        what: format!("{named} {what}"),
        words: String::new(),
        when: row.map(|row| row.began),
        took: Some(as_duration(hook.seconds)),
        run: row.map(|row| row.id),
    }
}

fn limits(hook: &RunningNow) -> Vec<String> {
    let late = hook
        .late
        .then(|| "the hook takes longer than it should: its soft limit has passed".to_owned());
    let left = match (hook.limit_left, &hook.waits_for) {
        (Some(left), _) => Some(format!(
            "the hook is ended in {} if it is not over by then",
            seconds(left)
        )),
        // The limit begins with the script.
        (None, Some(_)) => None,
        (None, None) => Some("the hook has no time limit: it may run for ever".to_owned()),
    };
    late.into_iter().chain(left).collect()
}
