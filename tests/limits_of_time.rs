//! Trees of hooks and their end: by a limit, by somebody, and by the next daemon (R92, R95, R96).

use std::time::Duration;

use ferrovirt_tests::{Guest, Net, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const NETWORKS: &[Tool] = &[Tool::Virsh, Tool::Dnsmasq, Tool::Nft];
/// A shell that hangs, with a child that it waits for.
const HANG: &str = "sleep 300 & wait";

fn is_running(w: &World, command: &str) -> bool {
    w.processes().iter().any(|(_, line)| line.starts_with(command))
}

#[test]
fn r92_a_tree_is_ended_through_its_control_group() {
    in_world(NEEDS, |w| {
        let version_1 = "mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/freezer && \
                         mount -t cgroup -o freezer cgroup /sys/fs/cgroup/freezer";
        let version_2 = "mount -t cgroup2 cgroup2 /sys/fs/cgroup";
        // Version 1 before version 2: where both can be had, each has its turn.
        for (mount, version) in [(version_1, 1), (version_2, 2)] {
            w.sh("umount -R /sys/fs/cgroup 2> /dev/null || true; rm -f groups child");
            if !w.succeeds(mount) {
                println!(
                    "note: r92_a_tree_is_ended_through_its_control_group: no control groups of version {version}"
                );
                continue;
            }
            w.record(&["qemu"]);
            // Each of them is born again as soon as it is asked to end.
            w.rule(
                "[ $2 = prepare ] || return 0
                 cat /proc/self/cgroup > /run/world/groups
                 setsid sh -c 'trap \"sleep 300 & sleep 300 &\" TERM; sleep 300 & while :; do wait; done' &
                 sleep 300 & wait",
            );
            w.rules("[[rule]]\ntimeout = '1s'\n[rule.when]\noperation = 'prepare'\n");
            w.daemon_start();
            w.define(&Guest::new("g").uuid("11111111-2222-4333-8444-555555555558"));
            w.virsh("start g")
                .within(Duration::from_secs(30))
                .fails_with(&["took longer than its limit of 1s and was ended"]);
            assert!(!is_running(w, "sleep 300"), "the tree lives");
            let groups = w.read("groups");
            assert!(groups.contains("/ferrovirt-hook-"), "version {version}: {groups}");
            assert_eq!(w.daemon_stop(), 0);
        }
    });
}

#[test]
fn r95_a_release_that_hangs_is_ended_by_cancel() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        w.rule(&format!("[ $2 != release ] || {{ {HANG}; }}"));
        let destroy = w.virsh_background("destroy g");
        w.wait_called("qemu g release end destroyed");
        w.virsh("destroy g")
            .within(Duration::from_secs(3))
            .fails_with(&["waits for hook qemu g release end destroyed"]);
        w.ferrovirt(&format!("cancel {}", w.only_hook())).ok();
        // Its failure is logged and aborts nothing.
        destroy.join().within(Duration::from_secs(30)).ok();
        assert!(!is_running(w, "sleep 300"));
        w.rule("");
        w.virsh("start g").ok();
    });
}

#[test]
fn r96_an_end_that_the_daemons_death_cut_short_is_brought_to_its_end() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        for operation in ["stopped", "release"] {
            w.rule("");
            w.virsh("start g").ok();
            w.forget_calls();
            w.rule(&format!("[ $2 != {operation} ] || {{ {HANG}; }}"));
            let destroy = w.virsh_background("destroy g");
            w.wait_for(operation, Duration::from_secs(20), || {
                w.calls().iter().any(|call| call.contains(operation))
            });
            w.daemon_kill();
            destroy.join().fails_with(&[]);
            w.rule("");
            w.daemon_start();
            w.wait_ended("qemu g release end failed");
            let calls = w.calls();
            assert_eq!(
                calls[calls.len() - 2..],
                ["qemu g stopped end -", "qemu g release end failed"],
                "{operation}"
            );
            assert!(!is_running(w, "sleep 300"), "{operation}: the script lives");
            assert!(w.qemu_pid("g").is_none());
            w.wait_for("it is off", Duration::from_secs(20), || {
                w.virsh("domstate g").out.trim() == "shut off"
            });
        }
    });
}

#[test]
fn r95_r96_networks_are_freed_as_guests_are() {
    in_world(NETWORKS, |w| {
        w.record(&["network"]);
        w.daemon_start();
        w.net_define(&Net::new("n", 182));
        w.rule(&format!("[ $2 != started ] || {{ {HANG}; }}"));
        // By somebody who destroys it.
        let start = w.virsh_background("net-start n");
        w.wait_called("network n started begin -");
        w.virsh("net-destroy n").within(Duration::from_secs(20)).ok();
        start.join().fails_with(&["network n started begin -"]);
        assert!(!is_running(w, "sleep 300") && !w.link_exists("virbr182"));
        // By cancel.
        w.forget_calls();
        let start = w.virsh_background("net-start n");
        w.wait_called("network n started begin -");
        w.ferrovirt(&format!("cancel {}", w.only_hook())).ok();
        start.join().fails_with(&["was ended by ferrovirt cancel"]);
        w.wait_called("network n stopped end -");
        // By the next daemon.
        w.forget_calls();
        let start = w.virsh_background("net-start n");
        w.wait_called("network n started begin -");
        w.daemon_kill();
        start.join().fails_with(&[]);
        w.rule("");
        w.daemon_start();
        w.wait_ended("network n stopped end -");
        w.wait_for("nothing is left", Duration::from_secs(20), || {
            !is_running(w, "sleep 300") && !w.link_exists("virbr182")
        });
        w.virsh("net-start n").ok();
    });
}
