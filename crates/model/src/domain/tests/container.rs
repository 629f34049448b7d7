//! What containers have: order, defaults, and what cannot be.

use super::*;

fn container(more: &str, devices: &str) -> String {
    format!(
        "<domain type='lxc' xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'><name>c</name><memory>1</memory>\
         <os><type>exe</type><init>/i</init></os>{more}<devices>{devices}</devices></domain>"
    )
}

/// The written document from this element on.
fn from(element: &str, text: &str) -> String {
    let text = read(text).to_xml(&Form::STORED);
    let at = text
        .find(element)
        .unwrap_or_else(|| panic!("no {element} in {text}"));
    text[at..].to_owned()
}

#[test]
fn maps_are_sorted_and_say_nothing_when_empty() {
    let map = "<idmap><uid start='9' target='9' count='1'/><uid start='0' target='10' count='9'/>\
               <gid start='0' target='0' count='4294967295'/></idmap>";
    let sorted = from("<idmap>", &container(map, ""));
    let first = sorted.find("start='0' target='10'");
    assert!(first < sorted.find("start='9'"), "{sorted}");
    assert_eq!(read(&container("<idmap/>", "")).id_map, None);
}

/// Inside the first `<uid/>` of a map; why not.
const MAPS: &[(&str, &str)] = &[
    (
        "start='1' target='1' count='1'",
        "You must map the root user of container",
    ),
    ("start='0' target='1'", "Missing required attribute 'count'"),
    ("start='0' target='4294967295' count='2'", "there are no such ids"),
    (
        "start='0' target='100' count='10'/><uid start='9' target='900' count='1'",
        "<uid start='9'> of <idmap> overlaps",
    ),
    (
        "start='0' target='100' count='10'/><uid start='50' target='109' count='1'",
        "<uid start='50'> of <idmap> overlaps",
    ),
];

/// Beside `<os>`.
const DOCUMENTS: &[(&str, &str)] = &[
    (
        "<idmap><uid start='0' target='1' count='2'/></idmap>",
        "uid and gid should be mapped both",
    ),
    (
        "<features><capabilities policy='some'/></features>",
        "attribute 'policy'",
    ),
    (
        "<features><capabilities><mknod state='maybe'/></capabilities></features>",
        "capabilities/mknod/@state",
    ),
    (
        "<numatune><memory mode='strict'/></numatune>",
        "nodeset for NUMA memory tuning must be set",
    ),
    ("<vcpu cpuset='2-1'>1</vcpu>", "Failed to parse bitmap '2-1'"),
    (
        "<lxc:namespace><lxc:sharenet type='path' value='a'/></lxc:namespace>",
        "lxc:sharenet/@type",
    ),
    (
        "<lxc:namespace><lxc:sharepid type='pid' value='1'/></lxc:namespace>",
        "element 'sharepid', domain/lxc:namespace/lxc:sharepid (line 1",
    ),
    (
        "<lxc:namespace><sharenet type='pid' value='1'/></lxc:namespace>",
        "lxc:namespace/sharenet (line 1",
    ),
];

/// Inside an interface of type `bridge`.
const CARDS: &[(&str, &str)] = &[
    (
        "<ip address='10.0.0.1' family='ipv6'/>",
        "Invalid address '10.0.0.1' in <ip>",
    ),
    (
        "<ip address='10.0.0.1' prefix='33'/>",
        "Invalid prefix value '33'",
    ),
    (
        "<ip address='10.0.0.1' peer='fd00::1'/>",
        "Invalid peer 'fd00::1'",
    ),
    ("<ip address='10.0.0.256'/>", "interface/ip/@address"),
    (
        "<route address='10.0.0.0' prefix='8'/>",
        "Missing required attribute 'gateway'",
    ),
    (
        "<route address='10.0.0.0' gateway='10.0.0.1'/>",
        "'10.0.0.0' in route definition is not a network address",
    ),
    (
        "<route address='fd00::' prefix='8' gateway='fd00::1'/>",
        "ipv4 family specified for address 'fd00::'",
    ),
    (
        "<route address='10.0.0.0' prefix='8' netmask='255.0.0.0' gateway='10.0.0.1'/>",
        "both a prefix and a netmask",
    ),
    (
        "<route address='10.0.0.0' prefix='8' gateway='10.0.0.1' metric='0'/>",
        "Zero is not permitted",
    ),
];

