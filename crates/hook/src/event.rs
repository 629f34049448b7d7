//! The table of events: who is told what, with which arguments (R7, R20 to R75). Everything about an operation that is
//! not code stands here, once.
//!
//! Beside the contract's rows there are some for rules alone ([`Audience::Rules`]): no script is ever called for them, and
//! a rule only if it names them. All of them tell of what has happened, cannot be refused, and so have `end` as their
//! sub-operation.

use std::fmt;

/// Whose hooks: also the name of the script (R1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Driver {
    /// The daemon itself.
    Daemon,
    /// QEMU guests.
    Qemu,
    /// Containers.
    Lxc,
    /// Xen guests.
    Libxl,
    /// Virtual networks.
    Network,
}

impl Driver {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Driver; 5] = [
        Driver::Daemon,
        Driver::Qemu,
        Driver::Lxc,
        Driver::Libxl,
        Driver::Network,
    ];

    /// The name of the main script; `NAME.d` is the directory beside it.
    pub fn as_str(self) -> &'static str {
        match self {
            Driver::Daemon => "daemon",
            Driver::Qemu => "qemu",
            Driver::Lxc => "lxc",
            Driver::Libxl => "libxl",
            Driver::Network => "network",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What can happen to a guest (R30 to R60).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestOperation {
    /// R30: before any resource.
    Prepare,
    /// R31: resources are there, the process is not.
    Start,
    /// R32: the guest runs.
    Started,
    /// R33: the guest is gone.
    Stopped,
    /// R34: all resources are released.
    Release,
    /// R35: before an incoming migration; a filter.
    Migrate,
    /// R36: before a saved image is restored; a filter.
    Restore,
    /// R38: the daemon found the guest running.
    Reconnect,
    /// R39: the daemon attaches to a process that somebody else started.
    Attach,
    /// For rules: its CPUs stand still.
    Suspended,
    /// For rules: its CPUs run again.
    Resumed,
    /// For rules: it rebooted in the same run (R40).
    Rebooted,
    /// For rules: it was reset from outside, in the same run (R40).
    Reset,
    /// For rules: it panicked.
    Crashed,
    /// For rules: its definition is on disk, new or changed.
    Defined,
    /// For rules: its definition is gone.
    Undefined,
    /// For rules: the device of one of its interfaces exists; the extra argument names it.
    PortReady,
}

impl GuestOperation {
    /// All of them, in the order of the table.
    pub const ALL: [GuestOperation; 17] = [
        GuestOperation::Prepare,
        GuestOperation::Start,
        GuestOperation::Started,
        GuestOperation::Stopped,
        GuestOperation::Release,
        GuestOperation::Reconnect,
        GuestOperation::Migrate,
        GuestOperation::Restore,
        GuestOperation::Attach,
        GuestOperation::Suspended,
        GuestOperation::Resumed,
        GuestOperation::Rebooted,
        GuestOperation::Reset,
        GuestOperation::Crashed,
        GuestOperation::Defined,
        GuestOperation::Undefined,
        GuestOperation::PortReady,
    ];
}

/// What can happen to a network (R70 to R75).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetworkOperation {
    /// R70: before the network exists.
    Start,
    /// R71: it is up.
    Started,
    /// R72: it is gone.
    Stopped,
    /// R73: a guest's interface is plugged in.
    PortCreated,
    /// R74: a guest's interface is unplugged.
    PortDeleted,
    /// R75: changed while defined.
    Updated,
    /// For rules: its definition is on disk, new or changed.
    Defined,
    /// For rules: its definition is gone.
    Undefined,
}

impl NetworkOperation {
    /// All of them, in the order of the table.
    pub const ALL: [NetworkOperation; 8] = [
        NetworkOperation::Start,
        NetworkOperation::Started,
        NetworkOperation::Stopped,
        NetworkOperation::PortCreated,
        NetworkOperation::PortDeleted,
        NetworkOperation::Updated,
        NetworkOperation::Defined,
        NetworkOperation::Undefined,
    ];
}

/// What can happen to the daemon (R20 to R22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DaemonOperation {
    /// R20: before requests are served.
    Start,
    /// R21: after the last request.
    Shutdown,
    /// R22: SIGHUP.
    Reload,
}

