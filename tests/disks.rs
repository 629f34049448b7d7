//! Disks: what their drivers are told, the limits that hold for them, and the chains of their images.

use ferrovirt_tests::{Machine, Tool, World, in_world};
use serde_json::{Value, json};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::QemuImg];

fn images(w: &World) {
    w.sh("qemu-img create -q -f qcow2 /run/world/base.qcow2 8M && \
         qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 /run/world/top.qcow2 && \
         truncate -s 8M /run/world/plain.raw /run/world/second.raw /run/world/third.raw && \
         truncate -s 1474560 /run/world/floppy.img");
}

/// What QEMU says of the disk behind a device.
fn block(all: &Value, device: &str) -> Value {
    let whose = |one: &&Value| {
        let path = one["qdev"].as_str().unwrap_or_default();
        path.split('/').any(|part| part == device)
    };
    let found = all.as_array().and_then(|all| all.iter().find(whose));
    found.unwrap_or_else(|| panic!("no {device} in {all}")).clone()
}

#[test]
fn the_attributes_of_a_driver_reach_qemu() {
    in_world(NEEDS, |w| {
        images(w);
        w.daemon_start();
        let qemu = Machine::new("drivers", "q35")
            .parts("<iothreads>2</iothreads>")
            .devices(
                "<controller type='scsi' model='virtio-scsi'/>\
                 <disk type='file'><driver name='qemu' type='qcow2' cache='writeback' io='threads' discard='unmap' \
                 detect_zeroes='unmap' iothread='2' queues='2' packed='on' event_idx='off' ioeventfd='on' error_policy='report' \
                 rerror_policy='stop' copy_on_read='on'><metadata_cache><max_size unit='KiB'>512</max_size></metadata_cache></driver>\
                 <source file='/run/world/top.qcow2'/><target dev='vda'/><serial>one</serial>\
                 <blockio logical_block_size='512' physical_block_size='4096'/></disk>\
                 <disk type='file'><driver name='qemu' type='raw' cache='none'/><source file='/run/world/plain.raw'/>\
                 <target dev='sda' bus='scsi' rotation_rate='7200'/><shareable/><wwn>5000c50015ea71aa</wwn><vendor>ACME</vendor>\
                 <product>Disk</product></disk>\
                 <disk type='file'><source file='/run/world/second.raw'><slices><slice type='storage' offset='4096' size='65536'/>\
                 </slices></source><target dev='sdb' bus='usb' removable='on'/><readonly/></disk>\
                 <disk type='file' device='cdrom'><target dev='sdc' bus='sata'/></disk>\
                 <disk type='file' device='floppy'><source file='/run/world/floppy.img'/><target dev='fda'/></disk>",
            )
            .start(w);
        qemu.told(&[
            "virtio-blk-pci",
            "\"num-queues\":2",
            "\"packed\":true",
            "\"event_idx\":false",
            "\"ioeventfd\":true",
            "\"iothread\":\"iothread2\"",
            "\"werror\":\"report\"",
            "\"rerror\":\"stop\"",
            "\"serial\":\"one\"",
        ]);
        let all = qemu.ask("query-block", &Value::Null);
        let first = block(&all, "virtio-disk0");
        qemu.told(&["-storage", "\"detect-zeroes\":\"unmap\""]);
        assert_eq!(first["inserted"]["cache"]["writeback"], true, "{first}");
        let chain = first["inserted"]["file"].as_str().unwrap();
        assert!(
            chain.contains("/run/world/top.qcow2") && chain.contains("/run/world/base.qcow2"),
            "{first}"
        );
        assert_eq!(first["inserted"]["drv"], "copy-on-read", "{first}");
        qemu.told(&["copy-on-read"]).told(&["\"cache-size\":524288"]);
        assert_eq!(qemu.of_device("virtio-disk0", "physical_block_size"), 4096);
        assert_eq!(qemu.of_device("virtio-disk0", "num-queues"), 2);
        assert_eq!(qemu.of_device("scsi0-0-0-0", "rotation_rate"), 7200);
        assert_eq!(qemu.of_device("scsi0-0-0-0", "share-rw"), true);
        assert_eq!(qemu.of_device("scsi0-0-0-0", "vendor"), "ACME");
        let second = block(&all, "scsi0-0-0-0");
        assert_eq!(second["inserted"]["cache"]["direct"], true, "{second}");
        let stick = block(&all, "usb-disk1");
        assert_eq!(stick["inserted"]["image"]["virtual-size"], 65536, "{stick}");
        assert_eq!(stick["inserted"]["ro"], true, "{stick}");
        assert_eq!(block(&all, "sata0-0-2")["removable"], true);
        assert_eq!(
            block(&all, "fdc0-0-0")["inserted"]["image"]["filename"],
            "/run/world/floppy.img"
        );
        w.virsh("destroy drivers").ok();
    });
}

