//! The rules as text. That nft takes them is shown by the tests that start networks.

use ferrovirt_model::UnknownPolicy;

use super::*;

fn network(name: &str, body: &str) -> Network {
    let text = format!("<network><name>{name}</name>{body}</network>");
    Network::parse(&text, UnknownPolicy::Refuse).expect(body).value
}

/// The batch without its first four lines, which take the old tables away.
fn rules(body: &str) -> String {
    let text = batch(&network("n1", body), "virbr7");
    let removal = removal("n1");
    text.strip_prefix(&removal)
        .expect("the removal comes first")
        .to_owned()
}

#[test]
fn each_batch_begins_with_the_end_of_what_was_there() {
    assert_eq!(
        removal("n1"),
        "table ip ferrovirt_n1\ndelete table ip ferrovirt_n1\ntable ip6 ferrovirt_n1\ndelete table ip6 ferrovirt_n1\n"
    );
}

#[test]
fn nat_lets_answers_in_and_what_a_hook_redirected() {
    assert_eq!(
        rules("<forward mode='nat'/><ip address='10.1.2.1' prefix='24'/>"),
        r#"table ip ferrovirt_n1 {
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname "virbr7" oifname "virbr7" accept
		oifname "virbr7" ct status dnat accept
		oifname "virbr7" ip daddr 10.1.2.0/24 ct state established,related accept
		iifname "virbr7" ip saddr 10.1.2.0/24 accept
		iifname "virbr7" ct status dnat ct direction reply accept
		oifname "virbr7" reject
		iifname "virbr7" reject
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 10.1.2.0/24 ip daddr 224.0.0.0/24 return
		ip saddr 10.1.2.0/24 ip daddr 255.255.255.255 return
		meta l4proto tcp ip saddr 10.1.2.0/24 ip daddr != 10.1.2.0/24 masquerade to :1024-65535
		meta l4proto udp ip saddr 10.1.2.0/24 ip daddr != 10.1.2.0/24 masquerade to :1024-65535
		ip saddr 10.1.2.0/24 ip daddr != 10.1.2.0/24 masquerade
	}
}
"#
    );
}

#[test]
fn nat_to_addresses_and_ports_through_one_device() {
    let text = rules(
        "<forward mode='nat' dev='eth3'><nat><address start='192.0.2.1' end='192.0.2.4'/><port start='500' end='600'/>\
         </nat></forward><ip address='10.1.2.1' prefix='24'/>",
    );
    assert!(text.contains(
        "\t\toifname \"virbr7\" iifname \"eth3\" ip daddr 10.1.2.0/24 ct state established,related"
    ));
    assert!(text.contains("\t\tiifname \"virbr7\" oifname \"eth3\" ip saddr 10.1.2.0/24 accept\n"));
    assert!(text.contains(
        "\t\toifname \"eth3\" meta l4proto tcp ip saddr 10.1.2.0/24 ip daddr != 10.1.2.0/24 snat to \
         192.0.2.1-192.0.2.4:500-600\n"
    ));
    assert!(text.contains(
        "\t\toifname \"eth3\" ip saddr 10.1.2.0/24 ip daddr != 10.1.2.0/24 snat to 192.0.2.1-192.0.2.4\n"
    ));
    let one = rules(
        "<forward mode='nat'><nat><address start='192.0.2.1' end='192.0.2.1'/></nat></forward>\
         <ip address='10.1.2.1' prefix='24'/>",
    );
    assert!(one.contains("snat to 192.0.2.1:1024-65535\n"), "{one}");
}

#[test]
fn ipv6_of_a_nat_network_is_routed_unless_it_is_said_otherwise() {
    let body = "<ip address='10.1.2.1' prefix='24'/><ip family='ipv6' address='fd07::1' prefix='64'/>";
    let routed = rules(&format!("<forward mode='nat'/>{body}"));
    assert!(
        routed.contains("\t\toifname \"virbr7\" ip6 daddr fd07::/64 accept\n"),
        "{routed}"
    );
    assert!(!routed.contains("ip6 saddr fd07::/64 ip6 daddr != fd07::/64 masquerade"));
    let translated = rules(&format!("<forward mode='nat'><nat ipv6='yes'/></forward>{body}"));
    assert!(translated.contains("ip6 daddr fd07::/64 ct state established,related accept\n"));
    assert!(translated.contains("ip6 saddr fd07::/64 ip6 daddr ff02::/16 return\n"));
    assert!(translated.contains("ip6 saddr fd07::/64 ip6 daddr != fd07::/64 masquerade\n"));
}

#[test]
fn routed_networks_are_reached_and_not_translated() {
    assert_eq!(
        rules("<forward mode='route'/><ip address='10.1.2.1' prefix='24'/>"),
        r#"table ip ferrovirt_n1 {
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname "virbr7" oifname "virbr7" accept
		oifname "virbr7" ct status dnat accept
		oifname "virbr7" ip daddr 10.1.2.0/24 accept
		iifname "virbr7" ip saddr 10.1.2.0/24 accept
		iifname "virbr7" ct status dnat ct direction reply accept
		oifname "virbr7" reject
		iifname "virbr7" reject
	}
}
"#
    );
}

#[test]
fn isolated_networks_let_nothing_pass() {
    let text = rules("<ip address='10.1.2.1' prefix='24'/>");
    assert_eq!(
        text,
        r#"table ip ferrovirt_n1 {
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname "virbr7" oifname "virbr7" accept
		oifname "virbr7" reject
		iifname "virbr7" reject
	}
}
"#
    );
    let with_ipv6 = batch(&network("n1", "").tap_ipv6(), "virbr7");
    assert!(with_ipv6.contains("table ip6 ferrovirt_n1 {"), "{with_ipv6}");
}

#[test]
fn open_networks_and_bridges_of_the_host_have_no_rules() {
    assert_eq!(
        rules("<forward mode='open'/><ip address='10.1.2.1' prefix='24'/>"),
        ""
    );
    assert_eq!(rules("<forward mode='bridge'/><bridge name='br0'/>"), "");
    assert!(!has_rules(&network("n1", "<forward mode='open'/>")));
}

#[test]
fn names_of_tables_are_taken_by_nft_and_keep_networks_apart() {
    assert_eq!(table_name("default"), "ferrovirt_default");
    assert_eq!(table_name("a b"), "ferrovirt_a.20b");
    assert_eq!(table_name("a.b"), "ferrovirt_a.2eb");
    assert_eq!(table_name("é;x"), "ferrovirt_.c3.a9.3bx");
    let long = |end: &str| table_name(&format!("{}{end}", "x".repeat(300)));
    assert_ne!(long("a"), long("b"));
    assert!(long("a").len() < 255);
}

trait TapIpv6 {
    fn tap_ipv6(self) -> Network;
}

impl TapIpv6 for Network {
    fn tap_ipv6(mut self) -> Network {
        self.ipv6 = Some(true);
        self
    }
}
