//! How containers end.

use std::time::Duration;

use ferrovirt_lxc::controller_client::{Controller, Event};
use ferrovirt_lxc::protocol::{Ask, Ending, Phase, Ways};

use crate::support::{Cell, PATIENCE, is_able, is_there, until};

const BOTH: Ways = Ways {
    initctl: true,
    signal: true,
};
const INITCTL: Ways = Ways {
    initctl: true,
    signal: false,
};
const SIGNAL: Ways = Ways {
    initctl: false,
    signal: true,
};

#[tokio::test]
async fn the_end_is_told_as_it_was() {
    if !is_able(&[]) {
        return;
    }
    for (script, ending) in [
        ("exit 0", Ending::Exited(0)),
        ("exit 42", Ending::Exited(42)),
        ("poweroff -f", Ending::PowerOff),
        ("halt -f", Ending::PowerOff),
        ("reboot -f", Ending::Reboot),
    ] {
        assert_eq!(Cell::new("c1").run(script).await.1, ending, "{script}");
        let own = Cell::new("c1").own_users().run(script).await.1;
        assert_eq!(own, ending, "{script} with users of its own");
    }
}

#[tokio::test]
async fn shutdown_and_reboot_reach_init_as_signals() {
    if !is_able(&[]) {
        return;
    }
    for (ask, ways, status) in [
        (Ask::Shutdown as fn(Ways) -> Ask, SIGNAL, 15),
        (Ask::Shutdown, BOTH, 15),
        (Ask::Reboot, SIGNAL, 1),
    ] {
        let script = "trap 'exit 15' TERM; trap 'exit 1' HUP; echo ready > /r; while :; do sleep 0.1; done";
        let mut container = Cell::new("c1").script(script).start().await.unwrap();
        container.file("r").await;
        let refusal = container.ask(ask(INITCTL)).await.unwrap_err();
        assert_eq!(refusal, "nobody listens at /dev/initctl of the container");
        container.ask(ask(ways)).await.unwrap();
        assert_eq!(container.ended().await, Ending::Exited(status));
    }
}

#[tokio::test]
async fn initctl_goes_before_the_signal() {
    if !is_able(&[]) {
        return;
    }
    for (ask, level) in [(Ask::Shutdown as fn(Ways) -> Ask, "0"), (Ask::Reboot, "6")] {
        let script = "trap '' TERM HUP; mkfifo /dev/initctl; exec 3<>/dev/initctl; echo ready > /r; head -c 12 <&3 | od -An -tx1 > /asked; exit 7";
        let mut container = Cell::new("c1").script(script).start().await.unwrap();
        container.file("r").await;
        container.ask(ask(BOTH)).await.unwrap();
        let asked = container.file("asked").await;
        let level = format!("{:02x}", level.as_bytes()[0]);
        assert_eq!(asked.trim(), format!("69 19 09 03 01 00 00 00 {level} 00 00 00"));
        assert_eq!(container.ended().await, Ending::Exited(7));
    }
}

#[tokio::test]
async fn who_ignores_everything_is_ended_all_the_same() {
    if !is_able(&[]) {
        return;
    }
    let script = "trap '' TERM INT HUP QUIT USR1; (trap '' TERM; setsid sleep 1000) & echo ready > /r; while :; do sleep 1; done";
    let mut container = Cell::new("c1").script(script).start().await.unwrap();
    container.file("r").await;
    container.ask(Ask::Shutdown(SIGNAL)).await.unwrap();
    container.ask(Ask::Kill).await.unwrap();
    assert_eq!(container.ended().await, Ending::Signaled(9));
    assert!(!is_there(container.init));
}

#[tokio::test]
async fn who_forks_without_bound_is_ended() {
    if !is_able(&[]) {
        return;
    }
    let script = "ulimit -u 400 2>/dev/null; f() { sleep 0.2; f & f & }; echo ready > /r; f; f; while :; do sleep 1; done";
    let mut container = Cell::new("c1").own_users().script(script).start().await.unwrap();
    container.file("r").await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    let namespace = std::fs::read_link(format!("/proc/{}/ns/pid", container.init)).unwrap();
    container.ask(Ask::Kill).await.unwrap();
    assert_eq!(container.ended().await, Ending::Signaled(9));
    let still = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .any(|entry| std::fs::read_link(entry.path().join("ns/pid")).is_ok_and(|other| other == namespace));
    assert!(!still, "somebody is left in {}", namespace.display());
}

#[tokio::test]
async fn nothing_outlives_the_controller() {
    if !is_able(&["setpriv"]) {
        return;
    }
    for own_users in [false, true] {
        // A set-user-id program loses what tells it of its parent's death; so does one that says so.
        let cell = Cell::new("c1");
        let cell = if own_users { cell.own_users() } else { cell };
        let script = "trap '' TERM HUP; setsid sleep 1000 & echo ready > /r; while :; do sleep 1; done";
        let container = cell.script(script).start().await.unwrap();
        container.file("r").await;
        let all = ferrovirt_sys::process::descendants(container.process.pid);
        assert!(all.len() >= 3, "{all:?}");
        ferrovirt_sys::signals::send(container.process, 9).unwrap();
        until(|| all.iter().all(|process| !is_there(process.pid))).await;
    }
}

#[tokio::test]
async fn signals_to_the_controller_do_not_end_it() {
    if !is_able(&[]) {
        return;
    }
    let mut container = Cell::new("c1").script("read line; exit 3").start().await.unwrap();
    for signal in [1, 2, 3, 15] {
        ferrovirt_sys::signals::send(container.process, signal).unwrap();
    }
    assert_eq!(
        container.ask(Ask::Go).await.unwrap_err(),
        "init does not wait for that"
    );
    container.typed("\n");
    assert_eq!(container.ended().await, Ending::Exited(3));
}

#[tokio::test]
async fn a_later_daemon_takes_over() {
    if !is_able(&[]) {
        return;
    }
    let container = Cell::new("c1").script("read line; exit 3").start().await.unwrap();
    let path = container.cell.directory.path().join("c.sock");
    let (second, mut events) = Controller::connect(&path, PATIENCE).await.unwrap();
    let hello = second.hello();
    assert_eq!(
        (hello.phase, hello.init, hello.name.as_str()),
        (Phase::Running, Some(container.init), "c1")
    );
    // The older connection has ended.
    assert!(container.ask(Ask::Kill).await.is_err());
    container.typed("\n");
    assert_eq!(events.recv().await, Some(Event::Ended(Ending::Exited(3))));
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn without_a_daemon_a_container_ends_too() {
    if !is_able(&[]) {
        return;
    }
    let container = Cell::new("c1").script("read line; exit 3").start().await.unwrap();
    let path = container.cell.directory.path().join("c.sock");
    // A newer connection takes the older one's place, and goes.
    drop(Controller::connect(&path, PATIENCE).await.unwrap());
    container.typed("\n");
    container.gone().await;
}
