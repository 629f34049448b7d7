//! Rules, in the way of real starts and ends.

use std::time::Duration;

use ferrovirt_tests::{Guest, Net, Tool, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

#[test]
fn r92_a_limit_ends_the_start_and_says_so() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.rule("[ $2 != prepare ] || { setsid sleep 300 & sleep 300 & wait; }");
        w.rules("[[rule]]\ntimeout = '500ms'\n[rule.when]\noperation = 'prepare'\n");
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g")
            .fails_with(&["(qemu g prepare begin -) took longer than its limit of 500ms and was ended"]);
        w.wait_called("qemu g release end failed");
        assert!(
            !w.processes().iter().any(|(_, line)| line.contains("sleep 300")),
            "the tree lives"
        );
    });
}

#[test]
fn a_failure_that_counts_for_nothing_stops_nothing() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.rule("[ $2 != prepare ] || exit 1");
        w.rules("[[rule]]\non_failure = 'warn'\n[rule.when]\noperation = ['prepare', 'reconnect']\n");
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        assert!(w.ferrovirt("history --failed").ok().contains("(ignored)"));
        // Also for `reconnect`, which otherwise ends the guest (R38).
        w.rule("[ $2 != reconnect ] || exit 1");
        w.daemon_kill();
        w.daemon_start();
        w.wait_called("qemu g reconnect begin -");
        assert_eq!(w.virsh("domstate g").ok().trim(), "running");
    });
}

#[test]
fn rules_are_read_anew_at_sighup_and_a_mistake_keeps_the_old_ones() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.rule("[ $2 != prepare ] || exit 1");
        w.rules("[[rule]]\non_failure = 'ignore'\n[rule.when]\noperation = 'prepare'\n");
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.rules("[[rule]]\non_failure = 'ignor'\n");
        w.signal(w.daemon_pid(), "HUP");
        w.wait_for("the mistake is said", Duration::from_secs(20), || {
            let log = w.daemon_log();
            log.contains("hooks.d/10-test.toml:2:14: ")
                && log.contains("the rules that were there before stay")
        });
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
        w.rules("");
        w.signal(w.daemon_pid(), "HUP");
        w.wait_for("there are no rules", Duration::from_secs(20), || {
            w.ferrovirt("list --guest g").out.contains("there are no rules")
        });
        w.virsh("start g").fails_with(&["exit status 1"]);
    });
}

#[test]
fn r21_a_daemon_does_not_start_with_rules_that_it_cannot_follow() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.rules("[[rule]]\n[rule.when]\ndriver = 'qemu'\noperation = 'migrate'\n");
        w.daemon_spawn(&[]);
        assert_eq!(w.daemon_wait(Duration::from_secs(20)), 1);
        assert!(
            w.read("daemon.out").contains("does not raise"),
            "{}",
            w.read("daemon.out")
        );
        assert!(w.calls().is_empty(), "no hook is called");
    });
}

#[test]
fn new_events_are_for_rules_alone() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft], |w| {
        w.record(&["qemu", "network"]);
        let tell = w.script("tell", "#!/bin/sh\necho \"$*\" >> /run/world/told\n");
        w.rules(&format!(
            "[[rule]]\nrun = '{0}'\n[rule.when]\ndriver = 'qemu'\n\
             operation = ['defined', 'undefined', 'suspended', 'resumed', 'reset', 'crashed', 'port-ready']\n\
             [[rule]]\nrun = '{0}'\n[rule.when]\ndriver = 'network'\noperation = ['defined', 'undefined']\n",
            tell.display()
        ));
        w.daemon_start();
        w.net_up(&Net::new("n", 5));
        w.define(&Guest::new("g").on_network("n", "52:54:00:00:00:01"));
        w.virsh("start g").ok();
        w.virsh("suspend g").ok();
        w.virsh("resume g").ok();
        w.virsh("reset g").ok();
        w.wait_text("told", "g reset end -", 20);
        let pid = w.qemu_pid("g").expect("it runs");
        w.signal(pid, "KILL");
        w.wait_text("told", "g crashed end -", 20);
        w.wait_for("it is off", Duration::from_secs(20), || {
            w.virsh("domstate g").out.contains("shut off")
        });
        w.virsh("undefine g").ok();
        w.virsh("net-destroy n").ok();
        w.virsh("net-undefine n").ok();
        w.wait_text("told", "n undefined end -", 20);
        w.wait_text("told", "g undefined end -", 20);
        let told = w.read("told");
        let of_guest: Vec<&str> = told.lines().filter(|line| line.starts_with("g ")).collect();
        assert_eq!(
            of_guest,
            [
                "g defined end -",
                "g port-ready end vnet0",
                "g suspended end -",
                "g resumed end -",
                "g reset end -",
                "g crashed end -",
                "g undefined end -",
            ]
        );
        let scripts = w.calls().join("\n");
        for word in ["defined", "suspended", "port-ready", "crashed", "reset"] {
            assert!(
                !scripts.contains(&format!(" {word} ")),
                "an old script saw {word}"
            );
        }
    });
}

