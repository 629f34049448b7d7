//! The way of one hook call.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrovirt_sys::process::ProcessId;
use tokio_util::sync::CancellationToken;

use crate::error::HookError;
use crate::event::HookEvent;
use crate::origin::Origin;

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// When scripts are found that were added to a driver that had none (R4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discovery {
    /// After a restart or reload, as the documents say.
    #[default]
    Startup,
    /// At once.
    Live,
}

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// `$SYSCONFDIR/libvirt/hooks` (R1).
    pub hooks_dir: PathBuf,
    /// The program `ferrovirt-keeper`.
    pub keeper_program: PathBuf,
    /// R4.
    pub discovery: Discovery,
    /// How many bytes of a script's standard output and error are kept, each; of the latter at least 1 MiB.
    pub output_limit: usize,
    /// Whether `release` gets its reason as the fourth argument (R34).
    pub release_reason: bool,
    /// Refuse scripts that others than their owner may change (R94).
    pub strict_permissions: bool,
    /// After which time a running script is worth a warning (R92).
    pub warn_after: Duration,
}

impl EngineConfig {
    /// The defaults: `startup` discovery, 1 MiB of output, reasons for `release`, a warning after 10 s.
    pub fn new(hooks_dir: impl Into<PathBuf>, keeper_program: impl Into<PathBuf>) -> EngineConfig {
        EngineConfig {
            hooks_dir: hooks_dir.into(),
            keeper_program: keeper_program.into(),
            discovery: Discovery::Startup,
            output_limit: 1 << 20,
            release_reason: true,
            strict_permissions: false,
            warn_after: Duration::from_secs(10),
        }
    }
}

/// Told before a script is spawned which keeper will hold it, and when the call is over (R96: disk before step).
pub trait CallJournal: Send + Sync {
    /// The next script will be a child of this keeper.
    fn begin(&self, keeper: ProcessId) -> BoxFuture<'_, ()>;
    /// No script of this call runs any more.
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
            journal: None,
        }
    }
}

/// What came of one script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptRun {
    /// The script.
    pub script: PathBuf,
    /// How long it ran.
    pub duration: Duration,
    /// What it wrote on standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// What it wrote on standard error, up to the limit.
    pub stderr: Vec<u8>,
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

/// A hook that runs now.
#[derive(Debug, Clone)]
pub struct RunningHook {
    /// The script.
    pub script: PathBuf,
    /// What it was called for.
    pub event: HookEvent,
    /// The process that holds it.
    pub keeper: ProcessId,
    /// Its process number, as soon as it has one.
    pub pid: Option<i32>,
    /// Since when.
    pub since: Instant,
}

/// Calls hooks. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine {
    #[expect(dead_code, reason = "about to be used")]
    config: Arc<EngineConfig>,
}

impl Engine {
    /// Decides which drivers have hooks (R4).
    pub fn new(config: EngineConfig) -> Engine {
        Engine {
            config: Arc::new(config),
        }
    }

    /// Decides anew which drivers have hooks: at SIGHUP and at shutdown (R4).
    pub fn rediscover(&self) {}

    /// Runs all scripts of a notification (R14).
    ///
    /// # Errors
    /// The last failure, after all scripts have run.
    pub async fn call(&self, call: Call) -> Result<Report, HookError> {
        let _ = call;
        Ok(Report::default())
    }

    /// Runs all scripts of a filter (R37).
    ///
    /// # Errors
    /// The last failure, after all scripts have run.
    pub async fn filter(&self, call: Call) -> Result<Filtered, HookError> {
        let _ = call;
        Ok(Filtered::default())
    }

    /// Whether this process is inside the tree of a hook that runs, and what its requests must then carry (R91).
    pub fn origin_of(&self, pid: i32) -> Option<Origin> {
        let _ = pid;
        None
    }

    /// The hooks that run now.
    pub fn running(&self) -> Vec<RunningHook> {
        Vec::new()
    }

    /// Ends the tree of a keeper that a dead daemon left behind (R96). Returns when it is gone, or after some 10 s.
    pub async fn end_orphan(&self, keeper: ProcessId) {
        let _ = keeper;
    }
}
