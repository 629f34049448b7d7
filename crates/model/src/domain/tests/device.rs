//! Devices on their own.

use super::*;
use proptest::prelude::*;

fn device(text: &str) -> Device {
    Device::parse(text, Refuse).unwrap().value
}

#[test]
fn a_device_is_known_by_its_element() {
    let disk = "<disk type='file' device='disk'><source file='/a'/><target dev='vdb'/></disk>";
    let Device::Disk(parsed) = device(disk) else {
        panic!()
    };
    assert_eq!(parsed.target.bus, None, "nothing is filled in");
    let mut whole = device(disk);
    whole.normalize().unwrap();
    let Device::Disk(whole) = whole else { panic!() };
    assert_eq!(whole.target.bus, Some(DiskBus::Virtio));
    assert_eq!(device("<sound model='ich6'/>"), Device::Other("sound"));
    let why = |text| Device::parse(text, Refuse).unwrap_err().to_string();
    assert_eq!(why("<nonsense/>"), "unknown device type 'nonsense'");
    assert!(matches!(
        Device::parse("<disk>", Refuse),
        Err(XmlError::Malformed { .. })
    ));
    assert!(
        why("<interface type='user'><speed/></interface>").contains("interface/speed (line 1, column 24)")
    );
    let mut bad = device("<interface type='network'><source/></interface>");
    assert!(bad.normalize().is_err());
}

#[test]
fn devices_are_found_by_what_is_said_of_them() {
    let mut devices = read(&with_devices(
        "<disk><source file='/a'/><target dev='vda'/></disk><disk><source file='/b'/><target dev='vdb'/></disk>\
         <interface type='user'><mac address='52:54:00:00:00:01'/><alias name='net0'/></interface>\
         <interface type='user'><mac address='52:54:00:00:00:01'/><alias name='net1'/>\
         <address type='pci' domain='0' bus='0' slot='5' function='0'/></interface>",
    ))
    .devices;
    let find = |devices: &Devices, text: &str| devices.find(&device(text));
    let none = |text: &str| Err(NotFound::None(text.to_owned()));
    assert_eq!(
        find(&devices, "<disk><target dev='vdb'/></disk>"),
        Ok(Place::Disk(1))
    );
    assert_eq!(
        find(&devices, "<disk><target dev='vdc'/></disk>"),
        none("disk vdc not found")
    );
    let mac = "<interface type='user'><mac address='52:54:00:00:00:01'/>";
    let twice = NotFound::Several("multiple devices matching MAC address 52:54:00:00:00:01 found".to_owned());
    assert_eq!(find(&devices, &format!("{mac}</interface>")), Err(twice));
    let place = "<address type='pci' domain='0' bus='0' slot='5' function='0'/></interface>";
    assert_eq!(find(&devices, &format!("{mac}{place}")), Ok(Place::Interface(1)));
    let alias = "<alias name='net0'/></interface>";
    assert_eq!(find(&devices, &format!("{mac}{alias}")), Ok(Place::Interface(0)));
    let text =
        "no device found at address '(<null>)' matching MAC address '52:54:00:00:00:09' and alias '(<null>)'";
    assert_eq!(
        find(
            &devices,
            "<interface type='user'><mac address='52:54:00:00:00:09'/></interface>"
        ),
        none(text)
    );
    assert_eq!(find(&devices, "<video/>"), Err(NotFound::Kind("video")));

    assert_eq!(devices.find_alias("net1"), Some(Place::Interface(1)));
    assert_eq!(devices.find_alias("net2"), None);
    let removed = devices.remove(Place::Interface(1)).unwrap();
    assert_eq!(removed.alias(), Some("net1"));
    assert_eq!(devices.interfaces.len(), 1);
    assert_eq!(devices.remove(Place::Interface(1)), None);
    devices.insert(removed.clone());
    devices.replace(Place::Interface(0), removed.clone());
    assert_eq!(devices.device(Place::Interface(0)), Some(removed));
    assert_eq!(devices.interfaces.len(), 2);
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "<(disk|interface|filesystem|hostdev mode=.capabilities.)( type='(file|network|block|user|misc|net)')?>[ -~]{0,60}(</(disk|interface|filesystem|hostdev)>)?") {
        if let Ok(mut parsed) = Device::parse(&text, Refuse) {
            let written = parsed.value.to_xml(&Form::STATUS);
            prop_assert_eq!(Device::parse(&written, Refuse).map(|again| again.value), Ok(parsed.value.clone()));
            let _ = parsed.value.normalize();
        }
    }
}

#[test]
fn devices_of_containers_are_found_by_what_they_are() {
    let mount = |target: &str| format!("<filesystem><source dir='/a'/><target dir='{target}'/></filesystem>");
    let misc = "<hostdev mode='capabilities' type='misc'><source><char>/dev/x</char></source></hostdev>";
    let storage = misc.replace("misc", "storage").replace("char", "block");
    let net = "<hostdev mode='capabilities' type='net'><source><interface>eth1</interface></source>\
               <ip address='10.0.0.1'/><alias name='hostdev2'/></hostdev>";
    let mut devices = read(&with_devices(&[&mount("/"), &mount("/b"), misc, net].concat())).devices;
    assert_eq!(devices.find(&device(&mount("/b"))), Ok(Place::Filesystem(1)));
    assert_eq!(devices.find(&device(misc)), Ok(Place::Hostdev(0)));
    let nic =
        "<hostdev mode='capabilities' type='net'><source><interface>eth1</interface></source></hostdev>";
    assert_eq!(devices.find(&device(nic)), Ok(Place::Hostdev(1)));
    assert_eq!(devices.find_alias("hostdev2"), Some(Place::Hostdev(1)));
    let none = |text: &str| Err(NotFound::None(text.to_owned()));
    assert_eq!(devices.find(&device(&storage)), none("hostdev /dev/x not found"));
    assert_eq!(
        devices.find(&device(&mount("/c"))),
        none("no matching filesystem device was found")
    );
    assert_eq!(
        (
            device(misc).known_as(),
            device(net).known_as(),
            device(&mount("/b")).known_as()
        ),
        ("/dev/x".to_owned(), "hostdev2".to_owned(), "/b".to_owned())
    );
    let removed = devices.remove(Place::Filesystem(1)).unwrap();
    assert_eq!(
        devices.find(&removed),
        none("no matching filesystem device was found")
    );
    devices.insert(removed);
    devices.insert(device(&storage));
    assert_eq!(devices.find(&device(&storage)), Ok(Place::Hostdev(2)));
    devices.replace(Place::Hostdev(2), device(misc));
    devices.replace(Place::Filesystem(0), device(misc));
    assert_eq!(devices.remove(Place::Hostdev(2)), Some(device(misc)));
    assert_eq!(devices.single().count(), 4);
}

#[test]
fn a_device_of_a_bus_that_cannot_be_attached_is_another_kind() {
    assert_eq!(
        device("<hostdev mode='subsystem' type='mdev'/>"),
        Device::Other("hostdev")
    );
    assert_eq!(
        device("<hostdev type='scsi'><source/></hostdev>"),
        Device::Other("hostdev")
    );
    let mut bad = device("<filesystem><target dir='/b'/></filesystem>");
    assert!(bad.normalize().is_err());
}
