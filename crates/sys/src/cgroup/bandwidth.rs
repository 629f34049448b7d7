//! How much processor time a guest gets: shares beside others, and quotas.

use std::ops::RangeInclusive;

use super::Scope;
use super::error::{CgroupError, Result};
use super::part::{Part, get, set};

/// What shares may be in version 1 and, as weights, in version 2.
const SHARES: [(&str, RangeInclusive<u64>); 2] = [("cpu.shares", 2..=262_144), ("cpu.weight", 1..=10_000)];

/// Where quotas are: two files in version 1, one in version 2.
const PERIOD: &str = "cpu.cfs_period_us";
const QUOTA: &str = "cpu.cfs_quota_us";
const BOTH: &str = "cpu.max";

/// The kernel's period where nobody said anything, in microseconds.
const USUAL_PERIOD: u64 = 100_000;

/// What a part of a guest may use of processors: `quota` in each `period`, both in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// The period.
    pub period: u64,
    /// What may be used in it; `None` is no limit.
    pub quota: Option<u64>,
}

impl Default for Bandwidth {
    fn default() -> Self {
        Bandwidth {
            period: USUAL_PERIOD,
            quota: None,
        }
    }
}

impl Scope {
    /// The guest's share beside others: shares in version 1, of 1024; a weight in version 2, of 100.
    ///
    /// # Errors
    /// `NoController` where nobody gives out processors.
    pub fn cpu_shares(&self) -> Result<u64> {
        let (_, file) = self
            .one_of(Part::Whole, &SHARES.map(|(name, _)| name))
            .ok_or(CgroupError::NoController("CPU"))?;
        number(&file)
    }

    /// Sets the guest's share.
    ///
    /// # Errors
    /// `NoController`, `Range`, and the kernel's refusal.
    pub fn set_cpu_shares(&self, shares: u64) -> Result<()> {
        let (at, file) = self
            .one_of(Part::Whole, &SHARES.map(|(name, _)| name))
            .ok_or(CgroupError::NoController("CPU"))?;
        let range = &SHARES[at].1;
        if !range.contains(&shares) {
            return Err(CgroupError::Range {
                what: "shares",
                value: shares,
                first: *range.start(),
                last: *range.end(),
            });
        }
        set(&file, &shares.to_string())
    }

    /// What a part of the guest may use. A part without a group of its own has no limit of its own.
    ///
    /// # Errors
    /// `NoController` where nobody gives out processors.
    pub fn bandwidth(&self, part: Part) -> Result<Bandwidth> {
        if let Some(file) = self.file(part, BOTH) {
            let text = get(&file)?;
            let mut words = text.split(' ');
            let quota = words.next().and_then(|word| word.parse().ok());
            let period = words.next().and_then(|word| word.parse().ok());
            return Ok(Bandwidth {
                period: period.unwrap_or(USUAL_PERIOD),
                quota,
            });
        }
        match (self.file(part, PERIOD), self.file(part, QUOTA)) {
            (Some(period), Some(quota)) => Ok(Bandwidth {
                period: number(&period)?,
                quota: get(&quota)?.parse().ok(),
            }),
            _ if part == Part::Whole => Err(CgroupError::NoController("CPU")),
            _ => self.bandwidth(Part::Whole).map(|_| Bandwidth::default()),
        }
    }

    /// Sets what a part of the guest may use.
    ///
    /// # Errors
    /// `NoController` where nobody gives out processors or the part has no group of its own; the kernel's refusal, for
    /// example of a part that may use more than the whole.
    pub fn set_bandwidth(&self, part: Part, wanted: Bandwidth) -> Result<()> {
        if let Some(file) = self.file(part, BOTH) {
            let quota = wanted
                .quota
                .map_or_else(|| "max".to_owned(), |quota| quota.to_string());
            return set(&file, &format!("{quota} {}", wanted.period));
        }
        let (Some(period), Some(quota)) = (self.file(part, PERIOD), self.file(part, QUOTA)) else {
            return Err(CgroupError::NoController("CPU"));
        };
        // A quota beside a period that is not its own may be more than the whole guest has: it goes first.
        if get(&quota)? != "-1" && number(&period)? != wanted.period {
            set(&quota, "-1")?;
        }
        if number(&period)? != wanted.period {
            set(&period, &wanted.period.to_string())?;
        }
        let text = wanted
            .quota
            .map_or_else(|| "-1".to_owned(), |quota| quota.to_string());
        set(&quota, &text)
    }
}

