//! The private world of one test.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::groups::{ENTER, Groups, MOUNTS, thaw};
use crate::tools::{self, Tool};

/// Set inside a world: the name of the test that runs there.
const INSIDE: &str = "FERROVIRT_TEST_WORLD";
/// The longest that one test may take, in seconds; the SIGKILL test is the longest.
const LIMIT: &str = "600";

/// Runs as pid 1 of the world: makes it private, then waits for the test and reaps what is orphaned.
const SETUP: &str = r#"
set -e
mount --make-rprivate /
umount --recursive --lazy /sys
mount -t sysfs sysfs /sys
eval "$CGROUP_MOUNTS"
for d in /run /etc/libvirt /etc/ferrovirt /var/lib/libvirt /var/lib/ferrovirt /var/log/libvirt /var/cache/libvirt; do
    mkdir -p "$d"
    mount -t tmpfs -o mode=755 tmpfs "$d"
done
mkdir -p /run/lock /run/world /run/netns /var/cache/libvirt/qemu/capabilities "$CACHE" /etc/libvirt/qemu
mount --bind "$CACHE" /var/cache/libvirt/qemu/capabilities
hostname testhost
ip link set lo up
set +e
"$@" &
wait $!
exit $?
"#;

/// What a test body gets: its machine, as it were.
pub struct World {
    /// Where a test may write: `/run/world`.
    pub dir: PathBuf,
    pub(crate) daemon: Mutex<Option<Daemon>>,
}

/// Runs `body` in a world of its own if `needs` are there.
///
/// # Panics
/// When the body does, with all that the daemon wrote; when something is missing under `CI=true`.
pub fn in_world<F: FnOnce(&World)>(needs: &[Tool], body: F) {
    let name = test_name::<F>();
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        return inside(body);
    }
    if let Some(reason) = tools::missing(needs) {
        assert!(!tools::is_ci(), "{name}: {reason}");
        println!("{name}: skipped: {reason}");
        return;
    }
    let groups = match needs.contains(&Tool::Cgroups) {
        true => Groups::make(),
        false => Groups::default(),
    };
    let output = Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "timeout",
            "-s",
            "KILL",
            LIMIT,
            "setpriv",
            "--pdeathsig",
            "KILL",
        ])
        .args([
            "unshare",
            "--mount",
            "--net",
            "--pid",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child=KILL",
        ])
        .args(["--mount-proc", "sh", "-c", ENTER, "enter"])
        .args(["sh", "-c", SETUP, "world"])
        .arg(std::env::current_exe().expect("a running program has a file"))
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, &name)
        .env("RUST_BACKTRACE", "0")
        .env("CGROUPS", groups.list())
        .env("CGROUP_MOUNTS", MOUNTS)
        .env("CACHE", target_dir().join("e2e-cache"))
        .stdin(Stdio::null())
        .output()
        .expect("setpriv can be run");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let ran = text.contains("1 passed; 0 failed");
    assert!(
        output.status.success() && ran,
        "{name}, in its world: {}\n{text}",
        output.status
    );
    print!("{}", notes(&text));
}

/// Lines that a body wanted seen: those that begin with `note: `. The first of them follows the name of the test.
fn notes(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let named = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "));
        named.map_or(line, |(_, rest)| rest)
    });
    lines
        .filter(|line| line.starts_with("note: "))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn inside<F: FnOnce(&World)>(body: F) {
    let world = World {
        dir: PathBuf::from("/run/world"),
        daemon: Mutex::new(None),
    };
    world.write_settings();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&world)));
    if let Err(panic) = result {
        world.print_traces();
        thaw(Path::new("/sys/fs/cgroup/freezer"));
        std::panic::resume_unwind(panic);
    }
}

/// `module::name` of the test whose closure `F` is.
fn test_name<F>() -> String {
    let full = std::any::type_name::<F>();
    let inside_crate = full.split_once("::").map_or(full, |(_, rest)| rest);
    inside_crate
        .split("::{{closure}}")
        .next()
        .unwrap_or(inside_crate)
        .to_owned()
}

/// Where cargo builds: the test program lies in `TARGET/PROFILE/deps`.
pub fn target_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .nth(3)
        .map_or_else(|| PathBuf::from("target"), Path::to_owned)
}

/// A program of this workspace, built beside the tests (or in `FERROVIRT_BIN`).
///
/// # Panics
/// When it is not built.
pub fn our_program(name: &str) -> PathBuf {
    let beside = || {
        std::env::current_exe()
            .ok()
            .and_then(|p| p.ancestors().nth(2).map(Path::to_owned))
    };
    let dir = std::env::var_os("FERROVIRT_BIN")
        .map(PathBuf::from)
        .or_else(beside)
        .unwrap_or_default();
    let path = dir.join(name);
    assert!(
        path.is_file(),
        "{} is not built: cargo build --workspace --bins",
        path.display()
    );
    path
}

