//! Between fork and exec: what the program shall be is set up here, what needs root first.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use super::orders::{Answer, Orders};
use super::title;
use crate::frame::HEADER;
use crate::{clone, signals, socket};

/// What failed, with the kernel's number.
type Failure = (String, i32);

/// Never returns: the process becomes the program, or it says why not on `report` and exits. It begins with the word on
/// `wait`, and exits when nobody is left to give it. With `begin` this process is the program already.
pub(super) fn become_program(
    orders: Orders,
    report: OwnedFd,
    mut wait: PipeReader,
    begin: Option<fn() -> ExitCode>,
) -> ! {
    if !matches!(wait.read(&mut [0]), Ok(1)) {
        // SAFETY: ends the process at once; nothing of the parent's is flushed a second time.
        unsafe { libc::_exit(126) }
    }
    drop(wait);
    let lowest_free = orders
        .fds
        .iter()
        .map(|(_, number)| *number)
        .fold(3, |high, n| high.max(n.saturating_add(1)));
    let answer = match lift(report, lowest_free) {
        Ok(report) => {
            let kept: Vec<RawFd> = orders.fds.iter().map(|(_, number)| *number).collect();
            let answer = match (prepare(orders, lowest_free), begin) {
                (Ok(program), Some(begin)) => {
                    title::show(&program.args);
                    // As an exec would: with the rest goes `report`, which says that all went well.
                    clone::close_all_but(&kept);
                    let failed = begin() != ExitCode::SUCCESS;
                    clone::exit_now(failed.into());
                }
                (Ok(program), None) => Answer::NoExec(program.exec()),
                (Err((step, errno)), _) => Answer::Failed { step, errno },
            };
            tell(report, &answer);
            answer
        }
        Err(error) => Answer::Failed {
            step: "dup".to_owned(),
            errno: errno_of(&error),
        },
    };
    let status = if matches!(answer, Answer::NoExec(libc::ENOENT)) {
        127
    } else {
        126
    };
    // SAFETY: ends the process at once; nothing of the parent's is flushed a second time.
    unsafe { libc::_exit(status) }
}

fn tell(report: OwnedFd, answer: &Answer) {
    if let Ok(message) = answer.encode() {
        // A launcher that is gone cannot be told; there is nobody else.
        let _ = fs::File::from(report).write_all(&message[HEADER..]);
    }
}

/// The order matters: limits, groups of the kernel and the working directory while we may; then capabilities, groups,
/// user; signals last.
fn prepare(orders: Orders, lowest_free: RawFd) -> Result<Program, Failure> {
    let program = Program::new(&orders)?;
    if let Some(mask) = orders.umask {
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(mask));
    }
    limit("RLIMIT_NOFILE", libc::RLIMIT_NOFILE, orders.nofile)?;
    limit("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK, orders.memlock)?;
    limit("RLIMIT_CORE", libc::RLIMIT_CORE, orders.core)?;
    if let Some(score) = orders.oom_score_adj {
        step(
            "oom_score_adj",
            put("/proc/self/oom_score_adj".as_ref(), &score.to_string()),
        )?;
    }
    for file in &orders.cgroups {
        step(&format!("enter {}", file.display()), put(file, "0"))?;
    }
    let cwd = orders.cwd.as_deref().unwrap_or("/".as_ref());
    step(
        &format!("chdir {}", cwd.display()),
        std::env::set_current_dir(cwd),
    )?;
    let ids = (orders.uid, orders.gid, orders.groups.clone());
    let keep = orders.keep_capabilities;
    step("descriptors", arrange_descriptors(orders, lowest_free))?;
    if !keep {
        limit_capabilities();
    }
    change_user(ids)?;
    if !keep {
        step("capset", drop_capabilities())?;
    }
    signals::reset_all();
    Ok(program)
}

