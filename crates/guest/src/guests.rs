//! The door to all guests of one driver: look-up, lists, definitions, and what happens when the daemon starts.

use std::collections::VecDeque;
use std::fs;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use ferrovirt_hook::{Engine, Origin};
use ferrovirt_model::Uuid;
use ferrovirt_model::domain::Domain;
use ferrovirt_network::Networks;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Plug, Power, Statistics, Tune};
use crate::bell::Bell;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::event::{Lifecycle, Listener};
use crate::flags::StartFlags;
use crate::handle::{GuestHandle, GuestReader};
use crate::metadata;
use crate::owner::{MAILBOX, Mail, Note, Owner};
use crate::ports::Ports;
use crate::registry::Claim;
use crate::run::Run;
use crate::shared::Shared;
use crate::state::{Phase, Reason, ShutoffReason, State};
use crate::status::Status;
use crate::store;
use crate::{Config, Snapshot};

/// How many guests are started at once when the machine boots.
const AUTOSTARTS: usize = 16;

/// All guests of one driver. Cheap to clone.
pub struct Guests<B: Backend> {
    shared: Arc<Shared<B>>,
    /// Owners that wait for [`Guests::reconnect`].
    left: Arc<Mutex<Vec<mpsc::UnboundedSender<Note>>>>,
}

impl<B: Backend> Clone for Guests<B> {
    fn clone(&self) -> Self {
        Guests {
            shared: Arc::clone(&self.shared),
            left: Arc::clone(&self.left),
        }
    }
}

impl<B: Power + Statistics + Tune + Plug> Guests<B> {
    /// No guest yet: [`Guests::load`] reads them.
    pub fn new(config: Config, backend: B, engine: Engine, networks: Networks) -> Self {
        Guests::with_ports(config, backend, engine, Arc::new(networks))
    }

    /// The same with ports from elsewhere.
    pub fn with_ports(config: Config, backend: B, engine: Engine, ports: Arc<dyn Ports>) -> Self {
        Guests {
            shared: Arc::new(Shared::new(config, backend, engine, ports)),
            left: Arc::default(),
        }
    }

    /// The hypervisor behind the guests.
    pub fn backend(&self) -> &B {
        &self.shared.backend
    }

    /// Reads definitions and live state; guests that ran are shown as running from now on. Calls no hook.
    ///
    /// # Errors
    /// When a directory cannot be read or made. A broken file stays where it is and is a line in the log.
    pub async fn load(&self) -> Result<()> {
        let found = self.shared.store.read()?;
        let mut statuses: Vec<Status> = found.statuses;
        for (doc, autostart) in found.definitions {
            let running = statuses.iter().position(|status| status.doc.name == doc.name);
            let status = running.map(|index| statuses.swap_remove(index));
            let mut picture = off_picture(&doc);
            picture.persistent = true;
            picture.autostart = autostart;
            picture.config = Some(Arc::new(doc));
            self.bring_back(picture, status).await;
        }
        for status in statuses {
            self.bring_back(off_picture(&status.doc), Some(status)).await;
        }
        Ok(())
    }

    /// A guest that was on disk.
    async fn bring_back(&self, mut picture: Snapshot, status: Option<Status>) {
        let name = picture.name.clone();
        let claim = match self.shared.registry.claim(&name, picture.uuid).await {
            Ok(Claim::New(claim)) => claim,
            Ok(Claim::Known(_)) => return,
            Err(error) => return tracing::error!("guest '{name}' on disk is left alone: {error}"),
        };
        let left = status.map(|status| {
            self.shared.registry.taken_id(status.id);
            store::show(&mut picture, &status);
            Box::new(Run::of(
                status,
                self.shared.store.status_path(&name),
                CancellationToken::new(),
            ))
        });
        claim.settle(self.give_owner(&self.desk(picture), left));
    }

    /// Takes over the guests that ran (R24, R38) and undoes what the last daemon's death cut short (R96), each in a
    /// task of its own; returns at once.
    pub async fn reconnect(&self) {
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        for owner in left {
            // An owner that is gone has nothing to take over.
            let _ = owner.send(Note::Recover);
        }
    }

    /// Starts the guests that are marked so, once per boot of the machine; failures are logged.
    pub async fn autostart(&self) {
        let dir = self.shared.config.boot_flag_dir.clone();
        let flag = dir.join(format!(
            "ferrovirt-{}-autostarted",
            self.shared.config.driver.as_str()
        ));
        let made = ferrovirt_sys::blocking::here(|| {
            fs::create_dir_all(&dir)?;
            fs::File::create_new(&flag)
        });
        match made {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return,
            Err(error) => tracing::error!("cannot remember that guests were autostarted: {error}"),
        }
        let slots = Arc::new(Semaphore::new(AUTOSTARTS));
        let mut starts = JoinSet::new();
        for handle in self.shared.registry.index().all() {
            let seen = handle.snapshot();
            if !seen.autostart || seen.is_active() {
                continue;
            }
            let (handle, slots) = (handle.clone(), Arc::clone(&slots));
            starts.spawn(async move {
                let _slot = slots.acquire_owned().await;
                if let Err(error) = handle.start(StartFlags::default(), Origin::client()).await {
                    tracing::error!("Failed to autostart guest '{}': {error}", seen.name);
                }
            });
        }
        while starts.join_next().await.is_some() {}
    }

    /// All guests, by name.
    pub fn list(&self) -> Vec<Arc<Snapshot>> {
        self.shared
            .registry
            .index()
            .all()
            .map(GuestHandle::snapshot)
            .collect()
    }

    /// The handles of all guests.
    pub fn handles(&self) -> Vec<GuestHandle> {
        self.shared.registry.index().all().cloned().collect()
    }

