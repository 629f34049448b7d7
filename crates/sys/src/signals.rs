//! Signals: what a program that is about to start others does with its own, and sending them without hitting a stranger.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::pidfd;
use crate::process::ProcessId;

/// The highest signal number of Linux.
const LAST_SIGNAL: i32 = 64;

/// Sends a signal to exactly this process.
///
/// # Errors
/// `ESRCH` when it is gone, also when its number belongs to another process by now.
pub fn send(to: ProcessId, signal: i32) -> io::Result<()> {
    pidfd::send_to(&pidfd::open_raw(to)?, signal)
}

/// Kills a whole process group whose leader is `leader`, if that process still leads it and is no older than
/// `not_before` (so that it is not a stranger with the same number).
///
/// # Errors
/// `ESRCH` when there is no such group any more.
pub fn kill_group(leader: i32, not_before: ProcessId) -> io::Result<()> {
    let gone = || io::Error::from_raw_os_error(libc::ESRCH);
    let pid = rustix::process::Pid::from_raw(leader).ok_or_else(gone)?;
    if crate::process::leader_start(leader).is_none_or(|start| start < not_before.start_time) {
        return Err(gone());
    }
    Ok(rustix::process::kill_process_group(
        pid,
        rustix::process::Signal::KILL,
    )?)
}

/// Every signal back to its default action, none blocked: what a program finds that is started from a shell.
/// For small programs before they exec; handlers that were installed are lost.
///
/// The C library keeps its hands on two signals (32, 33), refuses to change them, and ignores them in what `posix_spawn`
/// starts: so the kernel is asked directly.
pub fn reset_all() {
    /// `struct sigaction` of the kernel, on every architecture not longer than this; all zero is the default action.
    const DEFAULT: [u64; 8] = [0; 8];
    const MASK_BYTES: usize = 8;
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: the kernel reads one struct from `DEFAULT` and writes nothing; SIG_DFL installs no code. Numbers that
        // cannot be changed (9, 19) are refused.
        unsafe {
            let nothing = std::ptr::null_mut::<u8>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT.as_ptr(),
                nothing,
                MASK_BYTES,
            );
        }
    }
    unblock_all();
}

/// No signal blocked in the calling thread.
pub(crate) fn unblock_all() {
    set_mask(&empty_set());
}

/// Blocks these signals and returns a descriptor on which they arrive instead.
///
/// # Errors
/// When the kernel has no descriptor left.
pub fn descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    let mut set = empty_set();
    for signal in signals {
        // SAFETY: `set` is initialised; a wrong number is refused without effect.
        unsafe { libc::sigaddset(&mut set, *signal) };
    }
    set_mask(&set);
    // SAFETY: `set` is initialised and lives across the call.
    let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Replaces the mask of blocked signals of the calling thread.
fn set_mask(set: &libc::sigset_t) {
    // SAFETY: `set` is initialised; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set, std::ptr::null_mut()) };
}

/// The set without any signal.
fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the whole set and cannot fail for a valid pointer.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}
