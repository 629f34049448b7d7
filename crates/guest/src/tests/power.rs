//! R40: what calls no hook, because it is the same run; and the states that readers see.

use std::time::Duration;

use ferrovirt_hook::Origin;

use super::*;
use crate::{
    BackendEvent, CrashedReason, GuestHandle, Lifecycle, PausedReason, RunningReason, ShutdownMode, StatsAsk,
    What,
};

fn up(more: &str) -> (World, Daemon) {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &[], more));
    daemon.start("g1").unwrap();
    world.trace.take();
    (world, daemon)
}

fn told(events: &mut tokio::sync::mpsc::UnboundedReceiver<crate::Event>) -> Vec<What> {
    std::iter::from_fn(|| events.try_recv().ok())
        .map(|e| e.what)
        .collect()
}

#[test]
fn r40_suspend_and_resume_call_nothing() {
    let (world, daemon) = up("");
    let guest = daemon.guest("g1");
    let mut events = daemon.guests.events();
    daemon.run(guest.suspend(Origin::client())).unwrap();
    assert_eq!(guest.snapshot().reason, Reason::Paused(PausedReason::User));
    assert_eq!(
        world.status("g1").unwrap().reason,
        Reason::Paused(PausedReason::User)
    );
    daemon.run(guest.suspend(Origin::client())).unwrap();
    daemon.run(guest.resume(Origin::client())).unwrap();
    assert_eq!(guest.snapshot().reason, Reason::Running(RunningReason::Unpaused));
    assert_eq!(
        world.status("g1").unwrap().reason,
        Reason::Running(RunningReason::Unpaused)
    );
    let again = daemon.run(guest.resume(Origin::client()));
    assert!(matches!(again, Err(Error::Invalid(text)) if text == "domain is already running"));
    assert_eq!(world.trace.take(), ["backend suspend", "backend resume"]);
    assert_eq!(
        told(&mut events),
        [Lifecycle::SuspendedPaused, Lifecycle::ResumedUnpaused]
    );
    daemon.backend.fail("suspend", "no answer");
    assert_eq!(
        daemon
            .run(guest.suspend(Origin::client()))
            .unwrap_err()
            .to_string(),
        "no answer"
    );
    assert_eq!(guest.snapshot().state, State::Running);
    daemon.destroy("g1").unwrap();
    let off = daemon.run(guest.suspend(Origin::client()));
    assert!(matches!(off, Err(Error::Invalid(text)) if text == "domain is not running"));
}

#[test]
fn r40_a_reset_calls_nothing() {
    let (world, daemon) = up("");
    daemon.run(daemon.guest("g1").reset(Origin::client())).unwrap();
    daemon.backend.happen(
        "g1",
        BackendEvent::Reset {
            guest_initiated: true,
        },
    );
    assert_eq!(world.trace.take(), ["backend reset"]);
    assert_eq!(
        daemon.guest("g1").snapshot().reason,
        Reason::Running(RunningReason::Booted)
    );
    daemon.destroy("g1").unwrap();
}

#[test]
fn r40_a_reboot_by_the_power_button_is_the_same_run() {
    let (world, daemon) = up("");
    let mut events = daemon.guests.events();
    daemon
        .run(daemon.guest("g1").reboot(ShutdownMode::Acpi, Origin::client()))
        .unwrap();
    assert!(world.status("g1").unwrap().fake_reboot);
    daemon.backend.happen(
        "g1",
        BackendEvent::Shutdown {
            guest_initiated: true,
        },
    );
    daemon.run(world.trace.wait("backend resume"));
    assert_eq!(
        world.trace.take(),
        ["backend reboot", "backend reset", "backend resume"]
    );
    daemon.until("g1", |seen| seen.state == State::Running);
    while world.status("g1").unwrap().fake_reboot {}
    // It is told of by the reset.
    assert!(told(&mut events).is_empty());
    // The next power-off is one, and our signal to the process is none.
    for guest_initiated in [true, false] {
        daemon
            .backend
            .happen("g1", BackendEvent::Shutdown { guest_initiated });
    }
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Shutdown);
    assert_eq!(daemon.run(events.recv()).unwrap().what, Lifecycle::ShutdownGuest);
    assert_eq!(
        daemon.run(events.recv()).unwrap().what,
        Lifecycle::StoppedShutdown
    );
}

