//! The errors of this crate that are more than an `io::Error`: what was tried, on what, and what happened.

use std::io;
use std::path::PathBuf;

/// Why a program could not be launched by [`crate::launch::launch`].
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program itself cannot be executed; `errno` as `execve` gave it.
    #[error("cannot execute {}: {}", program.display(), errno_text(*errno))]
    Exec {
        /// What was to be executed.
        program: PathBuf,
        /// The kernel's number.
        errno: i32,
    },
    /// Something that had to be done between fork and exec failed.
    #[error("cannot start {}: {step}: {}", program.display(), errno_text(*errno))]
    Step {
        /// What was to be executed.
        program: PathBuf,
        /// The step, for example `setgroups`.
        step: String,
        /// The kernel's number.
        errno: i32,
    },
    /// `ferrovirt-launch` could not be started or did not answer.
    #[error("cannot start {} through {}: {source}", program.display(), helper.display())]
    Helper {
        /// What was to be executed.
        program: PathBuf,
        /// The path of `ferrovirt-launch`.
        helper: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

/// Why a keeper cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// `ferrovirt-keeper` could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// The path of `ferrovirt-keeper`.
        program: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The connection to the keeper failed.
    #[error("lost the connection to hook keeper {keeper}: {source}")]
    Connection {
        /// The process number of the keeper.
        keeper: i32,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The keeper ended: somebody killed it.
    #[error("hook keeper {keeper} is gone")]
    Gone {
        /// The process number of the keeper.
        keeper: i32,
    },
    /// The keeper said something that is no message.
    #[error("hook keeper {keeper} does not speak the protocol: {what}")]
    Protocol {
        /// The process number of the keeper.
        keeper: i32,
        /// What was wrong with it.
        what: &'static str,
    },
}

/// The C library's text for an error number, without the number that Rust adds.
pub fn errno_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r6_errno_texts_are_those_of_the_c_library() {
        assert_eq!(errno_text(libc::ENOEXEC), "Exec format error");
        assert_eq!(errno_text(libc::EACCES), "Permission denied");
        assert_eq!(errno_text(libc::ENOENT), "No such file or directory");
        assert_eq!(errno_text(99_999), "Unknown error 99999");
    }

    #[test]
    fn r6_launch_errors_name_the_program() {
        let error = LaunchError::Exec {
            program: "/x/qemu".into(),
            errno: libc::ENOENT,
        };
        assert_eq!(
            error.to_string(),
            "cannot execute /x/qemu: No such file or directory"
        );
    }
}
