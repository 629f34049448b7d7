//! The hook contract: which scripts there are, how one is run, how several are chained, and what came of it.
//!
//! * [`event`]: the table of drivers and operations, from which the four arguments of a script come (R7)
//! * [`engine`]: settings and entry points; [`call`]: what goes in and what comes out
//! * `catalogue`: which files are hooks (R1 to R5)
//! * `chain`: all scripts of a call, one after the other (R14, R37); `script`: one of them (R8, R9, R12, R95), in the
//!   `environment` that is promised, with its `output`; `pool`: the processes that hold them
//! * [`origin`], `registry`: who asked, which hooks run, and which objects wait for them (R91)
//! * [`history`]: every call, written down (R93)
//! * [`error`], `diagnosis`: what a failure is called, to the letter (R13), and what can be said beyond that (R6)
//!
//! Nothing in here knows guests or RPC: an event, a document and a cancel token come in.

pub mod call;
mod catalogue;
mod chain;
mod diagnosis;
pub mod engine;
mod environment;
pub mod error;
pub mod event;
pub mod history;
pub mod origin;
mod output;
mod pool;
mod registry;
mod script;

pub use call::{BoxFuture, Call, CallJournal, Filtered, Report, ScriptRun};
pub use engine::{Discovery, Engine, EngineConfig};
pub use error::HookError;
pub use event::{DaemonOperation, Driver, GuestOperation, HookEvent, NetworkOperation, UnknownOperation};
pub use ferrovirt_sys::keeper::Ended;
pub use origin::{HookRef, Object, Origin};
pub use output::Captured;
pub use registry::RunningHook;
pub use script::Outcome;
