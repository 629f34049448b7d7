//! Which hooks run now: for errors that name them, and to recognise who calls from inside one (R91).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ferrovirt_sys::process::{self, ProcessId};

use crate::event::HookEvent;
use crate::origin::{HookRef, Origin};

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
    /// What requests from inside it carry.
    inside: Origin,
}

/// All hooks that run now, in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    next: AtomicU64,
    running: Mutex<BTreeMap<u64, RunningHook>>,
}

impl Registry {
    /// Enters a hook; it stays until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>, hook: HookRef, keeper: ProcessId, origin: &Origin) -> Entry {
        let hook = Arc::new(hook);
        let running = RunningHook {
            script: hook.script.clone(),
            event: hook.event.clone(),
            keeper,
            pid: None,
            since: Instant::now(),
            inside: origin.inside(&hook),
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, running);
        Entry {
            registry: self.clone(),
            number,
        }
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
        let hook = line
            .iter()
            .find_map(|pid| running.values().find(|hook| hook.keeper.pid == *pid))?;
        Some(hook.inside.clone())
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
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.number);
    }
}
