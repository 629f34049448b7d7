//! swtpm: a program of its own that plays a guest's security chip, from before QEMU until after its end.
//!
//! Its places and names are libvirt's. It is told its socket as a descriptor that listens already, so QEMU may call it
//! before it is up and nobody polls. What is made is in the run's journal before it is made (R96).

mod programs;
mod run;
mod storage;

pub use programs::{Finder, Swtpm};
pub use run::{release, start};
pub use storage::{Storage, can_wait, forget, socket_path};
