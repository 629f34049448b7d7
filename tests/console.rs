//! `virsh console` as people use it, in a terminal, and what a stream costs when its client does not read.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use ferrovirt_tests::daemon::ENVIRONMENT;
use ferrovirt_tests::raw::{CONNECT_OPEN, Raw, frame_of, open_arguments};
use ferrovirt_tests::virsh::URI;
use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const LINUX: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Linux];

const LOOKUP_BY_NAME: u32 = 23;
const GET_HOSTNAME: u32 = 59;
const OPEN_CONSOLE: u32 = 201;
const OPEN_CHANNEL: u32 = 296;
const FORCE: u32 = 1;
const LXC: (u32, u32) = (0x0006_8000, 1);

/// `virsh console` in a terminal of its own.
pub(crate) struct Session {
    child: Child,
    keys: ChildStdin,
    screen: String,
}

impl Session {
    /// `script` makes the terminal; what is shown there is in a file with this name.
    fn start(w: &World, screen: &str, line: &str) -> Self {
        Self::start_at(w, URI, screen, line)
    }

    /// The same at another connection.
    pub(crate) fn start_at(w: &World, uri: &str, screen: &str, line: &str) -> Self {
        let mut child = Command::new("timeout")
            .args(["100", "script", "-qefc"])
            .arg(format!("virsh -c {uri} console {line}"))
            .arg(screen)
            .current_dir(&w.dir)
            .env_clear()
            .envs(ENVIRONMENT.iter().copied())
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            keys: child.stdin.take().unwrap(),
            child,
            screen: screen.to_owned(),
        }
    }

    pub(crate) fn shows(&self, w: &World, text: &str) {
        w.wait_text(&self.screen, text, 60);
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for its end; its exit code.
    pub(crate) fn ends(mut self, w: &World) -> i32 {
        w.wait_for("the session is over", Duration::from_secs(30), || {
            self.child.try_wait().unwrap().is_some()
        });
        self.child.wait().unwrap().code().unwrap()
    }
}

const UP: &str = "Connected to domain 'g'";
pub(crate) const ESCAPE: &str = "\x1d";

#[test]
fn text_goes_both_ways_and_the_escape_ends_it() {
    in_world(LINUX, |w| {
        w.daemon_start();
        w.define(&Guest::new("g").linux("guest.console=echo").terminal());
        w.virsh("start g").ok();
        let mut session = Session::start(w, "one", "g");
        session.shows(w, UP);
        session.shows(w, "GUEST-UP");
        session.types("hello\r");
        session.shows(w, "got:hello");
        session.types(ESCAPE);
        assert_eq!(session.ends(w), 0);
        // It can be opened again, also by its name.
        let mut session = Session::start(w, "two", "g --devname serial0 --safe");
        session.shows(w, UP);
        session.types("again\r");
        session.shows(w, "got:again");
        let other = Session::start(w, "three", "g");
        other.shows(
            w,
            "operation failed: Active console session exists for this domain",
        );
        assert_eq!(other.ends(w), 1);
        let mut forced = Session::start(w, "four", "g --force");
        forced.shows(w, UP);
        // The first one is over, and takes nothing from the second.
        session.ends(w);
        forced.types("mine\r");
        forced.shows(w, "got:mine");
        // A daemon that ends lets go of it, and the next one has it.
        w.daemon_stop();
        forced.ends(w);
        w.daemon_start();
        let mut session = Session::start(w, "five", "g");
        session.shows(w, UP);
        session.types("still\r");
        session.shows(w, "got:still");
        w.virsh("destroy g").ok();
        session.ends(w);
    });
}

fn connect() -> Raw {
    let mut raw = Raw::connect();
    let opened = raw.call(CONNECT_OPEN, 1, &open_arguments("qemu:///system"));
    assert_eq!(opened.unwrap().status, 0);
    raw
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn lookup(raw: &mut Raw, name: &str) -> Vec<u8> {
    let found = raw.call(LOOKUP_BY_NAME, 2, &string(name)).unwrap();
    assert_eq!(found.status, 0);
    found.body
}

/// Opens a console or a channel of `g`; the error's code, domain and text if there is one.
fn open(
    raw: &mut Raw,
    procedure: u32,
    serial: u32,
    device: Option<&str>,
    flags: u32,
) -> Option<(u32, u32, String)> {
    let mut arguments = lookup(raw, "g");
    match device {
        Some(device) => {
            arguments.extend([0, 0, 0, 1]);
            arguments.extend(string(device));
        }
        None => arguments.extend([0; 4]),
    }
    arguments.extend(flags.to_be_bytes());
    let reply = raw.call(procedure, serial, &arguments).unwrap();
    assert_eq!((reply.kind, reply.serial), (1, serial));
    (reply.status == 1).then(|| error(&reply.body))
}

fn error(body: &[u8]) -> (u32, u32, String) {
    let word = |i: usize| u32::from_be_bytes(body[4 * i..4 * i + 4].try_into().unwrap());
    let text = String::from_utf8_lossy(&body[16..16 + word(3) as usize]).into_owned();
    (word(0), word(1), text)
}

const DEVICES: &str = "<serial type='file'><source path='/run/world/second'/></serial>\
    <channel type='file'><source path='/run/world/file'/><target type='virtio' name='file'/></channel>\
    <channel type='unix'><source mode='bind' path='/run/world/socket'/><target type='virtio' name='socket'/></channel>";

#[test]
fn what_cannot_be_opened_is_refused_as_libvirtd_does() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("g").terminal().device(DEVICES));
        let mut raw = connect();
        let no = |refusal: Option<(u32, u32, String)>, code: u32, domain: u32, text: &str| {
            assert_eq!(refusal, Some((code, domain, text.to_owned())));
        };
        let off = "Requested operation is not valid: domain is not running";
        no(open(&mut raw, OPEN_CONSOLE, 3, None, 0), 55, 20, off);
        no(open(&mut raw, OPEN_CHANNEL, 3, None, 0), 55, 20, off);
        w.virsh("start g").ok();
        for (device, text) in [
            (
                "serial1",
                "internal error: character device serial1 is not using a PTY",
            ),
            (
                "channel0",
                "internal error: cannot find character device channel0",
            ),
        ] {
            no(open(&mut raw, OPEN_CONSOLE, 4, Some(device), 0), 1, 10, text);
        }
        for (device, text) in [
            (
                None,
                "internal error: channel channel0 is not using a UNIX socket",
            ),
            (
                Some("file"),
                "internal error: channel file is not using a UNIX socket",
            ),
            (Some("serial0"), "internal error: cannot find channel serial0"),
        ] {
            no(open(&mut raw, OPEN_CHANNEL, 5, device, 0), 1, 10, text);
        }
        let text = "unsupported flags (0x8) in function qemuDomainOpenConsole";
        no(open(&mut raw, OPEN_CONSOLE, 6, None, 8), 8, 10, text);
        let mut namespace = lookup(&mut raw, "g");
        namespace.extend([0; 4]);
        raw.send(&frame_of(LXC, 1, 7, &namespace));
        let text = "this function is not supported by the connection driver: virDomainLxcOpenNamespace";
        no(Some(error(&raw.reply().unwrap().body)), 3, 0, text);
        let mut reader = Raw::connect_to(ferrovirt_tests::daemon::SOCKET_READ_ONLY);
        let opened = reader.call(CONNECT_OPEN, 1, &open_arguments("qemu:///system"));
        assert_eq!(opened.unwrap().status, 0);
        let text = "operation forbidden: read only access prevents virDomainOpenConsole";
        no(open(&mut reader, OPEN_CONSOLE, 8, None, 0), 29, 20, text);
    });
}

