//! The table of events: who is told what, with which arguments (R7, R20 to R75). Everything about an operation that is
//! not code stands here, once.

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

/// One row: an operation and the arguments that come with it.
#[derive(Debug)]
struct Row {
    operation: &'static str,
    sub_operation: &'static str,
    extra: &'static str,
    drivers: &'static [Driver],
    filter: bool,
}

impl Row {
    const fn new(operation: &'static str, sub_operation: &'static str, drivers: &'static [Driver]) -> Row {
        Row {
            operation,
            sub_operation,
            extra: NONE,
            drivers,
            filter: false,
        }
    }

    const fn filter(operation: &'static str, drivers: &'static [Driver]) -> Row {
        Row {
            operation,
            sub_operation: "begin",
            extra: NONE,
            drivers,
            filter: true,
        }
    }
}

/// An argument that says nothing.
const NONE: &str = "-";

/// All kinds of guests.
const GUESTS: &[Driver] = &[Driver::Qemu, Driver::Lxc, Driver::Libxl];

const fn guest_row(operation: GuestOperation) -> Row {
    match operation {
        GuestOperation::Prepare => Row::new("prepare", "begin", GUESTS),
        GuestOperation::Start => Row::new("start", "begin", GUESTS),
        GuestOperation::Started => Row::new("started", "begin", GUESTS),
        GuestOperation::Stopped => Row::new("stopped", "end", GUESTS),
        GuestOperation::Release => Row::new("release", "end", GUESTS),
        GuestOperation::Reconnect => Row::new("reconnect", "begin", GUESTS),
        GuestOperation::Migrate => Row::filter("migrate", &[Driver::Qemu, Driver::Libxl]),
        GuestOperation::Restore => Row::filter("restore", &[Driver::Qemu]),
        GuestOperation::Attach => Row::new("attach", "begin", &[Driver::Qemu]),
    }
}

const fn network_row(operation: NetworkOperation) -> Row {
    match operation {
        NetworkOperation::Start => Row::new("start", "begin", &[Driver::Network]),
        NetworkOperation::Started => Row::new("started", "begin", &[Driver::Network]),
        NetworkOperation::Stopped => Row::new("stopped", "end", &[Driver::Network]),
        NetworkOperation::PortCreated => Row::new("port-created", "begin", &[Driver::Network]),
        NetworkOperation::PortDeleted => Row::new("port-deleted", "begin", &[Driver::Network]),
        NetworkOperation::Updated => Row::new("updated", "begin", &[Driver::Network]),
    }
}

const fn daemon_row(operation: DaemonOperation) -> Row {
    let (operation, sub_operation, extra) = match operation {
        DaemonOperation::Start => ("start", NONE, "start"),
        DaemonOperation::Shutdown => ("shutdown", NONE, "shutdown"),
        DaemonOperation::Reload => ("reload", "begin", "SIGHUP"),
    };
    Row {
        operation,
        sub_operation,
        extra,
        drivers: &[Driver::Daemon],
        filter: false,
    }
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

/// One thing that happened or is about to: valid by construction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HookEvent {
    driver: Driver,
    object: String,
    operation: &'static str,
    sub_operation: &'static str,
    extra: String,
    filter: bool,
}

impl HookEvent {
    fn new(driver: Driver, object: &str, row: Row) -> Result<HookEvent, UnknownOperation> {
        if !row.drivers.contains(&driver) {
            return Err(UnknownOperation {
                driver,
                operation: row.operation,
            });
        }
        Ok(HookEvent::of_row(driver, object, row))
    }

