//! The sequence, seen from outside: real hook scripts, a hypervisor of sleeping processes, and one trace of what came
//! after what. A daemon is a runtime: dropping it is its sudden death.

mod cancel;
mod change;
mod define;
mod fault;
mod power;
mod reconnect;
mod start;
mod stop;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Once};

use ferrovirt_hook::{Driver, Engine, EngineConfig, Origin};
use ferrovirt_model::domain::Domain;
use ferrovirt_xml::UnknownPolicy;
use tokio::runtime::Runtime;

use crate::status::{Plugged, Status};
use crate::testing::{FakeBackend, FakePorts, Hooks, Trace};
use crate::{
    Config, DestroyFlags, Error, GuestHandle, Guests, Reason, ShutoffReason, Snapshot, StartFlags, State,
};

/// What survives a daemon: the disk and the hooks.
pub(super) struct World {
    dir: tempfile::TempDir,
    pub(super) trace: Trace,
    pub(super) hooks: Hooks,
    ports: Arc<Mutex<Vec<Plugged>>>,
}

/// One daemon.
pub(super) struct Daemon {
    runtime: Runtime,
    pub(super) guests: Guests<FakeBackend>,
    pub(super) backend: FakeBackend,
    pub(super) engine: Engine,
}

impl World {
    pub(super) fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let (trace, hooks) = (Trace::new(dir.path()), Hooks::install(dir.path()));
        World {
            dir,
            trace,
            hooks,
            ports: Arc::default(),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A daemon that has read the disk and taken over nothing yet.
    pub(super) fn boot(&self) -> Daemon {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let engine = Engine::new(EngineConfig::new(&self.hooks.hooks_dir, keeper()));
        let backend = FakeBackend::new(&self.trace);
        let mut ports = FakePorts::new(&engine);
        ports.made = Arc::clone(&self.ports);
        let config = Config {
            driver: Driver::Qemu,
            config_dir: self.path("etc"),
            status_dir: self.path("run"),
            log_dir: self.path("log"),
            boot_flag_dir: self.path("boot"),
            unknown: UnknownPolicy::Refuse,
        };
        let guests = Guests::with_ports(config, backend.clone(), engine.clone(), Arc::new(ports));
        runtime.block_on(guests.load()).unwrap();
        Daemon {
            runtime,
            guests,
            backend,
            engine,
        }
    }

    /// A daemon that has read the disk and taken over what it found.
    pub(super) fn reboot(&self) -> Daemon {
        let daemon = self.boot();
        daemon.run(daemon.guests.reconnect());
        daemon
    }

    /// What the status file of a guest says; `None` when there is none.
    pub(super) fn status(&self, name: &str) -> Option<Status> {
        let text = std::fs::read_to_string(self.path("run").join(format!("{name}.xml"))).ok()?;
        Some(crate::status_xml::read(&text).unwrap())
    }

    pub(super) fn ports(&self) -> Vec<Plugged> {
        self.ports.lock().unwrap().clone()
    }
}

impl Daemon {
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let limit = std::time::Duration::from_secs(60);
        self.runtime
            .block_on(async { tokio::time::timeout(limit, work).await })
            .expect("it ends within a minute")
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(work)
    }

    pub(super) fn define(&self, xml: &str) -> GuestHandle {
        self.run(self.guests.define(parse(xml), Origin::client()))
            .unwrap()
    }

    pub(super) fn guest(&self, name: &str) -> GuestHandle {
        self.guests.by_name(name).unwrap()
    }

    pub(super) fn start(&self, name: &str) -> Result<(), Error> {
        self.run(self.guest(name).start(StartFlags::default(), Origin::client()))
    }

    pub(super) fn destroy(&self, name: &str) -> Result<(), Error> {
        self.run(
            self.guest(name)
                .destroy(DestroyFlags::default(), Origin::client()),
        )
    }

