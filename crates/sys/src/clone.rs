//! Children that go on with the caller's code, in new namespaces or not, and what becomes of them. For small programs with one
//! thread: in such a child everything may be done that the parent could do. Who has more threads is refused.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::thread::{ThreadNameSpaceType, UnshareFlags};

use crate::launch::pointers;

/// A namespace that a child gets new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Namespace {
    /// Mounts.
    Mount = libc::CLONE_NEWNS,
    /// Process numbers; the child is number 1.
    Pid = libc::CLONE_NEWPID,
    /// System V IPC and message queues.
    Ipc = libc::CLONE_NEWIPC,
    /// Host name.
    Uts = libc::CLONE_NEWUTS,
    /// Network devices.
    Net = libc::CLONE_NEWNET,
    /// Users.
    User = libc::CLONE_NEWUSER,
    /// What of the control groups is seen.
    Cgroup = libc::CLONE_NEWCGROUP,
}

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Side {
    /// The one that called, with the child's number in its own pid namespace, and a handle to it.
    Parent(i32, OwnedFd),
    /// The new one.
    Child,
}

/// Makes a child in new namespaces. A `sibling` is not the caller's child but its parent's.
///
/// # Errors
/// `EBUSY` when this process has more than one thread, `EPERM`, `ENOSPC` (too many namespaces) and others of `clone3`.
pub fn clone(namespaces: &[Namespace], sibling: bool) -> io::Result<Side> {
    let mut flags = if sibling { libc::CLONE_PARENT } else { 0 };
    for namespace in namespaces {
        flags |= *namespace as i32;
    }
    clone_with(u64::from(flags.cast_unsigned()), None)
}

/// Makes a child that is in this control group of version 2 from the beginning, which costs nothing; a move there waits some 10 ms.
///
/// # Errors
/// `EBUSY` when this process has more than one thread or the group has groups below it that share its controllers, `ENOSYS` and
/// `EINVAL` of a kernel before 5.7, `EACCES`, and others of `clone3`.
pub(crate) fn clone_into(group: BorrowedFd<'_>) -> io::Result<Side> {
    /// Not of [`libc`]'s type for flags, as it is beyond 32 bits.
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    clone_with(CLONE_INTO_CGROUP, Some(group))
}

fn clone_with(flags: u64, group: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let mut pidfd: libc::c_int = -1;
    // SAFETY: plain data, for which all zero is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.pidfd = (&raw mut pidfd).addr() as u64;
    args.flags = flags | libc::CLONE_PIDFD as u64;
    if flags & libc::CLONE_PARENT as u64 == 0 {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(group) = group {
        args.cgroup = u64::from(group.as_raw_fd().cast_unsigned());
    }
    // SAFETY: no memory is shared and no stack given, so the child goes on with a copy of everything, as after fork; there
    // is one thread, so no lock is held by somebody who is missing in the child. The kernel writes to `pidfd` only.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        ..0 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        pid => {
            // SAFETY: the kernel just made this descriptor and nobody else knows it.
            let handle = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Side::Parent(i32::try_from(pid).unwrap_or(i32::MAX), handle))
        }
    }
}

/// The process that a pidfd means, by its number in the pid namespace of `/proc`; `None` when it is gone.
pub fn pid_of(pidfd: impl AsFd) -> Option<i32> {
    let info = format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(info).ok()?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    number.trim().parse().ok().filter(|pid| *pid > 0)
}

/// Sends a signal through a pidfd.
///
/// # Errors
/// `ESRCH` when the process is gone, `EINVAL` for no signal.
pub fn signal(pidfd: &OwnedFd, signal: i32) -> io::Result<()> {
    crate::pidfd::send_to(pidfd, signal)
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// Collects a child that has ended: its number and how. `None`: none has ended (or, when told to wait, there is none).
///
/// # Errors
/// What `waitpid` says, but for `ECHILD` and `EINTR`.
pub fn collect(wait: bool) -> io::Result<Option<(i32, End)>> {
    loop {
        let mut status = 0;
        let flags = if wait { 0 } else { libc::WNOHANG };
        // SAFETY: `status` is a valid place for the kernel to write to.
        let pid = unsafe { libc::waitpid(-1, &mut status, flags) };
        match pid {
            0 => return Ok(None),
            1.. if libc::WIFEXITED(status) => {
                return Ok(Some((pid, End::Exited(libc::WEXITSTATUS(status)))));
            }
            1.. if libc::WIFSIGNALED(status) => {
                return Ok(Some((pid, End::Signaled(libc::WTERMSIG(status)))));
            }
            1.. => {}
            _ => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EINTR) => {}
                error if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
                error => return Err(error),
            },
        }
    }
}

