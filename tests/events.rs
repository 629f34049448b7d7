//! What clients that registered for events are told: the lists are what libvirtd 11.3 tells at the same steps.

use std::time::Duration;

use ferrovirt_tests::raw::{CONNECT_OPEN, Raw, open_arguments};
use ferrovirt_tests::{Background, Guest, Net, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const LINUX: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Linux];
const NETWORK: &[Tool] = &[Tool::Virsh, Tool::Dnsmasq, Tool::Nft];
const UUID: &str = "11111111-2222-4333-8444-555555555555";

/// What one can register for: the procedures to register and to take it back, and an event that never happens here.
const DOMAIN: (u32, u32, u32) = (316, 317, 27);
const NETWORKS: (u32, u32, u32) = (313, 314, 1);

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A client that does not read what it is not asked for.
fn raw() -> Raw {
    raw_to("qemu:///system")
}

fn raw_to(uri: &str) -> Raw {
    let mut raw = Raw::connect();
    let opened = raw.call(CONNECT_OPEN, 1, &open_arguments(uri));
    assert_eq!(opened.unwrap().status, 0);
    raw
}

/// The number that the next registration would get.
fn next_number(raw: &mut Raw, (register, deregister, event): (u32, u32, u32)) -> u32 {
    let reply = raw.call(register, 2, &words(&[event, 0])).unwrap();
    assert_eq!(reply.status, 0);
    assert_eq!(raw.call(deregister, 3, &reply.body).unwrap().status, 0);
    u32::from_be_bytes(reply.body.try_into().unwrap())
}

/// `virsh LINE`, which has made so many registrations when this returns.
fn listen(w: &World, line: &str, kind: (u32, u32, u32), registrations: u32) -> Background {
    listen_with(w, raw(), line, (kind, registrations))
}

/// The same of containers, for one event of domains.
pub(crate) fn listen_to_containers(w: &World, event: &str) -> Background {
    let line = format!("-c lxc:///system event --event {event} --loop");
    listen_with(w, raw_to("lxc:///system"), &line, (DOMAIN, 1))
}

fn listen_with(
    w: &World,
    mut raw: Raw,
    line: &str,
    (kind, registrations): ((u32, u32, u32), u32),
) -> Background {
    let mut expected = next_number(&mut raw, kind) + registrations;
    let ear = w.virsh_background(line);
    w.wait_for(line, Duration::from_secs(20), || {
        expected += 1;
        next_number(&mut raw, kind) >= expected
    });
    ear
}

/// What it was told until now.
pub(crate) fn heard(ear: Background) -> Vec<String> {
    // The last message is on its way.
    std::thread::sleep(Duration::from_millis(500));
    let output = ear.interrupt();
    let mut lines: Vec<String> = output
        .out
        .lines()
        .filter(|line| line.starts_with("event '"))
        .map(|line| line.replacen("event ", "", 1).replace("for domain ", ""))
        .collect();
    // QEMU tells some resets twice.
    lines.dedup_by(|one, other| one == other && one.starts_with("'reboot'"));
    lines
}

fn lifecycle(guest: &str, events: &[&str]) -> Vec<String> {
    let line = |event: &&str| format!("'lifecycle' '{guest}': {event}");
    events.iter().map(line).collect()
}

const STARTED: [&str; 2] = ["Resumed Unpaused", "Started Booted"];
const DESTROYED: [&str; 2] = ["Shutdown Finished after host request", "Stopped Destroyed"];

