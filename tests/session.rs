//! The daemon of an ordinary user (R16): own sockets and state, the same hooks, run as that user.

use std::process::Command;
use std::time::Duration;

use ferrovirt_tests::world::our_program;
use ferrovirt_tests::{Guest, Tool, in_world};

const USER: &[&str] = &[
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
    "--no-new-privs",
];

#[test]
fn r16_an_ordinary_users_daemon() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        w.sh("mkdir -p bin nobody/home nobody/run; chown -R 65534:65534 nobody; chmod 700 nobody/run");
        // the build directory may be closed to others
        for name in [
            "ferrovirtd",
            "ferrovirt-keeper",
            "ferrovirt-launch",
            "ferrovirt-lease",
        ] {
            w.sh(&format!("cp {} bin/", our_program(name).display()));
        }
        w.hook(
            "qemu",
            "#!/bin/sh\necho \"$(id -u) $*\" >> /run/world/nobody/calls\nhead -n 1 >> /run/world/nobody/calls\n",
        );
        let environment = [
            ("HOME", "/run/world/nobody/home"),
            ("XDG_RUNTIME_DIR", "/run/world/nobody/run"),
            ("USER", "nobody"),
            ("LOGNAME", "nobody"),
        ];
        let mut daemon = Command::new("setpriv");
        daemon
            .args(USER)
            .arg("/run/world/bin/ferrovirtd")
            .envs(environment);
        w.daemon_spawn_as(daemon);
        let socket = "/run/world/nobody/run/libvirt/libvirt-sock";
        w.wait_for("the user's socket", Duration::from_secs(20), || {
            std::path::Path::new(socket).exists()
        });
        let virsh = |args: &str| {
            let variables: Vec<String> = environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!(
                "env -i PATH=$PATH {} setpriv {} timeout 60 virsh -c qemu:///session {args}",
                variables.join(" "),
                USER.join(" ")
            )
        };
        let xml = Guest::new("g")
            .xml()
            .replace("/run/world/g.serial", "/run/world/nobody/g.serial");
        w.file("g.xml", &xml);
        assert_eq!(w.sh(&virsh("uri")).trim(), "qemu:///session");
        w.sh(&virsh("define /run/world/g.xml"));
        assert!(std::path::Path::new("/run/world/nobody/home/.config/libvirt/qemu/g.xml").exists());
        w.sh(&virsh("start g"));
        w.sh(&virsh("destroy g"));
        let calls = w.read("nobody/calls");
        assert!(
            calls.contains("65534 g prepare begin -\n<domain type='qemu'"),
            "{calls}"
        );
        assert!(calls.contains("65534 g release end destroyed"), "{calls}");
        assert!(!std::path::Path::new(ferrovirt_tests::daemon::SOCKET).exists());
        assert_eq!(w.daemon_stop(), 0);
    });
}
