//! SIGKILL to the daemon, to what holds a container, and to a container's init, at any point (R96): the next daemon finds or
//! clears everything.

use std::time::Duration;

use ferrovirt_tests::{Container, Net, Tool, World, in_world, tools};

const NEEDS: &[Tool] = &[
    Tool::Virsh,
    Tool::Busybox,
    Tool::Cgroups,
    Tool::Dnsmasq,
    Tool::Nft,
];
const MAC: &str = "52:54:00:00:00:93";

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Daemon,
    Controller,
    Init,
    /// The controller and the daemon, in this order.
    Both,
}

/// What is under way then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Under {
    Start,
    Destroy,
    Suspend,
    Shutdown,
    Nothing,
}

const VICTIMS: [Victim; 4] = [Victim::Daemon, Victim::Controller, Victim::Init, Victim::Both];
const KINDS: [Under; 5] = [
    Under::Start,
    Under::Destroy,
    Under::Suspend,
    Under::Shutdown,
    Under::Nothing,
];

impl Under {
    fn command(self) -> &'static str {
        match self {
            Under::Start => "start c1",
            Under::Destroy => "destroy c1",
            Under::Suspend => "suspend c1",
            Under::Shutdown => "shutdown c1",
            Under::Nothing => "list",
        }
    }
}

/// Numbers that are the same each time, from a seed (a linear congruence).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

#[test]
fn r96_sigkill_to_daemon_controller_or_init_at_any_point() {
    in_world(NEEDS, |w| {
        let times = tools::proof(200).max(1);
        w.record(&["lxc", "network"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 173));
        w.define_container(&Container::new("c1").on_network("n", MAC));
        w.define_container(&Container::new("steady"));
        w.start_container("steady");
        let steady = (w.init_pid("steady"), w.controller_pid("steady"));
        let rules = w.sh("nft -s list ruleset");
        let mut dice = Dice(96);
        let (mut found, mut cleared) = (0, 0);
        for number in 0..times {
            let victim = VICTIMS[number % VICTIMS.len()];
            let kind = KINDS[number / VICTIMS.len() % KINDS.len()];
            let delay = Duration::from_millis(dice.roll(250));
            let what = format!("{number}: {kind:?}, {victim:?} killed after {delay:?}");
            w.forget_calls();
            if kind != Under::Start {
                w.start_container("c1");
            }
            let running = w.lxc_background(kind.command());
            std::thread::sleep(delay);
            kill(w, victim);
            running.join();
            if w.daemon_exit_code().is_some() {
                w.daemon_start();
            }
            settled(w, victim, &what);
            assert_eq!(
                (w.init_pid("steady"), w.controller_pid("steady")),
                steady,
                "{what}"
            );
            assert_eq!(w.lxc("domstate steady").ok().trim(), "running", "{what}");
            if w.lxc("domstate c1").ok().trim() == "shut off" {
                cleared += 1;
            } else {
                found += 1;
                w.lxc("destroy c1").ok();
            }
            assert_eq!(left_of(w, "c1"), Vec::<String>::new(), "{what}");
            assert_eq!(w.sh("nft -s list ruleset"), rules, "{what}");
        }
        w.lxc("destroy steady").ok();
        assert_eq!(w.left_of_containers(), Vec::<String>::new());
        w.virsh("net-destroy n").ok();
        // What is left of a hook is one that was under way.
        assert!(!w.processes().iter().any(|(_, line)| line.contains("dnsmasq")));
        println!("note: {times} SIGKILLs; {found} containers were found again, {cleared} were cleared");
    });
}

fn kill(w: &World, victim: Victim) {
    // Who is not there yet, or not any more, cannot be killed; that is no matter.
    let end = |pid: Option<u32>| {
        if let Some(pid) = pid {
            let _ = w.succeeds(&format!("kill -KILL {pid}"));
        }
    };
    match victim {
        Victim::Daemon => w.daemon_kill(),
        Victim::Controller => end(w.controller_pid("c1")),
        Victim::Init => end(w.init_pid("c1")),
        Victim::Both => {
            end(w.controller_pid("c1"));
            w.daemon_kill();
        }
    }
}

/// What is left of this container, while another one runs.
fn left_of(w: &World, name: &str) -> Vec<String> {
    let of_it = |line: &String| {
        line.contains(&format!("--name {name}"))
            || line.contains(&format!("{name}.scope"))
            || line.contains(&format!("/{name}."))
            || line.contains("/vnet")
            || line.starts_with("vnet")
            || line.starts_with("veth")
    };
    let mut left: Vec<String> = w.left_of_containers().into_iter().filter(of_it).collect();
    let uuid = format!("LIBVIRT_LXC_NAME={name}\0");
    let inside = w
        .processes()
        .into_iter()
        .filter(|(pid, _)| w.read(format!("/proc/{pid}/environ")).contains(&uuid));
    left.extend(inside.map(|(pid, line)| format!("process {pid}: {line}")));
    left
}

/// Waits until the daemon has put everything in order.
fn settled(w: &World, victim: Victim, what: &str) {
    let mut last = Err(String::new());
    for _ in 0..10 {
        w.wait_well(what, Duration::from_secs(40), || is_settled(w, victim));
        // And it stays so: between two hooks nothing runs for a moment.
        std::thread::sleep(Duration::from_millis(150));
        last = is_settled(w, victim);
        if last.is_ok() {
            return;
        }
    }
    panic!("{what}: {last:?}");
}

fn is_settled(w: &World, victim: Victim) -> Result<(), String> {
    let calls = w.read("calls");
    let lines: Vec<&str> = calls.lines().collect();
    let last = |prefix: &str| lines.iter().rposition(|line| line.starts_with(prefix));
    let check = |good: bool, text: &str| {
        if good {
            Ok(())
        } else {
            Err(format!("{text}\n{calls}{:?}", w.left_of_containers()))
        }
    };
    let runs = w
        .processes()
        .iter()
        .any(|(_, line)| line.contains("/etc/libvirt/hooks/"));
    check(!runs, "a hook runs")?;
    let off = w.lxc("domstate c1").out.trim() == "shut off";
    if !off {
        let alive = w.init_pid("c1").is_some() && w.controller_pid("c1").is_some();
        return check(alive, "it is told to run, and has no process");
    }
    check(
        left_of(w, "c1").is_empty(),
        "it is told to be off, and something is left",
    )?;
    // Whatever was prepared is stopped and released, in this order; so is its port.
    let prepared = last("> lxc c1 prepare ");
    let (stopped, released) = (last("< lxc c1 stopped end -"), last("< lxc c1 release end "));
    check(
        prepared.is_none() || (stopped > prepared && released > stopped),
        "prepared, but not released",
    )?;
    let created = last("> network n port-created ");
    check(
        created.is_none() || last("< network n port-deleted ") > created,
        "a port is left",
    )?;
    let count = lines
        .iter()
        .filter(|line| line.starts_with("> lxc c1 release "))
        .count();
    let begun = lines
        .iter()
        .filter(|line| line.starts_with("> lxc c1 prepare "))
        .count();
    // A daemon that dies when the hook has ended and that is not on disk yet leaves an end that is gone through once more.
    let once_more = usize::from(matches!(victim, Victim::Daemon | Victim::Both));
    check(count <= begun + once_more, "released more often than prepared")
}
