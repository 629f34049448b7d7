//! R33 and R34: the way down, by whoever it was begun, and its reasons.

use ferrovirt_hook::Origin;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{BackendEvent, Lifecycle, Phase};

#[test]
fn r33_r34_an_end_goes_in_this_order() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1", "net2"], ""));
    daemon.start("g1").unwrap();
    let process = daemon.guest("g1").snapshot().pid.unwrap();
    world.trace.take();
    let mut events = daemon.guests.events();
    daemon.destroy("g1").unwrap();
    let kill = lines(&["backend kill"]);
    assert_eq!(
        world.trace.take(),
        chain(&[&kill, &falling(&["net1", "net2"], TAP, "destroyed")])
    );
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Destroyed);
    assert!(!process.is_alive() && world.ports().is_empty() && world.status("g1").is_none());
    assert_eq!(events.try_recv().unwrap().what, Lifecycle::StoppedDestroyed);
    assert!(daemon.guests.by_id(1).is_none());
    assert!(matches!(daemon.destroy("g1"), Err(Error::Invalid(text)) if text == "domain is not running"));
}

#[test]
fn r33_the_document_of_stopped_has_neither_id_nor_port() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    daemon.start("g1").unwrap();
    daemon.destroy("g1").unwrap();
    for operation in ["stopped", "release"] {
        let document = world.hooks.document("qemu", operation);
        assert!(document.starts_with("<domain type='qemu'>"), "{document}");
        assert!(
            document.contains("<source network='net1'/>") && !document.contains("vnet7"),
            "{document}"
        );
        // The rest of the run is still in it.
        assert!(
            document.contains("<alias name='net0'/>") && document.contains("launched"),
            "{document}"
        );
    }
    // The next start begins with the definition.
    daemon.start("g1").unwrap();
    assert!(!world.hooks.document("qemu", "prepare").contains("launched"));
    daemon.destroy("g1").unwrap();
}

#[test]
fn r33_the_guest_is_shown_as_shut_off_while_stopped_runs() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    world.hooks.on("qemu", "stopped", "sleep 1");
    let handle = daemon.guest("g1");
    let destroy =
        daemon.spawn(async move { handle.destroy(DestroyFlags::default(), Origin::client()).await });
    let seen = daemon.until("g1", |seen| seen.busy.as_deref() == Some("qemu g1 stopped end -"));
    assert_eq!(
        (seen.reason, seen.id),
        (Reason::Shutoff(ShutoffReason::Destroyed), None)
    );
    assert_eq!(world.status("g1").unwrap().phase, Phase::Stopped);
    daemon.run(destroy).unwrap().unwrap();
}

#[test]
fn r33_r34_failures_on_the_way_down_change_nothing() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    daemon.start("g1").unwrap();
    for (driver, operation) in [
        ("qemu", "stopped"),
        ("qemu", "release"),
        ("network", "port-deleted"),
    ] {
        world.hooks.on(driver, operation, "exit 1");
    }
    world.trace.take();
    daemon.destroy("g1").unwrap();
    let kill = lines(&["backend kill"]);
    assert_eq!(
        world.trace.take(),
        chain(&[&kill, &falling(&["net1"], TAP, "destroyed")])
    );
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Destroyed);
}

#[test]
fn r34_a_guest_that_powers_off_is_taken_down_with_reason_shutdown() {
    for guest_initiated in [true, false] {
        let world = World::new();
        let daemon = world.boot();
        daemon.define(&plain("g1"));
        daemon.start("g1").unwrap();
        world.trace.take();
        let mut events = daemon.guests.events();
        daemon
            .backend
            .happen("g1", BackendEvent::Shutdown { guest_initiated });
        assert_eq!(daemon.until_off("g1"), ShutoffReason::Shutdown);
        assert_eq!(
            world.trace.take(),
            chain(&[&lines(&["backend kill"]), &falling(&[], TAP, "shutdown")])
        );
        let who = if guest_initiated {
            Lifecycle::ShutdownGuest
        } else {
            Lifecycle::ShutdownHost
        };
        assert_eq!(daemon.run(events.recv()).unwrap().what, who);
        assert_eq!(
            daemon.run(events.recv()).unwrap().what,
            Lifecycle::StoppedShutdown
        );
    }
}

