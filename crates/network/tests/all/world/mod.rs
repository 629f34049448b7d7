//! A private world for a test: a network namespace of its own, directories of its own, hook scripts that write down how
//! they were called, and the real helper programs, dnsmasq and nft.

use std::fmt::Write as _;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use ferrovirt_hook::{Engine, EngineConfig, Origin};
use ferrovirt_model::UnknownPolicy;
use ferrovirt_model::network::Network;
use ferrovirt_network::{Config, Error, NetworkHandle, Networks};
use ferrovirt_sys::launch::Launcher;
use tempfile::TempDir;

/// Set in the process that runs a test's body.
const INSIDE: &str = "FERROVIRT_TEST_INSIDE";

/// Runs `body` in a process of its own, in a network namespace of its own. `test` is the test's full name.
pub fn private<F: Future<Output = ()>>(test: &str, body: impl FnOnce() -> F) {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == test) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(body());
        return;
    }
    helpers();
    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["-n", "--"])
        .arg(exe)
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, test);
    let output = command.output().expect("unshare (util-linux) is there");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "in its private world:\n{text}"
    );
}

/// Builds the programs that the daemon starts, once.
fn helpers() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "-p", "ferrovirt-sys", "--bins"])
            .status();
        assert!(built.expect("cargo runs").success());
    });
}

/// One world.
pub struct World {
    pub dir: TempDir,
}

impl World {
    pub fn new() -> World {
        let dir = tempfile::Builder::new().prefix("fv-net-").tempdir().unwrap();
        // dnsmasq gives up root, and reads its files then.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        run("ip", &["link", "set", "lo", "up"]);
        World { dir }
    }

    /// A world that exists already, for the next daemon in it.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn daemon(&self) -> Networks {
        daemon(self.path())
    }

    /// Installs the network hook: it writes a line for each call, and its input to a file of that call's name, then
    /// does what `rest` (shell) says.
    pub fn hook(&self, rest: &str) {
        hook(self.path(), rest);
    }

    /// The calls so far: `NET OPERATION` each.
    pub fn calls(&self) -> Vec<String> {
        calls(self.path())
    }

    /// What stood on a call's standard input the last time.
    pub fn input(&self, operation: &str) -> String {
        std::fs::read_to_string(self.path().join(format!("in-{operation}"))).unwrap()
    }

    pub fn file(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }
}

/// A test that failed leaves no process behind.
impl Drop for World {
    fn drop(&mut self) {
        for pid in processes(self.path()) {
            let _ = Command::new("kill").args(["-9", &pid]).status();
        }
    }
}

/// Numbers of the dnsmasqs of the world at `root`.
fn processes(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&*root.to_string_lossy()) && line.contains("dnsmasq") {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

/// A daemon's networks in the world at `root`; nothing is loaded yet.
pub fn daemon(root: &Path) -> Networks {
    daemon_with(root, |_| ()).0
}

/// The same, with other settings, and with its engine.
pub fn daemon_with(root: &Path, edit: impl FnOnce(&mut Config)) -> (Networks, Engine) {
    let target = std::env::current_exe().unwrap();
    let target = target
        .ancestors()
        .find(|path| path.join("ferrovirt-keeper").is_file())
        .unwrap()
        .to_owned();
    let engine = Engine::new(EngineConfig::new(
        root.join("hooks"),
        target.join("ferrovirt-keeper"),
    ));
    let mut config = Config {
        config_dir: root.join("etc"),
        status_dir: root.join("run"),
        state_dir: root.join("state"),
        boot_flag_dir: root.join("run"),
        dnsmasq: "dnsmasq".into(),
        nft: "nft".into(),
        launcher: Launcher::new(target.join("ferrovirt-launch")),
        lease_helper: env!("CARGO_BIN_EXE_ferrovirt-lease").into(),
        unknown: UnknownPolicy::Refuse,
        privileged: true,
    };
    edit(&mut config);
    (Networks::new(config, engine.clone()), engine)
}

pub fn hook(root: &Path, rest: &str) {
    let dir = root.join("hooks");
    std::fs::create_dir_all(&dir).unwrap();
    let root = root.display();
    let text = format!(
        "#!/bin/sh\ncat > {root}/in-$2\necho \"$1 $2\" >> {root}/calls\n[ \"$3\" = begin ] || [ \"$3\" = end ] || exit 9\n\
         {rest}\nexit 0\n"
    );
    let path = dir.join("network");
    let new = dir.join(".network.new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(new, path).unwrap();
}

pub fn calls(root: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(root.join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Runs a program and returns what it says.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect(program);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}{errors}");
    text
}

/// Is there such a device?
pub fn device(name: &str) -> bool {
    Command::new("ip")
        .args(["link", "show", name])
        .output()
        .unwrap()
        .status
        .success()
}

/// A NAT network with DHCP.
pub fn nat(name: &str, number: u8) -> Network {
    document(&format!(
        "<network><name>{name}</name><uuid>22222222-2222-4222-8222-2222222222{number:02x}</uuid><forward mode='nat'/>\
         <bridge name='virbr-t{number}'/><mac address='52:54:00:00:01:{number:02x}'/>\
         <ip address='192.168.{}.1' netmask='255.255.255.0'><dhcp><range start='192.168.{0}.10' end='192.168.{0}.99'/>\
         </dhcp></ip></network>",
        100 + number
    ))
}

/// An isolated network without addresses: a bridge and nothing else.
pub fn plain(name: &str, number: u8) -> Network {
    document(&format!(
        "<network><name>{name}</name><uuid>22222222-2222-4222-8222-2222222222{number:02x}</uuid>\
         <bridge name='virbr-t{number}'/><mac address='52:54:00:00:01:{number:02x}'/></network>"
    ))
}

pub fn document(text: &str) -> Network {
    Network::parse(text, UnknownPolicy::Refuse).expect(text).value
}

/// Defines a network and starts it.
pub async fn up(networks: &Networks, doc: Network) -> NetworkHandle {
    let handle = networks.define(doc, Origin::client()).await.expect("defined");
    handle.start(Origin::client()).await.expect("started");
    handle
}

/// Waits, at most ten seconds, until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < Duration::from_secs(10), "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// All that a network may leave on the host: devices, tables, dnsmasqs, files.
pub fn leftovers(root: &Path) -> String {
    let mut text = String::new();
    for line in run("ip", &["-o", "link", "show", "type", "bridge"]).lines() {
        let _ = writeln!(
            text,
            "device {}",
            line.split(':').nth(1).unwrap_or_default().trim()
        );
    }
    for line in run("nft", &["list", "tables"]).lines() {
        let _ = writeln!(text, "{line}");
    }
    for pid in processes(root) {
        let _ = writeln!(text, "dnsmasq {pid}");
    }
    for entry in std::fs::read_dir(root.join("run"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "autostarted" {
            let _ = writeln!(text, "file {name}");
        }
    }
    text
}

/// What an error says.
pub fn text(result: Result<(), Error>) -> String {
    result.expect_err("a failure").to_string()
}
