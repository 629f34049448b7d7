//! Users of the machine by name, as the C library's name service knows them.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The largest entry that is read, and the most groups that the kernel takes.
const LARGEST_ENTRY: usize = 1 << 20;
const MOST_GROUPS: usize = 1 << 16;

/// What a process takes on to be somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// A user as the machine knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its numbers.
    pub identity: Identity,
    /// Its name.
    pub name: OsString,
    /// Its home directory.
    pub home: PathBuf,
}

/// Looks for a user by name, or by number: `107` when nobody has that name, `+107` in any case. May ask a directory
/// service and load its modules: for a thread that may wait, in a program that stays.
///
/// # Errors
/// `NotFound` when there is none (a number without an entry has no group and no home, so it is none either); what the name
/// service says otherwise.
pub fn lookup(name: &str) -> io::Result<User> {
    let by_number = |text: &str| match text.parse() {
        Ok(uid) => entry(Key::Number(uid)),
        Err(_) => Err(io::ErrorKind::NotFound.into()),
    };
    if let Some(number) = name.strip_prefix('+') {
        return by_number(number);
    }
    let key = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    match entry(Key::Name(&key)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => by_number(name),
        other => other,
    }
}

enum Key<'a> {
    Name(&'a CStr),
    Number(u32),
}

fn entry(key: Key<'_>) -> io::Result<User> {
    let mut text = vec![0 as c_char; 1 << 10];
    loop {
        // SAFETY: plain data, for which all zero is a valid value.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found: *mut libc::passwd = std::ptr::null_mut();
        // SAFETY: the name ends with a zero byte; the C library writes into `entry`, `found` and, no further than its length,
        // into `text`, all of which outlive the call.
        let errno = unsafe {
            let (at, length) = (text.as_mut_ptr(), text.len());
            match key {
                Key::Name(name) => libc::getpwnam_r(name.as_ptr(), &mut entry, at, length, &mut found),
                Key::Number(uid) => libc::getpwuid_r(uid, &mut entry, at, length, &mut found),
            }
        };
        match errno {
            0 if found.is_null() => return Err(io::ErrorKind::NotFound.into()),
            // SAFETY: found, so its strings are set, end with a zero byte and lie in `text`, which is still there.
            0 => return unsafe { user(&entry) },
            libc::EINTR => {}
            libc::ERANGE if text.len() < LARGEST_ENTRY => text.resize(text.len() * 4, 0),
            // What some name services say instead of "not found".
            libc::ENOENT | libc::ESRCH => return Err(io::ErrorKind::NotFound.into()),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// # Safety
/// The strings of `entry` are valid.
unsafe fn user(entry: &libc::passwd) -> io::Result<User> {
    let text = |at: *const c_char| match at.is_null() {
        true => c"",
        // SAFETY: valid, as promised by the caller.
        false => unsafe { CStr::from_ptr(at) },
    };
    let (name, home) = (text(entry.pw_name), text(entry.pw_dir));
    Ok(User {
        identity: Identity {
            uid: entry.pw_uid,
            gid: entry.pw_gid,
            groups: groups(name, entry.pw_gid)?,
        },
        name: OsStr::from_bytes(name.to_bytes()).to_owned(),
        home: OsStr::from_bytes(home.to_bytes()).into(),
    })
}

/// All groups of a user, its own among them.
fn groups(name: &CStr, gid: u32) -> io::Result<Vec<u32>> {
    let mut groups: Vec<u32> = vec![0; 64];
    loop {
        let mut count = c_int::try_from(groups.len()).unwrap_or(c_int::MAX);
        // SAFETY: the name ends with a zero byte; no more than `count` groups are written, and `groups` has that many.
        let done = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
        let wanted = usize::try_from(count).unwrap_or(0);
        if done >= 0 {
            groups.truncate(wanted);
            return Ok(groups);
        }
        if groups.len() >= MOST_GROUPS {
            return Err(io::Error::from_raw_os_error(libc::EOVERFLOW));
        }
        groups.resize(wanted.max(groups.len() * 2).min(MOST_GROUPS), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let root = lookup("root").unwrap();
        assert_eq!((root.identity.uid, root.identity.gid), (0, 0));
        assert!(root.identity.groups.contains(&0));
        assert!(root.home.is_absolute());
        assert_eq!(root.name, "root");
        assert_eq!(lookup("0").unwrap(), root);
        assert_eq!(lookup("+0").unwrap(), root);
    }

    #[test]
    fn who_is_not_there_is_not_found() {
        for name in [
            "no-such-user-here",
            "",
            "+root",
            "+",
            "4294967294",
            "-1",
            "a\0b",
            "roo",
        ] {
            assert_eq!(
                lookup(name).unwrap_err().kind(),
                io::ErrorKind::NotFound,
                "{name:?}"
            );
        }
    }
}
