//! On which processors a thread runs, and by which of the kernel's schedulers.

use std::io;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// A scheduler other than the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// For threads that calculate much.
    Batch,
    /// For threads that may wait for all others.
    Idle,
    /// Real time: until it waits.
    Fifo,
    /// Real time: in turns.
    RoundRobin,
}

/// Keeps a thread on these processors; those that the machine does not have are passed over.
///
/// # Errors
/// The thread has ended, none of the processors is there, or a number is beyond what the kernel counts.
pub fn keep_on(thread: i32, processors: impl IntoIterator<Item = u32>) -> io::Result<()> {
    let mut set = CpuSet::new();
    for number in processors {
        let number = number as usize;
        if number >= CpuSet::MAX_CPU {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        set.set(number);
    }
    let pid = Pid::from_raw(thread).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(sched_setaffinity(Some(pid), &set)?)
}

/// Gives a thread to another scheduler; the priority counts in real time only.
///
/// # Errors
/// The thread has ended, the priority is none, or the kernel does not allow it.
pub fn schedule(thread: i32, policy: Policy, priority: i32) -> io::Result<()> {
    let number = match policy {
        Policy::Batch => libc::SCHED_BATCH,
        Policy::Idle => libc::SCHED_IDLE,
        Policy::Fifo => libc::SCHED_FIFO,
        Policy::RoundRobin => libc::SCHED_RR,
    };
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the kernel reads one `sched_param` behind the pointer, which lives until the call returns.
    match unsafe { libc::sched_setscheduler(thread, number, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// All threads of a process.
///
/// # Errors
/// There is no such process.
pub fn threads_of(process: i32) -> io::Result<Vec<i32>> {
    let entries = std::fs::read_dir(format!("/proc/{process}/task"))?;
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    Ok(entries.flatten().filter_map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_kept_and_scheduled() {
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(threads_of(std::process::id() as i32).unwrap().contains(&own));
        let allowed = rustix::thread::sched_getaffinity(None).unwrap();
        let one = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).unwrap();
        keep_on(own, [one as u32]).unwrap();
        let now = rustix::thread::sched_getaffinity(None).unwrap();
        assert_eq!((now.count(), now.is_set(one)), (1, true));
        assert!(keep_on(own, [u32::MAX]).is_err());
        assert!(keep_on(own, []).is_err());
        schedule(own, Policy::Batch, 0).unwrap();
        // SAFETY: asks about a thread, by number.
        assert_eq!(unsafe { libc::sched_getscheduler(own) }, libc::SCHED_BATCH);
        assert!(schedule(own, Policy::Fifo, 1000).is_err());
    }
}
