//! Guests with a real QEMU: no disk, little memory, everything below a directory of the test. What needs network
//! devices runs again inside a network namespace of its own.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use ferrovirt_guest::testing::{Engine, EngineConfig, FakePorts, Hooks, Origin, Trace};
use ferrovirt_guest::{Backend, Config, DestroyFlags, GuestHandle, Guests, ShutdownMode, StartFlags, State};
use ferrovirt_link::Links;
use ferrovirt_model::domain::Domain;
use ferrovirt_model::{Form, UnknownPolicy};
use ferrovirt_qemu::{QemuBackend, QemuConfig};
use ferrovirt_sys::launch::Launcher;
use ferrovirt_sys::process::ProcessId;
use tokio::runtime::Runtime;

/// The programs of `ferrovirt-sys`, beside the tests.
fn helper(name: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    let path = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join(name);
    BUILD.call_once(|| {
        if !path.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "-p", "ferrovirt-sys", "--bins"]);
            assert!(
                cargo
                    .current_dir(env!("CARGO_MANIFEST_DIR"))
                    .status()
                    .unwrap()
                    .success()
            );
        }
    });
    path
}

/// One daemon's life.
struct Daemon {
    runtime: Runtime,
    guests: Guests<QemuBackend>,
}

/// What survives it.
struct World {
    /// Name of its guest: control groups are the whole machine's, and tests run side by side.
    name: String,
    dir: tempfile::TempDir,
    hooks: Hooks,
    trace: Trace,
}

