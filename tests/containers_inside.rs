//! What is asked and told of containers that run: limits, figures, metadata, namespaces; and whole systems in them.

use std::time::Duration;

use ferrovirt_tests::containers::{LXC, SHIFT};
use ferrovirt_tests::{Container, Net, Tool, World, in_world};

use crate::console::Session;

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Busybox, Tool::Cgroups];
const NETWORKS: &[Tool] = &[
    Tool::Virsh,
    Tool::Busybox,
    Tool::Cgroups,
    Tool::Dnsmasq,
    Tool::Nft,
];
const MAC: &str = "52:54:00:00:00:91";

fn started(w: &World, container: &Container) {
    w.daemon_start();
    w.define_container(container);
    w.start_container("c1");
}

/// `NAME : VALUE` among the lines of a command.
#[track_caller]
fn shown(w: &World, line: &str, name: &str) -> String {
    let output = w.lxc(line);
    let mut values = output.ok().lines().filter_map(|line| line.split_once(':'));
    let found = values.find(|(key, _)| key.trim() == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {}", output.out))
        .1
        .trim()
        .to_owned()
}

/// The value of a figure of `virsh domstats`.
fn figure(w: &World, name: &str) -> Option<u64> {
    let stats = w.lxc("domstats c1");
    let line = stats
        .ok()
        .lines()
        .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
    line.map(|value| value.parse().unwrap())
}

#[test]
fn limits_hold_live_and_in_the_definition() {
    in_world(NEEDS, |w| {
        started(
            w,
            &Container::new("c1")
                .element("<memtune><soft_limit unit='MiB'>48</soft_limit></memtune>")
                .element("<cputune><shares>512</shares><period>50000</period><quota>20000</quota></cputune>"),
        );
        let group = |file: &str| w.group_of("c1", file).unwrap_or_else(|| panic!("no {file}"));
        if w.group_of("c1", "memory.limit_in_bytes").is_none() {
            println!("note: this machine has no control groups of version 1");
            return;
        }
        // The document's size is the limit of a container that names no other.
        assert_eq!(group("memory.limit_in_bytes"), "67108864");
        assert_eq!(group("memory.soft_limit_in_bytes"), "50331648");
        assert_eq!(group("cpu.shares"), "512");
        assert_eq!(group("cpu.cfs_quota_us"), "20000");
        w.lxc("memtune c1 --hard-limit 100000 --live --config").ok();
        assert_eq!(group("memory.limit_in_bytes"), "102400000");
        assert_eq!(shown(w, "memtune c1 --config", "hard_limit"), "100000");
        assert_eq!(shown(w, "memtune c1 --live", "soft_limit"), "49152");
        w.lxc("memtune c1 --soft-limit 50000 --config").ok();
        assert_eq!(
            group("memory.soft_limit_in_bytes"),
            "50331648",
            "not the one that runs"
        );
        w.lxc("memtune c1 --hard-limit 10 --live")
            .fails_with(&["memory.limit_in_bytes"]);
        w.lxc_args(&[
            "schedinfo",
            "c1",
            "--live",
            "--set",
            "cpu_shares=2000",
            "vcpu_quota=30000",
        ])
        .ok();
        assert_eq!(group("cpu.shares"), "2000");
        assert_eq!(group("cpu.cfs_quota_us"), "30000");
        assert_eq!(shown(w, "schedinfo c1", "cpu_shares"), "2000");
        assert_eq!(shown(w, "schedinfo c1 --config", "cpu_shares"), "512");
        w.lxc("schedinfo c1 --config --set cpu_shares=700").ok();
        w.lxc("blkiotune c1 --weight 700 --live --config").ok();
        assert_eq!(group("blkio*.weight"), "700");
        assert_eq!(shown(w, "blkiotune c1 --config", "weight"), "700");
        w.lxc("blkiotune c1 --weight 5000 --live").fails_with(&["weight"]);
        w.lxc("destroy c1").ok();
        w.start_container("c1");
        assert_eq!(group("cpu.shares"), "700");
        assert_eq!(group("memory.limit_in_bytes"), "102400000");
        assert_eq!(group("memory.soft_limit_in_bytes"), "51200000");
        assert_eq!(group("blkio*.weight"), "700");
        // What it sees inside is what it may use.
        let seen = w.lxc("lxc-enter-namespace c1 --noseclabel /bin/head -n 1 /proc/meminfo");
        assert_eq!(seen.ok().trim(), "MemTotal:         100000 kB");
    });
}

#[test]
fn more_memory_than_its_limit_ends_the_process_that_wants_it() {
    in_world(NEEDS, |w| {
        started(
            w,
            &Container::new("c1").script(
                "echo ready > /ready; sleep 1; tail /dev/zero; echo status $? > /after; while :; do sleep 0.1; done",
            ),
        );
        if w.group_of("c1", "memory.limit_in_bytes").is_none() {
            return;
        }
        w.wait_text(w.root_of("c1").join("after"), "status 137", 60);
        assert_eq!(w.lxc("domstate c1").ok().trim(), "running");
    });
}

#[test]
fn figures_are_those_of_its_group() {
    in_world(NEEDS, |w| {
        started(
            w,
            &Container::new("c1").script("echo ready > /ready; while :; do :; done"),
        );
        let before = figure(w, "cpu.time").unwrap();
        w.wait_for("its processor time", Duration::from_secs(20), || {
            figure(w, "cpu.time").unwrap() > before + 50_000_000
        });
        assert_eq!(figure(w, "state.state"), Some(1));
        assert_eq!(figure(w, "vcpu.current"), Some(1));
        assert!(figure(w, "balloon.current").unwrap() < 65_536);
        let info = w.lxc("dominfo c1");
        assert!(info.ok().contains("CPU time:"), "{}", info.out);
        w.lxc("destroy c1").ok();
        assert_eq!(figure(w, "state.state"), Some(5));
    });
}

#[test]
fn metadata_title_and_description_are_kept() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define_container(&Container::new("c1"));
        w.lxc("desc c1 --title --new-desc Web --config").ok();
        assert_eq!(w.lxc("desc c1 --title").ok().trim(), "Web");
        w.start_container("c1");
        w.lxc_args(&[
            "metadata",
            "c1",
            "http://e.org/1",
            "--key",
            "k",
            "--set",
            "<a b='1'/>",
            "--live",
            "--config",
        ])
        .ok();
        w.daemon_kill();
        w.daemon_start();
        for line in ["--live", "--config"] {
            let got = w.lxc(&format!("metadata c1 http://e.org/1 {line}"));
            assert_eq!(got.ok().trim().replace('"', "'"), "<a b='1'/>");
        }
        w.lxc("metadata c1 http://e.org/1 --remove --config").ok();
        let gone = w.lxc("metadata c1 http://e.org/1 --config");
        assert_eq!(
            gone.out.trim(),
            "",
            "virsh itself succeeds with a definition that has none"
        );
        w.lxc("metadata c1 http://e.org/1 --live").ok();
    });
}

