//! R24, R38 and R96: what a new daemon makes of what the last one left.

use std::time::Duration;

use ferrovirt_hook::Origin;

use super::stop::kill;
use super::*;
use crate::{BackendEvent, Observed, PausedReason, Phase, RunningReason};

/// A world in which a daemon started g1 on these networks and died.
fn left_running(networks: &[&str]) -> World {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", networks, ""));
    daemon.start("g1").unwrap();
    daemon.die();
    world.trace.take();
    world
}

/// The lines of a take-over.
fn taking_over(networks: &[&str]) -> Vec<String> {
    let mut lines = vec!["backend adopt".to_owned()];
    lines.extend(
        networks
            .iter()
            .map(|n| format!("network {n} port-created begin -")),
    );
    lines.push("qemu g1 reconnect begin -".to_owned());
    lines
}

#[test]
fn r38_r24_a_new_daemon_takes_a_running_guest_over() {
    let world = left_running(&["net1", "net2"]);
    let ports = world.ports();
    let document = world.hooks.document("qemu", "started");
    let daemon = world.boot();
    // Before anything else it is shown as running, and it waits.
    let seen = daemon.guest("g1").snapshot();
    assert_eq!(
        (seen.id, seen.reason),
        (Some(1), Reason::Running(RunningReason::Booted))
    );
    assert!(seen.persistent && seen.pid.unwrap().is_alive());
    assert_eq!(world.trace.take(), [""; 0]);
    daemon.run(daemon.guests.reconnect());
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    daemon.run(daemon.guest("g1").suspend(Origin::client())).unwrap();
    let mut expected = taking_over(&["net1", "net2"]);
    expected.push("backend suspend".to_owned());
    assert_eq!(world.trace.take(), expected);
    // The same ports, the same document.
    assert_eq!(world.ports(), ports);
    assert_eq!(world.hooks.document("qemu", "reconnect"), document);
    assert_eq!(world.status("g1").unwrap().phase, Phase::Up);
    daemon.destroy("g1").unwrap();
    let end = falling(&["net1", "net2"], TAP, "destroyed");
    assert_eq!(world.trace.take(), chain(&[&lines(&["backend kill"]), &end]));
    // Numbers go on above what was taken over.
    daemon.start("g1").unwrap();
    assert_eq!(daemon.guest("g1").snapshot().id, Some(2));
    daemon.destroy("g1").unwrap();
}

#[test]
fn r38_a_transient_guest_is_taken_over_too() {
    let world = World::new();
    let daemon = world.boot();
    daemon
        .run(
            daemon
                .guests
                .create(parse(&plain("g1")), StartFlags::default(), Origin::client()),
        )
        .unwrap();
    daemon.die();
    let daemon = world.reboot();
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    assert!(!daemon.guest("g1").snapshot().persistent);
    daemon.destroy("g1").unwrap();
    assert!(daemon.guests.list().is_empty());
}

#[test]
fn r38_the_end_of_a_guest_that_was_taken_over_is_seen() {
    let world = left_running(&[]);
    let daemon = world.reboot();
    daemon.until("g1", |seen| seen.phase == Phase::Up && seen.busy.is_none());
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    kill(daemon.guest("g1").snapshot().pid.unwrap());
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Crashed);
}

#[test]
fn r38_a_refused_reconnect_ends_the_guest() {
    let world = left_running(&["net1"]);
    world
        .hooks
        .on("qemu", "reconnect", "echo do not know it >&2; exit 1");
    let daemon = world.reboot();
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Daemon);
    let end = falling(&["net1"], TAP, "daemon");
    assert_eq!(
        world.trace.take(),
        chain(&[&taking_over(&["net1"]), &lines(&["backend kill"]), &end])
    );
    assert!(world.status("g1").is_none());
}

