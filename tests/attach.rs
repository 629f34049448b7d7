//! Devices that are attached and detached, with the hooks of ports (R74), also across the death of a daemon (R96).

use std::time::Duration;

use ferrovirt_tests::{Guest, Net, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const ALL: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft];
const MAC: &str = "52:54:00:00:00:91";

/// Defines a guest with a SCSI controller: disks on it go at once, what is on PCI waits for the guest's system.
fn define(w: &World) {
    w.define(&Guest::new("g").device("<controller type='scsi' index='0' model='virtio-scsi'/>"));
}

/// Nothing runs in the guest that could let go of a PCI device; a reset takes away what it was asked for.
fn let_go(w: &World) {
    w.virsh("reset g").ok();
}

fn image(w: &World, name: &str) {
    w.sh(&format!("truncate -s 1M /run/world/{name}"));
}

fn attach_card(w: &World, network: &str, flags: &str) -> ferrovirt_tests::Output {
    w.virsh(&format!(
        "attach-interface g network {network} --model virtio --mac {MAC} {flags}"
    ))
}

/// Asks for the card back, which takes its time, and sees it go.
fn detach_card(w: &World) {
    w.virsh(&format!("detach-interface g network --mac {MAC} --live"))
        .ok();
    assert!(w.virsh("dumpxml g").ok().contains(MAC), "the guest still has it");
    w.assert_calls(&[]);
    let_go(w);
    w.wait_ended("network n port-deleted begin -");
    w.wait_for("the card is gone", Duration::from_secs(20), || {
        !w.virsh("dumpxml g").ok().contains(MAC) && w.taps().is_empty()
    });
    w.assert_calls(&["network n port-deleted begin -"]);
}

#[test]
fn r74_a_card_comes_and_goes_with_the_hooks_of_its_port() {
    in_world(ALL, |w| {
        w.record(&["qemu", "network"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 191));
        define(w);
        w.virsh("start g").ok();
        w.forget_calls();
        attach_card(w, "n", "--live").ok();
        w.assert_calls(&["network n port-created begin -"]);
        let port = w.document("network n port-created begin -");
        assert!(port.contains(MAC) && port.contains("<name>g</name>"), "{port}");
        let xml = w.virsh("dumpxml g");
        for part in [
            MAC,
            "bridge='virbr191'",
            "<target dev='vnet0'/>",
            "<alias name='net0'/>",
            "portid='",
        ] {
            assert!(xml.ok().contains(part), "no {part} in {}", xml.out);
        }
        assert!(!w.virsh("dumpxml g --inactive").ok().contains(MAC));
        assert_eq!(w.taps(), ["vnet0"]);
        w.virsh("net-dumpxml n").ok().contains("connections='1'");
        w.virsh(&format!("domif-setlink g {MAC} down")).ok();
        assert!(w.virsh("dumpxml g").ok().contains("<link state='down'/>"));
        w.forget_calls();
        detach_card(w);
        // Again in the same place, and with the end of the guest.
        attach_card(w, "n", "--live --config").ok();
        assert!(w.virsh("dumpxml g --inactive").ok().contains(MAC));
        w.forget_calls();
        w.virsh("destroy g").ok();
        w.assert_calls(&[
            "qemu g stopped end -",
            "network n port-deleted begin -",
            "qemu g release end destroyed",
        ]);
        w.virsh("start g").ok();
        assert!(w.virsh("dumpxml g").ok().contains(MAC));
    });
}

#[test]
fn r74_a_port_hook_that_fails_fails_the_attachment_only() {
    in_world(ALL, |w| {
        w.record(&["network"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 192));
        define(w);
        w.virsh("start g").ok();
        let before = w.virsh("dumpxml g").ok().to_owned();
        let stored = w.virsh("dumpxml g --inactive").ok().to_owned();
        w.rule("[ $2 != port-created ] || exit 7");
        attach_card(w, "n", "--live --config").fails_with(&["unexpected exit status 7"]);
        assert_eq!(w.virsh("dumpxml g").ok(), before);
        assert_eq!(w.virsh("dumpxml g --inactive").ok(), stored);
        assert_eq!(w.taps(), Vec::<String>::new());
        assert_eq!(w.virsh("domstate g").ok().trim(), "running");
        w.rule("true");
        attach_card(w, "nosuch", "--live").fails_with(&["no network with matching name 'nosuch'"]);
        attach_card(w, "n", "--live").ok();
        w.virsh("destroy g").ok();
    });
}

