//! Which operation explains the state that the object is in.

use super::Facts;
use super::kinds::{self, Way};
use crate::history::{How, Operation, RunRow};

/// States in which an object does not run.
const DOWN: &[&str] = &["shut off", "inactive", "crashed"];
/// What the failure of a start says that a destroy ended.
const BY_DESTROY: &[&str] = &["was ended by destroy", "because of destroy"];
/// Reasons with which the end of a failed start goes on.
const CUT_SHORT: &[&str] = &["failed", "daemon"];

/// Whether the object runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Up,
    Down,
    /// It is not defined (any more).
    Gone,
}

/// What the story is about.
pub(super) struct Choice<'a> {
    /// The operation that explains the state.
    pub(super) telling: Option<&'a Operation>,
    /// Operations after it that belong to the same story: what undid it.
    pub(super) sequel: Vec<&'a Operation>,
    /// All operations from the telling one on, oldest first.
    pub(super) since: Vec<&'a Operation>,
    /// The operation before the telling one.
    pub(super) before: Option<&'a Operation>,
    /// Later failures that explain nothing.
    pub(super) asides: Vec<&'a Operation>,
    /// Operations of another object that had the same name.
    pub(super) strangers: bool,
}

/// Whether the object runs, as far as its state says.
pub(super) fn life(facts: &Facts) -> Life {
    match facts.state.as_deref() {
        None => Life::Gone,
        Some(state) if DOWN.iter().any(|down| state.starts_with(down)) => Life::Down,
        Some(_) => Life::Up,
    }
}

/// Whether it is still under way.
pub(super) fn is_under_way(operation: &Operation) -> bool {
    operation.row.ended.is_none() && !operation.row.lost
}

/// What the operation did: a reconnect that has a reason found an end, unless a hook made it.
pub(super) fn way(operation: &Operation) -> Way {
    let refused = |row: &RunRow| row.failed && !row.ignored && kinds::refuses(row);
    let found_an_end = kinds::is_reconnect(operation)
        && operation.row.reason.is_some()
        && operation.row.failure.is_none()
        && !operation.runs.iter().any(refused);
    if found_an_end {
        Way::Down
    } else {
        kinds::way(operation)
    }
}

/// Whether a destroy cut the operation short (R95).
pub(super) fn is_destroyed(operation: &Operation) -> bool {
    let failure = operation.row.failure.as_deref().unwrap_or_default();
    let cancelled = |how: &How| matches!(how, How::Cancelled { by } if by == "destroy");
    BY_DESTROY.iter().any(|sign| failure.contains(sign))
        || operation
            .runs
            .iter()
            .any(|run| kinds::refuses(run) && run.how.as_ref().is_some_and(cancelled))
}

/// Finds it.
pub(super) fn choose(facts: &Facts) -> Choice<'_> {
    let own = |operation: &&Operation| {
        operation.row.uuid.is_none() || facts.uuid.is_none() || operation.row.uuid == facts.uuid
    };
    let all: Vec<&Operation> = facts.operations.iter().filter(own).collect();
    let life = life(facts);
    let mut asides = Vec::new();
    let mut chosen = None;
    for (index, &operation) in all.iter().enumerate().rev() {
        match weigh(operation, life, index + 1 == all.len()) {
            Weight::Tells => {
                chosen = Some(index);
                break;
            }
            Weight::Aside => asides.push(operation),
            Weight::Nothing => {}
            Weight::Contradicts => break,
        }
    }
    let (chosen, sequel) = match chosen {
        Some(index) => with_sequel(&all, index),
        None => (None, Vec::new()),
    };
    Choice {
        telling: chosen.map(|index| all[index]),
        sequel,
        since: chosen.map_or_else(Vec::new, |index| all[index..].to_vec()),
        before: chosen
            .and_then(|index| index.checked_sub(1))
            .map(|index| all[index]),
        asides,
        strangers: all.len() < facts.operations.len(),
    }
}

/// What an operation says about the state.
enum Weight {
    /// It explains it.
    Tells,
    /// It failed, but explains nothing.
    Aside,
    /// It went well and decided nothing.
    Nothing,
    /// Nothing that is as old as this explains it.
    Contradicts,
}

fn weigh(operation: &Operation, life: Life, newest: bool) -> Weight {
    if is_under_way(operation) {
        return Weight::Tells;
    }
    let failed = operation.row.failure.is_some() || operation.row.lost;
    match (failed, way(operation), life) {
        (true, Way::Beside, _) if newest && !operation.row.lost => Weight::Tells,
        // Refused because it runs already, or is off already: what it is comes from something older.
        (true, Way::Up, Life::Up) | (true, Way::Beside, _) => Weight::Aside,
        (true, Way::Down, Life::Down | Life::Gone) if !operation.row.lost && !has_ended(operation) => {
            Weight::Aside
        }
        (true, _, _) => Weight::Tells,
        (false, Way::Beside, _) => Weight::Nothing,
        (false, Way::Down, Life::Up) => Weight::Contradicts,
        (false, _, _) => Weight::Tells,
    }
}

/// An end by itself is an end, also with an error.
fn has_ended(operation: &Operation) -> bool {
    operation.row.reason.is_some() || matches!(operation.row.kind.as_str(), "end" | "net-end")
}

/// An end that is the consequence of the operation before it: that one tells the story.
fn with_sequel<'a>(all: &[&'a Operation], index: usize) -> (Option<usize>, Vec<&'a Operation>) {
    let operation = all[index];
    let alone = (Some(index), Vec::new());
    if way(operation) != Way::Down || operation.row.failure.is_some() || is_under_way(operation) {
        return alone;
    }
    let older = all[..index]
        .iter()
        .rposition(|older| kinds::way(older) != Way::Beside);
    let Some(older) = older else { return alone };
    let first = all[older];
    let reason = operation.row.reason.as_deref().unwrap_or_default();
    let belongs = if first.row.lost {
        kinds::is_reconnect(operation) || CUT_SHORT.contains(&reason)
    } else {
        let failed = kinds::way(first) == Way::Up && first.row.failure.is_some();
        failed && (CUT_SHORT.contains(&reason) || is_destroyed(first))
    };
    if belongs {
        (Some(older), vec![operation])
    } else {
        alone
    }
}