#[test]
fn its_namespaces_can_be_entered() {
    in_world(NEEDS, |w| {
        started(
            w,
            &Container::new("c1").element("<features><privnet/></features>"),
        );
        let enter = |command: &str| w.lxc(&format!("lxc-enter-namespace c1 --noseclabel {command}"));
        let listed = enter("/bin/ls /");
        assert!(listed.ok().lines().any(|line| line == "ready"), "{}", listed.out);
        assert_eq!(enter("/bin/hostname").ok().trim(), "c1");
        assert_eq!(enter("/bin/id -u").ok().trim(), "0");
        assert_eq!(enter("/bin/ls /sys/class/net").ok().trim(), "lo");
        enter("/bin/touch /made").ok();
        assert!(w.root_of("c1").join("made").exists());
        assert_ne!(enter("/bin/false").code, 0);
        w.lxc("destroy c1").ok();
        enter("/bin/true").fails_with(&["omain is not running"]);
        // With users of its own, whoever enters is nobody there, unless he becomes somebody.
        w.define_container(&Container::new("c1").own_users());
        w.start_container("c1");
        let listed = enter("/bin/ls /");
        assert!(listed.ok().lines().any(|line| line == "ready"), "{}", listed.out);
        assert_eq!(enter("/bin/id -u").ok().trim(), "65534");
        // A guest of the other driver has none to be entered.
        w.virsh("lxc-enter-namespace c1 --noseclabel /bin/true")
            .fails_with(&["c1"]);
    });
}

