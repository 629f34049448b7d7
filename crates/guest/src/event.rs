//! Lifecycle events with libvirt's numbers, told to whoever listens.

use ferrovirt_model::Uuid;

use crate::state::ShutoffReason;

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
    pub what: Lifecycle,
}

/// What can happen; [`Lifecycle::numbers`] has libvirt's event and detail.
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
    /// Not of libvirt's lifecycle: its own event, number 1.
    Rebooted,
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

    /// libvirt's numbers for event and detail; `None` for [`Lifecycle::Rebooted`].
    pub fn numbers(self) -> Option<(i32, i32)> {
        Some(match self {
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
            Lifecycle::Rebooted => return None,
        })
    }
}
