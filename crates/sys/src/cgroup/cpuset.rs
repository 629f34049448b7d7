//! On which processors a guest runs, and on which nodes its memory is.

use super::error::{CgroupError, Result};
use super::part::{Part, set};
use super::{EMULATOR, INNER, Scope};

impl Scope {
    /// Keeps the guest on these processors, a list as the kernel writes it: `0-3,7`.
    ///
    /// # Errors
    /// `NoController` where no hierarchy has cpusets; `Write` for a processor that is not there.
    pub fn set_processors(&self, list: &str) -> Result<()> {
        self.set_cpuset("cpuset.cpus", list)
    }

    /// Takes the guest's memory from these NUMA nodes, a list as the kernel writes it.
    ///
    /// # Errors
    /// As [`Scope::set_processors`].
    pub fn set_memory_nodes(&self, list: &str) -> Result<()> {
        self.set_cpuset("cpuset.mems", list)
    }

    /// Keeps the threads of one part on these processors. Returns whether there is a group for that; where there is none, the
    /// threads' own affinity has to do.
    ///
    /// # Errors
    /// `Write` for a processor that is not there.
    pub fn set_processors_of(&self, part: Part, list: &str) -> Result<bool> {
        self.set_cpuset_of(part, "cpuset.cpus", list)
    }

    /// Takes the memory of one part's threads from these NUMA nodes. Returns whether there is a group for that.
    ///
    /// # Errors
    /// `Write` for a node that is not there.
    pub fn set_memory_nodes_of(&self, part: Part, list: &str) -> Result<bool> {
        self.set_cpuset_of(part, "cpuset.mems", list)
    }

    fn set_cpuset_of(&self, part: Part, file: &str, list: &str) -> Result<bool> {
        match self.file(part, file) {
            Some(file) => set(&file, list).map(|()| true),
            None => Ok(false),
        }
    }

    /// The innermost group first: in version 1 no group may have less than the groups in it.
    fn set_cpuset(&self, file: &str, list: &str) -> Result<()> {
        let mut found = false;
        for path in &self.paths {
            let inner = path.join(INNER);
            for group in [inner.join(EMULATOR), inner, path.clone()] {
                let file = group.join(file);
                if file.exists() {
                    set(&file, list)?;
                    found = true;
                }
            }
        }
        match found {
            true => Ok(()),
            false => Err(CgroupError::NoController("cpuset")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn all_groups_of_a_guest_are_kept_together() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join(INNER);
        fs::create_dir_all(inner.join(EMULATOR)).unwrap();
        let groups = [dir.path().to_owned(), inner.clone(), inner.join(EMULATOR)];
        for group in &groups {
            fs::write(group.join("cpuset.cpus"), "0-3").unwrap();
        }
        let scope = Scope {
            name: "s".to_owned(),
            paths: vec![dir.path().to_owned()],
            entrances: Vec::new(),
        };
        scope.set_processors("1").unwrap();
        for group in &groups {
            assert_eq!(fs::read_to_string(group.join("cpuset.cpus")).unwrap(), "1");
        }
        let missing = scope.set_memory_nodes("0").unwrap_err();
        assert_eq!(missing.to_string(), "cgroup cpuset controller is not mounted");
    }
}
