//! Memory, NUMA nodes, I/O threads and pins of QEMU's guests: their effect on the command line, on threads and on files.

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

/// Defines a guest with other elements in place of its memory and CPUs.
fn define(w: &World, name: &str, machine: &str, devices: &str) {
    let xml = Guest::new(name).device(devices).xml();
    let from = xml.find("<memory").unwrap();
    let to = xml.find("</vcpu>").unwrap() + "</vcpu>".len();
    let xml = format!("{}{machine}{}", &xml[..from], &xml[to..]);
    let path = w.file(&format!("{name}.xml"), &xml);
    w.virsh_args(&["define", &path.display().to_string()]).ok();
}

fn pid(w: &World, name: &str) -> String {
    w.sh(&format!("cat /run/libvirt/qemu/{name}.pid"))
        .trim()
        .to_owned()
}

/// The arguments of a guest's process, a line each.
fn arguments(w: &World, name: &str) -> String {
    w.sh(&format!("tr '\\0' '\\n' < /proc/{}/cmdline", pid(w, name)))
}

/// A line of the kernel about the thread of this name.
fn of_thread(w: &World, name: &str, thread: &str, file: &str, line: &str) -> String {
    let pid = pid(w, name);
    let text = w.sh(&format!(
        "cd /proc/{pid}/task && for t in *; do case \"$(cat $t/comm)\" in '{thread}'*) grep '{line}' $t/{file};; esac; done"
    ));
    let first = text.lines().next().unwrap_or_default();
    first.split_once(':').unwrap_or_default().1.trim().to_owned()
}

#[test]
fn threads_run_where_the_document_wants_them() {
    in_world(NEEDS, |w| threads(w, false));
}

#[test]
fn threads_run_where_the_document_wants_them_by_control_groups_too() {
    in_world(NEEDS, |w| {
        let mounted = w.succeeds(
            "mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/cpuset && \
             mount -t cgroup -o cpuset cgroup /sys/fs/cgroup/cpuset",
        );
        match mounted {
            true => threads(w, true),
            false => println!("note: this machine has no cpusets of version 1"),
        }
    });
}

fn threads(w: &World, groups: bool) {
    w.daemon_start();
    let machine = "<memory>65536</memory><vcpu cpuset='0-1'>2</vcpu><iothreads>2</iothreads>\
                       <iothreadids><iothread id='7' thread_pool_max='8'/></iothreadids>\
                       <defaultiothread thread_pool_max='16'/><cputune><vcpupin vcpu='0' cpuset='0'/>\
                       <vcpupin vcpu='1' cpuset='1'/><emulatorpin cpuset='1'/><iothreadpin iothread='7' cpuset='0'/>\
                       <vcpusched vcpus='1' scheduler='batch'/></cputune>\
                       <numatune><memory mode='strict' nodeset='0'/></numatune>";
    define(w, "pinned", machine, "");
    w.virsh("start pinned").ok();
    let arguments = arguments(w, "pinned");
    for words in [
        r#"{"qom-type":"iothread","id":"iothread7","thread-pool-max":8}"#,
        r#"{"qom-type":"iothread","id":"iothread1"}"#,
        r#"{"qom-type":"main-loop","id":"main-loop","thread-pool-max":16}"#,
        r#""host-nodes":[0],"policy":"bind""#,
    ] {
        assert!(arguments.contains(words), "{words} in {arguments}");
    }
    let allowed = |thread: &str| of_thread(w, "pinned", thread, "status", "Cpus_allowed_list");
    assert_eq!(allowed("CPU 0/"), "0");
    assert_eq!(allowed("CPU 1/"), "1");
    assert_eq!(allowed("qemu-system-x86"), "1");
    assert_eq!(allowed("IO iothread7"), "0");
    assert_eq!(allowed("IO iothread1"), "0-1");
    // SCHED_BATCH is 3.
    assert_eq!(of_thread(w, "pinned", "CPU 1/", "sched", "^policy"), "3");
    assert_eq!(of_thread(w, "pinned", "CPU 0/", "sched", "^policy"), "0");
    if groups {
        let group = |part: &str| {
            w.sh(&format!(
                "cat /sys/fs/cgroup/cpuset/machine.slice/*pinned.scope/libvirt/{part}"
            ))
            .trim()
            .to_owned()
        };
        assert_eq!(group("vcpu1/cpuset.cpus"), "1");
        assert_eq!(group("emulator/cpuset.cpus"), "1");
        assert_eq!(group("iothread7/cpuset.cpus"), "0");
        assert_eq!(group("iothread7/cpuset.mems"), "0");
    }
    let shown = w.virsh("dumpxml pinned").ok().to_owned();
    assert!(shown.contains("<iothread id='1'/>"), "{shown}");
    w.virsh("destroy pinned").ok();
}

