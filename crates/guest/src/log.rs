//! A guest's own log, as libvirt keeps it: what was started, what its hypervisor said, how it ended. Appended to for ever;
//! rotating it is the distribution's business.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How much of a log is quoted in an error.
const TAIL: u64 = 2048;

/// One guest's log.
#[derive(Debug, Clone)]
pub struct GuestLog {
    path: PathBuf,
}

impl GuestLog {
    /// The log of this guest.
    #[must_use]
    pub fn of(log_dir: &Path, name: &str) -> Self {
        Self {
            path: log_dir.join(format!("{name}.log")),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it to append; the hypervisor gets this descriptor.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(&self) -> io::Result<File> {
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .mode(0o600)
            .open(&self.path)
    }

    /// Length now; what the hypervisor says comes after it.
    #[must_use]
    pub fn length(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |meta| meta.len())
    }

    /// The last words since `from`.
    #[must_use]
    pub fn words_since(&self, from: u64) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&self.path) {
            let length = file.metadata().map_or(0, |meta| meta.len());
            let start = from.max(length.saturating_sub(TAIL));
            // A log that cannot be read has no last words.
            let _ = file
                .seek(SeekFrom::Start(start))
                .and_then(|_| file.take(TAIL).read_to_end(&mut text));
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines()
            .filter(|line| !line.starts_with("char device redirected to "))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// A line of ours with the time before it. Failing to write it is no reason to stop anything.
    pub fn line(&self, text: &str) {
        let written = self
            .open()
            .and_then(|mut file| writeln!(file, "{}: {text}", now()));
        if let Err(error) = written {
            tracing::warn!("cannot write to '{}': {error}", self.path.display());
        }
    }
}

/// Time as libvirt writes it into these logs.
#[must_use]
pub fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%d %H:%M:%S.%3f+0000")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_what_qemu_said() {
        let dir = tempfile::tempdir().unwrap();
        let log = GuestLog::of(dir.path(), "g1");
        log.line("starting up");
        let from = log.length();
        write!(
            log.open().unwrap(),
            "char device redirected to /dev/pts/1 (label charserial0)\nqemu: no\n"
        )
        .unwrap();
        assert_eq!(log.words_since(from), "qemu: no");
        log.line("shutting down, reason=failed");
        assert!(
            std::fs::read_to_string(dir.path().join("g1.log"))
                .unwrap()
                .ends_with("shutting down, reason=failed\n")
        );
    }
}