#[test]
fn r40_a_shutdown_takes_back_a_reboot_that_was_ignored() {
    let (world, daemon) = up("");
    daemon
        .run(daemon.guest("g1").reboot(ShutdownMode::Acpi, Origin::client()))
        .unwrap();
    daemon
        .run(daemon.guest("g1").shutdown(ShutdownMode::Acpi, Origin::client()))
        .unwrap();
    assert!(!world.status("g1").unwrap().fake_reboot);
    assert_eq!(world.trace.take(), ["backend reboot", "backend shutdown"]);
    daemon.backend.happen(
        "g1",
        BackendEvent::Shutdown {
            guest_initiated: true,
        },
    );
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Shutdown);
    assert_eq!(
        world.trace.take(),
        chain(&[&lines(&["backend kill"]), &falling(&[], TAP, "shutdown")])
    );
}

#[test]
fn r40_a_shutdown_that_the_guest_ignores_changes_nothing() {
    let (world, daemon) = up("");
    daemon
        .run(
            daemon
                .guest("g1")
                .shutdown(ShutdownMode::Default, Origin::client()),
        )
        .unwrap();
    assert_eq!(world.trace.take(), ["backend shutdown"]);
    assert_eq!(
        daemon.guest("g1").snapshot().reason,
        Reason::Running(RunningReason::Booted)
    );
    daemon.destroy("g1").unwrap();
}

#[test]
fn r40_on_poweroff_restart_turns_a_power_off_into_a_reboot() {
    let (world, daemon) = up("<on_poweroff>restart</on_poweroff>");
    daemon.backend.happen(
        "g1",
        BackendEvent::Shutdown {
            guest_initiated: true,
        },
    );
    daemon.run(world.trace.wait("backend resume"));
    assert_eq!(world.trace.take(), ["backend reset", "backend resume"]);
    // A signal to the process is an end all the same.
    daemon.backend.happen(
        "g1",
        BackendEvent::Shutdown {
            guest_initiated: false,
        },
    );
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Shutdown);
}

#[test]
fn r40_a_reboot_that_cannot_be_made_is_a_power_off() {
    let (world, daemon) = up("<on_poweroff>restart</on_poweroff>");
    daemon.backend.fail("reset", "no answer");
    daemon.backend.happen(
        "g1",
        BackendEvent::Shutdown {
            guest_initiated: true,
        },
    );
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Shutdown);
    let expected = chain(&[
        &lines(&["backend reset", "backend kill"]),
        &falling(&[], TAP, "shutdown"),
    ]);
    assert_eq!(world.trace.take(), expected);
}

#[test]
fn r40_a_reboot_from_inside_calls_nothing() {
    let (world, daemon) = up("");
    let mut events = daemon.guests.events();
    daemon.backend.happen(
        "g1",
        BackendEvent::Reset {
            guest_initiated: true,
        },
    );
    daemon.run(async { assert_eq!(events.recv().await.unwrap().what, What::Rebooted) });
    assert_eq!(world.trace.take(), [""; 0]);
    daemon.destroy("g1").unwrap();
}

#[test]
fn r40_on_reboot_destroy_makes_a_reboot_the_end() {
    let (world, daemon) = up("<on_reboot>destroy</on_reboot>");
    daemon.backend.happen(
        "g1",
        BackendEvent::Reset {
            guest_initiated: true,
        },
    );
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Shutdown);
    assert_eq!(
        world.trace.take(),
        chain(&[&lines(&["backend kill"]), &falling(&[], TAP, "shutdown")])
    );
}

#[test]
fn r40_a_panic_is_an_end_a_reboot_or_nothing() {
    for action in ["destroy", "coredump-destroy"] {
        let (world, daemon) = up(&format!("<on_crash>{action}</on_crash>"));
        let mut events = daemon.guests.events();
        daemon.backend.happen("g1", BackendEvent::Panicked);
        assert_eq!(daemon.until_off("g1"), ShutoffReason::Crashed);
        assert_eq!(
            world.trace.take(),
            chain(&[&lines(&["backend kill"]), &falling(&[], TAP, "crashed")])
        );
        use Lifecycle::{CrashedPanicked, StoppedCrashed, SuspendedPaused};
        for what in [SuspendedPaused, CrashedPanicked, StoppedCrashed] {
            assert_eq!(daemon.run(events.recv()).unwrap().what, what);
        }
    }
    for action in ["restart", "coredump-restart"] {
        let (world, daemon) = up(&format!("<on_crash>{action}</on_crash>"));
        daemon.backend.happen("g1", BackendEvent::Panicked);
        daemon.until("g1", |seen| {
            seen.reason == Reason::Running(RunningReason::Crashed)
        });
        assert_eq!(world.trace.take(), ["backend reset", "backend resume"]);
        daemon.destroy("g1").unwrap();
    }
    let (world, daemon) = up("<on_crash>preserve</on_crash>");
    daemon.backend.happen("g1", BackendEvent::Panicked);
    let seen = daemon.until("g1", |seen| seen.state == State::Crashed);
    assert_eq!(seen.reason, Reason::Crashed(CrashedReason::Panicked));
    assert_eq!(world.trace.take(), [""; 0]);
    daemon.destroy("g1").unwrap();
    assert_eq!(
        world.trace.take(),
        chain(&[&lines(&["backend kill"]), &falling(&[], TAP, "destroyed")])
    );
}

