//! R90, R91 and R95: reading beside a hook, calling back from inside one, and a destroy that gets through.

use std::time::{Duration, Instant};

use ferrovirt_hook::Origin;
use tokio::task::JoinHandle;

use super::*;
use crate::{Phase, ShutdownMode};

fn begin(daemon: &Daemon, name: &str) -> JoinHandle<Result<(), Error>> {
    let handle = daemon.guest(name);
    daemon.spawn(async move { handle.start(StartFlags::default(), Origin::client()).await })
}

fn begin_destroy(daemon: &Daemon, name: &str) -> JoinHandle<Result<(), Error>> {
    let handle = daemon.guest(name);
    daemon.spawn(async move { handle.destroy(DestroyFlags::default(), Origin::client()).await })
}

#[test]
fn r90_queries_never_wait_for_a_hook() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.define(&plain("g2"));
    world.hooks.on("qemu", "prepare", "sleep 2");
    let start = begin(&daemon, "g1");
    daemon.run(world.trace.wait("qemu g1 prepare"));
    let before = Instant::now();
    let names: Vec<_> = daemon
        .guests
        .list()
        .iter()
        .map(|seen| seen.name.clone())
        .collect();
    assert_eq!(names, ["g1", "g2"]);
    let seen = daemon.guest("g1").snapshot();
    assert_eq!(
        (seen.state, seen.busy.as_deref()),
        (State::Paused, Some("qemu g1 prepare begin -"))
    );
    assert!(seen.to_xml(&ferrovirt_xml::Form::LIVE).contains("id='1'"));
    assert_eq!(daemon.guests.by_id(1).unwrap().snapshot().name, "g1");
    assert!(
        before.elapsed() < Duration::from_secs(1),
        "{:?}",
        before.elapsed()
    );
    daemon.run(start).unwrap().unwrap();
    assert_eq!(daemon.guest("g1").snapshot().busy, None);
    daemon.destroy("g1").unwrap();
}

#[test]
fn r90_other_guests_do_not_wait_for_this_ones_hook() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    daemon.define(&guest("g2", &["net1"], ""));
    world.hooks.on("network", "port-created", "sleep 1");
    let before = Instant::now();
    let (one, two) = (begin(&daemon, "g1"), begin(&daemon, "g2"));
    daemon.run(one).unwrap().unwrap();
    daemon.run(two).unwrap().unwrap();
    assert!(
        before.elapsed() < Duration::from_millis(1900),
        "{:?}",
        before.elapsed()
    );
    daemon.destroy("g1").unwrap();
    daemon.destroy("g2").unwrap();
}

#[test]
fn r90_a_definition_can_be_changed_beside_a_hook() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    world.hooks.on("qemu", "prepare", "sleep 2");
    let start = begin(&daemon, "g1");
    daemon.run(world.trace.wait("qemu g1 prepare"));
    let before = Instant::now();
    daemon.define(&guest("g1", &[], "<title>new</title>"));
    daemon
        .run(daemon.guest("g1").set_autostart(true, Origin::client()))
        .unwrap();
    assert!(
        before.elapsed() < Duration::from_secs(1),
        "{:?}",
        before.elapsed()
    );
    daemon.run(start).unwrap().unwrap();
    let seen = daemon.guest("g1").snapshot();
    assert_eq!(seen.config.as_ref().unwrap().title.as_deref(), Some("new"));
    assert!(seen.autostart && seen.updated);
    daemon.destroy("g1").unwrap();
    assert!(!daemon.guest("g1").snapshot().updated);
}

/// The origin of requests that come from inside the hook which the daemon runs now.
fn inside(daemon: &Daemon, pid_file: &std::path::Path) -> Origin {
    daemon
        .engine
        .origin_of(number(pid_file))
        .expect("the hook is known")
}

