//! What the owner of a guest and the operation it started share: the picture that readers see, and the handle of the
//! hypervisor's guest. No lock here is held across a wait.

use std::sync::{Arc, Mutex, PoisonError};

use ferrovirt_hook::GuestOperation;
use tokio::sync::watch;

use crate::bell::{self, Bell};
use crate::event::{Event, Lifecycle, Listeners, What};
use crate::snapshot::Snapshot;
use crate::state::Reason;

/// See the module.
pub(crate) struct Desk<G> {
    picture: watch::Sender<Arc<Snapshot>>,
    guest: Mutex<Option<G>>,
    listeners: Arc<Listeners>,
    bell: Bell,
}

impl<G: Clone> Desk<G> {
    pub(crate) fn new(first: Snapshot, listeners: Arc<Listeners>, bell: Bell) -> Desk<G> {
        Desk {
            picture: watch::Sender::new(Arc::new(first)),
            guest: Mutex::new(None),
            listeners,
            bell,
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.picture.subscribe()
    }

    /// The picture of this moment.
    pub(crate) fn look(&self) -> Arc<Snapshot> {
        Arc::clone(&self.picture.borrow())
    }

    /// Publishes a change.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        self.picture.send_modify(|picture| change(Arc::make_mut(picture)));
    }

    /// Publishes what the CPUs do.
    pub(crate) fn say(&self, reason: Reason) {
        self.change(|s| {
            s.state = reason.state();
            s.reason = reason;
        });
    }

    /// Tells those who listen, and rules; nobody listening is fine.
    pub(crate) fn tell(&self, what: Lifecycle) {
        self.tell_of(&self.look(), what);
    }

    /// The same of a picture that is not the present one: of a definition that is gone, for example.
    pub(crate) fn tell_of(&self, seen: &Snapshot, what: Lifecycle) {
        if let Some(operation) = bell::operation(what) {
            self.bell.ring(seen, operation);
        }
        self.announce_of(seen, what.into());
    }

    /// Tells those who listen and no rules: what is no event of rules, or is a part of one that they are told of.
    pub(crate) fn announce(&self, what: impl Into<What>) {
        self.announce_of(&self.look(), what.into());
    }

    fn announce_of(&self, seen: &Snapshot, what: What) {
        self.listeners.tell(&Event {
            name: seen.name.clone(),
            uuid: seen.uuid,
            id: seen.id,
            what,
        });
    }

    /// Tells rules what is no lifecycle event.
    pub(crate) fn ring(&self, operation: GuestOperation) {
        self.bell.ring(&self.look(), operation);
    }

    /// The hypervisor's handle, while there is one.
    pub(crate) fn guest(&self) -> Option<G> {
        self.guest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_guest(&self, guest: Option<G>) {
        *self.guest.lock().unwrap_or_else(PoisonError::into_inner) = guest;
    }
}