impl DaemonOperation {
    /// All of them, in the order of the table.
    pub const ALL: [DaemonOperation; 3] = [
        DaemonOperation::Start,
        DaemonOperation::Shutdown,
        DaemonOperation::Reload,
    ];
}

/// Who is called for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// The driver's scripts, and the commands of rules.
    Scripts,
    /// The commands of rules that name the operation; never a script.
    Rules,
}

/// One row: an operation, the arguments that come with it, and what is to be known about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    operation: &'static str,
    sub_operation: &'static str,
    extra: &'static str,
    drivers: &'static [Driver],
    raised_by: &'static [Driver],
    audience: Audience,
    may_abort: bool,
    filter: bool,
}

impl Row {
    /// Told to scripts; aborts nothing.
    const fn new(operation: &'static str, sub_operation: &'static str, drivers: &'static [Driver]) -> Row {
        Row {
            operation,
            sub_operation,
            extra: NONE,
            drivers,
            raised_by: RAISED,
            audience: Audience::Scripts,
            may_abort: false,
            filter: false,
        }
    }

    /// Told to scripts, which may refuse it.
    const fn refusable(operation: &'static str, drivers: &'static [Driver]) -> Row {
        Row {
            may_abort: true,
            ..Row::new(operation, "begin", drivers)
        }
    }

    /// Its output takes the place of the document.
    const fn filter(operation: &'static str, drivers: &'static [Driver]) -> Row {
        Row {
            filter: true,
            ..Row::refusable(operation, drivers)
        }
    }

    /// Told to rules alone, when it has happened.
    const fn for_rules(operation: &'static str, drivers: &'static [Driver]) -> Row {
        Row {
            audience: Audience::Rules,
            ..Row::new(operation, "end", drivers)
        }
    }

    /// In the contract, but nothing in this build does it yet.
    const fn not_raised(self) -> Row {
        Row {
            raised_by: &[],
            ..self
        }
    }

    /// The operation, as the script gets it.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The sub-operation: `begin`, `end` or `-`.
    pub fn sub_operation(&self) -> &'static str {
        self.sub_operation
    }

    /// The extra argument, `-` where there is none; `release` and `port-ready` put their own in its place.
    pub fn extra(&self) -> &'static str {
        self.extra
    }

    /// Who is called for it.
    pub fn audience(&self) -> Audience {
        self.audience
    }

    /// Whether a failed hook stops what is about to happen, or ends the guest that it is about.
    pub fn may_abort(&self) -> bool {
        self.may_abort
    }

    /// Whether the output of the scripts takes the place of the document (R35, R36).
    pub fn is_filter(&self) -> bool {
        self.filter
    }

    /// Whether this build ever raises it for the driver.
    pub fn is_raised(&self, driver: Driver) -> bool {
        self.drivers.contains(&driver) && self.raised_by.contains(&driver)
    }
}

/// An argument that says nothing.
const NONE: &str = "-";

/// All kinds of guests.
const GUESTS: &[Driver] = &[Driver::Qemu, Driver::Lxc, Driver::Libxl];

/// Drivers that this build has; the others' rows are the contract's.
const RAISED: &[Driver] = &[Driver::Daemon, Driver::Qemu, Driver::Lxc, Driver::Network];

const QEMU: &[Driver] = &[Driver::Qemu];
const QEMU_AND_XEN: &[Driver] = &[Driver::Qemu, Driver::Libxl];
const NETWORK: &[Driver] = &[Driver::Network];
const DAEMON: &[Driver] = &[Driver::Daemon];

