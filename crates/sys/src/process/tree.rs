//! What runs below a process, as a reader of lists wants it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, SystemTime};

use super::ProcessId;
use super::stat::{self, Stat};

/// How much is read of a command line.
const LONGEST_COMMAND: u64 = 4 << 10;

/// One process of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeProcess {
    /// Which process it is.
    pub id: ProcessId,
    /// The process number of its parent.
    pub parent: i32,
    /// Its name as the kernel has it, at most 15 bytes; empty when it ended meanwhile.
    pub comm: String,
    /// Its arguments, of the first 4 KiB; none for what has ended, or is just being executed. What is no UTF-8 is replaced.
    pub args: Vec<String>,
    /// The kernel's letter: `R`unning, `S`leeping, `D` (waits for a device), `T` (stopped), `Z` (ended, not collected), …
    pub state: char,
    /// When it started.
    pub since: SystemTime,
    /// How much processor time it has used, milliseconds.
    pub cpu_ms: u64,
}

/// All processes below this one, without itself: parents before their children, older ones before younger ones, by one
/// pass over `/proc`. Empty when it is gone, also when its number belongs to another process by now.
pub fn tree_of(root: ProcessId) -> Vec<TreeProcess> {
    let mut children: HashMap<i32, Vec<(ProcessId, Stat)>> = HashMap::new();
    let mut is_there = false;
    for (pid, stat) in stat::of_all() {
        let start_time = stat.start_time;
        let id = ProcessId { pid, start_time };
        is_there |= id == root;
        children.entry(stat.parent).or_default().push((id, stat));
    }
    if !is_there {
        return Vec::new();
    }
    let clock = Clock::now();
    in_order(root.pid, children)
        .into_iter()
        .map(|(id, stat)| describe(id, &stat, &clock))
        .collect()
}

/// A family, depth first. Every process is taken out once, so numbers that were given away again make no circle.
fn in_order(root: i32, mut children: HashMap<i32, Vec<(ProcessId, Stat)>>) -> Vec<(ProcessId, Stat)> {
    let mut found = Vec::new();
    let mut next = children.remove(&root).unwrap_or_default();
    youngest_first(&mut next);
    while let Some((id, stat)) = next.pop() {
        let mut below = children.remove(&id.pid).unwrap_or_default();
        youngest_first(&mut below);
        next.append(&mut below);
        found.push((id, stat));
    }
    found
}

fn youngest_first(list: &mut [(ProcessId, Stat)]) {
    list.sort_unstable_by_key(|(id, _)| std::cmp::Reverse((id.start_time, id.pid)));
}

fn describe(id: ProcessId, stat: &Stat, clock: &Clock) -> TreeProcess {
    let (comm, args) = words_of(id);
    TreeProcess {
        id,
        parent: stat.parent,
        comm,
        args,
        state: stat.state.into(),
        since: clock.time_of(stat.start_time),
        cpu_ms: clock.milliseconds(stat.cpu),
    }
}

/// Name and arguments of exactly this process; nothing when it is gone.
fn words_of(id: ProcessId) -> (String, Vec<String>) {
    let read = |file: &str| {
        let mut text = Vec::new();
        let file = File::open(format!("/proc/{}/{file}", id.pid));
        // What cannot be read of a process that ends is missing.
        let _ = file.and_then(|file| file.take(LONGEST_COMMAND).read_to_end(&mut text));
        text
    };
    let (comm, command) = (read("comm"), read("cmdline"));
    // The number may have been given to another process since the list was made.
    if ProcessId::of(id.pid).ok() != Some(id) {
        return (String::new(), Vec::new());
    }
    let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
    (String::from_utf8_lossy(comm).into_owned(), split(&command))
}

/// Each argument ends with a zero byte, but the last one where the end was cut off.
fn split(text: &[u8]) -> Vec<String> {
    let text = text.strip_suffix(&[0]).unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    let lossy = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    text.split(|byte| *byte == 0).map(lossy).collect()
}

/// What clock ticks mean.
struct Clock {
    machine_start: SystemTime,
    ticks_per_second: u64,
}

