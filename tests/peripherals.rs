//! Devices that share something with the host, devices that are seen and typed on, and what goes past us to QEMU.

use ferrovirt_tests::{Machine, Tool, in_world};
use serde_json::{Value, json};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

#[test]
fn directories_memory_stores_and_ciphers() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.sh("mkdir -p /run/world/share /run/world/read && chmod 700 /run/world/share");
        let qemu = Machine::new("shares", "q35")
            .devices(
                "<filesystem type='mount' accessmode='mapped' fmode='0640' dmode='0750' multidevs='remap'><driver type='path' \
                 wrpolicy='immediate'/><source dir='/run/world/share'/><target dir='share'/></filesystem>\
                 <filesystem type='mount' model='virtio-non-transitional'><source dir='/run/world/read'/><target dir='read'/><readonly/>\
                 </filesystem>\
                 <shmem name='ferrovirt-peripherals'><model type='ivshmem-plain'/><size unit='M'>2</size></shmem>\
                 <pstore backend='acpi-erst'><path>/run/world/last-words</path><size unit='KiB'>64</size></pstore>\
                 <crypto model='virtio' type='qemu'><backend model='builtin' queues='1'/></crypto>\
                 <iommu model='intel'><driver caching_mode='on' aw_bits='48' iotlb='on'/></iommu>",
            )
            .start(w);
        qemu.told(&[
            "local,security_model=mapped",
            "writeout=immediate",
            "fmode=0640",
            "dmode=0750",
            "multidevs=remap",
            "path=/run/world/share",
        ]);
        qemu.told(&["path=/run/world/read", "readonly"]);
        assert_eq!(qemu.kind("fs1"), "virtio-9p-pci-non-transitional");
        assert_eq!(qemu.of_device("fs0", "mount_tag"), "share");
        assert_eq!(qemu.kind("shmem0"), "ivshmem-plain");
        assert_eq!(qemu.property("/objects/shmmem-shmem0", "size"), 2 << 20);
        assert_eq!(
            std::fs::metadata("/run/world/last-words").unwrap().len(),
            64 << 10
        );
        assert_eq!(qemu.kind("pstore0"), "acpi-erst");
        assert_eq!(qemu.kind("crypto0"), "virtio-crypto-pci");
        qemu.told(&["cryptodev-backend-builtin"]);
        qemu.told(&[
            "intel-iommu",
            "\"caching-mode\":true",
            "\"aw-bits\":48",
            "\"device-iotlb\":true",
        ]);
        let live = w.virsh("dumpxml shares").ok().to_owned();
        assert!(
            live.contains("<alias name='fs1'/>") && live.contains("<alias name='pstore0'/>"),
            "{live}"
        );
        w.virsh("destroy shares").ok();
        w.sh("rm -f /dev/shm/ferrovirt-peripherals");
    });
}

#[test]
fn sockets_between_host_and_guest() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let machine = Machine::new("socket", "pc")
            .devices("<vsock model='virtio'><cid auto='no' address='4711'/></vsock>");
        if !std::path::Path::new("/dev/vhost-vsock").exists() {
            println!("note: this kernel has no vhost-vsock");
            let path = w.file("socket.xml", &machine.xml());
            w.virsh_args(&["define", &path.display().to_string()]).ok();
            w.virsh("start socket").fails_with(&["/dev/vhost-vsock"]);
            return;
        }
        let qemu = machine.start(w);
        assert_eq!(qemu.kind("vsock0"), "vhost-vsock-pci");
        assert_eq!(qemu.of_device("vsock0", "guest-cid"), 4711);
        w.virsh("destroy socket").ok();
    });
}

#[test]
fn watchdogs_panics_and_the_balloon() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let qemu = Machine::new("lesser", "pc")
            .devices(
                "<watchdog model='ib700' action='pause'/><watchdog model='i6300esb' action='pause'/>\
                 <panic model='isa'><address type='isa' iobase='0x505'/></panic><panic model='pvpanic'/>\
                 <rng model='virtio'><rate bytes='1000' period='2000'/><backend model='random'>/dev/urandom</backend></rng>",
            )
            .start(w);
        assert_eq!(qemu.kind("watchdog0"), "ib700");
        assert_eq!(qemu.kind("watchdog1"), "i6300esb");
        qemu.told(&["pause"]);
        qemu.told(&["\"pvpanic\"", "\"ioport\":1285"]);
        qemu.told(&["pvpanic-pci"]);
        assert_eq!(qemu.property("/objects/objrng0", "filename"), "/dev/urandom");
        assert_eq!(qemu.of_device("rng0", "max-bytes"), 1000);
        assert_eq!(qemu.of_device("rng0", "period"), 2000);
        w.virsh("destroy lesser").ok();
    });
}

