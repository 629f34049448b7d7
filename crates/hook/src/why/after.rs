//! What ran because of the failure or the end, what came of it, and which failures stopped nothing.

use std::time::SystemTime;

use super::cause::Found;
use super::choice::Choice;
use super::words::{clean, duration, time};
use super::{Facts, kinds, script};
use crate::history::{Operation, RunRow, StepRow};

/// So much is told one by one.
const MOST: usize = 24;

/// What ran afterwards, in its order.
pub(super) fn afterwards(facts: &Facts, choice: &Choice<'_>, found: &Found<'_>) -> Vec<String> {
    let Some(telling) = choice.telling else {
        return Vec::new();
    };
    let mut all = of_operation(facts, telling, found);
    for operation in &choice.sequel {
        all.push((operation.row.began, sequel(telling, operation)));
        all.extend(of_operation(facts, operation, found));
    }
    // Stable: what began at the same time keeps its order.
    all.sort_by_key(|(at, _)| *at);
    let more = all.len().saturating_sub(MOST);
    let mut told: Vec<String> = all.into_iter().take(MOST).map(|(_, text)| text).collect();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told
}

fn sequel(telling: &Operation, operation: &Operation) -> String {
    let at = time(operation.row.began);
    if telling.row.lost {
        format!("at {at} the next daemon found it and took back what was there")
    } else {
        format!("at {at} began the operation '{}'", clean(&operation.row.kind))
    }
}

fn of_operation(facts: &Facts, operation: &Operation, found: &Found<'_>) -> Vec<(SystemTime, String)> {
    let after = |at: SystemTime| found.cause.when.is_none_or(|when| at >= when);
    let runs = operation.runs.iter().filter(|row| {
        let later = found
            .row
            .map_or_else(|| after(row.began), |first| row.id > first.id);
        // What runs still is told at another place.
        later && script::is_real(row) && row.how.is_some() && !row.ignored && belongs(row, found)
    });
    let is_cause = |step: &StepRow| found.step.is_some_and(|first| std::ptr::eq(first, step));
    let steps = operation
        .steps
        .iter()
        .filter(|step| after(step.began) && !is_cause(step));
    let told = steps.filter_map(|step| Some((step.began, of_step(operation, step)?)));
    runs.map(|row| (row.began, of_run(facts, row)))
        .chain(told)
        .collect()
}

/// Where no hook is to blame, hooks of the way up that began at the same moment are no consequence.
fn belongs(row: &RunRow, found: &Found<'_>) -> bool {
    found.row.is_some() || !kinds::refuses(row)
}

fn of_run(facts: &Facts, row: &RunRow) -> String {
    let mut text = script::line(facts, row);
    if row.failed && !kinds::refuses(row) {
        text.push_str("; that changes nothing");
    }
    text
}

fn of_step(operation: &Operation, step: &StepRow) -> Option<String> {
    let what = kinds::step(&step.name)?;
    // The text of the whole operation is recorded with the step that was under way: it is not the step's own.
    let own = step
        .failure
        .as_ref()
        .filter(|_| step.failure != operation.row.failure);
    let failed = own.map(|failure| format!(": failed: {}", clean(failure)));
    Some(format!(
        "{what} ({}){}",
        duration(step.took),
        failed.unwrap_or_default()
    ))
}

/// Failures that a rule has made less of, in all that happened since.
pub(super) fn ignored(facts: &Facts, choice: &Choice<'_>) -> Vec<String> {
    let rows = choice.since.iter().flat_map(|operation| operation.runs.iter());
    rows.filter(|row| row.failed && row.ignored && script::is_real(row))
        .map(|row| {
            let rule = row.rule.as_deref().map_or_else(
                || "its rule says that this stops nothing".to_owned(),
                |rule| format!("rule '{}' says that this stops nothing", clean(rule)),
            );
            format!("{}; {rule} (run {})", script::line(facts, row), row.id)
        })
        .take(MOST)
        .collect()
}

/// Failures of an object that runs which stopped nothing by their nature.
pub(super) fn harmless<'a>(choice: &Choice<'a>) -> impl Iterator<Item = &'a RunRow> {
    let rows = choice
        .since
        .clone()
        .into_iter()
        .flat_map(|operation| operation.runs.iter());
    rows.filter(|row| row.failed && !row.ignored && script::is_real(row))
        .take(MOST)
}
