//! Containers as people use them: every command of virsh that means something for them, with the hooks of their life (R50).

use std::time::Duration;

use ferrovirt_tests::containers::LXC;
use ferrovirt_tests::{Background, Container, Tool, World, in_world, tools};

use crate::console::{ESCAPE, Session};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Busybox, Tool::Cgroups];

const STARTED: [&str; 3] = [
    "lxc c1 prepare begin -",
    "lxc c1 start begin -",
    "lxc c1 started begin -",
];

/// The calls of a whole life that ended for this reason.
fn life(reason: &str) -> Vec<String> {
    let mut calls: Vec<String> = STARTED.map(str::to_owned).to_vec();
    calls.push("lxc c1 stopped end -".to_owned());
    calls.push(format!("lxc c1 release end {reason}"));
    calls
}

fn recorded(w: &World, container: &Container) {
    w.record(&["lxc"]);
    w.daemon_start();
    w.define_container(container);
}

#[track_caller]
fn nothing_is_left(w: &World) {
    assert_eq!(w.left_of_containers(), Vec::<String>::new());
}

#[track_caller]
fn state(w: &World, expected: &str) {
    assert_eq!(w.lxc("domstate c1 --reason").ok().trim(), expected);
}

#[test]
fn r50_a_life_from_define_to_undefine() {
    in_world(NEEDS, |w| {
        recorded(w, &Container::new("c1"));
        state(w, "shut off (unknown)");
        assert_eq!(w.lxc("list --all --name").ok().trim(), "c1");
        assert_eq!(w.lxc("list --name").ok().trim(), "");
        w.lxc("domid c1").ok();
        w.start_container("c1");
        w.assert_calls(&STARTED);
        state(w, "running (booted)");
        w.lxc("start c1").fails_with(&["Domain is already active"]);
        assert_eq!(w.lxc("list --name").ok().trim(), "c1");
        let id = w.lxc("domid c1").ok().trim().to_owned();
        assert_eq!(id, w.controller_pid("c1").unwrap().to_string());
        assert_eq!(w.lxc(&format!("domname {id}")).ok().trim(), "c1");
        let info = w.lxc("dominfo c1");
        for words in [
            "OS Type:        exe",
            "State:          running",
            "Max memory:     65536 KiB",
        ] {
            assert!(info.ok().contains(words), "{words} in {}", info.out);
        }
        let live = w.lxc("dumpxml c1");
        for words in [
            format!("<domain type='lxc' id='{id}'>").as_str(),
            "<emulator>",
            "<console type='pty' tty='/dev/pts/",
        ] {
            assert!(live.ok().contains(words), "{words} in {}", live.out);
        }
        let inactive = w.lxc("dumpxml c1 --inactive");
        assert!(
            inactive.ok().contains("<domain type='lxc'>") && !inactive.out.contains("tty="),
            "{}",
            inactive.out
        );
        // Guests of the other driver are another list.
        assert_eq!(w.virsh("list --all --name").ok().trim(), "");
        w.lxc("undefine c1").ok();
        assert_eq!(w.lxc("list --transient --name").ok().trim(), "c1");
        w.define_container(&Container::new("c1"));
        w.lxc("destroy c1").ok();
        state(w, "shut off (destroyed)");
        w.assert_calls(&life("destroyed").iter().map(String::as_str).collect::<Vec<_>>());
        for (call, has_id) in [
            ("prepare begin -", false),
            ("started begin -", true),
            ("stopped end -", true),
        ] {
            let document = w.document(&format!("lxc c1 {call}"));
            assert!(document.contains("<name>c1</name>"), "{call}: {document}");
            assert_eq!(
                document.contains(&format!(" id='{id}'")),
                has_id,
                "{call}: {document}"
            );
        }
        w.lxc("destroy c1").fails_with(&["domain is not running"]);
        w.lxc("undefine c1").ok();
        w.lxc("domstate c1").fails_with(&["failed to get domain 'c1'"]);
        nothing_is_left(w);
    });
}

