//! The table and the arguments that come from it.

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
    for (operation, text) in [
        (N::Defined, "network net1 defined end -"),
        (N::Undefined, "network net1 undefined end -"),
    ] {
        let event = HookEvent::network("net1", operation);
        assert_eq!(event.to_string(), text);
        assert!(!event.for_scripts() && !event.may_abort());
    }
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

/// The whole table, as text: a change of it is a change of the contract, and of docs/hooks/rules.md.
#[test]
fn r20_to_r75_the_table() {
    let line = |driver: Driver, row: &Row| {
        let mark = |yes, text| if yes { text } else { "" };
        format!(
            "{driver} {} {} {}{}{}{}{}",
            row.operation(),
            row.sub_operation(),
            row.extra(),
            mark(row.may_abort(), " abort"),
            mark(row.is_filter(), " filter"),
            mark(row.audience() == Audience::Rules, " rules"),
            mark(!row.is_raised(driver), " not-raised"),
        )
    };
    let all = |driver| {
        operations(driver)
            .map(|row| line(driver, row))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        all(Driver::Daemon),
        [
            "daemon start - start",
            "daemon shutdown - shutdown",
            "daemon reload begin SIGHUP"
        ]
    );
    assert_eq!(
        all(Driver::Qemu),
        [
            "qemu prepare begin - abort",
            "qemu start begin - abort",
            "qemu started begin - abort",
            "qemu stopped end -",
            "qemu release end -",
            "qemu reconnect begin - abort",
            "qemu migrate begin - abort filter not-raised",
            "qemu restore begin - abort filter not-raised",
            "qemu attach begin - abort not-raised",
            "qemu suspended end - rules",
            "qemu resumed end - rules",
            "qemu rebooted end - rules",
            "qemu reset end - rules",
            "qemu crashed end - rules",
            "qemu defined end - rules",
            "qemu undefined end - rules",
            "qemu port-ready end - rules",
        ]
    );
    assert_eq!(
        all(Driver::Network),
        [
            "network start begin - abort",
            "network started begin - abort",
            "network stopped end -",
            "network port-created begin - abort",
            "network port-deleted begin -",
            "network updated begin - not-raised",
            "network defined end - rules",
            "network undefined end - rules",
        ]
    );
    assert!(operations(Driver::Lxc).all(|row| row.is_raised(Driver::Lxc)));
    assert!(operations(Driver::Libxl).all(|row| !row.is_raised(Driver::Libxl)));
    let names = |driver| {
        operations(driver)
            .map(Row::operation)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        names(Driver::Lxc),
        "prepare start started stopped release reconnect suspended resumed defined undefined port-ready"
    );
    assert_eq!(
        names(Driver::Libxl),
        "prepare start started stopped release reconnect migrate suspended resumed crashed defined undefined \
         port-ready"
    );
}

#[test]
fn events_for_rules_are_not_for_scripts() {
    for operation in GuestOperation::ALL {
        let event = HookEvent::guest(Driver::Qemu, "g1", operation).unwrap();
        assert_eq!(event.for_scripts(), event.row().audience() == Audience::Scripts);
        if !event.for_scripts() {
            assert_eq!(event.argv()[2], "end", "{event}");
            assert!(!event.may_abort() && !event.is_filter(), "{event}");
        }
    }
    let event = HookEvent::port_ready(Driver::Qemu, "g1", "vnet0").unwrap();
    assert_eq!(event.argv(), ["g1", "port-ready", "end", "vnet0"]);
    assert!(HookEvent::port_ready(Driver::Daemon, "g1", "vnet0").is_err());
}

#[test]
fn r73_port_hooks_are_known_as_such() {
    for operation in NetworkOperation::ALL {
        let event = HookEvent::network("net1", operation);
        let expected = event.operation() == "port-created" || event.operation() == "port-deleted";
        assert_eq!(event.is_of_a_port(), expected);
    }
}

#[test]
fn a_repeated_event_is_that_of_the_table_unless_it_has_its_own_argument() {
    let repeated = |driver, operation, extra| {
        HookEvent::repeated(driver, "g1", operation, extra).map(|event| text(&event))
    };
    assert_eq!(
        repeated(Driver::Qemu, "started", "").unwrap(),
        "qemu g1 started begin -"
    );
    assert_eq!(
        repeated(Driver::Qemu, "release", "crashed").unwrap(),
        "qemu g1 release end crashed"
    );
    // What the table has for it stays when nothing else is asked for.
    assert_eq!(
        repeated(Driver::Daemon, "reload", "").unwrap(),
        "daemon g1 reload begin SIGHUP"
    );
    let error = repeated(Driver::Network, "release", "").unwrap_err();
    assert_eq!(
        (error.driver, error.operation.as_str()),
        (Driver::Network, "release")
    );
}

#[test]
fn r30_only_what_is_about_to_happen_can_be_refused() {
    let may_abort = |operation| {
        HookEvent::guest(Driver::Qemu, "g1", operation)
            .unwrap()
            .may_abort()
    };
    assert!(may_abort(GuestOperation::Prepare) && may_abort(GuestOperation::Start));
    assert!(!may_abort(GuestOperation::Stopped) && !may_abort(GuestOperation::Release));
}
