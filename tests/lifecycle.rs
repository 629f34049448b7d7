//! A guest's life as virsh leads it, with a real QEMU, and ends that nobody asked for.

use std::time::Duration;

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const LINUX: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Linux];

fn state(w: &World, guest: &str) -> String {
    w.virsh(&format!("domstate {guest} --reason"))
        .ok()
        .trim()
        .to_owned()
}

fn wait_state(w: &World, guest: &str, wanted: &str, seconds: u64) {
    w.wait_for(&format!("{guest} {wanted}"), Duration::from_secs(seconds), || {
        state(w, guest) == wanted
    });
}

/// Calls of the guest's hook, without the hook's and the guest's name.
fn operations(w: &World) -> Vec<String> {
    w.calls()
        .iter()
        .filter_map(|call| call.strip_prefix("qemu g "))
        .map(str::to_owned)
        .collect()
}

const BEGIN: [&str; 3] = ["prepare begin -", "start begin -", "started begin -"];

#[test]
fn r30_to_r34_start_and_destroy() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        assert_eq!(operations(w), BEGIN);
        let pid = w.qemu_pid("g").expect("QEMU runs");
        w.virsh("destroy g").ok();
        assert_eq!(state(w, "g"), "shut off (destroyed)");
        assert!(!w.processes().iter().any(|(other, _)| *other == pid));
        assert_eq!(operations(w)[3..], ["stopped end -", "release end destroyed"]);
    });
}

#[test]
fn a_transient_guest_is_gone_at_its_end() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        let path = w.file("g.xml", &Guest::new("g").xml());
        w.virsh_args(&["create", &path.display().to_string()]).ok();
        w.virsh("destroy g").ok();
        assert_eq!(w.virsh("list --all --name").ok().trim(), "");
        assert_eq!(operations(w).len(), 5);
    });
}

#[test]
fn r32_started_is_called_for_a_paused_guest_too() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g --paused").ok();
        assert_eq!(operations(w), BEGIN);
        assert!(state(w, "g").starts_with("paused"));
        w.virsh("resume g").ok();
        assert!(state(w, "g").starts_with("running"));
    });
}

#[test]
fn r40_suspend_resume_reset_and_reboot_call_nothing() {
    in_world(LINUX, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g").linux(""));
        w.virsh("start g").ok();
        w.wait_text("g.serial", "GUEST-UP", 60);
        w.forget_calls();
        w.virsh("suspend g").ok();
        assert_eq!(state(w, "g"), "paused (user)");
        w.virsh("resume g").ok();
        assert_eq!(state(w, "g"), "running (unpaused)");
        let pid = w.qemu_pid("g");
        w.virsh("reset g").ok();
        let times_up = |w: &World| w.read("g.serial").matches("GUEST-UP").count();
        w.wait_for("the guest is up again", Duration::from_secs(60), || {
            times_up(w) >= 2
        });
        assert_eq!(w.qemu_pid("g"), pid);
        assert_eq!(operations(w), Vec::<String>::new());
    });
}

#[test]
fn r34_shutdown_by_the_power_button() {
    in_world(LINUX, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g").linux(""));
        w.virsh("start g").ok();
        w.wait_text("g.serial", "GUEST-UP", 60);
        w.virsh("shutdown g").ok();
        wait_state(w, "g", "shut off (shutdown)", 60);
        w.wait_called("qemu g release end shutdown");
        assert!(w.read("g.serial").contains("GUEST-BUTTON"));
        assert_eq!(operations(w)[3..], ["stopped end -", "release end shutdown"]);
    });
}

#[test]
fn r34_poweroff_from_inside() {
    in_world(LINUX, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g").linux("guest.do=poweroff"));
        w.virsh("start g").ok();
        wait_state(w, "g", "shut off (shutdown)", 60);
        w.wait_called("qemu g release end shutdown");
    });
}

#[test]
fn r40_reboot_from_inside_is_the_same_run() {
    in_world(LINUX, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g").linux("guest.do=reboot guest.after=1"));
        w.virsh("start g").ok();
        w.wait_for("a second boot", Duration::from_secs(90), || {
            w.read("g.serial").matches("GUEST-UP").count() >= 2
        });
        assert_eq!(operations(w), BEGIN);
        w.virsh("destroy g").ok();
    });
}

#[test]
fn r34_a_killed_qemu_is_seen_at_once() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        w.signal(w.qemu_pid("g").expect("QEMU runs"), "KILL");
        w.wait_for("the end is seen", Duration::from_secs(3), || {
            state(w, "g") == "shut off (crashed)"
        });
        w.wait_called("qemu g release end crashed");
        w.virsh("start g").ok();
    });
}

#[test]
fn r30_prepare_may_create_the_disk() {
    in_world(&[Tool::Virsh, Tool::Qemu, Tool::QemuImg], |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        let disk = "<disk type='file' device='disk'><driver name='qemu' type='raw'/>\
                    <source file='/run/world/late.img'/><target dev='vda' bus='virtio'/></disk>";
        w.define(&Guest::new("g").device(disk));
        w.virsh("start g").fails_with(&["/run/world/late.img"]);
        assert_eq!(
            operations(w).last().map(String::as_str),
            Some("release end failed")
        );
        assert_eq!(operations(w)[0], BEGIN[0]);
        assert!(w.qemu_pid("g").is_none());
        assert_eq!(state(w, "g"), "shut off (failed)");
        w.forget_calls();
        w.rule("[ $2 != prepare ] || truncate -s 1M /run/world/late.img");
        w.virsh("start g").ok();
        assert_eq!(operations(w), BEGIN);
    });
}

#[test]
fn a_guest_writes_its_log_where_libvirt_does() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        let log = w.read("/var/log/libvirt/qemu/g.log");
        assert!(log.contains("-name guest=g,"), "{log}");
        let pid = w.qemu_pid("g").expect("QEMU runs");
        assert_eq!(w.read("/run/libvirt/qemu/g.pid").trim(), pid.to_string());
        w.virsh("destroy g").ok();
        assert_eq!(w.read("/run/libvirt/qemu/g.pid"), "");
    });
}

#[test]
fn undefine_of_a_running_guest_makes_it_transient() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        w.virsh("undefine g").ok();
        assert!(w.virsh("dominfo g").ok().contains("Persistent:     no"));
        w.virsh("destroy g").ok();
        assert_eq!(w.virsh("list --all --name").ok().trim(), "");
    });
}

#[test]
fn r24_autostart_once_per_boot() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("autostart g").ok();
        assert_eq!(w.daemon_stop(), 0);
        w.sh("rm -rf /run/libvirt");
        w.daemon_start();
        w.wait_called("qemu g started begin -");
        w.virsh("destroy g").ok();
        assert_eq!(w.daemon_stop(), 0);
        w.forget_calls();
        w.daemon_start();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(operations(w), Vec::<String>::new());
        w.virsh("autostart g --disable").ok();
        assert!(!std::path::Path::new("/etc/libvirt/qemu/autostart/g.xml").exists());
    });
}