#[test]
fn nodes_modules_and_files_of_memory() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let machine = "<maxMemory slots='4' unit='MiB'>512</maxMemory><memoryBacking><source type='file'/>\
                       <access mode='shared'/><discard/></memoryBacking><vcpu>2</vcpu><cpu><numa>\
                       <cell id='0' cpus='0' memory='32' unit='MiB'><distances><sibling id='1' value='15'/></distances></cell>\
                       <cell id='1' cpus='1' memory='32' unit='MiB'/></numa></cpu>";
        let module =
            "<memory model='dimm'><target><size unit='MiB'>32</size><node>1</node></target></memory>";
        define(w, "noded", machine, module);
        w.virsh("start noded").ok();
        let arguments = arguments(w, "noded");
        for words in [
            "size=65536k,slots=4,maxmem=524288k",
            "mem-lock=off",
            "node,nodeid=1,cpus=1,memdev=ram-node1",
            "dist,src=0,dst=1,val=15",
            "dist,src=1,dst=0,val=15",
            r#""driver":"pc-dimm","node":1,"memdev":"memdimm0","id":"dimm0","slot":0"#,
            r#""discard-data":true,"share":true"#,
        ] {
            assert!(arguments.contains(words), "{words} in {arguments}");
        }
        assert!(!arguments.contains("memory-backend=pc.ram"), "{arguments}");
        let files = w.sh("ls /var/lib/libvirt/qemu/ram/*noded");
        assert!(files.contains("ram-node0") && files.contains("dimm0"), "{files}");
        let shown = w.virsh("dumpxml noded").ok().to_owned();
        assert!(shown.contains("<memory unit='KiB'>98304</memory>"), "{shown}");
        assert!(shown.contains("<alias name='dimm0'/>"), "{shown}");
        w.virsh("destroy noded").ok();
        assert_eq!(w.sh("ls /var/lib/libvirt/qemu/ram").trim(), "");
    });
}

#[test]
fn locked_memory_has_no_limit() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let machine =
            "<memory>65536</memory><memoryBacking><nosharepages/><locked/></memoryBacking><vcpu>1</vcpu>";
        define(w, "locked", machine, "");
        // A machine that forbids even root to lock memory refuses the start.
        if !w.succeeds("ulimit -l unlimited") {
            w.virsh("start locked").fails_with(&["RLIMIT_MEMLOCK"]);
            return;
        }
        w.virsh("start locked").ok();
        let arguments = arguments(w, "locked");
        assert!(
            arguments.contains("mem-lock=on") && arguments.contains("mem-merge=off"),
            "{arguments}"
        );
        let limits = w.sh(&format!(
            "grep 'Max locked memory' /proc/{}/limits",
            pid(w, "locked")
        ));
        assert_eq!(limits.matches("unlimited").count(), 2, "{limits}");
        w.virsh("destroy locked").ok();
    });
}

#[test]
fn what_this_host_does_not_have_is_refused_at_the_start() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let cases = [
            (
                "far",
                "<memory>65536</memory><vcpu>1</vcpu><numatune><memory nodeset='63'/></numatune>",
                "NUMA node 63 is unavailable",
            ),
            (
                "huge",
                "<memory>65536</memory><memoryBacking><hugepages/></memoryBacking><vcpu>1</vcpu>",
                "hugetlbfs",
            ),
            (
                "advice",
                "<memory>65536</memory><vcpu placement='auto'>1</vcpu>",
                "numad",
            ),
        ];
        for (name, machine, words) in cases {
            define(w, name, machine, "");
            w.virsh(&format!("start {name}")).fails_with(&[words]);
            assert_eq!(
                w.sh("ls /var/lib/libvirt/qemu/ram 2>/dev/null || true").trim(),
                ""
            );
        }
    });
}