#[test]
fn a_guests_life_is_told_whole_and_in_order() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let guest = Guest::new("g").uuid(UUID);
        let all = listen(w, "event --all --loop", DOMAIN, 28);
        w.define(&guest);
        w.define(&guest);
        let one = listen(w, "event --domain g --event lifecycle --loop", DOMAIN, 1);
        w.define(&Guest::new("h"));
        for step in ["start g", "suspend g", "suspend g", "resume g"] {
            w.virsh(step).ok();
        }
        w.virsh("reset g").ok();
        std::thread::sleep(Duration::from_secs(1));
        w.virsh("desc g --live --config words").ok();
        w.virsh("desc g --title word").ok();
        w.virsh("metadata g http://x/y --key k --set <a/> --live").ok();
        for step in ["destroy g", "undefine g", "start h --paused", "resume h"] {
            w.virsh(step).ok();
        }
        for step in ["undefine h", "destroy h"] {
            w.virsh(step).ok();
        }
        let only_g = [
            &STARTED[..],
            &["Suspended Paused", "Resumed Unpaused"],
            &DESTROYED,
            &["Undefined Removed"],
        ];
        assert_eq!(heard(one), lifecycle("g", &only_g.concat()));
        let told = [
            lifecycle("g", &["Defined Added", "Defined Updated"]),
            lifecycle("h", &["Defined Added"]),
            lifecycle("g", &STARTED),
            lifecycle("g", &["Suspended Paused", "Resumed Unpaused"]),
            vec!["'reboot' 'g'".to_owned()],
            vec!["'metadata-change' 'g': type description, uri <null>".to_owned()],
            vec!["'metadata-change' 'g': type title, uri <null>".to_owned()],
            vec!["'metadata-change' 'g': type element, uri http://x/y".to_owned()],
            lifecycle("g", &DESTROYED),
            lifecycle("g", &["Undefined Removed"]),
            lifecycle("h", &["Started Booted", "Suspended Paused", "Resumed Unpaused"]),
            lifecycle("h", &["Undefined Removed"]),
            lifecycle("h", &DESTROYED),
        ];
        assert_eq!(heard(all), told.concat());
    });
}

#[test]
fn what_a_guest_does_by_itself_is_told() {
    in_world(LINUX, |w| {
        w.daemon_start();
        w.define(&Guest::new("g").linux(""));
        let ear = listen(w, "event --all --loop", DOMAIN, 28);
        let up = |times: usize| {
            w.wait_for("the guest is up", Duration::from_secs(60), || {
                w.read("g.serial").matches("GUEST-UP").count() >= times
            });
        };
        let off = || {
            w.wait_for("the guest is off", Duration::from_secs(60), || {
                w.virsh("domstate g").ok().trim() == "shut off"
            });
        };
        w.virsh("start g").ok();
        up(1);
        w.virsh("reboot g").ok();
        up(2);
        w.virsh("shutdown g").ok();
        off();
        w.virsh("start g").ok();
        w.signal(w.qemu_pid("g").unwrap(), "KILL");
        off();
        w.virsh("start g").ok();
        w.signal(w.qemu_pid("g").unwrap(), "TERM");
        off();
        let told = [
            lifecycle("g", &STARTED),
            vec!["'reboot' 'g'".to_owned()],
            lifecycle(
                "g",
                &["Shutdown Finished after guest request", "Stopped Shutdown"],
            ),
            lifecycle("g", &STARTED),
            lifecycle("g", &["Stopped Failed"]),
            lifecycle("g", &STARTED),
            lifecycle("g", &["Shutdown Finished after host request", "Stopped Shutdown"]),
        ];
        assert_eq!(heard(ear), told.concat());
    });
}

#[test]
fn a_disk_that_fails_is_told_with_its_path_and_device() {
    in_world(LINUX, |w| {
        w.daemon_start();
        w.sh("mkdir small && mount -t tmpfs -o size=1m tmpfs small && truncate -s 64M small/d.img");
        let disk = "<disk type='file' device='disk'><driver name='qemu' type='raw'/>\
                    <source file='/run/world/small/d.img'/><target dev='vda' bus='virtio'/></disk>";
        w.define(&Guest::new("g").linux("guest.disk=fill").device(disk));
        let ear = listen(w, "event --all --loop", DOMAIN, 28);
        w.virsh("start g").ok();
        w.wait_for("the guest is paused", Duration::from_secs(60), || {
            w.virsh("domstate g --reason").ok().trim() == "paused (I/O error)"
        });
        let mut told = heard(ear);
        // More than one request may fail.
        told.dedup_by(|one, other| one == other && one.starts_with("'io-error"));
        // virsh calls both events by the same name.
        let what = "'io-error' 'g': /run/world/small/d.img (virtio-disk0) pause";
        let expected = [
            lifecycle("g", &STARTED),
            vec![what.to_owned(), format!("{what} due to enospc")],
        ]
        .concat();
        assert_eq!(told[..4], expected);
        assert_eq!(told.last(), lifecycle("g", &["Suspended I/O Error"]).last());
    });
}

