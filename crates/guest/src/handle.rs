//! The handle of one guest: reads take its snapshot, changes go to its owner.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use ferrovirt_hook::{BoxFuture, Driver, Object, Origin};
use ferrovirt_model::domain::Domain;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::backend::{Figures, Statistics, Tune};
use crate::console::{self, CharDevice};
use crate::definition::Edit;
use crate::desk::Desk;
use crate::error::{BackendError, Error, Result};
use crate::flags::{Affect, DestroyFlags, Leftovers, Metadata, ShutdownMode, StartFlags};
use crate::operation::Word;
use crate::plug::DeviceChange;
use crate::request::{Envelope, Request};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::stats::{GuestStats, StatsAsk};
use crate::tuning::{Tuned, Tuning};

/// How long a hypervisor may take to answer a question about numbers.
const FIGURES_TIME: Duration = Duration::from_secs(5);

/// What a backend may take beside its patience with the hypervisor before nobody waits for it any more.
const STATS_GRACE: Duration = Duration::from_secs(3);

/// One guest. Cheap to clone; stays usable (with `NoDomain`) after the guest is gone.
///
/// Each change fails with `Busy` at once when a hook that `origin` comes from is waited for by this guest (R91).
#[derive(Clone)]
pub struct GuestHandle {
    driver: Driver,
    picture: watch::Receiver<Arc<Snapshot>>,
    mailbox: mpsc::Sender<Envelope>,
    reader: Arc<dyn Reader>,
}

impl fmt::Debug for GuestHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuestHandle").field(&self.snapshot().name).finish()
    }
}

/// Asks a hypervisor for numbers, past the guest's owner.
pub(crate) trait Reader: Send + Sync {
    fn figures(&self) -> BoxFuture<'_, Result<Figures>>;
    fn namespaces(&self) -> Result<Vec<OwnedFd>>;
    fn stats<'a>(&'a self, seen: &'a Snapshot, ask: &'a StatsAsk) -> BoxFuture<'a, GuestStats>;
    fn tuned<'a>(&'a self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Tuned>>;
}

/// [`Reader`] for one guest of one backend.
pub(crate) struct GuestReader<B: Statistics + Tune> {
    pub(crate) shared: Arc<Shared<B>>,
    pub(crate) desk: Arc<Desk<B::Guest>>,
}

impl<B: Statistics + Tune> Reader for GuestReader<B> {
    fn tuned<'a>(&'a self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Tuned>> {
        Box::pin(async move {
            let doc = seen.document(false).ok_or_else(not_running)?;
            if !seen.is_active() {
                return Ok(Tuned::of(doc));
            }
            let guest = self.desk.guest().ok_or_else(not_running)?;
            match tokio::time::timeout(FIGURES_TIME, self.shared.backend.tuned(&guest, doc)).await {
                Ok(tuned) => Ok(tuned?),
                Err(_) => Err(BackendError::Timeout("the hypervisor does not answer".to_owned()).into()),
            }
        })
    }

    fn figures(&self) -> BoxFuture<'_, Result<Figures>> {
        Box::pin(async move {
            let guest = self.desk.guest().ok_or_else(not_running)?;
            match tokio::time::timeout(FIGURES_TIME, self.shared.backend.figures(&guest)).await {
                Ok(figures) => Ok(figures?),
                Err(_) => Err(BackendError::Timeout("the hypervisor does not answer".to_owned()).into()),
            }
        })
    }

    fn namespaces(&self) -> Result<Vec<OwnedFd>> {
        let guest = self.desk.guest().ok_or_else(not_running)?;
        Ok(self.shared.backend.namespaces(&guest)?)
    }

    fn stats<'a>(&'a self, seen: &'a Snapshot, ask: &'a StatsAsk) -> BoxFuture<'a, GuestStats> {
        Box::pin(async move {
            let Some(doc) = seen.document(false) else {
                return GuestStats::default();
            };
            // Between two states there may be an id and no process, or the other way round.
            let guest = if seen.is_active() { self.desk.guest() } else { None };
            if seen.is_active() && guest.is_none() {
                return GuestStats::default();
            }
            let asked = self.shared.backend.stats(guest.as_ref(), doc, ask);
            tokio::time::timeout(ask.patience + STATS_GRACE, asked)
                .await
                .unwrap_or_default()
        })
    }
}

/// The refusal of what only a running guest can do, in libvirt's words.
pub(crate) fn not_running() -> Error {
    Error::Invalid("domain is not running".to_owned())
}