    /// The guest of this name.
    pub fn by_name(&self, name: &str) -> Option<GuestHandle> {
        self.shared.registry.index().by_name(name).cloned()
    }

    /// The guest with this uuid.
    pub fn by_uuid(&self, uuid: &Uuid) -> Option<GuestHandle> {
        self.shared.registry.index().by_uuid(uuid).cloned()
    }

    /// The active guest with this id.
    pub fn by_id(&self, id: i32) -> Option<GuestHandle> {
        self.shared
            .registry
            .index()
            .all()
            .find(|handle| handle.snapshot().id == Some(id))
            .cloned()
    }

    /// Defines a persistent guest, or changes the definition of the one with this name and uuid; a running guest
    /// keeps its live document. On disk when this returns.
    ///
    /// # Errors
    /// `Failed` when name or uuid belong to another guest; `Xml`, `Backend` for what the document says.
    pub async fn define(&self, doc: Domain, origin: Origin) -> Result<GuestHandle> {
        let doc = self.complete(doc).await?.to_config()?;
        let uuid = doc.uuid.unwrap_or_else(Uuid::random);
        loop {
            match self.shared.registry.claim(&doc.name, uuid).await? {
                Claim::Known(handle) => match handle.define(doc.clone(), origin.clone()).await {
                    // A transient guest that has just ended; its name is free in a moment.
                    Err(Error::NoDomain(_)) => tokio::task::yield_now().await,
                    result => return result.map(|()| handle),
                },
                Claim::New(claim) => {
                    self.shared.store.save(&doc)?;
                    let mut picture = off_picture(&doc);
                    picture.persistent = true;
                    picture.config = Some(Arc::new(doc));
                    let desk = self.desk(picture);
                    let handle = self.give_owner(&desk, None);
                    claim.settle(handle.clone());
                    desk.tell(Lifecycle::DefinedAdded);
                    return Ok(handle);
                }
            }
        }
    }

    /// Starts a guest from this document without keeping it: a transient one, or a run of a persistent one.
    ///
    /// # Errors
    /// As `define` and as [`GuestHandle::start`].
    pub async fn create(&self, doc: Domain, flags: StartFlags, origin: Origin) -> Result<GuestHandle> {
        let doc = self.complete(doc).await?.to_config()?;
        let uuid = doc.uuid.unwrap_or_else(Uuid::random);
        loop {
            let (handle, known) = match self.shared.registry.claim(&doc.name, uuid).await? {
                Claim::Known(handle) => (handle, true),
                Claim::New(claim) => {
                    let handle = self.give_owner(&self.desk(off_picture(&doc)), None);
                    claim.settle(handle.clone());
                    (handle, false)
                }
            };
            match handle.start_as(doc.clone(), flags.clone(), origin.clone()).await {
                // A transient guest that has just ended; its name is free in a moment.
                Err(Error::NoDomain(_)) if known => tokio::task::yield_now().await,
                result => return result.map(|()| handle),
            }
        }
    }

    /// From now on this one hears what happens to guests, each event when a query shows what it tells of.
    pub fn listen(&self, listener: Listener) {
        self.shared.listeners.add(listener);
    }

    /// What happens from now on, for tests.
    #[cfg(test)]
    pub(crate) fn events(&self) -> mpsc::UnboundedReceiver<crate::Event> {
        let (tell, events) = mpsc::unbounded_channel();
        self.listen(Box::new(move |event| drop(tell.send(event.clone()))));
        events
    }

    /// The document with all that a guest has, and a name that a file can have.
    async fn complete(&self, mut doc: Domain) -> Result<Domain> {
        store::check_name(&doc.name)?;
        doc.uuid.get_or_insert_with(Uuid::random);
        metadata::check(&doc)?;
        self.shared.backend.complete(&mut doc).await?;
        Ok(doc)
    }

    /// What a new owner works on.
    fn desk(&self, picture: Snapshot) -> Arc<Desk<B::Guest>> {
        let bell = Bell::new(&self.shared.engine, self.shared.config.driver);
        Arc::new(Desk::new(picture, Arc::clone(&self.shared.listeners), bell))
    }

    /// Starts the task that owns a guest.
    fn give_owner(&self, desk: &Arc<Desk<B::Guest>>, left: Option<Box<Run>>) -> GuestHandle {
        let (mailbox, requests) = mpsc::channel(MAILBOX);
        let (notes, told) = mpsc::unbounded_channel();
        let mut owner = Owner {
            shared: Arc::clone(&self.shared),
            desk: Arc::clone(desk),
            notes: notes.clone(),
            run: None,
            job: None,
            writing: None,
            waiting: VecDeque::new(),
            happened: None,
            later: None,
            restart: None,
            gone: Vec::new(),
            autodestroy: None,
            left: None,
            vanished: false,
        };
        if let Some(run) = left {
            owner.keep(run);
            self.left
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(notes);
        }
        tokio::spawn(owner.live(Mail {
            requests,
            notes: told,
        }));
        let reader = GuestReader {
            shared: Arc::clone(&self.shared),
            desk: Arc::clone(desk),
        };
        GuestHandle::new(self.shared.config.driver, desk.watch(), mailbox, Arc::new(reader))
    }
}

fn off_picture(doc: &Domain) -> Snapshot {
    Snapshot {
        name: doc.name.clone(),
        uuid: doc.uuid.unwrap_or_else(Uuid::random),
        id: None,
        state: State::Shutoff,
        reason: Reason::Shutoff(ShutoffReason::Unknown),
        phase: Phase::Off,
        persistent: false,
        autostart: false,
        updated: false,
        live: None,
        config: None,
        pid: None,
        busy: None,
        taint: Vec::new(),
    }
}