impl Clock {
    fn now() -> Clock {
        let running = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(running.tv_sec).unwrap_or(0);
        let running = Duration::new(seconds, u32::try_from(running.tv_nsec).unwrap_or(0));
        let now = SystemTime::now();
        Clock {
            machine_start: now.checked_sub(running).unwrap_or(now),
            ticks_per_second: rustix::param::clock_ticks_per_second().max(1),
        }
    }

    fn milliseconds(&self, ticks: u64) -> u64 {
        ticks.saturating_mul(1000) / self.ticks_per_second
    }

    fn time_of(&self, ticks: u64) -> SystemTime {
        let since_start = Duration::from_millis(self.milliseconds(ticks));
        self.machine_start
            .checked_add(since_start)
            .unwrap_or(self.machine_start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Child, Command, Stdio};

    /// A shell that has this child and waits for its input to end.
    fn family() -> (Child, ProcessId) {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "cat | cat; exit 0", "a b", ""])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // What comes through both has passed both: they are there.
        shell.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        shell.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let id = ProcessId::of(shell.id().cast_signed()).unwrap();
        (shell, id)
    }

    #[test]
    fn r95_a_tree_is_listed_with_its_parents_first() {
        let (mut shell, id) = family();
        let me = ProcessId::of(std::process::id().cast_signed()).unwrap();
        let tree = tree_of(me);
        let at = tree.iter().position(|process| process.id == id).unwrap();
        let (parent, below) = (&tree[at], &tree[at + 1..at + 3]);
        assert_eq!(parent.parent, me.pid);
        assert_eq!(parent.args, ["/bin/sh", "-c", "cat | cat; exit 0", "a b", ""]);
        assert_eq!(parent.comm, "sh");
        for child in below {
            assert_eq!(child.parent, id.pid);
            assert_eq!((child.comm.as_str(), child.args.len()), ("cat", 1));
            assert!(child.since >= parent.since);
        }
        let ids = |list: &[TreeProcess]| list.iter().map(|process| process.id).collect::<Vec<_>>();
        assert_eq!(ids(&tree_of(id)), ids(below), "the root is not part of it");
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert_eq!(tree_of(id), []);
    }

    #[test]
    fn another_process_with_that_number_is_not_meant() {
        let mut me = ProcessId::of(std::process::id().cast_signed()).unwrap();
        me.start_time += 1;
        assert_eq!(tree_of(me), []);
    }

    #[test]
    fn numbers_that_changed_hands_meanwhile_make_no_circle() {
        let line = |parent: i32| {
            let text = format!("1 (x) S {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 2 3");
            Stat::parse(text.as_bytes()).unwrap()
        };
        let id = |pid, start_time| ProcessId { pid, start_time };
        let children = HashMap::from([
            (1, vec![(id(3, 9), line(1)), (id(2, 4), line(1))]),
            (2, vec![(id(4, 5), line(2))]),
            (4, vec![(id(1, 1), line(4)), (id(2, 4), line(4))]),
        ]);
        let order: Vec<i32> = in_order(1, children).iter().map(|(id, _)| id.pid).collect();
        assert_eq!(order, [2, 4, 1, 2, 3]);
    }

    #[test]
    fn arguments_may_be_empty_cut_or_gone() {
        assert_eq!(split(b""), [""; 0]);
        assert_eq!(split(b"\0"), [""; 0]);
        assert_eq!(split(b"a\0\0b\0"), ["a", "", "b"]);
        assert_eq!(split(b"a\0bcd"), ["a", "bcd"]);
        assert_eq!(split(b"\xff\0"), ["\u{fffd}"]);
    }

    #[test]
    fn a_long_command_line_is_cut() {
        let long = "x".repeat(10_000);
        let mut cat = Command::new("/bin/cat")
            .args(["-", "--", &long])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It is spawned before it has its arguments; what answers has them.
        cat.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        cat.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let (_, args) = words_of(ProcessId::of(cat.id().cast_signed()).unwrap());
        assert_eq!(args.iter().map(|arg| arg.len() + 1).sum::<usize>(), 4097);
        drop(cat.stdin.take());
        cat.wait().unwrap();
    }
}
