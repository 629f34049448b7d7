//! The recipe `single-gpu`, run as it stands there on a made-up machine: its card, consoles and framebuffer are files, and what
//! systemctl is told is written down together with the drivers that the card has at that moment.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ferrovirt_tests::made_up::{Card, GPU, hostdev};
use ferrovirt_tests::world::write;
use ferrovirt_tests::{Guest, Tool, World, in_world};

use crate::recipes::install;

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const HOOKS: &str = "/etc/libvirt/hooks";
const RULES: &str = "/etc/ferrovirt/hooks.d";
const CONSOLES: &str = "/sys/class/vtconsole";
const FRAMEBUFFER: &str = "/sys/bus/platform/drivers/efi-framebuffer";

/// Notes what it is told, and who has the card.
const SYSTEMCTL: &str = r#"#!/bin/sh
drivers=$(for card in /sys/bus/pci/devices/*; do readlink "$card/driver"; done | sed 's|.*/||')
echo $* $drivers >> /run/world/told
"#;

/// A card that is no graphics card, in a group of its own.
const NIC: Card = Card {
    address: "0000:04:00.0",
    class: "0x020000",
    ids: ("0x8086", "0x10d3"),
    driver: "e1000e",
    group: 16,
};

/// A desktop on the card of the machine.
fn desktop(w: &World) {
    w.make_machine(&[GPU[0], GPU[1], NIC]);
    let console = |name: &str, what: &str| {
        write(
            &Path::new(CONSOLES).join(name).join("name"),
            &format!("{what}\n"),
            0o644,
        );
        write(&Path::new(CONSOLES).join(name).join("bind"), "as it was\n", 0o644);
    };
    console("vtcon0", "(S) dummy device");
    console("vtcon1", "(M) frame buffer device");
    for file in ["bind", "unbind", "efi-framebuffer.0"] {
        write(&Path::new(FRAMEBUFFER).join(file), "", 0o644);
    }
    w.script("bin/systemctl", SYSTEMCTL);
    // In front of the machine's own, or where it has none.
    w.sh(
        "if [ -e /usr/bin/systemctl ]; then mount --bind bin/systemctl /usr/bin/systemctl; \
         else mount -t overlay overlay -o lowerdir=/run/world/bin:/usr/bin /usr/bin; fi",
    );
}

fn drivers(w: &World) -> [String; 2] {
    GPU.map(|card| w.driver_of(card.address))
}

/// Consoles and framebuffer were told so: `0` and the file to let go with, or `1` and the one to take it.
#[track_caller]
fn consoles(w: &World, told: &str, framebuffer: &str) {
    assert_eq!(w.read(format!("{CONSOLES}/vtcon1/bind")), format!("{told}\n"));
    assert_eq!(
        w.read(format!("{CONSOLES}/vtcon0/bind")),
        "as it was\n",
        "no frame buffer"
    );
    assert_eq!(
        w.read(format!("{FRAMEBUFFER}/{framebuffer}")),
        "efi-framebuffer.0\n"
    );
}

/// The kernel has let go of the framebuffer, too.
fn framebuffer_gone() {
    fs::remove_file(format!("{FRAMEBUFFER}/efi-framebuffer.0")).expect("it was there");
}

const FREE: &str = "stop display-manager nouveau snd_hda_intel e1000e\n";
const BACK: &str = "start display-manager nouveau snd_hda_intel e1000e\n";

#[test]
fn the_only_card_goes_with_scripts() {
    in_world(NEEDS, |w| {
        desktop(w);
        install("single-gpu/qemu", HOOKS, "qemu");
        install(
            "single-gpu/start.sh",
            HOOKS,
            "qemu.d/win11/prepare/begin/start.sh",
        );
        install(
            "single-gpu/revert.sh",
            HOOKS,
            "qemu.d/win11/release/end/revert.sh",
        );
        w.daemon_start();
        w.define(&Guest::new("win11"));
        w.define(&Guest::new("other"));
        w.virsh("start other").ok();
        assert_eq!(w.read("told"), "", "another guest is no concern of it");
        w.virsh("start win11").ok();
        assert_eq!(w.read("told"), FREE);
        assert_eq!(drivers(w), ["vfio-pci", "vfio-pci"]);
        consoles(w, "0", "unbind");
        framebuffer_gone();
        w.virsh("destroy win11").ok();
        assert_eq!(w.read("told"), format!("{FREE}{BACK}"));
        assert_eq!(drivers(w), ["nouveau", "snd_hda_intel"]);
        consoles(w, "1", "bind");
        w.virsh("destroy other").ok();
        assert_eq!(w.read("told"), format!("{FREE}{BACK}"));
        let log = w.daemon_log();
        assert!(!log.contains("Hook script execution failed"), "{log}");
    });
}

/// A guest with these devices, whose start is stopped by a hook once it has them.
fn gets(w: &World, name: &str, cards: &[Card]) {
    let mut guest = Guest::new(name).device("<emulator>/run/world/qemu</emulator>");
    for card in cards {
        guest = guest.device(&hostdev(card, true));
    }
    w.define(&guest);
}

#[test]
fn the_only_card_goes_with_rules_alone() {
    in_world(NEEDS, |w| {
        desktop(w);
        install("single-gpu.toml", RULES, "20-single-gpu.toml");
        // The test's own: waits where the guest has its devices, for more locked memory than a test may have comes next.
        w.hook("qemu", "#!/bin/sh\n[ $2 != start ] || exec sleep 300\n");
        w.daemon_start();
        let starts = |name: &str| {
            let start = w.virsh_background(&format!("start {name}"));
            let is_there = || w.ferrovirt("ps --json").out.contains("\"start\"");
            let until = Instant::now() + Duration::from_secs(20);
            while !is_there() {
                assert!(
                    Instant::now() < until,
                    "{}",
                    w.ferrovirt(&format!("why {name}")).out
                );
                std::thread::sleep(Duration::from_millis(50));
            }
            start
        };
        gets(w, "router", &[NIC]);
        let start = starts("router");
        assert_eq!(w.driver_of(NIC.address), "vfio-pci");
        w.virsh("destroy router").ok();
        start.join().fails_with(&[]);
        assert_eq!(w.read("told"), "", "that is no graphics card");
        gets(w, "desk", &GPU);
        let start = starts("desk");
        assert_eq!(w.read("told"), FREE);
        assert_eq!(drivers(w), ["vfio-pci", "vfio-pci"]);
        consoles(w, "0", "unbind");
        framebuffer_gone();
        w.virsh("destroy desk").ok();
        start.join().fails_with(&[]);
        assert_eq!(w.read("told"), format!("{FREE}{BACK}"));
        assert_eq!(drivers(w), ["nouveau", "snd_hda_intel"]);
        consoles(w, "1", "bind");
    });
}