#[test]
fn a_client_that_does_not_answer_pings_is_dropped() {
    in_world(NEEDS, |w| {
        w.sh("printf 'keepalive_interval = 1\\nkeepalive_count = 2\\n' >> /etc/libvirt/libvirtd.conf");
        w.daemon_start();
        let before = sockets(w);
        let awake = listen(w, "event --all --loop", DOMAIN, 28);
        let asleep = listen(w, "event --event lifecycle --loop", DOMAIN, 1);
        let (pid, _) = w
            .processes()
            .into_iter()
            .find(|(_, line)| line.starts_with("virsh") && line.contains("event lifecycle"))
            .unwrap();
        w.wait_for("only these two", Duration::from_secs(20), || {
            sockets(w) == before + 2
        });
        w.signal(pid, "STOP");
        w.wait_for("the one that sleeps is dropped", Duration::from_secs(30), || {
            sockets(w) == before + 1
        });
        w.define(&Guest::new("g"));
        assert_eq!(heard(awake), lifecycle("g", &["Defined Added"]));
        asleep.kill();
    });
}

#[test]
fn a_networks_life_is_told() {
    in_world(NETWORK, |w| {
        w.daemon_start();
        let ear = listen(w, "net-event --event lifecycle --loop", NETWORKS, 1);
        let transient = w.file("t.xml", &Net::new("t", 142).xml());
        w.net_up(&Net::new("n", 141));
        for step in ["net-undefine n", "net-destroy n"] {
            w.virsh(step).ok();
        }
        w.virsh_args(&["net-create", &transient.display().to_string()])
            .ok();
        w.virsh("net-destroy t").ok();
        let device_taken = Net::new("u", 143).xml().replace("virbr143", "lo");
        let path = w.file("u.xml", &device_taken).display().to_string();
        w.virsh_args(&["net-create", &path]).fails_with(&["lo"]);
        let told = [
            ("n", "Defined"),
            ("n", "Started"),
            ("n", "Undefined"),
            ("n", "Stopped"),
            ("t", "Started"),
            ("t", "Stopped"),
        ];
        let told = told.map(|(net, what)| format!("'lifecycle' for network {net}: {what}"));
        assert_eq!(heard(ear), told);
    });
}

/// Sockets that the daemon has open.
fn sockets(w: &World) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", w.daemon_pid())).unwrap();
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn clients_that_are_gone_or_do_not_read_disturb_nobody() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        // A start leaves the daemon a launcher for the next one, which it talks to through a socket.
        w.define(&Guest::new("other"));
        w.virsh("start other").ok();
        w.virsh("destroy other").ok();
        w.wait_for("the next launcher waits", Duration::from_secs(20), || {
            w.processes()
                .iter()
                .any(|(_, line)| line.contains("ferrovirt-launch"))
        });
        let before = sockets(w);
        // Asks for everything and reads nothing of it.
        let mut deaf = raw();
        for event in 0..28 {
            assert_eq!(deaf.call(316, event, &words(&[event, 0])).unwrap().status, 0);
        }
        let killed = listen(w, "event --all --loop", DOMAIN, 28);
        let ear = listen(w, "event --all --loop", DOMAIN, 28);
        w.define(&Guest::new("g"));
        killed.kill();
        w.virsh("start g").ok();
        let mut expected = [lifecycle("g", &["Defined Added"]), lifecycle("g", &STARTED)].concat();
        for n in 0..20 {
            for (step, word) in [
                ("suspend g", "Suspended Paused"),
                ("resume g", "Resumed Unpaused"),
            ] {
                w.virsh(step).within(Duration::from_secs(10)).ok();
                expected.extend(lifecycle("g", &[word]));
            }
            w.virsh(&format!("desc g {n}")).ok();
            expected.push("'metadata-change' 'g': type description, uri <null>".to_owned());
        }
        w.virsh("destroy g").ok();
        expected.extend(lifecycle("g", &DESTROYED));
        assert_eq!(heard(ear), expected);
        drop(deaf);
        w.wait_for("nobody is connected", Duration::from_secs(20), || {
            sockets(w) <= before
        });
    });
}
