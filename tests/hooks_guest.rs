//! How a guest's hook is called, what it is given and what its failure does (R7 to R15, R30 to R34).

use std::time::Duration;

use ferrovirt_tests::{Guest, Net, Tool, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const NETWORK: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft];
const MAC: &str = "52:54:00:00:00:41";

#[test]
fn r7_r8_arguments_environment_and_surroundings() {
    in_world(NEEDS, |w| {
        w.hook(
            "qemu",
            "#!/usr/bin/env -S sh\n[ \"$2\" = prepare ] || exit 0\ncat > /dev/null\n\
             { echo \"count $#\"; echo \"self $0\"; echo \"object $1\"; echo \"cwd $(pwd)\"; echo \"umask $(umask)\"
             tr '\\0' '\\n' < /proc/$$/environ | sort\n while read -r line; do case $line in Sig[BI]*) echo \"$line\";; esac; done < /proc/$$/status
             awk '{ print \"group\", ($5 == $1) }' /proc/$$/stat; ls -l /proc/$$/fd; } > /run/world/seen 2>&1\n",
        );
        w.daemon_start();
        let name = "g -'ü";
        let path = w.file(
            "g.xml",
            &Guest::new("NAME")
                .xml()
                .replace("<name>NAME<", &format!("<name>{name}<")),
        );
        w.virsh_args(&["define", &path.display().to_string()]).ok();
        w.virsh_args(&["start", "--domain", name]).ok();
        let seen = w.read("seen");
        for line in [
            "count 4",
            "self /etc/libvirt/hooks/qemu",
            &format!("object {name}"),
            "cwd /",
            "umask 0022",
            "HOME=/root",
            "LC_ALL=C",
            "LOGNAME=root",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "USER=root",
            "group 1",
        ] {
            assert!(seen.lines().any(|l| l == line), "no '{line}' in {seen}");
        }
        // real-time signals may be ignored by whoever started the tests; the shell reads its masks
        // itself, because it blocks signals for as long as it starts a command
        for mask in ["SigBlk:", "SigIgn:"] {
            let value = seen
                .lines()
                .find_map(|line| line.strip_prefix(mask))
                .expect("a mask");
            let value = u64::from_str_radix(value.trim(), 16).expect("a number");
            assert_eq!(value & 0x7fff_ffff, 0, "{mask} {seen}");
        }
        let variables = seen
            .lines()
            .filter(|l| l.split_once('=').is_some_and(|(k, _)| is_name(k)))
            .count();
        assert_eq!(variables, 5, "{seen}");
        assert!(!seen.contains("socket:"), "an inherited socket: {seen}");
    });
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

#[test]
fn r9_a_script_that_does_not_read_blocks_nobody() {
    in_world(NEEDS, |w| {
        w.hook("qemu", "#!/bin/sh\nexec 0<&-\nsleep 0.2\n");
        w.daemon_start();
        let long = "x".repeat(200_000);
        let text = Guest::new("g")
            .xml()
            .replace("<memory", &format!("<description>{long}</description><memory"));
        let path = w.file("g.xml", &text);
        w.virsh_args(&["define", &path.display().to_string()]).ok();
        w.virsh("start g").within(Duration::from_secs(20)).ok();
        w.hook("qemu", "#!/bin/sh\ncat > /run/world/read\n");
        w.virsh("destroy g").ok();
        assert!(w.read("read").contains(&long));
    });
}

#[test]
fn r10_the_document_of_each_moment() {
    in_world(NETWORK, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 141));
        let vnc = "<graphics type='vnc' port='-1' autoport='yes' passwd='hush'/>";
        w.define(&Guest::new("g").on_network("n", MAC).device(vnc));
        w.virsh("start g").ok();
        let prepare = w.document("qemu g prepare begin -");
        assert!(prepare.starts_with("<domain type='qemu' id='1'>\n"), "{prepare}");
        assert!(prepare.ends_with("</domain>\n"), "{prepare}");
        assert!(!prepare.contains("vnet0"), "{prepare}");
        for moment in ["start", "started"] {
            let text = w.document(&format!("qemu g {moment} begin -"));
            for part in ["<target dev='vnet0'/>", "portid='", "<alias name='net0'/>", MAC] {
                assert!(text.contains(part), "{moment}: no {part} in {text}");
            }
        }
        assert_eq!(
            w.document("qemu g started begin -").trim(),
            w.virsh("dumpxml g").ok().trim()
        );
        w.virsh("destroy g").ok();
        let stopped = w.document("qemu g stopped end -");
        assert!(
            stopped.starts_with("<domain type='qemu'>\n") && !stopped.contains("portid"),
            "{stopped}"
        );
        for moment in [
            "prepare begin -",
            "start begin -",
            "started begin -",
            "stopped end -",
            "release end destroyed",
        ] {
            assert!(
                !w.document(&format!("qemu g {moment}")).contains("hush"),
                "a secret at {moment}"
            );
        }
    });
}

