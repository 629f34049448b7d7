//! The hook contract: which scripts there are, how one is run, how several are chained, and what came of it.
//!
//! * [`event`]: the table of drivers and operations, from which the four arguments of a script come (R7)
//! * [`engine`]: the way of one call, from event and document to the outcome
//! * [`origin`]: who asked, and which objects wait for a hook (R91)
//! * [`error`]: what a failure is called, to the letter (R13)
//!
//! Nothing in here knows guests or RPC: an event, a document and a cancel token come in.

pub mod engine;
pub mod error;
pub mod event;
pub mod origin;

pub use engine::{
    BoxFuture, Call, CallJournal, Discovery, Engine, EngineConfig, Filtered, Report, RunningHook, ScriptRun,
};
pub use error::HookError;
pub use event::{DaemonOperation, Driver, GuestOperation, HookEvent, NetworkOperation, UnknownOperation};
pub use origin::{HookRef, Object, Origin};
