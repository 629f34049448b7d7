//! What virsh asks: every query command that the daemon promises, against a guest and a network.

use ferrovirt_tests::{Guest, Net, Tool, in_world};

const MAC: &str = "52:54:00:00:00:21";

#[test]
fn the_host_is_described() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        w.daemon_start();
        w.virsh("connect").ok();
        assert_eq!(w.virsh("uri").ok().trim(), "qemu:///system");
        let version = w.virsh("version").ok().to_owned();
        assert!(version.contains("QEMU"), "{version}");
        assert_eq!(w.virsh("hostname").ok().trim(), "testhost");
        let info = w.virsh("nodeinfo").ok().to_owned();
        assert!(info.contains("x86_64") && info.contains("CPU(s):"), "{info}");
        let capabilities = w.virsh("capabilities").ok().to_owned();
        for part in [
            "<capabilities>",
            "<arch>x86_64</arch>",
            "<os_type>hvm</os_type>",
            "<domain type='qemu'",
        ] {
            assert!(capabilities.contains(part), "no {part} in {capabilities}");
        }
    });
}

#[test]
fn guests_are_listed_by_every_filter() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        w.daemon_start();
        w.define(&Guest::new("off"));
        w.define(&Guest::new("on"));
        w.virsh("start on").ok();
        let transient = w.file("transient.xml", &Guest::new("transient").xml());
        w.virsh_args(&["create", &transient.display().to_string()]).ok();
        w.virsh("autostart off").ok();
        let names = |filter: &str| {
            let output = w.virsh(&format!("list --name {filter}"));
            let mut names: Vec<String> = output.ok().split_whitespace().map(str::to_owned).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(names(""), "on transient");
        assert_eq!(names("--all"), "off on transient");
        assert_eq!(names("--inactive"), "off");
        assert_eq!(names("--all --persistent"), "off on");
        assert_eq!(names("--all --transient"), "transient");
        assert_eq!(names("--all --autostart"), "off");
        assert_eq!(names("--all --no-autostart"), "on transient");
        assert_eq!(names("--state-running"), "on transient");
        assert_eq!(names("--all --state-shutoff"), "off");
        w.virsh("suspend on").ok();
        assert_eq!(names("--state-paused"), "on");
        assert_eq!(names("--all --without-snapshot"), "off on transient");
        assert_eq!(names("--all --without-managed-save"), "off on transient");
    });
}

#[test]
fn a_guest_is_described() {
    in_world(
        &[Tool::Virsh, Tool::Qemu, Tool::QemuImg, Tool::Dnsmasq, Tool::Nft],
        |w| {
            const UUID: &str = "7f1d8c1e-2c3b-4c55-9a67-0c3f0f0f7a01";
            w.daemon_start();
            w.sh("qemu-img create -q -f qcow2 disk.qcow2 16M");
            w.net_up(&Net::new("n", 121));
            let disk = "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>\
                    <source file='/run/world/disk.qcow2'/><target dev='vda' bus='virtio'/></disk>";
            w.define(&Guest::new("g").uuid(UUID).on_network("n", MAC).device(disk));
            assert_eq!(w.virsh("domid g").ok().trim(), "-");
            assert_eq!(w.virsh("domuuid g").ok().trim(), UUID);
            assert_eq!(w.virsh(&format!("domname {UUID}")).ok().trim(), "g");
            assert_eq!(w.virsh("domstate g --reason").ok().trim(), "shut off (unknown)");
            w.virsh("start g").ok();
            assert_eq!(w.virsh("domid g").ok().trim(), "1");
            assert_eq!(w.virsh("domname 1").ok().trim(), "g");
            assert_eq!(w.virsh("domstate g --reason").ok().trim(), "running (booted)");
            let info = w.virsh("dominfo g").ok().to_owned();
            for part in [
                "Id:             1",
                "State:          running",
                "Max memory:     32768 KiB",
                "Persistent:     yes",
            ] {
                assert!(info.contains(part), "no '{part}' in {info}");
            }
            let interfaces = w.virsh("domiflist g").ok().to_owned();
            assert!(
                interfaces.contains("vnet0") && interfaces.contains(MAC),
                "{interfaces}"
            );
            let disks = w.virsh("domblklist g").ok().to_owned();
            assert!(
                disks.contains("vda") && disks.contains("/run/world/disk.qcow2"),
                "{disks}"
            );
            let live = w.virsh("dumpxml g").ok().to_owned();
            for part in [
                "<domain type='qemu' id='1'>",
                "<target dev='vnet0'/>",
                "<alias name='net0'/>",
                "portid='",
            ] {
                assert!(live.contains(part), "no {part} in {live}");
            }
            let config = w.virsh("dumpxml --inactive g").ok().to_owned();
            for part in ["<domain type='qemu' id=", "vnet0", "<alias", "portid"] {
                assert!(!config.contains(part), "{part} in {config}");
            }
            w.virsh("domifaddr g").ok();
        },
    );
}

#[test]
fn networks_are_described() {
    in_world(&[Tool::Virsh, Tool::Dnsmasq, Tool::Nft], |w| {
        w.daemon_start();
        w.net_define(&Net::new("n", 122));
        w.net_define(&Net::new("other", 123));
        let inactive = w.virsh("net-list --name --inactive").ok().to_owned();
        assert!(
            inactive.contains("n\n") && inactive.contains("other\n"),
            "{inactive}"
        );
        w.virsh("net-start n").ok();
        w.virsh("net-autostart n").ok();
        assert_eq!(w.virsh("net-list --name").ok().trim(), "n");
        assert_eq!(w.virsh("net-list --name --autostart").ok().trim(), "n");
        let info = w.virsh("net-info n").ok().to_owned();
        for part in [
            "Active:         yes",
            "Persistent:     yes",
            "Autostart:      yes",
            "Bridge:         virbr122",
        ] {
            assert!(info.contains(part), "no '{part}' in {info}");
        }
        let uuid = w.virsh("net-uuid n").ok().trim().to_owned();
        assert_eq!(w.virsh(&format!("net-name {uuid}")).ok().trim(), "n");
        let xml = w.virsh("net-dumpxml n").ok().to_owned();
        assert!(
            xml.contains(&format!("<uuid>{uuid}</uuid>")) && xml.contains("<mac address='52:54:00:"),
            "{xml}"
        );
        w.virsh("net-dumpxml --inactive n").ok();
        w.virsh("net-dhcp-leases n").ok();
        w.virsh("net-destroy n").ok();
        w.virsh("net-undefine n").ok();
        w.virsh("net-info n").fails_with(&["'n'"]);
    });
}