impl World {
    /// A file of the world's directory, with this text.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        write(&path, text, 0o644);
        path
    }

    /// A script of the world's directory.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        write(&path, text, 0o755);
        path
    }

    /// The text of a file anywhere, or nothing.
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.dir.join(path);
        std::fs::read(path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Runs a shell command in the world; its output must be success.
    ///
    /// # Panics
    /// When it fails.
    pub fn sh(&self, command: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(&self.dir)
            .output()
            .expect("sh runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "sh -c '{command}': {}\n{text}{error}",
            output.status
        );
        text
    }

    /// Whether a shell command succeeds.
    pub fn succeeds(&self, command: &str) -> bool {
        let status = Command::new("sh")
            .args(["-c", command])
            .current_dir(&self.dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    /// Waits until `done`.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub fn wait_for(&self, what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `done` is well; what it says of the last look is in the failure.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub fn wait_well(&self, what: &str, limit: Duration, mut done: impl FnMut() -> Result<(), String>) {
        let start = Instant::now();
        while let Err(wrong) = done() {
            assert!(
                start.elapsed() < limit,
                "waited {limit:?} in vain for: {what}: {wrong}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a file has this text.
    pub fn wait_text(&self, path: impl AsRef<Path>, text: &str, seconds: u64) {
        let path = path.as_ref();
        let what = format!("'{text}' in {}", path.display());
        self.wait_for(&what, Duration::from_secs(seconds), || {
            self.read(path).contains(text)
        });
    }

    /// The pid of the QEMU process of a guest.
    pub fn qemu_pid(&self, guest: &str) -> Option<u32> {
        let want = format!("guest={guest},");
        processes()
            .into_iter()
            .find(|(_, line)| line.contains("qemu-system") && line.contains(&want))
            .map(|p| p.0)
    }

    /// The pids of a program's processes.
    pub fn running(&self, program: &str) -> Vec<u32> {
        let is_it = |line: &str| {
            line.split(' ')
                .next()
                .is_some_and(|first| first.rsplit('/').next() == Some(program))
        };
        processes()
            .into_iter()
            .filter(|(_, line)| is_it(line))
            .map(|(pid, _)| pid)
            .collect()
    }

    /// Pids and command lines of the world's processes.
    pub fn processes(&self) -> Vec<(u32, String)> {
        processes()
    }

    /// Sends a signal to one process.
    pub fn signal(&self, pid: u32, signal: &str) {
        self.sh(&format!("kill -{signal} {pid}"));
    }

    /// Whether a network device is there.
    pub fn link_exists(&self, name: &str) -> bool {
        Path::new("/sys/class/net").join(name).exists()
    }

    /// The world's tap devices.
    pub fn taps(&self) -> Vec<String> {
        let entries = std::fs::read_dir("/sys/class/net")
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with("vnet") || name.starts_with("tap"))
            .collect()
    }

    fn write_settings(&self) {
        write(
            Path::new("/etc/libvirt/libvirtd.conf"),
            "log_level = 3\nlog_outputs = \"3:file:/var/log/libvirt/libvirtd.log\"\n",
            0o644,
        );
        write(
            Path::new("/etc/libvirt/qemu.conf"),
            "user = \"root\"\ngroup = \"root\"\n",
            0o644,
        );
    }

    /// All that helps to understand a failure.
    fn print_traces(&self) {
        for path in ["daemon.out", "calls", "/var/log/libvirt/libvirtd.log"] {
            let text = self.read(path);
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(60)..].join("\n");
            println!("--- {path}\n{last}");
        }
        if let Ok(logs) = std::fs::read_dir("/var/log/libvirt/qemu") {
            for log in logs.flatten() {
                println!("--- {}\n{}", log.path().display(), self.read(log.path()));
            }
        }
        println!("--- processes");
        for (pid, line) in processes() {
            println!("{pid}: {}", line.chars().take(160).collect::<String>());
        }
    }
}

/// Writes a file of a test, with its directories.
///
/// # Panics
/// When it cannot be written.
pub fn write(path: &Path, text: &str, mode: u32) {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).expect("a world's directories can be made");
    }
    std::fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).expect("the mode of an own file can be set");
}

fn processes() -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if !line.is_empty() {
            found.push((pid, line));
        }
    }
    found
}
