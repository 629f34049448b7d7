//! Hooks of the daemon itself and where scripts are found (R1 to R6, R20 to R23).

use std::time::Duration;

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh];

#[test]
fn r20_r21_start_and_shutdown() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.daemon_start();
        w.assert_calls(&["daemon - start - start"]);
        assert_eq!(w.daemon_stop(), 0);
        w.assert_calls(&["daemon - start - start", "daemon - shutdown - shutdown"]);
    });
}

#[test]
fn r20_the_start_hook_runs_before_anybody_is_served() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.rule("[ -e /run/libvirt/libvirt-sock ] && echo socket >> /run/world/seen || echo none >> /run/world/seen");
        w.daemon_start();
        assert_eq!(w.read("seen"), "none\n");
        assert_eq!(w.daemon_stop(), 0);
        assert_eq!(w.read("seen"), "none\nnone\n");
    });
}

#[test]
fn r21_every_polite_signal_ends_it_and_sigkill_calls_nothing() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        for signal in ["INT", "QUIT", "TERM"] {
            w.daemon_start();
            w.forget_calls();
            w.signal(w.daemon_pid(), signal);
            assert_eq!(w.daemon_wait(Duration::from_secs(40)), 0, "{signal}");
            w.assert_calls(&["daemon - shutdown - shutdown"]);
        }
        w.daemon_start();
        w.forget_calls();
        w.daemon_kill();
        w.assert_calls(&[]);
    });
}

#[test]
fn r22_reload_serves_meanwhile_and_a_second_one_is_ignored() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.daemon_start();
        w.rule("[ $2 != reload ] || sleep 2");
        w.signal(w.daemon_pid(), "HUP");
        w.wait_called("daemon - reload begin SIGHUP");
        w.virsh("list").within(Duration::from_secs(1)).ok();
        w.signal(w.daemon_pid(), "HUP");
        w.wait_ended("daemon - reload begin SIGHUP");
        std::thread::sleep(Duration::from_millis(500));
        w.assert_calls(&["daemon - start - start", "daemon - reload begin SIGHUP"]);
    });
}

#[test]
fn r23_a_failing_daemon_hook_changes_nothing() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.rule("echo broken >&2; exit 7");
        w.daemon_start();
        let log = w.daemon_log();
        assert!(log.contains("unexpected exit status 7: broken"), "{log}");
        assert_eq!(w.daemon_stop(), 0);
    });
}

#[test]
fn r21_broken_settings_call_no_hook() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.sh("echo 'log_level = ' > /etc/libvirt/libvirtd.conf");
        w.daemon_spawn(&[]);
        assert_eq!(w.daemon_wait(Duration::from_secs(10)), 1);
        w.assert_calls(&[]);
    });
}

#[test]
fn an_unknown_setting_is_a_warning_with_its_line() {
    in_world(NEEDS, |w| {
        w.sh("echo 'warp_factor = 9' >> /etc/libvirt/libvirtd.conf");
        w.daemon_start();
        let log = w.daemon_log();
        assert!(log.contains("warp_factor") && log.contains('3'), "{log}");
    });
}

#[test]
fn r1_sysconfdir_is_settable() {
    in_world(NEEDS, |w| {
        w.sh("mkdir -p /run/world/etc/libvirt/hooks");
        w.script(
            "etc/libvirt/hooks/daemon",
            "#!/bin/sh\necho \"$0 $*\" >> /run/world/elsewhere\n",
        );
        w.daemon_spawn(&["--sysconfdir", "/run/world/etc"]);
        w.daemon_ready();
        assert_eq!(
            w.read("elsewhere"),
            "/run/world/etc/libvirt/hooks/daemon - start - start\n"
        );
    });
}

#[test]
fn r2_scripts_of_a_directory_run_in_byte_order() {
    in_world(NEEDS, |w| {
        w.record(&[
            "daemon",
            "daemon.d/2-b",
            "daemon.d/10-a",
            "daemon.d/B",
            "daemon.d/.dot",
            "daemon.d/a b",
        ]);
        w.sh("mkdir /etc/libvirt/hooks/daemon.d/sub; echo no > /etc/libvirt/hooks/daemon.d/plain");
        w.daemon_start();
        let order: Vec<String> = w
            .calls()
            .iter()
            .map(|c| c.replace(" - start - start", ""))
            .collect();
        assert_eq!(
            order,
            [
                "daemon",
                "daemon.d/.dot",
                "daemon.d/10-a",
                "daemon.d/2-b",
                "daemon.d/B",
                "daemon.d/a b"
            ]
        );
    });
}

#[test]
fn r3_a_hook_that_may_not_run_is_reported_once() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.sh("chmod 644 /etc/libvirt/hooks/qemu");
        start_and_destroy(w);
        start_and_destroy(w);
        w.assert_calls(&[]);
        let log = w.daemon_log();
        let mentions = log
            .lines()
            .filter(|line| line.contains("/etc/libvirt/hooks/qemu"))
            .count();
        assert_eq!(mentions, 1, "{log}");
    });
}

#[test]
fn r4_a_driver_without_hooks_gets_them_by_a_reload() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        w.daemon_start();
        w.record(&["qemu"]);
        start_and_destroy(w);
        w.assert_calls(&[]);
        w.record(&["daemon"]);
        w.signal(w.daemon_pid(), "HUP");
        w.wait_ended("daemon - reload begin SIGHUP");
        start_and_destroy(w);
        assert_eq!(
            w.calls().iter().filter(|call| call.starts_with("qemu ")).count(),
            5
        );
        // once there, files are looked up afresh
        w.forget_calls();
        w.record(&["qemu.d/later"]);
        start_and_destroy(w);
        assert_eq!(
            w.calls()
                .iter()
                .filter(|call| call.starts_with("qemu.d/later "))
                .count(),
            5
        );
    });
}

#[test]
fn r5_no_hooks_no_words() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        w.daemon_start();
        start_and_destroy(w);
        assert_eq!(w.daemon_stop(), 0);
        let log = w.daemon_log();
        assert!(!log.contains("error :"), "{log}");
    });
}

#[test]
fn r6_what_cannot_be_executed_is_a_failed_hook_with_its_reason() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        for (text, reason) in [
            ("no interpreter line\n", "Exec format error"),
            ("#!/no/such/interpreter\n", "No such file or directory"),
            ("#!/bin/sh\r\nexit 0\r\n", "No such file or directory"),
        ] {
            w.hook("qemu", text);
            w.virsh("start g")
                .fails_with(&["/etc/libvirt/hooks/qemu", reason]);
        }
        // the client has libvirt's words, the log has what can be said beyond them
        for reason in [
            "without a first line like #!",
            "/no/such/interpreter does not exist",
            "CRLF",
        ] {
            assert!(w.daemon_log().contains(reason), "{reason}");
        }
        // any interpreter will do
        w.hook("qemu", "#!/usr/bin/awk -f\nBEGIN { exit 0 }\n");
        w.virsh("start g").ok();
    });
}

fn start_and_destroy(w: &World) {
    if w.virsh("dominfo g").code != 0 {
        w.define(&Guest::new("g"));
    }
    w.virsh("start g").ok();
    w.virsh("destroy g").ok();
}