#[test]
fn r91_a_hook_may_change_other_guests_but_not_the_one_that_waits_for_it() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.define(&plain("g2"));
    let pid_file = world.path("pid");
    world.hooks.on(
        "qemu",
        "prepare",
        &format!("[ $1 = g1 ] && {{ echo $$ > {}; sleep 3; }}", pid_file.display()),
    );
    let start = begin(&daemon, "g1");
    let origin = inside(&daemon, &pid_file);
    let (g1, g2) = (daemon.guest("g1"), daemon.guest("g2"));
    let before = Instant::now();
    daemon
        .run(g2.start(StartFlags::default(), origin.clone()))
        .unwrap();
    for (verb, refused) in [
        (
            "destroy",
            daemon.run(g1.destroy(DestroyFlags::default(), origin.clone())),
        ),
        (
            "start",
            daemon.run(g1.start(StartFlags::default(), origin.clone())),
        ),
        ("suspend", daemon.run(g1.suspend(origin.clone()))),
        ("resume", daemon.run(g1.resume(origin.clone()))),
        (
            "shutdown",
            daemon.run(g1.shutdown(ShutdownMode::Default, origin.clone())),
        ),
        (
            "reboot",
            daemon.run(g1.reboot(ShutdownMode::Default, origin.clone())),
        ),
        ("reset", daemon.run(g1.reset(origin.clone()))),
        ("undefine", daemon.run(g1.undefine(origin.clone()))),
        ("autostart", daemon.run(g1.set_autostart(true, origin.clone()))),
        ("rename", daemon.run(g1.rename("g9", origin.clone()))),
        (
            "define",
            daemon
                .run(daemon.guests.define(parse(&plain("g1")), origin.clone()))
                .map(drop),
        ),
    ] {
        let error = refused.unwrap_err();
        let Error::Busy(text) = &error else {
            panic!("{error:?}")
        };
        assert!(text.contains(&format!("{verb} of guest g1")), "{text}");
        assert!(text.contains("hooks/qemu (qemu g1 prepare begin -)"), "{text}");
    }
    // What g2's own hooks ask for still comes from the hook of g1.
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "{:?}",
        before.elapsed()
    );
    daemon.run(start).unwrap().unwrap();
    daemon.destroy("g1").unwrap();
    daemon.destroy("g2").unwrap();
}

#[test]
fn r91_the_chain_goes_on_through_the_hooks_of_what_a_hook_asks_for() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.define(&plain("g2"));
    daemon.start("g2").unwrap();
    let (first, second) = (world.path("first"), world.path("second"));
    world.hooks.on(
        "qemu",
        "prepare",
        &format!("echo $$ > {}; sleep 3", first.display()),
    );
    world.hooks.on(
        "qemu",
        "stopped",
        &format!("[ $1 = g2 ] && {{ echo $$ > {}; sleep 1; }}", second.display()),
    );
    let start = begin(&daemon, "g1");
    let origin = inside(&daemon, &first);
    let handle = daemon.guest("g2");
    let destroy = daemon.spawn(async move { handle.destroy(DestroyFlags::default(), origin).await });
    let origin = inside(&daemon, &second);
    for name in ["g1", "g2"] {
        let error = daemon
            .run(daemon.guest(name).suspend(origin.clone()))
            .unwrap_err();
        assert!(
            matches!(&error, Error::Busy(text) if text.contains("hooks/qemu")),
            "{error:?}"
        );
    }
    daemon.run(destroy).unwrap().unwrap();
    daemon.run(start).unwrap().unwrap();
    daemon.destroy("g1").unwrap();
}

#[test]
fn r91_a_port_hook_may_not_change_the_guest_either() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    let pid_file = world.path("pid");
    world.hooks.on(
        "network",
        "port-created",
        &format!("echo $$ > {}; sleep 2", pid_file.display()),
    );
    let start = begin(&daemon, "g1");
    let origin = inside(&daemon, &pid_file);
    let error = daemon
        .run(daemon.guest("g1").destroy(DestroyFlags::default(), origin))
        .unwrap_err();
    assert!(
        matches!(&error, Error::Busy(text) if text.contains("network net1 port-created")),
        "{error:?}"
    );
    daemon.run(start).unwrap().unwrap();
    daemon.destroy("g1").unwrap();
}

/// Destroys g1 while this hook hangs; the lines up to the kill of the process, and the error of the start.
fn destroyed_in(driver: &str, operation: &str) -> (Vec<String>, String) {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    let child = world.path("child");
    // With a child, so that it is seen that the whole tree goes.
    world.hooks.on(
        driver,
        operation,
        &format!("sleep 1000 & echo $! > {}; wait", child.display()),
    );
    let start = begin(&daemon, "g1");
    daemon.run(world.trace.wait(&format!(
        "{driver} {} {operation}",
        if driver == "qemu" { "g1" } else { "net1" }
    )));
    let child = number(&child);
    let process = daemon.guest("g1").snapshot().pid;
    let before = Instant::now();
    daemon.destroy("g1").unwrap();
    assert!(
        before.elapsed() < Duration::from_secs(4),
        "{:?}",
        before.elapsed()
    );
    let error = daemon.run(start).unwrap().unwrap_err().to_string();
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Destroyed);
    assert!(!process.is_some_and(|process| process.is_alive()));
    assert!(!ferrovirt_sys::process::ProcessId::of(child).is_ok_and(|child| child.is_alive()));
    assert!(world.ports().is_empty() && world.status("g1").is_none());
    (world.trace.take(), error)
}

