//! Figures of guests, as `virsh domstats` shows them: of real QEMUs, of guests that are off, and beside one that hangs.

use std::collections::BTreeMap;
use std::time::Duration;

use ferrovirt_tests::{Guest, Net, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const IMAGES: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::QemuImg];
const ALL: &[Tool] = &[
    Tool::Virsh,
    Tool::Qemu,
    Tool::QemuImg,
    Tool::Dnsmasq,
    Tool::Nft,
    Tool::Linux,
];
const MAC: &str = "52:54:00:00:00:71";
const MIB: u64 = 1024 * 1024;

/// The figures of each guest by their names.
type Records = BTreeMap<String, BTreeMap<String, String>>;

fn records(text: &str) -> Records {
    let mut records = Records::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Domain: '") {
            current = name.trim_end_matches('\'').to_owned();
            records.insert(current.clone(), BTreeMap::new());
        } else if let Some((field, value)) = line.trim().split_once('=') {
            let record = records.get_mut(&current).unwrap();
            let before = record.insert(field.to_owned(), value.to_owned());
            assert_eq!(before, None, "{field} twice in {text}");
        }
    }
    records
}

fn stats(w: &World, words: &str) -> Records {
    records(w.virsh(&format!("domstats {words}")).ok())
}

/// A figure of one guest.
fn figure(records: &Records, guest: &str, field: &str) -> u64 {
    let value = records.get(guest).and_then(|record| record.get(field));
    let value = value.unwrap_or_else(|| panic!("no {field} of {guest} in {records:#?}"));
    value.parse().unwrap()
}

fn disk(file: &str, format: &str, target: &str) -> String {
    format!(
        "<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='/run/world/{file}'/>\
         <target dev='{target}' bus='virtio'/></disk>"
    )
}

fn cdrom(source: &str, target: &str) -> String {
    format!(
        "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>{source}\
         <target dev='{target}' bus='ide'/><readonly/></disk>"
    )
}

