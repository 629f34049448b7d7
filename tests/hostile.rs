//! Hooks that misbehave: the daemon, the other guests and the history survive each of them.

use std::time::Duration;

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

/// A world in which another guest runs, and the hook of g does `body` at `prepare`.
fn with_hook(w: &World, body: &str) {
    w.hook(
        "qemu",
        &format!("#!/bin/bash\n[ \"$1 $2\" = 'g prepare' ] || exit 0\n{body}\n"),
    );
    w.daemon_start();
    w.define(&Guest::new("other"));
    w.virsh("start other").ok();
    w.define(&Guest::new("g"));
}

/// The daemon answers, the other guest runs, the history knows the call, and nothing of the hook is left.
fn all_is_well(w: &World) {
    assert_eq!(w.virsh("domstate other").ok().trim(), "running");
    w.virsh("destroy other").ok();
    w.virsh("start other").ok();
    let rows = w.ferrovirt("history --guest g --operation prepare");
    assert!(rows.ok().contains("/etc/libvirt/hooks/qemu"), "{}", rows.out);
    assert_eq!(w.daemon_exit_code(), None);
    w.wait_for("nothing of the hook is left", Duration::from_secs(20), || {
        sleepers(w).is_empty()
    });
}

/// Processes that the hooks of this file leave behind.
fn sleepers(w: &World) -> Vec<u32> {
    let all = w.processes().into_iter();
    all.filter(|(_, line)| line.starts_with("sleep 300"))
        .map(|(pid, _)| pid)
        .collect()
}

/// Peak of resident memory of the daemon, MiB.
fn peak(w: &World) -> u64 {
    let status = w.read(format!("/proc/{}/status", w.daemon_pid()));
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("a peak");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number");
    kib / 1024
}

#[test]
fn a_hook_that_prints_a_gibibyte() {
    in_world(NEEDS, |w| {
        with_hook(w, "head -c 1G /dev/zero; head -c 100M /dev/zero >&2");
        w.virsh("start g").ok();
        assert!(peak(w) < 100, "the daemon's memory went to {} MiB", peak(w));
        let shown = w.ferrovirt("history --guest g --operation prepare --json");
        let id: serde_json::Value =
            serde_json::from_str(shown.ok().lines().next().expect("a row")).expect("JSON");
        let run = w.ferrovirt(&format!("show {} --json", id["id"]));
        let run: serde_json::Value = serde_json::from_str(run.ok()).expect("JSON");
        assert!(
            run["stdout"]["lost"].as_u64().is_some_and(|lost| lost > 1 << 29),
            "a cut is said"
        );
        all_is_well(w);
    });
}

#[test]
fn a_hook_that_forks_two_thousand_children() {
    in_world(NEEDS, |w| {
        w.rules("[[rule]]\ntimeout = '4s'\n");
        with_hook(w, "for i in $(seq 2000); do sleep 300 & done; wait");
        w.virsh("start g")
            .fails_with(&["took longer than its limit of 4s"]);
        all_is_well(w);
    });
}

#[test]
fn a_hook_that_forks_twice_and_starts_a_session() {
    in_world(NEEDS, |w| {
        w.rules("[[rule]]\ntimeout = '1s'\n");
        with_hook(w, "(setsid setsid sleep 300 &) ; setsid -f sleep 300; sleep 300");
        w.virsh("start g")
            .fails_with(&["took longer than its limit of 1s"]);
        all_is_well(w);
    });
}

#[test]
fn a_hook_that_ignores_the_signal_closes_its_pipes_and_deletes_itself() {
    in_world(NEEDS, |w| {
        w.rules("[[rule]]\ntimeout = '500ms'\n");
        with_hook(
            w,
            "trap '' TERM; exec 0<&- 1>&- 2>&-; rm \"$0\"; while :; do sleep 0.1; done",
        );
        w.virsh("start g")
            .fails_with(&["took longer than its limit of 500ms"]);
        assert!(!w.succeeds("[ -e /etc/libvirt/hooks/qemu ]"));
        all_is_well(w);
        // Without its hook the guest starts.
        w.virsh("start g").ok();
    });
}

#[test]
fn a_hook_that_kills_its_own_process_group() {
    in_world(NEEDS, |w| {
        with_hook(w, "kill -KILL 0");
        w.virsh("start g").fails_with(&["unexpected fatal signal 9"]);
        all_is_well(w);
    });
}

#[test]
fn r12_children_in_the_background_hold_nothing_and_are_heard_later() {
    in_world(NEEDS, |w| {
        for child in [
            "(sleep 1; echo later; sleep 300) &",
            "setsid -f sh -c 'sleep 1; echo later; sleep 300'",
            "true && (sleep 1; echo later >&2; sleep 300) 2>&1 >/dev/null &",
        ] {
            with_hook(w, child);
            w.virsh("start g").within(Duration::from_secs(20)).ok();
            let rows = w.ferrovirt("history --guest g --operation prepare --limit 1 --json");
            let row: serde_json::Value = serde_json::from_str(rows.ok()).expect("JSON");
            w.wait_for("what it said later", Duration::from_secs(20), || {
                w.ferrovirt(&format!("show {}", row["id"]))
                    .out
                    .contains("later\n")
            });
            w.virsh("destroy g").ok();
            w.virsh("undefine g").ok();
            w.virsh("destroy other").ok();
            w.virsh("undefine other").ok();
            w.daemon_stop();
            for pid in sleepers(w) {
                w.signal(pid, "KILL");
            }
        }
    });
}

#[test]
fn r93_a_history_on_a_full_disk() {
    in_world(NEEDS, |w| {
        w.sh("mkdir -p /var/lib/ferrovirt; mount -t tmpfs -o size=512k,mode=700 tmpfs /var/lib/ferrovirt");
        with_hook(w, "head -c 300k /dev/urandom | base64");
        for _ in 0..4 {
            w.virsh("start g").ok();
            w.virsh("destroy g").ok();
        }
        w.sh("head -c 1M /dev/zero > /var/lib/ferrovirt/rest 2>/dev/null || true");
        w.virsh("start g").ok();
        assert_eq!(w.virsh("domstate other").ok().trim(), "running");
        w.wait_for("the loss is said", Duration::from_secs(20), || {
            w.daemon_log().contains("history")
        });
        // With room again, calls are kept again.
        w.sh("rm -f /var/lib/ferrovirt/rest; mount -o remount,size=20m /var/lib/ferrovirt");
        w.virsh("destroy g").ok();
        w.wait_for("calls are kept again", Duration::from_secs(30), || {
            w.virsh("start g");
            w.virsh("destroy g");
            w.ferrovirt("history --guest g --operation release")
                .out
                .lines()
                .count()
                > 1
        });
    });
}