/// Busybox' init with a shell on the console, as a distribution would have it.
const INITTAB: &str = "::sysinit:/etc/rc\nconsole::respawn:/bin/sh\n::shutdown:/bin/touch /down\n";
const RC: &str = "#!/bin/sh
mount -t tmpfs tmpfs /tmp
ip link set lo up
udhcpc -i eth0 -n -q -t 20 -T 1 -s /etc/udhcpc -x hostname:c1 > /dhcp 2>&1
id -u > /who
echo ready > /ready
";
const UDHCPC: &str = "#!/bin/sh
[ \"$1\" = bound ] || exit 0
ip addr add $ip/24 dev $interface
ip link set $interface up
ip route add default via $router
echo $ip > /address
";

fn write_system(w: &World) {
    let etc = w.root_of("c1").join("etc");
    for (name, text) in [("inittab", INITTAB), ("rc", RC), ("udhcpc", UDHCPC)] {
        w.file("part", text);
        w.sh(&format!(
            "cp part {0}/{name}; chmod 755 {0}/{name}; chown {SHIFT}:{SHIFT} {0}/{name}",
            etc.display()
        ));
    }
}

#[test]
fn a_whole_system_boots_gets_a_lease_and_powers_itself_off() {
    in_world(NETWORKS, |w| {
        w.record(&["lxc", "network"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 171));
        let container = Container::new("c1")
            .own_users()
            .init("/sbin/init")
            .on_network("n", MAC);
        w.define_container(&container);
        write_system(w);
        w.forget_calls();
        w.start_container("c1");
        w.assert_calls(&[
            "lxc c1 prepare begin -",
            "network n port-created begin -",
            "lxc c1 start begin -",
            "lxc c1 started begin -",
        ]);
        let address = w.read(w.root_of("c1").join("address"));
        assert!(
            address.starts_with("192.168.171."),
            "{address}: {}",
            w.read(w.root_of("c1").join("dhcp"))
        );
        w.sh(&format!("busybox ping -c 1 -W 5 {address}"));
        let leases = w.virsh("net-dhcp-leases n");
        assert!(
            leases.ok().contains(MAC) && leases.out.contains(address.trim()),
            "{}",
            leases.out
        );
        let told = w.lxc("domifaddr c1 --source lease");
        assert!(told.ok().contains(address.trim()), "{}", told.out);
        let cards = w.lxc("domiflist c1");
        assert!(
            cards.ok().contains("vnet0") && cards.out.contains(MAC),
            "{}",
            cards.out
        );
        assert!(figure(w, "net.0.rx.pkts").unwrap() > 0);
        // Its root is nobody here.
        assert_eq!(w.read(w.root_of("c1").join("who")).trim(), "0");
        let init = w.init_pid("c1").unwrap();
        assert_eq!(
            w.sh(&format!(
                "stat -c '%u %g' /run/world/c1.root/who; stat -c %u /proc/{init}"
            )),
            format!("{SHIFT} {SHIFT}\n{SHIFT}\n")
        );
        // Whoever sits at the console powers it off.
        w.forget_calls();
        let mut session = Session::start_at(w, LXC, "one", "c1");
        session.shows(w, "Connected to domain 'c1'");
        session.types("\r");
        session.shows(w, "#");
        session.types("echo it-is-$((40+2))\r");
        session.shows(w, "it-is-42");
        session.types("poweroff\r");
        w.wait_ended("lxc c1 release end shutdown");
        session.ends(w);
        w.assert_calls(&[
            "lxc c1 stopped end -",
            "network n port-deleted begin -",
            "lxc c1 release end shutdown",
        ]);
        assert!(
            w.root_of("c1").join("down").exists(),
            "its init ended it in order"
        );
        assert_eq!(w.left_of_containers(), Vec::<String>::new());
        assert_eq!(w.lxc("domstate c1 --reason").ok().trim(), "shut off (shutdown)");
    });
}
