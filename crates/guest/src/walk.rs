//! The steps that the sequence is made of. Which comes after which is said there and nowhere else.

use std::future::Future;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ferrovirt_hook::history::{OperationEnd, OperationStart};
use ferrovirt_hook::{Call, CallJournal, GuestOperation, HookEvent, Object, Operation, Origin};
use ferrovirt_sys::pidfd::PidFd;
use ferrovirt_sys::process::ProcessId;
use ferrovirt_xml::Form;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Observed};
use crate::desk::Desk;
use crate::error::{BackendError, Error, Result};
use crate::event::Lifecycle;
use crate::owner::Note;
use crate::ports::{self, PortCall};
use crate::run::Run;
use crate::shared::Shared;
use crate::sheet::KeeperNote;
use crate::state::{
    CrashedReason, PausedReason, Phase, Reason, RunningReason, ShutdownReason, ShutoffReason,
};
use crate::status::{Plugged, Status};

/// Who ends a hook and a start (R95).
const DESTROY: &str = "destroy";

/// How much of the end of a hypervisor's log is looked at, bytes.
const LAST_WORDS: u64 = 16 << 10;

/// How long a process that got SIGKILL may take to go.
const KILL_TIME: Duration = Duration::from_secs(30);

/// One operation on its way: what it works on and with.
pub(crate) struct Walk<B: Backend> {
    pub(crate) shared: Arc<Shared<B>>,
    pub(crate) desk: Arc<Desk<B::Guest>>,
    /// Who asked, with this guest waiting (R91).
    pub(crate) origin: Origin,
    /// Cancelled by a destroy.
    pub(crate) cancel: CancellationToken,
    pub(crate) notes: mpsc::UnboundedSender<Note>,
    /// Its place in the history; nothing for what is too small for one.
    operation: Option<Operation>,
}

/// The operations whose hooks are called while there is no process (R30, R34).
const BESIDE_THE_PROCESS: [&str; 3] = ["prepare", "start", "release"];
/// This one, too, where there never was one.
const STOPPED: &str = "stopped";

impl<B: Backend> Walk<B> {
    /// An operation on the guest of this desk, asked for by `origin`.
    pub(crate) fn new(
        shared: &Arc<Shared<B>>,
        desk: &Arc<Desk<B::Guest>>,
        origin: &Origin,
        cancel: CancellationToken,
        notes: &mpsc::UnboundedSender<Note>,
    ) -> Walk<B> {
        let object = Object::new(shared.config.driver, desk.look().name.clone());
        Walk {
            shared: Arc::clone(shared),
            desk: Arc::clone(desk),
            origin: origin.with(object),
            cancel,
            notes: notes.clone(),
            operation: None,
        }
    }

    /// The same, as an operation of the history with this name.
    pub(crate) fn recorded(self, kind: &str) -> Walk<B> {
        let seen = self.desk.look();
        let operation = self.shared.engine.operation(OperationStart {
            driver: self.shared.config.driver,
            object: seen.name.clone(),
            uuid: Some(seen.uuid.to_string()),
            kind: kind.to_owned(),
            asked_by: self.origin.asked_by().clone(),
            at: SystemTime::now(),
        });
        Walk {
            origin: self.origin.part_of(operation.id()),
            operation: Some(operation),
            ..self
        }
    }

    /// The operation is over, with the hypervisor's last words if it went wrong.
    pub(crate) async fn close(&self, result: &Result<()>) {
        let Some(operation) = self
            .operation
            .as_ref()
            .filter(|operation| operation.id().is_some())
        else {
            return;
        };
        let seen = self.desk.look();
        let reason = match seen.reason {
            Reason::Shutoff(why) if seen.phase == Phase::Off => Some(why),
            _ => None,
        };
        let unexpected = matches!(
            reason,
            Some(ShutoffReason::Crashed | ShutoffReason::Failed | ShutoffReason::Unknown)
        );
        let hypervisor_log = match unexpected {
            true => last_words(self.shared.config.log_dir.join(format!("{}.log", seen.name))),
            false => None,
        };
        operation.end(OperationEnd {
            at: SystemTime::now(),
            failure: result.as_ref().err().map(ToString::to_string),
            reason: reason.map(|why| why.as_str().to_owned()),
            hypervisor_log,
        });
    }

    pub(crate) fn backend(&self) -> &B {
        &self.shared.backend
    }

