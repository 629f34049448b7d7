//! The history of calls: what is asked of it, how much of it is kept, and that nothing hurts it (R93).

use std::path::Path;
use std::time::Duration;

use ferrovirt_tests::world::{our_program, write};
use ferrovirt_tests::{Guest, Net, Tool, World, in_world};
use serde_json::Value;

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const NETWORKS: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft];
const SETTINGS: &str = "/etc/ferrovirt/ferrovirtd.toml";
const FILE: &str = "/var/lib/ferrovirt/history.db";

/// The calls that `ferrovirt history ARGS` shows.
fn rows(w: &World, args: &str) -> Vec<Value> {
    let shown = w.ferrovirt(&format!("history --json {args}"));
    let lines = shown.ok().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What they were called for: `OBJECT OPERATION`.
fn calls(w: &World, args: &str) -> Vec<String> {
    let of = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let all = rows(w, args);
    all.iter()
        .map(|row| format!("{} {}", of(row, "object"), of(row, "operation")))
        .collect()
}

#[test]
fn r93_every_question_of_the_tool() {
    in_world(NETWORKS, |w| {
        let uuid = "11111111-2222-4333-8444-555555555557";
        w.record(&["qemu", "network"]);
        w.rule("[ \"$1 $2\" != 'b start' ] || { echo why >&2; exit 3; }");
        w.daemon_start();
        w.net_up(&Net::new("n", 181));
        w.define(&Guest::new("a").uuid(uuid));
        w.define(&Guest::new("b"));
        w.virsh("start a").ok();
        w.virsh("start b").fails_with(&["why"]);
        let of_a = ["a prepare", "a start", "a started"];
        assert_eq!(calls(w, "--guest a"), of_a);
        assert_eq!(calls(w, &format!("--guest {uuid}")), of_a);
        assert_eq!(calls(w, "--network n"), ["n start", "n started"]);
        assert_eq!(calls(w, "--failed"), ["b start"]);
        assert_eq!(calls(w, "--operation start"), ["n start", "a start", "b start"]);
        assert_eq!(calls(w, "--guest b --limit 2"), ["b stopped", "b release"]);
        assert_eq!(calls(w, "--guest a --since 1h"), of_a);
        assert_eq!(calls(w, "--since 2100-01-01").len(), 0);
        let wrong = w.ferrovirt("history --since yesterday");
        assert_eq!(wrong.code, 2);
        wrong.fails_with(&["2026-11-21T09:30"]);
        // One row in full: R93 word by word.
        let row = &rows(w, "--failed")[0];
        let digest = w.sh("sha256sum < /etc/libvirt/hooks/qemu");
        assert_eq!(row["digest"].as_str(), digest.split_whitespace().next());
        assert_eq!(row["how"]["exit"], 3);
        assert!(row["took_ms"].as_f64() > Some(0.0) && row["began"].as_str().is_some());
        let asked = &row["asked_by"];
        assert!(
            asked["program"].as_str().is_some_and(|p| p.ends_with("virsh")) && asked["uid"] == 0,
            "{row}"
        );
        let text = w.ferrovirt("history --guest b");
        let line = text.ok().lines().find(|line| line.contains("b start begin -"));
        let line = line.expect("a line for people");
        assert!(
            line.contains("exit 3") && line.ends_with("/etc/libvirt/hooks/qemu"),
            "{line}"
        );
    });
}

#[test]
fn r93_follow_shows_calls_as_they_end() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        let tool = our_program("ferrovirt");
        // Readers may follow, too.
        let follow = |socket: &str, out: &str| {
            let command = format!(
                "{} --socket {socket} history --guest g --follow > {out} 2>&1 < /dev/null & echo $!",
                tool.display()
            );
            w.sh(&command).trim().parse::<u32>().expect("a number")
        };
        let all = follow("/run/libvirt/libvirt-sock", "follow");
        let reader = follow("/run/libvirt/libvirt-sock-ro", "follow.ro");
        for out in ["follow", "follow.ro"] {
            w.wait_text(out, "g started begin -", 20);
        }
        w.rule("[ $2 != stopped ] || sleep 1");
        w.virsh("destroy g").ok();
        for out in ["follow", "follow.ro"] {
            w.wait_text(out, "g release end destroyed", 20);
            let text = w.read(out);
            assert_eq!(
                text.matches("g stopped end -").count(),
                1,
                "each call once: {text}"
            );
            assert_eq!(text.matches("g prepare begin -").count(), 1, "{text}");
        }
        for pid in [all, reader] {
            w.signal(pid, "TERM");
        }
    });
}

