//! The status page: a daemon that serves it, hooks that run, and a browser if there is one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ferrovirt_tests::world::{target_dir, write};
use ferrovirt_tests::{Guest, Net, Tool, World, in_world, tools};

const SETTINGS: &str = "/etc/ferrovirt/ferrovirtd.toml";
const PORT: u16 = 9178;
const SOCKET: &str = "/run/libvirt/page.sock";

/// Sends a request and reads the answer to its end.
pub(crate) fn talk<S: Read + Write>(mut stream: S, method: &str, path: &str, host: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A page through the port.
fn get(path: &str) -> String {
    let stream = TcpStream::connect(("127.0.0.1", PORT)).unwrap();
    talk(stream, "GET", path, &format!("localhost:{PORT}"))
}

/// A page through the socket.
fn get_unix(path: &str) -> String {
    talk(UnixStream::connect(SOCKET).unwrap(), "GET", path, "any")
}

/// The first link below this path on a page.
fn link(page: &str, below: &str) -> String {
    let start = page
        .find(&format!("href=\"{below}"))
        .unwrap_or_else(|| panic!("no link to {below} in {page}"));
    page[start + 6..].split('"').next().unwrap_or_default().to_owned()
}

/// A guest that runs, hooks that ran for it, one of which failed, and a network.
fn busy(w: &World, listen: &str) {
    write(
        Path::new(SETTINGS),
        &format!("[page]\nlisten = '{listen}'\n"),
        0o644,
    );
    w.record(&["qemu", "network"]);
    w.rule("echo loud-secret >&2; [ \"$2\" != started ] || [ \"$1\" != web2 ] || exit 3");
    w.daemon_start();
    w.net_up(&Net::new("lan", 77));
    for name in ["web1", "web2"] {
        w.define(&Guest::new(name));
    }
    w.virsh("start web1").ok();
    assert_ne!(w.virsh("start web2").code, 0);
}

#[test]
fn the_page_is_off_unless_it_is_asked_for() {
    in_world(&[Tool::Virsh], |w| {
        w.daemon_start();
        // Neither it nor the metrics: nobody listens on any port.
        let listening = w.sh("cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == \"0A\"'");
        assert_eq!(listening, "");
        assert_eq!(w.sh("ls /run/libvirt | grep sock$"), "libvirt-sock\n");
    });
}

#[test]
fn r21_an_address_for_strangers_is_a_mistake() {
    in_world(&[Tool::Virsh], |w| {
        write(Path::new(SETTINGS), "[page]\nlisten = '0.0.0.0:9178'\n", 0o644);
        w.daemon_spawn(&[]);
        assert_eq!(w.daemon_wait(Duration::from_secs(10)), 1);
        let said = w.read("daemon.out");
        assert!(
            said.contains("ferrovirtd.toml:2:10: '0.0.0.0:9178' is not of this machine alone"),
            "{said}"
        );
    });
}

#[test]
fn a_port_that_is_taken_costs_only_the_page() {
    in_world(&[Tool::Virsh], |w| {
        write(Path::new(SETTINGS), "[page]\nlisten = '127.0.0.1:9178'\n", 0o644);
        let _taken = std::net::TcpListener::bind(("127.0.0.1", PORT)).unwrap();
        w.daemon_start();
        let log = w.daemon_log();
        assert!(log.contains("there is no status page"), "{log}");
    });
}

#[test]
fn a_guest_with_hooks_can_be_watched() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft], |w| {
        busy(w, "127.0.0.1:9178");
        let home = get("/");
        for text in [
            "HTTP/1.1 200 OK",
            "testhost",
            "href=\"/guest/web1\"",
            ">running<",
            "href=\"/network/lan\"",
            ">active<",
            "exit status 3",
        ] {
            assert!(home.contains(text), "{text} is not in {home}");
        }
        assert!(!home.contains("loud-secret"), "{home}");

        let guest = get("/guest/web1");
        assert!(
            guest.contains("web1 prepare begin -") && guest.contains("web1 started begin -"),
            "{guest}"
        );
        let network = get("/network/lan");
        assert!(network.contains("lan started begin -"), "{network}");
        let run = get(&link(&home, "/run/"));
        assert!(
            run.contains("web2 started begin -") && run.contains("/etc/libvirt/hooks/qemu"),
            "{run}"
        );
        // Everybody of this machine can connect here.
        assert!(
            !run.contains("loud-secret") && !run.contains("domain type"),
            "{run}"
        );
        w.wait_for("the failed operation", Duration::from_secs(10), || {
            get("/guest/web2").contains("href=\"/operation/")
        });
        a_timeline(&get("/guest/web2"));
        assert!(get("/guest/nobody").starts_with("HTTP/1.1 404"));
        let stream = || TcpStream::connect(("127.0.0.1", PORT)).unwrap();
        assert!(talk(stream(), "GET", "/", "evil.example").starts_with("HTTP/1.1 403"));
        assert!(talk(stream(), "POST", "/", "localhost:9178").starts_with("HTTP/1.1 405"));

        // A hook that runs is seen, and the page does not wait for it.
        w.rule("[ \"$2\" != release ] || sleep 3");
        w.succeeds("virsh destroy web1 > /dev/null 2>&1 &");
        w.wait_for("the hook on the page", Duration::from_secs(10), || {
            get("/").contains("qemu web1 release end")
        });
        w.virsh("destroy web1");
        assert_eq!(w.daemon_stop(), 0);
        assert!(TcpStream::connect(("127.0.0.1", PORT)).is_err());
    });
}