#[test]
fn r34_a_process_that_dies_is_a_crash() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    world.trace.take();
    let mut events = daemon.guests.events();
    kill(daemon.guest("g1").snapshot().pid.unwrap());
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Crashed);
    assert_eq!(
        world.trace.take(),
        chain(&[&lines(&["backend kill"]), &falling(&[], TAP, "crashed")])
    );
    assert_eq!(daemon.run(events.recv()).unwrap().what, Lifecycle::StoppedFailed);
    daemon.start("g1").unwrap();
    daemon.destroy("g1").unwrap();
}

#[test]
fn r34_a_process_that_goes_after_a_power_off_is_no_crash() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    world.hooks.on("qemu", "started", "sleep 1");
    let handle = daemon.guest("g1");
    let start = daemon.spawn(async move { handle.start(StartFlags::default(), Origin::client()).await });
    daemon.run(world.trace.wait("qemu g1 started"));
    // Both while the start still holds the guest: it is remembered.
    let process = daemon.guest("g1").snapshot().pid.unwrap();
    daemon.backend.happen(
        "g1",
        BackendEvent::Shutdown {
            guest_initiated: true,
        },
    );
    kill(process);
    daemon.run(start).unwrap().unwrap();
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Shutdown);
    let kill = lines(&["backend kill"]);
    assert_eq!(
        world.trace.take(),
        chain(&[&rising(&[]), &kill, &falling(&[], TAP, "shutdown")])
    );
}

#[test]
fn r34_a_process_that_does_not_go_leaves_the_guest_up() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    world.trace.take();
    daemon.backend.fail("kill graceful", "it does not go");
    let flags = DestroyFlags { graceful: true };
    let error = daemon
        .run(daemon.guest("g1").destroy(flags, Origin::client()))
        .unwrap_err();
    assert_eq!(error.to_string(), "it does not go");
    assert_eq!(world.trace.take(), ["backend kill graceful"]);
    let seen = daemon.guest("g1").snapshot();
    assert_eq!(
        (seen.state, seen.phase, seen.id),
        (State::Running, Phase::Up, Some(1))
    );
    assert_eq!(world.status("g1").unwrap().phase, Phase::Up);
    daemon.destroy("g1").unwrap();
    assert_eq!(
        world.trace.take(),
        chain(&[&lines(&["backend kill"]), &falling(&[], TAP, "destroyed")])
    );
}

#[test]
fn r34_autodestroy_ends_the_guest_with_its_connection() {
    let world = World::new();
    let daemon = world.boot();
    let connection = CancellationToken::new();
    let flags = StartFlags {
        autodestroy: Some(connection.clone()),
        ..StartFlags::default()
    };
    daemon
        .run(daemon.guests.create(parse(&plain("g1")), flags, Origin::client()))
        .unwrap();
    let handle = daemon.guest("g1");
    world.trace.take();
    connection.cancel();
    daemon.run(world.trace.wait("qemu g1 release end destroyed"));
    assert_eq!(
        world.trace.take(),
        chain(&[&lines(&["backend kill"]), &falling(&[], TAP, "destroyed")])
    );
    // It was transient, so it is gone.
    let error = loop {
        match daemon.run(handle.suspend(Origin::client())).unwrap_err() {
            Error::Invalid(_) => continue,
            error => break error,
        }
    };
    assert!(
        matches!(&error, Error::NoDomain(text) if text.ends_with("(g1)")),
        "{error:?}"
    );
    assert!(daemon.guests.by_name("g1").is_none());
}

#[test]
fn r34_a_transient_guest_is_not_found_once_its_end_was_answered() {
    let world = World::new();
    let daemon = world.boot();
    for _ in 0..10 {
        daemon
            .run(
                daemon
                    .guests
                    .create(parse(&plain("g1")), StartFlags::default(), Origin::client()),
            )
            .unwrap();
        daemon.destroy("g1").unwrap();
        assert!(daemon.guests.list().is_empty());
    }
}

pub(super) fn kill(process: ferrovirt_sys::process::ProcessId) {
    let killed = Command::new("kill")
        .args(["-9", &process.pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
}