#[test]
fn r38_r95_a_destroy_ends_a_hanging_reconnect() {
    let world = left_running(&["net1"]);
    world.hooks.on("qemu", "reconnect", "sleep 1000 & wait");
    let daemon = world.reboot();
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    let seen = daemon.guest("g1").snapshot();
    assert_eq!((seen.state, seen.phase), (State::Running, Phase::Reconnect));
    assert_eq!(world.status("g1").unwrap().phase, Phase::Reconnect);
    daemon.destroy("g1").unwrap();
    let end = falling(&["net1"], TAP, "destroyed");
    assert_eq!(
        world.trace.take(),
        chain(&[&taking_over(&["net1"]), &lines(&["backend kill"]), &end])
    );
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Destroyed);
}

#[test]
fn r38_a_reconnect_that_was_cut_short_is_made_again() {
    let world = left_running(&[]);
    world
        .hooks
        .on("qemu", "reconnect", "sleep 1000 & echo $! > $D/child; wait");
    let daemon = world.reboot();
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    let child = number(&world.path("child"));
    daemon.die();
    world.trace.take();
    world.hooks.off("qemu", "reconnect");
    let daemon = world.reboot();
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    // The orphan of the last daemon was ended first.
    assert!(!alive(child));
    daemon.until("g1", |seen| seen.phase == Phase::Up && seen.busy.is_none());
    daemon.run(daemon.guest("g1").suspend(Origin::client())).unwrap();
    assert_eq!(
        world.trace.take(),
        ["backend adopt", "qemu g1 reconnect begin -", "backend suspend"]
    );
    daemon.destroy("g1").unwrap();
}

#[test]
fn r24_a_port_that_is_not_taken_over_does_not_end_the_guest() {
    let world = left_running(&["net1"]);
    world.hooks.on("network", "port-created", "exit 1");
    let daemon = world.reboot();
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    daemon.run(daemon.guest("g1").suspend(Origin::client())).unwrap();
    assert_eq!(daemon.guest("g1").snapshot().state, State::Paused);
    daemon.destroy("g1").unwrap();
}

#[test]
fn r24_a_guest_that_died_while_no_daemon_was_there() {
    let world = left_running(&["net1"]);
    let process = world.status("g1").unwrap().process.unwrap();
    kill(process);
    while process.is_alive() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let daemon = world.reboot();
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Crashed);
    let begin = lines(&["backend adopt", "network net1 port-created begin -"]);
    assert_eq!(
        world.trace.take(),
        chain(&[&begin, &falling(&["net1"], TAP, "crashed")])
    );
    assert!(world.status("g1").is_none() && world.ports().is_empty());
}

#[test]
fn r24_a_guest_that_powered_off_while_no_daemon_was_there() {
    let world = left_running(&["net1"]);
    let daemon = world.boot();
    daemon.backend.observe(Observed::Shutdown);
    daemon.run(daemon.guests.reconnect());
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Shutdown);
    let begin = lines(&[
        "backend adopt",
        "network net1 port-created begin -",
        "backend kill",
    ]);
    assert_eq!(
        world.trace.take(),
        chain(&[&begin, &falling(&["net1"], TAP, "shutdown")])
    );
}

#[test]
fn r24_after_a_power_cycle_nothing_is_called() {
    let world = left_running(&["net1"]);
    kill(world.status("g1").unwrap().process.unwrap());
    std::fs::remove_dir_all(world.path("run")).unwrap();
    let daemon = world.reboot();
    let seen = daemon.guest("g1").snapshot();
    assert_eq!(
        (seen.reason, seen.id),
        (Reason::Shutoff(ShutoffReason::Unknown), None)
    );
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(world.trace.take(), [""; 0]);
}

#[test]
fn r38_the_state_is_what_the_guest_does_now() {
    use Observed::{Panicked, Paused, Running};
    for (observed, reason) in [
        (Running, Reason::Running(RunningReason::Booted)),
        (Paused, Reason::Paused(PausedReason::Unknown)),
        (Panicked, Reason::Crashed(crate::CrashedReason::Panicked)),
    ] {
        let world = left_running(&[]);
        let daemon = world.boot();
        daemon.backend.observe(observed);
        daemon.run(daemon.guests.reconnect());
        daemon.run(world.trace.wait("qemu g1 reconnect"));
        assert_eq!(daemon.until("g1", |seen| seen.busy.is_none()).reason, reason);
        daemon.destroy("g1").unwrap();
    }
}

