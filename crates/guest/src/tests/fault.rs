//! A panic ends one operation on one guest; the guest is rebuilt from its stored state, the others go on.

use ferrovirt_hook::Origin;

use super::*;
use crate::{PausedReason, Phase, RunningReason};

#[test]
fn a_panic_in_a_start_undoes_the_start() {
    for (step, networks) in [("prepare", &["net1"][..]), ("resume", &["net1"])] {
        let world = World::new();
        let daemon = world.boot();
        daemon.define(&guest("g1", networks, ""));
        daemon.define(&plain("g2"));
        daemon.start("g2").unwrap();
        world.trace.take();
        daemon.backend.panic_at(step);
        let error = daemon.start("g1").unwrap_err();
        assert!(
            matches!(&error, Error::Internal(text) if text.contains("start of guest 'g1'")),
            "{error:?}"
        );
        assert_eq!(daemon.until_off("g1"), ShutoffReason::Failed);
        let up = rising(networks);
        let mut expected = up[..=up.iter().position(|line| line.ends_with(step)).unwrap()].to_vec();
        if step == "resume" {
            expected.push("backend kill".to_owned());
        }
        expected.extend(falling(networks, TAP, "failed"));
        assert_eq!(world.trace.take(), expected);
        assert_eq!(daemon.guest("g2").snapshot().state, State::Running);
        daemon.start("g1").unwrap();
        daemon.destroy("g1").unwrap();
        daemon.destroy("g2").unwrap();
    }
}

#[test]
fn a_panic_beside_a_running_guest_leaves_it_running() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    world.trace.take();
    daemon.backend.panic_at("suspend");
    let error = daemon
        .run(daemon.guest("g1").suspend(Origin::client()))
        .unwrap_err();
    assert!(matches!(error, Error::Internal(_)));
    let seen = daemon.guest("g1").snapshot();
    assert_eq!(
        (seen.reason, seen.phase),
        (Reason::Running(RunningReason::Booted), Phase::Up)
    );
    assert!(seen.pid.unwrap().is_alive());
    daemon.run(daemon.guest("g1").suspend(Origin::client())).unwrap();
    assert_eq!(
        daemon.guest("g1").snapshot().reason,
        Reason::Paused(PausedReason::User)
    );
    daemon.destroy("g1").unwrap();
    let end = falling(&[], TAP, "destroyed");
    let words = lines(&["backend suspend", "backend suspend", "backend kill"]);
    assert_eq!(world.trace.take(), chain(&[&words, &end]));
}

#[test]
fn a_panic_on_the_way_down_is_made_up_for() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    world.trace.take();
    daemon.backend.panic_at("release labels");
    let error = daemon.destroy("g1").unwrap_err();
    assert!(matches!(error, Error::Internal(_)));
    assert_eq!(daemon.until_off("g1"), ShutoffReason::Failed);
    let first = falling(&[], TAP, "destroyed");
    let kill = lines(&["backend kill"]);
    assert_eq!(
        world.trace.take(),
        chain(&[&kill, &first[..4], &falling(&[], "undo", "failed")])
    );
    assert!(world.status("g1").is_none());
}
