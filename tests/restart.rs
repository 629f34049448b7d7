//! The daemon ends, politely or not, and a new one takes over (R24, R38, R96).

use std::time::{Duration, Instant};

use ferrovirt_tests::made_up::{GPU, hostdev};
use ferrovirt_tests::{Guest, Net, Tool, World, in_world, tools};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const ALL: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft];
const MAC: &str = "52:54:00:00:00:81";
const STEADY_MAC: &str = "52:54:00:00:00:82";

#[test]
fn r38_a_new_daemon_takes_running_guests_over() {
    in_world(ALL, |w| {
        w.record(&["qemu", "network", "daemon"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 161));
        w.define(&Guest::new("g").on_network("n", MAC));
        w.virsh("start g").ok();
        let (pid, before) = (w.qemu_pid("g"), w.virsh("dumpxml g").ok().to_owned());
        for polite in [true, false] {
            w.forget_calls();
            if polite {
                assert_eq!(w.daemon_stop(), 0);
                w.assert_calls(&["daemon - shutdown - shutdown"]);
                w.forget_calls();
            } else {
                w.daemon_kill();
            }
            assert_eq!(w.qemu_pid("g"), pid);
            w.daemon_start();
            w.wait_ended("qemu g reconnect begin -");
            w.assert_calls(&[
                "daemon - start - start",
                "network n port-created begin -",
                "qemu g reconnect begin -",
            ]);
            assert_eq!(w.virsh("list --name").ok().trim(), "g");
            assert_eq!(w.virsh("domid g").ok().trim(), "1");
            assert_eq!(w.virsh("dumpxml g").ok(), before);
        }
        w.virsh("suspend g").ok();
        w.virsh("resume g").ok();
        w.virsh("destroy g").ok();
        assert_eq!(w.taps(), Vec::<String>::new());
        assert!(!w.virsh("net-dumpxml n").ok().contains("connections"));
        w.virsh("start g").ok();
        assert_eq!(w.virsh("domid g").ok().trim(), "2");
    });
}

#[test]
fn r38_a_guest_that_does_not_answer_is_not_given_up() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.define(&Guest::new("h"));
        w.virsh("start g").ok();
        w.virsh("start h").ok();
        let (g, h) = (w.qemu_pid("g").unwrap(), w.qemu_pid("h").unwrap());
        w.daemon_kill();
        // As if its disk was away.
        w.signal(g, "STOP");
        w.signal(h, "STOP");
        w.daemon_start();
        assert!(w.virsh("list --all").ok().contains(" g "));
        w.virsh("destroy h").ok();
        assert_eq!(w.virsh("domstate h").ok().trim(), "shut off");
        assert_eq!(w.qemu_pid("g"), Some(g));
        w.signal(g, "CONT");
        w.wait_for("the guest is taken over", Duration::from_secs(60), || {
            w.virsh("suspend g").code == 0
        });
        assert_eq!(w.qemu_pid("g"), Some(g), "it is the same process");
        w.virsh("destroy g").ok();
    });
}

#[test]
fn r38_a_guest_that_libvirtd_began_keeps_its_devices_and_they_go_back() {
    in_world(NEEDS, |w| {
        w.make_machine(&GPU);
        for lives in [true, false] {
            w.daemon_start();
            w.define(&Guest::new("g"));
            w.virsh("start g").ok();
            let pid = w.qemu_pid("g").expect("QEMU runs");
            w.virsh("nodedev-detach pci_0000_03_00_0").ok();
            w.virsh("nodedev-detach pci_0000_03_00_1").ok();
            w.daemon_kill();
            // What libvirtd would have left: its status file, and nothing of ours. No guest with such a device starts where no more
            // memory may be locked.
            let status = w.read("/run/libvirt/qemu/g.xml");
            let (begin, rest) = status.split_once("  <f:run").expect("our part is there");
            let (_, end) = rest.split_once("</f:run>\n").expect("our part ends");
            let states = "<origstates><unbind/></origstates></source>";
            let cards = GPU.map(|card| hostdev(&card, true).replace("</source>", states));
            let devices = format!("{}</devices>", cards.concat());
            w.file(
                "status.xml",
                &format!("{begin}{}", end.replace("</devices>", &devices)),
            );
            w.sh("cp status.xml /run/libvirt/qemu/g.xml && rm /run/libvirt/host-devices.json");
            if !lives {
                w.signal(pid, "KILL");
                w.wait_for("QEMU is gone", Duration::from_secs(20), || {
                    w.qemu_pid("g").is_none()
                });
            }
            w.daemon_start();
            if lives {
                let devices = w.ferrovirt("devices --json");
                assert!(devices.ok().contains("\"g\""), "{}", devices.out);
                w.virsh("destroy g").ok();
            }
            w.wait_for("the card is the host's", Duration::from_secs(60), || {
                GPU.iter().all(|card| w.driver_of(card.address) == card.driver)
            });
            w.virsh("undefine g").ok();
            w.daemon_stop();
        }
    });
}

