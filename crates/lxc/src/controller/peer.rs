//! The connection to the daemon: lines of JSON that never make the controller wait.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendFlags, SocketFlags, accept_with, send};

use crate::protocol::{LONGEST_LINE, Report, Request};

/// What may wait for a daemon that does not read; it only gets few and short messages.
const MOST_WAITING: usize = 256 << 10;

/// A daemon that is connected.
#[derive(Debug)]
pub(super) struct Peer {
    socket: OwnedFd,
    received: Vec<u8>,
    waiting: VecDeque<u8>,
    broken: bool,
}

/// A line of a daemon.
pub(super) enum Line {
    /// A request.
    Request(Request),
    /// One that this controller does not know; it has an id at least.
    Unknown(u64),
}

impl Peer {
    /// Takes the next connection, if there is one.
    pub(super) fn accept(listener: &OwnedFd) -> Option<Peer> {
        let socket = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok()?;
        Some(Peer {
            socket,
            received: Vec::new(),
            waiting: VecDeque::new(),
            broken: false,
        })
    }

    /// Whether the daemon is gone, or says what no daemon says.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> PollFlags {
        match self.waiting.is_empty() {
            true => PollFlags::IN,
            false => PollFlags::IN | PollFlags::OUT,
        }
    }

    /// Tells something, as soon as it can be told.
    pub(super) fn say(&mut self, report: &Report) {
        if let Ok(line) = serde_json::to_vec(report) {
            self.waiting.extend(line);
            self.waiting.push_back(b'\n');
        }
        self.flush();
        self.broken |= self.waiting.len() > MOST_WAITING;
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) {
        while !self.waiting.is_empty() && !self.broken {
            match send(&self.socket, self.waiting.make_contiguous(), SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(rustix::io::Errno::AGAIN) => return,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => self.broken = true,
            }
        }
    }

    /// Last words: waits a moment for a daemon that does not read.
    pub(super) fn finish(&mut self, patience: Duration) {
        self.flush();
        if !self.waiting.is_empty() && !self.broken {
            let time = Timespec {
                tv_sec: patience.as_secs().cast_signed(),
                tv_nsec: patience.subsec_nanos().into(),
            };
            let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&time));
            self.flush();
        }
    }

    /// Reads what is there.
    pub(super) fn hear(&mut self) -> Vec<Line> {
        let mut chunk = [0u8; 4096];
        loop {
            match rustix::io::read(&self.socket, &mut chunk) {
                Ok(0) => {
                    self.broken = true;
                    break;
                }
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    self.broken = true;
                    break;
                }
            }
            if self.received.len() > LONGEST_LINE {
                self.broken = true;
                break;
            }
        }
        let mut lines = Vec::new();
        while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
            let rest = self.received.split_off(end + 1);
            let line = std::mem::replace(&mut self.received, rest);
            match read(&line) {
                Ok(line) => lines.push(line),
                Err(_) => self.broken = true,
            }
        }
        lines
    }
}

impl AsFd for Peer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn read(line: &[u8]) -> io::Result<Line> {
    /// What every request has.
    #[derive(serde::Deserialize)]
    struct Numbered {
        id: u64,
    }
    if let Ok(request) = serde_json::from_slice(line) {
        return Ok(Line::Request(request));
    }
    let Numbered { id } = serde_json::from_slice(line)?;
    Ok(Line::Unknown(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_of_a_newer_daemon_has_a_number_at_least() {
        let line = br#"{"id":4,"ask":{"fly":{"to":"moon"}}}"#;
        assert!(matches!(read(line), Ok(Line::Unknown(4))));
        let line = br#"{"id":5,"ask":"go","more":1}"#;
        assert!(matches!(read(line), Ok(Line::Request(Request { id: 5, .. }))));
        assert!(read(b"{}").is_err());
    }

    proptest! {
        #[test]
        fn any_line_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&bytes);
        }
    }
}
