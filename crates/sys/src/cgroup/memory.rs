//! How much memory a guest may take, and how much it has.

use super::Scope;
use super::error::{CgroupError, Result};
use super::part::{Part, get, limit, set};

/// What each limit is called in version 1 and in version 2.
const HARD: [&str; 2] = ["memory.limit_in_bytes", "memory.max"];
const SOFT: [&str; 2] = ["memory.soft_limit_in_bytes", "memory.high"];
const WITH_SWAP: [&str; 2] = ["memory.memsw.limit_in_bytes", "memory.swap.max"];
const USAGE: [&str; 2] = ["memory.usage_in_bytes", "memory.current"];

/// Limits of memory in bytes; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryLimits {
    /// The most that there can be.
    pub hard: Option<u64>,
    /// What the guest is pushed back to when memory is short.
    pub soft: Option<u64>,
    /// The most of memory and swap together. Version 2 limits swap alone: what is above the hard limit.
    pub with_swap: Option<u64>,
}

fn missing(what: &'static str) -> impl Fn() -> CgroupError {
    move || CgroupError::NoController(what)
}

/// A limit as version 1 and version 2 take it.
fn text(at: usize, limit: Option<u64>) -> String {
    match (limit, at) {
        (Some(limit), _) => limit.to_string(),
        (None, 0) => "-1".to_owned(),
        (None, _) => "max".to_owned(),
    }
}

impl Scope {
    /// The limits that hold now. Without accounting of swap its limit is none.
    ///
    /// # Errors
    /// `NoController` where no hierarchy has memory.
    pub fn memory_limits(&self) -> Result<MemoryLimits> {
        let (_, hard) = self.one_of(Part::Whole, &HARD).ok_or_else(missing("memory"))?;
        let soft = self
            .one_of(Part::Whole, &SOFT)
            .map(|(_, file)| get(&file))
            .transpose()?;
        let hard = limit(&get(&hard)?);
        let with_swap = match self.one_of(Part::Whole, &WITH_SWAP) {
            None => None,
            Some((0, file)) => limit(&get(&file)?),
            // Without a hard limit there is none of both together either.
            Some((_, file)) => limit(&get(&file)?).and_then(|swap| Some(hard?.saturating_add(swap))),
        };
        Ok(MemoryLimits {
            hard,
            soft: soft.and_then(|soft| limit(&soft)),
            with_swap,
        })
    }

    /// Sets those limits that are not as they shall be. In an order in which no limit of both is ever below that of memory
    /// alone, which the kernel refuses.
    ///
    /// # Errors
    /// `NoController` for a limit that nobody here can hold a guest to; the kernel's refusal, `EBUSY` for example for less
    /// than is in use.
    pub fn set_memory_limits(&self, wanted: &MemoryLimits) -> Result<()> {
        if self.one_of(Part::Whole, &HARD).is_none() {
            return match *wanted == MemoryLimits::default() {
                true => Ok(()),
                false => Err(CgroupError::NoController("memory")),
            };
        }
        let now = self.memory_limits()?;
        let grows = wanted
            .with_swap
            .is_none_or(|new| now.with_swap.is_some_and(|old| new >= old));
        let version_1 = self.file(Part::Whole, HARD[0]).is_some();
        if grows && version_1 {
            self.set_with_swap(&now, wanted)?;
        }
        if now.hard != wanted.hard {
            self.set_limit(&HARD, wanted.hard)?;
        }
        if !(grows && version_1) {
            self.set_with_swap(&now, wanted)?;
        }
        if now.soft != wanted.soft {
            self.set_limit(&SOFT, wanted.soft)?;
        }
        Ok(())
    }

    fn set_limit(&self, names: &[&str; 2], value: Option<u64>) -> Result<()> {
        let (at, file) = self.one_of(Part::Whole, names).ok_or_else(missing("memory"))?;
        set(&file, &text(at, value))
    }

