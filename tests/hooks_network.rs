//! The hooks of networks (R11, R70 to R74).

use ferrovirt_tests::{Guest, Net, Tool, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Dnsmasq, Tool::Nft];
const ALL: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft];
const MAC: &str = "52:54:00:00:00:51";

#[test]
fn r70_r71_r72_a_networks_life() {
    in_world(NEEDS, |w| {
        w.record(&["network"]);
        w.rule("[ -e /sys/class/net/virbr144 ] && echo $2 up >> /run/world/seen || echo $2 down >> /run/world/seen");
        w.daemon_start();
        w.net_up(&Net::new("n", 144));
        w.virsh("net-destroy n").ok();
        w.assert_calls(&[
            "network n start begin -",
            "network n started begin -",
            "network n stopped end -",
        ]);
        assert_eq!(w.read("seen"), "start down\nstarted up\nstopped down\n");
    });
}

#[test]
fn r11_the_document_of_a_network() {
    in_world(ALL, |w| {
        w.record(&["network"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 145));
        let started = w.document("network n started begin -");
        assert!(started.starts_with("<hookData>\n  <network>\n"), "{started}");
        assert!(started.ends_with("</hookData>"), "{started}");
        w.define(&Guest::new("g").on_network("n", MAC));
        w.virsh("start g").ok();
        let port = w.document("network n port-created begin -");
        for part in [
            "<network connections='1'>",
            "<networkport>",
            "<name>g</name>",
            MAC,
            "<plug type='network' bridge='virbr145'",
        ] {
            assert!(port.contains(part), "no {part} in {port}");
        }
        w.virsh("destroy g").ok();
        let deleted = w.document("network n port-deleted begin -");
        assert!(
            deleted.contains("<networkport>") && !deleted.contains("connections="),
            "{deleted}"
        );
    });
}

#[test]
fn r70_r71_a_refused_network_is_torn_down() {
    in_world(NEEDS, |w| {
        w.record(&["network"]);
        w.daemon_start();
        w.net_define(&Net::new("n", 146));
        for moment in ["start", "started"] {
            w.forget_calls();
            w.rule(&format!("[ $2 != {moment} ] || exit 4"));
            w.virsh("net-start n").fails_with(&["unexpected exit status 4"]);
            assert_eq!(
                w.calls().last().map(String::as_str),
                Some("network n stopped end -")
            );
            assert!(!w.link_exists("virbr146"));
            assert_eq!(w.virsh("net-list --name").ok().trim(), "");
        }
    });
}

#[test]
fn r72_a_failing_stopped_is_too_late() {
    in_world(NEEDS, |w| {
        w.record(&["network"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 147));
        w.rule("exit 4");
        w.virsh("net-destroy n").ok();
        assert!(!w.link_exists("virbr147"));
    });
}

#[test]
fn r73_a_refused_port_ends_the_start() {
    in_world(ALL, |w| {
        w.record(&["network", "qemu"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 148));
        w.define(&Guest::new("g").on_network("n", MAC));
        w.forget_calls();
        w.rule("[ $2 != port-created ] || exit 4");
        w.virsh("start g")
            .fails_with(&["n port-created begin -) unexpected exit status 4"]);
        w.assert_calls(&[
            "qemu g prepare begin -",
            "network n port-created begin -",
            "qemu g stopped end -",
            "qemu g release end failed",
        ]);
        assert!(!w.virsh("net-dumpxml n").ok().contains("connections"));
    });
}

#[test]
fn r73_a_network_that_is_down_refuses_ports() {
    in_world(ALL, |w| {
        w.daemon_start();
        w.net_define(&Net::new("n", 149));
        w.define(&Guest::new("g").on_network("n", MAC));
        w.virsh("start g").fails_with(&["network 'n' is not active"]);
    });
}

#[test]
fn r75_a_network_destroyed_under_a_guest_deletes_its_ports() {
    in_world(ALL, |w| {
        w.record(&["network", "qemu"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 150));
        w.define(&Guest::new("g").on_network("n", MAC));
        w.virsh("start g").ok();
        w.forget_calls();
        w.virsh("net-destroy n").ok();
        w.assert_calls(&["network n port-deleted begin -", "network n stopped end -"]);
        w.virsh("destroy g").ok();
        assert_eq!(
            w.calls()[2..],
            ["qemu g stopped end -", "qemu g release end destroyed"]
        );
    });
}