    /// Of a driver that the row names.
    fn of_row(driver: Driver, object: &str, row: Row) -> HookEvent {
        debug_assert!(row.drivers.contains(&driver));
        HookEvent {
            driver,
            object: object.to_owned(),
            operation: row.operation,
            sub_operation: row.sub_operation,
            extra: row.extra.to_owned(),
            filter: row.filter,
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
            self.operation.to_owned(),
            self.sub_operation.to_owned(),
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
        self.operation
    }

    /// Whether the output of the scripts takes the place of the document (R35, R36).
    pub fn is_filter(&self) -> bool {
        self.filter
    }

    /// Whether this is a `release` with its reason in the fourth argument.
    pub(crate) fn is_release(&self) -> bool {
        self.operation == guest_row(GuestOperation::Release).operation
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
mod tests {
    use super::*;

    fn text(event: &HookEvent) -> String {
        event.to_string()
    }

    #[test]
    fn r1_drivers_are_called_as_their_scripts() {
        assert_eq!(
            Driver::ALL.map(Driver::as_str),
            ["daemon", "qemu", "lxc", "libxl", "network"]
        );
        assert_eq!(Driver::Libxl.to_string(), "libxl");
    }

    #[test]
    fn r7_the_daemon_s_events() {
        use DaemonOperation as D;
        let all = [D::Start, D::Shutdown, D::Reload].map(|op| text(&HookEvent::daemon(op)));
        assert_eq!(
            all,
            [
                "daemon - start - start",
                "daemon - shutdown - shutdown",
                "daemon - reload begin SIGHUP"
            ]
        );
        assert!(!HookEvent::daemon(D::Start).is_filter());
        assert_eq!(HookEvent::daemon(D::Start).driver(), Driver::Daemon);
        assert_eq!(HookEvent::daemon(D::Start).object(), "-");
    }

    #[test]
    fn r7_the_networks_events() {
        use NetworkOperation as N;
        let all = [
            N::Start,
            N::Started,
            N::Stopped,
            N::PortCreated,
            N::PortDeleted,
            N::Updated,
        ]
        .map(|op| text(&HookEvent::network("net1", op)));
        assert_eq!(
            all,
            [
                "network net1 start begin -",
                "network net1 started begin -",
                "network net1 stopped end -",
                "network net1 port-created begin -",
                "network net1 port-deleted begin -",
                "network net1 updated begin -",
            ]
        );
    }

    #[test]
    fn r7_the_guests_events_and_which_drivers_know_them() {
        use GuestOperation as G;
        let rows = [
            (G::Prepare, "prepare begin -", "qemu lxc libxl", false),
            (G::Start, "start begin -", "qemu lxc libxl", false),
            (G::Started, "started begin -", "qemu lxc libxl", false),
            (G::Stopped, "stopped end -", "qemu lxc libxl", false),
            (G::Release, "release end -", "qemu lxc libxl", false),
            (G::Reconnect, "reconnect begin -", "qemu lxc libxl", false),
            (G::Migrate, "migrate begin -", "qemu libxl", true),
            (G::Restore, "restore begin -", "qemu", true),
            (G::Attach, "attach begin -", "qemu", false),
        ];
        for (operation, arguments, drivers, filter) in rows {
            let known: Vec<&str> = Driver::ALL
                .into_iter()
                .filter(|driver| HookEvent::guest(*driver, "g1", operation).is_ok())
                .map(Driver::as_str)
                .collect();
            assert_eq!(known.join(" "), drivers, "{arguments}");
            let event = HookEvent::guest(Driver::Qemu, "g1", operation).unwrap();
            assert_eq!(event.to_string(), format!("qemu g1 {arguments}"));
            assert_eq!(event.is_filter(), filter);
            assert_eq!(event.argv()[1], event.operation());
            assert_eq!(event.is_release(), operation == G::Release);
        }
        let error = HookEvent::guest(Driver::Lxc, "c1", G::Restore).unwrap_err();
        assert_eq!(error.to_string(), "driver lxc has no hook operation 'restore'");
    }

    #[test]
    fn r7_release_carries_its_reason_in_one_argument() {
        let event = HookEvent::release(Driver::Qemu, "g1", "from snapshot").unwrap();
        assert_eq!(event.argv(), ["g1", "release", "end", "from snapshot"]);
        assert_eq!(
            event.clone().without_extra().argv(),
            ["g1", "release", "end", "-"]
        );
        assert_eq!(event.object(), "g1");
        assert!(HookEvent::release(Driver::Network, "g1", "x").is_err());
        assert_eq!(
            HookEvent::release(Driver::Qemu, "", "").unwrap().argv(),
            ["-", "release", "end", "-"]
        );
    }
}
