//! Which hooks run now: for errors that name them, and to recognise who calls from inside one (R91).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ferrovirt_sys::process::{self, ProcessId};
use tokio_util::sync::CancellationToken;

use crate::event::{Driver, HookEvent};
use crate::history::{AskedBy, RunId};
use crate::origin::{HookRef, Origin};

/// A hook that runs now.
#[derive(Debug, Clone)]
pub struct RunningHook {
    /// Its number, which no other call of this daemon has.
    pub id: u64,
    /// The script.
    pub script: PathBuf,
    /// What it was called for.
    pub event: HookEvent,
    /// The process that holds it, as soon as there is one.
    pub keeper: Option<ProcessId>,
    /// The named lock that it waits for.
    pub waits_for: Option<String>,
    /// Its process number, as soon as it has one.
    pub pid: Option<i32>,
    /// Since when.
    pub since: Instant,
    /// Whether it has passed its soft limit (R92).
    pub late: bool,
    /// When it will be ended (R92).
    pub until: Option<Instant>,
    /// Ends this script and no other one of its call.
    end: CancellationToken,
    /// Who ended it.
    ended_by: Option<Arc<str>>,
    /// What requests from inside it carry.
    inside: Origin,
}

impl RunningHook {
    /// Whether the operation on this object waits for it, directly or through other hooks.
    pub fn serves(&self, driver: Driver, name: &str) -> bool {
        self.inside
            .objects()
            .any(|object| object.driver == driver && object.name == name)
    }
}

/// All hooks that run now, in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    next: AtomicU64,
    running: Mutex<BTreeMap<u64, RunningHook>>,
}

impl Registry {
    /// A number that nothing else of this daemon has, for runs that no history counts.
    pub(crate) fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Enters a hook that will have the named lock; it stays until the result is dropped.
    pub(crate) fn enter(
        self: &Arc<Self>,
        id: u64,
        hook: HookRef,
        (origin, lock): (&Origin, Option<&str>),
        end: &CancellationToken,
    ) -> Entry {
        let hook = Arc::new(hook);
        let running = RunningHook {
            id,
            script: hook.script.clone(),
            event: hook.event.clone(),
            keeper: None,
            waits_for: lock.map(str::to_owned),
            pid: None,
            since: Instant::now(),
            late: false,
            until: None,
            end: end.clone(),
            ended_by: None,
            inside: origin.inside(&hook, lock),
        };
        self.lock().insert(id, running);
        Entry {
            registry: self.clone(),
            number: id,
        }
    }

    /// Ends one script with its whole tree, on behalf of `by`. `None` when it does not run (any more).
    pub(crate) fn cancel(&self, id: u64, by: &str) -> Option<RunningHook> {
        let mut running = self.lock();
        let hook = running.get_mut(&id)?;
        hook.ended_by.get_or_insert_with(|| by.into());
        hook.end.cancel();
        Some(hook.clone())
    }

    /// Copies of all entries.
    pub(crate) fn list(&self) -> Vec<RunningHook> {
        self.lock().values().cloned().collect()
    }

    /// What a request of this process carries, if it is inside a hook: it or one of its parents is a keeper's child.
    pub(crate) fn origin_of(&self, pid: i32) -> Option<Origin> {
        if self.lock().is_empty() {
            return None;
        }
        // Not under the lock: this reads /proc.
        let line: Vec<i32> = [pid].into_iter().chain(process::ancestors(pid)).collect();
        let running = self.lock();
        // The nearest keeper decides: a hook may run a daemon that runs hooks.
        let hook = line.iter().find_map(|pid| {
            running
                .values()
                .find(|hook| hook.keeper.is_some_and(|keeper| keeper.pid == *pid))
        })?;
        let asked_by = AskedBy {
            hook: Some(RunId(hook.id)),
            ..AskedBy::default()
        };
        Some(hook.inside.clone().by(asked_by))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, RunningHook>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The presence of one hook in the registry.
#[derive(Debug)]
pub(crate) struct Entry {
    registry: Arc<Registry>,
    number: u64,
}

impl Entry {
    /// The script has this process number.
    pub(crate) fn started(&self, pid: i32) {
        if let Some(hook) = self.registry.lock().get_mut(&self.number) {
            hook.pid = Some(pid);
        }
    }

    /// It waits for no lock (any more).
    pub(crate) fn waits_no_more(&self) {
        if let Some(hook) = self.registry.lock().get_mut(&self.number) {
            hook.waits_for = None;
        }
    }

    /// This process will hold the script.
    pub(crate) fn held_by(&self, keeper: ProcessId) {
        if let Some(hook) = self.registry.lock().get_mut(&self.number) {
            hook.keeper = Some(keeper);
        }
    }

    /// The script will be ended then (R92).
    pub(crate) fn is_limited(&self, until: Instant) {
        if let Some(hook) = self.registry.lock().get_mut(&self.number) {
            hook.until = Some(until);
        }
    }

    /// The script has passed its soft limit.
    pub(crate) fn is_late(&self) {
        if let Some(hook) = self.registry.lock().get_mut(&self.number) {
            hook.late = true;
        }
    }

    /// Who ended this script alone, if somebody did.
    pub(crate) fn ended_by(&self) -> Option<Arc<str>> {
        self.registry.lock().get(&self.number)?.ended_by.clone()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.number);
    }
}
