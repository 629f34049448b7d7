//! What goes into a call of hooks and what comes out.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ferrovirt_sys::process::ProcessId;
use tokio_util::sync::CancellationToken;

use crate::event::HookEvent;
use crate::origin::Origin;
use crate::output::Captured;
use crate::script::Outcome;

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Told before a script is spawned which keeper will hold it, and when the call is over (R96: disk before step).
pub trait CallJournal: Send + Sync {
    /// The next script will be a child of this keeper. May come several times in one call.
    fn begin(&self, keeper: ProcessId) -> BoxFuture<'_, ()>;
    /// No script of this call runs any more. Comes once, if [`CallJournal::begin`] came.
    fn end(&self) -> BoxFuture<'_, ()>;
}

/// One call of a driver's hooks.
#[derive(Clone)]
pub struct Call {
    /// What happened.
    pub event: HookEvent,
    /// What the scripts get on stdin; `/dev/null` when there is none (R9).
    pub document: Option<Arc<str>>,
    /// Who asked, with the objects whose operations wait for this call (R91).
    pub origin: Origin,
    /// Ends the scripts: SIGTERM to the whole tree, SIGKILL after 5 s (R95).
    pub cancel: CancellationToken,
    /// The object's uuid, for rules and directories that name it by that.
    pub uuid: Option<Arc<str>>,
    /// R96.
    pub journal: Option<Arc<dyn CallJournal>>,
}

impl Call {
    /// A call for which nobody waits and that nothing cancels.
    pub fn new(event: HookEvent, document: Option<Arc<str>>) -> Call {
        Call {
            event,
            document,
            origin: Origin::client(),
            cancel: CancellationToken::new(),
            uuid: None,
            journal: None,
        }
    }
}

/// What came of one script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptRun {
    /// The script.
    pub script: PathBuf,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it ran.
    pub duration: Duration,
    /// What it wrote on standard output.
    pub stdout: Captured,
    /// What it wrote on standard error.
    pub stderr: Captured,
}

/// What came of a call: its scripts, in the order in which they ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Empty when there are no hooks (R5).
    pub runs: Vec<ScriptRun>,
}

/// What came of a filter (R37).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filtered {
    /// The document that takes the place of the original; `None` when no script wrote one.
    pub document: Option<String>,
    /// The scripts that ran.
    pub report: Report,
}
