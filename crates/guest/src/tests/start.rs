//! R30 to R32: the way up, and what a failure at each of its steps leads to.

use ferrovirt_hook::Origin;

use super::*;
use crate::{Lifecycle, PausedReason, Phase, RunningReason};

#[test]
fn r30_r31_r32_a_start_calls_hooks_and_does_work_in_this_order() {
    let world = World::new();
    let daemon = world.boot();
    let mut events = daemon.guests.events();
    daemon.define(&guest("g1", &["net1", "net2"], ""));
    daemon.start("g1").unwrap();
    assert_eq!(world.trace.take(), rising(&["net1", "net2"]));
    let seen = daemon.guest("g1").snapshot();
    assert_eq!(
        (seen.state, seen.reason),
        (State::Running, Reason::Running(RunningReason::Booted))
    );
    assert_eq!(
        (seen.id, seen.phase, seen.busy.as_deref()),
        (Some(1), Phase::Up, None)
    );
    assert!(seen.pid.unwrap().is_alive() && seen.is_active() && seen.persistent && !seen.updated);
    assert_eq!(daemon.guests.by_id(1).unwrap().snapshot().name, "g1");
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|e| e.what)
        .collect();
    use Lifecycle::{DefinedAdded, ResumedUnpaused, StartedBooted};
    assert_eq!(told, [DefinedAdded, ResumedUnpaused, StartedBooted]);
    assert_eq!(world.ports().len(), 2);
    daemon.destroy("g1").unwrap();
}

#[test]
fn r30_the_document_of_prepare_has_an_id_and_nothing_of_the_run() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    daemon.start("g1").unwrap();
    let document = world.hooks.document("qemu", "prepare");
    assert!(
        document.starts_with("<domain type='qemu' id='1'>") && document.ends_with("</domain>\n"),
        "{document}"
    );
    for absent in ["portid", "bridge=", "<alias", "<target dev='vnet"] {
        assert!(!document.contains(absent), "{absent} in {document}");
    }
    daemon.destroy("g1").unwrap();
}

#[test]
fn r31_r32_the_documents_of_start_and_started_have_what_is_known_by_then() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    daemon.start("g1").unwrap();
    let port = world.ports()[0].clone();
    let start = world.hooks.document("qemu", "start");
    let source = format!("<source network='net1' portid='{}' bridge='br-net1'/>", port.uuid);
    for present in [
        source.as_str(),
        "<target dev='vnet7'/>",
        "<alias name='net0'/>",
        "id='1'",
    ] {
        assert!(start.contains(present), "{present} not in {start}");
    }
    assert!(!start.contains("launched"));
    let started = world.hooks.document("qemu", "started");
    assert!(
        started.contains("<title>launched</title>") && started.contains(&source),
        "{started}"
    );
    let live = daemon.guest("g1").snapshot().to_xml(&ferrovirt_xml::Form::LIVE);
    assert_eq!(live, started);
    // What the hypervisor found out is on disk for the next daemon.
    let status = world.status("g1").unwrap();
    assert_eq!(status.facts["answer"], "42");
    assert_eq!(status.monitor.unwrap().to_str(), Some("/nowhere/monitor.sock"));
    assert_eq!((status.phase, status.ports), (Phase::Up, vec![port]));
    assert_eq!(status.reason, Reason::Running(RunningReason::Booted));
    daemon.destroy("g1").unwrap();
}

#[test]
fn r32_started_is_called_for_a_paused_start_too() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    let mut events = daemon.guests.events();
    let flags = StartFlags {
        paused: true,
        ..StartFlags::default()
    };
    daemon
        .run(daemon.guest("g1").start(flags, Origin::client()))
        .unwrap();
    let expected: Vec<_> = rising(&[])
        .into_iter()
        .filter(|line| line != "backend resume")
        .collect();
    assert_eq!(world.trace.take(), expected);
    assert_eq!(
        daemon.guest("g1").snapshot().reason,
        Reason::Paused(PausedReason::User)
    );
    assert_eq!(
        world.status("g1").unwrap().reason,
        Reason::Paused(PausedReason::User)
    );
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|e| e.what)
        .collect();
    assert_eq!(told, [Lifecycle::StartedBooted, Lifecycle::SuspendedPaused]);
    daemon.destroy("g1").unwrap();
}

#[test]
fn r30_a_guest_counts_as_starting_up_until_its_cpus_run() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    let gate = daemon.backend.hold("resume");
    let handle = daemon.guest("g1");
    let start = daemon.spawn(async move { handle.start(StartFlags::default(), Origin::client()).await });
    let seen = daemon.until("g1", |seen| seen.phase == Phase::Resume);
    assert_eq!(
        (seen.reason, seen.id),
        (Reason::Paused(PausedReason::StartingUp), Some(1))
    );
    assert!(seen.pid.unwrap().is_alive());
    gate.add_permits(1);
    daemon.run(start).unwrap().unwrap();
    daemon.destroy("g1").unwrap();
}