impl GuestHandle {
    pub(crate) fn new(
        driver: Driver,
        picture: watch::Receiver<Arc<Snapshot>>,
        mailbox: mpsc::Sender<Envelope>,
        reader: Arc<dyn Reader>,
    ) -> GuestHandle {
        GuestHandle {
            driver,
            picture,
            mailbox,
            reader,
        }
    }

    /// The picture of this moment; never waits (R90).
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.picture.borrow())
    }

    /// Sees each change of the picture; it may miss some in between, never the last.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.picture.clone()
    }

    /// Numbers from the hypervisor, within 5 s.
    ///
    /// # Errors
    /// `Invalid` when it does not run, `Timeout`, or the hypervisor's error.
    pub async fn figures(&self) -> Result<Figures> {
        self.reader.figures().await
    }

    /// The terminal of a console, by its alias or the first one; never waits.
    ///
    /// # Errors
    /// `Invalid` when it does not run, `Internal` when there is no such console or it is none that can be opened.
    pub fn console(&self, name: Option<&str>) -> Result<CharDevice> {
        console::console(self.driver, &self.snapshot(), name)
    }

    /// The socket of a channel, by its alias or its name in the guest, or the first one; never waits.
    ///
    /// # Errors
    /// As [`GuestHandle::console`].
    pub fn channel(&self, name: Option<&str>) -> Result<CharDevice> {
        console::channel(&self.snapshot(), name)
    }

    /// The namespaces that its processes live in; never waits.
    ///
    /// # Errors
    /// `Invalid` when it does not run; what the hypervisor says, above all if it has none.
    pub fn namespaces(&self) -> Result<Vec<OwnedFd>> {
        self.reader.namespaces()
    }

    /// Groups of figures for the guest as `seen`. Never waits for its owner, and for the hypervisor no longer than `ask`
    /// says (R90); what cannot be had is left out.
    pub async fn stats(&self, seen: &Snapshot, ask: &StatsAsk) -> GuestStats {
        self.reader.stats(seen, ask).await
    }

    /// The same of many guests at once, in their order: the slowest one decides how long it takes, not their number.
    pub async fn stats_of_all(seen: &[(GuestHandle, Arc<Snapshot>)], ask: &StatsAsk) -> Vec<GuestStats> {
        let each = seen.iter().map(|(guest, seen)| guest.reader.stats(seen, ask));
        futures_util::future::join_all(each).await
    }

    /// Starts it (R30 to R32).
    ///
    /// # Errors
    /// `Invalid` when it is active; otherwise the first failure, after everything was undone; after a destroy (R95)
    /// `Hook` or `Aborted`, whose text names the hook and the destroy.
    pub async fn start(&self, flags: StartFlags, origin: Origin) -> Result<()> {
        self.ask(Request::Start(flags, None), origin).await
    }

    /// Starts it from another document than its definition.
    pub(crate) async fn start_as(&self, doc: Domain, flags: StartFlags, origin: Origin) -> Result<()> {
        self.ask(Request::Start(flags, Some(Box::new(doc))), origin).await
    }

    /// Ends it at once, also while it is being started (R95).
    ///
    /// # Errors
    /// `Invalid` when it is not active; `Busy` when it is being ended already and a hook holds it.
    pub async fn destroy(&self, flags: DestroyFlags, origin: Origin) -> Result<()> {
        self.ask(Request::Destroy(flags), origin).await
    }

    /// Asks its system to power off.
    ///
    /// # Errors
    /// `Invalid` when it is not active.
    pub async fn shutdown(&self, mode: ShutdownMode, origin: Origin) -> Result<()> {
        self.ask(Request::Say(Word::Shutdown(mode)), origin).await
    }

    /// Asks its system to restart (R40: the same run).
    ///
    /// # Errors
    /// `Invalid` when it is not active.
    pub async fn reboot(&self, mode: ShutdownMode, origin: Origin) -> Result<()> {
        self.ask(Request::Say(Word::Reboot(mode)), origin).await
    }

    /// Resets it (R40: the same run).
    ///
    /// # Errors
    /// `Invalid` when it is not active.
    pub async fn reset(&self, origin: Origin) -> Result<()> {
        self.ask(Request::Say(Word::Reset), origin).await
    }

    /// Stops its CPUs.
    ///
    /// # Errors
    /// `Invalid` when it is not active.
    pub async fn suspend(&self, origin: Origin) -> Result<()> {
        self.ask(Request::Say(Word::Suspend), origin).await
    }

    /// Lets its CPUs run again.
    ///
    /// # Errors
    /// `Invalid` when it is not active or runs already.
    pub async fn resume(&self, origin: Origin) -> Result<()> {
        self.ask(Request::Say(Word::Resume), origin).await
    }

    /// Forgets its definition; an active guest becomes transient.
    ///
    /// # Errors
    /// `Invalid` for a transient guest.
    pub async fn undefine(&self, origin: Origin) -> Result<()> {
        self.undefine_with(Leftovers::default(), origin).await
    }

    /// The same, with a word on what else there is of it.
    ///
    /// # Errors
    /// `Invalid` for a transient guest, and where something is in the way of which nothing is said.
    pub async fn undefine_with(&self, leftovers: Leftovers, origin: Origin) -> Result<()> {
        self.ask(Request::Edit(Edit::Undefine(leftovers)), origin).await
    }

    /// Marks it to be started with the machine, or not.
    ///
    /// # Errors
    /// `Invalid` for a transient guest.
    pub async fn set_autostart(&self, autostart: bool, origin: Origin) -> Result<()> {
        self.ask(Request::Edit(Edit::Autostart(autostart)), origin).await
    }

    /// Changes title, description or metadata.
    ///
    /// # Errors
    /// `Invalid` when `affect` asks for a document that it does not have; `Xml` for an element that is none.
    pub async fn set_metadata(&self, metadata: Metadata, affect: Affect, origin: Origin) -> Result<()> {
        self.ask(Request::Describe(metadata, affect), origin).await
    }

    /// What it is held to: asked of the kernel for one that runs as `seen`, past its owner (R90).
    ///
    /// # Errors
    /// `Invalid` when it has just ended, `Timeout`, or the kernel's error.
    pub async fn tuned(&self, seen: &Snapshot) -> Result<Tuned> {
        self.reader.tuned(seen).await
    }

    /// Changes limits and shares.
    ///
    /// # Errors
    /// `Invalid` when `affect` asks for a document that it does not have; `Argument` for values that cannot be; the
    /// kernel's or the hypervisor's refusal, which changes nothing.
    pub async fn tune(&self, change: Tuning, affect: Affect, origin: Origin) -> Result<()> {
        self.ask(Request::Tune(change, affect), origin).await
    }

    /// Attaches, detaches or changes a device. A device that the guest does not let go of at once stays in its document
    /// until it has.
    ///
    /// # Errors
    /// `Invalid` when `affect` asks for a document that it does not have; `NoDevice`; `NotSupported` for what cannot be
    /// done while it runs; `Hook` when the hook of a port says no. Nothing has changed then.
    pub async fn change_device(&self, change: DeviceChange, affect: Affect, origin: Origin) -> Result<()> {
        self.ask(Request::Device(Box::new(change), affect), origin).await
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// `Invalid` when it is active or transient or the name is no name; `Failed` when the name is taken.
    pub async fn rename(&self, name: &str, origin: Origin) -> Result<()> {
        self.ask(Request::Edit(Edit::Rename(name.to_owned())), origin)
            .await
    }

    /// Replaces its definition.
    pub(crate) async fn define(&self, doc: Domain, origin: Origin) -> Result<()> {
        self.ask(Request::Edit(Edit::Define(Box::new(doc))), origin).await
    }

    async fn ask(&self, request: Request, origin: Origin) -> Result<()> {
        let name = self.snapshot().name.clone();
        let object = Object::new(self.driver, name.clone());
        if let Some(hook) = origin.waiting_for(&object) {
            let verb = request.verb();
            return Err(Error::Busy(format!(
                "{verb} of {object} is refused: it waits for the hook {hook}"
            )));
        }
        let (reply, answer) = oneshot::channel();
        match self.mailbox.try_send(Envelope {
            request,
            origin,
            reply,
        }) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Err(self.vanished()),
            Err(TrySendError::Full(_)) => {
                return Err(Error::Busy(format!("too many requests wait for guest '{name}'")));
            }
        }
        match answer.await {
            Ok(result) => result,
            Err(_) if self.mailbox.is_closed() => Err(self.vanished()),
            Err(_) => Err(Error::Internal(format!(
                "the request about guest '{name}' was lost by a fault"
            ))),
        }
    }

    fn vanished(&self) -> Error {
        let seen = self.snapshot();
        Error::NoDomain(format!(
            "no domain with matching uuid '{}' ({})",
            seen.uuid, seen.name
        ))
    }
}
