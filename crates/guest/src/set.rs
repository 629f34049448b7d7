//! The guests of one driver for those who do not ask which: what the daemon's dispatch works on.

use std::sync::Arc;

use ferrovirt_hook::{BoxFuture, Driver, Origin};
use ferrovirt_model::Uuid;
use ferrovirt_model::domain::Domain;

use crate::Snapshot;
use crate::backend::{Plug, Power, Statistics, Tune};
use crate::error::Result;
use crate::event::Listener;
use crate::flags::StartFlags;
use crate::guests::Guests;
use crate::handle::GuestHandle;

/// [`Guests`] of any hypervisor; each method is the one of that name there.
pub trait GuestSet: Send + Sync {
    /// Whose hooks they call.
    fn driver(&self) -> Driver;

    /// All guests, by name.
    fn list(&self) -> Vec<Arc<Snapshot>>;

    /// The handles of all guests.
    fn handles(&self) -> Vec<GuestHandle>;

    /// The guest of this name.
    fn by_name(&self, name: &str) -> Option<GuestHandle>;

    /// The guest with this uuid.
    fn by_uuid(&self, uuid: &Uuid) -> Option<GuestHandle>;

    /// The active guest with this id.
    fn by_id(&self, id: i32) -> Option<GuestHandle>;

    /// The guest of this name, or with this uuid where it is one.
    fn by_name_or_uuid(&self, text: &str) -> Option<GuestHandle> {
        self.by_name(text).or_else(|| self.by_uuid(&text.parse().ok()?))
    }

    /// Defines a persistent guest.
    ///
    /// # Errors
    /// See [`Guests::define`].
    fn define(&self, doc: Domain, origin: Origin) -> BoxFuture<'_, Result<GuestHandle>>;

    /// Starts a guest from this document without keeping it.
    ///
    /// # Errors
    /// See [`Guests::create`].
    fn create(&self, doc: Domain, flags: StartFlags, origin: Origin) -> BoxFuture<'_, Result<GuestHandle>>;

    /// From now on this one hears what happens to guests.
    fn listen(&self, listener: Listener);

    /// Reads definitions and live state.
    ///
    /// # Errors
    /// See [`Guests::load`].
    fn load(&self) -> BoxFuture<'_, Result<()>>;

    /// Takes over the guests that ran (R24, R38).
    fn reconnect(&self) -> BoxFuture<'_, ()>;

    /// Starts the guests that are marked so, once per boot of the machine.
    fn autostart(&self) -> BoxFuture<'_, ()>;
}

impl<B: Power + Statistics + Tune + Plug> GuestSet for Guests<B> {
    fn driver(&self) -> Driver {
        B::DRIVER
    }

    fn list(&self) -> Vec<Arc<Snapshot>> {
        Guests::list(self)
    }

    fn handles(&self) -> Vec<GuestHandle> {
        Guests::handles(self)
    }

    fn by_name(&self, name: &str) -> Option<GuestHandle> {
        Guests::by_name(self, name)
    }

    fn by_uuid(&self, uuid: &Uuid) -> Option<GuestHandle> {
        Guests::by_uuid(self, uuid)
    }

    fn by_id(&self, id: i32) -> Option<GuestHandle> {
        Guests::by_id(self, id)
    }

    fn define(&self, doc: Domain, origin: Origin) -> BoxFuture<'_, Result<GuestHandle>> {
        Box::pin(Guests::define(self, doc, origin))
    }

    fn create(&self, doc: Domain, flags: StartFlags, origin: Origin) -> BoxFuture<'_, Result<GuestHandle>> {
        Box::pin(Guests::create(self, doc, flags, origin))
    }

    fn listen(&self, listener: Listener) {
        Guests::listen(self, listener);
    }

    fn load(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(Guests::load(self))
    }

    fn reconnect(&self) -> BoxFuture<'_, ()> {
        Box::pin(Guests::reconnect(self))
    }

    fn autostart(&self) -> BoxFuture<'_, ()> {
        Box::pin(Guests::autostart(self))
    }
}
