//! Real containers with busybox: a root directory, a controller that is started as the daemon starts it, and its console.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrovirt_lxc::controller_client::{Controller, Event};
use ferrovirt_lxc::protocol::{
    Ask, Ending, Failure, Filesystem, IdMaps, IdRange, Init, ORDERS_FD, Orders, SOCKET_FD, Source,
};
use ferrovirt_sys::launch;
use ferrovirt_sys::process::ProcessId;
use rustix::pty::OpenptFlags;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

/// Longer than anything here takes: what is not there by then never comes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The first id on the host of containers with a user namespace.
pub const SHIFT: u32 = 100_000;

/// Whether this machine can run the tests; says why not. In CI everything must be there.
pub fn is_able(tools: &[&str]) -> bool {
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    let mut missing: Vec<String> = tools
        .iter()
        .chain(&["busybox"])
        .filter(|tool| ferrovirt_sys::program::find_in_path(tool).is_none())
        .map(|tool| format!("no {tool}"))
        .collect();
    if !rustix::process::getuid().is_root() {
        missing.push("not root".to_owned());
    }
    if missing.is_empty() {
        return true;
    }
    let reason = missing.join(", ");
    assert!(!is_ci, "cannot run: {reason}");
    eprintln!("skipped: {reason}");
    false
}

/// A container that is not started yet.
pub struct Cell {
    pub directory: TempDir,
    pub orders: Orders,
}

