//! Limits and shares of guests: `virsh memtune`, `blkiotune`, `schedinfo`, `setmem`, `setvcpus`, with their effect in the
//! guest's control group.

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

/// What the kernel's file of a guest's scope says; nothing where this machine has no such controller.
fn group(w: &World, guest: &str, file: &str) -> Option<String> {
    let pattern = format!("/sys/fs/cgroup/*/machine.slice/machine-qemu*{guest}.scope/{file}");
    let text = w.sh(&format!("cat {pattern} 2>/dev/null || true"));
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Gives the world these controllers of version 1, which it does not have otherwise; whether the machine has them.
fn controllers(w: &World, names: &str) -> bool {
    let mounted = w.succeeds(&format!(
        "mount -t tmpfs tmpfs /sys/fs/cgroup && for name in {names}; do mkdir /sys/fs/cgroup/$name && \
         mount -t cgroup -o $name cgroup /sys/fs/cgroup/$name || exit 1; done"
    ));
    if !mounted {
        println!("note: this machine has no control groups of version 1 for {names}");
    }
    mounted
}

/// Defines a guest with more elements before its devices.
fn define(w: &World, name: &str, more: &str) {
    let xml = Guest::new(name)
        .xml()
        .replace("<vcpu>1</vcpu>", &format!("{more}<vcpu>2</vcpu>"));
    let path = w.file(&format!("{name}.xml"), &xml);
    w.virsh_args(&["define", &path.display().to_string()]).ok();
}

/// `NAME : VALUE` among the lines.
fn value(text: &str, name: &str) -> String {
    let values = text.lines().filter_map(|line| line.split_once(':'));
    let found = values.into_iter().find(|(key, _)| key.trim() == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .1
        .trim()
        .to_owned()
}

fn shown(w: &World, line: &str, name: &str) -> String {
    value(w.virsh(line).ok(), name)
}

#[test]
fn limits_of_memory_hold_live_and_in_the_definition() {
    in_world(NEEDS, |w| {
        if !controllers(w, "memory") {
            return;
        }
        w.daemon_start();
        define(
            w,
            "tunemem",
            "<memtune><hard_limit unit='MiB'>500</hard_limit></memtune>",
        );
        assert_eq!(shown(w, "memtune tunemem", "hard_limit"), "512000");
        assert_eq!(shown(w, "memtune tunemem", "soft_limit"), "unlimited");
        w.virsh("memtune tunemem --live")
            .fails_with(&["domain is not running"]);
        w.virsh("start tunemem").ok();
        let limit = group(w, "tunemem", "memory.limit_in_bytes").unwrap();
        assert_eq!(limit, "524288000", "the limit of the definition");
        w.virsh("memtune tunemem --hard-limit 600000 --soft-limit 300000 --live")
            .ok();
        w.virsh("memtune tunemem --swap-hard-limit 700000 --live --config")
            .ok();
        assert_eq!(group(w, "tunemem", "memory.limit_in_bytes").unwrap(), "614400000");
        let live = w.virsh("memtune tunemem");
        for (name, limit) in [
            ("hard_limit", "600000"),
            ("soft_limit", "300000"),
            ("swap_hard_limit", "700000"),
        ] {
            assert_eq!(value(live.ok(), name), limit);
        }
        let config = w.virsh("memtune tunemem --config");
        for (name, limit) in [
            ("hard_limit", "512000"),
            ("soft_limit", "unlimited"),
            ("swap_hard_limit", "700000"),
        ] {
            assert_eq!(value(config.ok(), name), limit);
        }
        w.virsh("memtune tunemem --hard-limit 800000 --live")
            .fails_with(&["memory hard_limit tunable value must be lower than or equal to swap_hard_limit"]);
        w.virsh("memtune tunemem --min-guarantee 5")
            .fails_with(&["argument unsupported: parameter 'min_guarantee' not supported"]);
        // Less than it has already.
        w.virsh("memtune tunemem --hard-limit 10 --live")
            .fails_with(&["memory.limit_in_bytes", "busy"]);
        let xml = w.virsh("dumpxml tunemem");
        assert!(
            xml.ok().contains("<hard_limit unit='KiB'>600000</hard_limit>"),
            "{}",
            xml.out
        );
        // What holds is known to the next daemon.
        w.daemon_kill();
        w.daemon_start();
        assert_eq!(w.virsh("dumpxml tunemem").ok(), xml.ok());
        assert_eq!(shown(w, "memtune tunemem", "hard_limit"), "600000");
        w.virsh("memtune tunemem --hard-limit -1 --swap-hard-limit -1 --soft-limit -1")
            .ok();
        assert_eq!(shown(w, "memtune tunemem", "hard_limit"), "unlimited");
        w.virsh("destroy tunemem").ok();
    });
}

#[test]
fn processors_are_shared_live_and_in_the_definition() {
    in_world(NEEDS, |w| {
        if !controllers(w, "cpu") {
            return;
        }
        w.daemon_start();
        let tune =
            "<cputune><shares>512</shares><global_quota>80000</global_quota><quota>60000</quota></cputune>";
        define(w, "tunecpu", tune);
        let config = "schedinfo tunecpu --config";
        assert_eq!(shown(w, config, "Scheduler"), "posix");
        assert_eq!(shown(w, config, "cpu_shares"), "512");
        assert_eq!(shown(w, config, "vcpu_period"), "0");
        w.virsh("start tunecpu").ok();
        let shares = group(w, "tunecpu", "cpu.shares").unwrap();
        assert_eq!(shares, "512");
        assert_eq!(group(w, "tunecpu", "cpu.cfs_quota_us").unwrap(), "80000");
        let vcpu = |file: &str| group(w, "tunecpu", &format!("libvirt/vcpu0/{file}")).unwrap();
        assert_eq!(vcpu("cpu.cfs_quota_us"), "60000");
        let live = w.virsh("schedinfo tunecpu");
        for (name, expected) in [
            ("cpu_shares", "512"),
            ("vcpu_period", "100000"),
            ("vcpu_quota", "60000"),
            ("emulator_quota", "-1"),
            ("global_quota", "80000"),
        ] {
            assert_eq!(value(live.ok(), name), expected, "{name}");
        }
        w.virsh_args(&[
            "schedinfo",
            "tunecpu",
            "--live",
            "--config",
            "--set",
            "cpu_shares=3000",
            "vcpu_quota=20000",
        ])
        .ok();
        w.virsh("schedinfo tunecpu --live --set emulator_period=50000")
            .ok();
        assert_eq!(group(w, "tunecpu", "cpu.shares").unwrap(), "3000");
        assert_eq!(vcpu("cpu.cfs_quota_us"), "20000");
        assert_eq!(
            group(w, "tunecpu", "libvirt/emulator/cpu.cfs_period_us").unwrap(),
            "50000"
        );
        assert_eq!(shown(w, config, "cpu_shares"), "3000");
        assert_eq!(shown(w, config, "emulator_period"), "0");
        w.virsh("schedinfo tunecpu --set vcpu_period=5")
            .fails_with(&["value of 'vcpu_period' is out of range [1000, 1000000]"]);
        w.virsh("schedinfo tunecpu --set cpu_shares=1 --live")
            .fails_with(&["invalid argument: shares '1' must be in range [2, 262144]"]);
        // A processor cannot have more than the whole guest, and a refusal changes nothing.
        w.virsh("schedinfo tunecpu --live --config --set vcpu_quota=90000")
            .fails_with(&["cpu.cfs_quota_us"]);
        assert_eq!(vcpu("cpu.cfs_quota_us"), "20000");
        assert_eq!(shown(w, config, "vcpu_quota"), "20000");
        w.virsh_args(&[
            "schedinfo",
            "tunecpu",
            "--live",
            "--set",
            "global_quota=-1",
            "vcpu_quota=90000",
        ])
        .ok();
        assert_eq!(vcpu("cpu.cfs_quota_us"), "90000");
        w.virsh("destroy tunecpu").ok();
    });
}

#[test]
fn block_devices_are_shared_live_and_in_the_definition() {
    in_world(NEEDS, |w| {
        if !controllers(w, "blkio") {
            return;
        }
        w.daemon_start();
        define(w, "tuneblk", "<blkiotune><weight>300</weight></blkiotune>");
        assert_eq!(shown(w, "blkiotune tuneblk", "weight"), "300");
        w.virsh("blkiotune tuneblk --device-weights nonsense --config")
            .fails_with(&["unable to parse blkio device 'device_weight' 'nonsense'"]);
        w.virsh("blkiotune tuneblk --device-read-iops-sec /dev/nosuch,10 --config")
            .ok();
        assert_eq!(
            shown(w, "blkiotune tuneblk", "device_read_iops_sec"),
            "/dev/nosuch,10"
        );
        w.virsh("blkiotune tuneblk --device-read-iops-sec /dev/nosuch,0 --config")
            .ok();
        w.virsh("start tuneblk").ok();
        let weight = group(w, "tuneblk", "blkio*.weight").unwrap();
        assert_eq!(weight, "300");
        w.virsh("blkiotune tuneblk --weight 500 --live").ok();
        assert_eq!(group(w, "tuneblk", "blkio*.weight").unwrap(), "500");
        assert_eq!(shown(w, "blkiotune tuneblk", "weight"), "500");
        assert_eq!(shown(w, "blkiotune tuneblk --config", "weight"), "300");
        w.virsh("blkiotune tuneblk --device-read-iops-sec /dev/nosuch,10 --live")
            .fails_with(&["Path '/dev/nosuch' is not accessible: No such file or directory"]);
        w.virsh("blkiotune tuneblk --weight 5000 --live")
            .fails_with(&["weight': Numerical result out of range"]);
        assert_eq!(shown(w, "blkiotune tuneblk", "weight"), "500");
        w.virsh("destroy tuneblk").ok();
    });
}

#[test]
fn memory_and_processors_change_where_they_can() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        define(w, "g", "");
        w.virsh("setmaxmem g 65536 --config").ok();
        w.virsh("setmem g 40000 --config").ok();
        w.virsh("setmem g 99999 --config")
            .fails_with(&["cannot set memory higher than max memory"]);
        let xml = w.virsh("dumpxml g");
        assert!(
            xml.ok().contains("<memory unit='KiB'>65536</memory>"),
            "{}",
            xml.out
        );
        assert!(
            xml.ok()
                .contains("<currentMemory unit='KiB'>40000</currentMemory>"),
            "{}",
            xml.out
        );
        w.virsh("setvcpus g 1 --config").ok();
        w.virsh("setvcpus g 3 --config")
            .fails_with(&["requested vcpus is greater than max allowable vcpus"]);
        w.virsh("setvcpus g 3 --config --maximum").ok();
        assert_eq!(w.virsh("vcpucount g --maximum --config").ok().trim(), "3");
        assert_eq!(w.virsh("vcpucount g --current --config").ok().trim(), "1");
        w.virsh("vcpucount g --live")
            .fails_with(&["domain is not running"]);
        w.virsh("start g").ok();
        w.virsh("setmaxmem g 131072 --live")
            .fails_with(&["cannot resize the maximum memory on an active domain"]);
        w.virsh("setmem g 32768 --live")
            .fails_with(&["without the balloon device"]);
        w.virsh("setvcpus g 2 --live").fails_with(&["cannot be changed"]);
        w.virsh("vcpucount g --guest")
            .fails_with(&["QEMU guest agent is not configured"]);
        assert_eq!(w.virsh("vcpucount g --current --live").ok().trim(), "1");
        w.virsh("destroy g").ok();
    });
}

