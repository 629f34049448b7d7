//! The life of a guest, once for all hypervisors: which request is legal when, the order of hooks and work, what
//! is kept on disk, and what readers see meanwhile.
//!
//! * `state`, `admission`: the numbers and phases, and a pure table of what may be asked when.
//! * `sequence`: THE order of hooks and work; nothing else says it.
//! * `owner`: one task per guest that admits and publishes, and awaits nothing long; an operation is a child task
//!   that walks a sequence. A panic ends one operation on one guest, which is rebuilt from its stored state.
//! * `guests`, `handle`, `snapshot`: the door for the daemon. Reads take a snapshot and never wait (R90).
//! * `console`: what of a guest can be talked with.
//! * `store`, `status`: definitions and live state on disk, written before each step (R96).
//! * `stats`: figures in groups, asked past the owner.
//! * `tuning`, `plug`: limits and shares, and devices, of a guest that runs and of its definition.
//! * `backend`: what a hypervisor must be able to do; it knows nothing of hooks.

mod admission;
mod backend;
mod bell;
mod config;
mod console;
mod definition;
mod desk;
mod error;
mod event;
mod flags;
mod guests;
mod handle;
mod jobs;
pub mod limits;
pub mod log;
mod metadata;
mod operation;
mod owner;
mod plug;
mod ports;
mod registry;
mod request;
mod run;
mod sequence;
mod set;
mod shared;
mod sheet;
mod snapshot;
mod state;
mod stats;
mod status;
mod status_xml;
mod store;
mod threads;
pub mod traffic;
mod tuning;
mod walk;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use backend::{
    Adopted, Backend, BackendEvent, DiskAction, DiskName, Figures, Gone, Habits, Observed, Plug, Power,
    ReleaseStage, Statistics, Tune,
};
pub use config::Config;
pub use console::CharDevice;
pub use error::{BackendError, Error, Result};
pub use event::{DiskFailure, Event, Lifecycle, Listener, What};
// Part of the `Backend` trait; a hypervisor knows nothing else of hooks.
pub use ferrovirt_hook::Driver;
pub use flags::{
    Affect, DestroyFlags, FOREIGN, Leftovers, Metadata, PRIVATE_DEV, RESET_NVRAM, ShutdownMode, StartFlags,
};
pub use guests::Guests;
pub use handle::GuestHandle;
pub use plug::DeviceChange;
pub use ports::{PortCall, Ports};
pub use run::Run;
pub use set::GuestSet;
pub use snapshot::Snapshot;
pub use state::{
    CrashedReason, PausedReason, Phase, Reason, RunningReason, ShutdownReason, ShutoffReason, State,
};
pub use stats::{
    BalloonStats, BlockStats, BlockWork, CpuStats, DirtyRateStats, DirtyRateStatus, GuestStats,
    InterfaceStats, Requests, StatsAsk, Traffic, VcpuStats,
};
pub use status::{Plugged, Status, Step};
pub use threads::{ThreadChange, emulator_place, io_thread_place, vcpu_place};
pub use tuning::{Tuned, Tuning};
