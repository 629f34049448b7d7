//! Which process is meant: a number alone is given away again, a number with a start time is not.
//!
//! Everything is read from `/proc`; a process that ends meanwhile is "not there", never an error in between.

mod stat;
mod tree;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use stat::Stat;
pub use tree::{TreeProcess, tree_of};

/// How far [`ancestors`] climbs: far deeper than real process trees, and an end should `/proc` change while it reads.
const MAX_DEPTH: usize = 256;

/// A process, recognisable also after its number was given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process number.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks since the machine started.
    pub start_time: u64,
}

impl ProcessId {
    /// The process that has this number now.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn of(pid: i32) -> io::Result<Self> {
        let stat = Stat::read(pid)?;
        Ok(ProcessId {
            pid,
            start_time: stat.start_time,
        })
    }

    /// Whether this very process still runs. One that has ended but was not collected by its parent does not run.
    pub fn is_alive(&self) -> bool {
        Stat::read(self.pid).is_ok_and(|stat| stat.start_time == self.start_time && stat.runs())
    }
}

/// Sets how much memory a process may lock, bytes; how much it could before, `u64::MAX` when there was no limit.
///
/// # Errors
/// `EPERM`, `ESRCH` when it is gone.
pub fn limit_locked_memory(process: ProcessId, bytes: u64) -> io::Result<u64> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = Pid::from_raw(process.pid).filter(|_| process.is_alive());
    let pid = pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    let value = Some(bytes).filter(|bytes| *bytes != u64::MAX);
    let limit = Rlimit {
        current: value,
        maximum: value,
    };
    let before = prlimit(Some(pid), Resource::Memlock, limit)?;
    Ok(before.current.unwrap_or(u64::MAX))
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pid, self.start_time)
    }
}

/// A text that is no `PID:START`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no process identity (PID:START)")]
pub struct NoProcessId(String);

impl FromStr for ProcessId {
    type Err = NoProcessId;

    fn from_str(text: &str) -> Result<Self, NoProcessId> {
        let wrong = || NoProcessId(text.to_owned());
        let (pid, start_time) = text.split_once(':').ok_or_else(wrong)?;
        let pid: i32 = pid.parse().map_err(|_| wrong())?;
        let start_time = start_time.parse().map_err(|_| wrong())?;
        if pid <= 0 {
            return Err(wrong());
        }
        Ok(ProcessId { pid, start_time })
    }
}

/// The start time of the leader of a process group, if this process is one.
pub(crate) fn leader_start(pid: i32) -> Option<u64> {
    let stat = Stat::read(pid).ok()?;
    (stat.group == pid).then_some(stat.start_time)
}

/// The parents of a process, nearest first, without the process itself; empty when it is gone.
pub fn ancestors(pid: i32) -> Vec<i32> {
    let mut chain = Vec::new();
    let mut current = pid;
    while chain.len() < MAX_DEPTH {
        let Ok(stat) = Stat::read(current) else { break };
        if stat.parent <= 0 || chain.contains(&stat.parent) {
            break;
        }
        chain.push(stat.parent);
        current = stat.parent;
    }
    chain
}

/// All running processes below `root`, without `root` itself. Children come after their parents.
pub fn descendants(root: i32) -> Vec<ProcessId> {
    let mut children: HashMap<i32, Vec<ProcessId>> = HashMap::new();
    for (pid, stat) in stat::of_all() {
        children.entry(stat.parent).or_default().push(ProcessId {
            pid,
            start_time: stat.start_time,
        });
    }
    let mut found = Vec::new();
    let mut queue = vec![root];
    while let Some(parent) = queue.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            queue.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// All other processes that have this pipe as their standard output or error.
pub fn who_prints_to(pipe: impl AsFd) -> Vec<ProcessId> {
    let Ok(stat) = rustix::fs::fstat(pipe) else {
        return Vec::new();
    };
    let pipe = OsString::from(format!("pipe:[{}]", stat.st_ino));
    let this = std::process::id();
    stat::of_all()
        .filter(|(pid, _)| pid.cast_unsigned() != this)
        .filter(|(pid, _)| {
            ["1", "2"].iter().any(|number| {
                let link = std::fs::read_link(format!("/proc/{pid}/fd/{number}"));
                link.is_ok_and(|link| link.as_os_str() == pipe)
            })
        })
        .map(|(pid, stat)| ProcessId {
            pid,
            start_time: stat.start_time,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn r96_who_prints_to_a_pipe_is_found() {
        let (ours, theirs) = crate::pipe::PipeReader::new().unwrap();
        let mut child = Command::new("/bin/sleep")
            .arg("60")
            .stderr(theirs)
            .spawn()
            .unwrap();
        let id = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        // The writing end went with the command, so nobody else has it.
        assert_eq!(who_prints_to(&ours), [id]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(who_prints_to(&ours), []);
    }

    fn me() -> i32 {
        i32::try_from(std::process::id()).expect("process numbers are small")
    }

    #[test]
    fn r91_this_process_has_an_identity_and_ancestors() {
        let this = ProcessId::of(me()).unwrap();
        assert!(this.is_alive());
        assert!(this.start_time > 0);
        let chain = ancestors(this.pid);
        assert_eq!(
            chain.first().copied(),
            Some(rustix::process::getppid().unwrap().as_raw_pid())
        );
        assert!(!chain.contains(&this.pid));
    }

    #[test]
    fn r96_another_start_time_is_another_process() {
        let mut other = ProcessId::of(me()).unwrap();
        other.start_time += 1;
        assert!(!other.is_alive());
    }

    #[test]
    fn r96_a_process_that_ended_but_was_not_collected_is_not_alive() {
        let mut child = Command::new("/bin/true").spawn().unwrap();
        let id = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        let mut tries = 0;
        while id.is_alive() && tries < 500 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            tries += 1;
        }
        assert!(!id.is_alive());
        assert!(ProcessId::of(id.pid).is_ok(), "still a zombie");
        child.wait().unwrap();
        assert_eq!(ProcessId::of(id.pid).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn r95_descendants_include_grandchildren() {
        let mut child = Command::new("/bin/sh")
            .args(["-c", "sleep 30 & wait"])
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let mut below = Vec::new();
        for _ in 0..500 {
            below = descendants(pid);
            if !below.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(below.len(), 1);
        assert!(descendants(me()).iter().any(|p| p.pid == pid));
        assert!(descendants(me()).iter().any(|p| p.pid == below[0].pid));
        assert!(ancestors(below[0].pid).starts_with(&[pid, me()]));
        crate::signals::send(below[0], libc::SIGKILL).unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn identities_are_written_and_read_back() {
        let id = ProcessId {
            pid: 4711,
            start_time: 99,
        };
        assert_eq!(id.to_string(), "4711:99");
        assert_eq!("4711:99".parse(), Ok(id));
        for wrong in ["", "4711", "4711:", ":99", "-1:5", "0:5", "a:b", "1:2:3"] {
            assert!(wrong.parse::<ProcessId>().is_err(), "{wrong}");
        }
    }
}