    fn set_with_swap(&self, now: &MemoryLimits, wanted: &MemoryLimits) -> Result<()> {
        let Some((at, file)) = self.one_of(Part::Whole, &WITH_SWAP) else {
            return match wanted.with_swap {
                None => Ok(()),
                Some(_) => Err(CgroupError::NoController("memory (swap)")),
            };
        };
        let value = match at {
            0 => wanted.with_swap,
            _ => wanted
                .with_swap
                .map(|both| both.saturating_sub(wanted.hard.unwrap_or(0))),
        };
        // In version 2 the same sum is another amount of swap when the hard limit is another one.
        let same = now.with_swap == wanted.with_swap && (at == 0 || now.hard == wanted.hard);
        if same {
            Ok(())
        } else {
            set(&file, &text(at, value))
        }
    }

    /// Memory that the guest has now, in bytes; `None` where nobody counts it.
    pub fn memory_usage(&self) -> Option<u64> {
        let (_, file) = self.one_of(Part::Whole, &USAGE)?;
        get(&file).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree_tests::Tree;
    use super::*;

    fn limits(hard: Option<u64>, soft: Option<u64>, with_swap: Option<u64>) -> MemoryLimits {
        MemoryLimits {
            hard,
            soft,
            with_swap,
        }
    }

    #[test]
    fn version_1_has_a_limit_of_both_together() {
        let tree = Tree::version_1("memory");
        let scope = tree.scope();
        assert!(matches!(
            scope.memory_limits(),
            Err(CgroupError::NoController("memory"))
        ));
        assert!(scope.set_memory_limits(&MemoryLimits::default()).is_ok());
        let none = "9223372036854771712\n";
        for file in [HARD[0], SOFT[0], WITH_SWAP[0]] {
            tree.put(file, none);
        }
        assert_eq!(scope.memory_limits().unwrap(), MemoryLimits::default());
        let wanted = limits(Some(4096), None, Some(8192));
        scope.set_memory_limits(&wanted).unwrap();
        assert_eq!(
            (tree.get(HARD[0]), tree.get(WITH_SWAP[0])),
            ("4096".into(), "8192".into())
        );
        assert_eq!(tree.get(SOFT[0]), none, "not touched");
        assert_eq!(scope.memory_limits().unwrap(), wanted);
        scope.set_memory_limits(&limits(None, Some(1024), None)).unwrap();
        assert_eq!(
            [HARD[0], SOFT[0], WITH_SWAP[0]].map(|file| tree.get(file)),
            ["-1", "1024", "-1"]
        );
    }

    #[test]
    fn version_2_limits_swap_alone() {
        let tree = Tree::version_2();
        let scope = tree.scope();
        for file in [HARD[1], SOFT[1], WITH_SWAP[1]] {
            tree.put(file, "max\n");
        }
        let wanted = limits(Some(4096), Some(2048), Some(10_000));
        scope.set_memory_limits(&wanted).unwrap();
        assert_eq!(
            [HARD[1], SOFT[1], WITH_SWAP[1]].map(|file| tree.get(file)),
            ["4096", "2048", "5904"]
        );
        assert_eq!(scope.memory_limits().unwrap(), wanted);
        // The same sum, another part of it.
        scope
            .set_memory_limits(&limits(Some(8192), Some(2048), Some(10_000)))
            .unwrap();
        assert_eq!(tree.get(WITH_SWAP[1]), "1808");
        tree.put(USAGE[1], "77\n");
        assert_eq!(scope.memory_usage(), Some(77));
    }

    #[test]
    fn a_limit_that_nobody_holds_to_is_refused_by_name() {
        let tree = Tree::version_1("cpu");
        let refused = tree
            .scope()
            .set_memory_limits(&limits(Some(1), None, None))
            .unwrap_err();
        assert_eq!(refused.to_string(), "cgroup memory controller is not mounted");
        let tree = Tree::version_1("memory");
        tree.put(HARD[0], "-1");
        tree.put(SOFT[0], "-1");
        let refused = tree
            .scope()
            .set_memory_limits(&limits(None, None, Some(1)))
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "cgroup memory (swap) controller is not mounted"
        );
        assert_eq!(tree.scope().memory_usage(), None);
    }
}