#[test]
fn a_disk_comes_and_goes() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        define(w);
        ["b.img", "c.img"].iter().for_each(|name| image(w, name));
        w.virsh("attach-disk g /run/world/b.img vdb --live")
            .fails_with(&["domain is not running"]);
        w.virsh("start g").ok();
        w.virsh("attach-disk g /run/world/b.img vdb --live --config").ok();
        assert!(w.virsh("domblklist g").ok().contains("/run/world/b.img"));
        let xml = w.virsh("dumpxml g");
        assert!(xml.ok().contains("<alias name='virtio-disk1'/>"), "{}", xml.out);
        assert!(w.virsh("domstats g --block").ok().contains("block.0.name=vdb"));
        w.virsh("attach-disk g /run/world/c.img vdb --live")
            .fails_with(&["target 'vdb' duplicated"]);
        w.virsh("attach-disk g /run/world/c.img vdb --config")
            .fails_with(&["target vdb already exists"]);
        w.virsh("attach-disk g /run/world/nosuch.img vdc --live")
            .fails_with(&["Cannot access storage file '/run/world/nosuch.img': No such file or directory"]);
        w.virsh("attach-disk g /run/world/c.img sdb --targetbus sata --live")
            .fails_with(&["disk bus 'sata' cannot be hotplugged."]);
        let sound = w.file("sound.xml", "<sound model='ich6'/>").display().to_string();
        w.virsh_args(&["attach-device", "g", &sound, "--live"])
            .fails_with(&["live attach of device 'sound' is not supported"]);
        w.virsh("detach-device-alias g nosuch --live")
            .fails_with(&["no device found with alias nosuch"]);
        w.virsh("attach-disk g /run/world/c.img sdb --targetbus scsi --live")
            .ok();
        assert!(w.virsh("dumpxml g").ok().contains("<alias name='scsi0-0-0-1'/>"));
        w.virsh("detach-disk g sdb --live").ok();
        assert!(!w.virsh("domblklist g").ok().contains("c.img"));
        // The place and the image are free again.
        w.virsh("attach-disk g /run/world/c.img sdb --targetbus scsi --live")
            .ok();
        w.virsh("detach-device-alias g scsi0-0-0-1 --live").ok();
        assert!(!w.virsh("domblklist g").ok().contains("c.img"));
        w.virsh("detach-disk g vdb --live").ok();
        let_go(w);
        w.wait_for("the disk is gone", Duration::from_secs(20), || {
            !w.virsh("domblklist g").ok().contains("b.img")
        });
        assert!(w.virsh("domblklist g --inactive").ok().contains("b.img"));
        w.virsh("detach-disk g vdb --config").ok();
        w.virsh("detach-disk g vdb --config").fails_with(&[]);
        assert!(!w.virsh("domblklist g --inactive").ok().contains("b.img"));
        w.virsh("destroy g").ok();
    });
}

#[test]
fn r96_what_is_attached_is_known_to_the_next_daemon() {
    in_world(ALL, |w| {
        w.record(&["network", "qemu"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 193));
        define(w);
        image(w, "b.img");
        w.virsh("start g").ok();
        attach_card(w, "n", "--live").ok();
        w.virsh("attach-disk g /run/world/b.img sdb --targetbus scsi --live")
            .ok();
        let before = w.virsh("dumpxml g").ok().to_owned();
        w.daemon_kill();
        w.forget_calls();
        w.daemon_start();
        w.wait_ended("qemu g reconnect begin -");
        w.assert_calls(&["network n port-created begin -", "qemu g reconnect begin -"]);
        assert_eq!(w.virsh("dumpxml g").ok(), before);
        w.forget_calls();
        w.virsh("detach-disk g sdb --live").ok();
        assert!(!w.virsh("domblklist g").ok().contains("b.img"));
        detach_card(w);
        w.virsh("destroy g").ok();
    });
}

#[test]
fn r96_an_attachment_that_the_daemons_death_cut_short_is_undone() {
    in_world(ALL, |w| {
        w.record(&["network", "qemu"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 194));
        define(w);
        w.virsh("start g").ok();
        let before = w.virsh("dumpxml g").ok().to_owned();
        w.forget_calls();
        w.rule("[ $2 != port-created ] || { sleep 300 & wait; }");
        let attached = w.virsh_background(&format!(
            "attach-interface g network n --model virtio --mac {MAC} --live"
        ));
        w.wait_called("network n port-created begin -");
        w.daemon_kill();
        attached.join().fails_with(&[]);
        w.rule("true");
        w.forget_calls();
        w.daemon_start();
        w.wait_ended("qemu g reconnect begin -");
        w.assert_calls(&[
            "network n port-created begin -",
            "network n port-deleted begin -",
            "qemu g reconnect begin -",
        ]);
        assert_eq!(w.virsh("dumpxml g").ok(), before);
        assert!(!w.virsh("net-dumpxml n").ok().contains("connections"));
        attach_card(w, "n", "--live").ok();
        w.virsh("destroy g").ok();
    });
}
