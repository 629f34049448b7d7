//! Which calls a hook gets: driver, operation, sub-operation and fourth argument, from the hook crate's one table. All
//! checks of a script's conditions are measured against it.

use std::sync::LazyLock;

use clap::ValueEnum;
use ferrovirt_hook::Audience;

/// Whose hook a script is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Driver {
    /// The daemon itself
    Daemon,
    /// QEMU and KVM guests
    Qemu,
    /// Containers
    Lxc,
    /// Xen guests
    Libxl,
    /// Virtual networks
    Network,
}

/// Every driver, with the file name of its hook.
pub(crate) const DRIVERS: &[(Driver, &str)] = &[
    (Driver::Daemon, "daemon"),
    (Driver::Qemu, "qemu"),
    (Driver::Lxc, "lxc"),
    (Driver::Libxl, "libxl"),
    (Driver::Network, "network"),
];

impl Driver {
    /// The driver whose hook has this file name.
    pub(crate) fn of_name(name: &str) -> Option<Driver> {
        DRIVERS
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(driver, _)| *driver)
    }

    /// The file name of the driver's hook.
    pub(crate) fn name(self) -> &'static str {
        DRIVERS
            .iter()
            .find(|(driver, _)| *driver == self)
            .map_or("", |(_, name)| name)
    }
}

/// One kind of call.
pub(crate) struct Event {
    /// Who calls.
    pub(crate) driver: Driver,
    /// The second argument.
    pub(crate) operation: &'static str,
    /// The third argument.
    pub(crate) sub: &'static str,
    /// What the fourth argument may be.
    pub(crate) extras: Vec<&'static str>,
    /// Whether a failing hook stops what is being done.
    pub(crate) aborts: bool,
    /// Whether what the hook writes replaces the document.
    pub(crate) filter: bool,
}

/// What the fourth argument of `release` may be.
pub(crate) const REASONS: &[&str] = &[
    "shutdown",
    "destroyed",
    "crashed",
    "migrated",
    "saved",
    "failed",
    "from snapshot",
    "daemon",
    "unknown",
];

/// All calls that scripts get: the hook crate's table, with what the fourth argument may be.
pub(crate) static EVENTS: LazyLock<Vec<Event>> =
    LazyLock::new(|| DRIVERS.iter().flat_map(of_driver).collect());

fn of_driver((driver, name): &(Driver, &str)) -> Vec<Event> {
    let known = ferrovirt_hook::Driver::ALL
        .into_iter()
        .filter(|known| known.as_str() == *name);
    known
        .flat_map(ferrovirt_hook::event::operations)
        .filter(|row| row.audience() == Audience::Scripts)
        .map(|row| Event {
            driver: *driver,
            operation: row.operation(),
            sub: row.sub_operation(),
            // R60: a Xen guest's hook gets none.
            extras: match (row.operation(), driver) {
                ("release", Driver::Qemu | Driver::Lxc) => REASONS.to_vec(),
                _ => vec![row.extra()],
            },
            aborts: row.may_abort(),
            filter: row.is_filter(),
        })
        .collect()
}

/// Names that older versions called, and what they became.
pub(crate) const OLD: &[(&str, &str)] = &[("plugged", "port-created"), ("unplugged", "port-deleted")];

/// Words that people expect, and the operation they mean.
const EXPECTED: &[(&str, &str)] = &[
    ("stop", "stopped"),
    ("stopping", "stopped"),
    ("shutdown", "stopped"),
    ("shutoff", "stopped"),
    ("destroy", "stopped"),
    ("destroyed", "stopped"),
    ("end", "release"),
    ("starting", "start"),
    ("running", "started"),
    ("boot", "start"),
    ("create", "prepare"),
    ("save", "stopped"),
    ("preparing", "prepare"),
    ("released", "release"),
    ("update", "updated"),
    ("migration", "migrate"),
];

/// A set of calls, as positions in [`EVENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls(u64);

impl Calls {
    /// No call.
    pub(crate) const EMPTY: Calls = Calls(0);

    /// The calls that fulfil a condition.
    pub(crate) fn which(wanted: impl Fn(&Event) -> bool) -> Calls {
        let bit = |(i, event): (usize, &Event)| if wanted(event) { 1 << i } else { 0 };
        Calls(EVENTS.iter().enumerate().map(bit).fold(0, |all, one| all | one))
    }

    /// The calls of some drivers.
    pub(crate) fn of(drivers: &[Driver]) -> Calls {
        Calls::which(|event| drivers.contains(&event.driver))
    }

    /// One call, by its position.
    pub(crate) fn one(index: usize) -> Calls {
        Calls(1 << index)
    }

    /// Those in both.
    pub(crate) fn and(self, other: Calls) -> Calls {
        Calls(self.0 & other.0)
    }

    /// Those in either.
    pub(crate) fn or(self, other: Calls) -> Calls {
        Calls(self.0 | other.0)
    }

    /// Those that the other set lacks.
    pub(crate) fn without(self, other: Calls) -> Calls {
        Calls(self.0 & !other.0)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The calls, with their positions.
    pub(crate) fn iter(self) -> impl Iterator<Item = (usize, &'static Event)> {
        EVENTS
            .iter()
            .enumerate()
            .filter(move |(i, _)| self.0 & (1 << i) != 0)
    }

    /// Those whose hook can stop what is being done.
    pub(crate) fn aborting(self) -> Calls {
        self.and(Calls::which(|event| event.aborts))
    }

    /// Those whose hook's output replaces the document.
    pub(crate) fn filters(self) -> Calls {
        self.and(Calls::which(|event| event.filter))
    }

    /// The names of the operations, each once, for a message.
    pub(crate) fn names(self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for (_, event) in self.iter() {
            if !names.contains(&event.operation) {
                names.push(event.operation);
            }
        }
        names.join(", ")
    }
}

/// The operation that a mistyped name probably means.
pub(crate) fn suggest(name: &str, calls: Calls) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let exists = |wanted: &str| {
        calls
            .iter()
            .find(|(_, e)| e.operation == wanted)
            .map(|(_, e)| e.operation)
    };
    if let Some(found) = exists(&lower) {
        return Some(found);
    }
    let expected = EXPECTED
        .iter()
        .find(|(typed, _)| *typed == lower)
        .and_then(|(_, meant)| exists(meant));
    if expected.is_some() {
        return expected;
    }
    typo(&lower, calls)
}

/// The operation that a name becomes when a letter or two are changed.
pub(crate) fn typo(name: &str, calls: Calls) -> Option<&'static str> {
    let near = calls
        .iter()
        .map(|(_, e)| (distance(name, e.operation), e.operation))
        .min()?;
    (near.0 <= 2 && near.0 * 2 < name.chars().count()).then_some(near.1)
}

/// How many letters have to be changed, added or removed.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    if a.chars().count() > 40 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
