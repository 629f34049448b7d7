//! The daemon as a service: socket activation and what systemd is told, going into the background, ending by
//! itself, impatient administrators (R20, R21, R24).

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ferrovirt_tests::daemon::{ENVIRONMENT, SOCKET, SOCKET_READ_ONLY};
use ferrovirt_tests::world::our_program;
use ferrovirt_tests::{Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh];

/// Starts the daemon as systemd does for sockets that it has made; they stay open here, as in systemd.
fn activate(notify: &str) -> (Child, [UnixListener; 2]) {
    std::fs::create_dir_all("/run/libvirt").unwrap();
    let sockets = [SOCKET, SOCKET_READ_ONLY].map(|path| UnixListener::bind(path).unwrap());
    let [rw, ro] = [0, 1].map(|i: usize| Stdio::from(OwnedFd::from(sockets[i].try_clone().unwrap())));
    let daemon = our_program("ferrovirtd");
    let script = format!(
        "exec 3<&0 4<&1 </dev/null >/run/world/daemon.out 2>&1; LISTEN_PID=$$ LISTEN_FDS=2 exec {}",
        daemon.display()
    );
    let child = Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .envs(ENVIRONMENT.iter().copied())
        .env("NOTIFY_SOCKET", notify)
        .stdin(rw)
        .stdout(ro)
        .spawn()
        .unwrap();
    (child, sockets)
}

#[test]
fn r24_clients_of_passed_sockets_are_told_which_hook_they_wait_for() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.rule("[ $2 = reload ] || sleep 3");
        let notify = UnixDatagram::bind(w.dir.join("notify")).unwrap();
        notify.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (mut child, sockets) = activate("/run/world/notify");
        w.wait_called("daemon - start - start");
        w.virsh("uri")
            .within(Duration::from_secs(2))
            .fails_with(&["/etc/libvirt/hooks/daemon"]);
        w.wait_ended("daemon - start - start");
        let mut text = [0; 256];
        let n = notify.recv(&mut text).unwrap();
        assert!(String::from_utf8_lossy(&text[..n]).contains("READY=1"));
        w.virsh("uri").ok();
        w.virsh("--readonly uri").ok();
        let script = "kill -HUP";
        w.sh(&format!("{script} {}", child.id()));
        w.wait_ended("daemon - reload begin SIGHUP");
        w.sh(&format!("kill -TERM {}", child.id()));
        w.wait_called("daemon - shutdown - shutdown");
        w.virsh("uri")
            .within(Duration::from_secs(2))
            .fails_with(&["/etc/libvirt/hooks/daemon"]);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        // The sockets are systemd's: they are still there for the next daemon.
        assert!(std::path::Path::new(SOCKET).exists() && std::path::Path::new(SOCKET_READ_ONLY).exists());
        drop(sockets);
        let mut told = String::new();
        while let Ok(n) = {
            notify.set_nonblocking(true).unwrap();
            notify.recv(&mut text)
        } {
            told += &String::from_utf8_lossy(&text[..n]);
        }
        assert!(
            told.contains("RELOADING=1") && told.contains("MONOTONIC_USEC="),
            "{told}"
        );
        assert!(told.contains("STOPPING=1"), "{told}");
    });
}

#[test]
fn in_the_background_the_command_ends_when_clients_can_connect() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.rule("[ $2 = reload ] || sleep 1");
        let program = our_program("ferrovirtd");
        w.sh(&format!(
            "{} -d -p /run/world/own.pid < /dev/null",
            program.display()
        ));
        w.virsh("uri").ok();
        w.assert_calls(&["daemon - start - start"]);
        let pid = w.read("own.pid").trim().to_owned();
        assert_eq!(w.sh(&format!("readlink /proc/{pid}/fd/2")).trim(), "/dev/null");
        assert!(
            !w.succeeds(&format!("{} -p /run/world/own.pid", program.display())),
            "a second daemon"
        );
        w.sh(&format!("kill {pid}"));
        w.wait_for("the end of the daemon", Duration::from_secs(20), || {
            !w.dir.join("own.pid").exists()
        });
        w.assert_calls(&["daemon - start - start", "daemon - shutdown - shutdown"]);
        w.sh("echo 'log_level = ' > /etc/libvirt/libvirtd.conf");
        assert!(
            !w.succeeds(&format!("{} -d", program.display())),
            "broken settings"
        );
    });
}

#[test]
fn a_daemon_that_nobody_needs_ends_when_it_was_told_so() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.daemon_spawn(&["-t", "2"]);
        w.daemon_ready();
        assert_eq!(w.daemon_wait(Duration::from_secs(20)), 0);
        w.assert_calls(&["daemon - start - start", "daemon - shutdown - shutdown"]);
    });
}

#[test]
fn r21_a_second_sigterm_ends_the_start_hook_but_never_skips_the_shutdown_hook() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.rule("[ $2 != start ] || exec sleep 60");
        w.daemon_spawn(&[]);
        w.wait_called("daemon - start - start");
        terminate_twice(w);
        assert_eq!(w.daemon_wait(Duration::from_secs(20)), 0);
        w.assert_calls(&["daemon - start - start", "daemon - shutdown - shutdown"]);
        w.forget_calls();
        w.rule("[ $2 != shutdown ] || sleep 2");
        w.daemon_start();
        terminate_twice(w);
        assert_eq!(w.daemon_wait(Duration::from_secs(20)), 0);
        w.wait_ended("daemon - shutdown - shutdown");
    });
}

fn terminate_twice(w: &World) {
    for _ in 0..2 {
        w.signal(w.daemon_pid(), "TERM");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn r21_a_driver_that_cannot_start_is_a_quiet_end() {
    in_world(NEEDS, |w| {
        w.record(&["daemon"]);
        w.sh("echo 'user = ' > /etc/libvirt/qemu.conf");
        w.daemon_spawn(&[]);
        assert_eq!(w.daemon_wait(Duration::from_secs(20)), 0);
        w.assert_calls(&["daemon - start - start", "daemon - shutdown - shutdown"]);
        assert!(w.daemon_log().contains("qemu.conf:1: expecting a value"));
    });
}
