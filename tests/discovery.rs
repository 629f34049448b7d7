//! Scripts that come while the daemon runs, and scripts that cannot be trusted (R4, R94).

use std::path::Path;
use std::time::Duration;

use ferrovirt_tests::world::write;
use ferrovirt_tests::{Guest, Tool, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const SETTINGS: &str = "/etc/ferrovirt/ferrovirtd.toml";
const LOG: &str = "/var/log/libvirt/libvirtd.log";

#[test]
fn r4_live_discovery_says_what_becomes_of_a_file_and_uses_it_at_once() {
    in_world(NEEDS, |w| {
        write(Path::new(SETTINGS), "[hooks]\ndiscovery = 'live'\n", 0o644);
        let verbose = "log_level = 2\nlog_outputs = \"2:file:/var/log/libvirt/libvirtd.log\"\n";
        write(Path::new("/etc/libvirt/libvirtd.conf"), verbose, 0o644);
        w.daemon_start();
        w.define(&Guest::new("g"));
        // Not even the directory was there.
        w.record(&["qemu"]);
        w.wait_text(
            LOG,
            "Hook script /etc/libvirt/hooks/qemu is called from now on",
            20,
        );
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
        assert_eq!(w.calls().len(), 5);
        w.sh("chmod 600 /etc/libvirt/hooks/qemu");
        let reason = "Non-executable hook script /etc/libvirt/hooks/qemu: its mode 0600 has no execute bit";
        w.wait_text(LOG, reason, 20);
        w.wait_text(
            LOG,
            "Hook script /etc/libvirt/hooks/qemu is not called any more",
            20,
        );
        w.record(&["qemu.d/10-a.bak"]);
        let odd = "Hook script /etc/libvirt/hooks/qemu.d/10-a.bak is called although it looks like a backup";
        w.wait_text(LOG, odd, 20);
        w.sh("ln -s nothing /etc/libvirt/hooks/qemu.d/20-b");
        w.wait_text(
            LOG,
            "Hook script /etc/libvirt/hooks/qemu.d/20-b cannot be used",
            20,
        );
        let listed = w.ferrovirt("list --guest g --operation start");
        for line in [
            "   - /etc/libvirt/hooks/qemu: not run: its mode 0600 has no execute bit",
            "  1. /etc/libvirt/hooks/qemu.d/10-a.bak",
            "   - /etc/libvirt/hooks/qemu.d/20-b: not run: No such file",
        ] {
            assert!(listed.ok().contains(line), "no '{line}' in {}", listed.out);
        }
    });
}

#[test]
fn r4_without_it_a_first_script_waits_and_the_list_says_why() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.record(&["qemu"]);
        let listed = w.ferrovirt("list --guest g --operation start");
        assert!(
            listed.ok().contains(
                "   - /etc/libvirt/hooks/qemu: not run: its driver had no hooks when the daemon started: a restart or a \
                 reload (SIGHUP) finds it"
            ),
            "{}",
            listed.out
        );
        w.signal(w.daemon_pid(), "HUP");
        w.wait_for("it is found", Duration::from_secs(20), || {
            w.ferrovirt("list --guest g --operation start")
                .out
                .contains("1. /etc/libvirt/hooks/qemu\n")
        });
    });
}

#[test]
fn r94_what_others_may_change_is_reported_and_refused_when_strict() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.sh("chmod 777 /etc/libvirt/hooks/qemu");
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
        let unsafe_file = "others than its owner may write to it (mode 0777)";
        let log = w.daemon_log();
        let said = format!("Hook script /etc/libvirt/hooks/qemu is not safe: {unsafe_file}");
        assert_eq!(log.matches(&said).count(), 1, "{log}");
        let listed = w.ferrovirt("list --guest g --operation start");
        assert!(
            listed.ok().contains(&format!(": careful: {unsafe_file}")),
            "{}",
            listed.out
        );
        assert_eq!(w.daemon_stop(), 0);
        write(Path::new(SETTINGS), "[hooks]\nstrict_permissions = true\n", 0o644);
        w.forget_calls();
        w.daemon_start();
        w.virsh("start g")
            .fails_with(&["/etc/libvirt/hooks/qemu is not run: ", unsafe_file]);
        // A directory that others may write to is as bad.
        w.sh("chmod 755 /etc/libvirt/hooks/qemu; chmod 777 /etc/libvirt/hooks");
        w.virsh("start g")
            .fails_with(&["others than the owner of /etc/libvirt/hooks may write there (mode 0777)"]);
        w.assert_calls(&[]);
        let rows = w.ferrovirt("history --failed --operation prepare");
        assert_eq!(rows.ok().matches("refused").count(), 2, "{}", rows.out);
        w.sh("chmod 755 /etc/libvirt/hooks");
        w.virsh("start g").ok();
        assert_eq!(w.calls().len(), 3);
    });
}
