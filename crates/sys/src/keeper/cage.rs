//! A keeper's own control group: what is born in it cannot leave by starting a new session, and can be ended at one stroke.
//!
//! Where there are no control groups, or none that may be changed, there is no cage and nothing is lost but that stroke: a
//! tree that forks faster than it is killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cgroup::hierarchy::{self, Kind};
use crate::process::ProcessId;
use crate::signals;

/// What the directories are called; the process number follows.
const PREFIX: &str = "ferrovirt-hook-";

/// How often a group is read again while it is emptied.
const ROUNDS: usize = 20;

/// The control group of one keeper.
pub(super) struct Cage {
    kind: Kind,
    parent: PathBuf,
    directory: PathBuf,
}

impl Cage {
    /// Makes the group below the one that this process is in, and moves it there.
    pub(super) fn enter() -> Option<Cage> {
        let (kind, parent) = hierarchy::own_for_freezing()?;
        sweep(&parent, PREFIX);
        let directory = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&directory).ok()?;
        let cage = Cage {
            kind,
            parent,
            directory,
        };
        match join(&cage.directory) {
            Ok(()) => Some(cage),
            Err(_) => {
                let _ = fs::remove_dir(&cage.directory);
                None
            }
        }
    }

    /// Kills everything in the group but this process, which steps out for the moment.
    pub(super) fn kill_all(&self) {
        if join(&self.parent).is_err() {
            return;
        }
        match self.kind {
            // Kernels before 5.14 lack the file; the caller kills one by one anyway.
            Kind::V2 => drop(put(&self.directory.join("cgroup.kill"), "1")),
            Kind::Freezer => {
                let state = self.directory.join("freezer.state");
                let _ = put(&state, "FROZEN");
                for _ in 0..ROUNDS {
                    let members = hierarchy::members(&self.directory);
                    for member in members.iter().filter_map(|pid| ProcessId::of(*pid).ok()) {
                        let _ = signals::send(member, libc::SIGKILL);
                    }
                    if fs::read_to_string(&state).is_ok_and(|state| state.trim() == "FROZEN") {
                        break;
                    }
                }
                let _ = put(&state, "THAWED");
            }
        }
        // A keeper that stays outside works all the same.
        let _ = join(&self.directory);
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let _ = join(&self.parent);
        // Not empty when something outlives the keeper: the next keeper sweeps.
        let _ = fs::remove_dir(&self.directory);
    }
}

/// Removes the empty groups with this prefix whose keepers are gone.
pub(super) fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix));
        let Some(pid) = number.and_then(|number| number.parse::<u32>().ok()) else {
            continue;
        };
        // One that was just made is empty too, and its keeper still needs it. Our own number was a dead keeper's before.
        let is_others = pid != std::process::id() && Path::new("/proc").join(pid.to_string()).exists();
        if !is_others && hierarchy::members(&entry.path()).is_empty() {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn join(group: &Path) -> io::Result<()> {
    put(&hierarchy::entrance(group), "0")
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    hierarchy::put(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_of_keepers_that_are_gone_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let own = format!("x-{}", std::process::id());
        // Process numbers end far below the last one.
        let all = ["x-1", own.as_str(), "x-2000000000", "x-other", "y-2000000000"];
        for name in all {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        sweep(dir.path(), "x-");
        let left = all.map(|name| dir.path().join(name).exists());
        assert_eq!(left, [true, false, false, true, true]);
    }
}