#[test]
fn r38_why_a_guest_is_paused_outlives_the_daemon() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    daemon
        .backend
        .happen("g1", BackendEvent::Paused { io_error: true });
    daemon.until("g1", |seen| seen.state == State::Paused);
    while world.status("g1").unwrap().reason != Reason::Paused(PausedReason::IoError) {}
    daemon.die();
    let daemon = world.boot();
    daemon.backend.observe(Observed::Paused);
    daemon.run(daemon.guests.reconnect());
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    assert_eq!(
        daemon.guest("g1").snapshot().reason,
        Reason::Paused(PausedReason::IoError)
    );
    daemon.destroy("g1").unwrap();
}

#[test]
fn r38_a_guest_that_libvirtd_left_is_taken_over() {
    let world = left_running(&["net1"]);
    let path = world.path("run").join("g1.xml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once("  <f:run").unwrap();
    let (_, tail) = rest.split_once("</f:run>\n").unwrap();
    std::fs::write(&path, format!("{head}{tail}")).unwrap();
    let ports = world.ports();
    let daemon = world.reboot();
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    assert_eq!(daemon.guest("g1").snapshot().id, Some(1));
    assert_eq!(world.ports(), ports);
    daemon.destroy("g1").unwrap();
    assert!(world.ports().is_empty());
}

fn alive(pid: i32) -> bool {
    ferrovirt_sys::process::ProcessId::of(pid).is_ok_and(|process| process.is_alive())
}

/// The daemon dies while this hook runs in a start of g1 on net1; what the next one calls.
fn cut_short_in(driver: &str, operation: &str, phase: Phase) -> Vec<String> {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    world
        .hooks
        .on(driver, operation, "sleep 1000 & echo $! > $D/child; wait");
    let handle = daemon.guest("g1");
    daemon.spawn(async move { handle.start(StartFlags::default(), Origin::client()).await });
    let child = number(&world.path("child"));
    recovered(&world, daemon, phase, Some(child))
}

/// Kills the daemon while g1 is in this phase; what the next one calls.
fn recovered(world: &World, daemon: Daemon, phase: Phase, child: Option<i32>) -> Vec<String> {
    let status = world.status("g1").unwrap();
    assert_eq!(status.phase, phase);
    assert_eq!(status.keeper.is_some(), child.is_some(), "{:?}", status.keeper);
    daemon.die();
    world.trace.take();
    for operation in ["prepare", "start", "started", "stopped", "release"] {
        world.hooks.off("qemu", operation);
    }
    let daemon = world.boot();
    daemon.run(daemon.guests.reconnect());
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Failed);
    assert!(!child.is_some_and(alive));
    assert!(!status.process.is_some_and(|process| process.is_alive()));
    assert!(world.ports().is_empty() && world.status("g1").is_none());
    let called = world.trace.take();
    // Nothing is in the way of the next start.
    world.hooks.off("network", "port-created");
    daemon.start("g1").unwrap();
    daemon.destroy("g1").unwrap();
    called
}

#[test]
fn r96_a_start_cut_short_in_a_hook_is_undone_by_the_next_daemon() {
    let called = cut_short_in("qemu", "prepare", Phase::Prepare);
    assert_eq!(called, falling(&[], "undo", "failed"));
    let called = cut_short_in("network", "port-created", Phase::Ports);
    // The port was on its way; there was none yet.
    assert_eq!(called, falling(&[], "undo", "failed"));
    let called = cut_short_in("qemu", "start", Phase::Start);
    assert_eq!(called, falling(&["net1"], TAP, "failed"));
    let called = cut_short_in("qemu", "started", Phase::Started);
    assert_eq!(called, falling(&["net1"], TAP, "failed"));
}

