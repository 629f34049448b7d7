//! Virtual networks with real bridges, dnsmasq and nft, and a real guest that gets its address from one.

use std::time::Duration;

use ferrovirt_tests::{Guest, Net, Tool, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Dnsmasq, Tool::Nft];
const ALL: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft, Tool::Linux];
const MAC: &str = "52:54:00:00:00:31";

#[test]
fn a_guest_gets_its_address_from_the_network() {
    in_world(ALL, |w| {
        w.daemon_start();
        w.net_up(&Net::new("n", 131));
        w.define(&Guest::new("web1").linux("").on_network("n", MAC));
        w.virsh("start web1").ok();
        w.wait_text("web1.serial", "GUEST-IP 192.168.131.", 90);
        let leases = w.virsh("net-dhcp-leases n").ok().to_owned();
        for part in [MAC, "192.168.131.", "web1", "ipv4"] {
            assert!(leases.contains(part), "no {part} in {leases}");
        }
        let addresses = w.virsh("domifaddr web1").ok().to_owned();
        assert!(
            addresses.contains("192.168.131.") && addresses.contains("/24"),
            "{addresses}"
        );
        let taps = w.taps();
        assert_eq!(taps, ["vnet0"]);
        let mac = w.read("/sys/class/net/vnet0/address");
        assert_eq!(mac.trim(), "fe:54:00:00:00:31");
        let serial = w.read("web1.serial");
        let address = serial
            .split("GUEST-IP ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next())
            .unwrap();
        w.wait_for("the guest's web server", Duration::from_secs(20), || {
            w.fetch(address, 80)
                .is_some_and(|answer| answer.contains("hello from web1"))
        });
        w.virsh("destroy web1").ok();
        assert_eq!(w.taps(), Vec::<String>::new());
        w.virsh("net-destroy n").ok();
        assert!(!w.link_exists("virbr131"));
    });
}

#[test]
fn a_nat_network_lets_guests_out_and_nobody_in() {
    in_world(ALL, |w| {
        w.make_outside();
        w.daemon_start();
        w.net_up(&Net::new("n", 132).host(MAC, "192.168.132.50"));
        w.define(&Guest::new("web1").linux("").on_network("n", MAC));
        w.virsh("start web1").ok();
        w.wait_text("web1.serial", "GUEST-IP 192.168.132.50", 90);
        assert_eq!(w.read("/proc/sys/net/ipv4/ip_forward").trim(), "1");
        // a neighbour that knows the way does not get in uninvited
        w.sh("ip -n outside route add 192.168.132.0/24 via 10.77.0.1");
        assert!(w.fetch_from_outside("192.168.132.50", 80).is_none());
        w.wait_for("the guest's web server", Duration::from_secs(20), || {
            w.fetch("192.168.132.50", 80).is_some()
        });
    });
}

#[test]
fn route_open_and_isolated_networks_start() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        for (number, mode) in [(133, "route"), (134, "open"), (135, "none")] {
            let net = Net::new(mode, number).mode(mode);
            w.net_up(&net);
            assert!(w.link_exists(&net.bridge()), "{mode}");
            w.virsh(&format!("net-destroy {mode}")).ok();
            assert!(!w.link_exists(&net.bridge()), "{mode}");
        }
    });
}

#[test]
fn a_transient_network_is_gone_at_its_end() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.file("net.xml", &Net::new("t", 136).xml());
        w.virsh("net-create net.xml").ok();
        assert!(w.link_exists("virbr136"));
        let info = w.virsh("net-info t").ok().to_owned();
        assert!(
            info.lines()
                .any(|line| line.starts_with("Persistent:") && line.ends_with("no")),
            "{info}"
        );
        w.virsh("net-create net.xml").fails_with(&["'t'"]);
        w.virsh("net-destroy t").ok();
        assert!(!w.link_exists("virbr136"));
        w.virsh("net-info t").fails_with(&["Network not found"]);
    });
}

#[test]
fn foreign_rules_are_left_alone() {
    in_world(NEEDS, |w| {
        w.sh("nft add table ip mine
              nft 'add chain ip mine c { type filter hook forward priority 10; }'
              nft add rule ip mine c tcp dport 7 drop");
        w.daemon_start();
        let before = w.sh("nft -s list ruleset");
        w.net_up(&Net::new("n", 136));
        let with = w.sh("nft -s list ruleset");
        assert!(with.contains("192.168.136.0/24"), "{with}");
        w.virsh("net-destroy n").ok();
        assert_eq!(w.sh("nft -s list ruleset"), before);
    });
}

#[test]
fn a_killed_dnsmasq_comes_back() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.net_up(&Net::new("n", 137));
        let first = w.running("dnsmasq");
        assert!(!first.is_empty());
        for pid in &first {
            w.succeeds(&format!("kill -KILL {pid}"));
        }
        w.wait_for("another dnsmasq", Duration::from_secs(10), || {
            w.running("dnsmasq").iter().any(|pid| !first.contains(pid))
        });
        w.virsh("net-destroy n").ok();
        w.wait_for("no dnsmasq", Duration::from_secs(5), || {
            w.running("dnsmasq").is_empty()
        });
    });
}

#[test]
fn r24_networks_live_on_and_autostart_once() {
    in_world(NEEDS, |w| {
        w.record(&["network"]);
        w.daemon_start();
        w.net_define(&Net::new("auto", 138));
        w.virsh("net-autostart auto").ok();
        w.net_up(&Net::new("kept", 139));
        w.forget_calls();
        assert_eq!(w.daemon_stop(), 0);
        assert!(w.link_exists("virbr139"));
        w.daemon_start();
        assert_eq!(w.virsh("net-list --name").ok().trim(), "kept");
        w.assert_calls(&[]);
        assert_eq!(w.daemon_stop(), 0);
        // as after a boot of the machine
        for pid in w.running("dnsmasq") {
            w.succeeds(&format!("kill -KILL {pid}"));
        }
        w.sh("rm -rf /run/libvirt; ip link del virbr139");
        w.daemon_start();
        w.wait_called("network auto started begin -");
    });
}
