//! Events with libvirt's numbers, told to whoever listens.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use ferrovirt_model::Uuid;

use crate::flags::Metadata;
use crate::state::ShutoffReason;

/// Hears of an event at the place where it happens, on whatever thread that is: it must not wait.
pub type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// Who listens.
#[derive(Default)]
pub(crate) struct Listeners(RwLock<Vec<Listener>>);

impl Listeners {
    pub(crate) fn add(&self, listener: Listener) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(listener);
    }

    pub(crate) fn tell(&self, event: &Event) {
        for listener in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            listener(event);
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listeners").finish_non_exhaustive()
    }
}

/// Something happened to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The guest's name at that moment.
    pub name: String,
    /// Its id for ever.
    pub uuid: Uuid,
    /// Its id while it runs.
    pub id: Option<i32>,
    /// What happened.
    pub what: What,
}

/// What can happen to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Its life went on.
    Lifecycle(Lifecycle),
    /// It was reset.
    Rebooted,
    /// Its hypervisor cannot be talked with any more, though it is there.
    ControlError,
    /// What people or programs wrote about it has changed.
    Described {
        /// libvirt's number for title, description or element.
        kind: i32,
        /// The namespace of an element.
        uri: Option<String>,
    },
    /// The device of this name was attached to it.
    DeviceAdded(String),
    /// The device of this name is not in it any more.
    DeviceRemoved(String),
}

impl What {
    pub(crate) fn described(change: &Metadata) -> What {
        let (kind, uri) = match change {
            Metadata::Description(_) => (0, None),
            Metadata::Title(_) => (1, None),
            Metadata::Element { uri, .. } => (2, Some(uri.clone())),
        };
        What::Described { kind, uri }
    }
}

impl From<Lifecycle> for What {
    fn from(what: Lifecycle) -> What {
        What::Lifecycle(what)
    }
}

#[cfg(test)]
impl PartialEq<Lifecycle> for What {
    fn eq(&self, other: &Lifecycle) -> bool {
        *self == What::Lifecycle(*other)
    }
}

/// The stations of a guest's life; [`Lifecycle::numbers`] has libvirt's event and detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named as libvirt names event and detail")]
pub enum Lifecycle {
    DefinedAdded,
    DefinedUpdated,
    DefinedRenamed,
    UndefinedRemoved,
    UndefinedRenamed,
    StartedBooted,
    SuspendedPaused,
    SuspendedIoError,
    ResumedUnpaused,
    StoppedShutdown,
    StoppedDestroyed,
    StoppedCrashed,
    StoppedMigrated,
    StoppedSaved,
    StoppedFailed,
    StoppedFromSnapshot,
    ShutdownFinished,
    ShutdownGuest,
    ShutdownHost,
    CrashedPanicked,
}

impl Lifecycle {
    /// The event of an end for this reason.
    pub fn stopped(why: ShutoffReason) -> Lifecycle {
        match why {
            ShutoffReason::Shutdown => Lifecycle::StoppedShutdown,
            ShutoffReason::Destroyed => Lifecycle::StoppedDestroyed,
            ShutoffReason::Crashed => Lifecycle::StoppedCrashed,
            ShutoffReason::Migrated => Lifecycle::StoppedMigrated,
            ShutoffReason::Saved => Lifecycle::StoppedSaved,
            ShutoffReason::Failed | ShutoffReason::Daemon | ShutoffReason::Unknown => {
                Lifecycle::StoppedFailed
            }
            ShutoffReason::FromSnapshot => Lifecycle::StoppedFromSnapshot,
        }
    }

    /// libvirt's numbers for event and detail.
    pub fn numbers(self) -> (i32, i32) {
        match self {
            Lifecycle::DefinedAdded => (0, 0),
            Lifecycle::DefinedUpdated => (0, 1),
            Lifecycle::DefinedRenamed => (0, 2),
            Lifecycle::UndefinedRemoved => (1, 0),
            Lifecycle::UndefinedRenamed => (1, 1),
            Lifecycle::StartedBooted => (2, 0),
            Lifecycle::SuspendedPaused => (3, 0),
            Lifecycle::SuspendedIoError => (3, 2),
            Lifecycle::ResumedUnpaused => (4, 0),
            Lifecycle::StoppedShutdown => (5, 0),
            Lifecycle::StoppedDestroyed => (5, 1),
            Lifecycle::StoppedCrashed => (5, 2),
            Lifecycle::StoppedMigrated => (5, 3),
            Lifecycle::StoppedSaved => (5, 4),
            Lifecycle::StoppedFailed => (5, 5),
            Lifecycle::StoppedFromSnapshot => (5, 6),
            Lifecycle::ShutdownFinished => (6, 0),
            Lifecycle::ShutdownGuest => (6, 1),
            Lifecycle::ShutdownHost => (6, 2),
            Lifecycle::CrashedPanicked => (8, 0),
        }
    }
}
