//! What a call runs, in order, and what it does not run: the files of the catalogue, then the commands of rules, each with
//! the treatment that rules have for it. The call and `ferrovirt list` read the same plan.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ferrovirt_sys::users::{self, User};
use sha2::{Digest, Sha256};

use crate::catalogue::{Place, Wanted};
use crate::engine::Shared;
use crate::event::HookEvent;
use crate::policy::{Moment, Treatment};

/// More of a file than that is no script; its digest is not taken.
const LARGEST_DIGESTED: u64 = 16 << 20;

/// So many digests are remembered; a machine with more scripts takes some again.
const MOST_DIGESTS: usize = 512;

/// Where something that runs comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, and where it was found.
    File(Place),
    /// A rule of this name.
    Rule(String),
    /// Somebody named it: a replay or a simulation with another script.
    Named,
}

/// One thing that a call runs, or does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The script or program.
    pub path: PathBuf,
    /// Arguments before the four of the contract; rules have them.
    pub args: Vec<OsString>,
    /// Where it comes from.
    pub source: Source,
    /// How it is run.
    pub treatment: Treatment,
    /// Why it is not run.
    pub skipped: Option<String>,
    /// Why it is not to be trusted (R94).
    pub suspicion: Option<String>,
    /// SHA-256 of its file.
    pub digest: Option<[u8; 32]>,
    /// Who it runs as, if not as the daemon; or why that cannot be.
    pub user: Option<Result<User, String>>,
}

impl Planned {
    /// A script that somebody named, run as libvirt runs one.
    pub fn named(path: PathBuf) -> Planned {
        Planned {
            path,
            args: Vec::new(),
            source: Source::Named,
            treatment: Treatment::default(),
            skipped: None,
            suspicion: None,
            digest: None,
            user: None,
        }
    }
}

/// The plan of one call. Reads directories and asks for users: not for an async thread.
pub(crate) fn plan(
    shared: &Shared,
    event: &HookEvent,
    document: Option<&str>,
    uuid: Option<&str>,
) -> Vec<Planned> {
    let policy = shared.policy();
    let moment = Moment::new(event, document, uuid);
    let [object, operation, sub_operation, _] = event.argv();
    let files = shared.catalogue.files(&Wanted {
        driver: event.driver(),
        object: &object,
        uuid,
        operation: &operation,
        sub_operation: &sub_operation,
        for_scripts: event.for_scripts(),
    });
    let mut all: Vec<Planned> = files
        .into_iter()
        .map(|file| Planned {
            treatment: policy.for_script(&moment, &file.path),
            source: Source::File(file.place),
            skipped: file.skipped,
            suspicion: file.suspicion,
            ..Planned::named(file.path)
        })
        .collect();
    all.extend(policy.commands(&moment).into_iter().map(|added| Planned {
        args: added.command.args.into_iter().map(OsString::from).collect(),
        source: Source::Rule(added.rule),
        treatment: added.treatment,
        ..Planned::named(added.command.program)
    }));
    for planned in all.iter_mut().filter(|planned| planned.skipped.is_none()) {
        if shared.history.is_on() {
            planned.digest = shared.digests.of(&planned.path);
        }
        planned.user = planned.treatment.user.as_deref().map(user);
    }
    all
}

fn user(name: &str) -> Result<User, String> {
    users::lookup(name).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no user '{name}'"),
        _ => format!("cannot look for user '{name}': {error}"),
    })
}

/// What a file was when its digest was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// Digests of scripts, taken again only when a file has changed.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    known: Mutex<HashMap<PathBuf, (Version, [u8; 32])>>,
}

impl Digests {
    /// SHA-256 of the file; nothing when it cannot be read.
    pub(crate) fn of(&self, path: &Path) -> Option<[u8; 32]> {
        let metadata = std::fs::metadata(path).ok()?;
        let version = Version {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        if version.size > LARGEST_DIGESTED || !metadata.is_file() {
            return None;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, digest)) = known.get(path)
            && *then == version
        {
            return Some(*digest);
        }
        let digest = Sha256::digest(std::fs::read(path).ok()?).into();
        if known.len() >= MOST_DIGESTS {
            known.clear();
        }
        known.insert(path.to_owned(), (version, digest));
        Some(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r93_a_digest_is_taken_again_when_the_file_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let digests = Digests::default();
        assert_eq!(digests.of(&path), None);
        assert_eq!(digests.of(dir.path()), None);
        std::fs::write(&path, "").unwrap();
        let empty = digests.of(&path).unwrap();
        // The well-known digest of nothing.
        assert_eq!(empty[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(digests.of(&path), Some(empty));
        std::fs::write(&path, "x").unwrap();
        assert_ne!(digests.of(&path), Some(empty));
    }

    #[test]
    fn r93_what_is_too_large_for_a_script_has_no_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let digests = Digests::default();
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(16 << 20).unwrap();
        assert!(digests.of(&path).is_some());
        file.set_len((16 << 20) + 1).unwrap();
        assert_eq!(digests.of(&path), None);
    }

    #[test]
    fn r93_so_many_digests_are_remembered_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let digests = Digests::default();
        let known = |digests: &Digests| digests.known.lock().unwrap().len();
        for number in 0..MOST_DIGESTS {
            let path = dir.path().join(number.to_string());
            std::fs::write(&path, "").unwrap();
            digests.of(&path).unwrap();
        }
        assert_eq!(known(&digests), MOST_DIGESTS);
        std::fs::write(dir.path().join("one-more"), "").unwrap();
        digests.of(&dir.path().join("one-more")).unwrap();
        assert_eq!(known(&digests), 1);
    }
}