    /// Waits until the picture of a guest is so.
    pub(super) fn until(&self, name: &str, so: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut watch = self.guest(name).watch();
        self.run(async { Arc::clone(&*watch.wait_for(|seen| so(seen)).await.unwrap()) })
    }

    /// Waits until a guest is off and nothing holds it, and says why it is off.
    pub(super) fn until_off(&self, name: &str) -> ShutoffReason {
        let seen = self.until(name, |seen| {
            seen.phase == crate::Phase::Off && seen.live.is_none()
        });
        assert_eq!((seen.id, seen.pid, seen.state), (None, None, State::Shutoff));
        match seen.reason {
            Reason::Shutoff(why) => why,
            other => panic!("{other:?}"),
        }
    }

    /// Sudden death.
    pub(super) fn die(self) {
        drop(self.guests);
        drop(self.engine);
        self.runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    }
}

/// The program that holds hook scripts, built by whoever comes first.
fn keeper() -> PathBuf {
    static BUILD: Once = Once::new();
    let beside = std::env::current_exe().unwrap();
    let path = beside
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("ferrovirt-keeper");
    BUILD.call_once(|| {
        if !path.exists() {
            let built = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "-p", "ferrovirt-sys", "--bins"])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status();
            assert!(built.unwrap().success(), "cannot build ferrovirt-keeper");
        }
    });
    path
}

pub(super) fn parse(xml: &str) -> Domain {
    Domain::parse(xml, UnknownPolicy::Refuse).unwrap().value
}

/// A guest without interfaces.
pub(super) fn plain(name: &str) -> String {
    guest(name, &[], "")
}

/// A guest with an interface on each of these networks, and more XML.
pub(super) fn guest(name: &str, networks: &[&str], more: &str) -> String {
    let number: u32 = name.bytes().map(u32::from).sum();
    let interfaces: String = networks
        .iter()
        .enumerate()
        .map(|(i, network)| {
            format!(
                "<interface type='network'><mac address='52:54:00:00:00:{:02x}'/><source network='{network}'/>\
                 <model type='virtio'/></interface>",
                i + 1
            )
        })
        .collect();
    format!(
        "<domain type='qemu'><name>{name}</name><uuid>11111111-1111-4111-8111-{number:012}</uuid>\
         <memory unit='KiB'>32768</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>\
         {more}<devices>{interfaces}</devices></domain>"
    )
}

/// The lines of a start of g1 on these networks.
pub(super) fn rising(networks: &[&str]) -> Vec<String> {
    let mut lines = vec!["qemu g1 prepare begin -".to_owned()];
    lines.extend(
        networks
            .iter()
            .map(|n| format!("network {n} port-created begin -")),
    );
    lines.extend(
        [
            "backend prepare",
            "qemu g1 start begin -",
            "backend launch",
            "backend resume",
            "qemu g1 started begin -",
        ]
        .map(str::to_owned),
    );
    lines
}

/// The lines of an end of g1, from the release of what the hypervisor had.
pub(super) fn falling(networks: &[&str], undo: &str, reason: &str) -> Vec<String> {
    let mut lines = vec![
        "backend release gone".to_owned(),
        undo.to_owned(),
        "qemu g1 stopped end -".to_owned(),
    ];
    lines.extend(
        networks
            .iter()
            .map(|n| format!("network {n} port-deleted begin -")),
    );
    lines.extend([
        "backend release labels".to_owned(),
        "undo".to_owned(),
        format!("qemu g1 release end {reason}"),
    ]);
    lines
}

/// One list after the other.
pub(super) fn chain(parts: &[&[String]]) -> Vec<String> {
    parts.concat()
}

/// Lines from literals.
pub(super) fn lines(text: &[&str]) -> Vec<String> {
    text.iter().map(|&line| line.to_owned()).collect()
}

pub(super) const TAP: &str = "undo tap vnet7";

/// The number that a script writes into this file, as soon as it is there.
pub(super) fn number(path: &Path) -> i32 {
    loop {
        match std::fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse().ok())
        {
            Some(number) => return number,
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
}
