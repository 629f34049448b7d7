//! What a script writes: collected up to a limit, read on beyond it so that the script never waits.

use std::io;
use std::os::fd::OwnedFd;

use ferrovirt_sys::pipe::PipeReader;

/// How much is read at a time.
const CHUNK: usize = 16 << 10;

/// What a script wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The beginning, up to the limit.
    pub bytes: Vec<u8>,
    /// How many bytes came after that and are lost.
    pub lost: u64,
}

impl Captured {
    fn take(&mut self, bytes: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.lost += (bytes.len() - room) as u64;
    }

    /// As text, with a last line that says so when something is lost.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.lost > 0 {
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&format!("[cut here: {} more bytes]\n", self.lost));
        }
        text
    }
}

/// One pipe that a script writes to.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) pipe: PipeReader,
    captured: Captured,
    limit: usize,
    /// Made when the pipe is read while the script runs.
    chunk: Vec<u8>,
    open: bool,
}

impl Collector {
    /// A new pipe, and the end of it for the script.
    pub(crate) fn new(limit: usize) -> io::Result<(Collector, OwnedFd)> {
        let (pipe, theirs) = PipeReader::new()?;
        let collector = Collector {
            pipe,
            captured: Captured::default(),
            limit,
            chunk: Vec::new(),
            open: true,
        };
        Ok((collector, theirs))
    }

    /// Whether somebody may still write.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Reads once. May be dropped and repeated.
    pub(crate) async fn read(&mut self) {
        self.chunk.resize(CHUNK, 0);
        // A pipe that cannot be read is as good as closed.
        let count = self.pipe.read(&mut self.chunk).await.unwrap_or(0);
        self.open = count > 0;
        self.captured.take(&self.chunk[..count], self.limit);
    }

    /// Takes what is in the pipe now that the script is over, without waiting for anybody who may write more. With `all`
    /// nobody can: everything is taken.
    pub(crate) fn finish(mut self, all: bool) -> Captured {
        let mut left = if all {
            usize::MAX
        } else {
            self.pipe.waiting().unwrap_or(0)
        };
        let mut chunk = [0; 4096];
        while self.open {
            let most = left.min(chunk.len());
            match self.pipe.read_now(&mut chunk[..most]) {
                Ok(count) => {
                    left -= count;
                    self.open = count > 0;
                    self.captured.take(&chunk[..count], self.limit);
                }
                // Nothing there now.
                Err(_) => break,
            }
        }
        self.captured
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    #[test]
    fn r13_a_limit_that_cuts_says_so() {
        let mut captured = Captured::default();
        captured.take(b"12345", 8);
        assert_eq!(captured.text(), "12345");
        captured.take(b"678", 8);
        assert_eq!((captured.text().as_str(), captured.lost), ("12345678", 0));
        captured.take(b"90", 8);
        captured.take(b"1", 8);
        assert_eq!((captured.bytes.as_slice(), captured.lost), (&b"12345678"[..], 3));
        assert_eq!(captured.text(), "12345678\n[cut here: 3 more bytes]\n");
        let ended = Captured {
            bytes: b"a\n".to_vec(),
            lost: 1,
        };
        assert_eq!(ended.text(), "a\n[cut here: 1 more bytes]\n");
    }

    #[tokio::test]
    async fn r12_the_rest_is_taken_without_waiting() {
        let (mut collector, theirs) = Collector::new(100_000).unwrap();
        let mut writer = File::from(theirs);
        writer.write_all(b"one ").unwrap();
        collector.read().await;
        assert!(collector.is_open());
        writer.write_all(&[b'x'; 40_000]).unwrap();
        // The writer stays open: whoever has it does not hold us up.
        let captured = collector.finish(false);
        assert_eq!((captured.bytes.len(), captured.lost), (40_004, 0));
        drop(writer);
    }

    #[tokio::test]
    async fn r12_the_end_of_file_closes() {
        let (mut collector, theirs) = Collector::new(2).unwrap();
        let mut writer = File::from(theirs);
        writer.write_all(&[b'y'; 50_000]).unwrap();
        drop(writer);
        collector.read().await;
        assert!(collector.is_open());
        while collector.is_open() {
            collector.read().await;
        }
        assert_eq!(
            collector.finish(true),
            Captured {
                bytes: b"yy".to_vec(),
                lost: 49_998
            }
        );
        let (collector, theirs) = Collector::new(10).unwrap();
        File::from(theirs).write_all(b"all").unwrap();
        assert_eq!(collector.finish(true).bytes, b"all");
    }
}
