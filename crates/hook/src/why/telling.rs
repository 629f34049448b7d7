//! The story itself: verdict, headline, and everything in its place.

use super::cause::{self, Class, Found};
use super::choice::{self, Choice, Life};
use super::kinds::{self, Way};
use super::words::{clean, object, seconds, sentence, time};
use super::{Facts, Story, Verdict, advice, after, device, ending, script, waiting};
use crate::event::Driver;
use crate::history::{Operation, RunRow, SkipRow};

/// So many later failures are mentioned.
const ASIDES: usize = 2;

/// Tells it.
pub(super) fn tell(facts: &Facts) -> Story {
    let choice = choice::choose(facts);
    let (mut story, told) = match waiting::waiting(facts, &choice) {
        Some((story, hook)) => (story, Some(hook)),
        None => (settled(facts, &choice), None),
    };
    let mut ignored = after::ignored(facts, &choice);
    story.ignored.append(&mut ignored);
    remarks(facts, &choice, told, &mut story);
    story
}

/// A story without details.
pub(super) fn plain(answer: Verdict, headline: String) -> Story {
    Story {
        headline,
        answer,
        first: None,
        afterwards: Vec::new(),
        ignored: Vec::new(),
        next: Vec::new(),
        remarks: Vec::new(),
        device: None,
    }
}

/// `Guest g`.
pub(super) fn subject(facts: &Facts) -> String {
    sentence(&object(facts.driver, &facts.name))
}

/// No hook is waited for.
fn settled(facts: &Facts, choice: &Choice<'_>) -> Story {
    let life = choice::life(facts);
    let Some(telling) = choice.telling else {
        return untold(facts, life);
    };
    if choice::is_under_way(telling) {
        return under_way(facts, choice, telling);
    }
    let ends = choice::way(telling) == Way::Down;
    let failed = telling.row.failure.is_some() || telling.row.lost;
    // The end of a guest may come with the error that made it; a destroy that failed is a failure.
    let by_itself = telling.row.reason.is_some() || matches!(telling.row.kind.as_str(), "end" | "net-end");
    if ends && !telling.row.lost && (!failed || by_itself && life != Life::Up) {
        return ended(facts, choice, telling);
    }
    match cause::of_failure(facts, choice, telling) {
        Some(found) => failure(facts, choice, telling, found),
        None if life == Life::Up => up(facts, choice, telling),
        None => vanished(facts, choice, telling),
    }
}

fn failure(facts: &Facts, choice: &Choice<'_>, telling: &Operation, found: Found<'_>) -> Story {
    let who = object(facts.driver, &facts.name);
    let headline = match kinds::of(telling) {
        None => format!(
            "The operation '{}' of {who} failed: {}",
            clean(&telling.row.kind),
            found.brief
        ),
        Some(kind) if telling.row.lost && kind.way == Way::Down => {
            format!("{} was {} when {}", subject(facts), kind.being, found.brief)
        }
        Some(kind) => format!("{} {}: {}", subject(facts), kind.did_not, found.brief),
    };
    with_found(facts, choice, plain(Verdict::Failed, headline), found)
}

fn ended(facts: &Facts, choice: &Choice<'_>, telling: &Operation) -> Story {
    let found = ending::of_end(facts, choice, telling);
    let when = if kinds::is_reconnect(telling) {
        " while no daemon ran"
    } else {
        ""
    };
    let headline = format!("{} ended{when}: {}", subject(facts), found.brief);
    with_found(facts, choice, plain(Verdict::Ended, headline), found)
}

fn with_found(facts: &Facts, choice: &Choice<'_>, mut story: Story, found: Found<'_>) -> Story {
    story.afterwards = after::afterwards(facts, choice, &found);
    story.next = advice::after(facts, choice.telling, &found);
    if let Class::Device(trouble, _) = found.class {
        story.device = Some(trouble);
    }
    story.first = Some(found.cause);
    story.remarks = found.remarks;
    story
}

