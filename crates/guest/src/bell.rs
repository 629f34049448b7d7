//! Events for rules alone: what happened to a guest and is no step of its start or end. No script is called for them, only
//! commands of rules that name them and files in the guest's own directory; nobody waits for these, and they change nothing.

use std::sync::Arc;

use ferrovirt_hook::{Aside, Call, Driver, Engine, GuestOperation, HookEvent};
use ferrovirt_xml::Form;

use crate::event::Lifecycle;
use crate::snapshot::Snapshot;

/// Rings for one guest; its events are told in their order.
#[derive(Debug)]
pub(crate) struct Bell {
    driver: Driver,
    line: Aside,
}

impl Bell {
    pub(crate) fn new(engine: &Engine, driver: Driver) -> Bell {
        Bell {
            driver,
            line: Aside::new(engine),
        }
    }

    /// Tells the rules that want to know what has just happened to the guest of this picture.
    pub(crate) fn ring(&self, seen: &Snapshot, operation: GuestOperation) {
        let Ok(event) = HookEvent::guest(self.driver, &seen.name, operation) else {
            return;
        };
        if !self.line.engine().wants(&event) {
            return;
        }
        let document = match (&seen.live, &seen.config) {
            (Some(live), _) => Some(live.to_xml(&Form::LIVE)),
            (None, Some(config)) => Some(config.to_xml(&Form::INACTIVE)),
            (None, None) => None,
        };
        let mut call = Call::new(event, document.map(Arc::from));
        call.uuid = Some(seen.uuid.to_string().into());
        self.line.add(call);
    }
}

/// The event for rules that goes with a lifecycle event, if there is one.
pub(crate) fn operation(what: Lifecycle) -> Option<GuestOperation> {
    match what {
        Lifecycle::SuspendedPaused | Lifecycle::SuspendedIoError => Some(GuestOperation::Suspended),
        Lifecycle::ResumedUnpaused => Some(GuestOperation::Resumed),
        Lifecycle::CrashedPanicked => Some(GuestOperation::Crashed),
        Lifecycle::DefinedAdded | Lifecycle::DefinedUpdated | Lifecycle::DefinedRenamed => {
            Some(GuestOperation::Defined)
        }
        Lifecycle::UndefinedRemoved => Some(GuestOperation::Undefined),
        _ => None,
    }
}
