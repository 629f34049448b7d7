//! A running container as this crate holds it: its controller, its init, its control group, and what they say.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrovirt_guest::BackendEvent;
use ferrovirt_sys::blocking;
use ferrovirt_sys::cgroup::{CgroupError, Scope};
use ferrovirt_sys::pidfd::PidFd;
use ferrovirt_sys::process::ProcessId;
use tokio::sync::mpsc;

use crate::controller_client::{Controller, Event};
use crate::error::{Error, Result};
use crate::protocol::{Ask, Ending};

/// For an answer of a controller, which has little to do.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long everything inside may take to go after SIGKILL.
pub const AFTER_KILL: Duration = Duration::from_secs(30);

/// The user namespace first: with it come the rights over the others.
const NAMESPACES: [&str; 7] = ["user", "ipc", "uts", "net", "pid", "cgroup", "mnt"];

const SIGKILL: i32 = 9;

/// Handle to a running container; cheap to clone.
#[derive(Debug, Clone)]
pub struct Container {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    controller: Controller,
    pidfd: PidFd,
    init: ProcessId,
    scope: Option<Scope>,
    /// Its init has ended.
    ended: Arc<AtomicBool>,
    events: Mutex<Option<mpsc::UnboundedReceiver<BackendEvent>>>,
}

impl Container {
    /// Takes hold of a container whose init is there.
    ///
    /// # Errors
    /// The controller is gone.
    pub fn new(
        name: &str,
        process: ProcessId,
        init: i32,
        scope: Option<Scope>,
        (controller, mut reports): (Controller, mpsc::UnboundedReceiver<Event>),
    ) -> Result<Self> {
        let gone = |error: std::io::Error| {
            Error::Died(format!(
                "the controller (process {}) of container '{name}' is gone: {error}",
                process.pid
            ))
        };
        let pidfd = PidFd::open(process).map_err(gone)?;
        let init = ProcessId::of(init).map_err(gone)?;
        // A second one for the task that waits: it must not keep the handle alive.
        let watched = PidFd::open(process).map_err(gone)?;
        let of_init = PidFd::open(init).map_err(gone)?;
        let ended = Arc::new(AtomicBool::new(false));
        let (has_ended, group) = (ended.clone(), scope.clone());
        let (tell, events) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut again = false;
            loop {
                tokio::select! {
                    biased;
                    Some(report) = reports.recv() => {
                        if let Event::Ended(ending) = report {
                            again = ending == Ending::Reboot;
                        }
                    }
                    () = watched.exited() => break,
                    () = of_init.exited(), if !has_ended.load(SeqCst) => {
                        has_ended.store(true, SeqCst);
                        // A controller that is stopped with the container cannot say so.
                        let _ = thaw(group.as_ref());
                    }
                }
            }
            // What it said last may still be on its way to us.
            while let Ok(report) = reports.try_recv() {
                if let Event::Ended(ending) = report {
                    again = ending == Ending::Reboot;
                }
            }
            // Whoever does not listen does not want to know.
            let _ = tell.send(BackendEvent::Left { again });
        });
        Ok(Self {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                controller,
                pidfd,
                init,
                scope,
                ended,
                events: Mutex::new(Some(events)),
            }),
        })
    }

    /// The container's first process, as the host sees it.
    #[must_use]
    pub fn init(&self) -> ProcessId {
        self.inner.init
    }

    /// Its control group, where there is one.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        self.inner.scope.as_ref()
    }

    /// The namespaces of its first process, those that the host has, too, left out; in the order in which they are entered.
    ///
    /// # Errors
    /// It is gone.
    pub fn namespaces(&self) -> Result<Vec<OwnedFd>> {
        let init = self.inner.init.pid.to_string();
        let mut open = Vec::new();
        for kind in NAMESPACES {
            let path = Path::new("/proc").join(&init).join("ns").join(kind);
            let own = fs::read_link(Path::new("/proc/self/ns").join(kind)).ok();
            let its = fs::read_link(&path).map_err(Error::io("Cannot look at", &path))?;
            if own.as_deref() != Some(its.as_path()) {
                let file = File::open(&path).map_err(Error::io("Cannot open", &path))?;
                open.push(file.into());
            }
        }
        Ok(open)
    }

    /// What it does by itself; for the first who asks.
    #[must_use]
    pub fn events(&self) -> mpsc::UnboundedReceiver<BackendEvent> {
        let taken = self
            .inner
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        taken.unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    /// Asks the controller for something.
    ///
    /// # Errors
    /// It cannot do it, or does not answer.
    pub async fn ask(&self, ask: Ask) -> Result<()> {
        Ok(self.inner.controller.ask(ask, PATIENCE).await?)
    }

    /// Ends everything in it and returns when it is gone.
    ///
    /// # Errors
    /// Something does not go: a process that waits for a disk, for example.
    pub async fn kill(&self) -> Result<()> {
        let inner = &self.inner;
        if inner.scope.as_ref().is_some_and(Scope::is_frozen) {
            // A process that is stopped cannot end.
            self.thaw()?;
        }
        // With its init the kernel ends all that is in its namespace, and its controller follows by itself.
        signal(inner.init);
        for hurry in [false, true] {
            let patience = if hurry { AFTER_KILL } else { Duration::from_secs(2) };
            if tokio::time::timeout(patience, inner.pidfd.exited()).await.is_ok() {
                return self.sweep();
            }
            // One that hangs does not.
            let _ = inner.pidfd.kill(SIGKILL);
        }
        Err(Error::Timeout(format!(
            "the controller of container '{}' does not go after SIGKILL",
            inner.name
        )))
    }

    /// Ends what else is in its control group: whoever entered the container from outside.
    fn sweep(&self) -> Result<()> {
        match &self.inner.scope {
            Some(scope) => Ok(blocking::here(|| empty(scope))?),
            None => Ok(()),
        }
    }

    /// Stops everything in it.
    ///
    /// # Errors
    /// There is no freezer, or it does not freeze.
    pub fn freeze(&self) -> Result<()> {
        let scope = self.frozen_by()?;
        blocking::here(|| scope.freeze(PATIENCE))?;
        match self.inner.ended.load(SeqCst) {
            // It ended meanwhile; who watches for that may have looked before all was stopped.
            true => self.thaw(),
            false => Ok(()),
        }
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn thaw(&self) -> Result<()> {
        thaw(self.inner.scope.as_ref())
    }

    /// Whether it is stopped.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        let scope = self.inner.scope.as_ref();
        scope.is_some_and(|scope| blocking::here(|| scope.is_frozen()))
    }

    fn frozen_by(&self) -> Result<&Scope> {
        self.inner.scope.as_ref().ok_or_else(|| {
            Error::Failed("cannot suspend the container: this host has no control group 'freezer'".to_owned())
        })
    }
}

fn thaw(scope: Option<&Scope>) -> Result<()> {
    match scope {
        Some(scope) if blocking::here(|| scope.is_frozen()) => Ok(blocking::here(|| scope.thaw())?),
        _ => Ok(()),
    }
}

fn signal(process: ProcessId) {
    if let Ok(pidfd) = PidFd::open(process) {
        // One that went meanwhile is no error.
        let _ = pidfd.kill(SIGKILL);
    }
}

/// Ends all processes in a control group, if there are any.
///
/// # Errors
/// One does not go.
pub fn empty(scope: &Scope) -> std::result::Result<(), CgroupError> {
    match scope.pids().is_empty() {
        true => Ok(()),
        false => scope.kill_all(AFTER_KILL),
    }
}