#[test]
fn r95_a_destroy_ends_the_start_that_waits_for_a_hook() {
    let (called, error) = destroyed_in("qemu", "prepare");
    assert_eq!(
        called,
        chain(&[&rising(&["net1"])[..1], &falling(&[], "undo", "destroyed")])
    );
    assert!(
        error.contains("qemu g1 prepare begin -") && error.contains("destroy"),
        "{error}"
    );

    let (called, error) = destroyed_in("network", "port-created");
    assert_eq!(
        called,
        chain(&[&rising(&["net1"])[..2], &falling(&[], "undo", "destroyed")])
    );
    assert!(
        error.contains("network net1 port-created begin -") && error.contains("destroy"),
        "{error}"
    );

    let (called, error) = destroyed_in("qemu", "start");
    assert_eq!(
        called,
        chain(&[&rising(&["net1"])[..4], &falling(&["net1"], TAP, "destroyed")])
    );
    assert!(
        error.contains("qemu g1 start begin -") && error.contains("destroy"),
        "{error}"
    );

    let (called, error) = destroyed_in("qemu", "started");
    let kill = lines(&["backend kill"]);
    assert_eq!(
        called,
        chain(&[&rising(&["net1"]), &kill, &falling(&["net1"], TAP, "destroyed")])
    );
    assert!(
        error.contains("qemu g1 started begin -") && error.contains("destroy"),
        "{error}"
    );
}

#[test]
fn r95_the_process_goes_at_once_and_the_script_after_five_seconds() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    // It answers SIGTERM with more sleep.
    world.hooks.on(
        "qemu",
        "started",
        "trap 'echo heard >> $D/heard' TERM; while :; do sleep 1; done",
    );
    let start = begin(&daemon, "g1");
    daemon.run(world.trace.wait("qemu g1 started"));
    let process = daemon.guest("g1").snapshot().pid.unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let before = Instant::now();
    let destroy = begin_destroy(&daemon, "g1");
    while process.is_alive() {
        assert!(before.elapsed() < Duration::from_secs(3));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!world.trace.lines().iter().any(|line| line.contains("stopped")));
    daemon.run(destroy).unwrap().unwrap();
    let took = before.elapsed();
    assert!(
        took > Duration::from_millis(4500) && took < Duration::from_secs(9),
        "{took:?}"
    );
    assert!(world.path("heard").exists());
    assert!(
        daemon
            .run(start)
            .unwrap()
            .unwrap_err()
            .to_string()
            .contains("destroy")
    );
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Destroyed);
}

#[test]
fn r95_a_script_that_shrugs_off_the_signal_does_not_save_the_start() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    world
        .hooks
        .on("qemu", "prepare", "trap 'exit 0' TERM; sleep 1000 & wait");
    let start = begin(&daemon, "g1");
    daemon.run(world.trace.wait("qemu g1 prepare"));
    std::thread::sleep(Duration::from_millis(300));
    daemon.destroy("g1").unwrap();
    let error = daemon.run(start).unwrap().unwrap_err().to_string();
    assert!(
        error.contains("qemu g1 prepare begin -") && error.contains("destroy"),
        "{error}"
    );
    assert_eq!(
        world.trace.take(),
        chain(&[&rising(&[])[..1], &falling(&[], "undo", "destroyed")])
    );
}

/// Destroys g1 while the hypervisor is at this step of its start.
fn destroyed_at(step: &str, fails: bool) -> (Vec<String>, String) {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    let gate = daemon.backend.hold(step);
    if fails {
        daemon.backend.fail(step, "because its process is gone");
    }
    let start = begin(&daemon, "g1");
    daemon.run(world.trace.wait(&format!("backend {step}")));
    let process = world.status("g1").unwrap().process;
    let destroy = begin_destroy(&daemon, "g1");
    // Killed although the hypervisor is still at it.
    while process.is_some_and(|process| process.is_alive()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    gate.add_permits(1);
    daemon.run(destroy).unwrap().unwrap();
    let error = daemon.run(start).unwrap().unwrap_err().to_string();
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Destroyed);
    (world.trace.take(), error)
}

#[test]
fn r95_no_further_step_begins_after_a_destroy() {
    let (called, error) = destroyed_at("prepare", false);
    assert_eq!(
        called,
        chain(&[&rising(&[])[..2], &falling(&[], TAP, "destroyed")])
    );
    assert_eq!(error, "the start of guest 'g1' was ended by destroy");
    let (called, _) = destroyed_at("launch", false);
    let kill = lines(&["backend kill"]);
    assert_eq!(
        called,
        chain(&[&rising(&[])[..4], &kill, &falling(&[], TAP, "destroyed")])
    );
    // A failure that the destroy brought about is no news.
    let (called, error) = destroyed_at("launch", true);
    assert_eq!(
        called,
        chain(&[&rising(&[])[..4], &falling(&[], TAP, "destroyed")])
    );
    assert_eq!(error, "the launch was ended by destroy");
    let (called, error) = destroyed_at("resume", true);
    assert_eq!(
        called,
        chain(&[&rising(&[])[..5], &kill, &falling(&[], TAP, "destroyed")])
    );
    assert_eq!(error, "the start of the CPUs was ended by destroy");
}