fn number(file: &std::path::Path) -> Result<u64> {
    let text = get(file)?;
    let wrong = |_| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("'{text}' is no number"));
    text.parse().map_err(wrong).map_err(CgroupError::read(file))
}

#[cfg(test)]
mod tests {
    use super::super::tree_tests::Tree;
    use super::*;

    fn bandwidth(period: u64, quota: Option<u64>) -> Bandwidth {
        Bandwidth { period, quota }
    }

    #[test]
    fn shares_have_another_range_in_each_version() {
        for (tree, file, wrong, range) in [
            (Tree::version_1("cpu"), "cpu.shares", 1, "[2, 262144]"),
            (Tree::version_2(), "cpu.weight", 10_001, "[1, 10000]"),
        ] {
            let scope = tree.scope();
            assert!(matches!(
                scope.cpu_shares(),
                Err(CgroupError::NoController("CPU"))
            ));
            tree.put(file, "100\n");
            assert_eq!(scope.cpu_shares().unwrap(), 100);
            scope.set_cpu_shares(3000).unwrap();
            assert_eq!(tree.get(file), "3000");
            let refused = scope.set_cpu_shares(wrong).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("shares '{wrong}' must be in range {range}")
            );
        }
    }

    #[test]
    fn quotas_are_two_files_or_one() {
        let tree = Tree::version_1("cpu");
        let scope = tree.scope();
        assert!(matches!(
            scope.bandwidth(Part::Whole),
            Err(CgroupError::NoController("CPU"))
        ));
        for below in ["", "libvirt/vcpu1/"] {
            tree.put(&format!("{below}{PERIOD}"), "100000\n");
            tree.put(&format!("{below}{QUOTA}"), "-1\n");
        }
        assert_eq!(scope.bandwidth(Part::Vcpu(1)).unwrap(), Bandwidth::default());
        // Without a group of its own.
        assert_eq!(scope.bandwidth(Part::Vcpu(2)).unwrap(), Bandwidth::default());
        assert!(scope.set_bandwidth(Part::Vcpu(2), Bandwidth::default()).is_err());
        let wanted = bandwidth(20_000, Some(5000));
        scope.set_bandwidth(Part::Vcpu(1), wanted).unwrap();
        assert_eq!(scope.bandwidth(Part::Vcpu(1)).unwrap(), wanted);
        assert_eq!(scope.bandwidth(Part::Whole).unwrap(), Bandwidth::default());
        scope
            .set_bandwidth(Part::Vcpu(1), bandwidth(30_000, None))
            .unwrap();
        assert_eq!(tree.get(&format!("libvirt/vcpu1/{QUOTA}")), "-1");

        let tree = Tree::version_2();
        let scope = tree.scope();
        tree.put("libvirt/emulator/cpu.max", "max 100000\n");
        assert_eq!(scope.bandwidth(Part::Emulator).unwrap(), Bandwidth::default());
        scope.set_bandwidth(Part::Emulator, wanted).unwrap();
        assert_eq!(tree.get("libvirt/emulator/cpu.max"), "5000 20000");
        assert_eq!(scope.bandwidth(Part::Emulator).unwrap(), wanted);
        scope
            .set_bandwidth(Part::Emulator, bandwidth(1000, None))
            .unwrap();
        assert_eq!(tree.get("libvirt/emulator/cpu.max"), "max 1000");
    }
}
