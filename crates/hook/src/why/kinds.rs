//! What the kinds of operations and their steps are called in a story.

use crate::history::{Operation, RunRow};

/// What an operation does to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Afterwards it runs.
    Up,
    /// Afterwards it does not.
    Down,
    /// Neither.
    Beside,
}

/// One kind of operation.
pub(super) struct Kind {
    name: &'static str,
    pub(super) way: Way,
    /// What is said when it failed: `guest g DID_NOT`.
    pub(super) did_not: &'static str,
    /// What is said while it is under way: `guest g is BEING`.
    pub(super) being: &'static str,
}

const fn kind(name: &'static str, way: Way, did_not: &'static str, being: &'static str) -> Kind {
    Kind {
        name,
        way,
        did_not,
        being,
    }
}

/// All kinds that decide whether an object runs.
const KINDS: &[Kind] = &[
    kind("start", Way::Up, "did not start", "being started"),
    kind("create", Way::Up, "did not start", "being started"),
    kind("restore", Way::Up, "was not restored", "being restored"),
    kind("reconnect", Way::Up, "was ended", "being taken over"),
    kind("attach", Way::Up, "was not taken over", "being taken over"),
    kind("destroy", Way::Down, "was not destroyed", "being destroyed"),
    kind("end", Way::Down, "did not end as it should", "ending"),
    kind("save", Way::Down, "was not saved", "being saved"),
    kind("net-start", Way::Up, "did not start", "being started"),
    kind("net-create", Way::Up, "did not start", "being started"),
    kind("net-reconnect", Way::Up, "was ended", "being taken over"),
    kind("net-destroy", Way::Down, "was not destroyed", "being destroyed"),
    kind("net-end", Way::Down, "did not end as it should", "ending"),
];

/// Operations of hooks that may refuse (R30 to R39, R70 to R75): their failure is a cause, not a consequence.
const REFUSING: &[&str] = &[
    "prepare",
    "start",
    "started",
    "migrate",
    "restore",
    "reconnect",
    "attach",
    "port-created",
    "updated",
];

/// Operations whose output replaces the document (R35, R36).
const FILTERS: &[&str] = &["migrate", "restore"];

/// What undoing steps did, in words; steps that only call hooks tell nothing, the hooks do.
const STEPS: &[(&str, &str)] = &[
    ("kill", "its process was ended"),
    ("unplug", "its ports on networks were taken away"),
    ("labels", "labels and locks were taken back"),
    ("filter", "its rules in the packet filter were taken away"),
    ("bridge", "its bridge was taken away"),
];

/// Steps that do no more than call hooks, and the last one, which does nothing.
const HOOK_STEPS: &[&str] = &[
    "prepare",
    "start",
    "started",
    "reconnect",
    "up",
    "stopped",
    "release",
];

/// What is known about a kind of operation.
pub(super) fn of(operation: &Operation) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == operation.row.kind)
}

/// What it does to the object.
pub(super) fn way(operation: &Operation) -> Way {
    of(operation).map_or(Way::Beside, |kind| kind.way)
}

/// `did not start`.
pub(super) fn did_not(operation: &Operation) -> &'static str {
    of(operation).map_or("failed", |kind| kind.did_not)
}

/// `being started`.
pub(super) fn being(operation: &Operation) -> String {
    of(operation).map_or_else(
        || format!("busy with the operation '{}'", operation.row.kind),
        |kind| kind.being.to_owned(),
    )
}

/// Whether a new daemon took the object over, or found that it had ended.
pub(super) fn is_reconnect(operation: &Operation) -> bool {
    matches!(operation.row.kind.as_str(), "reconnect" | "net-reconnect")
}

/// Whether the failure of this hook stops something.
pub(super) fn refuses(row: &RunRow) -> bool {
    REFUSING.contains(&row.operation.as_str())
}

/// Whether this hook's output replaces the document.
pub(super) fn is_filter(operation: &str) -> bool {
    FILTERS.contains(&operation)
}

/// What an undoing step did; nothing for those that hooks tell of.
pub(super) fn step(name: &str) -> Option<String> {
    if HOOK_STEPS.contains(&name) {
        return None;
    }
    let known = STEPS.iter().find(|(known, _)| *known == name);
    Some(known.map_or_else(|| format!("step '{name}'"), |(_, words)| (*words).to_owned()))
}