#[test]
fn r38_a_failing_reconnect_ends_the_guest() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        assert_eq!(w.daemon_stop(), 0);
        w.forget_calls();
        w.rule("[ $2 != reconnect ] || exit 1");
        w.daemon_start();
        w.wait_ended("qemu g release end daemon");
        w.assert_calls(&[
            "qemu g reconnect begin -",
            "qemu g stopped end -",
            "qemu g release end daemon",
        ]);
        assert!(w.qemu_pid("g").is_none());
        assert_eq!(w.virsh("domstate g").ok().trim(), "shut off");
    });
}

#[test]
fn r24_a_guest_that_died_meanwhile_is_cleaned_up() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        assert_eq!(w.daemon_stop(), 0);
        w.forget_calls();
        w.signal(w.qemu_pid("g").expect("QEMU runs on"), "KILL");
        w.daemon_start();
        w.wait_ended("qemu g release end crashed");
        w.assert_calls(&["qemu g stopped end -", "qemu g release end crashed"]);
    });
}

#[test]
fn r24_a_network_whose_bridge_is_gone_gets_stopped() {
    in_world(&[Tool::Virsh, Tool::Dnsmasq, Tool::Nft], |w| {
        w.record(&["network", "daemon"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 162));
        assert_eq!(w.daemon_stop(), 0);
        w.forget_calls();
        w.sh("ip link del virbr162");
        w.daemon_start();
        w.wait_ended("network n stopped end -");
        w.assert_calls(&["daemon - start - start", "network n stopped end -"]);
        assert_eq!(w.virsh("net-list --name").ok().trim(), "");
    });
}

#[test]
fn r24_whoever_asks_is_served_while_reconnect_hooks_run() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        w.daemon_kill();
        w.rule("[ $2 != reconnect ] || sleep 5");
        w.forget_calls();
        let start = Instant::now();
        w.daemon_start();
        assert!(start.elapsed() < Duration::from_secs(4));
        assert_eq!(
            w.virsh("list --name").within(Duration::from_secs(2)).ok().trim(),
            "g"
        );
    });
}

#[test]
fn r96_a_start_that_the_daemons_death_cut_short_is_undone() {
    in_world(ALL, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 163));
        w.define(&Guest::new("g").on_network("n", MAC));
        for operation in ["prepare", "start", "started"] {
            w.forget_calls();
            w.rule(&format!("[ $2 != {operation} ] || {{ sleep 300 & wait; }}"));
            let start = w.virsh_background("start g");
            w.wait_called(&format!("qemu g {operation} begin -"));
            w.daemon_kill();
            start.join().fails_with(&[]);
            w.daemon_start();
            w.wait_ended("qemu g release end failed");
            let calls = w.calls();
            assert_eq!(
                calls[calls.len() - 2..],
                ["qemu g stopped end -", "qemu g release end failed"],
                "{operation}"
            );
            assert!(
                !w.processes().iter().any(|(_, line)| line.contains("sleep 300")),
                "{operation}: the script lives"
            );
            assert!(w.qemu_pid("g").is_none(), "{operation}");
            assert_eq!(w.taps(), Vec::<String>::new(), "{operation}");
            assert_eq!(w.virsh("domstate g").ok().trim(), "shut off", "{operation}");
            assert!(
                !w.virsh("net-dumpxml n").ok().contains("connections"),
                "{operation}"
            );
        }
    });
}

/// What is under way when the daemon is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Under {
    Start,
    Destroy,
    NetStart,
    NetDestroy,
    /// a start whose hooks take most of the time
    Hooks,
}

const KINDS: [Under; 5] = [
    Under::Start,
    Under::Destroy,
    Under::NetStart,
    Under::NetDestroy,
    Under::Hooks,
];

#[test]
fn r96_sigkill_at_any_point() {
    in_world(ALL, |w| {
        let per_kind = (tools::proof(50) / KINDS.len()).max(1);
        w.record(&["qemu", "network"]);
        w.daemon_start();
        w.net_up(&Net::new("base", 164));
        w.net_define(&Net::new("side", 165));
        w.define(&Guest::new("steady").on_network("base", STEADY_MAC));
        w.define(&Guest::new("g").on_network("base", MAC));
        w.virsh("start steady").ok();
        let steady = w.qemu_pid("steady");
        let rules = w.sh("nft -s list ruleset");
        for (number, kind) in KINDS.into_iter().enumerate() {
            set_up(w, kind);
            let whole = run_whole(w, kind);
            for point in 0..per_kind {
                // in CI, where there is one point a kind, each kind gets another share
                let share = (point as f64 + (number as f64 + 0.5) / KINDS.len() as f64) / per_kind as f64;
                let delay = whole.mul_f64(share);
                let what = format!("{kind:?}, killed after {delay:?} of {whole:?}");
                kill_during(w, kind, delay);
                assert_eq!(w.qemu_pid("steady"), steady, "{what}: the other guest");
                w.daemon_start();
                settled(w, &what);
                assert_eq!(w.virsh("domstate steady").ok().trim(), "running", "{what}");
                tidy(w);
                assert_eq!(w.taps(), ["vnet0"], "{what}");
                assert_eq!(w.sh("nft -s list ruleset"), rules, "{what}");
            }
        }
        w.virsh("destroy steady").ok();
        w.virsh("net-destroy base").ok();
        assert_eq!(w.taps(), Vec::<String>::new());
        assert!(
            !w.processes()
                .iter()
                .any(|(_, line)| line.contains("dnsmasq") || line.contains("qemu-system"))
        );
        // The history went through all of them, too (R93).
        assert!(!w.succeeds("ls /var/lib/ferrovirt/*.broken*"));
        assert!(
            w.ferrovirt("history --operation started --limit 1000")
                .ok()
                .contains("steady started begin -")
        );
        println!("note: {} SIGKILLs", per_kind * KINDS.len());
    });
}

