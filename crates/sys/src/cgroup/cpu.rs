//! How much processor time a guest's scope has used, as the kernel counts it for the whole group.

use std::fs;
use std::path::Path;

use super::{Scope, open_below};
use crate::cgroup::hierarchy;

/// Processor time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    /// All.
    pub total: u64,
    /// In programs.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
}

impl Scope {
    /// The scope that a guest's process is in; `None` when it is in none.
    pub fn of_process(pid: i32) -> Option<Scope> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let (slices, name) = place_in(&groups)?;
        open_below(&hierarchy::mounted(), Path::new(&slices), name)
    }

    /// Processor time of all that was ever in the scope; `None` where nobody counts it.
    pub fn cpu_time(&self) -> Option<CpuTime> {
        self.paths.iter().find_map(|path| version_2(path)).or_else(|| {
            let ticks = rustix::param::clock_ticks_per_second();
            self.paths.iter().find_map(|path| version_1(path, ticks))
        })
    }
}

/// The scope's slices and name in `/proc/PID/cgroup`.
fn place_in(groups: &str) -> Option<(String, &str)> {
    groups.lines().find_map(|line| {
        let parts: Vec<&str> = line.splitn(3, ':').nth(2)?.split('/').collect();
        let ours = |part: &&str| part.starts_with("machine-") && part.ends_with(".scope");
        let at = parts.iter().position(ours)?;
        let slices = parts[..at]
            .iter()
            .rev()
            .take_while(|part| part.ends_with(".slice"))
            .count();
        (slices > 0).then(|| (parts[at - slices..at].join("/"), parts[at]))
    })
}

fn version_2(group: &Path) -> Option<CpuTime> {
    let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
    let value = |name| Some(counter(&text, name)?.saturating_mul(1000));
    Some(CpuTime {
        total: value("usage_usec")?,
        user: value("user_usec")?,
        system: value("system_usec")?,
    })
}

fn version_1(group: &Path, ticks_per_second: u64) -> Option<CpuTime> {
    let usage = fs::read_to_string(group.join("cpuacct.usage")).ok()?;
    let text = fs::read_to_string(group.join("cpuacct.stat")).ok()?;
    let value = |name| Some(counter(&text, name)?.saturating_mul(1_000_000_000 / ticks_per_second.max(1)));
    Some(CpuTime {
        total: usage.trim().parse().ok()?,
        user: value("user")?,
        system: value("system")?,
    })
}

/// `NAME VALUE` among the lines.
fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_found_by_its_process() {
        let name = "machine-qemu\\x2d1\\x2dweb1.scope";
        let groups = format!("9:name=systemd:/\n4:memory:/a/machine.slice/{name}/libvirt\n0::/\n");
        assert_eq!(place_in(&groups), Some(("machine.slice".to_owned(), name)));
        let nested = format!("0::/machine.slice/machine-a.slice/{name}/libvirt\n");
        let slices = "machine.slice/machine-a.slice".to_owned();
        assert_eq!(place_in(&nested), Some((slices, name)));
        for other in [
            "0::/machine.slice\n",
            "0::/user.slice/user-0.slice/session-1.scope\n",
            "0::/machine-x.scope\n",
            "0::/machine.slice/x.service/y\n",
            "",
            "0::/",
        ] {
            assert_eq!(place_in(other), None);
        }
    }

    #[test]
    fn both_versions_count() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for dir in ["one", "two", "none"] {
            fs::create_dir(at(dir)).unwrap();
        }
        fs::write(at("one/cpuacct.usage"), "1234567\n").unwrap();
        fs::write(at("one/cpuacct.stat"), "user 3\nsystem 2\n").unwrap();
        fs::write(
            at("two/cpu.stat"),
            "usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 0\n",
        )
        .unwrap();
        // Version 1 has a file of this name, too.
        fs::write(at("one/cpu.stat"), "nr_periods 0\n").unwrap();
        let time = |total, user, system| CpuTime { total, user, system };
        assert_eq!(
            version_1(&at("one"), 100),
            Some(time(1_234_567, 30_000_000, 20_000_000))
        );
        let scope = |names: &[&str]| Scope {
            name: String::new(),
            paths: names.iter().map(|name| at(name)).collect(),
            entrances: Vec::new(),
        };
        assert_eq!(
            scope(&["none", "one", "two"]).cpu_time(),
            Some(time(9000, 5000, 4000))
        );
        assert_eq!(scope(&["none"]).cpu_time(), None);
    }
}