const fn guest_row(operation: GuestOperation) -> &'static Row {
    match operation {
        GuestOperation::Prepare => const { &Row::refusable("prepare", GUESTS) },
        GuestOperation::Start => const { &Row::refusable("start", GUESTS) },
        GuestOperation::Started => const { &Row::refusable("started", GUESTS) },
        GuestOperation::Stopped => const { &Row::new("stopped", "end", GUESTS) },
        GuestOperation::Release => const { &Row::new("release", "end", GUESTS) },
        GuestOperation::Reconnect => const { &Row::refusable("reconnect", GUESTS) },
        GuestOperation::Migrate => const { &Row::filter("migrate", QEMU_AND_XEN).not_raised() },
        GuestOperation::Restore => const { &Row::filter("restore", QEMU).not_raised() },
        GuestOperation::Attach => const { &Row::refusable("attach", QEMU).not_raised() },
        GuestOperation::Suspended => const { &Row::for_rules("suspended", GUESTS) },
        GuestOperation::Resumed => const { &Row::for_rules("resumed", GUESTS) },
        // Of a container or a Xen guest a reboot is an end and a start (R50, R60).
        GuestOperation::Rebooted => const { &Row::for_rules("rebooted", QEMU) },
        GuestOperation::Reset => const { &Row::for_rules("reset", QEMU) },
        GuestOperation::Crashed => const { &Row::for_rules("crashed", QEMU_AND_XEN) },
        GuestOperation::Defined => const { &Row::for_rules("defined", GUESTS) },
        GuestOperation::Undefined => const { &Row::for_rules("undefined", GUESTS) },
        GuestOperation::PortReady => const { &Row::for_rules("port-ready", GUESTS) },
    }
}

const fn network_row(operation: NetworkOperation) -> &'static Row {
    match operation {
        NetworkOperation::Start => const { &Row::refusable("start", NETWORK) },
        NetworkOperation::Started => const { &Row::refusable("started", NETWORK) },
        NetworkOperation::Stopped => const { &Row::new("stopped", "end", NETWORK) },
        NetworkOperation::PortCreated => const { &Row::refusable("port-created", NETWORK) },
        NetworkOperation::PortDeleted => const { &Row::new("port-deleted", "begin", NETWORK) },
        NetworkOperation::Updated => const { &Row::new("updated", "begin", NETWORK).not_raised() },
        NetworkOperation::Defined => const { &Row::for_rules("defined", NETWORK) },
        NetworkOperation::Undefined => const { &Row::for_rules("undefined", NETWORK) },
    }
}

const fn daemon_row(operation: DaemonOperation) -> &'static Row {
    const fn row(operation: &'static str, sub_operation: &'static str, extra: &'static str) -> Row {
        Row {
            extra,
            ..Row::new(operation, sub_operation, DAEMON)
        }
    }
    match operation {
        DaemonOperation::Start => const { &row("start", NONE, "start") },
        DaemonOperation::Shutdown => const { &row("shutdown", NONE, "shutdown") },
        DaemonOperation::Reload => const { &row("reload", "begin", "SIGHUP") },
    }
}

/// The operations of a driver, in the order of the table; those that this build does not raise are among them.
pub fn operations(driver: Driver) -> impl Iterator<Item = &'static Row> {
    let guests = GuestOperation::ALL.into_iter().map(guest_row);
    let networks = NetworkOperation::ALL.into_iter().map(network_row);
    let daemon = DaemonOperation::ALL.into_iter().map(daemon_row);
    daemon
        .chain(guests)
        .chain(networks)
        .filter(move |row| row.drivers.contains(&driver))
}

/// A driver that has no such operation: `restore` of a container, for example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("driver {driver} has no hook operation '{operation}'")]
pub struct UnknownOperation {
    /// The driver that was asked for.
    pub driver: Driver,
    /// The operation that it lacks.
    pub operation: &'static str,
}

/// The same of a name that somebody typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("driver {driver} has no hook operation '{operation}'")]
pub struct NoSuchOperation {
    /// The driver that was asked for.
    pub driver: Driver,
    /// The operation that it lacks.
    pub operation: String,
}

/// One thing that happened or is about to: valid by construction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HookEvent {
    driver: Driver,
    object: String,
    row: &'static Row,
    extra: String,
}

impl HookEvent {
    fn new(driver: Driver, object: &str, row: &'static Row) -> Result<HookEvent, UnknownOperation> {
        if !row.drivers.contains(&driver) {
            return Err(UnknownOperation {
                driver,
                operation: row.operation,
            });
        }
        Ok(HookEvent::of_row(driver, object, row))
    }

    /// Of a driver that the row names.
    fn of_row(driver: Driver, object: &str, row: &'static Row) -> HookEvent {
        debug_assert!(row.drivers.contains(&driver));
        HookEvent {
            driver,
            object: object.to_owned(),
            row,
            extra: row.extra.to_owned(),
        }
    }