fn set_up(w: &World, kind: Under) {
    w.rule(if kind == Under::Hooks { "sleep 0.4" } else { "" });
}

fn command(kind: Under) -> &'static str {
    match kind {
        Under::Start | Under::Hooks => "start g",
        Under::Destroy => "destroy g",
        Under::NetStart => "net-start side",
        Under::NetDestroy => "net-destroy side",
    }
}

fn before(w: &World, kind: Under) {
    match kind {
        Under::Destroy => drop(w.virsh("start g").ok().to_owned()),
        Under::NetDestroy => drop(w.virsh("net-start side").ok().to_owned()),
        _ => {}
    }
    w.forget_calls();
}

/// How long the operation takes when nobody disturbs it.
fn run_whole(w: &World, kind: Under) -> Duration {
    before(w, kind);
    let output = w.virsh(command(kind));
    output.ok();
    tidy(w);
    output.took
}

fn kill_during(w: &World, kind: Under, delay: Duration) {
    before(w, kind);
    let running = w.virsh_background(command(kind));
    std::thread::sleep(delay);
    w.daemon_kill();
    running.join();
}

/// Waits until the new daemon has put everything in order, and checks that it has.
fn settled(w: &World, what: &str) {
    let mut last = Err(String::new());
    for _ in 0..10 {
        w.wait_for(what, Duration::from_secs(30), || is_settled(w).is_ok());
        // And it stays so: between two hooks nothing runs for a moment.
        std::thread::sleep(Duration::from_millis(200));
        last = is_settled(w);
        if last.is_ok() {
            return;
        }
    }
    if let Err(reason) = last {
        panic!("{what}: {reason}");
    }
}

fn is_settled(w: &World) -> Result<(), String> {
    let calls = w.read("calls");
    let begun = calls.lines().filter(|line| line.starts_with("> ")).count();
    let ended = calls
        .lines()
        .filter(|line| line.starts_with("< ") || line.starts_with("! "))
        .count();
    let check = |good: bool, text: &str| {
        if good {
            Ok(())
        } else {
            Err(format!("{text}\n{calls}"))
        }
    };
    let running = w.virsh("domstate g").out.trim() == "running";
    check(
        running == w.qemu_pid("g").is_some(),
        "the guest's state and its process",
    )?;
    let lines: Vec<&str> = calls.lines().collect();
    let last = |prefix: &str| lines.iter().rposition(|line| line.starts_with(prefix));
    if !running {
        // whatever was prepared is released
        let (prepared, released) = (last("> qemu g prepare "), last("< qemu g release end "));
        let (stopped, started) = (last("< qemu g stopped end -"), last("> qemu g started "));
        check(
            prepared.is_none() || (released > prepared && stopped > prepared),
            "prepared, but not released",
        )?;
        check(
            started.is_none_or(|at| released > Some(at)),
            "started, but not released",
        )?;
        let ports = w.virsh("net-dumpxml base").out.contains("connections='1'");
        check(ports, "the network has a port of a guest that is off")?;
    }
    let active = w
        .virsh("net-list --name")
        .out
        .lines()
        .any(|line| line.trim() == "side");
    check(
        active == w.link_exists("virbr165"),
        "the network's state and its bridge",
    )?;
    let dnsmasq = w
        .processes()
        .iter()
        .any(|(_, line)| line.contains("dnsmasq") && line.contains("side"));
    check(active == dnsmasq, "the network's state and its dnsmasq")?;
    if !active {
        let (start, stopped) = (last("> network side start "), last("< network side stopped "));
        check(
            start.is_none() || stopped > start,
            "network started, but not stopped",
        )?;
    }
    check(begun <= ended + killed_scripts(&calls), "a hook still runs")
}

/// Scripts that were killed without a word: begun, never ended, and no longer there.
fn killed_scripts(calls: &str) -> usize {
    let running = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            std::fs::read_to_string(entry.path().join("cmdline"))
                .is_ok_and(|line| line.contains("/etc/libvirt/hooks/"))
        });
    if running { 0 } else { calls.lines().count() }
}

/// Ends what may be up; all of it must go.
fn tidy(w: &World) {
    if w.virsh("domstate g").out.trim() == "running" {
        w.virsh("destroy g").ok();
    }
    if w.link_exists("virbr165") {
        w.virsh("net-destroy side").ok();
    }
}
