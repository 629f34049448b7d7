//! `ferrovirt`, the tool, beside virsh: what runs, what would run, what ran.

use std::time::Duration;

use ferrovirt_tests::{Guest, Net, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

/// A guest whose `prepare` hook hangs, and the start that waits for it.
fn hanging(w: &World) -> ferrovirt_tests::Background {
    w.record(&["qemu"]);
    w.rule("[ $2 != prepare ] || { sleep 300 & wait; }");
    w.daemon_start();
    w.define(&Guest::new("g"));
    let start = w.virsh_background("start g");
    w.wait_called("qemu g prepare begin -");
    start
}

#[test]
fn r92_ps_shows_the_tree_and_cancel_ends_it() {
    in_world(NEEDS, |w| {
        let start = hanging(w);
        let shown = w.ferrovirt("ps --tree");
        assert!(
            shown
                .ok()
                .contains("/etc/libvirt/hooks/qemu (qemu g prepare begin -)"),
            "{}",
            shown.out
        );
        assert!(shown.out.contains("sleep 300"), "{}", shown.out);
        let id = w.only_hook();
        w.ferrovirt(&format!("cancel {id}")).ok();
        start.join().fails_with(&[
            "Hook script execution failed: internal error: /etc/libvirt/hooks/qemu (qemu g prepare begin -)",
            "was ended by ferrovirt cancel",
        ]);
        // R30: what was prepared is undone.
        w.wait_called("qemu g release end failed");
        assert_eq!(w.virsh("domstate g").ok().trim(), "shut off");
        assert_eq!(w.ferrovirt("ps").ok(), "no hook is running\n");
        w.ferrovirt(&format!("cancel {id}"))
            .fails_with(&["no hook with number"]);
    });
}

#[test]
fn readers_see_what_runs_and_change_nothing() {
    in_world(NEEDS, |w| {
        let start = hanging(w);
        let socket = "--socket /run/libvirt/libvirt-sock-ro";
        assert!(w.ferrovirt(&format!("{socket} ps")).ok().contains("prepare"));
        let id = w.only_hook();
        for line in [
            format!("cancel {id}"),
            "show 1".to_owned(),
            "replay 1".to_owned(),
            "run qemu g start".to_owned(),
        ] {
            w.ferrovirt(&format!("{socket} {line}"))
                .fails_with(&["read only access prevents ferrovirt"]);
        }
        let rows = w.ferrovirt(&format!("{socket} history --json"));
        assert!(rows.ok().contains("\"prepare\""), "{}", rows.out);
        w.ferrovirt(&format!("cancel {id}")).ok();
        start.join().fails_with(&[]);
    });
}

#[test]
fn without_a_daemon_the_tool_says_so() {
    in_world(&[], |w| {
        let output = w.ferrovirt("ps");
        assert_eq!(output.code, 2);
        output.fails_with(&["cannot connect to the daemon at /run/libvirt/libvirt-sock: No such file"]);
    });
}

#[test]
fn r93_history_show_and_replay() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.hook(
            "qemu.d/10-loud",
            "#!/bin/sh\necho out; echo err >&2; [ $2 != prepare ] || exit 3\n",
        );
        w.daemon_start();
        w.define(&Guest::new("g").device("<graphics type='vnc' passwd='geheim'/>"));
        w.virsh("start g").fails_with(&["unexpected exit status 3: err"]);
        let failed = w.ferrovirt("history --failed --guest g");
        let line = failed
            .ok()
            .lines()
            .find(|line| line.contains("prepare"))
            .expect("a failed call");
        assert!(
            line.contains("exit 3") && line.contains("/etc/libvirt/hooks/qemu.d/10-loud"),
            "{line}"
        );
        let id = line.split_whitespace().next().expect("a number");
        let shown = w.ferrovirt(&format!("show {id}"));
        for part in [
            "(qemu g prepare begin -)",
            "exit 3 after",
            "virsh",
            "standard output\nout",
            "standard error\nerr",
            "<name>g</name>",
        ] {
            assert!(shown.ok().contains(part), "no {part} in {}", shown.out);
        }
        // The same call again: the recorder sees it, no guest is touched.
        w.forget_calls();
        let replayed = w.ferrovirt(&format!("replay {id}"));
        assert_eq!(replayed.code, 1, "{}", replayed.out);
        assert!(replayed.out.contains("exit status 3"), "{}", replayed.out);
        assert_eq!(w.calls(), Vec::<String>::new(), "one script, not all of the call");
        let other = w.script("other", "#!/bin/sh\ngrep -q '<name>g</name>'\n");
        w.ferrovirt(&format!("replay {id} --script {}", other.display()))
            .ok();
        assert_eq!(w.virsh("domstate g").ok().trim(), "shut off");
        // By a secret nobody is served: R93.
        w.sh("! grep -aq geheim /var/lib/ferrovirt/history.db*");
        let mode = w.sh("stat -c %a /var/lib/ferrovirt/history.db");
        assert_eq!(mode.trim(), "600");
    });
}

