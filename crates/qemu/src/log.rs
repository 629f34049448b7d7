//! The guest's own log, as libvirt keeps it: what was started, what QEMU said, how it ended. Appended to for ever;
//! rotating it is the distribution's business.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};

/// How much of a log is quoted in an error.
const TAIL: u64 = 2048;

/// One guest's log.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// The log of this guest.
    #[must_use]
    pub fn of(log_dir: &Path, name: &str) -> Self {
        Self {
            path: log_dir.join(format!("{name}.log")),
        }
    }

    /// Opens it to append; QEMU gets this descriptor.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(&self) -> Result<File> {
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir).map_err(Error::io("Cannot create log directory", dir))?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .mode(0o600)
            .open(&self.path)
            .map_err(Error::io("Failed to open file", &self.path))
    }

    /// Length now; what QEMU says comes after it.
    #[must_use]
    pub fn length(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |meta| meta.len())
    }

    /// The last words since `from`, without our own lines.
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
        let written = self.open().and_then(|mut file| {
            writeln!(file, "{}: {text}", now()).map_err(Error::io("Failed to write to", &self.path))
        });
        if let Err(error) = written {
            tracing::warn!("{error}");
        }
    }
}

/// Time as libvirt writes it into these logs.
fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%d %H:%M:%S.%3f+0000")
        .to_string()
}

/// What is started: one line about whom, then environment and command line, ready to paste into a shell.
#[must_use]
pub fn header(emulator: &Emulator, hostname: &str, env: &[(String, String)], args: &[String]) -> String {
    let (major, minor, micro) = emulator.version;
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut text = format!(
        "{}: starting up ferrovirt version: {}, qemu version: {major}.{minor}.{micro}{}, kernel: {kernel}, hostname: {hostname}\n",
        now(),
        env!("CARGO_PKG_VERSION"),
        emulator.package,
    );
    for (name, value) in env {
        text += &format!("{name}={} \\\n", quoted(value));
    }
    text += &quoted(&emulator.path.display().to_string());
    for arg in args {
        text += if arg.starts_with('-') { " \\\n" } else { " " };
        text += &quoted(arg);
    }
    text + "\n"
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+,-./:=@_%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r15_the_header_can_be_pasted_into_a_shell() {
        let emulator = crate::testing::emulator();
        let env = [("LC_ALL".to_owned(), "C".to_owned())];
        let args = ["-name", "guest=it's", "-S", "-device", "{\"driver\":\"x\"}"].map(str::to_owned);
        let text = header(&emulator, "host", &env, &args);
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.contains("starting up ferrovirt version: "), "{first}");
        assert!(first.contains("qemu version: 10.0.2Debian"), "{first}");
        assert_eq!(
            rest,
            "LC_ALL=C \\\n/usr/bin/qemu-system-x86_64 \\\n-name 'guest=it'\\''s' \\\n-S \\\n-device '{\"driver\":\"x\"}'\n"
        );
    }

    #[test]
    fn last_words_are_what_qemu_said() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::of(dir.path(), "g1");
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