#[test]
fn a_channel_has_one_client_until_another_takes_it_by_force() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("g").terminal().device(DEVICES));
        w.virsh("start g").ok();
        let (mut one, mut other) = (connect(), connect());
        assert_eq!(open(&mut one, OPEN_CHANNEL, 9, Some("socket"), 0), None);
        let text = "operation failed: Active channel stream exists for this domain";
        let refused = Some((9, 10, text.to_owned()));
        assert_eq!(open(&mut other, OPEN_CHANNEL, 9, Some("channel1"), 0), refused);
        assert_eq!(open(&mut other, OPEN_CHANNEL, 9, Some("channel1"), FORCE), None);
        let lost = one.reply().unwrap();
        assert_eq!((lost.kind, lost.serial, lost.status), (3, 9, 1));
        assert_eq!(error(&lost.body), (39, 38, "stream had I/O failure".to_owned()));
        // Its end is the guest's: an end of data, which the client answers.
        w.virsh("destroy g").ok();
        let end = other.reply().unwrap();
        assert_eq!((end.kind, end.status, end.body.len()), (3, 2, 0));
        let mut finish = frame_of((ferrovirt_tests::raw::PROGRAM, 1), OPEN_CHANNEL, 9, &[]);
        finish[19] = 3;
        other.send(&finish);
        let end = other.reply().unwrap();
        assert_eq!((end.kind, end.serial, end.status), (3, 9, 0));
    });
}

/// KiB of memory that the daemon has now.
fn memory(w: &World) -> u64 {
    let status = w.read(format!("/proc/{}/status", w.daemon_pid()));
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_client_that_stops_reading_holds_nobody_up_and_costs_no_memory() {
    in_world(LINUX, |w| {
        w.daemon_start();
        w.define(&Guest::new("g").linux("guest.console=flood").terminal());
        w.virsh("start g").ok();
        let mut deaf = connect();
        // Its system boots first.
        deaf.wait_up_to(Duration::from_secs(60));
        assert_eq!(open(&mut deaf, OPEN_CONSOLE, 9, None, 0), None);
        // Until the flood has begun.
        let mut seen = String::new();
        while !seen.contains("a line of the flood") {
            let packet = deaf.reply().unwrap();
            assert_eq!((packet.kind, packet.status), (3, 2));
            seen += &String::from_utf8_lossy(&packet.body);
        }
        let before = memory(w);
        for _ in 0..30 {
            w.virsh("list").ok();
            w.virsh("domstate g").ok();
            std::thread::sleep(Duration::from_millis(200));
        }
        let more = memory(w).saturating_sub(before);
        assert!(more < 8 << 10, "{more} KiB more");
        // Its own calls are answered behind what it was sent, and the flood goes on where it stopped.
        deaf.send(&ferrovirt_tests::raw::frame(GET_HOSTNAME, 10, &[]));
        let mut text = seen;
        let mut answered = false;
        while !answered || text.len() < 500_000 {
            let next = deaf.reply().unwrap();
            match next.kind {
                1 => answered = next.serial == 10 && next.status == 0,
                _ => text += &String::from_utf8_lossy(&next.body),
            }
        }
        let flood = &text[text.find("a line of the flood").unwrap()..];
        let mut lines = flood.lines();
        lines.next_back();
        let odd = lines.filter(|line| *line != "a line of the flood").count();
        println!(
            "note: {} KiB more for {} bytes; {odd} lines were cut",
            more,
            text.len()
        );
        // A serial port has no flow control: its guest may lose a byte where it had to wait, the daemon loses none.
        assert!(odd < 5, "{odd} lines are not as the guest wrote them");
    });
}
