//! The tree of a made-up machine, and the news about it.

use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::testing::{Machine, Pci};
use crate::udev::{Action, Message};

fn names(tree: &Tree) -> Vec<String> {
    tree.list(Filter::default())
        .iter()
        .map(|name| name.to_string())
        .collect()
}

fn network(machine: &Machine, dir: &str, name: &str, more: &str) {
    machine.file(
        &format!("{dir}/uevent"),
        &format!("INTERFACE={name}\nIFINDEX=7\n{more}"),
    );
    machine.file(&format!("{dir}/address"), "52:54:00:00:01:00\n");
    machine.file(&format!("{dir}/operstate"), "up\n");
    machine.file(&format!("{dir}/speed"), "1000\n");
    machine.link(&format!("{dir}/subsystem"), "sys/class/net");
    machine.link(&format!("sys/class/net/{name}"), dir);
}

/// A bridge, a card behind it with its interface, a USB stick with its disk, and things that are nobody's.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.pci(&Pci {
        address: "0000:00:10.0",
        class: 0x60400,
        driver: Some("pcieport"),
        header: 1,
        ..Pci::default()
    });
    let card = machine.pci(&Pci {
        above: "pci0000:00/0000:00:10.0",
        ..Pci::default()
    });
    network(&machine, &format!("{card}/net/lan1"), "lan1", "");
    network(&machine, "sys/devices/virtual/net/br0", "br0", "DEVTYPE=bridge\n");
    machine.usb("1-3", [1, 2], [0x627, 1]);
    let disk = "sys/devices/usb/1-3/host6/target6:0:0/6:0:0:0";
    for (dir, name, kind) in [
        ("sys/devices/usb/1-3/host6", "host6", "scsi_host"),
        (
            "sys/devices/usb/1-3/host6/target6:0:0",
            "target6:0:0",
            "scsi_target",
        ),
        (disk, "6:0:0:0", "scsi_device"),
    ] {
        machine.file(&format!("{dir}/uevent"), &format!("DEVTYPE={kind}\n"));
        machine.link(&format!("sys/bus/scsi/devices/{name}"), dir);
        machine.link(&format!("{dir}/subsystem"), "sys/bus/scsi");
    }
    machine.file(&format!("{disk}/type"), "0\n");
    machine.file(&format!("{disk}/vendor"), "QEMU    \n");
    for (name, kind, number) in [("sda", "disk", 0), ("sda1", "partition", 1)] {
        let dir = format!("{disk}/block/{name}");
        let text = format!("MAJOR=8\nMINOR={number}\nDEVNAME={name}\nDEVTYPE={kind}\n");
        machine.file(&format!("{dir}/uevent"), &text);
        machine.file(&format!("{dir}/size"), "8192\n");
        machine.file(&format!("{dir}/queue/logical_block_size"), "512\n");
        machine.link(&format!("{dir}/subsystem"), "sys/class/block");
        machine.link(&format!("{dir}/device"), disk);
        machine.link(&format!("sys/class/block/{name}"), &dir);
    }
    machine.file(
        "run/udev/data/b8:0",
        "S:disk/by-id/x\nE:ID_BUS=usb\nE:ID_TYPE=disk\nE:ID_SERIAL=STICK-0:0\n",
    );
    machine.file(
        "sys/devices/virtual/block/loop0/uevent",
        "DEVTYPE=disk\nMAJOR=7\nMINOR=0\nDEVNAME=loop0\n",
    );
    machine.link("sys/class/block/loop0", "sys/devices/virtual/block/loop0");
    // One of several ways to a disk.
    machine.file("sys/devices/virtual/block/nvme0c0n1/uevent", "DEVTYPE=disk\n");
    machine.link("sys/class/block/nvme0c0n1", "sys/devices/virtual/block/nvme0c0n1");
    machine.file("usr/share/misc/pci.ids", "8086  Intel\n\t10d3  A card\n");
    machine
}