#[test]
fn r95_a_hanging_stopped_or_release_does_not_hold_a_second_destroy() {
    for operation in ["stopped", "release"] {
        let world = World::new();
        let daemon = world.boot();
        daemon.define(&plain("g1"));
        daemon.start("g1").unwrap();
        world.hooks.on("qemu", operation, "sleep 2");
        let first = begin_destroy(&daemon, "g1");
        daemon.run(world.trace.wait(&format!("qemu g1 {operation}")));
        let before = Instant::now();
        let error = daemon.destroy("g1").unwrap_err();
        assert!(
            before.elapsed() < Duration::from_secs(1),
            "{:?}",
            before.elapsed()
        );
        let Error::Busy(text) = &error else {
            panic!("{error:?}")
        };
        assert!(text.contains(&format!("hook qemu g1 {operation} end")), "{text}");
        daemon.run(first).unwrap().unwrap();
        assert_eq!(daemon.until_off("g1"), ShutoffReason::Destroyed);
    }
}

#[test]
fn r95_a_second_destroy_makes_the_first_one_insist() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    let process = daemon.guest("g1").snapshot().pid.unwrap();
    let gate = daemon.backend.hold("kill graceful");
    let handle = daemon.guest("g1");
    let flags = DestroyFlags { graceful: true };
    let first = daemon.spawn(async move { handle.destroy(flags, Origin::client()).await });
    daemon.until("g1", |seen| seen.phase == Phase::Kill);
    daemon.run(world.trace.wait("backend kill graceful"));
    // One that is graceful itself kills nobody.
    let handle = daemon.guest("g1");
    let second = daemon.spawn(async move { handle.destroy(flags, Origin::client()).await });
    std::thread::sleep(Duration::from_millis(200));
    assert!(process.is_alive());
    let third = begin_destroy(&daemon, "g1");
    while process.is_alive() {
        std::thread::sleep(Duration::from_millis(5));
    }
    gate.add_permits(1);
    for destroy in [first, second, third] {
        daemon.run(destroy).unwrap().unwrap();
    }
}

#[test]
fn r95_a_destroy_gets_through_a_hypervisor_that_hangs() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    world.trace.take();
    let process = daemon.guest("g1").snapshot().pid.unwrap();
    let gate = daemon.backend.hold("suspend");
    let handle = daemon.guest("g1");
    let suspend = daemon.spawn(async move { handle.suspend(Origin::client()).await });
    daemon.run(world.trace.wait("backend suspend"));
    let destroy = begin_destroy(&daemon, "g1");
    while process.is_alive() {
        std::thread::sleep(Duration::from_millis(5));
    }
    gate.add_permits(1);
    daemon.run(destroy).unwrap().unwrap();
    daemon.run(suspend).unwrap().unwrap();
    let expected = chain(&[
        &lines(&["backend suspend", "backend kill"]),
        &falling(&[], TAP, "destroyed"),
    ]);
    assert_eq!(world.trace.take(), expected);
}

#[test]
fn r95_autodestroy_gets_through_a_hook_too() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    world.hooks.on("qemu", "prepare", "sleep 1000 & wait");
    let connection = tokio_util::sync::CancellationToken::new();
    let flags = StartFlags {
        autodestroy: Some(connection.clone()),
        ..StartFlags::default()
    };
    let handle = daemon.guest("g1");
    let start = daemon.spawn(async move { handle.start(flags, Origin::client()).await });
    daemon.run(world.trace.wait("qemu g1 prepare"));
    connection.cancel();
    assert!(
        daemon
            .run(start)
            .unwrap()
            .unwrap_err()
            .to_string()
            .contains("destroy")
    );
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Destroyed);
    assert_eq!(
        world.trace.take(),
        chain(&[&rising(&[])[..1], &falling(&[], "undo", "destroyed")])
    );
}

#[test]
fn what_waits_for_a_hook_is_told_who_holds_the_guest() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    world.hooks.on("qemu", "prepare", "sleep 1000 & wait");
    let start = begin(&daemon, "g1");
    daemon.run(world.trace.wait("qemu g1 prepare"));
    let before = Instant::now();
    let error = daemon
        .run(daemon.guest("g1").suspend(Origin::client()))
        .unwrap_err();
    assert!(
        before.elapsed() > Duration::from_millis(2900),
        "{:?}",
        before.elapsed()
    );
    let Error::Timeout(text) = &error else {
        panic!("{error:?}")
    };
    let expected = "cannot acquire state change lock: guest 'g1' is held by start, which waits for hook qemu g1 \
                    prepare begin -";
    assert_eq!(text, expected);
    daemon.destroy("g1").unwrap();
    daemon.run(start).unwrap().unwrap_err();
}
