//! The handle of one guest: reads take its snapshot, changes go to its owner.

use std::sync::Arc;

use ferrovirt_hook::Origin;

use crate::backend::Figures;
use crate::error::Result;
use crate::flags::{Affect, DestroyFlags, Metadata, ShutdownMode, StartFlags};
use crate::snapshot::Snapshot;

/// One guest. Cheap to clone; stays usable (with `NoDomain`) after the guest is gone.
///
/// Each change fails with `Busy` at once when a hook that `origin` comes from is waited for by this guest (R91).
#[derive(Clone)]
pub struct GuestHandle {}

impl GuestHandle {
    /// The picture of this moment; never waits (R90).
    pub fn snapshot(&self) -> Arc<Snapshot> {
        todo!()
    }

    /// Numbers from the hypervisor, within 5 s.
    ///
    /// # Errors
    /// `Invalid` when it does not run, `Timeout`, or the hypervisor's error.
    pub async fn figures(&self) -> Result<Figures> {
        todo!()
    }

    /// Starts it (R30 to R32).
    ///
    /// # Errors
    /// `Invalid` when it is active; otherwise the first failure, after everything was undone; `Aborted` after a
    /// destroy (R95).
    pub async fn start(&self, flags: StartFlags, origin: Origin) -> Result<()> {
        let _ = (flags, origin);
        todo!()
    }

    /// Ends it at once, also while it is being started (R95).
    ///
    /// # Errors
    /// `Invalid` when it is not active; `Busy` when it is being ended already and a hook holds it.
    pub async fn destroy(&self, flags: DestroyFlags, origin: Origin) -> Result<()> {
        let _ = (flags, origin);
        todo!()
    }

    /// Asks its system to power off.
    ///
    /// # Errors
    /// `Invalid` when it is not active.
    pub async fn shutdown(&self, mode: ShutdownMode, origin: Origin) -> Result<()> {
        let _ = (mode, origin);
        todo!()
    }

    /// Asks its system to restart (R40: the same run).
    ///
    /// # Errors
    /// `Invalid` when it is not active.
    pub async fn reboot(&self, mode: ShutdownMode, origin: Origin) -> Result<()> {
        let _ = (mode, origin);
        todo!()
    }

    /// Resets it (R40: the same run).
    ///
    /// # Errors
    /// `Invalid` when it is not active.
    pub async fn reset(&self, origin: Origin) -> Result<()> {
        let _ = origin;
        todo!()
    }

    /// Stops its CPUs.
    ///
    /// # Errors
    /// `Invalid` when it is not active.
    pub async fn suspend(&self, origin: Origin) -> Result<()> {
        let _ = origin;
        todo!()
    }

    /// Lets its CPUs run again.
    ///
    /// # Errors
    /// `Invalid` when it is not active or runs already.
    pub async fn resume(&self, origin: Origin) -> Result<()> {
        let _ = origin;
        todo!()
    }

    /// Forgets its definition; an active guest becomes transient.
    ///
    /// # Errors
    /// `Invalid` for a transient guest.
    pub async fn undefine(&self, origin: Origin) -> Result<()> {
        let _ = origin;
        todo!()
    }

    /// Marks it to be started with the machine, or not.
    ///
    /// # Errors
    /// `Invalid` for a transient guest.
    pub async fn set_autostart(&self, autostart: bool, origin: Origin) -> Result<()> {
        let _ = (autostart, origin);
        todo!()
    }

    /// Changes title, description or metadata.
    ///
    /// # Errors
    /// `Invalid` when `affect` asks for a document that it does not have; `Xml` for an element that is none.
    pub async fn set_metadata(&self, metadata: Metadata, affect: Affect, origin: Origin) -> Result<()> {
        let _ = (metadata, affect, origin);
        todo!()
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// `Invalid` when it is active or transient or the name is no name; `Failed` when the name is taken.
    pub async fn rename(&self, name: &str, origin: Origin) -> Result<()> {
        let _ = (name, origin);
        todo!()
    }
}
