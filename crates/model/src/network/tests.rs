//! Network documents: what comes back, what is filled in, what is refused by which name.

use super::*;
use crate::{UnknownPolicy, XmlError};

fn read(text: &str) -> Result<Network, XmlError> {
    Network::parse(text, UnknownPolicy::Refuse).map(|parsed| parsed.value)
}

fn refused(body: &str) -> String {
    read(&format!("<network><name>e</name>{body}</network>"))
        .expect_err(body)
        .to_string()
}

/// A document with everything in it comes back to the byte.
#[test]
fn all_that_is_known_comes_back() {
    let text = "<network connections='2' ipv6='yes'>
  <name>all</name>
  <uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f1</uuid>
  <title>short</title>
  <description>long</description>
  <metadata>
    <a:b xmlns:a=\"http://a/\">c</a:b>
  </metadata>
  <forward dev='eth3' mode='nat'>
    <nat ipv6='yes'>
      <address start='10.9.9.1' end='10.9.9.4'/>
      <port start='2000' end='3000'/>
    </nat>
    <interface dev='eth3'/>
  </forward>
  <bridge name='br-all' zone='inside' stp='off' delay='4' macTableManager='kernel'/>
  <mtu size='1400'/>
  <mac address='52:54:00:aa:bb:cc'/>
  <domain name='lab.test' localOnly='yes'/>
  <dns enable='yes' forwardPlainNames='no'>
    <forwarder domain='corp.test' addr='10.9.0.53'/>
    <forwarder addr='fd09::53'/>
    <txt name='note' value='hello there'/>
    <srv service='imap' protocol='tcp' domain='lab.test' target='mail.lab.test' port='143' priority='5' weight='7'/>
    <host ip='10.8.0.9'>
      <hostname>nine</hostname>
      <hostname>neuf</hostname>
    </host>
  </dns>
  <ip address='10.8.0.1' netmask='255.255.0.0' localPtr='yes'>
    <tftp root='/srv/boot'/>
    <dhcp>
      <range start='10.8.1.1' end='10.8.1.9'>
        <lease expiry='2' unit='hours'/>
      </range>
      <host mac='52:54:00:11:22:33' name='kept' ip='10.8.0.77'/>
      <bootp file='grub.0' server='10.8.0.2'/>
    </dhcp>
  </ip>
  <ip family='ipv6' address='fd08::1' prefix='64'>
    <dhcp>
      <host id='0:1:2' name='six' ip='fd08::6'/>
    </dhcp>
  </ip>
  <route address='10.7.0.0' prefix='16' gateway='10.8.0.7' metric='3'/>
</network>
";
    let network = read(text).expect("known");
    assert_eq!(network.to_xml(&Form::LIVE), text);
    let inactive = network.to_xml(&Form::INACTIVE);
    assert!(inactive.starts_with("<network ipv6='yes'>\n"), "{inactive}");
}

#[test]
fn what_is_missing_is_filled_in() {
    let network =
        read("<network><name>n</name><forward/><ip address='10.1.1.1' prefix='24'/></network>").unwrap();
    let text = network.to_xml(&Form::INACTIVE);
    assert!(network.uuid.is_some());
    assert!(
        text.contains("  <forward mode='nat'/>\n  <bridge stp='on' delay='0'/>\n"),
        "{text}"
    );
    assert!(
        text.contains("  <ip address='10.1.1.1' prefix='24'>\n  </ip>\n"),
        "{text}"
    );
    let network = read("<network ipv6='no'><name>n</name><dns/><forward mode='none'/></network>").unwrap();
    assert_eq!(
        (network.ipv6, &network.dns, &network.forward),
        (None, &None, &None)
    );
    let network =
        read("<network><name>n</name><forward dev='e1'/><ip address='10.1.1.1' prefix='24'/></network>")
            .unwrap();
    assert!(
        network
            .to_xml(&Form::INACTIVE)
            .contains("<forward dev='e1' mode='nat'>\n    <interface dev='e1'/>")
    );
}

