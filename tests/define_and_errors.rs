//! What bad input gets: an error that says what is wrong and where, and a daemon that goes on.

use ferrovirt_tests::{Guest, Net, Tool, World, in_world};

fn define_text(w: &World, text: &str) -> ferrovirt_tests::Output {
    let path = w.file("input.xml", text);
    w.virsh_args(&["define", &path.display().to_string()])
}

fn net_define_text(w: &World, text: &str) -> ferrovirt_tests::Output {
    let path = w.file("input.xml", text);
    w.virsh_args(&["net-define", &path.display().to_string()])
}

#[test]
fn malformed_xml_is_refused_with_its_line() {
    in_world(&[Tool::Virsh], |w| {
        w.daemon_start();
        let text = "<domain type='qemu'>\n  <name>g</name>\n  <memory>1</mem>\n</domain>\n";
        define_text(w, text).fails_with(&["3"]);
        define_text(w, "").fails_with(&[]);
        define_text(w, "no xml at all").fails_with(&[]);
        net_define_text(w, "<network>\n<name>n</name>\n<ip\n</network>").fails_with(&["4"]);
        assert_eq!(w.virsh("list --all --name").ok().trim(), "");
    });
}

#[test]
fn what_is_unknown_is_refused_with_its_path() {
    in_world(&[Tool::Virsh], |w| {
        w.daemon_start();
        let good = Guest::new("g")
            .device("<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>");
        let element = good
            .xml()
            .replace("<features><acpi/>", "<features><acpi/><warp/>");
        define_text(w, &element).fails_with(&["unsupported configuration", "features/warp"]);
        let attribute = good.xml().replace("<backend model", "<backend speed='9' model");
        define_text(w, &attribute).fails_with(&["unsupported configuration", "speed"]);
        let network = Net::new("n", 124).xml().replace("<dhcp>", "<dhcp><warp/>");
        net_define_text(w, &network).fails_with(&["unsupported configuration", "warp"]);
        assert_eq!(w.virsh("list --all --name").ok().trim(), "");
        assert_eq!(w.virsh("net-list --all --name").ok().trim(), "");
    });
}

#[test]
fn what_is_unknown_is_kept_where_the_settings_say_so() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        ferrovirt_tests::world::write(
            std::path::Path::new("/etc/ferrovirt/ferrovirtd.toml"),
            "unknown_xml = \"keep\"\n",
            0o644,
        );
        w.daemon_start();
        let text = Guest::new("g")
            .xml()
            .replace("<features><acpi/>", "<features><acpi/><warp factor='9'/>");
        define_text(w, &text).ok();
        let kept = w.virsh("dumpxml g").ok().to_owned();
        assert!(kept.contains("<warp factor='9'/>"), "{kept}");
        let log = w.daemon_log();
        assert!(log.contains("warp"), "no warning: {log}");
    });
}

#[test]
fn names_and_uuids_are_unique() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        const ONE: &str = "7f1d8c1e-2c3b-4c55-9a67-0c3f0f0f7a01";
        const TWO: &str = "7f1d8c1e-2c3b-4c55-9a67-0c3f0f0f7a02";
        w.daemon_start();
        w.define(&Guest::new("a").uuid(ONE));
        define_text(w, &Guest::new("a").uuid(TWO).xml()).fails_with(&["operation failed: domain 'a'", ONE]);
        define_text(w, &Guest::new("b").uuid(ONE).xml()).fails_with(&["operation failed: domain 'a'", ONE]);
        define_text(w, &Guest::new("a").uuid(ONE).xml()).ok();
        w.virsh("start a").ok();
        let path = w.file("input.xml", &Guest::new("a").uuid(ONE).xml());
        w.virsh_args(&["create", &path.display().to_string()])
            .fails_with(&["'a'"]);
        net_define_text(w, &Net::new("n", 125).xml()).ok();
        let other = Net::new("n", 126)
            .xml()
            .replace("<name>", &format!("<uuid>{TWO}</uuid><name>"));
        net_define_text(w, &other).fails_with(&["operation failed: network 'n' already exists with uuid"]);
    });
}

#[test]
fn what_does_not_exist_is_named() {
    in_world(&[Tool::Virsh], |w| {
        w.daemon_start();
        w.virsh("start nobody")
            .fails_with(&["failed to get domain 'nobody'"]);
        w.virsh("net-start nowhere")
            .fails_with(&["failed to get network 'nowhere'"]);
    });
}

#[test]
fn what_is_not_possible_now_is_refused() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft], |w| {
        w.daemon_start();
        w.define(&Guest::new("g"));
        for command in [
            "destroy g",
            "shutdown g",
            "reboot g",
            "reset g",
            "suspend g",
            "resume g",
        ] {
            w.virsh(command).fails_with(&["domain is not running"]);
        }
        w.virsh("start g").ok();
        w.virsh("start g").fails_with(&["active"]);
        w.net_up(&Net::new("n", 127));
        w.virsh("net-start n").fails_with(&["active"]);
        w.virsh("net-destroy n").ok();
        w.virsh("net-destroy n").fails_with(&["'n' is not active"]);
    });
}

#[test]
fn a_missing_qemu_is_named() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        w.daemon_start();
        let emulator = "<emulator>/opt/no/such/qemu-system-x86_64</emulator>";
        let text = Guest::new("g")
            .xml()
            .replace("<devices>", &format!("<devices>{emulator}"));
        let defined = define_text(w, &text);
        let output = if defined.code == 0 {
            w.virsh("start g")
        } else {
            defined
        };
        output.fails_with(&["/opt/no/such/qemu-system-x86_64"]);
        assert_eq!(w.virsh("list --name").ok().trim(), "");
    });
}

/// Takes a program away: nothing can be executed at its place.
fn take_away(w: &World, program: &str) {
    let path = ferrovirt_tests::tools::find(program).expect("the test has asked for it");
    w.sh(&format!(
        "mount --bind /dev/null $(readlink -f {})",
        path.display()
    ));
}

#[test]
fn a_missing_dnsmasq_is_named() {
    in_world(&[Tool::Virsh, Tool::Dnsmasq, Tool::Nft], |w| {
        take_away(w, "dnsmasq");
        w.daemon_start();
        w.net_define(&Net::new("n", 128));
        w.virsh("net-start n").fails_with(&["dnsmasq"]);
        assert!(!w.link_exists("virbr128"));
    });
}

#[test]
fn a_missing_nft_is_named() {
    in_world(&[Tool::Virsh, Tool::Dnsmasq, Tool::Nft], |w| {
        take_away(w, "nft");
        w.daemon_start();
        w.net_define(&Net::new("n", 129));
        w.virsh("net-start n").fails_with(&["nft"]);
        assert!(!w.link_exists("virbr129"));
        assert!(w.running("dnsmasq").is_empty());
    });
}

#[test]
fn definitions_survive_the_daemon() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.net_define(&Net::new("n", 130));
        let before = w.virsh("dumpxml g").ok().to_owned() + w.virsh("net-dumpxml n").ok();
        w.daemon_kill();
        w.daemon_start();
        let after = w.virsh("dumpxml g").ok().to_owned() + w.virsh("net-dumpxml n").ok();
        assert_eq!(before, after);
        w.virsh("undefine g").ok();
        w.daemon_kill();
        w.daemon_start();
        assert_eq!(w.virsh("list --all --name").ok().trim(), "");
        assert!(!std::path::Path::new("/etc/libvirt/qemu/g.xml").exists());
    });
}
