//! Which calls a hook gets: driver, operation, sub-operation and fourth argument. One table, which all
//! checks of a script's conditions are measured against.

use clap::ValueEnum;

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
    pub(crate) extras: &'static [&'static str],
    /// Whether a failing hook stops what is being done.
    pub(crate) aborts: bool,
    /// Whether what the hook writes replaces the document.
    pub(crate) filter: bool,
}

const NONE: &[&str] = &["-"];
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

const fn event(driver: Driver, operation: &'static str, sub: &'static str, aborts: bool) -> Event {
    Event {
        driver,
        operation,
        sub,
        extras: NONE,
        aborts,
        filter: false,
    }
}

const fn filter(driver: Driver, operation: &'static str) -> Event {
    Event {
        driver,
        operation,
        sub: "begin",
        extras: NONE,
        aborts: true,
        filter: true,
    }
}

const fn release(driver: Driver, extras: &'static [&'static str]) -> Event {
    Event {
        driver,
        operation: "release",
        sub: "end",
        extras,
        aborts: false,
        filter: false,
    }
}

const fn once(operation: &'static str, sub: &'static str, extras: &'static [&'static str]) -> Event {
    Event {
        driver: Driver::Daemon,
        operation,
        sub,
        extras,
        aborts: false,
        filter: false,
    }
}

/// All calls there are.
pub(crate) const EVENTS: &[Event] = &[
    once("start", "-", &["start"]),
    once("shutdown", "-", &["shutdown"]),
    once("reload", "begin", &["SIGHUP"]),
    event(Driver::Qemu, "prepare", "begin", true),
    event(Driver::Qemu, "start", "begin", true),
    event(Driver::Qemu, "started", "begin", true),
    event(Driver::Qemu, "stopped", "end", false),
    release(Driver::Qemu, REASONS),
    filter(Driver::Qemu, "migrate"),
    filter(Driver::Qemu, "restore"),
    event(Driver::Qemu, "reconnect", "begin", true),
    event(Driver::Qemu, "attach", "begin", true),
    event(Driver::Lxc, "prepare", "begin", true),
    event(Driver::Lxc, "start", "begin", true),
    event(Driver::Lxc, "started", "begin", true),
    event(Driver::Lxc, "stopped", "end", false),
    release(Driver::Lxc, REASONS),
    event(Driver::Lxc, "reconnect", "begin", true),
    event(Driver::Libxl, "prepare", "begin", true),
    event(Driver::Libxl, "start", "begin", true),
    event(Driver::Libxl, "started", "begin", true),
    event(Driver::Libxl, "stopped", "end", false),
    release(Driver::Libxl, NONE),
    filter(Driver::Libxl, "migrate"),
    event(Driver::Libxl, "reconnect", "begin", true),
    event(Driver::Network, "start", "begin", true),
    event(Driver::Network, "started", "begin", true),
    event(Driver::Network, "stopped", "end", false),
    event(Driver::Network, "port-created", "begin", true),
    event(Driver::Network, "port-deleted", "begin", false),
    event(Driver::Network, "updated", "begin", false),
];

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