#[test]
fn r50_a_transient_container_goes_when_it_ends() {
    in_world(NEEDS, |w| {
        w.record(&["lxc"]);
        w.daemon_start();
        let path = w.container(&Container::new("c1"));
        w.lxc_args(&["create", &path.display().to_string()]).ok();
        w.lxc("destroy c1").ok();
        w.assert_calls(&life("destroyed").iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(w.lxc("list --all --name").ok().trim(), "");
        nothing_is_left(w);
        // One that belongs to its client goes with it.
        w.forget_calls();
        w.lxc_args(&["create", "--autodestroy", &path.display().to_string()])
            .ok();
        w.wait_ended("lxc c1 release end destroyed");
        w.wait_for("it is gone", Duration::from_secs(20), || {
            w.left_of_containers().is_empty()
        });
        assert_eq!(w.lxc("list --all --name").ok().trim(), "");
    });
}

#[test]
fn r50_every_end_by_itself_is_a_shutdown() {
    in_world(NEEDS, |w| {
        w.record(&["lxc"]);
        w.daemon_start();
        for script in ["exit 0", "exit 3", "poweroff -f", "kill -9 -1; exit 1"] {
            w.forget_calls();
            w.define_container(&Container::new("c1").script(&format!("sleep 1; {script}")));
            w.lxc("start c1").ok();
            w.wait_ended("lxc c1 release end shutdown");
            w.assert_calls(&life("shutdown").iter().map(String::as_str).collect::<Vec<_>>());
            w.wait_for("it is off", Duration::from_secs(10), || {
                w.lxc("domstate c1 --reason").ok().trim() == "shut off (shutdown)"
            });
            nothing_is_left(w);
        }
        // Whoever is killed from outside, its init or what holds it.
        for which in ["init", "controller"] {
            w.forget_calls();
            w.define_container(&Container::new("c1"));
            w.start_container("c1");
            let pid = match which {
                "init" => w.init_pid("c1"),
                _ => w.controller_pid("c1"),
            };
            w.signal(pid.unwrap(), "KILL");
            w.wait_ended("lxc c1 release end shutdown");
            w.assert_calls(&life("shutdown").iter().map(String::as_str).collect::<Vec<_>>());
            w.wait_for("it is off", Duration::from_secs(10), || {
                w.left_of_containers().is_empty()
            });
        }
    });
}

const SYSTEM_V: &str = "trap '' TERM; mkfifo /dev/initctl; exec 3<>/dev/initctl; echo ready > /ready; \
    head -c 12 <&3 | od -An -tx1 > /asked; exit 0";

#[test]
fn r50_shutdown_asks_init_by_initctl_or_by_a_signal() {
    in_world(NEEDS, |w| {
        recorded(w, &Container::new("c1"));
        for mode in ["", "--mode signal", "--mode initctl,signal"] {
            w.forget_calls();
            w.start_container("c1");
            w.lxc(&format!("shutdown c1 {mode}")).ok();
            w.wait_ended("lxc c1 release end shutdown");
            w.assert_calls(&life("shutdown").iter().map(String::as_str).collect::<Vec<_>>());
            w.wait_for("it is off", Duration::from_secs(10), || {
                w.left_of_containers().is_empty()
            });
        }
        w.start_container("c1");
        w.lxc("shutdown c1 --mode initctl").fails_with(&["initctl"]);
        w.lxc("shutdown c1 --mode acpi")
            .fails_with(&["unsupported flags (0x1)"]);
        state(w, "running (booted)");
        w.lxc("destroy c1").ok();
        w.define_container(&Container::new("c1").script(SYSTEM_V));
        for mode in ["", "--mode initctl"] {
            w.forget_calls();
            w.start_container("c1");
            w.lxc(&format!("shutdown c1 {mode}")).ok();
            w.wait_ended("lxc c1 release end shutdown");
            let asked = w.read(w.root_of("c1").join("asked"));
            assert_eq!(asked.trim(), "69 19 09 03 01 00 00 00 30 00 00 00", "run level 0");
            w.wait_for("it is off", Duration::from_secs(10), || {
                w.left_of_containers().is_empty()
            });
        }
    });
}

/// Ends with the first byte that it is told: before the child that tells it can say so.
const EAGER: &str =
    "trap '' TERM; mkfifo /dev/initctl; exec 3<>/dev/initctl; echo ready > /ready; exec head -c 1 <&3";

#[test]
fn r50_whoever_shuts_down_is_answered_however_fast_init_goes() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define_container(&Container::new("c1").script(EAGER));
        for _ in 0..tools::proof(100).max(1) {
            w.start_container("c1");
            w.lxc("shutdown c1 --mode initctl").ok();
            w.wait_for("it is off", Duration::from_secs(10), || {
                w.left_of_containers().is_empty()
            });
        }
    });
}

