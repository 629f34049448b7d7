//! The hook contract: which scripts there are, how one is run, how several are chained, and what came of it.
//!
//! * [`event`]: the table of drivers and operations, from which the four arguments of a script come (R7)
//! * [`engine`]: settings and entry points; [`call`]: what goes in and what comes out
//! * `catalogue`: which files are hooks (R1 to R5); `watch`: what changes there, said at once
//! * [`policy`]: what rules say about scripts, and the commands that they add; [`payload`]: the document as JSON for
//!   those that ask; `lock`: the named locks of rules
//! * `plan`: what a call runs, and what not
//! * `chain`: all of it, one after the other (R14, R37); `execute`: one script, and what its end means; `script`: its run
//!   (R8, R9, R12, R92, R95), in the `environment` that is promised, with its `output`; `pool`: the processes that hold them
//! * `aside`: calls that nobody waits for; `trial`: scripts called for no event: a replay, a simulation
//! * [`history`]: what was called and what came of it (R93); `operation`: for what
//! * [`origin`], `registry`: who asked, which hooks run, and which objects wait for them (R91)
//! * [`history`]: every call, written down (R93)
//! * [`why`]: from all of that, one answer to what happened to a guest or a network, and what to do about it
//! * [`error`], `diagnosis`: what a failure is called, to the letter (R13), and what can be said beyond that (R6)
//!
//! Nothing in here knows guests or RPC: an event, a document and a cancel token come in.

mod aside;
pub mod call;
mod catalogue;
mod chain;
mod diagnosis;
pub mod engine;
mod environment;
pub mod error;
pub mod event;
mod execute;
pub mod history;
mod lock;
#[cfg(test)]
mod logged;
mod operation;
pub mod origin;
mod output;
pub mod payload;
mod plan;
pub mod policy;
mod pool;
mod registry;
mod script;
mod trial;
mod watch;
pub mod why;

pub use aside::Aside;
pub use call::{BoxFuture, Call, CallJournal, Filtered, Report, ScriptRun};
pub use catalogue::Place;
pub use engine::{Discovery, Engine, EngineConfig};
pub use error::HookError;
pub use event::{
    Audience, DaemonOperation, Driver, GuestOperation, HookEvent, NetworkOperation, NoSuchOperation, Row,
    UnknownOperation,
};
pub use ferrovirt_sys::keeper::Ended;
pub use operation::Operation;
pub use origin::{HookRef, Object, Origin};
pub use output::Captured;
pub use plan::{Planned, Source};
pub use policy::{Moment, Policy, PolicyErrors, Treatment};
pub use registry::RunningHook;
pub use script::Outcome;
pub use trial::{Trial, Tried, event_of};