/// Devices.
const DEVICES: &[(&str, &str)] = &[
    (
        "<filesystem type='ram'><target dir='/a'/></filesystem>",
        "missing 'usage' attribute",
    ),
    (
        "<filesystem type='ram'><source usage='1' units='x'/><target dir='/a'/></filesystem>",
        "unknown suffix 'x'",
    ),
    (
        "<filesystem type='ram'><source usage='9' units='b'/><target dir='/a'/></filesystem>",
        "less than 1 KiB",
    ),
    (
        "<filesystem><target dir='/a'/></filesystem>",
        "missing source information for device /a",
    ),
    (
        "<filesystem><source dir='/a'/></filesystem>",
        "missing target information for device /a",
    ),
    (
        "<filesystem type='block'><source dir='/a'/><target dir='/b'/></filesystem>",
        "attribute 'dir'",
    ),
    (
        "<filesystem><source dir='/a' pool='p'/><target dir='/b'/></filesystem>",
        "attribute 'pool'",
    ),
    (
        "<filesystem><source dir='/a'/><target dir='/b'/><space_hard_limit>1</space_hard_limit></filesystem>",
        "filesystem/space_hard_limit (line 1",
    ),
    (
        "<interface type='bridge'><source bridge='b'><ip address='10.0.0.1'/></source></interface>",
        "interface of type 'bridge'",
    ),
    (
        "<interface type='bridge'><source bridge='b' dev='e'/></interface>",
        "attribute 'dev'",
    ),
    (
        "<interface type='direct'><source mode='bridge'/></interface>",
        "'dev' attribute",
    ),
    (
        "<interface type='direct'><source dev='e' mode='open'/></interface>",
        "source/@mode",
    ),
    (
        "<hostdev mode='capabilities' type='storage'><source/></hostdev>",
        "source/block",
    ),
    (
        "<hostdev mode='capabilities' type='misc'><source><block>/a</block></source></hostdev>",
        "source/char",
    ),
    (
        "<hostdev mode='capabilities' type='misc'><source><char>/a</char></source><ip address='::1'/></hostdev>",
        "hostdev/ip (line 1",
    ),
];

/// Instead of `<os>`.
const STARTS: &[(&str, &str)] = &[
    ("<type>exe</type>", "init binary must be specified"),
    ("<type>exe</type><init>/i</init><initarg/>", "<initarg>"),
    (
        "<type>exe</type><init>/i</init><initenv name='A'/>",
        "<initenv name='A'>",
    ),
    (
        "<type>exe</type><init>/i</init><initenv>b</initenv>",
        "attribute 'name'",
    ),
];

#[test]
fn what_contradicts_itself_in_a_container() {
    let gid = "<gid start='0' target='0' count='1'/>";
    let maps = MAPS
        .iter()
        .map(|(uid, words)| (container(&format!("<idmap><uid {uid}/>{gid}</idmap>"), ""), words));
    let documents = DOCUMENTS.iter().map(|(more, words)| (container(more, ""), words));
    let cards = CARDS.iter().map(|(inside, words)| {
        let card = format!("<interface type='bridge'><source bridge='b'/>{inside}</interface>");
        (container("", &card), words)
    });
    let devices = DEVICES
        .iter()
        .map(|(device, words)| (container("", device), words));
    let starts = STARTS.iter().map(|(os, words)| {
        let text = format!("<domain type='lxc'><name>c</name><memory>1</memory><os>{os}</os></domain>");
        (text, words)
    });
    for (text, words) in maps.chain(documents).chain(cards).chain(devices).chain(starts) {
        let error = why_not(&text);
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn lengths_of_subnets_that_nobody_wrote() {
    let ips = "<ip address='10.0.0.1'/><ip address='172.16.0.1' prefix='0'/><ip address='192.0.2.1'/><ip address='fd00::1'/>";
    let text = container("", &format!("<interface type='ethernet'>{ips}</interface>"));
    let lengths: Vec<u8> = read(&text).devices.interfaces[0]
        .ips
        .iter()
        .map(CardAddress::prefix_length)
        .collect();
    assert_eq!(lengths, [8, 16, 24, 64]);
}

#[test]
fn names_that_the_daemon_gave_are_not_the_users() {
    for (kind, source, name, kept) in [
        ("bridge", "bridge='b'", "vnet3", false),
        ("bridge", "bridge='b'", "macvlan3", true),
        ("direct", "dev='e'", "macvlan3", false),
        ("direct", "dev='e'", "macvtap3", false),
        ("direct", "dev='e'", "own", true),
    ] {
        let card = format!("<interface type='{kind}'><source {source}/><target dev='{name}'/></interface>");
        let stored = read(&container("", &card)).to_xml(&Form::STORED);
        assert_eq!(stored.contains("<target dev="), kept, "{stored}");
    }
}
