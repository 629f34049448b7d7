//! Doubles for tests: a hypervisor whose guests are sleeping processes, ports that are nothing but their hooks, and
//! hook scripts that write down each call. All of them write into one file, so that its lines are the order of things.

mod changes;

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrovirt_hook::{BoxFuture, Call, Driver, HookEvent, NetworkOperation, Object};
/// What a test of a backend needs to make [`crate::Guests`]; backends themselves know nothing of hooks.
pub use ferrovirt_hook::{Engine, EngineConfig, Origin};
use ferrovirt_model::Uuid;
use ferrovirt_model::domain::{Domain, InterfaceTarget};
use ferrovirt_model::network_port::{NetworkPort, Plug, PlugKind, PortMac, PortOwner};
use ferrovirt_sys::pidfd::PidFd;
use ferrovirt_sys::process::ProcessId;
use tokio::sync::{Semaphore, mpsc};

use crate::backend::{
    Adopted, Backend, BackendEvent, Figures, Gone, Observed, Power, ReleaseStage, Statistics,
};
use crate::error::{BackendError, Result};
use crate::flags::ShutdownMode;
use crate::ports::{PortCall, Ports};
use crate::run::Run;
use crate::stats::{CpuStats, GuestStats, StatsAsk};
use crate::status::{Plugged, Status, Step};

/// The file that all doubles write into.
#[derive(Debug, Clone)]
pub struct Trace(PathBuf);

impl Trace {
    /// A trace in this directory.
    pub fn new(dir: &Path) -> Trace {
        Trace(dir.join("trace"))
    }

