//! `ferrovirt why`: each story as it really happens. What the answers say word by word is held in the hook crate; here it
//! is that the daemon knows enough to give them.

use std::time::Duration;

use ferrovirt_tests::{Guest, Net, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const NETWORKS: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft];

/// The answer about `object` must come to have all these parts: what follows a failure may still be under way.
#[track_caller]
fn answers(w: &World, object: &str, parts: &[&str]) {
    let line = format!("why {object}");
    let mut answer = w.ferrovirt(&line);
    for _ in 0..200 {
        if parts.iter().all(|part| answer.out.contains(part)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        answer = w.ferrovirt(&line);
    }
    for part in parts {
        assert!(answer.ok().contains(part), "no '{part}' in:\n{}", answer.out);
    }
}

fn daemon_with(w: &World, hook: &str) {
    w.hook("qemu", hook);
    w.daemon_start();
    w.define(&Guest::new("g"));
}

/// Starts the guest, which fails.
fn fails(w: &World) {
    w.virsh("start g").fails_with(&[]);
}

#[test]
fn prepare_exits_3() {
    in_world(NEEDS, |w| {
        daemon_with(
            w,
            "#!/bin/sh\n[ $2 != prepare ] || { echo no disk >&2; exit 3; }\n",
        );
        fails(w);
        answers(
            w,
            "g",
            &[
                "/etc/libvirt/hooks/qemu",
                "prepare",
                "3",
                "no disk",
                "release",
                "ferrovirt show",
            ],
        );
    });
}

#[test]
fn no_exec_format_and_a_missing_interpreter() {
    in_world(NEEDS, |w| {
        daemon_with(w, "echo no first line\n");
        fails(w);
        answers(w, "g", &["/etc/libvirt/hooks/qemu", "#!"]);
        w.hook("qemu", "#!/opt/no/such/shell\n");
        fails(w);
        answers(w, "g", &["/opt/no/such/shell"]);
        w.hook("qemu", "#!/bin/sh\r\nexit 0\r\n");
        fails(w);
        answers(w, "g", &["/etc/libvirt/hooks/qemu", "sed -i"]);
    });
}

#[test]
fn a_time_limit() {
    in_world(NEEDS, |w| {
        w.rules("[[rule]]\ntimeout = '500ms'\n[rule.when]\noperation = 'start'\n");
        daemon_with(w, "#!/bin/sh\n[ $2 != start ] || sleep 300\n");
        fails(w);
        answers(w, "g", &["limit", "start", "/etc/libvirt/hooks/qemu"]);
    });
}

#[test]
fn a_port_hook_refuses() {
    in_world(NETWORKS, |w| {
        w.hook(
            "network",
            "#!/bin/sh\n[ $2 != port-created ] || { echo not here >&2; exit 1; }\n",
        );
        w.daemon_start();
        w.net_up(&Net::new("n", 5));
        w.define(&Guest::new("g").on_network("n", "52:54:00:00:00:01"));
        fails(w);
        answers(
            w,
            "g",
            &[
                "network n",
                "port-created",
                "/etc/libvirt/hooks/network",
                "not here",
            ],
        );
    });
}

#[test]
fn a_network_whose_hook_said_no() {
    in_world(NETWORKS, |w| {
        w.hook(
            "network",
            "#!/bin/sh\n[ $2 != started ] || { echo closed >&2; exit 4; }\n",
        );
        w.daemon_start();
        w.net_define(&Net::new("n", 5));
        w.virsh("net-start n").fails_with(&["exit status 4"]);
        answers(w, "n", &["started", "closed", "stopped"]);
    });
}

#[test]
fn a_missing_disk_and_a_device_that_qemu_refuses() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let disk = "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/no/such.img'/>\
                    <target dev='vda' bus='virtio'/></disk>";
        w.define(&Guest::new("g").device(disk));
        fails(w);
        answers(w, "g", &["/no/such.img", "No such file"]);
        // A display on a port that somebody has.
        let port =
            std::net::TcpListener::bind("127.0.0.1:5999").expect("the port is free in a world of its own");
        let display = "<graphics type='vnc' port='5999' autoport='no' listen='127.0.0.1'/>";
        w.define(&Guest::new("h").device(display));
        w.virsh("start h").fails_with(&[]);
        answers(
            w,
            "h",
            &["QEMU ended at once", "-vnc 127.0.0.1:99", "already in use"],
        );
        drop(port);
    });
}

#[test]
fn a_reconnect_hook_ended_it() {
    in_world(NEEDS, |w| {
        daemon_with(
            w,
            "#!/bin/sh\n[ $2 != reconnect ] || { echo gone >&2; exit 1; }\n",
        );
        w.virsh("start g").ok();
        w.daemon_kill();
        w.daemon_start();
        w.wait_for("it is off", Duration::from_secs(20), || {
            w.virsh("domstate g").out.contains("shut off")
        });
        answers(w, "g", &["reconnect", "gone"]);
    });
}