/// Which hook of an operation ran when and how long, beside what the hypervisor took; each bar opens its record.
fn a_timeline(guest: &str) {
    let page = get(&link(guest, "/operation/"));
    for text in ["web2", "When what ran", "<svg", "took</th>"] {
        assert!(
            page.to_lowercase().contains(&text.to_lowercase()),
            "no {text} in {page}"
        );
    }
    let bars: Vec<&str> = page.lines().filter(|line| line.contains("<svg")).collect();
    for part in ["prepare", "started", "release"] {
        let bar = bars
            .iter()
            .find(|bar| bar.contains(part) && bar.contains("/run/"));
        let bar = bar.unwrap_or_else(|| panic!("no bar of {part} in {page}"));
        assert!(
            get(&link(bar, "/run/")).contains(&format!("web2 {part}")),
            "{bar}"
        );
    }
    assert!(
        bars.iter().any(|bar| !bar.contains("/run/")),
        "steps of the hypervisor: {page}"
    );
    // Nothing is fetched from elsewhere.
    for text in ["http://", "https://", "<script src", "@import"] {
        assert!(!page.contains(text), "{text} in {page}");
    }
}

#[test]
fn root_sees_everything_through_the_socket() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft], |w| {
        busy(w, &format!("unix:{SOCKET}"));
        assert_eq!(w.sh(&format!("stat -c %a {SOCKET}")), "600\n");
        let run = get_unix(&link(&get_unix("/"), "/run/"));
        for text in [
            "loud-secret",
            "&#60;domain type=&#39;qemu&#39;",
            "&#60;name&#62;web2",
        ] {
            assert!(run.contains(text), "{text} is not in {run}");
        }
        assert_eq!(w.daemon_stop(), 0);
        assert!(!Path::new(SOCKET).exists());
    });
}

/// A browser: `CHROMIUM` names it, or it is on the search path. `scripts/install-deps` does not install one, since its
/// packages are more than a hundred megabytes; without it this is skipped, also in CI.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    named.or_else(|| tools::find("chromium"))
}

/// Loads a page; gives its document after loading, and checks that the console stayed silent.
fn load(browser: &Path, args: &[&str], path: &str) -> String {
    let mut command = Command::new("timeout");
    command
        .args(["-s", "KILL", "90"])
        .arg(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args(["--user-data-dir=/run/world/browser", "--enable-logging=stderr"])
        .args(["--virtual-time-budget=3000"])
        .args(args)
        .arg(format!("http://localhost:{PORT}{path}"))
        .env("HOME", "/run/world")
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    assert!(!said.contains("CONSOLE"), "{path}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_browser_shows_it_without_a_word_of_complaint() {
    let Some(browser) = browser() else {
        println!(
            "skipped: no chromium (scripts/install-deps leaves it out: it is too large); CHROMIUM may name one"
        );
        return;
    };
    in_world(
        &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft],
        move |w: &World| {
            busy(w, "127.0.0.1:9178");
            let home = load(&browser, &["--dump-dom"], "/");
            assert!(
                home.contains("<h1>testhost</h1>") && home.contains("web1"),
                "{home}"
            );
            let mut pages = vec![
                ("home", "/".to_owned()),
                ("guest", "/guest/web1".to_owned()),
                ("run", link(&home, "/run/")),
            ];
            if home.contains("href=\"/operation/") {
                pages.push(("operation", link(&home, "/operation/")));
            }
            let dir = target_dir().join("page");
            std::fs::create_dir_all(&dir).unwrap();
            for (name, path) in pages {
                for (size, width) in [("wide", 1100), ("narrow", 500)] {
                    let file = dir.join(format!("{name}-{size}.png"));
                    let shot = format!("--screenshot={}", file.display());
                    load(
                        &browser,
                        &[&shot, "--hide-scrollbars", &format!("--window-size={width},1200")],
                        &path,
                    );
                    assert!(
                        std::fs::metadata(&file).is_ok_and(|meta| meta.len() > 1000),
                        "{}",
                        file.display()
                    );
                }
            }
            println!("note: pictures of the page are in {}", dir.display());
        },
    );
}