    /// The next phase of a start: not after a destroy, and not before it is on disk (R96).
    pub(crate) async fn enter(&self, run: &mut Run, phase: Phase) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(self.ended(&format!("the start of guest '{}'", run.name())));
        }
        self.record(run, phase).await
    }

    /// The next phase of an end, which nothing holds up.
    pub(crate) async fn mark(&self, run: &mut Run, phase: Phase) {
        if let Err(error) = self.record(run, phase).await {
            tracing::error!("guest '{}' goes on to its end: {error}", run.name());
        }
    }

    async fn record(&self, run: &mut Run, phase: Phase) -> Result<()> {
        if let Some(operation) = &self.operation {
            operation.step(phase.as_str());
        }
        let doc = Arc::new(run.doc.clone());
        let process = run.process;
        self.desk.change(|s| {
            if !s.phase.may_become(phase) {
                tracing::error!("guest '{}' went from phase {} to {phase}", s.name, s.phase);
            }
            s.phase = phase;
            s.id = doc.id;
            s.live = Some(doc);
            s.pid = process;
        });
        let reason = self.desk.look().reason;
        run.save(|status| {
            status.phase = phase;
            status.reason = reason;
        })
        .await
    }

    fn ended(&self, what: &str) -> Error {
        Error::Aborted(format!("{what} was ended by {DESTROY}"))
    }

    /// Why a start or a reconnect that did not succeed ends the guest.
    pub(crate) fn blame(&self, otherwise: ShutoffReason) -> ShutoffReason {
        if self.cancel.is_cancelled() {
            ShutoffReason::Destroyed
        } else {
            otherwise
        }
    }

    /// Something the hypervisor does for a start; when a destroy made it fail, the error says so.
    pub(crate) async fn work<T>(
        &self,
        what: &str,
        work: impl Future<Output = std::result::Result<T, BackendError>>,
    ) -> Result<T> {
        work.await.map_err(|error| match self.cancel.is_cancelled() {
            true => self.ended(what),
            false => error.into(),
        })
    }

    /// Calls a hook of the way up, with the document of this moment; a destroy ends it.
    pub(crate) async fn hook(&self, run: &Run, operation: GuestOperation) -> Result<()> {
        let event = self.event(run, operation)?;
        let text = event.to_string();
        let result = self.call(run, event, self.cancel.clone()).await;
        if self.cancel.is_cancelled() {
            return Err(match result {
                Err(error) if error.is_cancelled() => Error::Hook(error.cancelled_by(DESTROY)),
                _ => self.ended(&format!("hook {text}")),
            });
        }
        result.map_err(Error::Hook)
    }

    /// Calls a hook of the way down, whose failure the engine logs and which changes nothing.
    pub(crate) async fn farewell(&self, run: &Run, why: Option<ShutoffReason>) {
        let event = match why {
            None => self.event(run, GuestOperation::Stopped),
            Some(why) => HookEvent::release(self.shared.config.driver, run.name(), why.as_str())
                .map_err(|e| Error::Internal(e.to_string())),
        };
        match event {
            Ok(event) => drop(self.call(run, event, CancellationToken::new()).await),
            Err(error) => tracing::error!("{error}"),
        }
    }

    fn event(&self, run: &Run, operation: GuestOperation) -> Result<HookEvent> {
        HookEvent::guest(self.shared.config.driver, run.name(), operation)
            .map_err(|e| Error::Internal(e.to_string()))
    }

    async fn call(
        &self,
        run: &Run,
        event: HookEvent,
        cancel: CancellationToken,
    ) -> std::result::Result<(), ferrovirt_hook::HookError> {
        let beside = BESIDE_THE_PROCESS.contains(&event.operation());
        let never = event.operation() == STOPPED && !run.had_process;
        let at_rest = match beside || never {
            true => self.backend().at_rest(&run.doc),
            false => None,
        };
        let doc = at_rest.as_ref().unwrap_or(&run.doc);
        let mut call = Call::new(event, Some(doc.to_xml(&Form::LIVE).into()));
        call.origin = self.origin.clone();
        call.uuid = Some(self.desk.look().uuid.to_string().into());
        call.cancel = cancel;
        call.journal = Some(self.keeper(run));
        self.busy(Some(call.event.to_string()));
        let result = self.shared.engine.call(call).await;
        self.busy(None);
        result.map(drop)
    }

    /// The devices of the guest's interfaces exist: rules that want to know are told of each, and may set it up before the
    /// guest is there. A failure changes nothing.
    pub(crate) async fn ports_ready(&self, run: &Run) -> Result<()> {
        for interface in &run.doc.devices.interfaces {
            self.port_ready(run, interface.target_dev()).await?;
        }
        Ok(())
    }

    /// The same of one interface, if it has a device.
    pub(crate) async fn port_ready(&self, run: &Run, tap: Option<&str>) -> Result<()> {
        let Some(tap) = tap else { return Ok(()) };
        let event = HookEvent::port_ready(self.shared.config.driver, run.name(), tap)
            .map_err(|e| Error::Internal(e.to_string()))?;
        if !self.shared.engine.wants(&event) {
            return Ok(());
        }
        drop(self.call(run, event, self.cancel.clone()).await);
        match self.cancel.is_cancelled() {
            true => Err(self.ended(&format!("the start of guest '{}'", run.name()))),
            false => Ok(()),
        }
    }

    fn keeper(&self, run: &Run) -> Arc<dyn CallJournal> {
        Arc::new(KeeperNote(Arc::clone(&run.sheet)))
    }

    fn busy(&self, hook: Option<String>) {
        self.desk.change(|s| s.busy = hook);
    }

    /// Makes the ports that the document wants, in its order; each one's id is on disk before the port is made.
    pub(crate) async fn plug(&self, run: &mut Run) -> Result<()> {
        for (index, port) in ports::wanted(&run.doc) {
            self.enter(run, Phase::Ports).await?;
            run.ports.push(port.clone());
            run.save(|_| ()).await?;
            match self.create_port(run, &port).await {
                Ok(made) => ports::fill(&mut run.doc, index, &made),
                Err(error) => {
                    // Its network has undone it, so there is nothing to delete (R73).
                    run.ports.pop();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn create_port(
        &self,
        run: &Run,
        port: &Plugged,
    ) -> Result<Arc<ferrovirt_model::network_port::NetworkPort>> {
        let call = PortCall {
            origin: self.origin.clone(),
            cancel: self.cancel.clone(),
            journal: self.keeper(run),
        };
        let hook = format!("network {} port-created begin -", port.network);
        self.busy(Some(hook.clone()));
        let made = self
            .shared
            .ports
            .create(port, (run.name(), self.desk.look().uuid), call)
            .await;
        self.busy(None);
        match made {
            Err(_) if self.cancel.is_cancelled() => Err(self.ended(&format!("hook {hook}"))),
            made => made,
        }
    }

    /// Takes over the ports of a guest that runs, with their hooks (R24). The guest runs on without those that fail.
    pub(crate) async fn reclaim(&self, run: &Run) {
        for port in &run.ports {
            if let Err(error) = self.create_port(run, port).await {
                tracing::error!(
                    "port {} of guest '{}' is not taken over: {error}",
                    port.uuid,
                    run.name()
                );
            }
        }
    }

    /// Takes the ports away, in the order in which they were made.
    pub(crate) async fn unplug(&self, run: &mut Run) {
        for port in run.ports.clone() {
            self.delete_port(run, &port).await;
        }
    }

    /// Takes one port away, with its hook (R74).
    pub(crate) async fn delete_port(&self, run: &mut Run, port: &Plugged) {
        self.busy(Some(format!("network {} port-deleted begin -", port.network)));
        if let Err(error) = self.shared.ports.delete(port, self.origin.clone()).await {
            tracing::error!(
                "port {} of guest '{}' is not deleted: {error}",
                port.uuid,
                run.name()
            );
        }
        self.busy(None);
        run.ports.retain(|other| other != port);
    }

    /// The hypervisor's handle is known from now on, to readers and to the owner, who watches it.
    pub(crate) fn attach(&self, run: &Run, guest: &B::Guest) {
        self.desk.set_guest(Some(guest.clone()));
        self.desk.change(|s| s.pid = run.process);
        // The owner lives as long as its operations.
        let _ = self.notes.send(Note::Watch(self.backend().events(guest)));
    }

    /// Ends the guest's process, however far it came.
    pub(crate) async fn kill(&self, run: &mut Run, graceful: bool) -> Result<()> {
        if let Some(guest) = self.desk.guest() {
            self.backend().kill(&guest, graceful).await?;
        } else if let Some(process) = run.process {
            self.backend().wake(run);
            end_process(process).await?;
        }
        self.desk.set_guest(None);
        run.process = None;
        Ok(())
    }

    /// [`Walk::kill`], on a way that nothing holds up.
    pub(crate) async fn kill_at_once(&self, run: &mut Run) {
        if let Err(error) = self.kill(run, false).await {
            tracing::error!("guest '{}' goes on to its end: {error}", run.name());
            self.desk.set_guest(None);
        }
    }

    /// The process is gone: the guest counts as shut off, its document has no id and no ports any more (R33).
    pub(crate) fn gone(&self, run: &mut Run, why: ShutoffReason) {
        if !B::HABITS.stopped_shows_the_run {
            run.doc.id = None;
            ports::forget(&mut run.doc);
        }
        self.desk.change(|s| {
            s.id = None;
            s.pid = None;
        });
        self.desk.say(Reason::Shutoff(why));
    }

    /// Nothing is left of the run, neither in memory nor on disk.
    pub(crate) async fn off(&self, run: &Run, why: ShutoffReason) {
        if let Err(error) = run.sheet.remove().await {
            tracing::error!("cannot remove '{}': {error}", run.sheet.path().display());
        }
        self.desk.change(|s| {
            s.phase = Phase::Off;
            s.id = None;
            s.live = None;
            s.updated = false;
            s.taint.clear();
        });
        self.desk.say(Reason::Shutoff(why));
    }

    /// Tells of the end of a guest that was told to be there.
    pub(crate) fn over(&self, why: ShutoffReason, word: Lifecycle) {
        if why == ShutoffReason::Crashed {
            self.desk.ring(GuestOperation::Crashed);
        }
        self.desk.announce(word);
    }

    /// Ends a hook that the last daemon left behind (R96).
    pub(crate) async fn end_orphan(&self, status: &Status) {
        if let Some(keeper) = status.keeper {
            self.shared.engine.end_orphan(keeper).await;
        }
    }

    /// Takes over the process of a guest that an older daemon started.
    ///
    /// # Errors
    /// Why the guest counts as ended when it cannot be.
    pub(crate) async fn adopt(
        &self,
        run: &mut Run,
        status: &Status,
    ) -> std::result::Result<(), ShutoffReason> {
        let adopted = self.backend().adopt(status).await.map_err(|gone| {
            tracing::warn!("guest '{}' is gone: {gone}", run.name());
            B::HABITS.lost
        })?;
        if let Some(doc) = adopted.doc {
            run.doc = doc;
        }
        self.attach(run, &adopted.guest);
        let stored = status.reason;
        let reason = match (adopted.observed, stored) {
            (Observed::Running, Reason::Running(_)) | (Observed::Paused, Reason::Paused(_)) => stored,
            (Observed::Running, _) => Reason::Running(RunningReason::Unknown),
            (Observed::Paused, _) => Reason::Paused(PausedReason::Unknown),
            (Observed::Panicked, _) => Reason::Crashed(CrashedReason::Panicked),
            (Observed::Shutdown, _) => Reason::Shutdown(ShutdownReason::Unknown),
        };
        self.desk.say(reason);
        match adopted.observed {
            Observed::Shutdown => Err(ShutoffReason::Shutdown),
            Observed::Running | Observed::Paused | Observed::Panicked => Ok(()),
        }
    }
}

/// The end of a log; nothing when it cannot be read.
fn last_words(path: PathBuf) -> Option<String> {
    let read = || {
        let mut file = std::fs::File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))
            .ok()?;
        let mut bytes = Vec::new();
        file.take(LAST_WORDS).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    ferrovirt_sys::blocking::here(read)
}

/// Kills a process that no hypervisor handle stands for (yet), and waits until it is gone.
async fn end_process(process: ProcessId) -> Result<()> {
    let failed = |reason: String| {
        let text = format!(
            "Failed to terminate process {} with SIGKILL: {reason}",
            process.pid
        );
        Error::from(BackendError::Failed(text))
    };
    let killed = PidFd::open(process).and_then(|pidfd| pidfd.kill(libc::SIGKILL).map(|()| pidfd));
    match killed {
        Ok(pidfd) => tokio::time::timeout(KILL_TIME, pidfd.exited())
            .await
            .map_err(|_| failed("Device or resource busy".to_owned())),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        Err(error) => Err(failed(error.to_string())),
    }
}