/// A start of g1 on net1 and net2 that fails because a hook says no: what was called, and what the client heard.
fn refused_by(driver: &str, operation: &str) -> (Vec<String>, String) {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1", "net2"], ""));
    // The later failures must not hide the first.
    world.hooks.on("qemu", "stopped", "echo stopped >&2; exit 9");
    world.hooks.on("qemu", "release", "echo release >&2; exit 9");
    world.hooks.on(
        driver,
        operation,
        &format!("echo {operation} says no >&2; exit 3"),
    );
    let error = daemon.start("g1").unwrap_err();
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Failed);
    assert_eq!(world.status("g1").map(|status| status.phase), None);
    assert_eq!(world.ports(), []);
    let called = world.trace.take();
    // The guest is as before: the next start works.
    world.hooks.off(driver, operation);
    daemon.start("g1").unwrap();
    daemon.destroy("g1").unwrap();
    (called, error.to_string())
}

#[test]
fn r30_a_refusal_by_prepare_is_followed_by_stopped_and_release() {
    let (called, error) = refused_by("qemu", "prepare");
    assert_eq!(
        called,
        chain(&[
            &lines(&["qemu g1 prepare begin -"]),
            &falling(&[], "undo", "failed")
        ])
    );
    assert!(
        error.starts_with("Hook script execution failed: internal error: Child process (LC_ALL=C"),
        "{error}"
    );
    assert!(
        error.contains("qemu g1 prepare begin -) unexpected exit status 3: prepare says no"),
        "{error}"
    );
}

#[test]
fn r73_a_refused_port_takes_back_the_ports_before_it() {
    let (called, error) = refused_by("network", "port-created");
    let up = lines(&["qemu g1 prepare begin -", "network net1 port-created begin -"]);
    assert_eq!(called, chain(&[&up, &falling(&[], "undo", "failed")]));
    assert!(
        error.contains("network net1 port-created begin -) unexpected exit status 3"),
        "{error}"
    );

    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1", "net2"], ""));
    world
        .hooks
        .on("network", "port-created", "[ $1 = net2 ] && exit 3");
    let error = daemon.start("g1").unwrap_err();
    assert!(matches!(error, Error::Network(_)), "{error:?}");
    let up = lines(&[
        "qemu g1 prepare begin -",
        "network net1 port-created begin -",
        "network net2 port-created begin -",
    ]);
    assert_eq!(
        world.trace.take(),
        chain(&[&up, &falling(&["net1"], "undo", "failed")])
    );
}

#[test]
fn r31_a_refusal_by_start_undoes_ports_and_resources() {
    let (called, error) = refused_by("qemu", "start");
    let up = rising(&["net1", "net2"]).into_iter().take(5).collect::<Vec<_>>();
    assert_eq!(called, chain(&[&up, &falling(&["net1", "net2"], TAP, "failed")]));
    assert!(
        error.contains("qemu g1 start begin -) unexpected exit status 3: start says no"),
        "{error}"
    );
}

#[test]
fn r32_a_refusal_by_started_ends_the_running_guest() {
    let (called, error) = refused_by("qemu", "started");
    let kill = lines(&["backend kill"]);
    assert_eq!(
        called,
        chain(&[
            &rising(&["net1", "net2"]),
            &kill,
            &falling(&["net1", "net2"], TAP, "failed")
        ])
    );
    assert!(
        error.contains("qemu g1 started begin -) unexpected exit status 3: started says no"),
        "{error}"
    );
}

/// A start of g1 on net1 that fails in the hypervisor.
fn broken_at(step: &str) -> (Vec<String>, String) {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    daemon.backend.fail(step, "it is broken");
    let error = daemon.start("g1").unwrap_err();
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Failed);
    assert!(matches!(error, Error::Backend(_)));
    assert!(world.status("g1").is_none() && world.ports().is_empty());
    (world.trace.take(), error.to_string())
}

#[test]
fn r30_a_failure_of_the_hypervisor_takes_the_same_way_out() {
    let (called, error) = broken_at("prepare");
    assert_eq!(
        called,
        chain(&[&rising(&["net1"])[..3], &falling(&["net1"], TAP, "failed")])
    );
    assert_eq!(error, "it is broken");

    let (called, _) = broken_at("launch");
    assert_eq!(
        called,
        chain(&[&rising(&["net1"])[..5], &falling(&["net1"], TAP, "failed")])
    );

    let (called, _) = broken_at("resume");
    let kill = lines(&["backend kill"]);
    assert_eq!(
        called,
        chain(&[&rising(&["net1"])[..6], &kill, &falling(&["net1"], TAP, "failed")])
    );
}

#[test]
fn r30_a_process_that_was_born_in_a_failed_launch_is_killed() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.backend.fail("launch", "no monitor");
    let gate = daemon.backend.hold("launch");
    let handle = daemon.guest("g1");
    let start = daemon.spawn(async move { handle.start(StartFlags::default(), Origin::client()).await });
    daemon.run(world.trace.wait("backend launch"));
    let process = world.status("g1").unwrap().process.unwrap();
    assert!(process.is_alive());
    gate.add_permits(1);
    daemon.run(start).unwrap().unwrap_err();
    assert!(!process.is_alive());
}

