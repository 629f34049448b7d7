//! The hooks that people really write: a port of the host, forwarded to the guest while it runs. A neighbour
//! outside connects through it to a web server inside a real Linux guest.

use ferrovirt_tests::network::HOST_ADDRESS;
use ferrovirt_tests::{Guest, Net, Tool, World, in_world};

const ALL: &[Tool] = &[
    Tool::Virsh,
    Tool::Qemu,
    Tool::Dnsmasq,
    Tool::Nft,
    Tool::Iptables,
    Tool::Linux,
];
const MAC: &str = "52:54:00:00:00:71";
const PORT: u16 = 8080;

/// Forwards with iptables, in the tables that iptables has.
const IPTABLES: &str = r#"#!/bin/sh
# port 8080 of this host -> port 80 of web1
guest=192.168.152.50
if [ "$1" = web1 ]; then
    if [ "$2" = stopped ] || [ "$2" = reconnect ]; then
        iptables -D FORWARD -p tcp -d $guest --dport 80 -j ACCEPT
        iptables -t nat -D PREROUTING -p tcp --dport 8080 -j DNAT --to $guest:80
    fi
    if [ "$2" = start ] || [ "$2" = reconnect ]; then
        iptables -I FORWARD -p tcp -d $guest --dport 80 -j ACCEPT
        iptables -t nat -I PREROUTING -p tcp --dport 8080 -j DNAT --to $guest:80
    fi
fi
exit 0
"#;

/// Forwards with nft, in a table of its own.
const NFT: &str = r#"#!/bin/sh
# port 8080 of this host -> port 80 of web1
[ "$1" = web1 ] || exit 0
case $2 in
start | reconnect)
    nft -f - << 'RULES'
table ip forward_web1
delete table ip forward_web1
table ip forward_web1 {
    chain prerouting {
        type nat hook prerouting priority dstnat;
        tcp dport 8080 dnat to 192.168.152.50:80
    }
}
RULES
    ;;
stopped) nft delete table ip forward_web1 ;;
esac
"#;

fn forwarded(w: &World, hook: &str, is_there: impl Fn(&World) -> bool) {
    w.make_outside();
    w.hook("qemu", hook);
    w.daemon_start();
    w.net_up(&Net::new("n", 152).host(MAC, "192.168.152.50"));
    w.define(&Guest::new("web1").linux("").on_network("n", MAC));
    assert!(w.fetch_from_outside(HOST_ADDRESS, PORT).is_none());
    w.virsh("start web1").ok();
    assert!(is_there(w));
    w.wait_text("web1.serial", "GUEST-IP 192.168.152.50", 90);
    w.wait_reachable(PORT, "hello from web1");

    // a new daemon: `reconnect` puts the rule up again, once
    w.daemon_kill();
    w.daemon_start();
    w.wait_reachable(PORT, "hello from web1");

    w.virsh("destroy web1").ok();
    assert!(!is_there(w), "{}", w.sh("nft -s list ruleset"));
    assert!(w.fetch_from_outside(HOST_ADDRESS, PORT).is_none());
    w.virsh("net-destroy n").ok();
}

#[test]
fn an_iptables_hook_forwards_a_port() {
    in_world(ALL, |w| {
        forwarded(w, IPTABLES, |w| {
            w.sh("iptables-save").contains("192.168.152.50:80")
        })
    });
}

#[test]
fn an_nft_hook_forwards_a_port() {
    in_world(ALL, |w| {
        forwarded(w, NFT, |w| w.sh("nft list tables").contains("forward_web1"))
    });
}