/// Images, and a guest with them on the network `n`.
fn with_devices(w: &World, name: &str) -> Guest {
    w.sh("qemu-img create -q -f qcow2 base.qcow2 24M
          qemu-img create -q -f qcow2 -b /run/world/base.qcow2 -F qcow2 top.qcow2
          truncate -s 5M raw.img
          head -c 300K /dev/urandom > disc.iso");
    Guest::new(name)
        .device(&disk("top.qcow2", "qcow2", "vda"))
        .device(&disk("raw.img", "raw", "vdb"))
        .device(&cdrom("<source file='/run/world/disc.iso'/>", "hda"))
        .device(&cdrom("", "hdc"))
        .on_network("n", MAC)
}

#[test]
fn figures_of_a_running_guest_are_true_and_grow() {
    in_world(ALL, |w| {
        w.daemon_start();
        w.net_up(&Net::new("n", 171));
        let guest = with_devices(w, "web1").linux("");
        w.define(&guest);
        w.virsh("start web1").ok();
        w.wait_text("web1.serial", "GUEST-IP 192.168.171.", 90);
        let first = stats(w, "web1");
        let of = |field: &str| figure(&first, "web1", field);
        assert_eq!((of("state.state"), of("state.reason")), (1, 1));
        assert!(of("cpu.user") > 0 && of("cpu.time") >= of("cpu.user"));
        assert_eq!(of("balloon.current"), 96 * 1024);
        assert_eq!(of("balloon.maximum"), 96 * 1024);
        assert!(of("balloon.rss") > 1024);
        assert_eq!(
            (of("vcpu.current"), of("vcpu.maximum"), of("vcpu.0.state")),
            (1, 1, 1)
        );
        assert!(of("vcpu.0.time") > 0);
        assert_eq!(of("net.count"), 1);
        assert_eq!(first["web1"]["net.0.name"], "vnet0");
        // It has asked for its address and got it: both ways, each as the guest sees it.
        for field in ["net.0.tx.bytes", "net.0.rx.bytes", "net.0.tx.pkts"] {
            assert!(of(field) > 0, "{field}");
        }
        assert_eq!(of("block.count"), 4);
        assert_eq!(first["web1"]["block.0.path"], "/run/world/top.qcow2");
        assert_eq!(of("block.0.capacity"), 24 * MIB);
        assert_eq!(of("block.1.capacity"), 5 * MIB);
        assert_eq!(of("block.2.physical"), 300 * 1024);
        assert!(of("block.0.rd.reqs") > 0 && of("block.0.rd.bytes") > 0);
        assert!(!first["web1"].contains_key("block.3.path"));
        assert_eq!(first["web1"]["dirtyrate.calc_mode"], "page-sampling");
        w.wait_for("more processor time", Duration::from_secs(60), || {
            figure(&stats(w, "web1 --cpu-total"), "web1", "cpu.time") > of("cpu.time")
        });
        let chain = stats(w, "--block --backing web1");
        assert_eq!(figure(&chain, "web1", "block.count"), 5);
        assert_eq!(chain["web1"]["block.1.path"], "/run/world/base.qcow2");
        assert_eq!(chain["web1"]["block.1.name"], "vda");
        // A paused guest tells as much.
        w.virsh("suspend web1").ok();
        let paused = stats(w, "web1");
        assert_eq!(figure(&paused, "web1", "state.state"), 3);
        assert_eq!(
            paused["web1"].keys().collect::<Vec<_>>(),
            first["web1"].keys().collect::<Vec<_>>()
        );
    });
}

#[test]
fn a_guest_that_is_off_has_the_figures_of_its_definition() {
    in_world(IMAGES, |w| {
        w.daemon_start();
        w.define(&with_devices(w, "g"));
        let told = stats(w, "");
        let of = |field: &str| figure(&told, "g", field);
        assert_eq!(of("state.state"), 5);
        assert_eq!(
            (of("balloon.current"), of("balloon.maximum")),
            (32 * 1024, 32 * 1024)
        );
        assert_eq!((of("vcpu.current"), of("vcpu.maximum")), (1, 1));
        assert_eq!(of("block.count"), 4);
        assert_eq!(of("block.0.capacity"), 24 * MIB);
        assert_eq!(
            (of("block.1.capacity"), of("block.1.physical")),
            (5 * MIB, 5 * MIB)
        );
        assert_eq!(told["g"]["block.3.name"], "hdc");
        for field in [
            "cpu.time",
            "net.count",
            "vcpu.0.state",
            "block.0.rd.reqs",
            "block.3.path",
        ] {
            assert!(!told["g"].contains_key(field), "{field}");
        }
        // Who is missing is no error.
        w.sh("rm top.qcow2");
        let told = stats(w, "--block g");
        assert_eq!(told["g"]["block.0.path"], "/run/world/top.qcow2");
        assert!(!told["g"].contains_key("block.0.capacity"));
    });
}

#[test]
fn r90_a_qemu_that_hangs_is_left_out_and_holds_nobody_up() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        for name in ["a", "b", "c"] {
            w.define(&Guest::new(name));
        }
        w.virsh("start a").ok();
        w.virsh("start b").ok();
        let pid = w.qemu_pid("a").expect("QEMU runs");
        // Threads are known from the first time on.
        assert_eq!(figure(&stats(w, "a --vcpu"), "a", "vcpu.0.state"), 1);
        w.signal(pid, "STOP");
        for words in ["", "--nowait", "a b c"] {
            let output = w.virsh(&format!("domstats {words}"));
            let told = records(output.within(Duration::from_secs(30)).ok());
            assert_eq!(told.len(), 3, "{words}");
            assert_eq!(figure(&told, "a", "state.state"), 1);
            assert!(figure(&told, "a", "cpu.time") > 0);
            assert_eq!(figure(&told, "a", "vcpu.0.state"), 1);
            assert!(!told["a"].contains_key("dirtyrate.calc_status"));
            assert_eq!(figure(&told, "b", "dirtyrate.calc_status"), 0);
            assert_eq!(figure(&told, "c", "state.state"), 5);
        }
        w.signal(pid, "CONT");
        w.wait_for("QEMU answers again", Duration::from_secs(60), || {
            stats(w, "a --dirtyrate")["a"].contains_key("dirtyrate.calc_status")
        });
    });
}

#[test]
fn filters_groups_and_refusals() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("on"));
        w.define(&Guest::new("off"));
        w.virsh("start on").ok();
        let names = |words: &str| -> Vec<String> { stats(w, words).into_keys().collect() };
        assert_eq!(names("--state"), ["off", "on"]);
        for (filter, found) in [
            ("active", "on"),
            ("inactive", "off"),
            ("running", "on"),
            ("shutoff", "off"),
        ] {
            assert_eq!(names(&format!("--state --list-{filter}")), [found], "{filter}");
        }
        assert_eq!(names("--list-transient"), Vec::<String>::new());
        assert_eq!(names("--list-inactive on off"), ["off"]);
        let only = stats(w, "--state --vcpu off");
        let fields: Vec<&str> = only["off"].keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            ["state.reason", "state.state", "vcpu.current", "vcpu.maximum"]
        );
        for group in ["perf", "iothread", "memory", "vm"] {
            assert_eq!(stats(w, &format!("--{group} on"))["on"].len(), 0, "{group}");
        }
        stats(w, "--enforce --dirtyrate --vm on");
        w.virsh("domstats --enforce --dirtyrate on off").fails_with(&[
            "argument unsupported: Stats types bits 0x200 are not supported by this daemon or QEMU",
        ]);
        w.virsh("domstats nobody").fails_with(&["nobody"]);
        assert_eq!(
            figure(
                &records(w.virsh("-r domstats on --state").ok()),
                "on",
                "state.state"
            ),
            1
        );
    });
}