/// It runs, and the operation that brought it up went well.
fn up(facts: &Facts, choice: &Choice<'_>, telling: &Operation) -> Story {
    let since = time(telling.row.ended.unwrap_or(telling.row.began));
    let how = if kinds::is_reconnect(telling) {
        format!("{}; the daemon took it over at {since}", alive(facts))
    } else {
        format!("{} since {since}", alive(facts))
    };
    let ignored = after::ignored(facts, choice).len();
    let end = match ignored {
        0 if !choice.asides.is_empty() => String::new(),
        0 if facts.state.as_deref().is_some_and(is_well) => "; nothing failed".to_owned(),
        0 => "; no hook failed".to_owned(),
        1 => ", but a hook failed, which a rule ignores".to_owned(),
        many => format!(", but {many} hooks failed, which rules ignore"),
    };
    let harmless: Vec<&RunRow> = after::harmless(choice).collect();
    let end = if harmless.is_empty() || ignored > 0 {
        end
    } else {
        String::new()
    };
    let mut story = plain(Verdict::Running, format!("{how}{end}"));
    for row in harmless {
        story
            .remarks
            .push(format!("{}; that changes nothing", script::line(facts, row)));
        story.next.push(advice::look_at(row));
    }
    if facts
        .state
        .as_deref()
        .is_some_and(|state| state.contains("error"))
    {
        story.next.extend(advice::log_of(facts));
    }
    let rows = choice.since.iter().flat_map(|operation| operation.runs.iter());
    let ignored = rows.filter(|row| row.failed && row.ignored && script::is_real(row));
    story.next.extend(ignored.map(advice::look_at));
    story
}

/// States in which nothing is the matter.
fn is_well(state: &str) -> bool {
    state == "active" || state.starts_with("running")
}

/// `Guest g runs`, `Guest g is paused (I/O error)`.
fn alive(facts: &Facts) -> String {
    let state = facts.state.as_deref().unwrap_or("running");
    match state {
        "active" => format!("{} is up", subject(facts)),
        _ if state.starts_with("running") => format!("{} runs", subject(facts)),
        _ => format!("{} is {}, up", subject(facts), clean(state)),
    }
}

/// Something is being done, and no hook holds it up.
fn under_way(facts: &Facts, choice: &Choice<'_>, telling: &Operation) -> Story {
    let being = kinds::being(telling);
    let since = time(telling.row.began);
    let mut story = plain(
        Verdict::Running,
        format!(
            "{} is {being}, since {since}, and waits for no hook",
            subject(facts)
        ),
    );
    if let Some(found) = cause::of_failure(facts, choice, telling) {
        story.headline.push_str(&format!("; {}", found.brief));
        story = with_found(facts, choice, story, found);
        story.next.clear();
    } else if let Some(told) = device::underway(facts) {
        return waits_for_device(facts, being, told);
    } else if let Some(step) = telling.steps.last() {
        story
            .remarks
            .push(format!("step '{}' was the last to be done", clean(&step.name)));
    }
    story
        .next
        .push("ferrovirt ps # the hooks that run now".to_owned());
    story
}

/// Something is being done, and the kernel holds it up with a device.
fn waits_for_device(facts: &Facts, being: String, told: device::Told) -> Story {
    let headline = format!("{} is {being} and waits: {}", subject(facts), told.brief);
    Story {
        next: told
            .next
            .into_iter()
            .chain([advice::destroy(facts, "give it up")])
            .collect(),
        remarks: told.remarks,
        device: Some(told.trouble),
        ..plain(Verdict::Running, headline)
    }
}

/// It was up, it is not, and the history has no end of it.
fn vanished(facts: &Facts, choice: &Choice<'_>, telling: &Operation) -> Story {
    let since = time(telling.row.ended.unwrap_or(telling.row.began));
    let mut story = match reason_of_state(facts) {
        Some(reason) => {
            let found = ending::of_state(facts, reason);
            let headline = format!("{} ended: {}", subject(facts), found.brief);
            let quiet = Choice {
                telling: None,
                sequel: Vec::new(),
                since: Vec::new(),
                before: None,
                asides: Vec::new(),
                strangers: choice.strangers,
            };
            with_found(facts, &quiet, plain(Verdict::Ended, headline), found)
        }
        None => plain(
            Verdict::Ended,
            format!(
                "{} has run since {since} and runs no more; the history has no end of it",
                subject(facts)
            ),
        ),
    };
    story
        .remarks
        .push(format!("it came up at {since}; its end is not in the history"));
    story
}