#[test]
fn states_follow_what_the_guest_does_by_itself() {
    let (_world, daemon) = up("");
    let mut events = daemon.guests.events();
    for (io_error, reason) in [(true, PausedReason::IoError), (false, PausedReason::Unknown)] {
        daemon.backend.happen("g1", BackendEvent::Paused { io_error });
        daemon.until("g1", |seen| seen.reason == Reason::Paused(reason));
        daemon.backend.happen("g1", BackendEvent::Resumed);
        daemon.until("g1", |seen| {
            seen.reason == Reason::Running(RunningReason::Unpaused)
        });
    }
    use Lifecycle::{ResumedUnpaused, SuspendedIoError, SuspendedPaused};
    assert_eq!(
        told(&mut events),
        [
            SuspendedIoError,
            ResumedUnpaused,
            SuspendedPaused,
            ResumedUnpaused
        ]
    );
    daemon.destroy("g1").unwrap();
}

#[test]
fn states_follow_the_guest_while_a_hook_runs() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    world.hooks.on("qemu", "started", "sleep 1");
    let handle = daemon.guest("g1");
    let start = daemon.spawn(async move { handle.start(StartFlags::default(), Origin::client()).await });
    daemon.run(world.trace.wait("qemu g1 started"));
    daemon
        .backend
        .happen("g1", BackendEvent::Paused { io_error: true });
    daemon.run(start).unwrap().unwrap();
    let reason = Reason::Paused(PausedReason::IoError);
    assert_eq!(daemon.guest("g1").snapshot().reason, reason);
    assert_eq!(world.status("g1").unwrap().reason, reason);
    daemon.destroy("g1").unwrap();
}

#[test]
fn figures_come_past_the_owner() {
    let (_world, daemon) = up("");
    let guest = daemon.guest("g1");
    let gate = daemon.backend.hold("suspend");
    let busy = guest.clone();
    let suspend = daemon.spawn(async move { busy.suspend(Origin::client()).await });
    assert_eq!(daemon.run(guest.figures()).unwrap().cpu_time, 7);
    gate.add_permits(1);
    daemon.run(suspend).unwrap().unwrap();
    daemon.destroy("g1").unwrap();
    assert!(matches!(daemon.run(guest.figures()), Err(Error::Invalid(_))));
}

#[test]
fn r90_groups_of_figures_come_past_the_owner_and_in_time() {
    let (_world, daemon) = up("");
    let guest = daemon.guest("g1");
    let ask = StatsAsk {
        cpu: true,
        balloon: false,
        vcpus: false,
        interfaces: false,
        blocks: false,
        backing: false,
        dirty_rate: false,
        patience: Duration::from_secs(20),
    };
    let all = |ask: StatsAsk| {
        let seen = vec![
            (guest.clone(), guest.snapshot()),
            (guest.clone(), guest.snapshot()),
        ];
        let told = daemon.run(GuestHandle::stats_of_all(&seen, &ask));
        told.iter()
            .map(|told| told.cpu.map(|cpu| cpu.total))
            .collect::<Vec<_>>()
    };
    let gate = daemon.backend.hold("suspend");
    let busy = guest.clone();
    let suspend = daemon.spawn(async move { busy.suspend(Origin::client()).await });
    assert_eq!(all(ask), [Some(7), Some(7)]);
    gate.add_permits(1);
    daemon.run(suspend).unwrap().unwrap();
    let gate = daemon.backend.hold("stats");
    let hurried = StatsAsk {
        patience: Duration::from_millis(20),
        ..ask
    };
    assert_eq!(all(hurried), [None, None]);
    gate.add_permits(100);
    daemon.destroy("g1").unwrap();
    assert_eq!(all(ask), [None, None]);
}