#[test]
fn r93_history_outlives_the_daemon_and_knows_what_was_lost() {
    in_world(NEEDS, |w| {
        let start = hanging(w);
        w.wait_for("the call is in the history", Duration::from_secs(10), || {
            w.ferrovirt("history --json").out.contains("\"how\":null")
        });
        w.daemon_kill();
        start.join().fails_with(&[]);
        w.rule("");
        w.daemon_start();
        w.wait_called("qemu g release end failed");
        let rows = w.ferrovirt("history --guest g");
        let line = rows
            .ok()
            .lines()
            .find(|line| line.contains("prepare"))
            .expect("the lost call");
        assert!(line.contains("lost"), "{line}");
    });
}

#[test]
fn list_shows_what_would_run_and_why_not() {
    in_world(NEEDS, |w| {
        w.record(&["qemu", "qemu.d/10-a", "qemu.d/20-b"]);
        w.sh("chmod 644 /etc/libvirt/hooks/qemu.d/20-b; mkdir /etc/libvirt/hooks/qemu.d/30-dir");
        w.sh("mkdir -p /etc/ferrovirt/guests/g/prepare");
        w.hook(
            "../../ferrovirt/guests/g/prepare/own",
            "#!/bin/sh\necho own >> /run/world/own\n",
        );
        w.rules("[[rule]]\nname = 'tell'\nrun = '/bin/true'\n[rule.when]\ndriver = 'qemu'\noperation = 'prepare'\n");
        w.daemon_start();
        w.define(&Guest::new("g"));
        let listed = w.ferrovirt("list --guest g --operation prepare");
        let lines: Vec<&str> = listed.ok().lines().collect();
        assert_eq!(
            lines,
            [
                "  1. /etc/libvirt/hooks/qemu",
                "  2. /etc/libvirt/hooks/qemu.d/10-a",
                "   - /etc/libvirt/hooks/qemu.d/20-b: not run: its mode 0644 has no execute bit",
                "   - /etc/libvirt/hooks/qemu.d/30-dir: not run: it is a directory",
                "  3. /etc/ferrovirt/guests/g/prepare/own (guest directory)",
                "  4. /bin/true (rule 'tell')",
            ]
        );
        // And that is what runs.
        w.virsh("start g").ok();
        assert_eq!(w.read("own"), "own\n");
        let calls = w.calls();
        assert_eq!(
            calls[..2],
            ["qemu g prepare begin -", "qemu.d/10-a g prepare begin -"]
        );
        let rows = w.ferrovirt("history --operation prepare");
        assert!(rows.ok().contains("/bin/true"), "{}", rows.out);
        w.ferrovirt("list --guest g --operation prepair")
            .fails_with(&["no hook operation 'prepair'"]);
    });
}