#[test]
fn a_reboot_is_an_event_for_rules_in_the_same_run() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Linux], |w| {
        w.record(&["qemu"]);
        let tell = w.script("tell", "#!/bin/sh\necho \"$*\" >> /run/world/told\n");
        w.rules(&format!(
            "[[rule]]\nrun = '{}'\nwhen = {{ driver = 'qemu', operation = ['rebooted', 'started'] }}\n",
            tell.display()
        ));
        w.daemon_start();
        w.define(&Guest::new("g").linux("guest.do=reboot guest.after=1"));
        w.virsh("start g").ok();
        w.wait_text("told", "g started begin -\ng rebooted end -\n", 90);
        assert_eq!(w.calls().len(), 3, "{:?}", w.calls());
    });
}

#[test]
fn a_panic_is_an_event_before_the_end_that_it_leads_to() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Linux], |w| {
        w.record(&["qemu"]);
        let tell = w.script("tell", "#!/bin/sh\necho \"$*\" >> /run/world/told\n");
        w.rules(&format!(
            "[[rule]]\nrun = '{}'\nwhen = {{ driver = 'qemu', operation = ['crashed', 'release'] }}\n",
            tell.display()
        ));
        w.daemon_start();
        let guest = Guest::new("g").linux("guest.do=panic");
        w.define(
            &guest
                .device("<panic model='isa'/>")
                .events("<on_crash>destroy</on_crash>"),
        );
        w.virsh("start g").ok();
        w.wait_called("qemu g release end crashed");
        w.wait_for("both are told", Duration::from_secs(20), || {
            let told = w.read("told");
            told.contains("g crashed end -") && told.contains("g release end crashed")
        });
    });
}

#[test]
fn one_lock_holds_across_guests_and_networks() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft], |w| {
        w.record(&["qemu", "network"]);
        w.rule(
            "[ $2 != start ] || { echo in >> /run/world/order; sleep 0.3; echo out >> /run/world/order; }",
        );
        w.rules(
            "[[rule]]\nlock = 'iptables'\n[rule.when]\ndriver = ['qemu', 'network']\noperation = 'start'\n",
        );
        w.daemon_start();
        w.define(&Guest::new("a"));
        w.define(&Guest::new("b"));
        w.net_define(&Net::new("n", 5));
        let all = ["start a", "start b", "net-start n"].map(|line| w.virsh_background(line));
        for one in all {
            one.join().ok();
        }
        assert_eq!(w.read("order"), "in\nout\nin\nout\nin\nout\n");
    });
}

#[test]
fn who_waits_for_a_lock_is_seen_and_can_be_ended() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.rule("[ \"$1 $2\" != 'a prepare' ] || while [ ! -e /run/world/go ]; do sleep 0.1; done");
        w.rules("[[rule]]\nlock = 'storage'\nwhen = { operation = 'prepare' }\n");
        w.daemon_start();
        w.define(&Guest::new("a"));
        w.define(&Guest::new("b"));
        let first = w.virsh_background("start a");
        w.wait_called("qemu a prepare begin -");
        let second = w.virsh_background("start b");
        w.wait_for("b waits", Duration::from_secs(20), || {
            w.ferrovirt("ps")
                .out
                .contains("(qemu b prepare begin -), waits for lock 'storage'")
        });
        assert!(w.ferrovirt("why b").ok().contains("lock 'storage'"));
        w.virsh("destroy b").ok();
        second.join().fails_with(&["qemu b prepare begin -", "destroy"]);
        assert!(
            !w.calls().contains(&"qemu b prepare begin -".to_owned()),
            "it never ran"
        );
        w.sh("touch go");
        first.join().ok();
        w.virsh("start b").ok();
    });
}

#[test]
fn directories_named_by_uuid_follow_a_rename() {
    in_world(NEEDS, |w| {
        let uuid = "11111111-2222-4333-8444-555555555555";
        w.hook(
            &format!("../../ferrovirt/guests/{uuid}/prepare/10-own"),
            "#!/bin/sh\necho \"$1\" >> /run/world/own\n",
        );
        w.daemon_start();
        w.define(&Guest::new("old").uuid(uuid));
        w.virsh("start old").ok();
        w.virsh("destroy old").ok();
        w.virsh("domrename old new").ok();
        w.virsh("start new").ok();
        assert_eq!(w.read("own"), "old\nnew\n");
    });
}