/// The daemon dies while the hypervisor is at this step of a start of g1 on net1; what the next one calls.
fn cut_short_at(step: &str, phase: Phase) -> Vec<String> {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    daemon.backend.hold(step);
    let handle = daemon.guest("g1");
    daemon.spawn(async move { handle.start(StartFlags::default(), Origin::client()).await });
    daemon.run(world.trace.wait(&format!("backend {step}")));
    recovered(&world, daemon, phase, None)
}

#[test]
fn r96_a_start_cut_short_in_the_hypervisor_is_undone_by_the_next_daemon() {
    for (step, phase) in [
        ("prepare", Phase::Resources),
        ("launch", Phase::Launch),
        ("resume", Phase::Resume),
    ] {
        assert_eq!(
            cut_short_at(step, phase),
            falling(&["net1"], TAP, "failed"),
            "{step}"
        );
    }
}

#[test]
fn r96_an_end_that_was_cut_short_is_brought_to_its_end() {
    for (step, phase, undo) in [
        ("kill", Phase::Kill, TAP),
        ("release gone", Phase::Kill, TAP),
        ("release labels", Phase::Labels, "undo"),
    ] {
        let world = World::new();
        let daemon = world.boot();
        daemon.define(&plain("g1"));
        daemon.start("g1").unwrap();
        daemon.backend.hold(step);
        let handle = daemon.guest("g1");
        daemon.spawn(async move { handle.destroy(DestroyFlags::default(), Origin::client()).await });
        daemon.run(world.trace.wait(&format!("backend {step}")));
        assert_eq!(
            recovered(&world, daemon, phase, None),
            falling(&[], undo, "failed"),
            "{step}"
        );
    }
    for (operation, phase) in [("stopped", Phase::Stopped), ("release", Phase::Release)] {
        let world = World::new();
        let daemon = world.boot();
        daemon.define(&plain("g1"));
        daemon.start("g1").unwrap();
        world
            .hooks
            .on("qemu", operation, "sleep 1000 & echo $! > $D/child; wait");
        let handle = daemon.guest("g1");
        daemon.spawn(async move { handle.destroy(DestroyFlags::default(), Origin::client()).await });
        let child = number(&world.path("child"));
        assert_eq!(
            recovered(&world, daemon, phase, Some(child)),
            falling(&[], "undo", "failed"),
            "{operation}"
        );
    }
}

#[test]
fn r96_a_transient_guest_that_was_cut_short_vanishes() {
    let world = World::new();
    let daemon = world.boot();
    world
        .hooks
        .on("qemu", "prepare", "sleep 1000 & echo $! > $D/child; wait");
    let guests = daemon.guests.clone();
    daemon.spawn(async move {
        guests
            .create(parse(&plain("g1")), StartFlags::default(), Origin::client())
            .await
            .map(drop)
    });
    number(&world.path("child"));
    daemon.die();
    let daemon = world.reboot();
    daemon.run(world.trace.wait("qemu g1 release end failed"));
    while !daemon.guests.list().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(world.status("g1").is_none());
}

#[test]
fn r96_a_destroy_of_what_is_being_undone_is_answered() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.backend.hold("launch");
    let handle = daemon.guest("g1");
    daemon.spawn(async move { handle.start(StartFlags::default(), Origin::client()).await });
    daemon.run(world.trace.wait("backend launch"));
    let process = world.status("g1").unwrap().process.unwrap();
    daemon.die();
    let daemon = world.boot();
    let handle = daemon.guest("g1");
    let destroy =
        daemon.spawn(async move { handle.destroy(DestroyFlags::default(), Origin::client()).await });
    // Even before the daemon takes over what is there.
    while process.is_alive() {
        std::thread::sleep(Duration::from_millis(5));
    }
    daemon.run(daemon.guests.reconnect());
    daemon.run(destroy).unwrap().unwrap();
    daemon.until_off("g1");
}