/// Documents that cannot be, and what their refusal names.
const REFUSED: &[(&str, &str)] = &[
    ("<forward mode='private'/>", "private"),
    ("<forward mode='hostdev'><pf dev='eth2'/></forward>", "mode"),
    (
        "<forward mode='bridge'><interface dev='x'/></forward><bridge name='b'/>",
        "<interface dev='x'>",
    ),
    ("<forward mode='bridge'/>", "without a <bridge"),
    (
        "<forward mode='bridge'/><bridge name='br0' stp='on'/>",
        "bridge delay/stp/zone options only allowed",
    ),
    (
        "<forward mode='bridge'/><bridge name='br0'/><mac address='52:54:00:00:00:01'/>",
        "Unsupported <mac> element",
    ),
    (
        "<forward mode='nat'/>",
        "nat forwarding requested, but no IP address provided for network 'e'",
    ),
    (
        "<forward mode='open' dev='e1'/>",
        "forward dev not allowed for network 'e' with forward mode='open'",
    ),
    (
        "<forward mode='route'><nat/></forward>",
        "The <nat> element can only be used",
    ),
    (
        "<forward dev='a'><interface dev='b'/></forward>",
        "must match first <interface dev='b'/>",
    ),
    ("<bridge macTableManager='libvirt'/>", "macTableManager"),
    ("<bridge name='a/b'/>", "Invalid bridge name 'a/b'"),
    ("<bridge name='sixteen-letters-'/>", "Invalid bridge name"),
    (
        "<mac address='53:54:00:00:00:01'/>",
        "Invalid multicast bridge mac address '53:54:00:00:00:01'",
    ),
    (
        "<dns enable='no'><txt name='a' value='b'/></dns>",
        "Extra data in disabled network 'e'",
    ),
    ("<dns><forwarder/></dns>", "Invalid forwarder element"),
    (
        "<dns><host ip='1.2.3.4'/></dns>",
        "Missing hostname in network 'e' DNS HOST record",
    ),
    (
        "<dns><txt name='a b' value='c'/></dns>",
        "prohibited character in DNS TXT record name 'a b'",
    ),
    (
        "<dns><txt name='a' value='b&#10;log-queries'/></dns>",
        "control character",
    ),
    (
        "<ip address='10.1.1.1' prefix='33'/>",
        "Invalid IPv4 prefix '33' in network 'e'",
    ),
    (
        "<ip address='10.1.1.1' prefix='8' netmask='255.0.0.0'/>",
        "cannot have both a prefix and a netmask",
    ),
    (
        "<ip address='10.1.1.1' netmask='255.0.255.0'/>",
        "Invalid netmask '255.0.255.0'",
    ),
    (
        "<ip address='fd00::1' prefix='64'/>",
        "no family specified for non-IPv4 address 'fd00::1'",
    ),
    (
        "<ip family='ipv6' address='10.1.1.1'/>",
        "Family 'ipv6' specified for non-IPv6 address '10.1.1.1'",
    ),
    (
        "<ip address='10.1.1.1' prefix='24'><dhcp><range start='10.1.2.1' end='10.1.2.2'/></dhcp></ip>",
        "range 10.1.2.1 - 10.1.2.2 is not entirely within network 10.1.1.1/24",
    ),
    (
        "<ip address='10.1.1.1' prefix='24'><dhcp><range start='10.1.1.9' end='10.1.1.2'/></dhcp></ip>",
        "range 10.1.1.9 - 10.1.1.2 is reversed",
    ),
    (
        "<ip address='10.1.1.1' prefix='24'><dhcp><host ip='10.1.1.7'/></dhcp></ip>",
        "must have mac or name attribute",
    ),
    (
        "<route address='10.0.0.0' prefix='8' gateway='10.1.1.1'/>",
        "unreachable static route gateway '10.1.1.1'",
    ),
    ("<title>a\nb</title>", "Network title can't contain newlines"),
    ("<vlan><tag id='5'/></vlan>", "network/vlan"),
    ("<portgroup name='p'/>", "network/portgroup"),
    ("<bandwidth/>", "network/bandwidth"),
];

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (body, words) in REFUSED {
        let text = refused(body);
        assert!(text.contains(words), "{body}: {text}");
    }
    assert!(read("<network><name>a/b</name></network>").is_err());
    assert!(read("<network><name></name></network>").is_err());
}

#[test]
fn r73_a_port_comes_back() {
    let text = "<networkport>
  <uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f2</uuid>
  <owner>
    <name>web</name>
    <uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f3</uuid>
  </owner>
  <mac address='52:54:00:11:22:33'/>
  <plug type='network' bridge='virbr7'/>
</networkport>
";
    let port = NetworkPort::parse(text, UnknownPolicy::Refuse)
        .expect("known")
        .value;
    assert_eq!(port.to_xml(&Form::LIVE), text);
}

#[test]
fn subnets_know_their_addresses() {
    let network = read("<network><name>n</name><ip address='172.16.3.4'/></network>").unwrap();
    let ip = &network.ips[0];
    assert_eq!(ip.prefix_length(), 16);
    assert_eq!(ip.network_address().to_string(), "172.16.0.0");
    assert!(ip.contains("172.16.255.1".parse().unwrap()));
    assert!(!ip.contains("172.17.0.1".parse().unwrap()));
    assert!(!ip.contains("fd00::1".parse().unwrap()));
}