#[test]
fn limits_hold_for_a_disk_for_a_group_and_for_filters() {
    in_world(NEEDS, |w| {
        images(w);
        w.daemon_start();
        let qemu = Machine::new("limits", "pc")
            .parts(
                "<throttlegroups><throttlegroup><total_iops_sec>300</total_iops_sec><group_name>slow</group_name></throttlegroup>\
                 <throttlegroup><read_bytes_sec>70000</read_bytes_sec><group_name>reads</group_name></throttlegroup></throttlegroups>",
            )
            .devices(
                "<disk type='file'><source file='/run/world/plain.raw'/><target dev='vda'/><iotune>\
                 <read_bytes_sec>1000000</read_bytes_sec><write_iops_sec>50</write_iops_sec><write_iops_sec_max>90</write_iops_sec_max>\
                 <write_iops_sec_max_length>2</write_iops_sec_max_length><size_iops_sec>4096</size_iops_sec></iotune></disk>\
                 <disk type='file'><source file='/run/world/second.raw'/><target dev='vdb'/><iotune>\
                 <total_bytes_sec>500000</total_bytes_sec><group_name>both</group_name></iotune></disk>\
                 <disk type='file'><source file='/run/world/third.raw'/><target dev='vdc'/><throttlefilters>\
                 <throttlefilter group='slow'/><throttlefilter group='reads'/></throttlefilters></disk>",
            )
            .start(w);
        let all = qemu.ask("query-block", &Value::Null);
        let first = &block(&all, "virtio-disk0")["inserted"];
        for (name, value) in [
            ("bps_rd", 1_000_000),
            ("iops_wr", 50),
            ("iops_wr_max", 90),
            ("iops_wr_max_length", 2),
            ("iops_size", 4096),
        ] {
            assert_eq!(first[name], value, "{name} of {first}");
        }
        let second = &block(&all, "virtio-disk1")["inserted"];
        assert_eq!(
            (&second["bps"], &second["group"]),
            (&json!(500_000), &json!("both")),
            "{second}"
        );
        qemu.told(&["throttle-group", "slow", "300"])
            .told(&["throttle-group", "reads", "70000"]);
        let nodes = qemu.ask("query-named-block-nodes", &json!({"flat": true}));
        let throttled = nodes
            .as_array()
            .unwrap()
            .iter()
            .filter(|node| node["drv"] == "throttle");
        assert_eq!(throttled.count(), 2, "{nodes}");
        w.virsh("destroy limits").ok();
    });
}

#[test]
fn what_needs_a_secret_is_refused_at_the_start() {
    in_world(NEEDS, |w| {
        images(w);
        w.daemon_start();
        let secret = "<secret type='passphrase' uuid='9d4fa6d6-3a1b-4a4e-9d1c-0b6c7d2f9a55'/>";
        let machine = Machine::new("sealed", "pc").devices(&format!(
            "<disk type='file'><driver name='qemu' type='raw'/><source file='/run/world/plain.raw'><encryption format='luks'>{secret}\
             </encryption></source><target dev='vda'/></disk>"
        ));
        let path = w.file("sealed.xml", &machine.xml());
        w.virsh_args(&["define", &path.display().to_string()]).ok();
        assert!(
            w.virsh("dumpxml sealed")
                .ok()
                .contains("<encryption format='luks'")
        );
        let answer = w.virsh("start sealed");
        answer.fails_with(&["no secret with matching uuid '9d4fa6d6-3a1b-4a4e-9d1c-0b6c7d2f9a55'"]);
    });
}
