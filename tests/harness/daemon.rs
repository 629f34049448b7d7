//! Starting and ending `ferrovirtd` in a world.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::{World, our_program};

/// Where the daemon listens.
pub const SOCKET: &str = "/run/libvirt/libvirt-sock";
/// Where it listens for those who may only read.
pub const SOCKET_READ_ONLY: &str = "/run/libvirt/libvirt-sock-ro";
/// The daemon's whole environment.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("USER", "root"),
    ("LOGNAME", "root"),
];
/// How long a daemon may take until it answers.
const READY: Duration = Duration::from_secs(30);

/// A running daemon.
pub struct Daemon {
    child: Child,
}

impl World {
    /// Starts the daemon and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn daemon_start(&self) {
        self.daemon_spawn(&[]);
        self.daemon_ready();
    }

    /// Starts the daemon with these arguments and does not wait.
    pub fn daemon_spawn(&self, args: &[&str]) {
        let mut command = Command::new(our_program("ferrovirtd"));
        command.args(args);
        self.daemon_spawn_as(command);
    }

    /// Starts the daemon by this command line, with the daemon's environment added.
    ///
    /// # Panics
    /// When the program is not there.
    pub fn daemon_spawn_as(&self, mut command: Command) {
        let path = self.dir.join("daemon.out");
        let out = File::options()
            .append(true)
            .create(true)
            .open(&path)
            .expect("a world's file");
        let error = out.try_clone().expect("a descriptor can be doubled");
        let own: Vec<_> = command
            .get_envs()
            .map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned)))
            .collect();
        command.env_clear().envs(ENVIRONMENT.iter().copied());
        for (key, value) in own {
            command.env(key, value.unwrap_or_default());
        }
        let child = command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(error)
            .spawn();
        let child = child.expect("the daemon can be started");
        *self.daemon.lock().expect("no test panics while it holds this") = Some(Daemon { child });
    }

    /// Waits until the daemon answers.
    ///
    /// # Panics
    /// When it ends or does not answer in time.
    pub fn daemon_ready(&self) {
        let start = Instant::now();
        loop {
            assert!(
                self.daemon_exit_code().is_none(),
                "the daemon ended: {:?}",
                self.daemon_exit_code()
            );
            if UnixStream::connect(SOCKET).is_ok() && self.virsh("uri").code == 0 {
                return;
            }
            assert!(start.elapsed() < READY, "the daemon does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The daemon's pid.
    ///
    /// # Panics
    /// When there is none.
    pub fn daemon_pid(&self) -> u32 {
        self.with_daemon(|daemon| daemon.child.id())
    }

    /// The exit code if the daemon has ended (-1: by a signal).
    pub fn daemon_exit_code(&self) -> Option<i32> {
        self.with_daemon(|daemon| {
            daemon
                .child
                .try_wait()
                .ok()
                .flatten()
                .map(|status| status.code().unwrap_or(-1))
        })
    }

    /// Ends the daemon as a service manager does; returns its exit code.
    pub fn daemon_stop(&self) -> i32 {
        self.signal(self.daemon_pid(), "TERM");
        self.daemon_wait(Duration::from_secs(40))
    }

    /// Waits for the daemon's end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn daemon_wait(&self, limit: Duration) -> i32 {
        let start = Instant::now();
        loop {
            if let Some(code) = self.daemon_exit_code() {
                return code;
            }
            assert!(start.elapsed() < limit, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL to the daemon.
    pub fn daemon_kill(&self) {
        self.with_daemon(|daemon| {
            daemon.child.kill().expect("a child can be killed");
            daemon.child.wait().expect("a child can be waited for");
        });
    }

    /// What the daemon has logged and written.
    pub fn daemon_log(&self) -> String {
        self.read("/var/log/libvirt/libvirtd.log") + &self.read("daemon.out")
    }

    fn with_daemon<T>(&self, work: impl FnOnce(&mut Daemon) -> T) -> T {
        let mut guard = self.daemon.lock().expect("no test panics while it holds this");
        work(guard.as_mut().expect("the test has started a daemon"))
    }
}