#[test]
fn a_failure_that_a_rule_ignored() {
    in_world(NEEDS, |w| {
        w.rules("[[rule]]\non_failure = 'warn'\n[rule.when]\noperation = 'prepare'\n");
        daemon_with(w, "#!/bin/sh\n[ $2 != prepare ] || { echo flaky >&2; exit 1; }\n");
        w.virsh("start g").ok();
        answers(w, "g", &["runs since", "prepare", "flaky"]);
    });
}

#[test]
fn a_hook_that_still_runs_and_one_that_was_ended() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.rule("[ $2 != prepare ] || { sleep 300 & wait; }");
        w.daemon_start();
        w.define(&Guest::new("g"));
        let start = w.virsh_background("start g");
        w.wait_called("qemu g prepare begin -");
        answers(
            w,
            "g",
            &["prepare", "/etc/libvirt/hooks/qemu", "ferrovirt cancel"],
        );
        w.ferrovirt(&format!("cancel {}", w.only_hook())).ok();
        start.join().fails_with(&[]);
        answers(w, "g", &["ferrovirt cancel", "prepare"]);
        let start = w.virsh_background("start g");
        w.wait_for("it hangs again", Duration::from_secs(20), || {
            w.ferrovirt("ps").out.contains("prepare")
        });
        w.virsh("destroy g").ok();
        start.join().fails_with(&[]);
        answers(w, "g", &["destroy"]);
    });
}

#[test]
fn a_script_that_a_signal_ended() {
    in_world(NEEDS, |w| {
        daemon_with(w, "#!/bin/sh\n[ $2 != prepare ] || kill -SEGV $$\n");
        fails(w);
        answers(w, "g", &["signal", "11", "prepare"]);
    });
}

#[test]
fn the_daemon_died_in_the_middle() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.rule("[ $2 != start ] || { sleep 300 & wait; }");
        w.daemon_start();
        w.define(&Guest::new("g"));
        let start = w.virsh_background("start g");
        w.wait_called("qemu g start begin -");
        w.wait_for("it is in the history", Duration::from_secs(20), || {
            w.ferrovirt("history --operation start").out.contains("running")
        });
        w.daemon_kill();
        start.join().fails_with(&[]);
        w.rule("");
        w.daemon_start();
        w.wait_called("qemu g release end failed");
        w.wait_for("it is off", Duration::from_secs(20), || {
            w.virsh("domstate g").out.contains("shut off")
        });
        answers(w, "g", &["daemon", "start"]);
    });
}

#[test]
fn powered_off_from_inside() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Linux], |w| {
        w.daemon_start();
        w.define(&Guest::new("g").linux("guest.do=poweroff"));
        w.virsh("start g").ok();
        w.wait_for("it is off", Duration::from_secs(90), || {
            w.virsh("domstate g").out.contains("shut off")
        });
        answers(w, "g", &["inside"]);
    });
}

#[test]
fn qemu_was_killed_and_who_destroyed_it() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        answers(w, "g", &["runs since", "nothing failed"]);
        w.signal(w.qemu_pid("g").expect("it runs"), "KILL");
        w.wait_for("it is off", Duration::from_secs(20), || {
            w.virsh("domstate g").out.contains("shut off")
        });
        answers(w, "g", &["QEMU"]);
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
        answers(w, "g", &["destroyed", "virsh"]);
    });
}

#[test]
fn the_kernels_oom_killer() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Linux], |w| {
        // A little more than QEMU has when the guest begins to boot.
        let limit = "#!/bin/sh\n[ $2 = started ] || exit 0\n\
             for s in /sys/fs/cgroup/memory/machine.slice/machine-qemu*oomtest.scope/libvirt; do\n\
             echo $(($(cat $s/memory.usage_in_bytes) + 1048576)) > $s/memory.limit_in_bytes\n\
             done\n";
        w.hook("qemu", limit);
        let mounted = "mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory && \
             mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory";
        if !w.succeeds(mounted) {
            println!(
                "note: the_kernels_oom_killer: skipped: this kernel has no memory controller of version 1"
            );
            return;
        }
        w.daemon_start();
        w.define(&Guest::new("oomtest").linux(""));
        let _ = w.virsh("start oomtest");
        w.wait_for("it is off", Duration::from_secs(60), || {
            w.virsh("domstate oomtest").out.contains("shut off")
        });
        answers(w, "oomtest", &["memory"]);
        assert!(w.read("/var/log/libvirt/qemu/oomtest.log").contains("OOM killer"));
    });
}

#[test]
fn nothing_failed_and_nobody_of_that_name() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("g"));
        answers(w, "g", &["g"]);
        w.virsh("start g").ok();
        answers(w, "g", &["runs since", "nothing failed"]);
        answers(w, "nobody", &["nobody"]);
    });
}
