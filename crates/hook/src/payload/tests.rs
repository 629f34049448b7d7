//! What is in the summary, and that the published schema tells the truth about it.

use proptest::prelude::*;
use serde_json::{Value, json as value};

use super::*;
use crate::event::{DaemonOperation, GuestOperation, NetworkOperation};

const GUEST: &str = "<domain type='kvm' id='7'>
  <name>web1</name><uuid>6f0e7a4c-93a5-4a7b-8f06-51cbd6e91d2b</uuid>
  <title>Web &amp; more</title><description> </description>
  <metadata><a:x xmlns:a='urn:b'><a:y/></a:x><z xmlns='urn:a'>1</z></metadata>
  <memory unit='MiB'>512</memory><vcpu placement='static'>2</vcpu>
  <os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/d/a.qcow2'/>
      <target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
    <interface type='network'><mac address='52:54:00:11:22:33'/><source network='default' bridge='virbr0'/>
      <target dev='vnet0'/><model type='virtio'/></interface>
    <hostdev mode='subsystem' type='pci'><source>
      <address domain='0x0000' bus='0x41' slot='0x00' function='0x1'/></source></hostdev>
    <hostdev mode='subsystem' type='usb'><source><address bus='1' device='4'/></source></hostdev>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product id='0xc077'/></source></hostdev>
    <hostdev mode='subsystem' type='mdev'><source>
      <address uuid='4b20d080-1b54-4048-85b3-a6a62d165c01'/></source></hostdev>
    <graphics type='vnc' port='5900'/><graphics type='spice' port='-1'/>
  </devices>
</domain>
";

const PORT: &str = "<hookData><network><name>n1</name><uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f1</uuid>
<bridge name='virbr7'/><forward/><domain name='n1.test'/><ip address='10.0.0.1' netmask='255.255.255.0'/>
<ip family='ipv6' address='fd00::1' prefix='64'/></network>
<networkport><uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f2</uuid><owner><name>web1</name>
<uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f3</uuid></owner><mac address='52:54:00:11:22:33'/>
<plug type='network' bridge='virbr7'/></networkport></hookData>";

fn guest_event() -> HookEvent {
    HookEvent::release(Driver::Qemu, "web1", "destroyed").unwrap()
}

fn port_event() -> HookEvent {
    HookEvent::network("n1", NetworkOperation::PortCreated)
}

fn payload(event: &HookEvent, document: Option<&str>) -> Value {
    let text = json(event, document);
    assert_eq!(text.matches('\n').count(), 1, "one line");
    serde_json::from_str(&text).unwrap()
}

