//! `ferrovirt why` of guests that want devices of the host: on this machine, which may have nothing to give, and on a made-up one.

use std::fs::File;
use std::time::Duration;

use ferrovirt_tests::made_up::{GPU, hostdev};
use ferrovirt_tests::{Guest, Tool, World, in_world};
use serde_json::Value;

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const CARD: &str = "0000:03:00.0";
const SOUND: &str = "0000:03:00.1";

fn asked(w: &World, name: &str) -> Value {
    serde_json::from_str(w.ferrovirt(&format!("why --json {name}")).ok()).expect("JSON")
}

/// The guest does not start, and the answer has this word for it, these parts and something to do.
#[track_caller]
fn fails(w: &World, name: &str, word: &str, parts: &[&str]) {
    w.virsh(&format!("start {name}")).fails_with(&[]);
    w.wait_for("its end", Duration::from_secs(20), || {
        w.virsh(&format!("domstate {name}")).out.contains("shut off")
    });
    let told = asked(w, name);
    let text = told["text"].as_str().expect("a text");
    assert_eq!(told["device"], word, "{text}");
    for part in parts {
        assert!(text.contains(part), "no '{part}' in:\n{text}");
    }
}

/// With an emulator that passes over devices of VFIO.
fn emulated(guest: Guest) -> Guest {
    guest.device("<emulator>/run/world/qemu</emulator>")
}

#[test]
fn what_a_machine_cannot_give_is_told() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let absent = "<hostdev mode='subsystem' type='usb'><source><vendor id='0xdead'/><product id='0xbeef'/></source></hostdev>";
        let stick = Guest::new("stick")
            .device(absent)
            .xml()
            .replace("usb' model='none'", "usb' model='qemu-xhci'");
        let file = w.file("stick.xml", &stick);
        w.virsh_args(&["define", &file.display().to_string()]).ok();
        fails(
            w,
            "stick",
            "not_there",
            &["there is no USB device dead:beef", "lsusb"],
        );
        let rom = "<interface type='user'><model type='e1000'/><rom file='/no/such.rom'/></interface>";
        w.define(&Guest::new("rom").device(rom));
        fails(
            w,
            "rom",
            "rom",
            &[
                "its ROM file /no/such.rom is missing",
                "ls -l /no/such.rom",
                "virsh edit rom",
            ],
        );
    });
}

#[test]
fn a_machine_without_an_iommu_is_told_how_to_get_one() {
    in_world(NEEDS, |w| {
        w.make_machine(&[]);
        w.daemon_start();
        w.define(&emulated(Guest::new("g").device(&hostdev(&GPU[0], true))));
        fails(
            w,
            "g",
            "no_vfio",
            &[
                "cannot give PCI devices to guests",
                "_iommu=on",
                "ferrovirt devices",
            ],
        );
    });
}

#[test]
fn devices_that_are_not_free_are_told_with_who_has_them() {
    in_world(NEEDS, |w| {
        w.make_machine(&GPU);
        w.hook("qemu", "#!/bin/sh\n[ $1.$2 != owner.start ] || exec sleep 300\n");
        w.daemon_start();
        let with = |name: &str, xml: &str| w.define(&emulated(Guest::new(name).device(xml)));
        with("unmanaged", &hostdev(&GPU[0], false));
        let unmanaged = ["host's driver nouveau", "virsh nodedev-detach pci_0000_03_00_0"];
        fails(w, "unmanaged", "not_detached", &unmanaged);
        let gone = hostdev(&GPU[0], true).replace("0x03", "0x55");
        with("gone", &gone);
        fails(w, "gone", "not_there", &["there is no PCI device 0000:55:00.0"]);
        let model = |name: &str| {
            hostdev(&GPU[0], true).replace("<source>", &format!("<driver model='{name}'/><source>"))
        };
        with("wrong", &model("no-such-driver"));
        fails(
            w,
            "wrong",
            "driver",
            &["there is no driver no-such-driver", "modinfo no-such-driver"],
        );
        with("owner", &hostdev(&GPU[0], true));
        // It has its device when the hook runs, and needs no more locked memory than a test may have.
        let start = w.virsh_background("start owner");
        w.wait_for("the device's way", Duration::from_secs(20), || {
            w.driver_of(CARD) == "vfio-pci"
        });
        w.wait_for("the hook", Duration::from_secs(20), || {
            w.ferrovirt("ps --json").out.contains("\"start\"")
        });
        with("second", &hostdev(&GPU[0], true));
        let in_use = [
            "PCI device 0000:03:00.0 is in use by guest owner",
            "virsh shutdown owner",
        ];
        fails(w, "second", "in_use", &in_use);
        with("other", &hostdev(&GPU[1], true));
        fails(
            w,
            "other",
            "in_use",
            &["of the same group as 0000:03:00.1", "guest owner"],
        );
        w.virsh("destroy owner").ok();
        start.join().fails_with(&[]);
        assert_eq!(
            (w.driver_of(CARD), w.driver_of(SOUND)),
            ("nouveau".to_owned(), "snd_hda_intel".to_owned())
        );
    });
}

#[test]
fn a_driver_that_does_not_let_go_holds_its_own_guest_only() {
    in_world(NEEDS, |w| {
        w.make_machine(&GPU);
        w.driver_hangs("nouveau");
        // Somebody has the card open: a node that has the number of one of its files.
        w.sh(&format!(
            "mkdir /sys/bus/pci/devices/{CARD}/drm; echo 1:5 > /sys/bus/pci/devices/{CARD}/drm/dev"
        ));
        let open = File::open("/dev/zero").expect("the node");
        w.daemon_start();
        w.define(&emulated(Guest::new("g").device(&hostdev(&GPU[0], true))));
        w.define(&Guest::new("other"));
        let start = w.virsh_background("start g");
        w.wait_for("the driver", Duration::from_secs(20), || {
            asked(w, "g")["device"] == "driver_hangs"
        });
        let told = asked(w, "g");
        let text = told["text"].as_str().expect("a text");
        let me = format!("kill {}", std::process::id());
        for part in [
            "is being started and waits: driver nouveau",
            CARD,
            &me,
            "/dev/zero",
            "virsh destroy g",
        ] {
            assert!(text.contains(part), "no '{part}' in:\n{text}");
        }
        // Nobody else waits for it.
        w.virsh("start other").ok();
        w.virsh("nodedev-detach pci_0000_03_00_1").ok();
        w.virsh("nodedev-reattach pci_0000_03_00_1").ok();
        w.virsh("nodedev-detach pci_0000_03_00_0")
            .fails_with(&["is busy: unbind"]);
        // A destroy does not wait either.
        w.virsh("destroy g").ok();
        start.join().fails_with(&[]);
        assert!(w.virsh("domstate g").out.contains("shut off"));
        assert_eq!(w.driver_of(CARD), "nouveau");
        // It lets go at last: nobody wants it any more, so it goes back.
        w.driver_lets_go("nouveau");
        let written = format!("/sys/bus/pci/devices/{CARD}/driver_override");
        let back = || w.read(&written) == "(null)\n" && w.driver_of(CARD) == "nouveau";
        w.wait_for("its driver", Duration::from_secs(20), back);
        drop(open);
    });
}