#[test]
fn names_and_parents_are_libvirts() {
    let machine = machine();
    let tree = Tree::new(machine.places(), None);
    let snapshot = tree.snapshot();
    let family: Vec<(&str, Option<&str>)> = snapshot
        .devices()
        .map(|device| (&*device.name, device.parent.as_deref()))
        .collect();
    assert_eq!(
        family,
        [
            ("computer", None),
            ("pci_0000_00_10_0", Some("computer")),
            ("pci_0000_01_00_0", Some("pci_0000_00_10_0")),
            ("net_lan1_52_54_00_00_01_00", Some("pci_0000_01_00_0")),
            ("usb_1_3", Some("computer")),
            ("scsi_host6", Some("usb_1_3")),
            ("scsi_target6_0_0", Some("scsi_host6")),
            ("scsi_6_0_0_0", Some("scsi_target6_0_0")),
            ("block_sda_STICK_0_0", Some("scsi_6_0_0_0")),
        ]
    );
    let shown = |word: &str| {
        let names = tree.list(Filter::of_word(word).unwrap());
        names.iter().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(shown("pci"), ["pci_0000_00_10_0", "pci_0000_01_00_0"]);
    assert_eq!(shown("storage"), ["block_sda_STICK_0_0"]);
    assert!(shown("mdev").is_empty() && shown("mdev_types").is_empty() && shown("fc_host").is_empty());
    assert_eq!(Filter::of_word("bogus"), None);
    let error = tree.find("nope").unwrap_err().to_string();
    assert_eq!(error, "no node device with matching name 'nope'");
}

fn described(tree: &Tree, name: &str) -> String {
    tree.describe(&tree.find(name).unwrap()).unwrap().to_xml()
}

#[test]
fn documents_are_read_when_they_are_asked_for() {
    let machine = machine();
    let tree = Tree::new(machine.places(), None);
    let nic = described(&tree, "pci_0000_01_00_0");
    for part in [
        "<path>/sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0</path>",
        "<driver>\n    <name>e1000e</name>",
        "<class>0x020000</class>",
        "<product id='0x10d3'>A card</product>",
        "<vendor id='0x8086'>Intel</vendor>",
        "<iommuGroup number='13'>\n",
    ] {
        assert!(nic.contains(part), "no {part} in {nic}");
    }
    assert!(described(&tree, "pci_0000_00_10_0").contains("<capability type='pci-bridge'/>"));
    let disk = described(&tree, "block_sda_STICK_0_0");
    for part in [
        "<devnode type='dev'>/dev/sda</devnode>\n  <devnode type='link'>/dev/disk/by-id/x</devnode>",
        "<bus>usb</bus>\n    <drive_type>disk</drive_type>\n    <vendor>QEMU</vendor>\n    <serial>STICK-0:0</serial>",
        "<size>4194304</size>\n    <logical_block_size>512</logical_block_size>\n    <num_blocks>8192</num_blocks>",
    ] {
        assert!(disk.contains(part), "no {part} in {disk}");
    }
    let lan = described(&tree, "net_lan1_52_54_00_00_01_00");
    assert!(
        lan.contains("<link speed='1000' state='up'/>") && lan.contains("<capability type='80203'/>"),
        "{lan}"
    );
    assert!(described(&tree, "scsi_6_0_0_0").contains("<lun>0</lun>\n    <type>disk</type>"));
    assert!(
        described(&tree, "computer")
            .starts_with("<device>\n  <name>computer</name>\n  <capability type='system'>")
    );
    machine.link(
        "sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0/driver",
        "sys/bus/pci/drivers/vfio-pci",
    );
    assert!(described(&tree, "pci_0000_01_00_0").contains("<name>vfio-pci</name>"));
}

fn message(action: Action, path: &str, subsystem: &str) -> Message {
    Message {
        action,
        path: path.to_owned(),
        old_path: None,
        subsystem: subsystem.to_owned(),
    }
}

#[test]
fn news_change_the_tree_and_are_told() {
    let machine = machine();
    let tree = Tree::new(machine.places(), None);
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    tree.listen(move |event| hears.lock().unwrap().push((event.name.to_string(), event.change)));
    let before = names(&tree);
    let heard = |messages: &[Message]| {
        messages.iter().for_each(|message| tree.shared.hear(message));
        std::mem::take(&mut *told.lock().unwrap())
    };
    let lan = "net_lan1_52_54_00_00_01_00".to_owned();
    let path = "/devices/pci0000:00/0000:00:10.0/0000:01:00.0/net/lan1";
    assert_eq!(
        heard(&[message(Action::Change, path, "net")]),
        [(lan.clone(), Change::Updated)]
    );
    assert_eq!(
        heard(&[message(Action::Remove, path, "net")]),
        [(lan.clone(), Change::Deleted)]
    );
    assert_eq!(heard(&[message(Action::Remove, path, "net")]), []);
    assert!(!names(&tree).contains(&lan));
    assert_eq!(
        heard(&[message(Action::Add, path, "net")]),
        [(lan.clone(), Change::Created)]
    );
    assert_eq!(names(&tree), before);
    // What is no device of clients', and what is gone already.
    assert_eq!(
        heard(&[message(Action::Add, "/devices/virtual/block/loop0", "block")]),
        []
    );
    assert_eq!(
        heard(&[message(Action::Add, "/devices/virtual/tty/tty0", "tty")]),
        []
    );
    assert_eq!(heard(&[message(Action::Add, "/devices/none", "pci")]), []);
    // Renamed.
    let dir = "sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0/net/lan9";
    network(&machine, dir, "lan9", "");
    let renamed = Message {
        old_path: Some(path.to_owned()),
        ..message(Action::Move, &path.replace("lan1", "lan9"), "net")
    };
    let new = "net_lan9_52_54_00_00_01_00".to_owned();
    assert_eq!(
        heard(&[renamed]),
        [(lan.clone(), Change::Deleted), (new.clone(), Change::Created)]
    );
    assert_eq!(
        tree.find(&new).unwrap().parent.as_deref(),
        Some("pci_0000_01_00_0")
    );
    // A disk's serial number is known later.
    machine.file("run/udev/data/b8:0", "E:ID_TYPE=disk\n");
    let disk = "/devices/usb/1-3/host6/target6:0:0/6:0:0:0/block/sda";
    let changed = [
        ("block_sda_STICK_0_0".to_owned(), Change::Deleted),
        ("block_sda".to_owned(), Change::Created),
    ];
    assert_eq!(heard(&[message(Action::Change, disk, "block")]), changed);
    // After a loss all is looked at again.
    std::fs::remove_file(machine.root().join("sys/class/net/lan9")).unwrap();
    tree.shared.look_again();
    let mut told = heard(&[]);
    told.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(told, [(lan, Change::Created), (new, Change::Deleted)]);
}

#[test]
fn a_thousand_devices_are_all_there() {
    let machine = Machine::new();
    for bus in 1..=125 {
        for function in 0..8 {
            machine.pci(&Pci {
                address: &format!("0000:{bus:02x}:00.{function}"),
                group: None,
                ..Pci::default()
            });
        }
    }
    let tree = Tree::new(machine.places(), None);
    let begin = Instant::now();
    assert_eq!(tree.snapshot().devices().count(), 1001);
    let read = begin.elapsed();
    let begin = Instant::now();
    assert_eq!(tree.list(Filter::of_word("pci").unwrap()).len(), 1000);
    println!("read {read:?}, listed {:?}", begin.elapsed());
}