/// What does not fit the schema; of its words those that ours uses. Also what is there and not described.
fn misfits(schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(some) => some.iter().map(|kind| kind.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.into_iter().any(is) {
        found.push(format!("{place}: {value}"));
    }
    if let Some(only) = schema.get("const").filter(|only| *only != value) {
        found.push(format!("{place}: {value} is not {only}"));
    }
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
        found.push(format!("{place}: {value} is none of {words:?}"));
    }
    for (bound, wrong) in [("minimum", -1), ("maximum", 1)] {
        if let (Some(bound), Some(number)) = (schema[bound].as_i64(), value.as_i64())
            && (number - bound).signum() == wrong
        {
            found.push(format!("{place}: {number} is beyond {bound}"));
        }
    }
    for item in value.as_array().into_iter().flatten() {
        found.extend(misfits(&schema["items"], item, &format!("{place}[]")));
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().unwrap() {
            if !object.contains_key(name.as_str().unwrap()) {
                found.push(format!("{place}: {name} is missing"));
            }
        }
        for (name, value) in object {
            match schema["properties"].get(name) {
                Some(schema) => found.extend(misfits(schema, value, &format!("{place}.{name}"))),
                None => found.push(format!("{place}.{name}: not described")),
            }
        }
    }
    found
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

#[test]
fn r10_a_guest_is_summarised() {
    let all = payload(&guest_event(), Some(GUEST));
    assert_eq!(all["version"], 1);
    assert_eq!(
        [
            &all["driver"],
            &all["object"],
            &all["operation"],
            &all["sub_operation"],
            &all["extra"]
        ],
        ["qemu", "web1", "release", "end", "destroyed"]
    );
    assert_eq!(all["xml"], GUEST);
    assert!(all["network"].is_null() && all["port"].is_null());
    assert_eq!(
        all["guest"],
        value!({
            "name": "web1", "uuid": "6f0e7a4c-93a5-4a7b-8f06-51cbd6e91d2b", "id": 7,
            "title": "Web & more", "description": null, "memory_kib": 524_288, "vcpus": 2,
            "os": {"type": "hvm", "arch": "x86_64", "machine": "pc-q35-10.0"},
            "interfaces": [{"type": "network", "mac": "52:54:00:11:22:33", "network": "default",
                "bridge": "virbr0", "target": "vnet0", "model": "virtio"}],
            "disks": [
                {"type": "file", "device": "disk", "target": "vda", "bus": "virtio",
                 "source": "/d/a.qcow2", "format": "qcow2", "readonly": false},
                {"type": "file", "device": "cdrom", "target": "sda", "bus": "sata",
                 "source": null, "format": null, "readonly": true}],
            "hostdevs": [
                {"type": "pci", "address": "0000:41:00.1"}, {"type": "usb", "address": "001:004"},
                {"type": "usb", "address": "046d:c077"},
                {"type": "mdev", "address": "4b20d080-1b54-4048-85b3-a6a62d165c01"}],
            "graphics": [{"type": "vnc", "port": 5900}, {"type": "spice", "port": null}],
            "metadata": ["urn:a", "urn:b"],
        })
    );
}

#[test]
fn r11_a_network_and_its_port_are_summarised() {
    let all = payload(&port_event(), Some(PORT));
    assert!(all["guest"].is_null() && all["extra"].is_null());
    assert_eq!(
        all["network"],
        value!({
            "name": "n1", "uuid": "5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f1", "bridge": "virbr7",
            "forward": "nat", "domain": "n1.test", "metadata": [],
            "ips": [
                {"family": "ipv4", "address": "10.0.0.1", "netmask": "255.255.255.0", "prefix": null},
                {"family": "ipv6", "address": "fd00::1", "netmask": null, "prefix": 64}],
        })
    );
    assert_eq!(
        all["port"],
        value!({
            "uuid": "5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f2", "owner_name": "web1",
            "owner_uuid": "5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f3", "mac": "52:54:00:11:22:33",
            "type": "network", "bridge": "virbr7",
        })
    );
}

#[test]
fn the_schema_tells_the_truth() {
    let daemon = HookEvent::daemon(DaemonOperation::Start);
    let started = HookEvent::guest(Driver::Lxc, "c1", GuestOperation::Started).unwrap();
    for (event, document) in [
        (&guest_event(), Some(GUEST)),
        (&port_event(), Some(PORT)),
        (&started, Some("<domain/>")),
        (&port_event(), Some("<network><ip/></network>")),
        (
            &guest_event(),
            Some("<domain><os/><devices><disk/><hostdev/></devices></domain>"),
        ),
        (&guest_event(), Some("no XML")),
        (&daemon, None),
    ] {
        let payload = payload(event, document);
        assert_eq!(misfits(&schema(), &payload, "$"), Vec::<String>::new());
    }
    // The check itself finds something.
    let mut broken = payload(&daemon, None);
    broken["version"] = value!(2);
    broken["driver"] = value!("vbox");
    broken["more"] = value!(1);
    broken["object"] = value!(1);
    broken.as_object_mut().unwrap().remove("xml");
    assert_eq!(misfits(&schema(), &broken, "$").len(), 5);
    assert_eq!(
        schema()["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
}

#[test]
fn what_cannot_be_read_has_no_summary() {
    for document in [
        None,
        Some(""),
        Some("<domain>"),
        Some("<network/>"),
        Some("<!DOCTYPE d><domain/>"),
    ] {
        let payload = payload(&guest_event(), document);
        assert!(payload["guest"].is_null(), "{document:?}");
        assert_eq!(payload["xml"].as_str(), document);
    }
    assert!(payload(&port_event(), Some("<domain/>"))["network"].is_null());
}

#[test]
fn memory_has_units() {
    for (memory, kib) in [
        ("<memory>1024</memory>", Some(1024)),
        ("<memory unit='b'>1025</memory>", Some(2)),
        ("<memory unit='GiB'>2</memory>", Some(2 << 20)),
        ("<memory unit='MB'>1</memory>", Some(977)),
        ("<memory unit='parsec'>1</memory>", None),
        ("<memory unit='T'>99999999999</memory>", None),
        ("<memory>much</memory>", None),
    ] {
        let payload = payload(&guest_event(), Some(&format!("<domain>{memory}</domain>")));
        assert_eq!(payload["guest"]["memory_kib"].as_u64(), kib, "{memory}");
    }
    // Each unit in each of its spellings.
    let units: [(&[&str], u64); 4] = [
        (&["k", "K", "KiB"], 1),
        (&["m", "M", "MiB"], 1024),
        (&["g", "G", "GiB"], 1_048_576),
        (&["t", "T", "TiB"], 1_073_741_824),
    ];
    for (spellings, kib) in units {
        for unit in spellings {
            let domain = format!("<domain><memory unit='{unit}'>3</memory></domain>");
            let payload = payload(&guest_event(), Some(&domain));
            assert_eq!(payload["guest"]["memory_kib"], 3 * kib, "{unit}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|<domain id='[0-9x-]{1,3}'><devices>(<(hostdev|disk) type='\\w*'/>)*</devices></domain>") {
        for event in [guest_event(), port_event()] {
            let all: Value = serde_json::from_str(&json(&event, Some(&text))).unwrap();
            prop_assert_eq!(all["xml"].as_str(), Some(text.as_str()));
            prop_assert_eq!(misfits(&schema(), &all, "$"), Vec::<String>::new());
        }
    }

    #[test]
    fn no_attribute_makes_it_panic(a in "[0-9a-fx.-]{0,12}", b in "[0-9a-fx+ä]{0,12}") {
        let text = format!(
            "<domain id='{a}'><memory unit='{b}'>{a}</memory><vcpu>{b}</vcpu><devices>\
             <graphics port='{a}'/><hostdev><source><address bus='{a}' slot='{b}' function='{a}'/></source></hostdev>\
             <hostdev><source><address bus='{a}' device='{b}'/></source></hostdev>\
             <hostdev><source><vendor id='{a}'/><product id='{b}'/></source></hostdev></devices></domain>"
        );
        let all = payload(&guest_event(), Some(&text));
        prop_assert_eq!(misfits(&schema(), &all, "$"), Vec::<String>::new());
    }
}
