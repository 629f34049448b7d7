//! Numbers for Prometheus, from a daemon that works.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use ferrovirt_tests::world::write;
use ferrovirt_tests::{Guest, Net, Tool, in_world};

use crate::page::talk;

const SETTINGS: &str = "/etc/ferrovirt/ferrovirtd.toml";

/// A scrape through the port.
fn scrape() -> String {
    let stream = TcpStream::connect(("127.0.0.1", 9177)).unwrap();
    talk(stream, "GET", "/metrics", "127.0.0.1:9177")
}

/// The value of a line of a scrape.
fn value(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

#[test]
fn hooks_guests_and_calls_are_counted() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft], |w| {
        write(
            Path::new(SETTINGS),
            "[metrics]\nlisten = '127.0.0.1:9177'\n",
            0o644,
        );
        w.record(&["daemon", "qemu", "network"]);
        w.rule("case \"$1 $2\" in 'web2 prepare') exit 3;; 'web2 release') sleep 300 & wait;; esac");
        w.rules("[[rule]]\ntimeout = '300ms'\nwhen = { guest = 'web2', operation = 'release' }\n");
        w.daemon_start();
        w.net_up(&Net::new("lan", 77));
        for name in ["web1", "web2"] {
            w.define(&Guest::new(name));
        }
        w.virsh("start web1").ok();
        assert_ne!(w.virsh("start web2").code, 0);
        let wanted = [
            (
                "ferrovirt_hook_runs_total{driver=\"daemon\",operation=\"start\",result=\"ok\"}",
                1.0,
            ),
            (
                "ferrovirt_hook_runs_total{driver=\"qemu\",operation=\"started\",result=\"ok\"}",
                1.0,
            ),
            (
                "ferrovirt_hook_runs_total{driver=\"qemu\",operation=\"prepare\",result=\"failed\"}",
                1.0,
            ),
            (
                "ferrovirt_hook_runs_total{driver=\"qemu\",operation=\"release\",result=\"timeout\"}",
                1.0,
            ),
            (
                "ferrovirt_hook_duration_seconds_count{driver=\"network\",operation=\"started\",script=\"network\"}",
                1.0,
            ),
            ("ferrovirt_hook_changes_missed_total", 0.0),
            ("ferrovirt_hooks_running", 0.0),
            ("ferrovirt_guests{state=\"running\"}", 1.0),
            ("ferrovirt_guests{state=\"shut off\"}", 1.0),
            ("ferrovirt_networks{state=\"active\"}", 1.0),
            ("ferrovirt_history_entries_lost_total", 0.0),
        ];
        // The history tells of a run a moment after it.
        w.wait_for("all numbers", Duration::from_secs(10), || {
            let text = scrape();
            wanted.iter().all(|(name, n)| value(&text, name) == Some(*n))
        });
        let text = scrape();
        for name in ["DOMAIN_CREATE", "DOMAIN_CREATE_WITH_FLAGS"] {
            let calls = |result| format!("ferrovirt_calls_total{{procedure=\"{name}\",result=\"{result}\"}}");
            if let Some(ok) = value(&text, &calls("ok")) {
                assert_eq!((ok, value(&text, &calls("error"))), (1.0, Some(1.0)), "{text}");
            }
        }
        assert!(
            value(&text, "ferrovirt_history_size_bytes").unwrap() > 4096.0,
            "{text}"
        );
        assert!(
            text.contains("ferrovirt_call_duration_seconds_bucket{le=\"+Inf\",procedure=\"CONNECT_OPEN\"}")
        );
        assert!(text.contains("application/openmetrics-text") && text.ends_with("# EOF\n"));

        w.rule("[ \"$2\" != release ] || sleep 3");
        w.succeeds("virsh destroy web1 > /dev/null 2>&1 &");
        w.wait_for("a hook that runs", Duration::from_secs(10), || {
            value(&scrape(), "ferrovirt_hooks_running") == Some(1.0)
        });
        assert_eq!(w.daemon_stop(), 0);
    });
}

#[test]
fn without_a_history_there_are_metrics_all_the_same() {
    in_world(&[Tool::Virsh], |w| {
        write(
            Path::new(SETTINGS),
            "[metrics]\nlisten = 'unix:/run/libvirt/m.sock'\n[hooks.history]\nkeep = false\n",
            0o644,
        );
        w.record(&["daemon"]);
        w.daemon_start();
        let text = talk(
            UnixStream::connect("/run/libvirt/m.sock").unwrap(),
            "GET",
            "/metrics",
            "any",
        );
        assert!(
            text.starts_with("HTTP/1.1 200") && text.contains("ferrovirt_hooks_running 0"),
            "{text}"
        );
        assert!(
            !text.contains("ferrovirt_hook_runs") && !text.contains("ferrovirt_history"),
            "{text}"
        );
        assert_eq!(w.sh("stat -c %a /run/libvirt/m.sock"), "600\n");
        let other = talk(
            UnixStream::connect("/run/libvirt/m.sock").unwrap(),
            "GET",
            "/",
            "any",
        );
        assert!(other.starts_with("HTTP/1.1 404"), "{other}");
        assert_eq!(w.daemon_stop(), 0);
    });
}