/// The word in `shut off (crashed)`, if it says anything.
fn reason_of_state(facts: &Facts) -> Option<&str> {
    let (_, rest) = facts.state.as_deref()?.split_once(" (")?;
    rest.strip_suffix(')').filter(|reason| *reason != "unknown")
}

/// The history does not explain the state.
fn untold(facts: &Facts, life: Life) -> Story {
    let reason = reason_of_state(facts);
    let mut story = match (life, reason) {
        (Life::Up, _) => plain(
            Verdict::Running,
            format!("{}; the history does not know since when", alive(facts)),
        ),
        (Life::Down, Some(reason)) => {
            let found = ending::of_state(facts, reason);
            let mut story = plain(
                Verdict::Ended,
                format!("{} ended: {}", subject(facts), found.brief),
            );
            story.next = advice::after(facts, None, &found);
            story.first = Some(found.cause);
            story
        }
        (Life::Down, None) => {
            let state = facts.state.as_deref().unwrap_or("shut off");
            let headline = format!(
                "{} is {}: as far as the history knows, it was never started",
                subject(facts),
                clean(state)
            );
            let mut story = plain(Verdict::Fine, headline);
            story.next.push(advice::start(facts));
            story
        }
        (Life::Gone, _) => {
            let what = object(facts.driver, &facts.name);
            let mut story = plain(
                Verdict::Unknown,
                format!("There is no {what}, and the history does not know one"),
            );
            story.next.push(advice::list(facts.driver));
            story
        }
    };
    if facts.operations.is_empty() {
        story.remarks.push(
            "the history has nothing about it: it may be off, or too young, or has forgotten it".to_owned(),
        );
    }
    story
}

/// What is true whatever the story is.
fn remarks(facts: &Facts, choice: &Choice<'_>, told: Option<u64>, story: &mut Story) {
    for hook in facts.running.iter().filter(|hook| Some(hook.id) != told) {
        let took = seconds(hook.seconds);
        story.remarks.push(format!(
            "{} has run for {took} (ferrovirt cancel {})",
            waiting::running_hook(facts, hook),
            hook.id
        ));
    }
    for aside in choice.asides.iter().take(ASIDES) {
        let (at, kind) = (time(aside.row.began), clean(&aside.row.kind));
        let how = match &aside.row.failure {
            Some(failure) => format!("failed: {}", clean(failure)),
            None => "has no end in the history".to_owned(),
        };
        story
            .remarks
            .push(format!("later, at {at}, the operation '{kind}' {how}"));
    }
    if choice.telling.is_some() && facts.state.is_none() {
        story.remarks.push("it is not defined any more".to_owned());
    }
    if choice.strangers {
        let what = object(facts.driver, &facts.name);
        story
            .remarks
            .push(format!("earlier there was another {what}, with another UUID"));
    }
    for skip in skips(facts, choice, story) {
        let path = clean(&skip.path.to_string_lossy());
        story
            .remarks
            .push(format!("{path} is not run: {}", clean(&skip.reason)));
        // Before the advice to try again.
        let place = story
            .next
            .len()
            .saturating_sub(usize::from(story.next.last() == Some(&advice::start(facts))));
        if let Some(remedy) = advice::about_skip(skip) {
            story.next.insert(place, remedy);
        }
    }
}

/// Scripts that were not run and may be missed: after a failure, of the drivers that took part in it.
fn skips<'a>(facts: &'a Facts, choice: &Choice<'_>, story: &Story) -> Vec<&'a SkipRow> {
    if matches!(story.answer, Verdict::Fine | Verdict::Unknown) {
        return Vec::new();
    }
    let runs = || {
        facts
            .operations
            .iter()
            .flat_map(|operation| operation.runs.iter())
    };
    let took_part = |driver: Driver| {
        driver == facts.driver
            || choice
                .since
                .iter()
                .any(|operation| operation.runs.iter().any(|row| row.driver == driver))
    };
    let mut newest: Vec<&SkipRow> = Vec::new();
    for skip in facts.skips.iter().filter(|skip| took_part(skip.driver)) {
        // It has run since: somebody has mended it.
        if runs().any(|row| row.script == skip.path && row.began > skip.at) {
            continue;
        }
        newest.retain(|other| other.path != skip.path || other.at > skip.at);
        if newest.iter().all(|other| other.path != skip.path) {
            newest.push(skip);
        }
    }
    newest
}
