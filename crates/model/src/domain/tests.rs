//! Domain documents: both ways, in each form, and what `normalize` makes of them.

mod container;
mod device;
mod generated;
mod hostdev;
mod machine;
mod tuning;

use super::*;
use crate::UnknownPolicy::{Keep, Refuse, Salvage};
use ferrovirt_xml::Unknown;

/// A running guest with something of everything.
const LIVE: &str = include_str!("tests/live.xml");
/// What is stored of it.
const STORED: &str = include_str!("tests/stored.xml");

fn minimal(inside: &str) -> String {
    format!("<domain type='kvm'><name>m</name><memory>1</memory><os><type>hvm</type></os>{inside}</domain>")
}

fn with_devices(devices: &str) -> String {
    minimal(&format!("<devices>{devices}</devices>"))
}

fn read(text: &str) -> Domain {
    Domain::parse(text, Refuse)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .value
}

fn why_not(text: &str) -> String {
    match Domain::parse(text, Refuse) {
        Ok(parsed) => panic!("accepted: {}", parsed.value.to_xml(&Form::LIVE)),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_running_guest_is_written_as_it_was_read() {
    assert_eq!(read(LIVE).to_xml(&Form::STATUS), LIVE);
}

#[test]
fn the_definition_has_nothing_that_ends_with_the_run() {
    let domain = read(LIVE);
    assert_eq!(domain.to_xml(&Form::STORED), STORED);
    assert_eq!(domain.to_config().unwrap(), read(STORED));
    assert_eq!(read(STORED).to_xml(&Form::STORED), STORED);
}

#[test]
fn r10_secrets_are_written_only_where_they_are_asked_for() {
    let domain = read(LIVE);
    assert!(domain.to_xml(&Form::STATUS).contains("passwd='secret'"));
    for form in [Form::LIVE, Form::INACTIVE] {
        assert!(!domain.to_xml(&form).contains("secret"));
    }
}

#[test]
fn a_chain_that_was_found_belongs_to_the_run() {
    let mut domain = read(LIVE);
    let disk = &mut domain.devices.disks[0];
    disk.backing_store.as_mut().unwrap().detected = true;
    assert!(domain.to_xml(&Form::LIVE).contains("<backingStore"));
    assert!(!domain.to_xml(&Form::INACTIVE).contains("<backingStore"));
}

#[test]
fn an_empty_definition_is_filled_in() {
    let domain = read(&minimal(""));
    let text = domain
        .to_xml(&Form::INACTIVE)
        .replace(&domain.uuid.unwrap().to_string(), "U");
    let expected = "\
<domain type='kvm'>
  <name>m</name>
  <uuid>U</uuid>
  <memory unit='KiB'>1</memory>
  <currentMemory unit='KiB'>1</currentMemory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type>hvm</type>
    <boot dev='hd'/>
  </os>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices/>
</domain>
";
    assert_eq!(text, expected);
}

#[test]
fn memory_has_units_and_is_rounded_up() {
    let of = |memory: &str| {
        let text = minimal("").replace("<memory>1</memory>", memory);
        Domain::parse(&text, Refuse)
            .map(|parsed| (parsed.value.memory.0, parsed.value.current_memory.map(|m| m.0)))
    };
    assert_eq!(of("<memory>5</memory>"), Ok((5, Some(5))));
    assert_eq!(of("<memory unit='bytes'>1025</memory>"), Ok((2, Some(2))));
    assert_eq!(of("<memory unit='KB'>1</memory>"), Ok((1, Some(1))));
    assert_eq!(
        of("<memory unit='mib'>1</memory><currentMemory unit='k'>7</currentMemory>"),
        Ok((1024, Some(7)))
    );
    assert_eq!(
        of("<memory unit='G'> 1 </memory><currentMemory>0</currentMemory>"),
        Ok((1 << 20, Some(1 << 20)))
    );
    assert_eq!(
        of("<memory unit='KiB'>4</memory><currentMemory>9</currentMemory>"),
        Ok((4, Some(4)))
    );
    for bad in [
        "<memory unit='X'>1</memory>",
        "<memory unit='EiB'>8</memory>",
        "<memory>-1</memory>",
        "<memory>0</memory>",
        "",
    ] {
        assert!(of(bad).is_err(), "{bad}");
    }
}

#[test]
fn unknown_parts_are_named_with_their_place() {
    let text = "<domain type='kvm'>\n  <name>m</name>\n  <memory>1</memory>\n  <os><type>hvm</type></os>\n  <devices>\n    \
                <interface type='user'>\n      <mac address='52:54:00:00:00:01' chek='no'/>\n      <bandwith/>\n    </interface>\n  \
                </devices>\n</domain>";
    let Err(XmlError::Unknown(unknown)) = Domain::parse(text, Refuse) else {
        panic!("accepted")
    };
    let told: Vec<String> = unknown.iter().map(Unknown::to_string).collect();
    let expected = [
        "domain/devices/interface/mac/@chek (line 7, column 40)",
        "domain/devices/interface/bandwith (line 8, column 7)",
    ];
    assert_eq!(told, expected);
    let kept = Domain::parse(text, Keep).unwrap();
    assert_eq!(kept.kept, unknown);
    let written = kept.value.to_xml(&Form::LIVE);
    assert!(
        written.contains("<mac address='52:54:00:00:00:01' chek='no'/>\n      <bandwith/>\n    </interface>"),
        "{written}"
    );
    let mut moved = kept.value;
    moved
        .devices
        .interfaces
        .insert(0, Interface::new(InterfaceType::User));
    let written = moved.to_xml(&Form::LIVE);
    assert!(
        written.contains("chek='no'/>\n      <bandwith/>"),
        "kept parts move with their device: {written}"
    );
    assert_eq!(written.matches("bandwith").count(), 1);
}

#[test]
fn a_stored_device_of_an_unknown_kind_does_not_make_its_guest_vanish() {
    let text =
        with_devices("<disk type='network'><source protocol='rbd' name='x'/><target dev='vda'/></disk>");
    assert!(Domain::parse(&text, Keep).is_err());
    let parsed = Domain::parse(&text, Salvage).unwrap();
    assert_eq!(parsed.kept[0].path, "domain/devices/disk");
    assert!(
        parsed
            .value
            .to_xml(&Form::STORED)
            .contains("<source protocol='rbd' name='x'/>")
    );
}

#[test]
fn metadata_is_kept_as_it_was_written() {
    let metadata = "<metadata>\n  <a:b xmlns:a=\"urn:a\" c = \"1\"><![CDATA[<]]></a:b>\n  </metadata>";
    assert!(read(&minimal(metadata)).to_xml(&Form::LIVE).contains(metadata));
}

#[test]
fn disks_of_a_bus_are_in_the_order_of_their_names() {
    let disk = |dev: &str, more: &str| {
        format!("<disk type='file'><source file='/{dev}'/><target dev='{dev}'/>{more}</disk>")
    };
    let text = with_devices(
        &[
            disk("vdb", ""),
            disk("hda", ""),
            disk("vdaa", ""),
            disk("vda", ""),
            disk("sda", ""),
        ]
        .concat(),
    );
    let devices = read(&text).devices;
    let names: Vec<&str> = devices
        .disks
        .iter()
        .map(|disk| disk.target.dev.as_str())
        .collect();
    assert_eq!(names, ["vda", "vdb", "vdaa", "hda", "sda"]);
    let buses: Vec<_> = devices.disks.iter().map(|disk| disk.target.bus).collect();
    let virtio = Some(DiskBus::Virtio);
    assert_eq!(
        buses,
        [virtio, virtio, virtio, Some(DiskBus::Ide), Some(DiskBus::Scsi)]
    );
    assert_eq!(
        devices.disks[0].driver.as_ref().unwrap().format.as_deref(),
        Some("raw")
    );
}

#[test]
fn controllers_get_numbers_and_an_order() {
    let text = with_devices(
        "<controller type='scsi'/><controller type='pci' index='1'/><controller type='scsi' index='0'/>\
         <controller type='usb' index='0'><master startport='2'/></controller><controller type='usb' index='0'/><controller type='pci' index='0'/>",
    );
    let devices = read(&text).devices;
    let list: Vec<_> = devices
        .controllers
        .iter()
        .map(|c| (c.kind.as_str(), c.number(), c.info.master_startport))
        .collect();
    let expected = [
        ("scsi", 1, None),
        ("scsi", 0, None),
        ("pci", 0, None),
        ("pci", 1, None),
        ("usb", 0, None),
        ("usb", 0, Some(2)),
    ];
    assert_eq!(list, expected);
}

#[test]
fn the_first_console_is_the_first_serial_port() {
    let devices = |inside: &str| read(&with_devices(inside)).devices;
    let kinds = |devices: &Devices| {
        let consoles = devices
            .consoles
            .iter()
            .map(|c| c.target.as_ref().and_then(|t| t.kind.clone()).unwrap_or_default());
        (devices.serials.len(), consoles.collect::<Vec<_>>())
    };
    let serial = "<serial type='file'><source path='/s'/></serial>";
    let made = devices(serial);
    assert_eq!(kinds(&made), (1, vec!["serial".to_owned()]));
    assert_eq!(made.consoles[0].backend.path(), Some("/s"));
    assert_eq!(
        kinds(&devices("<console type='pty'/>")),
        (1, vec!["serial".to_owned()])
    );
    let virtio = "<console type='pty'><target type='virtio' port='0'/></console>";
    assert_eq!(kinds(&devices(virtio)), (0, vec!["virtio".to_owned()]));
    let both = devices(&[serial, virtio].concat());
    assert_eq!(kinds(&both), (1, vec!["serial".to_owned(), "virtio".to_owned()]));
    assert_eq!(both.consoles[1].target.as_ref().unwrap().port, Some(1));
    assert_eq!(both.own_consoles().count(), 1);
    let ports =
        devices("<serial type='pty'/><serial type='null'><target port='5'/></serial><serial type='pty'/>");
    let ports: Vec<_> = ports
        .serials
        .iter()
        .map(|serial| serial.target.as_ref().unwrap().port)
        .collect();
    assert_eq!(ports, [Some(6), Some(5), Some(7)]);
    let twice = "<console type='pty'/><console type='pty'><target type='serial'/></console>";
    assert_eq!(
        why_not(&with_devices(twice)),
        "Only the first console can be a serial port"
    );
}

#[test]
fn vnc_listens_and_chooses_its_port() {
    let line = |graphics: &str| {
        let text = read(&with_devices(graphics)).to_xml(&Form::INACTIVE);
        text.lines()
            .skip_while(|line| !line.contains("<graphics"))
            .take(2)
            .map(str::trim)
            .collect::<Vec<_>>()
            .join("")
    };
    let chosen = "<graphics type='vnc' port='-1' autoport='yes'><listen type='address'/>";
    assert_eq!(line("<graphics type='vnc'/>"), chosen);
    assert_eq!(line("<graphics type='vnc' port='5907' autoport='yes'/>"), chosen);
    assert_eq!(
        line("<graphics type='vnc' port='5907' listen='::1'/>"),
        "<graphics type='vnc' port='5907' autoport='no' listen='::1'><listen type='address' address='::1'/>"
    );
    assert_eq!(
        line("<graphics type='vnc'><listen type='none'/></graphics>"),
        "<graphics type='vnc'><listen type='none'/>"
    );
    assert_eq!(
        line("<graphics type='vnc' socket='/s'/>"),
        "<graphics type='vnc' socket='/s'><listen type='socket' socket='/s'/>"
    );
    let two = "<graphics type='vnc' listen='::1'><listen type='address' address='::2'/></graphics>";
    assert!(why_not(&with_devices(two)).starts_with("graphics 'listen' attribute '::1' must match"));
}

#[test]
fn one_graphics_card_is_the_primary_one() {
    let text = with_devices(
        "<video><model type='cirrus'/></video><video><model type='qxl' primary='yes' heads='2'/></video>",
    );
    let models: Vec<_> = read(&text)
        .devices
        .videos
        .into_iter()
        .map(|video| video.model)
        .collect();
    assert_eq!(models[0].kind, "qxl");
    assert_eq!(
        (models[0].ram, models[0].vram, models[0].vgamem),
        (Some(65536), Some(65536), Some(16384))
    );
    assert_eq!((models[0].primary, models[1].primary), (Some(true), None));
    assert_eq!(
        (models[0].heads, models[1].heads, models[1].vram),
        (Some(2), Some(1), Some(16384))
    );
}

#[test]
fn what_contradicts_itself_is_refused_in_libvirts_words() {
    let cases = [
        (minimal("").replace(">m<", ">a/b<"), "name a/b cannot contain '/'"),
        (
            minimal("").replace("<type>hvm</type>", ""),
            "Missing required element 'type' in element 'os' (domain/os/type, line 1, column 52)",
        ),
        (
            minimal("<title>a\nb</title>"),
            "Domain title can't contain newlines",
        ),
        (
            minimal("<vcpu current='3'>2</vcpu>"),
            "maxvcpus must not be less than current vcpus (2 < 3)",
        ),
        (
            minimal("<cpu mode='host-model' migratable='on'/>"),
            "Attribute migratable is only allowed for 'host-passthrough' / 'maximum' CPU mode",
        ),
        (
            minimal("<cpu><feature name='x'/></cpu>"),
            "Non-empty feature list specified without CPU model",
        ),
        (
            with_devices("<disk><target dev='vda'/></disk>"),
            "missing source information for device vda",
        ),
        (
            with_devices(
                "<disk><source file='/a'/><target dev='vda'/></disk><disk><source file='/b'/><target dev='vda'/></disk>",
            ),
            "target 'vda' duplicated for disk sources '/a' and '/b'",
        ),
        (
            with_devices("<disk><source file='/a'/><target dev='vda1'/></disk>"),
            "invalid disk target 'vda1', partitions can't appear in disk targets",
        ),
    ];
    refused(&cases);
}

#[test]
fn devices_that_contradict_each_other_are_refused_in_libvirts_words() {
    let cases = [
        (
            with_devices("<interface type='network'/>"),
            "No <source> 'network' attribute specified with <interface type='network'/>",
        ),
        (
            with_devices("<interface type='user'><mac address='01:00:00:00:00:00'/></interface>"),
            "expected unicast mac address, found multicast '01:00:00:00:00:00'",
        ),
        (
            with_devices("<serial type='tcp'/>"),
            "Missing source host attribute for char device",
        ),
        (
            with_devices("<panic><address type='pci' slot='0x20'/></panic>"),
            "Invalid PCI address slot='0x20', must be <= 0x1F",
        ),
        (
            with_devices(
                "<panic><address type='pci' slot='1'/></panic><panic><address type='pci' slot='1'/></panic>",
            ),
            "Attempted double use of PCI Address 0000:00:01.0",
        ),
        (
            with_devices(
                "<input type='mouse'><alias name='ua-1'/></input><input type='mouse'><alias name='ua-1'/></input>",
            ),
            "non unique alias detected: ua-1",
        ),
        (
            with_devices(
                "<interface type='user'><boot order='1'/></interface><interface type='user'><boot order='1'/></interface>",
            ),
            "boot order '1' used for more than one device",
        ),
        (
            minimal("<seclabel type='dynamic' relabel='no'/>"),
            "dynamic label type must use resource relabeling",
        ),
    ];
    refused(&cases);
}

fn refused(cases: &[(String, &str)]) {
    for (text, why) in cases {
        assert_eq!(why_not(text), *why, "{text}");
    }
}

#[test]
fn the_boot_order_is_of_classes_or_of_devices() {
    let boot = minimal("<devices><interface type='user'><boot order='1'/></interface></devices>");
    assert!(
        read(&boot).os.boot.is_empty(),
        "devices with an order need no class of devices"
    );
    let both = boot.replace("</type>", "</type><boot dev='hd'/>");
    assert_eq!(
        why_not(&both),
        "per-device boot elements cannot be used together with os/boot elements"
    );
}

#[test]
fn addresses_of_other_machines_are_refused() {
    let text = with_devices("<panic><address type='ccw' cssid='0xfe'/></panic>");
    assert!(why_not(&text).starts_with("Invalid value for attribute 'type' in element 'address': 'ccw'"));
}