#[test]
fn r30_nothing_is_called_when_the_state_cannot_be_written() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    std::fs::remove_dir(world.path("run")).unwrap();
    let error = daemon.start("g1").unwrap_err();
    assert!(error.to_string().contains("cannot write"), "{error}");
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Failed);
    assert_eq!(world.trace.take(), [""; 0]);
}

#[test]
fn r30_a_transient_guest_whose_start_fails_does_not_stay() {
    let world = World::new();
    let daemon = world.boot();
    world.hooks.on("qemu", "start", "exit 1");
    let mut events = daemon.guests.events();
    let created = daemon.run(daemon.guests.create(
        parse(&plain("g1")),
        StartFlags::default(),
        Origin::client(),
    ));
    assert!(matches!(created, Err(Error::Hook(_))));
    assert!(daemon.guests.list().is_empty() && daemon.guests.by_name("g1").is_none());
    // What was never told to be there is not told to be gone.
    assert!(events.try_recv().is_err());
    let up = lines(&[
        "qemu g1 prepare begin -",
        "backend prepare",
        "qemu g1 start begin -",
    ]);
    assert_eq!(world.trace.take(), chain(&[&up, &falling(&[], TAP, "failed")]));
}

#[test]
fn r30_a_second_start_hears_that_the_guest_runs() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    let error = daemon.start("g1").unwrap_err();
    assert!(
        matches!(&error, Error::Invalid(text) if text == "domain is already running"),
        "{error:?}"
    );
    let created = daemon.run(daemon.guests.create(
        parse(&plain("g1")),
        StartFlags::default(),
        Origin::client(),
    ));
    assert!(matches!(created, Err(Error::Invalid(text)) if text == "domain 'g1' is already active"));
    daemon.destroy("g1").unwrap();
}

#[test]
fn r30_a_start_beside_a_start_waits_for_what_becomes_of_it() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    world.hooks.on("qemu", "prepare", "sleep 1; exit 1");
    let (one, two) = (daemon.guest("g1"), daemon.guest("g1"));
    let first = daemon.spawn(async move { one.start(StartFlags::default(), Origin::client()).await });
    daemon.run(world.trace.wait("qemu g1 prepare"));
    let second = daemon.spawn(async move { two.start(StartFlags::default(), Origin::client()).await });
    // Read by the shell before it sleeps.
    std::thread::sleep(std::time::Duration::from_millis(300));
    world.hooks.off("qemu", "prepare");
    assert!(daemon.run(first).unwrap().is_err());
    daemon.run(second).unwrap().unwrap();
    assert_eq!(daemon.guest("g1").snapshot().id, Some(2));
    daemon.destroy("g1").unwrap();
}

#[test]
fn ids_count_from_one_and_are_not_used_twice() {
    let world = World::new();
    let daemon = world.boot();
    for (name, id) in [("g1", 1), ("g2", 2)] {
        daemon.define(&plain(name));
        daemon.start(name).unwrap();
        assert_eq!(daemon.guest(name).snapshot().id, Some(id));
    }
    daemon.destroy("g1").unwrap();
    daemon.start("g1").unwrap();
    assert_eq!(daemon.guest("g1").snapshot().id, Some(3));
    assert!(daemon.guests.by_id(1).is_none());
    daemon.destroy("g1").unwrap();
    daemon.destroy("g2").unwrap();
}

#[test]
fn autostart_happens_once_per_boot_of_the_machine() {
    let world = World::new();
    let daemon = world.boot();
    for name in ["g1", "g2", "g3"] {
        daemon.define(&plain(name));
    }
    for name in ["g1", "g2"] {
        daemon
            .run(daemon.guest(name).set_autostart(true, Origin::client()))
            .unwrap();
    }
    world.hooks.on("qemu", "prepare", "[ $1 = g1 ] && exit 1");
    daemon.run(daemon.guests.autostart());
    let running = |daemon: &Daemon| -> Vec<_> {
        daemon
            .guests
            .list()
            .iter()
            .filter(|seen| seen.is_active())
            .map(|seen| seen.name.clone())
            .collect()
    };
    assert_eq!(running(&daemon), ["g2"]);
    daemon.destroy("g2").unwrap();
    daemon.run(daemon.guests.autostart());
    assert_eq!(running(&daemon), [""; 0]);
    drop(daemon);
    let daemon = world.reboot();
    daemon.run(daemon.guests.autostart());
    assert_eq!(running(&daemon), [""; 0]);
    // The machine boots.
    std::fs::remove_dir_all(world.path("boot")).unwrap();
    daemon.run(daemon.guests.autostart());
    assert_eq!(running(&daemon), ["g2"]);
    daemon.destroy("g2").unwrap();
}
