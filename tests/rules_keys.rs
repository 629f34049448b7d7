//! What rules say: every key, in the way of real starts and ends (R8, R34, R92).

use std::path::Path;
use std::time::Duration;

use ferrovirt_tests::world::write;
use ferrovirt_tests::{Guest, Net, Tool, World, in_world};
use serde_json::Value;

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const NETWORKS: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft];
const MAC: &str = "52:54:00:00:01:11";
const SETTINGS: &str = "/etc/ferrovirt/ferrovirtd.toml";

#[test]
fn r92_a_soft_limit_is_a_warning_and_seen_while_it_runs() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.rule("[ $2 != prepare ] || while [ ! -e /run/world/go ]; do sleep 0.1; done");
        w.rules("[[rule]]\nwarn_after = '200ms'\ntimeout = '10m'\n[rule.when]\noperation = 'prepare'\n");
        w.daemon_start();
        w.define(&Guest::new("g"));
        let start = w.virsh_background("start g");
        w.wait_for("it is late", Duration::from_secs(20), || {
            w.ferrovirt("ps")
                .out
                .contains("longer than it should, is ended in")
        });
        w.wait_for("the log says so", Duration::from_secs(20), || {
            w.daemon_log()
                .contains("/etc/libvirt/hooks/qemu (qemu g prepare begin -) has been running for 0.2 s")
        });
        w.sh("touch go");
        start.join().ok();
    });
}

#[test]
fn what_is_ignored_is_in_the_history_alone_and_the_last_rule_has_its_way() {
    in_world(NEEDS, |w| {
        w.record(&["qemu", "qemu.d/20-strict"]);
        w.rule("case \"$hook $2\" in 'qemu prepare') echo flaky >&2; exit 1;; esac");
        w.rules(
            "[[rule]]\non_failure = 'ignore'\n[[rule]]\nname = 'strict'\non_failure = 'abort'\n\
             when = { script = 'qemu.d/20-*', operation = ['prepare', 'start'] }\n",
        );
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        assert!(!w.daemon_log().contains("flaky"), "{}", w.daemon_log());
        let failed = w.ferrovirt("history --failed");
        assert!(failed.ok().contains("exit 1 (ignored)"), "{}", failed.out);
        w.virsh("destroy g").ok();
        w.rule("case \"$hook $2\" in 'qemu.d/20-strict start') exit 2;; esac");
        w.virsh("start g")
            .fails_with(&["qemu.d/20-strict g start begin -) unexpected exit status 2"]);
    });
}

#[test]
fn r8_user_directory_and_variables_of_a_rule() {
    in_world(NEEDS, |w| {
        w.sh("mkdir open; chmod 777 open");
        w.hook(
            "qemu",
            "#!/bin/sh\n[ $2 = start ] || exit 0\n\
             { id -u; pwd; echo $HOME $USER; echo $FERROVIRT_SITE; echo $FERROVIRT_MORE; } > /run/world/open/seen\nexit 7\n",
        );
        w.rules(
            "[[rule]]\nuser = 'nobody'\ncwd = '/usr'\nenv = { FERROVIRT_SITE = 'old', FERROVIRT_MORE = 'kept' }\n\
             [[rule]]\nenv = { FERROVIRT_SITE = 'north-pole' }\n",
        );
        w.daemon_start();
        w.define(&Guest::new("g"));
        let failed = w.virsh("start g");
        failed.fails_with(&["USER=nobody", "unexpected exit status 7"]);
        assert!(!failed.err.contains("north-pole"), "{}", failed.err);
        assert!(!w.daemon_log().contains("north-pole"));
        assert_eq!(
            w.read("open/seen"),
            "65534\n/usr\n/nonexistent nobody\nnorth-pole\nkept\n"
        );
        let listed = w.ferrovirt("list --guest g --operation start");
        assert!(
            listed
                .ok()
                .contains("as user nobody; in /usr; with FERROVIRT_MORE; with FERROVIRT_SITE"),
            "{}",
            listed.out
        );
    });
}

#[test]
fn r34_the_reason_of_a_release_for_one_script_or_not() {
    in_world(NEEDS, |w| {
        w.record(&["qemu", "qemu.d/10-old", "qemu.d/20-new"]);
        for setting in [true, false] {
            write(
                Path::new(SETTINGS),
                &format!("[hooks]\nrelease_reason = {setting}\n"),
                0o644,
            );
            w.rules(
                "[[rule]]\nrelease_reason = false\nwhen = { script = 'qemu.d/10-*' }\n\
                 [[rule]]\nrelease_reason = true\nwhen = { script = 'qemu.d/20-*' }\n",
            );
            w.daemon_start();
            w.define(&Guest::new("g").uuid("11111111-2222-4333-8444-555555555556"));
            w.virsh("start g").ok();
            w.forget_calls();
            w.virsh("destroy g").ok();
            let main = if setting { "destroyed" } else { "-" };
            let calls = w.calls();
            assert_eq!(
                calls[3..],
                [
                    format!("qemu g release end {main}"),
                    "qemu.d/10-old g release end -".to_owned(),
                    "qemu.d/20-new g release end destroyed".to_owned(),
                ]
            );
            assert_eq!(w.daemon_stop(), 0);
        }
    });
}

