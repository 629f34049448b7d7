//! Which group of a scope has a file: hierarchies differ in what they have, and versions in how it is called.

use std::fs;
use std::path::PathBuf;

use super::error::{CgroupError, Result};
use super::{EMULATOR, INNER, Scope, hierarchy};

/// A part of a guest that has a group of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// All threads but the virtual processors'.
    Emulator,
    /// The thread of one virtual processor.
    Vcpu(u32),
    /// One I/O thread.
    IoThread(u32),
}

impl Part {
    fn below(self) -> PathBuf {
        match self {
            Part::Whole => PathBuf::new(),
            Part::Emulator => [INNER, EMULATOR].iter().collect(),
            Part::IoThread(number) => PathBuf::from(INNER).join(format!("iothread{number}")),
            Part::Vcpu(number) => PathBuf::from(INNER).join(format!("vcpu{number}")),
        }
    }
}

impl Scope {
    /// The file of this name, in whichever hierarchy has it.
    pub(super) fn file(&self, part: Part, name: &str) -> Option<PathBuf> {
        let below = part.below();
        let files = self.paths.iter().map(|path| path.join(&below).join(name));
        files.into_iter().find(|file| file.exists())
    }

    /// The first of these files that is there, with its place in the list.
    pub(super) fn one_of(&self, part: Part, names: &[&str]) -> Option<(usize, PathBuf)> {
        let found = |(at, name): (usize, &&str)| Some((at, self.file(part, name)?));
        names.iter().enumerate().find_map(found)
    }

    /// Whether this part has a group of its own.
    pub fn has(&self, part: Part) -> bool {
        self.paths.iter().any(|path| path.join(part.below()).is_dir())
    }
}

/// Writes a value to one of the kernel's files.
pub(super) fn set(file: &std::path::Path, value: &str) -> Result<()> {
    hierarchy::put(file, value).map_err(CgroupError::write(file))
}

/// What one of the kernel's files says.
pub(super) fn get(file: &std::path::Path) -> Result<String> {
    let text = fs::read_to_string(file).map_err(CgroupError::read(file))?;
    Ok(text.trim().to_owned())
}

/// A number; `max` and what is too large for any machine are no limit.
pub(super) fn limit(text: &str) -> Option<u64> {
    /// What version 1 says where there is no limit is as much as the largest signed number, cut to whole pages.
    const NO_LIMIT: u64 = i64::MAX as u64 >> 14 << 14;
    text.parse().ok().filter(|value| *value < NO_LIMIT)
}
