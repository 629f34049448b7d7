//! What a script may be given that is not the daemon's own: another user, another directory, a sandbox.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::frame::{Broken, Reader, Writer};
use crate::users::Identity;

/// Where a script differs from the daemon. The default is: nowhere (R8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Who it runs as. The pipes become this user's, so that it can open `/dev/stdout` and `/dev/stderr`.
    pub user: Option<Identity>,
    /// Its working directory, entered as that user.
    pub cwd: Option<PathBuf>,
    /// What is kept from it.
    pub sandbox: Option<Sandbox>,
}

/// What is kept from a script and from everything that it starts. What cannot be kept from it, the script does not run
/// without.
///
/// With `read_only_root`, or without `network`, no program makes it root either (`sudo` and the like).
///
/// It holds mistakes, and programs of ordinary users. A script of root with all its capabilities finds ways out of any of it
/// (`nsenter`, another control group): where that matters, give it a user too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// No file can be written, made, renamed or removed but below `writable`, in `/proc/self`, and through `/dev/null`,
    /// `/dev/zero`, `/dev/full` and the pipes that it was given. (Modes, owners and times of files are no part of this:
    /// Landlock leaves them to the ordinary permissions.)
    pub read_only_root: bool,
    /// Files and directories that stay writable; each must exist.
    pub writable: Vec<PathBuf>,
    /// Whether it has the host's network; otherwise it has none, not even a loopback that is up. Unix sockets with a path
    /// work all the same.
    pub network: bool,
    /// The most memory that the whole tree has, swap included.
    pub memory_bytes: Option<u64>,
    /// The most processor time that the whole tree gets; 100 is one processor.
    pub cpu_percent: Option<u32>,
}

/// Nothing is kept from the script.
impl Default for Sandbox {
    fn default() -> Sandbox {
        Sandbox {
            read_only_root: false,
            writable: Vec::new(),
            network: true,
            memory_bytes: None,
            cpu_percent: None,
        }
    }
}

/// At what the start of a script failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The kernel does not execute it.
    Exec,
    /// It could not become the user.
    User,
    /// The working directory could not be entered.
    Directory,
    /// Something could not be kept from it.
    Sandbox,
}

const STEPS: [Step; 4] = [Step::Exec, Step::User, Step::Directory, Step::Sandbox];

impl Step {
    pub(super) fn encode(self) -> u8 {
        self as u8
    }

    pub(super) fn decode(byte: u8) -> Result<Step, Broken> {
        let step = STEPS.into_iter().find(|step| step.encode() == byte);
        step.ok_or(Broken("no step of a start"))
    }
}

impl Surroundings {
    /// The usual case is one byte.
    pub(super) fn encode(&self, w: Writer) -> Writer {
        let special = (*self != Surroundings::default()).then_some(self);
        w.option(special, |w, it| {
            w.option(it.user.as_ref(), put_user)
                .option(it.cwd.as_deref(), put_path)
                .option(it.sandbox.as_ref(), put_sandbox)
        })
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Surroundings, Broken> {
        let special = r.option(|r| {
            Ok(Surroundings {
                user: r.option(user)?,
                cwd: r.option(path)?,
                sandbox: r.option(sandbox)?,
            })
        })?;
        Ok(special.unwrap_or_default())
    }
}

fn put_user(w: Writer, it: &Identity) -> Writer {
    w.u32(it.uid)
        .u32(it.gid)
        .list(&it.groups, |w, group| w.u32(*group))
}

fn user(r: &mut Reader<'_>) -> Result<Identity, Broken> {
    Ok(Identity {
        uid: r.u32()?,
        gid: r.u32()?,
        groups: r.list(Reader::u32)?,
    })
}

fn put_path(w: Writer, path: &Path) -> Writer {
    w.bytes(path.as_os_str().as_bytes())
}

fn path(r: &mut Reader<'_>) -> Result<PathBuf, Broken> {
    r.os().map(PathBuf::from)
}

fn put_sandbox(w: Writer, it: &Sandbox) -> Writer {
    w.byte(it.read_only_root.into())
        .list(&it.writable, |w, path| put_path(w, path))
        .byte(it.network.into())
        .option(it.memory_bytes, Writer::u64)
        .option(it.cpu_percent, Writer::u32)
}

fn sandbox(r: &mut Reader<'_>) -> Result<Sandbox, Broken> {
    Ok(Sandbox {
        read_only_root: r.flag()?,
        writable: r.list(path)?,
        network: r.flag()?,
        memory_bytes: r.option(Reader::u64)?,
        cpu_percent: r.option(Reader::u32)?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::frame::HEADER;
    use proptest::prelude::*;

    /// Any surroundings, the usual ones among them.
    pub(in crate::keeper) fn any_surroundings() -> impl Strategy<Value = Surroundings> {
        let user = (any::<u32>(), any::<u32>(), any::<Vec<u32>>()).prop_map(|(uid, gid, groups)| Identity {
            uid,
            gid,
            groups,
        });
        let sandbox = (
            any::<(bool, bool)>(),
            proptest::collection::vec("/.*", 0..4),
            any::<(Option<u64>, Option<u32>)>(),
        );
        let sandbox = sandbox.prop_map(|(flags, writable, limits)| Sandbox {
            read_only_root: flags.0,
            network: flags.1,
            writable: writable.into_iter().map(PathBuf::from).collect(),
            memory_bytes: limits.0,
            cpu_percent: limits.1,
        });
        let all = (
            proptest::option::of(user),
            proptest::option::of("/.*"),
            proptest::option::of(sandbox),
        );
        all.prop_map(|(user, cwd, sandbox)| Surroundings {
            user,
            cwd: cwd.map(PathBuf::from),
            sandbox,
        })
    }

    #[test]
    fn r8_the_usual_surroundings_are_one_byte() {
        let message = Surroundings::default().encode(Writer::new(1)).finish().unwrap();
        assert_eq!(message[HEADER..], [1, 0]);
    }

    #[test]
    fn steps_come_back_as_they_went() {
        for step in STEPS {
            assert_eq!(Step::decode(step.encode()), Ok(step));
        }
        assert!(Step::decode(4).is_err());
    }

    proptest! {
        #[test]
        fn surroundings_come_back_as_they_went(it in any_surroundings()) {
            let message = it.encode(Writer::new(1)).finish().unwrap();
            let mut reader = Reader::new(&message[HEADER + 1..]);
            prop_assert_eq!(Surroundings::decode(&mut reader), Ok(it));
            prop_assert!(reader.end().is_ok());
        }
    }
}
