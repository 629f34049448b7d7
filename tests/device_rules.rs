//! Devices of the host that QEMU may open: a guest's control group allows what `qemu.conf` lists and what its document names.

use ferrovirt_tests::{Guest, Tool, World, in_world};

use crate::tune::controllers;

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

/// The innermost groups of a guest that give out devices, version 1.
fn groups(w: &World, guest: &str) -> Vec<String> {
    let pattern = format!("/sys/fs/cgroup/*/machine.slice/machine-qemu*{guest}.scope/libvirt/devices.list");
    let found = w.sh(&format!("ls {pattern} 2>/dev/null || true"));
    let found = found
        .lines()
        .filter_map(|file| file.strip_suffix("/devices.list"));
    found.map(str::to_owned).collect()
}

/// Whether a process in the group can open a device.
fn opens(w: &World, group: &str, node: &str) -> bool {
    w.succeeds(&format!("echo $$ > '{group}/tasks' && : < {node}"))
}

#[test]
fn a_guest_opens_its_own_devices_and_no_others() {
    in_world(NEEDS, |w| {
        if !controllers(w, "devices") {
            return;
        }
        w.daemon_start();
        let xml = Guest::new("rules").xml().replace(
            "</devices>",
            "<rng model='virtio'><backend model='random'>/dev/full</backend></rng></devices>",
        );
        let path = w.file("rules.xml", &xml).display().to_string();
        w.virsh_args(&["create", &path]).ok();
        let groups = groups(w, "rules");
        let [group] = groups.as_slice() else {
            panic!("the guest has no group: {groups:?}");
        };
        let list = w.sh(&format!("cat '{group}/devices.list'"));
        for rule in ["c 1:3 rw", "c 1:7 rw", "c 5:2 rw", "c 136:* rw"] {
            assert!(list.lines().any(|line| line == rule), "{rule}: {list}");
        }
        assert!(!list.contains("a *:*"), "{list}");
        // The kernel's messages: as root anybody may read them, but not in that group.
        let log = w.sh("mknod /run/kmsg c 1 11 && echo /run/kmsg");
        let log = log.trim();
        assert!(w.succeeds(&format!(": < {log}")));
        assert!(opens(w, group, "/dev/null"));
        assert!(!opens(w, group, log));
        w.virsh("destroy rules").ok();
    });
}