impl World {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "t{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let dir = tempfile::tempdir().unwrap();
        let (hooks, trace) = (Hooks::install(dir.path()), Trace::new(dir.path()));
        Self {
            name,
            dir,
            hooks,
            trace,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> QemuConfig {
        let mut config = QemuConfig::below(self.dir.path(), Launcher::new(helper("ferrovirt-launch")));
        // Kept between the tests: the binary is the same.
        config.cache_dir = std::env::temp_dir().join("ferrovirt-test-capabilities");
        config
    }

    fn daemon(&self) -> Daemon {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let config = self.config();
        let guests = runtime.block_on(async {
            let engine = Engine::new(EngineConfig::new(
                &self.hooks.hooks_dir,
                helper("ferrovirt-keeper"),
            ));
            let backend = QemuBackend::new(config.clone(), Links::open().unwrap(), no_passthrough());
            let ports = Arc::new(FakePorts::new(&engine));
            let config = Config {
                driver: QemuBackend::DRIVER,
                config_dir: self.path("etc"),
                status_dir: config.run_dir.clone(),
                log_dir: config.log_dir.clone(),
                boot_flag_dir: self.path("boot"),
                unknown: UnknownPolicy::Refuse,
            };
            let guests = Guests::with_ports(config, backend, engine, ports);
            guests.load().await.unwrap();
            guests.reconnect().await;
            guests
        });
        Daemon { runtime, guests }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.config().log_dir.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    /// A guest with these devices.
    fn guest(&self, devices: &str) -> String {
        guest(&self.name, devices)
    }

    /// The hooks' calls so far, with the guest's name as `g1`.
    fn calls(&self) -> Vec<String> {
        self.trace
            .take()
            .iter()
            .map(|line| line.replace(&self.name, "g1"))
            .collect()
    }

    async fn wait_for_call(&self, call: &str) {
        self.trace.wait(&call.replace("g1", &self.name)).await;
    }
}

impl Daemon {
    fn create(&self, xml: &str) -> Result<GuestHandle, String> {
        let doc = Domain::parse(xml, UnknownPolicy::Refuse).unwrap().value;
        let created = self.guests.create(doc, StartFlags::default(), Origin::client());
        self.runtime.block_on(created).map_err(|error| error.to_string())
    }

    fn destroy(&self, guest: &GuestHandle) {
        self.runtime
            .block_on(guest.destroy(DestroyFlags::default(), Origin::client()))
            .unwrap();
    }

    fn wait(&self, guest: &GuestHandle, what: impl Fn(&ferrovirt_guest::Snapshot) -> bool) {
        self.runtime.block_on(async {
            let mut watch = guest.watch();
            let seen = watch.wait_for(|snapshot| what(snapshot));
            tokio::time::timeout(Duration::from_secs(20), seen)
                .await
                .expect("in time")
                .unwrap();
        });
    }

    /// As SIGKILL does: nothing is told to anybody.
    fn die(self) {
        self.runtime.shutdown_background();
    }
}

fn guest(name: &str, devices: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory>\
         <os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>\
         <devices><controller type='usb' model='none'/><memballoon model='none'/>{devices}</devices></domain>"
    )
}

/// The files of a running guest are where libvirt's are.
fn files_are_there(world: &World, pid: ProcessId) {
    let (places, name) = (world.config(), &world.name);
    assert!(
        places
            .state_dir
            .join(format!("domain-1-{name}/monitor.sock"))
            .exists()
    );
    assert_eq!(
        std::fs::read_to_string(places.run_dir.join(format!("{name}.pid"))).unwrap(),
        pid.pid.to_string()
    );
    assert!(
        places
            .run_dir
            .join(format!("channel/1-{name}/org.qemu.guest_agent.0"))
            .exists()
    );
}

#[test]
fn r32_a_guest_starts_is_described_and_ends() {
    let world = World::new();
    let daemon = world.daemon();
    let file = world.path("out");
    let devices = format!(
        "<serial type='pty'/><serial type='file'><source path='{}'/></serial>\
         <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>\
         <graphics type='vnc' autoport='yes' passwd='secret'/>",
        file.display()
    );
    let guest = daemon.create(&world.guest(&devices)).unwrap();
    let snapshot = guest.snapshot();
    assert_eq!(snapshot.state, State::Running);
    let pid = snapshot.pid.unwrap();
    assert!(pid.is_alive());
    let xml = snapshot.to_xml(&Form::LIVE);
    for part in [
        "<cpu mode='custom' match='exact' check='full'>",
        "<feature policy='require' name='hypervisor'/>",
        "<feature policy='require' name='lahf_lm'/>",
        "<console type='pty' tty='/dev/pts/",
        "<alias name='serial0'/>",
        "name='org.qemu.guest_agent.0' state='disconnected'/>",
        "port='59",
        "listen='127.0.0.1'",
        "<label>+0:+0</label>",
    ] {
        assert!(xml.contains(part), "{part} is not in\n{xml}");
    }
    files_are_there(&world, pid);
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.pid)).unwrap();
    assert!(
        command.contains(&format!("\0-name\0guest={},debug-threads=on\0-S\0", world.name)),
        "{command}"
    );
    assert!(file.exists());
    let figures = daemon.runtime.block_on(guest.figures()).unwrap();
    assert!(figures.cpu_time > 0 && figures.balloon.is_none());

    daemon.destroy(&guest);
    assert!(!pid.is_alive());
    let (places, name) = (world.config(), &world.name);
    assert!(!places.state_dir.join(format!("domain-1-{}", world.name)).exists());
    assert!(!places.run_dir.join(format!("channel/1-{name}")).exists());
    assert!(!places.run_dir.join(format!("{name}.pid")).exists());
    let log = world.log();
    assert!(log.contains(": starting up ferrovirt version: "), "{log}");
    assert!(log.contains("-msg timestamp=on\n"), "{log}");
    assert!(
        log.trim_end().ends_with(": shutting down, reason=destroyed"),
        "{log}"
    );
    let calls = world.calls();
    assert_eq!(
        calls,
        [
            "qemu g1 prepare begin -",
            "qemu g1 start begin -",
            "qemu g1 started begin -",
            "qemu g1 stopped end -",
            "qemu g1 release end destroyed"
        ]
    );
    let stopped = world.hooks.document("qemu", "stopped");
    assert!(
        stopped.contains("<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'>"),
        "{stopped}"
    );
    assert!(stopped.contains("<label>+0:+0</label>"), "{stopped}");
    let released = world.hooks.document("qemu", "release");
    assert!(
        released.contains("<seclabel type='dynamic' model='dac' relabel='yes'/>"),
        "{released}"
    );
}

