//! Hooks that call the daemon, and everybody else while a hook runs (R90, R91).

use std::time::Duration;

use ferrovirt_tests::{Guest, Net, Tool, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const ALL: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft];
const SOON: Duration = Duration::from_millis(1500);

#[test]
fn r90_queries_do_not_wait_for_a_hook() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.define(&Guest::new("other"));
        w.rule("[ \"$1 $2\" != 'g prepare' ] || sleep 6");
        let mut start = w.virsh_background("start g");
        w.wait_called("qemu g prepare begin -");
        for query in [
            "list --all",
            "dominfo g",
            "domstate g",
            "dumpxml g",
            "domid g",
            "domiflist g",
            "net-list --all",
        ] {
            w.virsh(query).within(SOON).ok();
        }
        w.virsh("start other").within(Duration::from_secs(5)).ok();
        w.virsh("destroy other").within(Duration::from_secs(5)).ok();
        assert!(start.is_running(), "the hook was to run all the while");
        start.join().ok();
    });
}

#[test]
fn r90_port_hooks_of_two_guests_run_side_by_side() {
    in_world(ALL, |w| {
        w.record(&["network"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 151));
        w.define(&Guest::new("a").on_network("n", "52:54:00:00:00:61"));
        w.define(&Guest::new("b").on_network("n", "52:54:00:00:00:62"));
        w.rule("[ $2 != port-created ] || sleep 3");
        let (one, two) = (w.virsh_background("start a"), w.virsh_background("start b"));
        w.wait_for("both hooks have begun", Duration::from_secs(20), || {
            w.calls()
                .iter()
                .filter(|call| call.contains("port-created"))
                .count()
                == 2
        });
        assert!(
            !w.read("calls").contains("< network n port-created"),
            "one waited for the other"
        );
        w.virsh("net-list").within(SOON).ok();
        w.virsh("net-dumpxml n").within(SOON).ok();
        one.join().ok();
        two.join().ok();
    });
}

#[test]
fn r91_a_hook_may_read_and_change_others() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.define(&Guest::new("other"));
        w.rule(
            "[ \"$1 $2\" = 'g prepare' ] || return 0
             v='timeout 20 virsh -c qemu:///system'
             { $v list --all --name; $v dumpxml g | head -n 1; $v start other; } > /run/world/answers 2>&1
             echo $? >> /run/world/answers",
        );
        w.virsh("start g").ok();
        let answers = w.read("answers");
        for part in [
            "g\nother\n",
            "<domain type='qemu'",
            "Domain 'other' started",
            "\n0\n",
        ] {
            assert!(answers.contains(part), "no '{part}' in {answers}");
        }
    });
}

#[test]
fn r91_a_hook_may_not_change_what_waits_for_it() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.rule(
            "[ \"$1 $2\" = 'g started' ] || return 0
             for c in 'destroy g' 'shutdown g' 'suspend g'; do
                 timeout 20 virsh -c qemu:///system $c >> /run/world/answers 2>&1; echo $c: $? >> /run/world/answers
             done",
        );
        w.virsh("start g").within(Duration::from_secs(20)).ok();
        let answers = w.read("answers");
        for command in ["destroy", "shutdown", "suspend"] {
            assert!(answers.contains(&format!("{command} g: 1\n")), "{answers}");
        }
        for verb in ["destroy", "shutdown", "suspend"] {
            let refusal = format!(
                "{verb} of guest g is refused: it waits for the hook /etc/libvirt/hooks/qemu (qemu g started begin -)"
            );
            assert!(answers.contains(&refusal), "no '{refusal}' in {answers}");
        }
        assert_eq!(w.virsh("domstate g").ok().trim(), "running");
    });
}

#[test]
fn r90_r91_the_same_for_networks() {
    in_world(ALL, |w| {
        w.record(&["network"]);
        w.daemon_start();
        w.net_define(&Net::new("n", 157));
        w.net_define(&Net::new("other", 158));
        w.rule(
            "[ \"$1 $2\" = 'n started' ] || return 0
             v='timeout 20 virsh -c qemu:///system'
             $v net-dumpxml n > /run/world/read 2>&1
             $v net-destroy n > /run/world/refused 2>&1; echo $? >> /run/world/refused
             $v net-start other > /run/world/done 2>&1; echo $? >> /run/world/done
             while [ ! -e /run/world/go ]; do sleep 0.1; done",
        );
        let start = w.virsh_background("net-start n");
        w.wait_text("done", "\n0\n", 30);
        for query in ["net-list --all", "net-info n", "net-dumpxml n", "list --all"] {
            w.virsh(query).within(SOON).ok();
        }
        w.virsh("net-destroy other").within(Duration::from_secs(5)).ok();
        w.sh("touch go");
        start.join().ok();
        assert!(w.read("read").contains("<name>n</name>"), "{}", w.read("read"));
        let refused = w.read("refused");
        assert!(
            refused.contains(
                "network 'n' cannot be changed from inside hook /etc/libvirt/hooks/network (network n started begin -)"
            ) && refused.ends_with("\n1\n"),
            "{refused}"
        );
        assert!(w.link_exists("virbr157") && !w.link_exists("virbr158"));
    });
}

#[test]
fn r91_not_even_through_another_hook() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.define(&Guest::new("other"));
        w.rule(
            "v='timeout 20 virsh -c qemu:///system'
             case \"$1 $2\" in
             'g prepare') $v start other > /run/world/outer 2>&1 ;;
             'other prepare') $v destroy g > /run/world/inner 2>&1 || $v start g >> /run/world/inner 2>&1; echo $? >> /run/world/inner ;;
             esac",
        );
        w.virsh("start g").within(Duration::from_secs(30)).ok();
        assert!(w.read("inner").ends_with("1\n"), "{}", w.read("inner"));
        assert_eq!(w.virsh("domstate g").ok().trim(), "running");
        assert_eq!(w.virsh("domstate other").ok().trim(), "running");
    });
}

#[test]
fn r91_a_child_that_outlived_its_hook_is_nobody_special() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.rule(
            "[ \"$1 $2\" = 'g started' ] || return 0
             (sleep 1; timeout 20 virsh -c qemu:///system suspend g > /run/world/answer 2>&1; echo $? >> /run/world/answer) \
             < /dev/null > /dev/null 2>&1 &",
        );
        w.virsh("start g").ok();
        w.wait_text("answer", "\n0\n", 20);
        assert_eq!(w.virsh("domstate g").ok().trim(), "paused");
    });
}
