//! The daemon's sockets: who may connect, what the read-only one refuses, what happens when they are left over.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use ferrovirt_tests::daemon::{SOCKET, SOCKET_READ_ONLY};
use ferrovirt_tests::{Guest, Tool, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

#[test]
fn the_read_only_socket_refuses_changes() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("--readonly list --all").ok();
        w.virsh("--readonly dominfo g").ok();
        for command in ["start g", "undefine g", "autostart g", "net-destroy default"] {
            let output = w.virsh(&format!("--readonly {command}"));
            assert!(output.code != 0, "{command} over the read-only socket");
        }
        w.virsh("--readonly start g")
            .fails_with(&["read only access prevents"]);
        // the socket refuses by itself, whatever the client says of itself
        let uri = format!("qemu+unix:///system?socket={SOCKET_READ_ONLY}");
        w.virsh_args(&["-c", &uri, "start", "g"]).fails_with(&[]);
        assert_eq!(w.virsh("domstate g").ok().trim(), "shut off");
    });
}

#[test]
fn mode_and_group_are_settable() {
    in_world(NEEDS, |w| {
        w.sh("printf 'unix_sock_group = \"daemon\"\\nunix_sock_rw_perms = \"0770\"\\nunix_sock_ro_perms = \"0750\"\\n' \
              >> /etc/libvirt/libvirtd.conf");
        w.daemon_start();
        let group: u32 = w.sh("getent group daemon | cut -d: -f3").trim().parse().unwrap();
        for (path, mode) in [(SOCKET, 0o770), (SOCKET_READ_ONLY, 0o750)] {
            let metadata = std::fs::metadata(path).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
            assert_eq!(metadata.gid(), group, "{path}");
        }
    });
}

#[test]
fn a_socket_left_over_is_replaced_and_a_second_daemon_refused() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.daemon_kill();
        assert!(std::path::Path::new(SOCKET).exists());
        w.daemon_start();
        let program = ferrovirt_tests::world::our_program("ferrovirtd");
        assert!(
            !w.succeeds(&format!("timeout 10 {}", program.display())),
            "a second daemon beside the first"
        );
        w.virsh("list").ok();
        assert_eq!(w.daemon_stop(), 0);
        assert!(!std::path::Path::new(SOCKET).exists());
    });
}
