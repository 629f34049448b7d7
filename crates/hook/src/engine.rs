//! The engine: settings, and everything that calls of hooks share.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ferrovirt_sys::pidfd::PidFd;
use ferrovirt_sys::process::{self, ProcessId};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use crate::call::{Call, Filtered, Report};
use crate::catalogue::{Catalogue, Directories};
use crate::chain::Chain;
use crate::error::HookError;
use crate::event::HookEvent;
use crate::execute::Mode;
use crate::history::{History, OperationStart};
use crate::lock::Locks;
use crate::operation::Operation;
use crate::origin::Origin;
use crate::plan::{Digests, Planned, plan};
use crate::policy::Policy;
use crate::pool::Pool;
use crate::registry::{Registry, RunningHook};
use crate::script::GRACE;
use crate::watch;

/// How much longer than its grace an orphaned keeper gets.
const PATIENCE: Duration = Duration::from_secs(4);

/// Signals, as numbers: this crate has no other use of the C library.
pub(crate) const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

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
    /// Directories of single guests, `/etc/ferrovirt/guests`; none: they are not looked for.
    pub guests_dir: Option<PathBuf>,
    /// Whether `hooks/DRIVER.d/GUEST/OPERATION/SUB-OPERATION/*` are hooks, too, as a well-known dispatcher script has it.
    pub guest_tree: bool,
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
    /// Where calls are recorded (R93).
    pub history: History,
    /// The rules, until [`Engine::set_policy`].
    pub policy: Policy,
}

impl EngineConfig {
    /// The defaults: `startup` discovery, 4 MiB of output, reasons for `release`, a warning after 10 s.
    pub fn new(hooks_dir: impl Into<PathBuf>, keeper_program: impl Into<PathBuf>) -> EngineConfig {
        EngineConfig {
            hooks_dir: hooks_dir.into(),
            guests_dir: None,
            guest_tree: false,
            keeper_program: keeper_program.into(),
            discovery: Discovery::Startup,
            output_limit: 4 << 20,
            release_reason: true,
            strict_permissions: false,
            warn_after: Duration::from_secs(10),
            history: History::off(),
            policy: Policy::empty(),
        }
    }
}

/// Calls hooks. Cheap to clone; all clones are one engine.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What all calls share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: EngineConfig,
    pub(crate) catalogue: Catalogue,
    pub(crate) pool: Arc<Pool>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) history: History,
    pub(crate) digests: Digests,
    pub(crate) locks: Locks,
    /// Cancelled when the daemon ends: nobody else would end scripts that nobody waits for.
    pub(crate) end_of_async: CancellationToken,
    /// The calls of those scripts.
    pub(crate) detached: TaskTracker,
    policy: RwLock<Arc<Policy>>,
}

