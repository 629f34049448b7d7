//! Holding a guest still, and ending all that is in its scope. Both wait for the kernel: to be called beside the runtime.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::{CgroupError, Result};
use super::part::{Part, get, set};
use super::{Scope, hierarchy};
use crate::process::ProcessId;
use crate::signals;

/// How often the kernel is asked whether it is done.
const PAUSE: Duration = Duration::from_millis(2);

/// The file that stops a group, and what it says in version 1.
const STATE: &str = "freezer.state";
const FROZEN: &str = "FROZEN";
const THAWED: &str = "THAWED";
/// The same in version 2, where another file tells whether it is done.
const FREEZE: &str = "cgroup.freeze";
const EVENTS: &str = "cgroup.events";

impl Scope {
    /// Stops everything in the scope; nothing in it runs any more when this returns.
    ///
    /// # Errors
    /// `NoController`; `Late` when something cannot be stopped within `patience`, all is let go again then.
    pub fn freeze(&self, patience: Duration) -> Result<()> {
        let (file, version_1) = self.freezer()?;
        set(&file, if version_1 { FROZEN } else { "1" })?;
        let group = file.parent().unwrap_or(&file).to_owned();
        let still = || {
            Ok(match version_1 {
                true => get(&file)? == FROZEN,
                false => get(&group.join(EVENTS))?.lines().any(|line| line == "frozen 1"),
            })
        };
        let late = CgroupError::Late {
            group: group.clone(),
            state: "frozen",
            after: patience,
        };
        match until(patience, still) {
            Ok(true) => Ok(()),
            Ok(false) => self.thaw().and(Err(late)),
            Err(error) => self.thaw().and(Err(error)),
        }
    }

    /// Lets everything in the scope run again.
    ///
    /// # Errors
    /// `NoController`, and the kernel's refusal.
    pub fn thaw(&self) -> Result<()> {
        let (file, version_1) = self.freezer()?;
        set(&file, if version_1 { THAWED } else { "0" })
    }

    /// Whether the scope is stopped; `false` where nothing can be.
    pub fn is_frozen(&self) -> bool {
        self.freezer().is_ok_and(|(file, version_1)| {
            get(&file).is_ok_and(|text| text == if version_1 { FROZEN } else { "1" })
        })
    }

    /// The file that stops the scope, and whether it is version 1's.
    fn freezer(&self) -> Result<(PathBuf, bool)> {
        let found = self.one_of(Part::Whole, &[STATE, FREEZE]);
        let (at, file) = found.ok_or(CgroupError::NoController("freezer"))?;
        Ok((file, at == 0))
    }

    /// Ends every process in the scope, also those that it makes meanwhile, and returns when there is none any more.
    ///
    /// # Errors
    /// `Late` when something is still there after `patience`: in the kernel's hands, then.
    pub fn kill_all(&self, patience: Duration) -> Result<()> {
        let empty = || {
            self.kill_once();
            Ok(self.pids().is_empty())
        };
        match until(patience, empty)? {
            true => Ok(()),
            false => Err(CgroupError::Late {
                group: self.paths.first().cloned().unwrap_or_default(),
                state: "empty",
                after: patience,
            }),
        }
    }

    /// One stroke: what is stopped cannot make new processes while it is killed, and dies when it is let go.
    fn kill_once(&self) {
        for path in &self.paths {
            // Version 2 since 5.14: at one stroke. Elsewhere the file is missing.
            let _ = hierarchy::put(&path.join("cgroup.kill"), "1");
        }
        let pids = self.pids();
        if pids.is_empty() {
            return;
        }
        let stopped = self.freezer().is_ok_and(|(file, version_1)| {
            version_1 && set(&file, FROZEN).is_ok() && until(PAUSE * 50, || Ok(get(&file)? == FROZEN)).is_ok()
        });
        for process in self.pids().into_iter().filter_map(|pid| ProcessId::of(pid).ok()) {
            // It may be gone.
            let _ = signals::send(process, libc::SIGKILL);
        }
        if stopped {
            // The next stroke tries again.
            let _ = self.thaw();
        }
    }
}

/// Asks again and again; whether it became true in time.
fn until(patience: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let end = Instant::now() + patience;
    loop {
        if done()? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree_tests::Tree;
    use super::*;

    #[test]
    fn a_scope_is_stopped_and_let_go() {
        let tree = Tree::version_1("cpu");
        let refused = tree.scope().freeze(PAUSE).unwrap_err();
        assert_eq!(refused.to_string(), "cgroup freezer controller is not mounted");
        assert!(!tree.scope().is_frozen());
        let tree = Tree::version_1("freezer");
        tree.put(STATE, "THAWED\n");
        tree.scope().freeze(PAUSE).unwrap();
        assert!(tree.scope().is_frozen());
        tree.scope().thaw().unwrap();
        assert_eq!(tree.get(STATE), THAWED);
    }

    #[test]
    fn version_2_tells_elsewhere_whether_it_is_done() {
        let tree = Tree::version_2();
        tree.put(FREEZE, "0\n");
        tree.put(EVENTS, "populated 1\nfrozen 1\n");
        tree.scope().freeze(PAUSE).unwrap();
        assert_eq!(tree.get(FREEZE), "1");
        assert!(tree.scope().is_frozen());
        tree.put(EVENTS, "populated 1\nfrozen 0\n");
        let refused = tree.scope().freeze(PAUSE).unwrap_err();
        assert!(
            refused.to_string().ends_with("is not frozen after 2 ms"),
            "{refused}"
        );
        assert_eq!(tree.get(FREEZE), "0", "let go again");
    }

    #[test]
    fn an_empty_scope_is_ended_at_once() {
        Tree::version_1("freezer")
            .scope()
            .kill_all(Duration::ZERO)
            .unwrap();
        let tree = Tree::version_2();
        tree.put("cgroup.kill", "");
        tree.scope().kill_all(Duration::ZERO).unwrap();
        assert_eq!(tree.get("cgroup.kill"), "1");
        // A process that is not ours to end: its number was never given out.
        tree.put("cgroup.procs", "4194305\n");
        let refused = tree.scope().kill_all(Duration::ZERO).unwrap_err();
        assert!(matches!(refused, CgroupError::Late { state: "empty", .. }));
    }
}