    /// An event of the guest `name` (R30 to R60).
    ///
    /// # Errors
    /// When guests of this driver have no such operation.
    pub fn guest(
        driver: Driver,
        name: &str,
        operation: GuestOperation,
    ) -> Result<HookEvent, UnknownOperation> {
        HookEvent::new(driver, name, guest_row(operation))
    }

    /// `release` of the guest `name` with its reason, for example `destroyed` (R34).
    ///
    /// # Errors
    /// When the driver has no guests.
    pub fn release(driver: Driver, name: &str, reason: &str) -> Result<HookEvent, UnknownOperation> {
        let event = HookEvent::guest(driver, name, GuestOperation::Release)?;
        Ok(HookEvent {
            extra: reason.to_owned(),
            ..event
        })
    }

    /// `port-ready` of the guest `name`: the device `tap` (`vnet0`, for example) exists. For rules alone.
    ///
    /// # Errors
    /// When the driver has no guests.
    pub fn port_ready(driver: Driver, name: &str, tap: &str) -> Result<HookEvent, UnknownOperation> {
        let event = HookEvent::guest(driver, name, GuestOperation::PortReady)?;
        Ok(HookEvent {
            extra: tap.to_owned(),
            ..event
        })
    }

    /// The event with this operation of this driver, for a replay or a simulation. `extra` is the fourth argument; empty for
    /// that of the table.
    ///
    /// # Errors
    /// When the driver has no such operation.
    pub fn repeated(
        driver: Driver,
        object: &str,
        operation: &str,
        extra: &str,
    ) -> Result<HookEvent, NoSuchOperation> {
        let row = operations(driver)
            .find(|row| row.operation == operation)
            .ok_or_else(|| NoSuchOperation {
                driver,
                operation: operation.to_owned(),
            })?;
        let mut event = HookEvent::of_row(driver, object, row);
        if !extra.is_empty() {
            event.extra = extra.to_owned();
        }
        Ok(event)
    }

    /// An event of the network `name` (R70 to R75).
    pub fn network(name: &str, operation: NetworkOperation) -> HookEvent {
        HookEvent::of_row(Driver::Network, name, network_row(operation))
    }

    /// An event of the daemon (R20 to R22).
    pub fn daemon(operation: DaemonOperation) -> HookEvent {
        HookEvent::of_row(Driver::Daemon, NONE, daemon_row(operation))
    }

    /// The four arguments of the script: object, operation, sub-operation, extra (R7).
    pub fn argv(&self) -> [String; 4] {
        let empty_is_none = |text: &str| {
            if text.is_empty() {
                NONE.to_owned()
            } else {
                text.to_owned()
            }
        };
        [
            empty_is_none(&self.object),
            self.row.operation.to_owned(),
            self.row.sub_operation.to_owned(),
            empty_is_none(&self.extra),
        ]
    }

    /// Whose hooks are called.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// The name of the guest or network; `-` for the daemon.
    pub fn object(&self) -> &str {
        &self.object
    }

    /// The operation, as the script gets it.
    pub fn operation(&self) -> &'static str {
        self.row.operation
    }

    /// What the table says about the operation.
    pub fn row(&self) -> &'static Row {
        self.row
    }

    /// Whether the output of the scripts takes the place of the document (R35, R36).
    pub fn is_filter(&self) -> bool {
        self.row.filter
    }

    /// Whether a failed hook stops what is about to happen.
    pub fn may_abort(&self) -> bool {
        self.row.may_abort
    }

    /// Whether scripts are called; if not, it is for the rules that name it.
    pub fn for_scripts(&self) -> bool {
        self.row.audience == Audience::Scripts
    }

    /// Whether this is a `release` with its reason in the fourth argument.
    pub(crate) fn is_release(&self) -> bool {
        self.row.operation == guest_row(GuestOperation::Release).operation
    }

    /// Whether this is about one port of a network.
    pub(crate) fn is_of_a_port(&self) -> bool {
        [NetworkOperation::PortCreated, NetworkOperation::PortDeleted]
            .into_iter()
            .any(|operation| self.row == network_row(operation))
    }

    /// The same event without extra argument.
    pub(crate) fn without_extra(self) -> HookEvent {
        HookEvent {
            extra: NONE.to_owned(),
            ..self
        }
    }
}

/// `qemu web1 prepare begin -`.
impl fmt::Display for HookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.driver, self.argv().join(" "))
    }
}

#[cfg(test)]
mod tests;