    /// Adds a line.
    pub fn add(&self, line: &str) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.0)
            .expect("the trace can be opened");
        file.write_all(format!("{line}\n").as_bytes())
            .expect("the trace can be written");
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.0)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// All lines so far; the next call begins anew.
    pub fn take(&self) -> Vec<String> {
        let lines = self.lines();
        // Not there when nothing was written.
        let _ = fs::remove_file(&self.0);
        lines
    }

    /// Waits until a line begins with this.
    ///
    /// # Panics
    /// After 20 s.
    pub async fn wait(&self, beginning: &str) {
        for _ in 0..2000 {
            if self.lines().iter().any(|line| line.starts_with(beginning)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("'{beginning}' never came; there is only {:#?}", self.lines());
    }
}

/// Installs, as the hook of a driver, a script that adds its arguments to the trace, keeps the document it got in
/// `DIR/DRIVER.OPERATION.xml`, and then does what [`Hooks::on`] was told.
#[derive(Debug, Clone)]
pub struct Hooks {
    dir: PathBuf,
    /// Where the scripts are.
    pub hooks_dir: PathBuf,
}

impl Hooks {
    /// Hooks of qemu and network, writing into the trace of this directory.
    pub fn install(dir: &Path) -> Hooks {
        let hooks = Hooks {
            dir: dir.to_owned(),
            hooks_dir: dir.join("hooks"),
        };
        fs::create_dir_all(&hooks.hooks_dir).expect("a directory for hooks");
        for driver in ["qemu", "network"] {
            let script = format!(
                "#!/bin/sh\nD='{}'\ncat > \"$D/{driver}.$2.xml\"\necho \"{driver} $*\" >> \"$D/trace\"\n\
                 [ -e \"$D/{driver}.$2.do\" ] && . \"$D/{driver}.$2.do\"\nexit 0\n",
                dir.display()
            );
            let path = hooks.hooks_dir.join(driver);
            fs::write(&path, script).expect("a hook can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .expect("a hook can be made executable");
        }
        hooks
    }

    /// What the hook does at this operation, in shell: `exit 3`, `sleep 60`.
    pub fn on(&self, driver: &str, operation: &str, shell: &str) {
        let path = self.dir.join(format!("{driver}.{operation}.do"));
        fs::write(path, format!("{shell}\n")).expect("a script can be written");
    }

    /// The hook does nothing at this operation any more.
    pub fn off(&self, driver: &str, operation: &str) {
        // It may not have done anything before.
        let _ = fs::remove_file(self.dir.join(format!("{driver}.{operation}.do")));
    }

    /// The document that the hook got last at this operation.
    pub fn document(&self, driver: &str, operation: &str) -> String {
        fs::read_to_string(self.dir.join(format!("{driver}.{operation}.xml"))).unwrap_or_default()
    }
}

/// What the doubles of one test do at their steps.
#[derive(Default)]
struct Orders {
    fail: HashMap<String, String>,
    panic: HashMap<String, String>,
    hold: HashMap<String, Arc<Semaphore>>,
    observed: Option<Observed>,
    missing: Vec<String>,
    clings: bool,
}

/// A hypervisor whose guests are sleeping processes. Each of its steps is a line `backend STEP`.
#[derive(Clone)]
pub struct FakeBackend {
    trace: Trace,
    orders: Arc<Mutex<Orders>>,
    watched: Arc<Mutex<HashMap<String, mpsc::UnboundedSender<BackendEvent>>>>,
}

/// One of its guests.
#[derive(Debug, Clone)]
pub struct FakeGuest {
    name: String,
    process: ProcessId,
}

impl FakeBackend {
    /// One that writes into this trace.
    pub fn new(trace: &Trace) -> FakeBackend {
        FakeBackend {
            trace: trace.clone(),
            orders: Arc::default(),
            watched: Arc::default(),
        }
    }

    /// From now on this step fails.
    pub fn fail(&self, step: &str, why: &str) {
        self.orders().fail.insert(step.to_owned(), why.to_owned());
    }

    /// From now on this step works again.
    pub fn mend(&self, step: &str) {
        self.orders().fail.remove(step);
    }

    /// The next time this step panics.
    pub fn panic_at(&self, step: &str) {
        self.orders().panic.insert(step.to_owned(), String::new());
    }

    /// From now on this step waits until a permit is added.
    pub fn hold(&self, step: &str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.orders().hold.insert(step.to_owned(), Arc::clone(&gate));
        gate
    }

    /// What a guest that is taken over does.
    pub fn observe(&self, observed: Observed) {
        self.orders().observed = Some(observed);
    }

    /// The guest does something by itself.
    pub fn happen(&self, guest: &str, event: BackendEvent) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = watched.get(guest) {
            // Nobody may watch it any more.
            let _ = channel.send(event);
        }
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step: noted, held, failing or panicking as ordered.
    async fn step(&self, step: &str) -> std::result::Result<(), BackendError> {
        self.trace.add(&format!("backend {step}"));
        let gate = self.orders().hold.get(step).cloned();
        if let Some(gate) = gate
            && let Ok(permit) = gate.acquire().await
        {
            permit.forget();
        }
        let panics = self.orders().panic.remove(step).is_some();
        assert!(!panics, "ordered by the test");
        match self.orders().fail.get(step) {
            Some(why) => Err(BackendError::Internal(why.clone())),
            None => Ok(()),
        }
    }
}

/// A process that sleeps until it is killed, collected when it ends.
fn sleeper() -> std::io::Result<ProcessId> {
    let mut child = Command::new("sleep")
        .arg("300")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let process = ProcessId::of(i32::try_from(child.id()).unwrap_or_default());
    std::thread::spawn(move || child.wait());
    process
}

impl Backend for FakeBackend {
    const DRIVER: Driver = Driver::Qemu;
    type Guest = FakeGuest;

    async fn complete(&self, doc: &mut Domain) -> std::result::Result<(), BackendError> {
        match self.orders().fail.get("complete") {
            Some(why) => Err(BackendError::Unsupported(why.clone())),
            None => {
                doc.devices
                    .emulator
                    .get_or_insert_with(|| "/bin/sleep".to_owned());
                Ok(())
            }
        }
    }

    async fn prepare(&self, run: &mut Run) -> std::result::Result<(), BackendError> {
        run.journal(Step::new("tap").with("dev", "vnet7")).await?;
        self.step("prepare").await?;
        for (index, interface) in run.doc.devices.interfaces.iter_mut().enumerate() {
            interface.info.alias = Some(format!("net{index}"));
            interface.target = Some(InterfaceTarget {
                dev: Some(format!("vnet{}", 7 + index)),
                ..InterfaceTarget::default()
            });
        }
        Ok(())
    }

    async fn launch(&self, run: &mut Run) -> std::result::Result<FakeGuest, BackendError> {
        let process = sleeper().map_err(|e| BackendError::System(e.to_string()))?;
        run.born(process).await?;
        run.monitor = Some(PathBuf::from("/nowhere/monitor.sock"));
        run.facts.insert("answer".to_owned(), "42".to_owned());
        self.step("launch").await?;
        run.doc.title = Some("launched".to_owned());
        Ok(FakeGuest {
            name: run.name().to_owned(),
            process,
        })
    }

    async fn resume(&self, guest: &FakeGuest, _: &mut Domain) -> std::result::Result<(), BackendError> {
        self.step("resume").await?;
        match guest.process.is_alive() {
            true => Ok(()),
            false => Err(BackendError::Internal("the monitor is closed".to_owned())),
        }
    }

    async fn kill(&self, guest: &FakeGuest, graceful: bool) -> std::result::Result<(), BackendError> {
        self.step(if graceful { "kill graceful" } else { "kill" }).await?;
        if let Ok(pidfd) = PidFd::open(guest.process) {
            // It may have ended in between.
            let _ = pidfd.kill(libc::SIGKILL);
            pidfd.exited().await;
        }
        Ok(())
    }

    async fn release(&self, run: &mut Run, stage: ReleaseStage) {
        let steps: Vec<_> = run
            .steps()
            .iter()
            .map(|s| format!(" {} {}", s.kind, s.get("dev")))
            .collect();
        let stage = match stage {
            ReleaseStage::Gone => "gone",
            ReleaseStage::Labels => "labels",
        };
        // What is undone cannot fail.
        let _ = self.step(&format!("release {stage}")).await;
        self.trace.add(&format!("undo{}", steps.concat()));
        for step in run.steps().iter().filter(|_| stage == "gone") {
            run.undone(step);
        }
    }

    async fn adopt(&self, status: &Status) -> std::result::Result<Adopted<FakeGuest>, Gone> {
        self.step("adopt").await.map_err(|e| Gone(e.to_string()))?;
        let process = status
            .process
            .filter(ProcessId::is_alive)
            .ok_or_else(|| Gone("no process".to_owned()))?;
        let guest = FakeGuest {
            name: status.doc.name.clone(),
            process,
        };
        let observed = self.orders().observed.unwrap_or(Observed::Running);
        Ok(Adopted {
            guest,
            observed,
            doc: None,
        })
    }

    fn events(&self, guest: &FakeGuest) -> mpsc::UnboundedReceiver<BackendEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(guest.name.clone(), sender.clone());
        let process = guest.process;
        tokio::spawn(async move {
            if let Ok(pidfd) = PidFd::open(process) {
                pidfd.exited().await;
            }
            // Nobody may watch it any more.
            let _ = sender.send(BackendEvent::Exited);
        });
        receiver
    }
}

impl Power for FakeBackend {
    async fn suspend(&self, _: &FakeGuest) -> std::result::Result<(), BackendError> {
        self.step("suspend").await
    }
    async fn shutdown(&self, _: &FakeGuest, _: ShutdownMode) -> std::result::Result<(), BackendError> {
        self.step("shutdown").await
    }
    async fn reboot(&self, _: &FakeGuest, _: ShutdownMode) -> std::result::Result<(), BackendError> {
        self.step("reboot").await
    }
    async fn reset(&self, _: &FakeGuest) -> std::result::Result<(), BackendError> {
        self.step("reset").await
    }
}

impl Statistics for FakeBackend {
    async fn figures(&self, _: &FakeGuest) -> std::result::Result<Figures, BackendError> {
        self.step("figures").await?;
        Ok(Figures {
            cpu_time: 7,
            balloon: None,
        })
    }

    async fn stats(&self, guest: Option<&FakeGuest>, _: &Arc<Domain>, ask: &StatsAsk) -> GuestStats {
        let asked = tokio::time::timeout(ask.patience, self.step("stats")).await;
        let answered = matches!(asked, Ok(Ok(())));
        GuestStats {
            cpu: (guest.is_some() && answered && ask.cpu).then_some(CpuStats {
                total: 7,
                user: 4,
                system: 3,
            }),
            ..GuestStats::default()
        }
    }
}

/// Ports that are nothing but their hooks, on a bridge `br-NETWORK`. Remembers which ports there are.
#[derive(Clone)]
pub struct FakePorts {
    engine: Engine,
    /// The ports that exist, oldest first.
    pub made: Arc<Mutex<Vec<Plugged>>>,
}

impl FakePorts {
    /// Their hooks are called by this engine.
    pub fn new(engine: &Engine) -> FakePorts {
        FakePorts {
            engine: engine.clone(),
            made: Arc::default(),
        }
    }

    fn call(network: &str, operation: NetworkOperation, origin: &Origin) -> Call {
        let mut call = Call::new(HookEvent::network(network, operation), Some("<hookData/>".into()));
        call.origin = origin.with(Object::new(Driver::Network, network));
        call
    }
}

impl Ports for FakePorts {
    fn create<'a>(
        &'a self,
        port: &'a Plugged,
        owner: (&'a str, Uuid),
        from: PortCall,
    ) -> BoxFuture<'a, Result<Arc<NetworkPort>>> {
        Box::pin(async move {
            let mut call = FakePorts::call(&port.network, NetworkOperation::PortCreated, &from.origin);
            call.cancel = from.cancel;
            call.journal = Some(from.journal);
            self.engine
                .call(call)
                .await
                .map_err(ferrovirt_network::Error::Hook)?;
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            if !made.contains(port) {
                made.push(port.clone());
            }
            Ok(Arc::new(NetworkPort {
                uuid: port.uuid,
                owner: PortOwner {
                    name: owner.0.to_owned(),
                    uuid: owner.1,
                },
                mac: PortMac { address: port.mac },
                plug: Some(Plug {
                    kind: PlugKind::Network,
                    bridge: format!("br-{}", port.network),
                }),
                rest: Default::default(),
            }))
        })
    }

    fn delete<'a>(&'a self, port: &'a Plugged, origin: Origin) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let there = {
                let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
                let before = made.len();
                made.retain(|p| p != port);
                made.len() < before
            };
            if there {
                let call = FakePorts::call(&port.network, NetworkOperation::PortDeleted, &origin);
                self.engine
                    .call(call)
                    .await
                    .map_err(ferrovirt_network::Error::Hook)?;
            }
            Ok(())
        })
    }
}
