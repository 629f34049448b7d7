//! dnsmasq's files as text. That dnsmasq takes them is shown by the tests that start networks.

use ferrovirt_model::UnknownPolicy;

use super::*;

fn files() -> Files {
    Files {
        conf: "/s/n1.conf".into(),
        hosts: "/s/n1.hostsfile".into(),
        addn_hosts: "/s/n1.addnhosts".into(),
        pid: "/r/n1.pid".into(),
        leases: "/s/virbr7.status".into(),
    }
}

fn network(body: &str) -> Network {
    let text = format!("<network><name>n1</name>{body}</network>");
    Network::parse(&text, UnknownPolicy::Refuse).expect(body).value
}

/// The three texts, the configuration without its comment.
fn texts(body: &str) -> Texts {
    let mut texts = render(&network(body), "virbr7", &files()).expect(body);
    texts.conf = texts
        .conf
        .lines()
        .filter(|line| !line.starts_with('#'))
        .fold(String::new(), |all, line| all + line + "\n");
    texts
}

#[test]
fn dhcp_with_kept_addresses() {
    let texts = texts(
        "<forward mode='nat'/><domain name='lab.test'/><ip address='10.1.2.1' netmask='255.255.255.0'><dhcp>\
         <range start='10.1.2.10' end='10.1.2.19'/><range start='10.1.2.30' end='10.1.2.31'>\
         <lease expiry='3' unit='hours'/></range><host mac='52:54:00:11:22:33' name='a' ip='10.1.2.5'/>\
         <host name='b' ip='10.1.2.6'/><host mac='52:54:00:11:22:34' ip='10.1.2.7'><lease expiry='0'/></host>\
         <bootp file='grub.0' server='10.1.2.9'/></dhcp></ip>",
    );
    assert_eq!(
        texts.conf,
        "strict-order
domain=lab.test
expand-hosts
pid-file=/r/n1.pid
except-interface=lo
bind-dynamic
interface=virbr7
dhcp-range=10.1.2.10,10.1.2.19,255.255.255.0
dhcp-range=10.1.2.30,10.1.2.31,255.255.255.0,3h
dhcp-no-override
dhcp-authoritative
dhcp-boot=grub.0,,10.1.2.9
dhcp-lease-max=12
dhcp-hostsfile=/s/n1.hostsfile
addn-hosts=/s/n1.addnhosts
"
    );
    assert_eq!(
        texts.hosts,
        "52:54:00:11:22:33,10.1.2.5,a\nb,10.1.2.6\n52:54:00:11:22:34,10.1.2.7,infinite\n"
    );
    assert_eq!(texts.addn_hosts, "");
}

#[test]
fn isolated_networks_lead_nowhere() {
    let texts =
        texts("<ip address='10.1.2.1' prefix='24'/><ip family='ipv6' address='fd07::1' prefix='64'/>");
    assert_eq!(
        texts.conf,
        "strict-order
pid-file=/r/n1.pid
except-interface=lo
bind-dynamic
interface=virbr7
dhcp-option=3
no-resolv
ra-param=*,0,0
addn-hosts=/s/n1.addnhosts
dhcp-range=fd07::1,ra-only
"
    );
}

#[test]
fn dns_with_all_that_it_can() {
    let texts = texts(
        "<forward mode='open'/><mtu size='1400'/><domain name='lab.test' localOnly='yes'/><dns forwardPlainNames='no'>\
         <forwarder addr='10.9.0.53'/><forwarder domain='corp.test'/><forwarder domain='c2.test' addr='fd09::53'/>\
         <txt name='note' value='a \"b\", c'/><srv service='imap' protocol='tcp'/>\
         <srv service='x' protocol='udp' domain='lab.test' target='t.lab.test' priority='5'/>\
         <host ip='10.1.2.8'><hostname>h8</hostname><hostname>acht</hostname></host></dns>\
         <ip address='10.1.2.1' prefix='16' localPtr='yes'><tftp root='/srv/boot'/><dhcp>\
         <range start='10.1.2.10' end='10.1.2.19'/></dhcp></ip>\
         <ip family='ipv6' address='fd07::1' prefix='64' localPtr='yes'><dhcp><range start='fd07::10' end='fd07::1f'/>\
         <host id='0:1:2' name='six' ip='fd07::6'/></dhcp></ip>",
    );
    assert_eq!(
        texts.conf,
        r#"strict-order
server=10.9.0.53
server=/corp.test/#
server=/c2.test/fd09::53
no-resolv
local=/lab.test/
domain=lab.test
expand-hosts
local=/1.10.in-addr.arpa/
local=/0.0.0.0.0.0.0.0.0.0.0.0.7.0.d.f.ip6.arpa/
domain-needed
local=//
pid-file=/r/n1.pid
except-interface=lo
bind-dynamic
interface=virbr7
txt-record=note,"a \"b\", c"
srv-host=_imap._tcp
srv-host=_x._udp.lab.test,t.lab.test,1,5
enable-tftp
tftp-root=/srv/boot
dhcp-range=10.1.2.10,10.1.2.19,255.255.0.0
dhcp-no-override
dhcp-authoritative
dhcp-range=fd07::10,fd07::1f,64
dhcp-lease-max=26
dhcp-hostsfile=/s/n1.hostsfile
addn-hosts=/s/n1.addnhosts
dhcp-option=option:mtu,1400
enable-ra
"#
    );
    assert_eq!(texts.hosts, "id:0:1:2,six,[fd07::6]\n");
    assert_eq!(texts.addn_hosts, "10.1.2.8\th8\tacht\t\n");
}

#[test]
fn addresses_that_are_only_kept_are_static() {
    let texts = texts(
        "<ip address='10.1.2.1' prefix='24'><dhcp><host name='b' ip='10.1.2.6'/></dhcp></ip>\
         <ip family='ipv6' address='fd07::1' prefix='64'><dhcp><host name='b' ip='fd07::6'/></dhcp></ip>",
    );
    assert!(
        texts
            .conf
            .contains("dhcp-range=10.1.2.1,static\ndhcp-no-override\n"),
        "{}",
        texts.conf
    );
    assert!(
        texts.conf.contains("dhcp-range=fd07::1,static,64\n"),
        "{}",
        texts.conf
    );
    assert!(!texts.conf.contains("dhcp-lease-max"));
}

#[test]
fn a_network_without_names_and_addresses_needs_no_dnsmasq() {
    assert!(!is_needed(&network("")));
    assert!(!is_needed(&network(
        "<dns enable='no'/><ip address='10.1.2.1' prefix='24'/>"
    )));
    assert!(!is_needed(&network(
        "<forward mode='bridge'/><bridge name='br0'/>"
    )));
    assert!(is_needed(&network("<ip address='10.1.2.1' prefix='24'/>")));
    let only_dhcp = "<dns enable='no'/><ip address='10.1.2.1' prefix='24'><dhcp><range start='10.1.2.2' \
                     end='10.1.2.3'/></dhcp></ip>";
    assert!(is_needed(&network(only_dhcp)));
    assert!(texts(only_dhcp).conf.starts_with("strict-order\nport=0\n"));
    assert!(!texts(only_dhcp).conf.contains("addn-hosts"));
}

#[test]
fn a_subnet_without_a_domain_of_its_own_is_refused() {
    let network = network("<ip address='10.1.2.1' prefix='20' localPtr='yes'/>");
    let error = render(&network, "virbr7", &files()).expect_err("no domain");
    assert_eq!(
        error.to_string(),
        "PTR domain for IPv4 network with prefix 20 cannot be automatically created"
    );
}
