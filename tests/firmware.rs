//! Firmware: chosen among what the host has, with a store of its own, which outlives runs and goes only when that is said.

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const STORE: &str = "/var/lib/libvirt/qemu/nvram/uefi_VARS.fd";

/// Descriptors of a firmware of ours in the world's `/etc/qemu`: what the machine has otherwise does not count.
fn firmware(w: &World) {
    w.sh(
        "mkdir -p /run/world/fw && head -c 131072 /dev/zero | tr '\\0' 'c' > /run/world/fw/CODE.fd && \
          head -c 131072 /dev/zero | tr '\\0' 'v' > /run/world/fw/VARS.fd && mkdir -p /etc/qemu && \
          mount -t tmpfs tmpfs /etc/qemu && mkdir /etc/qemu/firmware",
    );
    let text = r#"{"description": "d", "interface-types": ["uefi"], "mapping": {"device": "flash",
        "executable": {"filename": "/run/world/fw/CODE.fd", "format": "raw"},
        "nvram-template": {"filename": "/run/world/fw/VARS.fd", "format": "raw"}},
        "targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*"]}], "features": ["acpi-s3"], "tags": []}"#;
    let path = w.file("00-ours.json", text);
    w.sh(&format!("cp {} /etc/qemu/firmware/00-ours.json", path.display()));
}

fn define(w: &World, name: &str, os: &str) {
    let xml = Guest::new(name).xml();
    let (before, rest) = xml.split_once("<os>").unwrap();
    let (_, after) = rest.split_once("</os>").unwrap();
    let path = w.file(&format!("{name}.xml"), &format!("{before}{os}{after}"));
    w.virsh_args(&["define", &path.display().to_string()]).ok();
}

#[test]
fn firmware_is_chosen_and_its_store_is_made_once() {
    in_world(NEEDS, |w| {
        firmware(w);
        w.daemon_start();
        define(w, "uefi", "<os firmware='efi'><type machine='pc'>hvm</type></os>");
        let shown = w.virsh("dumpxml uefi").ok().to_owned();
        for words in [
            "<loader readonly='yes' type='pflash' format='raw'>/run/world/fw/CODE.fd</loader>",
            "templateFormat='raw' format='raw'>/var/lib/libvirt/qemu/nvram/uefi_VARS.fd</nvram>",
            "<feature enabled='no' name='secure-boot'/>",
        ] {
            assert!(shown.contains(words), "{words} in {shown}");
        }
        assert!(!w.succeeds(&format!("test -e {STORE}")));
        w.virsh("start uefi").ok();
        let arguments = w.sh("tr '\\0' '\\n' < /proc/$(cat /run/libvirt/qemu/uefi.pid)/cmdline");
        assert!(
            arguments.contains("pflash0=libvirt-pflash0-format,pflash1=libvirt-pflash1-storage"),
            "{arguments}"
        );
        w.virsh("destroy uefi").ok();
        // What was stored is there at the next start, unless somebody wants it anew.
        w.sh(&format!("printf X | dd of={STORE} conv=notrunc status=none"));
        let first = || w.sh(&format!("head -c1 {STORE}"));
        w.virsh("start uefi").ok();
        w.virsh("destroy uefi").ok();
        assert_eq!(first(), "X");
        w.virsh("start uefi --reset-nvram").ok();
        w.virsh("destroy uefi").ok();
        assert_eq!(first(), "v");
        w.virsh("undefine uefi")
            .fails_with(&["cannot undefine domain with nvram"]);
        w.virsh("undefine uefi --nvram --keep-nvram")
            .fails_with(&["keep"]);
        w.virsh("undefine uefi --keep-nvram").ok();
        assert!(w.succeeds(&format!("test -e {STORE}")));
        define(w, "uefi", "<os firmware='efi'><type machine='pc'>hvm</type></os>");
        w.virsh("undefine uefi --nvram").ok();
        assert!(!w.succeeds(&format!("test -e {STORE}")));
    });
}

#[test]
fn what_no_firmware_does_is_refused() {
    in_world(NEEDS, |w| {
        firmware(w);
        w.daemon_start();
        let path = |name: &str, os: &str| {
            let xml = Guest::new(name).xml();
            let (before, rest) = xml.split_once("<os>").unwrap();
            let (_, after) = rest.split_once("</os>").unwrap();
            w.file(&format!("{name}.xml"), &format!("{before}{os}{after}"))
        };
        let os = "<os firmware='efi'><type machine='pc'>hvm</type><firmware><feature enabled='yes' name='secure-boot'/></firmware></os>";
        let file = path("sb", os).display().to_string();
        w.virsh_args(&["define", &file])
            .fails_with(&["Unable to find 'efi' firmware"]);
        // A store without a template cannot be made.
        let os = "<os><type machine='pc'>hvm</type><loader readonly='yes' type='pflash'>/nowhere/CODE.fd</loader></os>";
        define(w, "byhand", os);
        w.virsh("start byhand")
            .fails_with(&["unable to find any master var store for loader: /nowhere/CODE.fd"]);
    });
}
