//! How a script gets into its [`Surroundings`]: what can be done beforehand is done beforehand, by the keeper; the rest is
//! a handful of system calls between clone and exec.

use std::ffi::{CString, c_int};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use super::limits::Limits;
use super::sandbox;
use super::surroundings::{Sandbox, Step, Surroundings};
use crate::users::Identity;

/// Why a script could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotStarted {
    pub(super) errno: i32,
    pub(super) step: Step,
}

impl NotStarted {
    /// With the kernel's number where there is one.
    pub(super) fn at(step: Step) -> impl Fn(io::Error) -> NotStarted {
        move |error| NotStarted {
            errno: error.raw_os_error().unwrap_or(libc::EIO),
            step,
        }
    }
}

/// What the child does, in this order: control groups and network while it may, then the user, the directory with that
/// user's rights, and the file rules last.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The files through which groups are entered, open for writing.
    groups: Vec<OwnedFd>,
    no_network: bool,
    user: Option<User>,
    directory: Option<CString>,
    /// Otherwise a program that makes its caller root would let it out of the sandbox.
    no_new_privileges: bool,
    ruleset: Option<OwnedFd>,
}

#[derive(Debug)]
struct User {
    identity: Identity,
    /// An ordinary user may not set its groups, not even to what they are.
    set_groups: bool,
}

impl Steps {
    /// Nothing at all for the usual surroundings; otherwise what the child will do, and the limits that it will have.
    ///
    /// # Errors
    /// What cannot be prepared.
    pub(super) fn prepare(it: &Surroundings) -> Result<Option<(Steps, Option<Limits>)>, NotStarted> {
        if *it == Surroundings::default() {
            return Ok(None);
        }
        let mut steps = Steps {
            user: it.user.clone().map(User::new),
            ..Steps::default()
        };
        if let Some(path) = &it.cwd {
            let text = CString::new(path.as_os_str().as_bytes());
            let text = text.map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
            steps.directory = Some(text.map_err(NotStarted::at(Step::Directory))?);
        }
        let limits = match &it.sandbox {
            Some(sandbox) => steps.shut_in(sandbox).map_err(NotStarted::at(Step::Sandbox))?,
            None => None,
        };
        Ok(Some((steps, limits)))
    }

    fn shut_in(&mut self, sandbox: &Sandbox) -> io::Result<Option<Limits>> {
        self.no_network = !sandbox.network;
        self.no_new_privileges = self.no_network || sandbox.read_only_root;
        if sandbox.read_only_root {
            self.ruleset = Some(sandbox::ruleset(&sandbox.writable)?);
        }
        let limits = Limits::set(sandbox)?;
        if let Some(limits) = &limits {
            self.groups = limits.entrances()?;
        }
        Ok(limits)
    }

    /// Does it all. At the first failure the number is in the C library's `errno`.
    ///
    /// # Safety
    /// Only for the child between clone and exec, which shares the memory of a parent that sleeps: nothing here allocates
    /// or changes memory.
    pub(super) unsafe fn take(&self) -> Result<(), Step> {
        for group in &self.groups {
            // SAFETY: writes one byte of a constant.
            let written = unsafe { libc::write(group.as_raw_fd(), c"0".as_ptr().cast(), 1) };
            when(written == 1, Step::Sandbox)?;
        }
        if self.no_network {
            // SAFETY: changes the network namespace of this process only.
            let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            when(done == 0, Step::Sandbox)?;
        }
        if let Some(user) = &self.user {
            // SAFETY: as promised by the caller.
            let done = unsafe { user.become_it() };
            when(done, Step::User)?;
        }
        if let Some(directory) = &self.directory {
            // SAFETY: the path ends with a zero byte; without CLONE_FS the directory is this process's own.
            when(unsafe { libc::chdir(directory.as_ptr()) } == 0, Step::Directory)?;
        }
        if self.no_new_privileges {
            // SAFETY: takes numbers only; the flag is a task's own.
            let done = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            when(done == 0, Step::Sandbox)?;
        }
        if let Some(ruleset) = &self.ruleset {
            // SAFETY: as promised by the caller.
            let done = unsafe { sandbox::restrict_self(ruleset.as_raw_fd()) };
            when(done, Step::Sandbox)?;
        }
        Ok(())
    }
}

impl User {
    fn new(identity: Identity) -> User {
        let raw = |group: rustix::process::Gid| group.as_raw();
        let own = rustix::process::getgroups().unwrap_or_default();
        let own: Vec<u32> = own.into_iter().map(raw).collect();
        let set_groups = !same_groups(&own, &identity);
        User { identity, set_groups }
    }

    /// The bare system calls: the C library's would tell all threads of the program, and this is not its process.
    ///
    /// # Safety
    /// As [`Steps::take`].
    unsafe fn become_it(&self) -> bool {
        let Identity { uid, gid, groups } = &self.identity;
        let ok = |result: libc::c_long| result == 0;
        // SAFETY: number and address belong to one vector, which is only read; the others take numbers only. Credentials are
        // a task's own, not part of the shared memory; and from here on the kernel lets nobody without privileges
        // trace a process with this memory.
        unsafe {
            (!self.set_groups || ok(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr())))
                && ok(libc::syscall(libc::SYS_setresgid, *gid, *gid, *gid))
                && ok(libc::syscall(libc::SYS_setresuid, *uid, *uid, *uid))
        }
    }
}

/// Whether somebody who has the group of `identity` and the groups `own` has exactly its groups.
fn same_groups(own: &[u32], identity: &Identity) -> bool {
    let full = |groups: &[u32]| {
        let mut all = [groups, &[identity.gid]].concat();
        all.sort_unstable();
        all.dedup();
        all
    };
    full(own) == full(&identity.groups)
}

fn when(done: bool, step: Step) -> Result<(), Step> {
    if done { Ok(()) } else { Err(step) }
}

/// The number of the last failed system call.
///
/// # Safety
/// As [`Steps::take`].
pub(super) unsafe fn errno() -> c_int {
    // SAFETY: the address is always valid; no failed call leaves 0.
    unsafe { *libc::__errno_location() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r8_the_usual_surroundings_need_no_steps() {
        assert!(Steps::prepare(&Surroundings::default()).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_prepared_is_named() {
        let it = Surroundings {
            cwd: Some("/a\0b".into()),
            ..Surroundings::default()
        };
        let failed = Steps::prepare(&it).unwrap_err();
        let (errno, step) = (libc::EINVAL, Step::Directory);
        assert_eq!(failed, NotStarted { errno, step });
        let it = Surroundings {
            sandbox: Some(Sandbox {
                cpu_percent: Some(0),
                ..Sandbox::default()
            }),
            ..Surroundings::default()
        };
        assert_eq!(Steps::prepare(&it).unwrap_err().step, Step::Sandbox);
    }

    #[test]
    fn groups_that_one_has_need_not_be_set() {
        let identity = |groups: &[u32]| Identity {
            uid: 7,
            gid: 5,
            groups: groups.to_vec(),
        };
        assert!(same_groups(&[5, 6], &identity(&[6])));
        assert!(same_groups(&[6, 6], &identity(&[5, 6])));
        assert!(!same_groups(&[6, 7], &identity(&[6])));
        assert!(!same_groups(&[], &identity(&[6])));
    }
}