#[test]
fn cards_for_the_screen() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        for (number, (model, alias_kind, told)) in [
            ("<model type='vga' vram='32768'/>", "VGA", "\"vgamem_mb\":32"),
            ("<model type='cirrus'/>", "cirrus-vga", "cirrus-vga"),
            ("<model type='bochs' vram='32768'/>", "bochs-display", "33554432"),
            (
                "<model type='vmvga' vram='16384'/>",
                "vmware-svga",
                "\"vgamem_mb\":16",
            ),
            (
                "<model type='virtio' heads='3'><resolution x='800' y='600'/></model>",
                "virtio-vga",
                "\"max_outputs\":3",
            ),
            ("<model type='ramfb'/>", "ramfb", "ramfb"),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("screen{number}");
            let xml = format!("<graphics type='vnc' autoport='yes'/><video>{model}</video>");
            let qemu = Machine::new(&name, "pc").devices(&xml).start(w);
            assert_eq!(qemu.kind("video0"), alias_kind);
            qemu.told(&[told]);
            w.virsh(&format!("destroy {name}")).ok();
        }
        let qemu = Machine::new("dark", "q35")
            .devices("<graphics type='vnc' autoport='yes'/><video><model type='none'/></video>")
            .start(w);
        let buses = qemu.ask("query-pci", &Value::Null);
        assert!(!buses.to_string().contains("VGA controller"), "{buses}");
        w.virsh("destroy dark").ok();
    });
}

#[test]
fn mice_keyboards_and_events_of_the_host() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let event = std::fs::read_dir("/dev/input").into_iter().flatten().flatten();
        let event = event
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().contains("event"));
        let evdev = event.as_ref().map_or_else(String::new, |path| {
            let path = path.display();
            format!("<input type='evdev'><source dev='{path}' grab='all' grabToggle='ctrl-ctrl' repeat='on'/></input>")
        });
        let qemu = Machine::new("typing", "pc")
            .devices(&format!(
                "<input type='mouse' bus='usb'/><input type='tablet' bus='usb'/><input type='keyboard' bus='usb'/>\
                 <input type='mouse' bus='virtio'/><input type='keyboard' bus='virtio'/>\
                 <input type='tablet' bus='virtio'/>{evdev}"
            ))
            .start(w);
        for (alias, kind) in [
            ("input0", "usb-mouse"),
            ("input1", "usb-tablet"),
            ("input2", "usb-kbd"),
            ("input3", "virtio-mouse-pci"),
            ("input4", "virtio-keyboard-pci"),
            ("input5", "virtio-tablet-pci"),
        ] {
            assert_eq!(qemu.kind(alias), kind);
        }
        match event {
            Some(path) => {
                qemu.told(&["input-linux", &path.display().to_string(), "ctrl-ctrl"]);
            }
            None => println!("note: without evdev: this host has no /dev/input/event*"),
        }
        w.virsh("destroy typing").ok();
        let gone = "<input type='evdev'><source dev='/dev/input/event-none'/></input>";
        let path = w.file("gone.xml", &Machine::new("gone", "pc").devices(gone).xml());
        w.virsh_args(&["define", &path.display().to_string()]).ok();
        w.virsh("start gone").fails_with(&["/dev/input/event-none"]);
    });
}

#[test]
fn usb_devices_from_elsewhere_and_cards_with_chips() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let qemu = Machine::new("elsewhere", "q35")
            .devices(
                "<controller type='usb' index='0' model='qemu-xhci'/>\
                 <redirdev bus='usb' type='unix'><source mode='bind' path='/run/world/usb'/></redirdev>\
                 <redirfilter><usbdev vendor='0x1234' product='0xbeef' allow='yes'/><usbdev allow='no'/></redirfilter>\
                 <smartcard mode='passthrough' type='tcp'><source mode='bind' host='127.0.0.1' service='4713'/>\
                 <protocol type='raw'/></smartcard>",
            )
            .start(w);
        assert_eq!(qemu.kind("redir0"), "usb-redir");
        assert_eq!(
            qemu.of_device("redir0", "filter"),
            "-1:0x1234:0xBEEF:-1:1|-1:-1:-1:-1:0"
        );
        assert_eq!(qemu.kind("smartcard0"), "ccid-card-passthru");
        let ends = qemu.ask("query-chardev", &Value::Null).to_string();
        assert!(
            ends.contains("/run/world/usb") && ends.contains("127.0.0.1:4713"),
            "{ends}"
        );
        w.virsh("destroy elsewhere").ok();
    });
}

#[test]
fn what_goes_past_us_reaches_qemu() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let qemu = Machine::new("past", "pc")
            .devices("<rng model='virtio'><backend model='builtin'/><alias name='ua-numbers'/></rng>")
            .beyond(
                "<qemu:commandline><qemu:arg value='-device'/><qemu:arg value='edu,id=added,addr=0x1e'/>\
                 <qemu:env name='WORLD' value='past'/></qemu:commandline>\
                 <qemu:override><qemu:device alias='ua-numbers'><qemu:frontend><qemu:property name='max-bytes' type='unsigned' \
                 value='77'/><qemu:property name='period' type='unsigned' value='99'/></qemu:frontend></qemu:device></qemu:override>",
            )
            .start(w);
        assert_eq!(qemu.kind("added"), "edu");
        assert_eq!(qemu.of_device("ua-numbers", "max-bytes"), json!(77));
        assert_eq!(qemu.of_device("ua-numbers", "period"), json!(99));
        let pid = w.qemu_pid("past").unwrap();
        let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
        assert!(
            environment.split('\0').any(|one| one == "WORLD=past"),
            "{environment}"
        );
        w.virsh("destroy past").ok();
    });
}