/// Path, arguments and environment in the form of `execve`.
struct Program {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    fn new(orders: &Orders) -> Result<Program, Failure> {
        let text = |bytes: &[u8]| {
            CString::new(bytes).map_err(|_| ("arguments with a zero byte".to_owned(), libc::EINVAL))
        };
        let path = text(orders.program.as_os_str().as_bytes())?;
        let args = [orders.program.as_os_str()]
            .into_iter()
            .chain(orders.args.iter().map(|arg| arg.as_os_str()))
            .map(|arg| text(arg.as_bytes()))
            .collect::<Result<_, _>>()?;
        let pair = |name: &OsStr, value: &OsStr| text(&[name.as_bytes(), b"=", value.as_bytes()].concat());
        let env = orders
            .env
            .iter()
            .map(|(name, value)| pair(name, value))
            .collect::<Result<_, _>>()?;
        Ok(Program { path, args, env })
    }

    /// Returns only when it failed, with the kernel's number.
    fn exec(&self) -> i32 {
        let args = pointers(&self.args);
        let env = pointers(&self.env);
        // SAFETY: path and all strings end with a zero byte, both arrays with a null pointer; all live across the call.
        unsafe { libc::execve(self.path.as_ptr(), args.as_ptr(), env.as_ptr()) };
        errno_of(&io::Error::last_os_error())
    }
}

/// An array as C wants it: the strings' addresses, then null.
pub(crate) fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

fn limit(name: &str, resource: libc::__rlimit_resource_t, value: Option<u64>) -> Result<(), Failure> {
    let Some(value) = value else { return Ok(()) };
    let both = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: `both` is a valid struct that the kernel only reads.
    let done = unsafe { libc::setrlimit(resource, &both) };
    step(name, check(done))
}

/// Descriptors are first moved out of each other's way, then to their places; all others close at exec.
fn arrange_descriptors(orders: Orders, lowest_free: RawFd) -> io::Result<()> {
    let mut places = vec![(socket::dev_null()?, 0)];
    places.push((orders.stdout.map_or_else(socket::dev_null, Ok)?, 1));
    places.push((orders.stderr.map_or_else(socket::dev_null, Ok)?, 2));
    if orders.fds.iter().any(|(_, number)| *number < 3) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    places.extend(orders.fds);
    let places = places
        .into_iter()
        .map(|(fd, number)| Ok((lift(fd, lowest_free)?, number)))
        .collect::<io::Result<Vec<_>>>()?;
    for (fd, number) in &places {
        // SAFETY: the place is a number that no Rust object owns: all of ours were lifted above it.
        check(unsafe { libc::dup2(fd.as_raw_fd(), *number) })?;
    }
    Ok(())
}

/// The same descriptor under a number not below `lowest`.
fn lift(fd: OwnedFd, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: duplicates a descriptor that we own; the result is checked before it is owned.
    let lifted = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest) };
    check(lifted)?;
    // SAFETY: the kernel just made this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(lifted) })
}

fn change_user((uid, gid, groups): (Option<u32>, Option<u32>, Option<Vec<u32>>)) -> Result<(), Failure> {
    if uid.is_none() && gid.is_none() && groups.is_none() {
        return Ok(());
    }
    let groups = groups.unwrap_or_default();
    // SAFETY: length and address belong to one vector. The plain C functions would reach all threads; there is one.
    let done = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
    step("setgroups", check(done))?;
    if let Some(gid) = gid {
        // SAFETY: takes numbers only.
        step("setgid", check(unsafe { libc::setresgid(gid, gid, gid) }))?;
    }
    if let Some(uid) = uid {
        // SAFETY: takes numbers only.
        step("setuid", check(unsafe { libc::setresuid(uid, uid, uid) }))?;
    }
    Ok(())
}

/// Empties the bounding set, so that an exec as root gives nothing back. Who may not do that has nothing to lose.
fn limit_capabilities() {
    for capability in 0..64 {
        // SAFETY: takes numbers only; one that this kernel does not know is refused.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
}

/// Gives up all capabilities: effective, permitted, inheritable.
fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    /// Version 3: two words of 32 bits for each of the three sets.
    const VERSION: u32 = 0x2008_0522;
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let data = [0u32; 6];
    // SAFETY: header and data have the layout of version 3 and live across the call.
    let done = unsafe { libc::syscall(libc::SYS_capset, &mut header, data.as_ptr()) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Writes to a file of the kernel: one write, no creation.
fn put(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(text.as_bytes())
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn step(name: &str, result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| (name.to_owned(), errno_of(&error)))
}

fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
