//! How soon a thread that wakes up gets a processor.

use std::mem::size_of;

/// The shortest slice that the kernel grants, in nanoseconds. Kernels before 6.12 know none, and let it be.
const SLICE: u64 = 100_000;

/// The niceness of a thread that answers: ten guests that boot weigh less together.
const NICE: i32 = -10;

const RESET_ON_FORK: u64 = libc::SCHED_FLAG_RESET_ON_FORK as u64;

/// Lets this thread run as soon as it has something to do, in short turns. A thread that answers clients has little to
/// do, but it must not wait behind forty guests that boot (R90). Threads and processes that it starts are as if nothing
/// had been asked for.
///
/// Where the daemon has a niceness of its own, or no right to a lower one, everything stays as it is.
pub fn answer_at_once() {
    // SAFETY: takes numbers only; 0 means this thread.
    let own = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    // What it starts falls back to 0, so another niceness would be lost.
    if own == 0 {
        ask(NICE);
    }
}

fn ask(nice: i32) {
    let wish = libc::sched_attr {
        // A structure of a few dozen bytes.
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or_default(),
        sched_policy: libc::SCHED_OTHER.cast_unsigned(),
        sched_flags: RESET_ON_FORK,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SLICE,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads the structure, whose size it is told, and writes nothing.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wish, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn r8_what_such_a_thread_starts_knows_nothing_of_it() {
        let own = "grep -h -E '^(policy|prio|se.slice)' /proc/self/sched; cut -d' ' -f19 /proc/self/stat; ulimit -e";
        let show = || Command::new("/bin/sh").args(["-c", own]).output().unwrap().stdout;
        let before = show();
        std::thread::spawn(move || {
            answer_at_once();
            assert_eq!(show(), before);
        })
        .join()
        .unwrap();
    }
}