#[test]
fn list_knows_networks_all_drivers_and_events_that_nothing_is_called_for() {
    in_world(&[Tool::Virsh, Tool::Dnsmasq, Tool::Nft], |w| {
        w.record(&["daemon", "qemu", "network", "network.d/10-a"]);
        w.rules(
            "[[rule]]\nname = 'slow'\ntimeout = '30s'\nlock = 'net'\nwhen = { network = 'n', script = 'network' }\n\
             [[rule]]\nname = 'note'\nrun = '/bin/true'\nasync = true\nwhen = { driver = 'qemu', operation = 'suspended' }\n",
        );
        w.daemon_start();
        w.net_define(&Net::new("n", 183));
        let listed = |args: &str| w.ferrovirt(&format!("list {args}")).ok().to_owned();
        assert_eq!(
            listed("--network n --operation port-created"),
            "  1. /etc/libvirt/hooks/network (by rule slow; ended after 30s; lock 'net')\n  2. /etc/libvirt/hooks/network.d/10-a\n"
        );
        let all = listed("");
        for script in ["daemon", "qemu", "network", "network.d/10-a"] {
            assert!(
                all.contains(&format!(". /etc/libvirt/hooks/{script}")),
                "no {script} in {all}"
            );
        }
        let suspended = listed("--driver qemu --operation suspended");
        assert!(
            suspended.contains("1. /bin/true (rule 'note'; nobody waits for it)"),
            "{suspended}"
        );
        assert!(
            suspended.contains("no script of the driver is called"),
            "{suspended}"
        );
        assert!(
            listed("--guest g --operation restore")
                .contains("(this build never calls qemu g restore begin -)")
        );
        assert!(listed("--guest nobody --operation start").contains("(qemu knows no 'nobody': "));
        let json: serde_json::Value =
            serde_json::from_str(&listed("--network n --operation start --json")).unwrap();
        assert_eq!(json["entries"][0]["runs"], true);
        assert_eq!(json["entries"][0]["rules"][0], "slow");
    });
}

#[test]
fn run_takes_documents_reasons_and_rules_as_the_daemon_would() {
    in_world(NEEDS, |w| {
        w.record(&["qemu", "daemon"]);
        w.rule("echo out; echo err >&2; [ \"$2$4\" != releasecrashed ] || exit 3; [ $2 != start ] || [ $hook != qemu ] || exit 4");
        w.rules("[[rule]]\nenv = { FERROVIRT_X = 'y' }\npayload = 'json'\nwhen = { driver = 'qemu', operation = 'prepare' }\n");
        w.daemon_start();
        let document = w.file("own.xml", &Guest::new("fresh").xml());
        let tried = w.ferrovirt(&format!(
            "run qemu fresh prepare --document {}",
            document.display()
        ));
        assert!(
            tried
                .ok()
                .contains("/etc/libvirt/hooks/qemu fresh prepare begin -: exit status 0"),
            "{}",
            tried.out
        );
        assert!(
            tried.out.contains("stdout: out") && tried.out.contains("stderr: err"),
            "{}",
            tried.out
        );
        let given = w.document("qemu fresh prepare begin -");
        assert!(
            given.starts_with("{\"version\":1,") && given.contains("<name>fresh</name>"),
            "{given}"
        );
        assert_eq!(
            w.virsh("list --all --name").ok().trim(),
            "",
            "nothing was defined"
        );
        // What can refuse a start does, what cannot does not.
        let refused = w.ferrovirt(&format!("run qemu fresh start --document {}", document.display()));
        assert_eq!(refused.code, 1, "{}", refused.out);
        assert!(
            refused.out.contains("the operation would have failed: ")
                && refused.out.contains("exit status 4"),
            "{}",
            refused.out
        );
        let late = w.ferrovirt(&format!(
            "run qemu fresh release --extra crashed --json --document {}",
            document.display()
        ));
        let late: serde_json::Value = serde_json::from_str(late.ok()).unwrap();
        assert_eq!(late[0]["outcome"], "exit status 3");
        assert_eq!(late[0]["arguments"][3], "crashed");
        w.forget_calls();
        w.ferrovirt("run daemon - --life").ok();
        w.assert_calls(&["daemon - start - start", "daemon - shutdown - shutdown"]);
        w.ferrovirt("run qemu fresh prepare")
            .fails_with(&["there is no guest 'fresh' whose document could be used"]);
    });
}