#[test]
fn nobody_waits_for_what_is_async_and_the_daemons_end_ends_it() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.rule("[ $2 != release ] || while [ ! -e /run/world/go ]; do sleep 0.1; done");
        w.rules("[[rule]]\nasync = true\nwhen = { driver = 'qemu', operation = ['stopped', 'release'] }\n");
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
        // It runs, and the next run of the guest does not care.
        w.virsh("start g").ok();
        w.wait_for("it runs still", Duration::from_secs(20), || {
            w.ferrovirt("ps").out.contains("qemu g release end destroyed")
        });
        w.sh("touch go");
        w.wait_ended("qemu g release end destroyed");
        w.sh("rm go");
        w.forget_calls();
        w.virsh("destroy g").ok();
        w.wait_called("qemu g release end destroyed");
        assert_eq!(w.daemon_stop(), 0);
        w.wait_text("calls", "! qemu g release end destroyed", 20);
    });
}

#[test]
fn a_command_gets_its_own_arguments_first_and_is_named_by_its_rule() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.script(
            "more",
            "#!/bin/sh\necho \"$*\" >> /run/world/told\ncat > /run/world/more.in\nexit 4\n",
        );
        w.rules(
            "[[rule]]\nname = 'guard'\nrun = ['/bin/true', ['/run/world/more', '--flag', 'a b']]\n\
             when = { driver = 'qemu', operation = 'start' }\n",
        );
        w.daemon_start();
        w.define(&Guest::new("g"));
        // It stands behind the scripts, and its failure counts as theirs does.
        w.virsh("start g")
            .fails_with(&["/run/world/more --flag 'a b' g start begin -) unexpected exit status 4"]);
        assert_eq!(w.read("told"), "--flag a b g start begin -\n");
        assert_eq!(w.read("more.in"), w.document("qemu g start begin -"));
        let id = w.ferrovirt("history --failed --json");
        let row: Value = serde_json::from_str(id.ok().lines().next().unwrap()).unwrap();
        let shown = w.ferrovirt(&format!("show {}", row["id"]));
        assert!(shown.ok().contains("rule guard"), "{}", shown.out);
    });
}

#[test]
fn json_on_standard_input_is_as_its_schema_says() {
    in_world(NETWORKS, |w| {
        w.script("keep", "#!/bin/sh\ncat > \"/run/world/json.$2\"\n");
        w.rules(
            "[[rule]]\nrun = '/run/world/keep'\npayload = 'json'\n[rule.when]\ndriver = ['qemu', 'network']\n\
             operation = ['prepare', 'started', 'release', 'port-created', 'port-ready', 'defined']\n",
        );
        w.daemon_start();
        w.net_up(&Net::new("n", 173));
        w.define(
            &Guest::new("g")
                .on_network("n", MAC)
                .device("<graphics type='vnc' port='-1' autoport='yes' passwd='hush'/>"),
        );
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
        let schema = include_str!("../docs/hooks/payload.schema.json");
        let schema: Value = serde_json::from_str(schema).unwrap();
        let read = |operation: &str| -> Value {
            w.wait_text(format!("json.{operation}"), "}\n", 20);
            let text = w.read(format!("json.{operation}"));
            assert!(!text.contains("hush"), "{text}");
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(misfits(&schema, &value, "$"), Vec::<String>::new());
            assert_eq!(value["operation"], operation);
            value
        };
        for operation in ["defined", "prepare"] {
            read(operation);
        }
        let started = read("started");
        assert_eq!(started["driver"], "qemu");
        assert_eq!(started["guest"]["interfaces"][0]["target"], "vnet0");
        assert_eq!(started["guest"]["interfaces"][0]["mac"], MAC);
        assert_eq!(started["guest"]["memory_kib"], 32 << 10);
        assert!(started["guest"]["graphics"][0]["port"].as_u64() >= Some(5900));
        let port = read("port-created");
        assert_eq!(port["port"]["owner_name"], "g");
        assert_eq!(port["network"]["bridge"], "virbr173");
        assert_eq!(read("port-ready")["extra"], "vnet0");
        assert_eq!(read("release")["extra"], "destroyed");
        // The check itself finds something.
        let mut broken = started;
        broken["guest"]["vcpus"] = "one".into();
        broken.as_object_mut().unwrap().remove("port");
        assert_eq!(misfits(&schema, &broken, "$").len(), 2);
    });
}

