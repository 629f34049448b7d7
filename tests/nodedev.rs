//! Devices of the host by virsh: those that this machine has. Only looked at; none is taken from its driver.

use std::time::Duration;

use ferrovirt_tests::{Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh];

fn names(w: &World, filter: &str) -> Vec<String> {
    let listed = w.virsh(&format!("nodedev-list {filter}"));
    listed.ok().split_whitespace().map(str::to_owned).collect()
}

/// Addresses of the kernel's PCI devices, as names.
fn pci_of_the_kernel() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/bus/pci/devices")
        .into_iter()
        .flatten()
        .flatten();
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().replace([':', '.'], "_");
    let mut names: Vec<String> = entries.map(|entry| format!("pci_{}", name(entry))).collect();
    names.sort();
    names
}

#[test]
fn all_devices_of_the_kernel_are_listed_and_described() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        assert_eq!(names(w, "--cap pci"), pci_of_the_kernel());
        assert_eq!(names(w, "--cap system"), ["computer"]);
        assert_eq!(names(w, "--cap net"), ["net_lo_00_00_00_00_00_00"]);
        assert_eq!(names(w, "--cap mdev"), Vec::<String>::new());
        assert_eq!(names(w, "--persistent"), ["computer"]);
        assert_eq!(names(w, "--inactive"), Vec::<String>::new());
        let all = names(w, "--all");
        for name in &all {
            let document = w.virsh(&format!("nodedev-dumpxml {name}"));
            assert!(
                document
                    .ok()
                    .starts_with(&format!("<device>\n  <name>{name}</name>\n")),
                "{}",
                document.out
            );
        }
        let tree = w.virsh("nodedev-list --tree");
        assert!(tree.ok().starts_with("computer\n"), "{}", tree.out);
        assert_eq!(
            tree.out.lines().filter(|line| line.contains('_')).count(),
            all.len() - 1
        );
        let lo = w.virsh("nodedev-dumpxml net_lo_00_00_00_00_00_00");
        for part in [
            "<path>/sys/devices/virtual/net/lo</path>\n  <parent>computer</parent>",
            "<interface>lo</interface>\n    <address>00:00:00:00:00:00</address>\n    <link state='unknown'/>\n    <feature name='rx'/>",
            "<capability type='80203'/>",
        ] {
            assert!(lo.ok().contains(part), "no {part} in {}", lo.out);
        }
        let info = w.virsh("nodedev-info net_lo_00_00_00_00_00_00");
        let words: Vec<&str> = info.ok().split_whitespace().collect();
        let wanted =
            "Name: net_lo_00_00_00_00_00_00 Parent: computer Active: yes Persistent: no Autostart: no";
        assert_eq!(words.join(" "), wanted);
    });
}

#[test]
fn what_cannot_be_done_is_refused_as_libvirt_does() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let lo = "net_lo_00_00_00_00_00_00";
        w.virsh("nodedev-dumpxml pci_0000_55_00_0")
            .fails_with(&["Node device not found: no node device with matching name 'pci_0000_55_00_0'"]);
        for command in ["detach", "reattach", "reset"] {
            w.virsh(&format!("nodedev-{command} computer"))
                .fails_with(&["invalid argument: device computer is not a PCI device"]);
        }
        w.virsh(&format!("nodedev-dumpxml --inactive {lo}"))
            .fails_with(&[&format!("node device '{lo}' is not persistent")]);
        w.virsh(&format!("nodedev-destroy {lo}"))
            .fails_with(&["unsupported configuration: Unsupported device type"]);
        w.virsh(&format!("nodedev-start {lo}"))
            .fails_with(&["Device is already active"]);
        w.virsh(&format!("nodedev-undefine {lo}"))
            .fails_with(&["is not defined"]);
        w.virsh(&format!("nodedev-autostart {lo}"))
            .fails_with(&["Operation not supported: Unsupported device type"]);
        let document = w.file(
            "m.xml",
            "<device><parent>computer</parent><capability type='mdev'><type id='x'/></capability></device>",
        );
        w.virsh_args(&["nodedev-create", &document.display().to_string()])
            .fails_with(&["mediated devices"]);
        w.virsh_args(&["-r", "nodedev-list"]).ok();
        w.virsh_args(&["-r", "nodedev-reset", "computer"])
            .fails_with(&["read only access"]);
        w.virsh_at("lxc:///system", &["nodedev-list", "--cap", "system"])
            .ok();
        w.virsh_at("lxc:///system", &["nodedev-reset", "computer"])
            .fails_with(&["not supported by the connection driver"]);
    });
}

#[test]
fn devices_that_come_and_go_are_told_of_and_listed() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        // Who looks once sees what comes afterwards, too.
        names(w, "");
        let mut events = w.virsh_background("nodedev-event --event lifecycle --loop --timeout 60");
        let named = |name: &str| names(w, "--cap net").iter().any(|known| known.starts_with(name));
        // The registration has no sign of its own: one device after the other, until one is told of.
        let mut number = 0;
        w.wait_for("a device that is told of", Duration::from_secs(30), || {
            number += 1;
            w.sh(&format!("ip tuntap add dev{number} mode tap"));
            w.wait_for("the device", Duration::from_secs(10), || {
                named(&format!("net_dev{number}_"))
            });
            number > 3
        });
        w.sh("ip link set dev1 name other");
        w.wait_for("the new name", Duration::from_secs(10), || named("net_other_"));
        assert!(!named("net_dev1_"));
        w.sh("ip link del other");
        w.wait_for("its end", Duration::from_secs(10), || !named("net_other_"));
        assert!(events.is_running());
        let told = events.interrupt();
        assert!(
            told.out.contains("Created") && told.out.contains("Deleted"),
            "{}{}",
            told.out,
            told.err
        );
    });
}

#[test]
fn the_tool_tells_what_could_be_given_to_guests() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let answer = w.ferrovirt("--socket /run/libvirt/libvirt-sock-ro devices --json");
        let answer: serde_json::Value = serde_json::from_str(answer.ok()).unwrap();
        let devices = answer["devices"].as_array().unwrap();
        let mut found: Vec<String> = devices
            .iter()
            .map(|device| {
                format!(
                    "pci_{}",
                    device["address"].as_str().unwrap().replace([':', '.'], "_")
                )
            })
            .collect();
        found.sort();
        assert_eq!(found, pci_of_the_kernel());
        let shown = w.ferrovirt("devices --groups");
        assert_eq!(shown.ok().matches("driver: ").count(), devices.len());
        if answer["iommu"] == false {
            assert!(
                shown.out.contains("there is no IOMMU at work: write "),
                "{}",
                shown.out
            );
            assert!(devices.iter().all(|device| device["available"] == false));
        }
    });
}
