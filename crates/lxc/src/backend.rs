//! The door of this crate: [`LxcBackend`] is what the guests' owner calls.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrovirt_guest::log::GuestLog;
use ferrovirt_guest::{
    Adopted, Backend, BackendError, BackendEvent, Driver, Figures, Gone, GuestStats, Habits, Power,
    ReleaseStage, Run, ShutdownMode, ShutoffReason, Statistics, StatsAsk, Status, Step,
};
use ferrovirt_link::Links;
use ferrovirt_model::domain::Domain;
use ferrovirt_model::{Uuid, host};
use ferrovirt_sys::blocking;
use tokio::sync::mpsc;

use crate::capabilities;
use crate::cards;
use crate::config::LxcConfig;
use crate::console;
use crate::container::{self, Container};
use crate::define::{self, live};
use crate::error::Error;
use crate::launch::{self, Prepared};
use crate::orders::Others;
use crate::protocol::{Ask, Ways};
use crate::{adopt, plug, statistics};

/// Kind of the step that stands for socket, pid file and control group.
const STEP: &str = "run";

/// Containers of this machine. Cheap to clone.
#[derive(Clone)]
pub struct LxcBackend {
    inner: Arc<Inner>,
}

struct Inner {
    config: LxcConfig,
    links: Links,
    /// What waits between `prepare` and `launch`, by the id of the run.
    prepared: Mutex<HashMap<i32, Prepared>>,
    /// The first processes of running containers, by name.
    running: Running,
}

#[derive(Debug, Default)]
struct Running(Mutex<HashMap<String, i32>>);

impl Others for Running {
    fn init_of(&self, name: &str) -> Option<i32> {
        lock(&self.0).get(name).copied()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LxcBackend {
    /// The driver for containers.
    #[must_use]
    pub fn new(config: LxcConfig, links: Links) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                links,
                prepared: Mutex::default(),
                running: Running::default(),
            }),
        }
    }

    /// The capabilities document: what this host is, and which containers can run on it.
    #[must_use]
    pub fn capabilities(&self, host_uuid: Uuid) -> String {
        capabilities::document(blocking::here(host::describe), host_uuid, &define::Host::this())
    }

    /// The host's network devices.
    pub(crate) fn links(&self) -> &Links {
        &self.inner.links
    }

    fn keep(&self, name: &str, container: &Container) {
        lock(&self.inner.running.0).insert(name.to_owned(), container.init().pid);
    }
}

