//! What can go wrong with limits and shares.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::errno_text;

/// Why a control group cannot be asked or told something. Texts name the file.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No hierarchy of this machine does that, or the guest has no group in it.
    #[error("cgroup {0} controller is not mounted")]
    NoController(&'static str),
    /// The kernel does not take the value.
    #[error("Unable to write to '{}': {}", path.display(), words(source))]
    Write {
        /// Which file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel does not give the value.
    #[error("Unable to read from '{}': {}", path.display(), words(source))]
    Read {
        /// Which file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A device that is none, or is not there.
    #[error("Path '{}' is not accessible: {}", path.display(), words(source))]
    Device {
        /// Its node.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A path that is no block device.
    #[error("Path '{}' must be a block device", .0.display())]
    NotBlock(PathBuf),
    /// A value that no kernel takes.
    #[error("{what} '{value}' must be in range [{first}, {last}]")]
    Range {
        /// What the value is.
        what: &'static str,
        /// The value.
        value: u64,
        /// The smallest one.
        first: u64,
        /// The largest one.
        last: u64,
    },
    /// A group that does not become still, or empty.
    #[error("control group '{}' is not {state} after {} ms", group.display(), after.as_millis())]
    Late {
        /// Which one.
        group: PathBuf,
        /// What was waited for.
        state: &'static str,
        /// How long.
        after: Duration,
    },
    /// The program that decides about devices cannot be loaded or attached.
    #[error("cannot {action} the device program of control group '{}': {}", group.display(), words(source))]
    Program {
        /// What was tried.
        action: &'static str,
        /// On which group.
        group: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

fn words(source: &io::Error) -> String {
    source
        .raw_os_error()
        .map_or_else(|| source.to_string(), errno_text)
}

impl CgroupError {
    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
        let path = path.to_owned();
        move |source| CgroupError::Write { path, source }
    }

    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
        let path = path.to_owned();
        move |source| CgroupError::Read { path, source }
    }
}

/// Result of what is done with limits and shares.
pub type Result<T> = std::result::Result<T, CgroupError>;
