//! When rules apply: every condition of `[rule.when]`, with guests and networks that it holds for and others that it does not.

use std::path::Path;

use ferrovirt_tests::world::write;
use ferrovirt_tests::{Guest, Net, Tool, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const NETWORKS: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft];
const UUID: &str = "6f0e7a4c-93a5-4a7b-8f06-51cbd6e91d2b";
/// Writes down which rule called it, and for what.
const TELL: &str = "#!/bin/sh\necho \"$*\" >> /run/world/told\n";

/// A rule that tells its own name when `condition` holds.
fn telling(condition: &str) -> String {
    let name = condition.replace('\'', "");
    format!("[[rule]]\nname = '{name}'\nrun = [['/run/world/tell', '{name}:']]\nwhen = {{ {condition} }}\n")
}

#[test]
fn conditions_on_guests_hold_for_those_that_they_are_about() {
    in_world(NETWORKS, |w| {
        w.script("tell", TELL);
        let prepare = "driver = 'qemu', operation = 'prepare'";
        let of_web = [
            "guest = 'web-?'".to_owned(),
            "guest = ['x*', 'w[a-f]b-1']".to_owned(),
            format!("uuid = '{}'", UUID.replace('-', "")),
            "metadata = 'https://example.org/role'".to_owned(),
            "metadata = { uri = 'https://example.org/role', element = 'tier', value = 'gold*' }".to_owned(),
            "device = 'graphics:vnc'".to_owned(),
            "device = ['tpm', 'interface']".to_owned(),
            "on_network = 'lan*'".to_owned(),
            "guest = 'web-*', on_network = 'lan', device = 'serial'".to_owned(),
        ];
        let of_nobody = [
            "guest = 'WEB-?'".to_owned(),
            "guest = 'web-*', on_network = 'wan'".to_owned(),
            "metadata = { uri = 'https://example.org/role', element = 'tier', value = 'silver' }".to_owned(),
            "device = 'hostdev:pci'".to_owned(),
        ];
        let all = of_web.iter().chain(&of_nobody);
        let mut rules: String = all
            .map(|condition| telling(&format!("{prepare}, {condition}")))
            .collect();
        rules += &telling(&format!("{prepare}, guest = '[!w]*'"));
        w.rules(&rules);
        w.daemon_start();
        w.net_up(&Net::new("lan", 171));
        let metadata = "<metadata><r:role xmlns:r='https://example.org/role'><r:tier>gold-1</r:tier></r:role></metadata>";
        w.define(
            &Guest::new("web-1")
                .uuid(UUID)
                .events(metadata)
                .on_network("lan", "52:54:00:00:01:01")
                .device("<graphics type='vnc' port='-1' autoport='yes'/>"),
        );
        w.define(&Guest::new("db"));
        w.virsh("start web-1").ok();
        let name = |condition: &str| format!("{prepare}, {condition}").replace('\'', "");
        let told = w.read("told");
        let mut told = told.lines();
        for condition in &of_web {
            let wanted = format!("{}: web-1 prepare begin -", name(condition));
            assert_eq!(told.next(), Some(wanted.as_str()));
        }
        assert_eq!(told.next(), None, "the others do not hold");
        w.sh("rm told");
        w.virsh("start db").ok();
        let wanted = format!("{}: db prepare begin -\n", name("guest = '[!w]*'"));
        assert_eq!(w.read("told"), wanted);
    });
}