impl Cell {
    /// A root with busybox, and one console.
    pub fn new(name: &str) -> Cell {
        let directory = tempfile::tempdir().unwrap();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), open).unwrap();
        let root = directory.path().join("root");
        for path in ["bin", "tmp", "etc"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::create_dir(directory.path().join("staging")).unwrap();
        let busybox = ferrovirt_sys::program::find_in_path("busybox").unwrap();
        fs::copy(busybox, root.join("bin/busybox")).unwrap();
        let applets = std::process::Command::new("busybox")
            .arg("--list")
            .output()
            .unwrap();
        for applet in String::from_utf8(applets.stdout).unwrap().lines() {
            if applet != "busybox" {
                symlink("busybox", root.join("bin").join(applet)).unwrap();
            }
        }
        let orders = Orders {
            name: name.to_owned(),
            uuid: "33333333-3333-4333-8333-333333333301".to_owned(),
            staging: directory.path().join("staging"),
            init: Init::default(),
            namespaces: Default::default(),
            filesystems: vec![Filesystem {
                source: Source::Mount(root),
                target: "/".into(),
                read_only: false,
            }],
            nodes: Vec::new(),
            consoles: Vec::new(),
            capabilities: Default::default(),
            memory: None,
            no_new_privileges: false,
            seccomp: false,
        };
        Cell { directory, orders }.script("exec sleep 1000")
    }

    /// The root directory, on the host.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// What init does, for the shell.
    pub fn script(mut self, text: &str) -> Cell {
        self.orders.init.path = "/bin/sh".to_owned();
        self.orders.init.args = vec!["-c".to_owned(), text.to_owned()];
        self
    }

    /// Gives the container a network namespace.
    pub fn private_network(mut self) -> Cell {
        self.orders.namespaces.private_network = true;
        self
    }

    /// Gives the container a user namespace, and its files to its users.
    pub fn own_users(mut self) -> Cell {
        let range = IdRange {
            start: 0,
            target: SHIFT,
            count: 65_536,
        };
        let maps = IdMaps {
            uids: vec![range],
            gids: vec![range],
        };
        self.orders.namespaces.user = Some(maps);
        give(&self.root());
        self
    }

    /// Mounts something more.
    pub fn mount(mut self, source: Source, target: &str, read_only: bool) -> Cell {
        let target = target.into();
        self.orders.filesystems.push(Filesystem {
            source,
            target,
            read_only,
        });
        self
    }

    /// Starts it; comes back when init was executed.
    pub async fn start(self) -> Result<Container, Failure> {
        let (mut container, init) = self.begin().await?;
        container.go().await;
        match container.event().await {
            Event::Running => Ok(container.with_init(init)),
            Event::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    /// Starts it; comes back when init waits for its interfaces.
    pub async fn begin(mut self) -> Result<(Container, i32), Failure> {
        let (master, console) = terminal();
        self.orders.consoles = vec![5];
        let path = self.directory.path().join("c.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let orders = self.directory.path().join("orders");
        fs::write(&orders, serde_json::to_vec(&self.orders).unwrap()).unwrap();
        let log = File::create(self.directory.path().join("log")).unwrap();
        let mut start = launch::Orders::new(env!("CARGO_BIN_EXE_ferrovirt-lxc"));
        start.args = ["--name", &self.orders.name, "test"].map(OsString::from).to_vec();
        start.keep_capabilities = true;
        start.stdout = Some(log.try_clone().unwrap().into());
        start.stderr = Some(log.into());
        start.fds = vec![
            (File::open(orders).unwrap().into(), ORDERS_FD),
            (listener.into(), SOCKET_FD),
            (master, 5),
        ];
        let process = launch::Launcher::new(start.program.clone())
            .launch(start)
            .await
            .unwrap();
        let (controller, events) = Controller::connect(&path, PATIENCE).await.unwrap();
        let mut container = Container {
            cell: self,
            process,
            controller,
            events,
            console: Some(console),
            init: 0,
        };
        match container.event().await {
            Event::Cloned { init } => {
                // It waits; one that has refused may be gone in the middle of this.
                container.shows_its_name();
                Ok((container, init))
            }
            Event::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    /// Runs a script as init to its end: what it printed, and how it ended.
    pub async fn run(self, script: &str) -> (String, Ending) {
        let cell = self.script(&format!("( {script}\n) > /out 2>&1"));
        let out = cell.root().join("out");
        let mut container = cell.start().await.unwrap();
        let ending = container.ended().await;
        (fs::read_to_string(out).unwrap(), ending)
    }

    /// What a script as init prints.
    pub async fn output(self, script: &str) -> String {
        self.run(script).await.0
    }
}

/// A container that runs, or is about to.
pub struct Container {
    pub cell: Cell,
    pub process: ProcessId,
    pub controller: Controller,
    pub events: UnboundedReceiver<Event>,
    /// The host's terminal.
    console: Option<OwnedFd>,
    pub init: i32,
}

impl Container {
    /// It has not been executed anew, and says all the same whose controller it is.
    fn shows_its_name(&self) {
        let line = fs::read(format!("/proc/{}/cmdline", self.process.pid)).unwrap();
        let (program, name) = (env!("CARGO_BIN_EXE_ferrovirt-lxc"), &self.cell.orders.name);
        assert_eq!(
            String::from_utf8_lossy(&line),
            format!("{program}\0--name\0{name}\0test\0")
        );
    }

    fn with_init(mut self, init: i32) -> Container {
        self.init = init;
        self
    }

    /// Lets init go on.
    pub async fn go(&self) {
        self.ask(Ask::Go).await.unwrap();
    }

    pub async fn ask(&self, ask: Ask) -> Result<(), String> {
        let answer = self.controller.ask(ask, PATIENCE).await;
        answer.map_err(|error| error.to_string())
    }

    /// The next thing that happens.
    pub async fn event(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("nothing happens")
            .unwrap_or_else(|| panic!("the controller is gone: {}", self.log()))
    }

    /// Waits for the end; then the controller goes, too.
    pub async fn ended(&mut self) -> Ending {
        match self.event().await {
            Event::Ended(ending) => {
                self.gone().await;
                ending
            }
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the controller is gone.
    pub async fn gone(&self) {
        until(|| !self.process.is_alive()).await;
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.cell.directory.path().join("log")).unwrap_or_default()
    }

    /// A file of the container, once it is there with a whole line.
    pub async fn file(&self, name: &str) -> String {
        let path = self.cell.root().join(name);
        until(|| fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'))).await;
        fs::read_to_string(path).unwrap()
    }

    /// Runs a command in all namespaces of the container.
    pub fn inside(&self, script: &str) -> (bool, String) {
        let target = self.init.to_string();
        let users = self.cell.orders.namespaces.user.is_some().then_some("-U");
        let output = std::process::Command::new("nsenter")
            .args(users)
            .args([
                "-t", &target, "-m", "-p", "-n", "-u", "-i", "-r", "-w", "/bin/sh", "-c", script,
            ])
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// Nobody has the host's terminal open any more.
    pub fn close_console(&mut self) {
        self.console = None;
    }

    /// Somebody else's hold on the terminal.
    pub fn console(&self) -> OwnedFd {
        self.console.as_ref().unwrap().try_clone().unwrap()
    }

    /// Types at the console.
    pub fn typed(&self, text: &str) {
        File::from(self.console()).write_all(text.as_bytes()).unwrap();
    }

    /// Reads from the console until something was said.
    pub async fn hears(&self, wanted: &str) -> String {
        let mut console = File::from(self.console());
        let wanted = wanted.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            let mut bytes = [0u8; 512];
            while !text.contains(&wanted) {
                let count = console.read(&mut bytes).unwrap();
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            text
        });
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the console is silent")
            .unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = ferrovirt_sys::signals::send(self.process, 9);
    }
}

/// Waits until something is so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < end, "it never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process is there that is no zombie.
pub fn is_there(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("Z").starts_with('Z'))
}

/// Everything below goes to the container's root.
fn give(path: &Path) {
    std::os::unix::fs::lchown(path, Some(SHIFT), Some(SHIFT)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

/// A pseudo terminal: master and slave.
pub fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
    (master, slave)
}
