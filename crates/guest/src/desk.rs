//! What the owner of a guest and the operation it started share: the picture that readers see, and the handle of the
//! hypervisor's guest. No lock here is held across a wait.

use std::sync::{Arc, Mutex, PoisonError};

use ferrovirt_hook::GuestOperation;
use tokio::sync::{broadcast, watch};

use crate::bell::{self, Bell};
use crate::event::{Event, Lifecycle};
use crate::snapshot::Snapshot;
use crate::state::Reason;

/// See the module.
pub(crate) struct Desk<G> {
    picture: watch::Sender<Arc<Snapshot>>,
    guest: Mutex<Option<G>>,
    events: broadcast::Sender<Event>,
    bell: Bell,
}

impl<G: Clone> Desk<G> {
    pub(crate) fn new(first: Snapshot, events: broadcast::Sender<Event>, bell: Bell) -> Desk<G> {
        Desk {
            picture: watch::Sender::new(Arc::new(first)),
            guest: Mutex::new(None),
            events,
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

    /// Tells those who listen; nobody listening is fine.
    pub(crate) fn tell(&self, what: Lifecycle) {
        self.tell_of(&self.look(), what);
    }

    /// The same of a picture that is not the present one: of a definition that is gone, for example.
    pub(crate) fn tell_of(&self, seen: &Snapshot, what: Lifecycle) {
        if let Some(operation) = bell::operation(what) {
            self.bell.ring(seen, operation);
        }
        let event = Event {
            name: seen.name.clone(),
            uuid: seen.uuid,
            id: seen.id,
            what,
        };
        let _ = self.events.send(event);
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
