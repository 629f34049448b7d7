//! Devices of the host's buses.

use super::*;

const PCI: &str = "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='1' slot='0x1f' function='0x2'/>\
                   </source><rom bar='off' file='/r'/></hostdev>";

fn written(devices: &str, form: &Form) -> String {
    let whole = read(&with_devices(devices)).to_xml(form);
    let from = whole.find("<hostdev").unwrap();
    let to = whole.rfind("</hostdev>").unwrap();
    let lines: Vec<&str> = whole[from..to].lines().map(str::trim).collect();
    lines.concat()
}

fn refused(devices: &str) -> String {
    let text = with_devices(devices);
    let parsed = Domain::parse(&text, Refuse);
    parsed.unwrap_err().to_string()
}

#[test]
fn a_pci_device_is_written_as_libvirt_writes_it() {
    assert_eq!(
        written(PCI, &Form::INACTIVE),
        "<hostdev mode='subsystem' type='pci' managed='yes'><source>\
         <address domain='0x0000' bus='0x01' slot='0x1f' function='0x2'/></source><rom bar='off' file='/r'/>"
    );
    let short = "<hostdev mode='subsystem' type='pci'><driver name='vfio' model='vfio-pci'/><source><address bus='1'/></source></hostdev>";
    assert_eq!(
        written(short, &Form::LIVE),
        "<hostdev mode='subsystem' type='pci' managed='no'><driver name='vfio' model='vfio-pci'/><source>\
         <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>"
    );
}

#[test]
fn what_has_to_be_undone_is_in_state_files_only() {
    let mut doc = read(&with_devices(PCI));
    let HostdevKind::Pci(pci) = &mut doc.devices.hostdevs[0].kind else {
        panic!()
    };
    pci.source.origstates = Some(OriginalStates {
        unbind: true,
        ..OriginalStates::default()
    });
    assert!(!doc.to_xml(&Form::LIVE).contains("origstates"));
    assert!(doc.to_xml(&Form::STATUS).contains("<unbind/>"));
    let again = Domain::parse_live(&doc.to_xml(&Form::STATUS), Refuse)
        .unwrap()
        .value;
    assert_eq!(again.devices.hostdevs, doc.devices.hostdevs);
}