impl Shared {
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Engine {
    /// Decides which drivers have hooks (R4).
    pub fn new(mut config: EngineConfig) -> Engine {
        let history = config.history.clone();
        let policy = std::mem::take(&mut config.policy);
        let directories = Directories {
            hooks: config.hooks_dir.clone(),
            guests: config.guests_dir.clone(),
            tree: config.guest_tree,
        };
        let catalogue = Catalogue::new(directories, config.discovery);
        let pool = Pool::new(config.keeper_program.clone());
        Engine {
            shared: Arc::new(Shared {
                config,
                catalogue,
                pool,
                registry: Arc::default(),
                history,
                digests: Digests::default(),
                locks: Locks::default(),
                end_of_async: CancellationToken::new(),
                detached: TaskTracker::new(),
                policy: RwLock::new(Arc::new(policy)),
            }),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// With live discovery, says in the log what becomes of files that are put where hooks are (R4). Within a runtime.
    pub fn watch(&self) {
        if self.shared.config.discovery == Discovery::Live {
            watch::begin(&self.shared);
        }
    }

    /// Decides anew which drivers have hooks: at SIGHUP and at shutdown (R4).
    pub fn rediscover(&self) {
        self.shared.catalogue.decide();
    }

    /// Other rules from the next call on.
    pub fn set_policy(&self, policy: Policy) {
        *self.shared.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// The rules as they are now.
    pub fn policy(&self) -> Arc<Policy> {
        self.shared.policy()
    }

    /// Whether anything may be called for this event: what nobody wants need not be prepared.
    pub fn wants(&self, event: &HookEvent) -> bool {
        self.shared.catalogue.may_have(event) || self.shared.policy().wants(event)
    }

    /// Where calls are recorded.
    pub fn history(&self) -> &History {
        &self.shared.history
    }

    /// An operation of the history begins; calls with its number belong to it.
    pub fn operation(&self, start: OperationStart) -> Operation {
        Operation::begin(&self.shared.history, start)
    }

    /// What a call of this event would run now, in order, and what not.
    pub async fn plan(
        &self,
        event: HookEvent,
        document: Option<Arc<str>>,
        uuid: Option<String>,
    ) -> Vec<Planned> {
        let shared = self.shared.clone();
        let look = move || plan(&shared, &event, document.as_deref(), uuid.as_deref());
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// Ends the scripts that nobody waits for, with their trees: the daemon ends. Returns when they are gone, and what
    /// came of them is told to the history; after some 10 s without them, with a word in the log.
    pub async fn end_async(&self) {
        let detached = &self.shared.detached;
        self.shared.end_of_async.cancel();
        detached.close();
        if tokio::time::timeout(GRACE + PATIENCE, detached.wait())
            .await
            .is_err()
        {
            let left = detached.len();
            tracing::warn!(target: "virHookRun", "{left} hooks that nobody waits for did not end: they are left");
        }
    }

    /// Runs all scripts of a notification, main script first (R2, R14). The call goes on when the future is dropped: a
    /// hook is never abandoned, only cancelled.
    ///
    /// # Errors
    /// The last failure, after all scripts have run; each has been logged.
    pub async fn call(&self, call: Call) -> Result<Report, HookError> {
        Ok(self.run(call, Mode::Notify).await?.report)
    }

    /// Runs all scripts of a filter: each gets the last output that was not blank (R37).
    ///
    /// # Errors
    /// The last failure, after all scripts have run; each has been logged.
    pub async fn filter(&self, call: Call) -> Result<Filtered, HookError> {
        self.run(call, Mode::Filter).await
    }

    async fn run(&self, call: Call, mode: Mode) -> Result<Filtered, HookError> {
        if !self.wants(&call.event) {
            return Ok(Filtered::default());
        }
        let event = call.event.clone();
        let chain = Chain::new(self.shared.clone(), call, mode);
        begin(chain)
            .await
            .unwrap_or_else(|panic| Err(self.broken(event, io::Error::other(panic))))
    }

    /// A bug of ours ends one call, not the daemon.
    fn broken(&self, event: HookEvent, source: io::Error) -> HookError {
        let script = self.shared.config.hooks_dir.join(event.driver().as_str());
        let event = Box::new(event);
        HookError::Unavailable {
            event,
            script,
            source,
        }
    }

    /// Whether this process is inside the tree of a hook that runs, and what its requests must then carry (R91). Reads
    /// `/proc`, a few files.
    pub fn origin_of(&self, pid: i32) -> Option<Origin> {
        self.shared.registry.origin_of(pid)
    }

    /// The hooks that run now, the oldest first.
    pub fn running(&self) -> Vec<RunningHook> {
        self.shared.registry.list()
    }

    /// Ends one running script with its whole tree: SIGTERM, SIGKILL after 5 s (R92). Its call has failed, in words that
    /// name `by`. `None` when no script with this number runs.
    pub fn cancel(&self, id: u64, by: &str) -> Option<RunningHook> {
        self.shared.registry.cancel(id, by)
    }

    /// Ends the tree of a keeper that a dead daemon left behind (R96): SIGTERM, SIGKILL after 5 s. Returns when it is gone,
    /// or after some 10 s with a word in the log.
    pub async fn end_orphan(&self, keeper: ProcessId) {
        let Ok(handle) = PidFd::open(keeper) else { return };
        // A keeper that ends meanwhile needs no signal.
        let _ = handle.kill(SIGTERM);
        if tokio::time::timeout(GRACE + PATIENCE, handle.exited())
            .await
            .is_ok()
        {
            return;
        }
        // The keeper itself hangs (stopped, perhaps): its work is done here.
        let mut tree = vec![handle];
        for process in process::descendants(keeper.pid) {
            tree.extend(PidFd::open(process));
        }
        // The keeper last: until then nobody changes parents.
        for handle in tree.iter().rev() {
            let _ = handle.kill(SIGKILL);
        }
        let gone = async {
            for handle in &tree {
                handle.exited().await;
            }
        };
        if tokio::time::timeout(PATIENCE, gone).await.is_err() {
            tracing::error!(target: "virHookRun", "the tree of hook keeper {keeper} cannot be killed");
        }
    }
}

/// Lets a call run, to its end whether somebody waits for it or not. Directories are read first, which may be slow. Where
/// that is possible the other work of the thread goes to another thread meanwhile, and not this call, which would have
/// to find its way back.
fn begin(chain: Chain) -> JoinHandle<Result<Filtered, HookError>> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        let planned = tokio::task::block_in_place(|| chain.planned());
        return tokio::spawn(chain.run(planned).in_current_span());
    }
    let span = Span::current();
    let look = move || {
        let planned = span.in_scope(|| chain.planned());
        (chain, planned)
    };
    let work = async move {
        match tokio::task::spawn_blocking(look).await {
            Ok((chain, planned)) => chain.run(planned).await,
            // Told by the task that it broke.
            Err(error) => std::panic::resume_unwind(Box::new(error.to_string())),
        }
    };
    tokio::spawn(work.in_current_span())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r13_defaults_are_as_documented() {
        let config = EngineConfig::new("/h", "/k");
        assert_eq!(config.output_limit, 4_194_304);
        assert_eq!(config.discovery, Discovery::Startup);
        assert!(config.release_reason && !config.strict_permissions);
        assert_eq!(config.warn_after, Duration::from_secs(10));
    }
}