#[test]
fn r93_what_a_filter_changes_is_shown_in_colour() {
    in_world(NEEDS, |w| {
        w.hook(
            "qemu",
            "#!/bin/sh\nsed 's/<on_crash>destroy/<on_crash>restart/'\necho noted >&2\n",
        );
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.ferrovirt("run qemu g restore").ok();
        let id = rows(w, "--guest g --operation restore")[0]["id"].to_string();
        let shown = w.ferrovirt(&format!("show {id} --color always"));
        for part in [
            "\x1b[31m-  <on_crash>destroy</on_crash>\x1b[0m",
            "\x1b[32m+  <on_crash>restart</on_crash>\x1b[0m",
            "what the filter changed",
            "noted",
            "simulation",
            "<name>g</name>",
        ] {
            assert!(shown.ok().contains(part), "no {part:?} in {}", shown.out);
        }
        let plain = w.ferrovirt(&format!("show {id}"));
        assert!(!plain.ok().contains('\x1b'), "{}", plain.out);
        let json: Value = serde_json::from_str(w.ferrovirt(&format!("show {id} --json")).ok()).unwrap();
        let output = json["output_document"]["text"].as_str();
        assert!(
            output.is_some_and(|text| text.contains("<on_crash>restart")),
            "{json}"
        );
        // The same call again, in words for programs.
        let again = w.ferrovirt(&format!("replay {id} --json"));
        let again: Value = serde_json::from_str(again.ok()).unwrap();
        assert_eq!(again[0]["outcome"], "exit status 0");
        assert_eq!(
            calls(w, "--operation restore").len(),
            2,
            "a replay is a call, too"
        );
    });
}

#[test]
fn r93_size_and_age_are_limited_and_numbers_never_come_back() {
    in_world(NEEDS, |w| {
        write(
            Path::new(SETTINGS),
            "[hooks.history]\nmax_mib = 1\n[hooks]\noutput_limit = 400000\n",
            0o644,
        );
        w.hook("qemu", "#!/bin/sh\nhead -c 200k /dev/urandom | base64\n");
        w.daemon_start();
        w.define(&Guest::new("g"));
        for _ in 0..3 {
            w.virsh("start g").ok();
            w.virsh("destroy g").ok();
        }
        // Fifteen calls of a quarter of a MiB.
        w.wait_for("the oldest calls are gone", Duration::from_secs(60), || {
            w.ferrovirt("show 1").err.contains("there is no call 1")
                && std::fs::metadata(FILE).is_ok_and(|file| file.len() < 3 << 19)
        });
        // Rows are written behind the calls.
        w.wait_for("the newest is there, and stays", Duration::from_secs(60), || {
            let kept = rows(w, "");
            kept.last().and_then(|row| row["id"].as_u64()) == Some(15)
        });
        assert_eq!(w.daemon_stop(), 0);
        // Nothing may be older than no time at all.
        write(Path::new(SETTINGS), "[hooks.history]\nmax_days = 0\n", 0o644);
        w.daemon_start();
        w.wait_for("all is forgotten", Duration::from_secs(60), || {
            rows(w, "").is_empty()
        });
        assert_eq!(w.daemon_stop(), 0);
        write(Path::new(SETTINGS), "", 0o644);
        w.daemon_start();
        w.virsh("start g").ok();
        assert_eq!(rows(w, "")[0]["id"], 16);
        assert_eq!(w.daemon_stop(), 0);
        // And none at all where nobody wants one.
        write(Path::new(SETTINGS), "[hooks.history]\nkeep = false\n", 0o644);
        w.daemon_start();
        w.ferrovirt("history").fails_with(&["there is no history"]);
    });
}

#[test]
fn r93_a_broken_file_is_put_aside_and_passwords_are_nowhere() {
    in_world(NEEDS, |w| {
        w.hook("qemu", "#!/bin/sh\ncat; echo \"<graphics passwd='leak'/>\" >&2\n");
        w.daemon_start();
        let vnc = "<graphics type='vnc' port='-1' autoport='yes' passwd='geheim'/>";
        w.define(&Guest::new("g").device(vnc));
        w.virsh("start g").ok();
        // Not in what scripts got or printed either.
        w.ferrovirt("run qemu g restore").ok();
        w.daemon_kill();
        w.sh("! cat /var/lib/ferrovirt/* | grep -aqE 'geheim|leak'");
        for file in w.sh("ls /var/lib/ferrovirt").lines() {
            let mode = w.sh(&format!("stat -c %a /var/lib/ferrovirt/{file}"));
            assert_eq!(mode.trim(), "600", "{file}");
        }
        w.daemon_start();
        assert!(!rows(w, "").is_empty(), "a kill leaves it whole");
        assert_eq!(w.daemon_stop(), 0);
        w.sh(
            "head -c 8k /dev/urandom > /var/lib/ferrovirt/history.db; rm -f /var/lib/ferrovirt/history.db-*",
        );
        w.daemon_start();
        assert!(w.daemon_log().contains("is broken"), "{}", w.daemon_log());
        assert!(w.succeeds("ls /var/lib/ferrovirt/history.db.broken-*"));
        w.virsh("destroy g").ok();
        assert!(calls(w, "--guest g").contains(&"g release".to_owned()));
    });
}