#[test]
fn conditions_on_networks_their_ports_and_drivers() {
    in_world(NETWORKS, |w| {
        w.script("tell", TELL);
        let port = "driver = 'network', operation = 'port-created'";
        let rules = [
            "driver = 'network', network = 'l*'".to_owned(),
            "driver = 'network', network = 'other'".to_owned(),
            format!("{port}, guest = 'web-*'"),
            format!("{port}, guest = 'db'"),
            format!("{port}, on_network = 'lan'"),
            "driver = 'daemon'".to_owned(),
            "driver = ['qemu', 'network'], operation = ['started', 'release']".to_owned(),
        ];
        w.rules(
            &rules
                .iter()
                .map(|condition| telling(condition))
                .collect::<String>(),
        );
        w.daemon_start();
        w.net_up(&Net::new("lan", 172));
        w.define(&Guest::new("web-1").on_network("lan", "52:54:00:00:01:02"));
        w.virsh("start web-1").ok();
        w.virsh("destroy web-1").ok();
        let lines = [
            "driver = daemon: - start - start",
            "driver = network, network = l*: lan start begin -",
            "driver = network, network = l*: lan started begin -",
            "driver = [qemu, network], operation = [started, release]: lan started begin -",
            "driver = network, network = l*: lan port-created begin -",
            "driver = network, operation = port-created, guest = web-*: lan port-created begin -",
            "driver = network, operation = port-created, on_network = lan: lan port-created begin -",
            "driver = [qemu, network], operation = [started, release]: web-1 started begin -",
            "driver = network, network = l*: lan port-deleted begin -",
            "driver = [qemu, network], operation = [started, release]: web-1 release end destroyed",
        ];
        let told = w.read("told");
        assert_eq!(told.lines().collect::<Vec<_>>(), lines);
    });
}

#[test]
fn scripts_are_meant_by_their_path_also_in_the_tree() {
    in_world(NEEDS, |w| {
        write(
            Path::new("/etc/ferrovirt/ferrovirtd.toml"),
            "[hooks]\nguest_tree = true\n",
            0o644,
        );
        let by = |name: &str, script: &str| {
            format!("[[rule]]\nenv = {{ FERROVIRT_BY = '{name}' }}\nwhen = {{ script = '{script}' }}\n")
        };
        w.rules(
            &[
                by("main", "qemu"),
                by("beside", "qemu.d/1*"),
                by("whole", "/etc/libvirt/hooks/qemu.d/20-*"),
                by("tree", "qemu.d/g/prepare/begin/*"),
                by("own", "/etc/ferrovirt/guests/*/prepare/*"),
            ]
            .concat(),
        );
        let text =
            "#!/bin/sh\n[ $2 != prepare ] || echo \"${0##*/} ${FERROVIRT_BY:-none}\" >> /run/world/seen\n";
        for name in [
            "qemu",
            "qemu.d/10-a",
            "qemu.d/20-b",
            "qemu.d/30-c",
            "qemu.d/g/prepare/begin/40-d",
            "../../ferrovirt/guests/g/prepare/50-e",
        ] {
            w.hook(name, text);
        }
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        assert_eq!(
            w.read("seen"),
            "qemu main\n10-a beside\n20-b whole\n30-c none\n40-d tree\n50-e own\n"
        );
    });
}

#[test]
fn a_rule_with_an_unknown_event_is_refused_at_its_place() {
    in_world(&[Tool::Virsh], |w| {
        w.daemon_start();
        for (condition, said) in [
            (
                "operation = 'prepair'",
                "hooks.d/10-test.toml:3:24: unknown operation 'prepair'; did you mean 'prepare'?",
            ),
            (
                "operation = 'restore'",
                "hooks.d/10-test.toml:3:24: this build does not raise 'restore' for qemu",
            ),
            (
                "operation = 'port-created'",
                "hooks.d/10-test.toml:3:24: driver qemu has no operation 'port-created'; network has",
            ),
        ] {
            let line = format!("when = {{ driver = 'qemu', {condition} }}");
            let column = line.find(" = 'p").or(line.find(" = 'r")).map_or(0, |at| at + 4);
            w.rules(&format!("[[rule]]\nrun = '/bin/true'\n{line}\n"));
            w.signal(w.daemon_pid(), "HUP");
            let said = said.replace(":24:", &format!(":{column}:"));
            w.wait_text("/var/log/libvirt/libvirtd.log", &said, 20);
        }
        assert!(w.daemon_log().contains("the rules that were there before stay"));
    });
}