#[test]
fn r50_a_reboot_is_an_end_and_a_start() {
    in_world(NEEDS, |w| {
        recorded(
            w,
            &Container::new("c1").script(
                "trap 'reboot -f' HUP; echo ready > /ready; [ -e /once ] || { : > /once; sleep 1; reboot -f; }; \
                 while :; do sleep 0.1; done",
            ),
        );
        let calls: Vec<String> = life("shutdown")
            .into_iter()
            .chain(STARTED.map(str::to_owned))
            .collect();
        let again = |w: &World| {
            w.wait_for("the second start", Duration::from_secs(30), || {
                let ended = w
                    .read("calls")
                    .lines()
                    .filter(|line| line.starts_with("< "))
                    .count();
                ended >= calls.len()
            });
            assert_eq!(w.calls(), calls);
            w.wait_for("it runs", Duration::from_secs(10), || {
                w.lxc("domstate c1").ok().trim() == "running"
            });
        };
        // From inside.
        w.lxc("start c1").ok();
        let first = w.lxc("domid c1").ok().to_owned();
        again(w);
        assert_ne!(w.lxc("domid c1").ok(), first, "a new run has a new number");
        w.lxc("destroy c1").ok();
        // From outside.
        w.forget_calls();
        w.start_container("c1");
        w.lxc("reboot c1").ok();
        again(w);
        w.lxc("destroy c1").ok();
        // Whoever says so ends instead.
        w.forget_calls();
        w.define_container(
            &Container::new("c1")
                .script("sleep 1; reboot -f")
                .element("<on_reboot>destroy</on_reboot>"),
        );
        w.lxc("start c1").ok();
        w.wait_ended("lxc c1 release end shutdown");
        w.wait_for("it is off", Duration::from_secs(10), || {
            w.left_of_containers().is_empty()
        });
        w.assert_calls(&life("shutdown").iter().map(String::as_str).collect::<Vec<_>>());
    });
}

#[test]
fn suspend_stops_everything_in_it_and_resume_lets_it_go_on() {
    in_world(NEEDS, |w| {
        recorded(
            w,
            &Container::new("c1").script(
                "i=0; echo ready > /ready; while :; do i=$((i+1)); echo $i > /count; sleep 0.02; done",
            ),
        );
        let count = || w.read(w.root_of("c1").join("count"));
        w.start_container("c1");
        w.lxc("suspend c1").ok();
        state(w, "paused (user)");
        assert_eq!(w.lxc("list --state-paused --name").ok().trim(), "c1");
        let before = count();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(count(), before);
        // It can be seen, and be changed, and a new daemon finds it as it is.
        w.lxc("domstats c1").ok();
        assert_eq!(w.daemon_stop(), 0);
        w.daemon_start();
        w.wait_ended("lxc c1 reconnect begin -");
        state(w, "paused (user)");
        let before = count();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(count(), before, "still stopped");
        w.lxc("resume c1").ok();
        state(w, "running (unpaused)");
        w.wait_for("it goes on", Duration::from_secs(10), || count() != before);
        w.lxc("suspend c1").ok();
        w.lxc("destroy c1").ok();
        nothing_is_left(w);
        // Neither has a hook.
        let calls = w.calls();
        assert!(
            !calls
                .iter()
                .any(|call| call.contains("suspend") || call.contains("resume"))
        );
        assert_eq!(calls.last().unwrap(), "lxc c1 release end destroyed");
    });
}

#[test]
fn autostart_starts_it_with_the_machine() {
    in_world(NEEDS, |w| {
        recorded(w, &Container::new("c1"));
        w.lxc("autostart c1").ok();
        assert_eq!(w.lxc("list --all --autostart --name").ok().trim(), "c1");
        assert_eq!(w.daemon_stop(), 0);
        // The machine boots again: nothing in /run.
        w.sh("rm -rf /run/libvirt");
        w.daemon_start();
        w.wait_ended("lxc c1 started begin -");
        w.assert_calls(&STARTED);
        state(w, "running (booted)");
        w.lxc("destroy c1").ok();
        w.lxc("autostart --disable c1").ok();
        assert_eq!(w.lxc("list --all --autostart --name").ok().trim(), "");
    });
}

#[test]
fn what_containers_cannot_do_is_refused_by_name() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define_container(&Container::new("c1"));
        w.start_container("c1");
        let mut wrong = Vec::new();
        for (line, words) in [
            (
                "reset c1",
                "this function is not supported by the connection driver: virDomainReset",
            ),
            ("save c1 /run/world/saved", "unknown procedure: 55"),
            ("managedsave c1", "unknown procedure: 182"),
            ("dump c1 /run/world/core", "unknown procedure: 53"),
            ("screenshot c1", "unknown procedure: 211"),
            (
                "setvcpus c1 2",
                "requested vcpus is greater than max allowable vcpus for the live domain: 2 > 1",
            ),
            (
                "snapshot-list c1",
                "this function is not supported by the connection driver: virDomainSnapshotNum",
            ),
            (
                "qemu-agent-command c1 x",
                "this function is not supported by the connection driver: virDomainQemuAgentCommand",
            ),
        ] {
            let output = w.lxc(line);
            if output.code == 0 || !output.err.contains(words) {
                wrong.push(format!("{line}: {} {}{}", output.code, output.out, output.err));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        state(w, "running (booted)");
    });
}

