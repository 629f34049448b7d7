//! Spawning a script: what `posix_spawn` does, but with every signal at its default. (glibc's leaves two real-time signals
//! ignored in what it starts, which an exec keeps.)

use std::ffi::{CString, OsStr, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use super::message::Script;
use super::steps::{self, NotStarted, Steps};
use super::surroundings::Step;
use crate::signals;

/// Enough for the few calls between clone and exec.
const STACK_BYTES: usize = 64 << 10;

/// Everything that the child needs, made before it exists: it only makes system calls.
struct Plan {
    path: CString,
    args: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    fds: [RawFd; 3],
    /// What the child does besides; null in the usual case.
    steps: *const Steps,
    /// Written by the child when it fails; it shares our memory.
    errno: c_int,
    /// Written together with it.
    step: Step,
}

/// Starts the script in its own process group with these descriptors as 0, 1 and 2 (their numbers are above 2) and no
/// other, after these steps. Only for programs with one thread and no signal handlers.
///
/// # Errors
/// The kernel's reason when it cannot be executed, or a step cannot be done.
pub(super) fn spawn(
    script: &Script,
    fds: [BorrowedFd<'_>; 3],
    steps: Option<&Steps>,
) -> Result<i32, NotStarted> {
    let failed = NotStarted::at(Step::Exec);
    let strings = Strings::of(script).map_err(&failed)?;
    let mut plan = Plan {
        args: pointers(&strings.args),
        env: pointers(&strings.env),
        path: strings.path,
        fds: fds.map(|fd| fd.as_raw_fd()),
        steps: steps.map_or(std::ptr::null(), std::ptr::from_ref),
        errno: 0,
        step: Step::Exec,
    };
    let pid = clone_and_wait(&mut plan).map_err(&failed)?;
    // SAFETY: the child wrote the fields behind the compiler's back, before this thread went on.
    let (errno, step) = unsafe {
        (
            (&raw const plan.errno).read_volatile(),
            (&raw const plan.step).read_volatile(),
        )
    };
    if errno == 0 {
        return Ok(pid);
    }
    // SAFETY: collects our own child, which has called _exit; its status is of no interest.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    Err(NotStarted { errno, step })
}

/// The script's own strings as C wants them.
struct Strings {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Strings {
    fn of(script: &Script) -> io::Result<Strings> {
        let args = [&script.program]
            .into_iter()
            .chain(&script.args)
            .map(|arg| text(arg))
            .collect::<io::Result<Vec<_>>>()?;
        let env = script
            .env
            .iter()
            .map(|(name, value)| variable(name, value))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Strings {
            path: text(&script.program)?,
            args,
            env,
        })
    }
}

/// Starts the child and sleeps until it has executed the script or given up.
fn clone_and_wait(plan: &mut Plan) -> io::Result<i32> {
    let mut stack = vec![0u128; STACK_BYTES / size_of::<u128>()];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: with CLONE_VFORK this thread, the only one, sleeps until the child has called execve or _exit, so plan, strings,
    // steps and stack outlive the child's use of them and nobody else touches them meanwhile. The stack is 16 byte aligned, grows
    // down from its end and is large enough for `child`, which makes system calls only. Without CLONE_FILES and
    // CLONE_SIGHAND the child changes its own descriptors and signals.
    let pid = unsafe {
        let top = stack.as_mut_ptr_range().end.cast::<c_void>();
        libc::clone(child, top, flags, std::ptr::from_mut(plan).cast())
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(pid)
}

/// The child: becomes the script, or notes why it cannot.
extern "C" fn child(plan: *mut c_void) -> c_int {
    let plan = plan.cast::<Plan>();
    // SAFETY: `plan` is the parent's, alive and untouched while the parent sleeps; only numbers and pointers to prepared
    // arrays are read from it. Nothing here allocates or unwinds.
    unsafe {
        libc::setpgid(0, 0);
        let fds = (*plan).fds;
        for (place, fd) in (0..).zip(fds) {
            if libc::dup2(fd, place) < 0 {
                give_up(plan, Step::Exec)
            }
        }
        if let Some(steps) = (*plan).steps.as_ref()
            && let Err(step) = steps.take()
        {
            give_up(plan, step)
        }
        // The keeper has all its signals at their defaults, and this process has its own copy of that.
        signals::unblock_all();
        libc::execve((*plan).path.as_ptr(), (*plan).args.as_ptr(), (*plan).env.as_ptr());
        give_up(plan, Step::Exec)
    }
}

/// # Safety
/// `plan` is the parent's plan, and the parent sleeps.
unsafe fn give_up(plan: *mut Plan, step: Step) -> ! {
    // SAFETY: as promised by the caller; errno is never 0 after a failed call.
    unsafe {
        (&raw mut (*plan).errno).write_volatile(steps::errno());
        (&raw mut (*plan).step).write_volatile(step);
        libc::_exit(127)
    }
}

fn text(bytes: &OsStr) -> io::Result<CString> {
    CString::new(bytes.as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn variable(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    text(OsStr::from_bytes(
        &[name.as_bytes(), b"=", value.as_bytes()].concat(),
    ))
}

/// An array as C wants it: the strings' addresses, then null.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}