impl Backend for LxcBackend {
    const DRIVER: Driver = Driver::Lxc;
    const HABITS: Habits = Habits {
        lost: ShutoffReason::Failed,
        refused: ShutoffReason::Failed,
        stopped_shows_the_run: true,
        start_resumes: false,
    };
    const DEVICES: &'static [&'static str] = &["filesystem", "interface", "hostdev"];
    type Guest = Container;

    async fn complete(&self, doc: &mut Domain) -> std::result::Result<(), BackendError> {
        define::complete(doc, &define::Host::this())?;
        Ok(())
    }

    fn at_rest(&self, doc: &Domain) -> Option<Domain> {
        Some(live::at_rest(doc))
    }

    fn name_devices(&self, doc: &mut Domain) {
        live::begin(doc);
    }

    async fn prepare(&self, run: &mut Run) -> std::result::Result<(), BackendError> {
        let inner = &self.inner;
        launch::name_scope(run)?;
        run.journal(Step::new(STEP)).await?;
        let mut prepared = Prepared {
            cards: cards::make(&inner.links, run).await?,
            ..Prepared::default()
        };
        let mut terminals = Vec::new();
        for _ in &run.doc.devices.consoles {
            let pty = console::open().map_err(Error::io("Cannot make a terminal below", "/dev/pts"))?;
            prepared.consoles.push(pty.master);
            terminals.push(pty.path);
        }
        live::terminals(&mut run.doc, &terminals);
        lock(&inner.prepared).insert(run.id, prepared);
        Ok(())
    }

    async fn launch(&self, run: &mut Run) -> std::result::Result<Container, BackendError> {
        let inner = &self.inner;
        let prepared = lock(&inner.prepared).remove(&run.id).unwrap_or_default();
        let container = launch::launch(run, &inner.config, &inner.links, &inner.running, prepared).await?;
        self.keep(run.name(), &container);
        Ok(container)
    }

    async fn resume(&self, guest: &Container, _doc: &mut Domain) -> std::result::Result<(), BackendError> {
        Ok(guest.thaw()?)
    }

    async fn kill(&self, guest: &Container, _graceful: bool) -> std::result::Result<(), BackendError> {
        Ok(guest.kill().await?)
    }

    fn wake(&self, run: &Run) {
        // A daemon that died may have stopped it, to end it or because it was suspended.
        if let Some(scope) = launch::scope_of(&run.facts)
            && let Err(error) = blocking::here(|| scope.thaw())
        {
            tracing::warn!("container '{}': {error}", run.name());
        }
    }

    async fn release(&self, run: &mut Run, stage: ReleaseStage) {
        if stage == ReleaseStage::Labels {
            live::forget(&mut run.doc);
            return;
        }
        let inner = &self.inner;
        drop(lock(&inner.prepared).remove(&run.id));
        lock(&inner.running.0).remove(run.name());
        for step in run.steps().iter().filter(|step| step.kind == STEP) {
            blocking::here(|| {
                remove_scope(run);
                launch::forget(&inner.config, run.name());
                GuestLog::of(&inner.config.log_dir, run.name()).line("shutting down");
            });
            run.undone(step);
        }
        cards::remove(&inner.links, run).await;
        plug::forget(run);
    }

    async fn adopt(&self, status: &Status) -> std::result::Result<Adopted<Container>, Gone> {
        let adopted = adopt::adopt(status, &self.inner.config).await?;
        self.keep(&status.doc.name, &adopted.guest);
        Ok(adopted)
    }

    fn namespaces(&self, guest: &Container) -> std::result::Result<Vec<OwnedFd>, BackendError> {
        Ok(guest.namespaces()?)
    }

    fn events(&self, guest: &Container) -> mpsc::UnboundedReceiver<BackendEvent> {
        guest.events()
    }
}

/// Ends what is left in the control group (a daemon that died may have left a container that nobody knows), and removes it.
fn remove_scope(run: &Run) {
    let Some(scope) = launch::scope_of(&run.facts) else {
        return;
    };
    let emptied = container::empty(&scope);
    if let Err(error) = emptied {
        tracing::error!("container '{}': {error}", run.name());
    }
    if let Err(error) = scope.remove() {
        tracing::warn!("cannot remove control group {}: {error}", scope.name);
    }
}

/// By which ways init is asked.
fn ways(mode: ShutdownMode) -> std::result::Result<Ways, BackendError> {
    let (initctl, signal) = match mode {
        ShutdownMode::Default => (true, true),
        ShutdownMode::Initctl => (true, false),
        ShutdownMode::Signal => (false, true),
        ShutdownMode::Acpi | ShutdownMode::Agent => {
            return Err(BackendError::Unsupported(
                "a container has neither a power button nor an agent".to_owned(),
            ));
        }
    };
    Ok(Ways { initctl, signal })
}

impl Power for LxcBackend {
    async fn suspend(&self, guest: &Container) -> std::result::Result<(), BackendError> {
        Ok(guest.freeze()?)
    }

    async fn shutdown(&self, guest: &Container, mode: ShutdownMode) -> std::result::Result<(), BackendError> {
        Ok(guest.ask(Ask::Shutdown(ways(mode)?)).await?)
    }

    async fn reboot(&self, guest: &Container, mode: ShutdownMode) -> std::result::Result<(), BackendError> {
        Ok(guest.ask(Ask::Reboot(ways(mode)?)).await?)
    }

    async fn reset(&self, _guest: &Container) -> std::result::Result<(), BackendError> {
        Err(BackendError::Unsupported(
            "a container has no reset button".to_owned(),
        ))
    }
}

impl Statistics for LxcBackend {
    async fn figures(&self, guest: &Container) -> std::result::Result<Figures, BackendError> {
        Ok(blocking::here(|| statistics::figures(guest)))
    }

    async fn stats(&self, guest: Option<&Container>, doc: &Arc<Domain>, ask: &StatsAsk) -> GuestStats {
        blocking::here(|| statistics::stats(guest, doc, ask))
    }
}
