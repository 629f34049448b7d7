//! Limits of memory and processor time: a control group of the script's own, for as long as its tree lives.
//!
//! In version 1 it lies below the keeper's group in the hierarchies of `memory` and `cpu`. In version 2 a group that holds
//! processes cannot share out memory, so it lies below the nearest ancestor that can; the script is then not in the
//! keeper's [`super::cage::Cage`], but this group can be killed at one stroke too.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::cage;
use super::surroundings::Sandbox;
use crate::cgroup::{hierarchy, make_group};
use hierarchy::Hierarchy;

/// What the groups are called; the keeper's process number follows.
const PREFIX: &str = "ferrovirt-limit-";

/// The span in which processor time is counted, microseconds; the kernel's own default.
const PERIOD: u64 = 100_000;

/// The groups of one script. Dropping it removes them, if nothing is left in them.
#[derive(Debug, Default)]
pub(super) struct Limits {
    groups: Vec<PathBuf>,
    /// Where the kernel counts what the memory limit has killed.
    killed: Option<PathBuf>,
}

/// What a group is to limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Memory(u64),
    Cpu(u32),
}

impl Limit {
    fn controller(self) -> &'static str {
        match self {
            Limit::Memory(_) => "memory",
            Limit::Cpu(_) => "cpu",
        }
    }

    /// The files to write, in this order, and whether a missing one is an error. (Where swap is not counted, those of swap
    /// are missing.)
    fn settings(self, v2: bool) -> Vec<(&'static str, String, bool)> {
        match self {
            Limit::Memory(bytes) if v2 => vec![
                ("memory.max", bytes.to_string(), true),
                ("memory.swap.max", "0".to_owned(), false),
            ],
            Limit::Memory(bytes) => vec![
                ("memory.limit_in_bytes", bytes.to_string(), true),
                ("memory.memsw.limit_in_bytes", bytes.to_string(), false),
            ],
            Limit::Cpu(percent) => {
                let quota = u64::from(percent) * PERIOD / 100;
                if v2 {
                    vec![("cpu.max", format!("{quota} {PERIOD}"), true)]
                } else {
                    vec![
                        ("cpu.cfs_period_us", PERIOD.to_string(), true),
                        ("cpu.cfs_quota_us", quota.to_string(), true),
                    ]
                }
            }
        }
    }
}

impl Limits {
    /// Makes the groups that the sandbox asks for; none when it asks for none.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the machine has no such controller, `EINVAL` for a limit of nothing, what the kernel says
    /// otherwise. Nothing is then left.
    pub(super) fn set(sandbox: &Sandbox) -> io::Result<Option<Limits>> {
        let memory = sandbox.memory_bytes.map(Limit::Memory);
        let wanted: Vec<Limit> = memory
            .into_iter()
            .chain(sandbox.cpu_percent.map(Limit::Cpu))
            .collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        if wanted.contains(&Limit::Memory(0)) || wanted.contains(&Limit::Cpu(0)) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Limits::set_in(&hierarchy::mounted(), &wanted).map(Some)
    }

    fn set_in(hierarchies: &[Hierarchy], wanted: &[Limit]) -> io::Result<Limits> {
        let mut limits = Limits::default();
        let mut for_v2 = Vec::new();
        for limit in wanted {
            let has_it = |h: &&Hierarchy| h.controllers.iter().any(|c| c == limit.controller());
            match hierarchies.iter().find(has_it) {
                Some(v1) => limits.add(&v1.mount.join(&v1.own), &[*limit], false)?,
                None => for_v2.push(*limit),
            }
        }
        if !for_v2.is_empty() {
            let v2 = hierarchies.iter().find(|h| h.is_v2());
            let parent = parent_in_v2(v2.ok_or_else(unsupported)?, &for_v2)?;
            limits.add(&parent, &for_v2, true)?;
        }
        Ok(limits)
    }