/// Ends the process at once: nothing that the parent has buffered too is written a second time.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(status) }
}

/// The process becomes another program: `args` with argv\[0\] in front, `env` as `NAME=value`. Returns only when that failed.
pub fn exec(path: &CString, args: &[CString], env: &[CString]) -> io::Error {
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: path and all strings end with a zero byte, both arrays with a null pointer; all live across the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// The calling process gets mounts of its own.
///
/// # Errors
/// `EPERM`, `ENOSPC`.
pub fn unshare_mounts() -> io::Result<()> {
    // SAFETY: no descriptor table is unshared, which is what could make descriptors of other threads invalid.
    Ok(unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?)
}

/// The calling process enters the mounts of another one; its root and working directory are then the root of those.
///
/// # Errors
/// `EPERM`, `ESRCH` when the process is gone.
pub fn enter_mounts(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::thread::move_into_thread_name_spaces(
        pidfd,
        ThreadNameSpaceType::MOUNT,
    )?)
}

/// The process leaves the keys that it got from its parent, for an empty set. Nothing to do where the kernel knows no keys.
///
/// # Errors
/// `EDQUOT` and others of `keyctl`.
pub fn new_session_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: the name is a null pointer, which asks for a new anonymous keyring.
    let done = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    };
    match io::Error::last_os_error() {
        error if done < 0 && error.raw_os_error() != Some(libc::ENOSYS) => Err(error),
        _ => Ok(()),
    }
}

/// For a child that never returns to its caller: closes every descriptor from 3 on but these. Objects of the parent's that own
/// one must not be used or dropped any more.
pub fn close_others(keep: &[BorrowedFd<'_>]) {
    let keep: Vec<_> = keep.iter().map(AsRawFd::as_raw_fd).collect();
    close_all_but(&keep);
}

/// The same for numbers, which are of no object yet.
pub(crate) fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = { keep.iter() }
        .filter_map(|fd| u32::try_from(*fd).ok())
        .filter(|fd| *fd >= 3)
        .collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if fd > first {
            // SAFETY: by contract nothing in this process uses the descriptors between those that are kept.
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) };
        }
        first = fd.saturating_add(1);
    }
}

/// Every descriptor from 3 on is closed when the process becomes another program.
pub fn close_all_on_exec() {
    crate::socket::close_on_exec_from(3);
}

/// Takes a descriptor that the program was started with, under another number; the old number is closed. For the
/// beginning of a main function, once for each number.
///
/// # Errors
/// `EBADF` when there is none, or a standard descriptor is meant.
pub fn take_inherited(number: i32) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: duplicates a descriptor, whatever it is; the result is checked before it is owned.
    let fd = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the program was started with it, so by contract no object of this process owns it.
    unsafe { libc::close(number) };
    // SAFETY: the kernel just made this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_threads_is_refused() {
        let stop = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || stop.1.recv());
        let error = clone(&[], false).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
        drop(stop.0);
        assert!(thread.join().unwrap().is_err());
    }

    #[test]
    fn a_pidfd_tells_its_number_while_the_process_is_there() {
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("30")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let handle = rustix::process::pidfd_open(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::PidfdFlags::empty(),
        )
        .unwrap();
        assert_eq!(pid_of(&handle), Some(pid));
        signal(&handle, libc::SIGKILL).unwrap();
        child.wait().unwrap();
        assert_eq!(pid_of(&handle), None);
        assert_eq!(signal(&handle, 9).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn standard_descriptors_and_missing_ones_cannot_be_taken() {
        for number in [-1, 0, 2, 1_000_000] {
            let error = take_inherited(number).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{number}");
        }
    }
}