/// What does not fit: of JSON Schema the words that ours uses.
fn misfits(schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_allowed = |types: &Value| match types {
        Value::Array(some) => some.iter().any(|one| one == kind),
        one => one == kind,
    };
    let mut found = Vec::new();
    if schema.get("type").is_some_and(|types| !is_allowed(types)) {
        found.push(format!("{place} is no {}: {value}", schema["type"]));
    }
    let choice = schema["enum"].as_array();
    if schema.get("const").is_some_and(|only| only != value)
        || choice.is_some_and(|some| !some.contains(value))
    {
        found.push(format!("{place} may not be {value}"));
    }
    let bound = |name: &str| schema[name].as_i64().zip(value.as_i64());
    if bound("minimum").is_some_and(|(least, number)| number < least)
        || bound("maximum").is_some_and(|(most, number)| number > most)
    {
        found.push(format!("{place} is out of bounds: {value}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{place} has no {name}"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => found.extend(misfits(schema, inner, &format!("{place}.{name}"))),
            None => found.push(format!("{place}.{name} is not described")),
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        found.extend(misfits(&schema["items"], inner, &format!("{place}[]")));
    }
    found
}

#[test]
fn a_sandbox_has_no_network_and_writes_only_where_it_may() {
    in_world(NEEDS, |w| {
        w.sh("mkdir open; : > shut");
        w.hook(
            "qemu",
            "#!/bin/sh\n[ $2 = prepare ] || exit 0\nd=/run/world\n\
             for f in $d/shut $d/new /etc/libvirt/hooks/new; do\n\
             (echo x > $f) 2> /dev/null && echo wrote $f >> $d/open/seen\ndone\n\
             readlink /proc/self/ns/net >> $d/open/seen\ncat < /etc/passwd > /dev/null && echo reads >> $d/open/seen\n",
        );
        w.rules("[[rule]]\nsandbox = { writable = ['/run/world/open'] }\nwhen = { guest = 'g', operation = 'prepare' }\n");
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.define(&Guest::new("free"));
        if !w.virsh("start g").ok().contains("started") {
            return;
        }
        let host = w.sh(&format!("readlink /proc/{}/ns/net", w.daemon_pid()));
        let seen = w.read("open/seen");
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines.len(), 2, "it wrote: {seen}");
        assert!(lines[0].starts_with("net:[") && lines[0] != host.trim(), "{seen}");
        assert_eq!(lines[1], "reads");
        assert_eq!(w.read("shut"), "");
        // Another guest's hook has no sandbox.
        w.sh("rm open/seen");
        w.virsh("start free").ok();
        let seen = w.read("open/seen");
        assert_eq!(seen.matches("wrote").count(), 3, "{seen}");
        assert!(seen.contains(host.trim()), "{seen}");
    });
}

#[test]
fn a_sandbox_limits_memory_and_processor_time() {
    in_world(NEEDS, |w| {
        w.rules(
            "[[rule]]\nname = 'small'\nsandbox = { read_only = false, network = true, memory = '16M', cpu = '50%' }\n\
             when = { operation = 'prepare' }\n",
        );
        w.hook(
            "qemu",
            "#!/bin/sh\n[ $2 = prepare ] || exit 0\ncat /proc/self/cgroup > /run/world/groups\n\
             [ $1 != g ] || x=$(head -c 300M /dev/zero | tr '\\0' x)\n",
        );
        // Without control groups nothing is limited, so nothing is run.
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g")
            .fails_with(&["/etc/libvirt/hooks/qemu", "cannot make its sandbox"]);
        assert_eq!(w.read("groups"), "");
        assert_eq!(w.daemon_stop(), 0);
        if !limits_are_mounted(w) {
            println!("note: a_sandbox_limits_memory_and_processor_time: half of it: no control groups here");
            return;
        }
        w.daemon_start();
        w.define(&Guest::new("h"));
        w.virsh("start g")
            .fails_with(&["unexpected fatal signal 9", "its memory limit was reached"]);
        w.virsh("start h").ok();
        for controller in ["memory", "cpu"] {
            let groups = w.read("groups");
            let own = groups
                .lines()
                .find(|line| {
                    line.split(':')
                        .nth(1)
                        .is_some_and(|names| names.split(',').any(|n| n == controller))
                })
                .or(groups.lines().find(|line| line.starts_with("0::")));
            assert!(
                own.is_some_and(|line| line.contains("/ferrovirt-limit-")),
                "{groups}"
            );
        }
    });
}

/// Mounts the control groups of memory and processor time: version 1, or version 2 where it has both.
fn limits_are_mounted(w: &World) -> bool {
    let v1 = "mount -t tmpfs tmpfs /sys/fs/cgroup && cd /sys/fs/cgroup && mkdir memory cpu && \
              mount -t cgroup -o memory cgroup memory && mount -t cgroup -o cpu cgroup cpu";
    let v2 = "umount -R /sys/fs/cgroup 2> /dev/null; mount -t cgroup2 cgroup2 /sys/fs/cgroup && \
              grep -q memory /sys/fs/cgroup/cgroup.controllers && grep -q cpu /sys/fs/cgroup/cgroup.controllers";
    w.succeeds(v1) || w.succeeds(v2)
}
