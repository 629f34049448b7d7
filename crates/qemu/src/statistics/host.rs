//! What the kernel knows of a guest: processor time, memory of its process. All of it is read from
//! files that are made when they are read; none of them waits for a guest.

use std::fs;

use ferrovirt_guest::{CpuStats, VcpuStats};

use crate::machine::Machine;

/// Fields of `/proc/PID/stat` that are read, by what follows the name.
const USER: usize = 11;
const SYSTEM: usize = 12;
const RSS: usize = 21;
const PROCESSOR: usize = 36;

/// One field behind the name, which may hold anything; the first behind it is number 0.
fn field(stat: &str, number: usize) -> Option<u64> {
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(number)?
        .parse()
        .ok()
}

/// User and system time in nanoseconds.
fn times(stat: &str) -> Option<(u64, u64)> {
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let nanoseconds = |number| field(stat, number)?.checked_mul(tick);
    Some((nanoseconds(USER)?, nanoseconds(SYSTEM)?))
}

/// User and system time of a process or thread together.
pub(super) fn cpu_nanoseconds(stat: &str) -> Option<u64> {
    let (user, system) = times(stat)?;
    user.checked_add(system)
}

/// Processor time of the whole guest: of its control group, which counts finely, otherwise of its process.
pub(super) fn cpu(machine: &Machine) -> Option<CpuStats> {
    if let Some(time) = machine.scope().and_then(ferrovirt_sys::cgroup::Scope::cpu_time) {
        return Some(CpuStats {
            total: time.total,
            user: time.user,
            system: time.system,
        });
    }
    let pid = machine.process().pid;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (user, system) = times(&stat)?;
    Some(CpuStats {
        total: user + system,
        user,
        system,
    })
}

/// What the process occupies, in KiB.
pub(super) fn rss(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    Some(field(&stat, RSS)?.checked_mul(page)? / 1024)
}

/// A virtual processor by its thread.
pub(super) fn vcpu(pid: i32, number: u32, thread: i32) -> VcpuStats {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/task/{thread}/{file}")).ok();
    let stat = read("stat");
    VcpuStats {
        number,
        time: stat.as_deref().and_then(cpu_nanoseconds),
        processor: { stat.as_deref() }
            .and_then(|stat| field(stat, PROCESSOR))
            .and_then(|number| u32::try_from(number).ok()),
        // A kernel that does not count has no such line: nothing was waited for.
        wait: read("sched").map(|sched| waited(&sched).unwrap_or(0)),
        delay: read("schedstat").as_deref().and_then(delayed),
    }
}

/// The sum of waits in `/proc/PID/sched`, which is in milliseconds; its name changed with the kernel.
fn waited(sched: &str) -> Option<u64> {
    const NAMES: [&str; 3] = ["se.statistics.wait_sum", "se.wait_sum", "wait_sum"];
    sched.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if !NAMES.contains(&name.trim()) {
            return None;
        }
        let (whole, part) = value.trim().split_once('.')?;
        let millionths: String = part.chars().chain("000000".chars()).take(6).collect();
        let whole: u64 = whole.parse().ok()?;
        whole
            .checked_mul(1_000_000)?
            .checked_add(millionths.parse().ok()?)
    })
}

/// The second number of `/proc/PID/schedstat`: time on a run queue, in nanoseconds.
fn delayed(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_behind_any_name() {
        let stat = "5 (a ) b) S 1 5 5 0 -1 4194560 1 0 0 0 7 3 0 0 20 0 1 0 100 4096 25 0";
        let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
        assert_eq!(times(stat), Some((7 * tick, 3 * tick)));
        assert_eq!(cpu_nanoseconds(stat), Some(10 * tick));
        assert_eq!(field(stat, RSS), Some(25));
        assert_eq!(cpu_nanoseconds(""), None);
    }

    #[test]
    fn waits_of_old_and_new_kernels() {
        for name in ["se.statistics.wait_sum", "se.wait_sum", "wait_sum"] {
            let sched = format!("x (1)\n---\nwait_max : 9.0\n{name}            :      12.034567\n");
            assert_eq!(waited(&sched), Some(12_034_567));
        }
        assert_eq!(waited("iowait_sum : 1.0\nwait_sum : x\n"), None);
        assert_eq!(delayed("11 22 33\n"), Some(22));
        assert_eq!(delayed(""), None);
    }

    #[test]
    fn the_own_process_has_figures() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(rss(pid).unwrap() > 0);
        let thread = vcpu(pid, 3, pid);
        assert_eq!(thread.number, 3);
        assert!(thread.time.is_some());
        assert_eq!(vcpu(pid, 0, -1).time, None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[ -z\n]{0,200}") {
            let _ = (times(&text), waited(&text), delayed(&text));
        }
    }
}