#[test]
fn r12_a_child_left_behind_holds_nothing() {
    in_world(NEEDS, |w| {
        w.hook(
            "qemu",
            "#!/bin/sh\n[ $2 = prepare ] && { sleep 30 & echo $! > /run/world/child; }\nexit 0\n",
        );
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").within(Duration::from_secs(15)).ok();
        let child: u32 = w.read("child").trim().parse().unwrap();
        assert!(
            w.processes().iter().any(|(pid, _)| *pid == child),
            "the child lives on"
        );
    });
}

#[test]
fn r13_the_error_has_status_and_words() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.rule("[ $2 != start ] || { echo 'no start today' >&2; exit 3; }");
        let environment = "LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root";
        let text = format!(
            "Hook script execution failed: internal error: Child process ({environment} \
             /etc/libvirt/hooks/qemu g start begin -) unexpected exit status 3: no start today"
        );
        w.virsh("start g")
            .fails_with(&["error: Failed to start domain 'g'", &text]);
        w.rule("[ $2 != start ] || kill -9 $$");
        w.virsh("start g").fails_with(&["unexpected fatal signal 9"]);
        let log = w.read("/var/log/libvirt/libvirtd.log");
        let lines: Vec<&str> = log
            .lines()
            .filter(|l| l.contains("unexpected exit status 3"))
            .collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines[0].contains(" : internal error: Child process"), "{log}");
        assert!(
            lines[1].contains(" : Hook script execution failed: internal error: Child process"),
            "{log}"
        );
        let part = lines[0].split(": ").nth(1).unwrap();
        assert!(
            part.split(':').next().unwrap().trim().parse::<u32>().is_ok() || part.starts_with("error"),
            "{log}"
        );
    });
}

#[test]
fn r14_all_scripts_run_and_the_last_failure_is_told() {
    in_world(NEEDS, |w| {
        w.record(&["qemu", "qemu.d/1", "qemu.d/2", "qemu.d/3"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.rule("case \"$hook $2\" in 'qemu prepare') exit 1;; 'qemu.d/2 prepare') exit 2;; esac");
        w.virsh("start g")
            .fails_with(&["qemu.d/2 g prepare begin -) unexpected exit status 2"]);
        let prepared = w
            .calls()
            .iter()
            .filter(|call| call.ends_with(" g prepare begin -"))
            .count();
        assert_eq!(prepared, 4);
        let log = w.daemon_log();
        assert!(
            log.contains("qemu g prepare begin -) unexpected exit status 1"),
            "{log}"
        );
    });
}

#[test]
fn r30_r31_r32_a_failure_leads_out_through_r33_and_r34() {
    in_world(NETWORK, |w| {
        w.record(&["qemu", "network"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 142));
        w.define(&Guest::new("g").on_network("n", MAC));
        let end = [
            "qemu g stopped end -",
            "network n port-deleted begin -",
            "qemu g release end failed",
        ];
        for (moment, before) in [
            ("prepare", &["qemu g prepare begin -"][..]),
            (
                "start",
                &[
                    "qemu g prepare begin -",
                    "network n port-created begin -",
                    "qemu g start begin -",
                ],
            ),
            (
                "started",
                &[
                    "qemu g prepare begin -",
                    "network n port-created begin -",
                    "qemu g start begin -",
                    "qemu g started begin -",
                ],
            ),
        ] {
            w.forget_calls();
            w.rule(&format!("[ \"$hook $2\" != 'qemu {moment}' ] || exit 9"));
            w.virsh("start g").fails_with(&["unexpected exit status 9"]);
            let ports = moment != "prepare";
            let mut expected = before.to_vec();
            expected.extend(end.iter().filter(|call| ports || !call.starts_with("network")));
            w.assert_calls(&expected);
            assert_eq!(w.virsh("domstate g --reason").ok().trim(), "shut off (failed)");
            assert!(w.qemu_pid("g").is_none());
            assert_eq!(w.taps(), Vec::<String>::new());
        }
        w.rule("");
        w.virsh("start g").ok();
    });
}

#[test]
fn r33_r34_failures_abort_nothing() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.rule("case $2 in stopped|release) exit 5;; esac");
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
        assert_eq!(
            w.calls()[3..],
            ["qemu g stopped end -", "qemu g release end destroyed"]
        );
        let log = w.daemon_log();
        assert_eq!(log.matches("Hook script execution failed").count(), 2, "{log}");
    });
}

#[test]
fn r31_taps_exist_at_start_and_r33_are_gone_at_stopped() {
    in_world(NETWORK, |w| {
        w.record(&["qemu"]);
        w.rule("[ -e /sys/class/net/vnet0 ] && echo $2 tap >> /run/world/seen || echo $2 none >> /run/world/seen");
        w.daemon_start();
        w.net_up(&Net::new("n", 143));
        w.define(&Guest::new("g").on_network("n", MAC));
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
        assert_eq!(
            w.read("seen"),
            "prepare none\nstart tap\nstarted tap\nstopped none\nrelease none\n"
        );
    });
}