#[test]
fn what_cannot_be_is_refused_where_it_is_defined() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        for (more, text) in [
            (
                "<memtune><min_guarantee>5</min_guarantee></memtune>",
                "Parameter 'min_guarantee' not supported by QEMU.",
            ),
            (
                "<cputune><period>5</period></cputune>",
                "Value of cputune 'period' must be in range [1000, 1000000]",
            ),
            (
                "<blkiotune><device><path>/a</path></device><device><path>/a</path></device></blkiotune>",
                "duplicate blkio device path '/a'",
            ),
        ] {
            let xml = Guest::new("g")
                .xml()
                .replace("<vcpu>1</vcpu>", &format!("{more}<vcpu>1</vcpu>"));
            let path = w.file("g.xml", &xml);
            w.virsh_args(&["define", &path.display().to_string()])
                .fails_with(&[text]);
        }
    });
}

#[test]
fn a_guest_is_in_the_partition_that_it_names() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        define(
            w,
            "elsewhere",
            "<resource><partition>desktops</partition></resource>",
        );
        w.virsh("start elsewhere")
            .fails_with(&["Resource partition 'desktops' must start with '/'"]);
        define(
            w,
            "placed",
            "<resource><partition>/machine/desktops</partition></resource>",
        );
        if !controllers(w, "memory") {
            return;
        }
        w.virsh("start placed").ok();
        let slice = "/sys/fs/cgroup/memory/machine.slice/machine-desktops.slice";
        let pid = w.qemu_pid("placed").unwrap().to_string();
        let members = w.sh(&format!("cat {slice}/machine-qemu*placed.scope/cgroup.procs {slice}/machine-qemu*placed.scope/*/cgroup.procs"));
        assert!(
            members.lines().any(|member| member == pid),
            "{pid} is not in {members}"
        );
        assert!(
            w.virsh("dumpxml placed")
                .ok()
                .contains("<partition>/machine/desktops</partition>")
        );
        w.daemon_kill();
        w.daemon_start();
        w.virsh("destroy placed").ok();
        assert!(!w.succeeds(&format!("ls -d {slice}/machine-qemu*placed.scope")));
    });
}