#[test]
fn a_usb_device_has_a_place_of_its_own_only_where_it_was_given_one() {
    let found = "<hostdev mode='subsystem' type='usb' managed='no'><source startupPolicy='optional'><vendor id='0x46F4'/>\
                 <product id='0x0001'/><address bus='1' device='2'/></source></hostdev>";
    assert!(
        written(found, &Form::LIVE)
            .contains("<vendor id='0x46f4'/><product id='0x0001'/><address bus='1' device='2'/>")
    );
    assert!(!written(found, &Form::INACTIVE).contains("address"));
    let placed = "<hostdev mode='subsystem' type='usb'><source guestReset='uninitialized'><address bus='14' device='6'/></source></hostdev>";
    assert!(
        written(placed, &Form::INACTIVE)
            .contains("<source guestReset='uninitialized'><address bus='14' device='6'/>")
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let cases = [
        (format!("{PCI}{PCI}"), "Hostdev already exists in the domain configuration"),
        (PCI.replace("0x1f", "0x20"), "Invalid PCI address slot='0x20', must be <= 0x1F"),
        (PCI.replace("subsystem", "capabilities"), "unknown host device type 'pci'"),
        (PCI.replace("<rom", "<driver name='nothing'/><rom"), "nothing"),
        (
            "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/></source></hostdev>".to_owned(),
            "missing product",
        ),
        (
            "<watchdog model='i6300esb'><rom bar='on'/></watchdog>".to_owned(),
            "element 'rom'",
        ),
        (
            "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='x'/></source></hostdev>".to_owned(),
            "mdev",
        ),
    ];
    for (devices, words) in cases {
        let said = refused(&devices);
        assert!(said.contains(words), "{devices}: {said}");
    }
}

#[test]
fn a_device_of_the_host_is_found_by_what_it_is() {
    let devices = read(&with_devices(&format!(
        "{PCI}<hostdev mode='subsystem' type='usb'><source><vendor id='0x46f4'/><product id='1'/></source></hostdev>"
    )))
    .devices;
    let find = |text: &str| devices.find(&Device::parse(text, Refuse).unwrap().value);
    assert_eq!(find(PCI), Ok(Place::Hostdev(0)));
    let other = PCI.replace("function='0x2'", "function='0x3'");
    assert_eq!(
        find(&other),
        Err(NotFound::None(
            "host pci device 0000:01:1f.3 not found".to_owned()
        ))
    );
    let usb =
        |source: &str| format!("<hostdev mode='subsystem' type='usb'><source>{source}</source></hostdev>");
    assert_eq!(
        find(&usb("<vendor id='0x46f4'/><product id='0x0001'/>")),
        Ok(Place::Hostdev(1))
    );
    assert_eq!(
        find(&usb("<address bus='2' device='2'/>")),
        Err(NotFound::None("host usb device 002.002 not found".to_owned()))
    );
}

const CARD: &str = "<interface type='hostdev' managed='yes'><mac address='52:54:00:aa:bb:cc'/><driver name='vfio'/><source>\
                    <address type='pci' domain='0' bus='7' slot='0x10' function='0'/></source><vlan><tag id='42'/></vlan></interface>";

#[test]
fn a_card_of_the_host_is_written_as_libvirt_writes_it() {
    let doc = read(&with_devices(CARD));
    let whole = doc.to_xml(&Form::LIVE);
    let lines: Vec<&str> = whole.lines().map(str::trim).collect();
    let expected = "<interface type='hostdev' managed='yes'><mac address='52:54:00:aa:bb:cc'/><driver name='vfio'/><source>\
                    <address type='pci' domain='0x0000' bus='0x07' slot='0x10' function='0x0'/></source>\
                    <vlan><tag id='42'/></vlan></interface>";
    assert!(lines.concat().contains(expected), "{whole}");
    let hostdev = doc.devices.interfaces[0].as_hostdev().unwrap();
    let HostdevKind::Pci(pci) = &hostdev.kind else {
        panic!()
    };
    assert_eq!(pci.source.address.to_string(), "0000:07:10.0");
    assert_eq!(pci.managed, Some(true));
    let unmanaged = read(&with_devices(&CARD.replace("'yes'", "'no'")));
    assert!(!unmanaged.to_xml(&Form::LIVE).contains("managed"));
}

#[test]
fn only_cards_of_the_host_have_what_belongs_to_them() {
    let other = CARD.replace("type='hostdev'", "type='user'");
    let without = |text: &str, part: &str| text.replace(part, "");
    let managed = " managed='yes'";
    let driver = "<driver name='vfio'/>";
    let vlan = "<vlan><tag id='42'/></vlan>";
    let cases = [
        (other.clone(), "attribute 'managed'"),
        (without(&other, managed), "element 'driver'"),
        (without(&without(&other, managed), driver), "element 'vlan'"),
        (
            without(&without(&without(&other, managed), driver), vlan),
            "element 'address'",
        ),
        (CARD.replace("id='42'", "id='4096'"), "vlan tag id 4096 too large"),
        (CARD.replace("0x10", "0x20"), "Invalid PCI address slot='0x20'"),
        (CARD.replace("type='pci' ", "type='usb' "), "usb"),
        (format!("{CARD}{CARD}"), "Hostdev already exists"),
        (
            "<interface type='hostdev'><mac address='52:54:00:aa:bb:cc'/></interface>".to_owned(),
            "No <source> 'address'",
        ),
    ];
    for (devices, words) in cases {
        let said = refused(&devices);
        assert!(said.contains(words), "{devices}: {said}");
    }
}