    fn add(&mut self, parent: &Path, wanted: &[Limit], v2: bool) -> io::Result<()> {
        cage::sweep(parent, PREFIX);
        let group = parent.join(format!("{PREFIX}{}", std::process::id()));
        make_group(&group)?;
        if !self.groups.contains(&group) {
            self.groups.push(group.clone());
        }
        for (file, value, needed) in wanted.iter().flat_map(|limit| limit.settings(v2)) {
            match hierarchy::put(&group.join(file), &value) {
                Err(error) if needed || error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if wanted.iter().any(|limit| matches!(limit, Limit::Memory(_))) {
            let file = if v2 { "memory.events" } else { "memory.oom_control" };
            self.killed = Some(group.join(file));
        }
        Ok(())
    }

    /// The files through which the script enters its groups.
    pub(super) fn entrances(&self) -> io::Result<Vec<OwnedFd>> {
        let open = |group: &PathBuf| {
            let file = hierarchy::entrance(group);
            fs::OpenOptions::new().write(true).open(file).map(OwnedFd::from)
        };
        self.groups.iter().map(open).collect()
    }

    /// Whether the memory limit has killed something.
    pub(super) fn has_killed(&self) -> bool {
        let text = self.killed.as_ref().map(fs::read_to_string);
        text.and_then(Result::ok).is_some_and(|text| oom_kills(&text) > 0)
    }

    /// Kills everything in them at one stroke where the kernel can (version 2 since 5.14); elsewhere the cage does it.
    pub(super) fn kill_all(&self) {
        for group in &self.groups {
            let _ = hierarchy::put(&group.join("cgroup.kill"), "1");
        }
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        for group in &self.groups {
            // Not empty when something cannot be killed: a later keeper sweeps.
            let _ = fs::remove_dir(group);
        }
    }
}

/// The nearest group from this process's own upwards whose children can have these controllers.
fn parent_in_v2(v2: &Hierarchy, wanted: &[Limit]) -> io::Result<PathBuf> {
    let own = v2.mount.join(&v2.own);
    let mut reason = unsupported();
    for group in own.ancestors().take_while(|group| group.starts_with(&v2.mount)) {
        match give_down(group, wanted) {
            Ok(()) => return Ok(group.to_owned()),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

/// Lets a group's children have these controllers, unless they do.
fn give_down(group: &Path, wanted: &[Limit]) -> io::Result<()> {
    let has = |file: &str| fs::read_to_string(group.join(file)).unwrap_or_default();
    let (available, given) = (has("cgroup.controllers"), has("cgroup.subtree_control"));
    let is_in = |list: &str, limit: &Limit| list.split_ascii_whitespace().any(|c| c == limit.controller());
    for limit in wanted {
        if !is_in(&available, limit) {
            return Err(unsupported());
        }
        if !is_in(&given, limit) {
            let text = format!("+{}", limit.controller());
            hierarchy::put(&group.join("cgroup.subtree_control"), &text)?;
        }
    }
    Ok(())
}

fn unsupported() -> io::Error {
    io::Error::from_raw_os_error(libc::EOPNOTSUPP)
}

/// The line `oom_kill N`, which both versions have.
fn oom_kills(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_in_both_versions() {
        assert_eq!(
            oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            3,
            "version 1"
        );
        let events = "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(oom_kills(events), 1, "version 2");
        assert_eq!(oom_kills(""), 0);
        assert_eq!(oom_kills("oom_kill x"), 0);
    }

    /// A directory that looks like version 2 of a group that can share out these controllers.
    fn group(path: &Path, available: &str, given: &str) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("cgroup.controllers"), available).unwrap();
        fs::write(path.join("cgroup.subtree_control"), given).unwrap();
    }

    #[test]
    fn in_version_2_the_nearest_group_that_can_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let v2 = Hierarchy {
            mount: dir.path().to_owned(),
            controllers: Vec::new(),
            own: "system.slice/ferrovirt.service".into(),
        };
        let slice = dir.path().join("system.slice");
        group(dir.path(), "cpu io memory", "cpu memory");
        group(&slice, "cpu memory", "memory");
        group(&slice.join("ferrovirt.service"), "memory", "");
        let parent = |wanted: &[Limit]| parent_in_v2(&v2, wanted).unwrap();
        assert_eq!(
            parent(&[Limit::Memory(1)]),
            slice.join("ferrovirt.service"),
            "asked for"
        );
        assert_eq!(
            parent(&[Limit::Memory(1), Limit::Cpu(5)]),
            slice,
            "the service has no cpu"
        );
        let asked = fs::read_to_string(slice.join("cgroup.subtree_control")).unwrap();
        assert!(asked.starts_with("+cpu"), "{asked}");
        group(dir.path(), "", "");
        group(&slice, "", "");
        let error = parent_in_v2(&v2, &[Limit::Cpu(5)]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
    }

    #[test]
    fn what_cannot_be_limited_is_an_error() {
        let none = Limits::set_in(&[], &[Limit::Cpu(50)]).unwrap_err();
        assert_eq!(none.raw_os_error(), Some(libc::EOPNOTSUPP));
        let nothing = Sandbox {
            memory_bytes: Some(0),
            ..Sandbox::default()
        };
        assert_eq!(
            Limits::set(&nothing).unwrap_err().raw_os_error(),
            Some(libc::EINVAL)
        );
        assert!(Limits::set(&Sandbox::default()).unwrap().is_none());
    }

    #[test]
    fn a_half_of_a_processor_is_half_of_the_period() {
        let text = |v2| Limit::Cpu(50).settings(v2);
        assert_eq!(text(true), [("cpu.max", "50000 100000".to_owned(), true)]);
        assert_eq!(text(false)[1].1, "50000");
    }
}