#[test]
fn r34_a_killed_emulator_is_a_crash_and_a_terminated_one_a_shutdown() {
    let world = World::new();
    let daemon = world.daemon();
    for (signal, reason) in [("KILL", "crashed"), ("SEGV", "crashed"), ("TERM", "shutdown")] {
        let guest = daemon.create(&world.guest("")).unwrap();
        let pid = guest.snapshot().pid.unwrap().pid.to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        let (guests, name) = (&daemon.guests, &world.name);
        daemon.wait(&guest, |snapshot| snapshot.id.is_none());
        daemon.runtime.block_on(async {
            while guests.by_name(name).is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        daemon.runtime.block_on(world.wait_for_call("qemu g1 release"));
        assert_eq!(
            world.calls().last().unwrap(),
            &format!("qemu g1 release end {reason}")
        );
        assert!(
            world.log().trim_end().ends_with(&format!("reason={reason}")),
            "{}",
            world.log()
        );
    }
}

#[test]
fn r30_what_is_missing_after_the_prepare_hook_fails_the_start() {
    let world = World::new();
    let daemon = world.daemon();
    let disk = world.path("disk.img");
    let devices = format!(
        "<disk type='file'><source file='{}'/><target dev='vda' bus='virtio'/></disk>",
        disk.display()
    );
    let error = daemon.create(&world.guest(&devices)).map(|_| ()).unwrap_err();
    assert_eq!(
        error,
        format!(
            "Cannot access storage file '{}': No such file or directory",
            disk.display()
        )
    );
    assert_eq!(
        world.calls(),
        [
            "qemu g1 prepare begin -",
            "qemu g1 stopped end -",
            "qemu g1 release end failed"
        ]
    );
    // The hook makes it.
    world
        .hooks
        .on("qemu", "prepare", &format!("truncate -s 1M '{}'", disk.display()));
    let started = daemon.create(&world.guest(&devices)).unwrap();
    let xml = started.snapshot().to_xml(&Form::LIVE);
    assert!(xml.contains("index='1'/>"), "{xml}");
    assert!(xml.contains("<alias name='virtio-disk0'/>"), "{xml}");
    daemon.destroy(&started);
}

#[test]
fn r32_an_emulator_that_dies_early_has_the_last_word() {
    let world = World::new();
    let daemon = world.daemon();
    let kernel = world.path("kernel");
    std::fs::write(
        &kernel,
        "this is no kernel, but it is long enough to be looked at",
    )
    .unwrap();
    let xml = world
        .guest("")
        .replace("</os>", &format!("<kernel>{}</kernel></os>", kernel.display()));
    let error = daemon.create(&xml).map(|_| ()).unwrap_err();
    assert!(
        error.starts_with("QEMU unexpectedly closed the monitor (vm='"),
        "{error}"
    );
    assert!(error.contains("kernel"), "{error}");
    assert_eq!(world.calls().last().unwrap(), "qemu g1 release end failed");
    let dir = world.config().state_dir;
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);
}

#[test]
fn r38_a_new_daemon_takes_over_and_ends_the_guest() {
    let world = World::new();
    let daemon = world.daemon();
    let started = daemon
        .create(&world.guest("<graphics type='vnc' autoport='yes'/>"))
        .unwrap();
    let pid = started.snapshot().pid.unwrap();
    daemon.die();
    assert!(pid.is_alive());
    world.calls();
    let daemon = world.daemon();
    let guest = daemon.guests.by_name(&world.name).unwrap();
    daemon
        .runtime
        .block_on(world.wait_for_call("qemu g1 reconnect begin -"));
    daemon.wait(&guest, |snapshot| snapshot.state == State::Running);
    daemon.runtime.block_on(guest.suspend(Origin::client())).unwrap();
    assert_eq!(guest.snapshot().state, State::Paused);
    daemon.runtime.block_on(guest.resume(Origin::client())).unwrap();
    daemon.runtime.block_on(guest.reset(Origin::client())).unwrap();
    daemon
        .runtime
        .block_on(guest.shutdown(ShutdownMode::Acpi, Origin::client()))
        .unwrap();
    daemon.destroy(&guest);
    assert!(!pid.is_alive());
    let log = world.log();
    assert!(
        log.trim_end().ends_with("shutting down, reason=destroyed"),
        "{log}"
    );
}

#[test]
fn r24_a_guest_that_died_meanwhile_is_gone() {
    let world = World::new();
    let daemon = world.daemon();
    let started = daemon.create(&world.guest("")).unwrap();
    let pid = started.snapshot().pid.unwrap();
    daemon.die();
    assert!(
        Command::new("kill")
            .args(["-9", &pid.pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
    while pid.is_alive() {
        std::thread::sleep(Duration::from_millis(5));
    }
    world.calls();
    let daemon = world.daemon();
    daemon
        .runtime
        .block_on(world.wait_for_call("qemu g1 release end crashed"));
    assert!(
        !world
            .config()
            .state_dir
            .join(format!("domain-1-{}", world.name))
            .exists()
    );
}

#[test]
fn r33_disks_belong_to_the_guest_while_it_runs() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    let disk = world.path("disk.img");
    std::fs::write(&disk, vec![0; 1 << 20]).unwrap();
    if std::fs::metadata(&disk).unwrap().uid() != 0 {
        return; // needs root
    }
    let group = |path: &Path| std::fs::metadata(path).unwrap().gid();
    // Another group's guest, and its directories must be its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut config = world.config();
    config.gid = 1234;
    let guests = runtime.block_on(async {
        let engine = Engine::new(EngineConfig::new(
            &world.hooks.hooks_dir,
            helper("ferrovirt-keeper"),
        ));
        let backend = QemuBackend::new(config.clone(), Links::open().unwrap(), no_passthrough());
        let ports = Arc::new(FakePorts::new(&engine));
        let config = Config {
            driver: QemuBackend::DRIVER,
            config_dir: world.path("etc"),
            status_dir: config.run_dir.clone(),
            log_dir: config.log_dir.clone(),
            boot_flag_dir: world.path("boot"),
            unknown: UnknownPolicy::Refuse,
        };
        Guests::with_ports(config, backend, engine, ports)
    });
    let daemon = Daemon { runtime, guests };
    daemon.runtime.block_on(daemon.guests.load()).unwrap();
    std::fs::set_permissions(
        world.dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    world.hooks.on(
        "qemu",
        "start",
        &format!(
            "stat -c %g '{}' >> '{}'",
            disk.display(),
            world.path("seen").display()
        ),
    );
    world.hooks.on(
        "qemu",
        "stopped",
        &format!(
            "stat -c %g '{}' >> '{}'",
            disk.display(),
            world.path("seen").display()
        ),
    );
    let devices = format!(
        "<disk type='file'><source file='{}'/><target dev='vda' bus='virtio'/></disk>",
        disk.display()
    );
    let started = daemon.create(&world.guest(&devices)).unwrap();
    assert_eq!(group(&disk), 1234);
    daemon.destroy(&started);
    assert_eq!(group(&disk), 0);
    assert_eq!(
        std::fs::read_to_string(world.path("seen")).unwrap(),
        "1234\n1234\n"
    );
}

/// Set where a test runs again, in a namespace.
const INSIDE: &str = "FERROVIRT_TEST_INSIDE";

/// Runs itself again, alone, in a network namespace of its own.
#[test]
fn r15_taps_carry_the_guests_address() {
    if std::env::var_os(INSIDE).is_some() {
        return inside_taps();
    }
    let output = Command::new("unshare")
        .args(["-n", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "r15_taps_carry_the_guests_address", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn inside_taps() {
    let ip = |args: &str| {
        let output = Command::new("ip").args(args.split_whitespace()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    ip("link add br7 type bridge");
    let world = World::new();
    let daemon = world.daemon();
    let devices = "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br7'/><model type='virtio'/></interface>\
        <interface type='user'/>\
        <interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br7'/><target dev='mine'/><link state='down'/></interface>";
    let started = daemon.create(&world.guest(devices)).unwrap();
    let xml = started.snapshot().to_xml(&Form::LIVE);
    assert!(xml.contains("<target dev='vnet0'/>"), "{xml}");
    let tap = ip("link show vnet0");
    assert!(
        tap.contains("fe:54:00:00:00:01") && tap.contains("master br7") && tap.contains("UP"),
        "{tap}"
    );
    assert!(ip("link show mine").contains("fe:54:00:00:00:02"));
    daemon.destroy(&started);
    assert!(ip("link").contains("br7"));
    assert!(
        !ip("link").contains("vnet0") && !ip("link").contains("mine"),
        "{}",
        ip("link")
    );
    let error = daemon
        .create(&guest("g2", &devices.replace("br7", "br8")))
        .map(|_| ())
        .unwrap_err();
    assert!(error.contains("br8"), "{error}");
}

/// A register that nobody else sees.
fn no_passthrough() -> ferrovirt_host::Passthrough {
    ferrovirt_host::Passthrough::new(ferrovirt_host::Places::real(), ferrovirt_host::Taken::open(None))
}