#[test]
fn check_needs_no_daemon_and_knows_the_directory_that_counts() {
    in_world(&[], |w| {
        assert_eq!(w.ferrovirt("check").code, 0, "no hooks, no mistakes");
        w.hook("qemu", "#!/bin/sh\nexit 0\n");
        assert_eq!(w.ferrovirt("check").code, 0);
        w.sh("chmod 666 /etc/libvirt/hooks/qemu; mkdir -p /etc/libvirt/hooks/network.d/sub");
        w.hook("network.d/10-a.bak", "#!/no/such/shell\nexit 0\n");
        let found = w.ferrovirt("check --format json");
        assert_eq!(found.code, 1, "{}", found.out);
        let report: serde_json::Value = serde_json::from_str(&found.out).unwrap();
        let of = |end: &str| -> Vec<&str> {
            let all = report["findings"].as_array().unwrap().iter();
            all.filter(|one| {
                one["file"]
                    .as_str()
                    .or(one["path"].as_str())
                    .is_some_and(|path| path.ends_with(end))
            })
            .filter_map(|one| one["code"].as_str())
            .collect()
        };
        assert!(of("hooks/qemu").len() >= 2, "its mode, twice: {report}");
        assert!(
            of("10-a.bak").len() >= 2,
            "a backup with a missing interpreter: {report}"
        );
        assert!(!of("network.d/sub").is_empty(), "{report}");
        let code = of("hooks/qemu")[0];
        assert!(
            w.ferrovirt(&format!("check --explain {code}"))
                .ok()
                .contains(code)
        );
    });
}

#[test]
fn completion_is_a_script_that_shells_take_and_knows_all_commands() {
    in_world(&[], |w| {
        for (shell, takes) in [("bash", "bash -n"), ("zsh", "true"), ("fish", "true")] {
            let text = w.ferrovirt(&format!("completion {shell}")).ok().to_owned();
            w.file("completion", &text);
            w.sh(&format!("{takes} completion"));
            let commands = [
                "check", "ps", "cancel", "list", "run", "history", "show", "replay", "why",
            ];
            for word in commands {
                assert!(text.contains(word), "{shell}: no {word}");
            }
        }
    });
}

#[test]
fn run_simulates_an_operation_and_a_whole_life() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft], |w| {
        w.record(&["qemu", "network"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.net_define(&Net::new("n", 5));
        w.ferrovirt("run qemu g prepare").ok();
        w.ferrovirt("run qemu g --life").ok();
        w.ferrovirt("run network n started").ok();
        assert_eq!(
            w.calls(),
            [
                "qemu g prepare begin -",
                "qemu g prepare begin -",
                "qemu g start begin -",
                "qemu g started begin -",
                "qemu g stopped end -",
                "qemu g release end shutdown",
                "network n started begin -",
            ]
        );
        assert!(w.document("qemu g prepare begin -").contains("<name>g</name>"));
        assert!(w.document("network n started begin -").starts_with("<hookData>"));
        assert!(w.qemu_pid("g").is_none() && !w.link_exists(&Net::new("n", 5).bridge()));
        w.ferrovirt("run qemu nobody prepare")
            .fails_with(&["there is no guest 'nobody'"]);
        // A script of one's own that says no.
        let no = w.script("no", "#!/bin/sh\nexit 1\n");
        let refused = w.ferrovirt(&format!("run qemu g prepare --script {}", no.display()));
        assert_eq!(refused.code, 1);
    });
}

#[test]
fn run_shows_what_a_filter_changes_and_whether_that_would_do() {
    in_world(NEEDS, |w| {
        w.hook(
            "qemu",
            "#!/bin/sh\nsed 's/<on_crash>destroy/<on_crash>restart/'\n",
        );
        w.daemon_start();
        w.define(&Guest::new("g"));
        let good = w.ferrovirt("run qemu g restore");
        assert!(good.ok().contains("+  <on_crash>restart"), "{}", good.out);
        assert!(
            good.out.contains("the daemon would accept the result"),
            "{}",
            good.out
        );
        w.hook("qemu", "#!/bin/sh\nsed 's/<name>g/<name>other/'\n");
        let bad = w.ferrovirt("run qemu g restore");
        assert_eq!(bad.code, 1);
        assert!(
            bad.out
                .contains("would refuse the result: it changes what the guest can see: name"),
            "{}",
            bad.out
        );
        w.hook("qemu", "#!/bin/sh\necho '<domain'\n");
        let broken = w.ferrovirt("run qemu g restore");
        assert_eq!(broken.code, 1);
        assert!(
            broken.out.contains("would refuse the result: ") && broken.out.contains("-<domain type="),
            "{}",
            broken.out
        );
    });
}