#[test]
fn the_console_goes_both_ways_and_outlives_a_daemon() {
    in_world(NEEDS, |w| {
        recorded(
            w,
            &Container::new("c1").script(
                "stty -echo; echo CONSOLE-UP; echo ready > /ready; \
                 while read word; do echo got:$word; done < /dev/console; exit 0",
            ),
        );
        w.lxc("console c1").fails_with(&[]);
        w.start_container("c1");
        let mut session = Session::start_at(w, LXC, "one", "c1");
        session.shows(w, "Connected to domain 'c1'");
        // What it said before anybody looked is there, too.
        session.shows(w, "CONSOLE-UP");
        session.types("hello\r");
        session.shows(w, "got:hello");
        session.types(ESCAPE);
        assert_eq!(session.ends(w), 0);
        let session = Session::start_at(w, LXC, "two", "c1");
        session.shows(w, "Connected to domain 'c1'");
        assert_eq!(w.daemon_stop(), 0);
        session.ends(w);
        w.forget_calls();
        let (init, controller) = (w.init_pid("c1"), w.controller_pid("c1"));
        assert!(init.is_some() && controller.is_some());
        w.daemon_start();
        w.wait_ended("lxc c1 reconnect begin -");
        w.assert_calls(&["lxc c1 reconnect begin -"]);
        assert_eq!((w.init_pid("c1"), w.controller_pid("c1")), (init, controller));
        state(w, "running (booted)");
        let mut session = Session::start_at(w, LXC, "three", "c1 --safe");
        session.shows(w, "Connected to domain 'c1'");
        session.types("again\r");
        session.shows(w, "got:again");
        w.lxc("destroy c1").ok();
        session.ends(w);
        nothing_is_left(w);
    });
}

#[test]
fn r50_a_reconnect_that_fails_ends_it_and_one_that_died_meanwhile_is_cleared() {
    in_world(NEEDS, |w| {
        recorded(w, &Container::new("c1"));
        w.start_container("c1");
        assert_eq!(w.daemon_stop(), 0);
        w.forget_calls();
        w.rule("[ $2 != reconnect ] || exit 1");
        w.daemon_start();
        let ended = ["lxc c1 stopped end -", "lxc c1 release end failed"];
        w.wait_ended(ended[1]);
        w.assert_calls(&["lxc c1 reconnect begin -", ended[0], ended[1]]);
        state(w, "shut off (failed)");
        nothing_is_left(w);
        w.rule("");
        w.start_container("c1");
        assert_eq!(w.daemon_stop(), 0);
        w.forget_calls();
        w.signal(w.controller_pid("c1").unwrap(), "KILL");
        w.daemon_start();
        w.wait_ended(ended[1]);
        w.assert_calls(&ended);
        nothing_is_left(w);
    });
}

/// `virsh event` for a container, once it listens.
fn listen(w: &World, what: &str) -> Background {
    let ear = w.lxc_background(&format!("event --domain c1 --event {what} --loop"));
    std::thread::sleep(Duration::from_millis(800));
    ear
}

fn heard(ear: Background) -> Vec<String> {
    std::thread::sleep(Duration::from_millis(500));
    let output = ear.interrupt();
    let events = output.out.lines().filter(|line| line.starts_with("event '"));
    events.map(|line| line.replacen("event ", "", 1)).collect()
}

#[test]
fn its_events_are_told() {
    in_world(NEEDS, |w| {
        recorded(
            w,
            &Container::new("c1").script(
                "trap 'reboot -f' HUP; trap 'exit 0' TERM; echo ready > /ready; while :; do sleep 0.1; done",
            ),
        );
        let (ear, reboots) = (listen(w, "lifecycle"), listen(w, "reboot"));
        w.start_container("c1");
        w.lxc("suspend c1").ok();
        w.lxc("resume c1").ok();
        w.lxc("destroy c1").ok();
        w.forget_calls();
        w.start_container("c1");
        w.lxc("reboot c1").ok();
        w.wait_ended("lxc c1 release end shutdown");
        w.wait_for("it is up again", Duration::from_secs(30), || {
            w.read("calls")
                .lines()
                .filter(|line| line.contains("< lxc c1 started"))
                .count()
                == 2
        });
        w.lxc("shutdown c1").ok();
        w.wait_for("it is off", Duration::from_secs(30), || {
            w.lxc("domstate c1").ok().trim() == "shut off"
        });
        w.lxc("undefine c1").ok();
        let told = heard(ear);
        println!("note: {told:#?}");
        let lines = [
            "Started Booted",
            "Suspended Paused",
            "Resumed Unpaused",
            "Stopped Destroyed",
            "Started Booted",
            "Stopped Shutdown",
            "Started Booted",
            "Stopped Shutdown",
            "Undefined Removed",
        ];
        assert_eq!(
            told,
            lines.map(|line| format!("'lifecycle' for domain 'c1': {line}"))
        );
        assert_eq!(heard(reboots), ["'reboot' for domain 'c1'"]);
    });
}
