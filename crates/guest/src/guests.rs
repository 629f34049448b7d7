//! The door to all guests of one driver: look-up, lists, definitions, and what happens when the daemon starts.

use std::sync::Arc;

use ferrovirt_hook::{Engine, Origin};
use ferrovirt_model::Uuid;
use ferrovirt_model::domain::Domain;
use ferrovirt_network::Networks;
use tokio::sync::broadcast;

use crate::backend::{Backend, Power, Statistics};
use crate::error::Result;
use crate::event::Event;
use crate::flags::StartFlags;
use crate::handle::GuestHandle;
use crate::{Config, Snapshot};

/// All guests of one driver. Cheap to clone.
pub struct Guests<B: Backend> {
    backend: Arc<B>,
}

impl<B: Backend> Clone for Guests<B> {
    fn clone(&self) -> Self {
        Guests { backend: Arc::clone(&self.backend) }
    }
}

impl<B: Backend + Power + Statistics> Guests<B> {
    /// No guest yet: [`Guests::load`] reads them.
    pub fn new(config: Config, backend: B, engine: Engine, networks: Networks) -> Self {
        let _ = (config, engine, networks);
        Guests { backend: Arc::new(backend) }
    }

    /// The hypervisor behind the guests.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Reads definitions and live state; guests that ran are shown as running from now on. Calls no hook.
    ///
    /// # Errors
    /// When a directory cannot be read or made. A broken file stays where it is and is a line in the log.
    pub async fn load(&self) -> Result<()> {
        todo!()
    }

    /// Takes over the guests that ran (R24, R38) and undoes what the last daemon's death cut short (R96), each in a
    /// task of its own; returns at once.
    pub async fn reconnect(&self) {
        todo!()
    }

    /// Starts the guests that are marked so, once per boot of the machine; failures are logged.
    pub async fn autostart(&self) {
        todo!()
    }

    /// All guests, by name.
    pub fn list(&self) -> Vec<Arc<Snapshot>> {
        todo!()
    }

    /// The guest of this name.
    pub fn by_name(&self, name: &str) -> Option<GuestHandle> {
        let _ = name;
        todo!()
    }

    /// The guest with this uuid.
    pub fn by_uuid(&self, uuid: &Uuid) -> Option<GuestHandle> {
        let _ = uuid;
        todo!()
    }

    /// The active guest with this id.
    pub fn by_id(&self, id: i32) -> Option<GuestHandle> {
        let _ = id;
        todo!()
    }

    /// Defines a persistent guest, or changes the definition of the one with this name and uuid; a running guest
    /// keeps its live document. On disk when this returns.
    ///
    /// # Errors
    /// `Failed` when name or uuid belong to another guest; `Xml`, `Backend` for what the document says.
    pub async fn define(&self, doc: Domain, origin: Origin) -> Result<GuestHandle> {
        let _ = (doc, origin);
        todo!()
    }

    /// Starts a guest from this document without keeping it: a transient one, or a run of a persistent one.
    ///
    /// # Errors
    /// As `define` and as [`GuestHandle::start`].
    pub async fn create(&self, doc: Domain, flags: StartFlags, origin: Origin) -> Result<GuestHandle> {
        let _ = (doc, flags, origin);
        todo!()
    }

    /// What happens to guests from now on. A listener that is too slow loses events and is told how many.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        todo!()
    }
}
