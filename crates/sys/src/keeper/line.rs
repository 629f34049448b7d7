//! The keeper's end of its connection to the daemon. It never waits for the daemon: what the daemon does not take now is
//! sent when it does.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::message::{Report, Request};
use crate::{frame, socket};

pub(super) struct Line {
    /// Gone when the daemon is.
    socket: Option<OwnedFd>,
    inbox: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    /// Reports, or the rest of one. Late output is the only thing that can be much, and that is bounded.
    unsent: Vec<u8>,
    /// Until then, what is unsent waits for what comes next, so that both wake the daemon once.
    held: Option<Instant>,
}

impl Line {
    pub(super) fn new(socket: OwnedFd) -> Line {
        Line {
            socket: Some(socket),
            inbox: Vec::new(),
            descriptors: Vec::new(),
            unsent: Vec::new(),
            held: None,
        }
    }

    /// What is to be waited for.
    pub(super) fn poll_fd(&self) -> Option<PollFd<'_>> {
        let more = if self.unsent.is_empty() || self.held.is_some() {
            PollFlags::empty()
        } else {
            PollFlags::OUT
        };
        self.socket
            .as_ref()
            .map(|socket| PollFd::new(socket, PollFlags::IN | more))
    }

    pub(super) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// The daemon is gone, or talks nonsense.
    pub(super) fn close(&mut self) {
        self.held = None;
        self.socket = None;
        self.unsent = Vec::new();
    }

    /// Takes what has arrived.
    pub(super) fn receive(&mut self) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        // A request is usually a few hundred bytes; a longer one comes in parts.
        let mut chunk = [0; 8 << 10];
        match socket::receive(socket, &mut chunk, &mut self.descriptors) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.inbox.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next whole thing that the daemon said.
    pub(super) fn next_request(&mut self) -> io::Result<Option<Request>> {
        let message = frame::next_message(&mut self.inbox).map_err(socket::broken)?;
        let request = message.map(|message| Request::decode(&message));
        request.transpose().map_err(socket::broken)
    }

    /// The descriptors that came with a request; `None` when there are fewer.
    pub(super) fn take_descriptors<const N: usize>(&mut self) -> Option<[OwnedFd; N]> {
        if self.descriptors.len() < N {
            return None;
        }
        let given: Vec<OwnedFd> = self.descriptors.drain(..N).collect();
        given.try_into().ok()
    }

    /// When to call [`Line::send`] at the latest.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held
    }

    /// Says this with what is said next, or when this time is over.
    pub(super) fn say_soon(&mut self, report: &Report, time: Duration) {
        self.held = Some(Instant::now() + time);
        self.put(report);
    }

    /// A daemon that is gone hears nothing, and that is noticed here or when its end of file is read.
    pub(super) fn say(&mut self, report: &Report) {
        self.put(report);
        self.send();
    }

    fn put(&mut self, report: &Report) {
        if self.socket.is_none() {
            return;
        }
        let Ok(message) = report.encode() else {
            return self.close();
        };
        if self.unsent.is_empty() {
            self.unsent = message;
        } else {
            self.unsent.extend_from_slice(&message);
        }
    }

    /// Sends as much as the daemon takes without waiting for it.
    pub(super) fn send(&mut self) {
        self.held = None;
        let Some(socket) = &self.socket else { return };
        let mut sent = 0;
        while sent < self.unsent.len() {
            match socket::send_now(socket, &self.unsent[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return self.close(),
            }
        }
        self.unsent.drain(..sent);
    }

    /// Before the keeper ends: the last words, if the daemon takes them in this time.
    pub(super) fn send_the_rest(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        self.held = None;
        while !self.unsent.is_empty()
            && let Some(socket) = &self.socket
        {
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut list = [PollFd::new(socket, PollFlags::OUT)];
            if !matches!(poll(&mut list, Some(&left)), Ok(1..)) {
                return;
            }
            self.send();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Stream;
    use super::*;

    #[test]
    fn a_daemon_that_does_not_read_holds_nobody_up_and_misses_nothing() {
        let (daemon, keeper) = socket::pair().unwrap();
        let mut line = Line::new(keeper);
        let report = |number: u8| Report::Printed {
            stream: Stream::Stdout,
            bytes: vec![number; 16 << 10],
        };
        // Far more than any socket holds.
        for number in 0..200 {
            line.say(&report(number));
        }
        line.say(&Report::Empty);
        assert!(!line.unsent.is_empty());
        line.send_the_rest(Duration::ZERO);
        assert!(line.is_open());
        let reader = std::thread::spawn(move || {
            let (mut inbox, mut chunk, mut reports) = (Vec::new(), vec![0; 4096], Vec::new());
            while let Ok(count @ 1..) = socket::receive(&daemon, &mut chunk, &mut Vec::new()) {
                inbox.extend_from_slice(&chunk[..count]);
                while let Some(message) = frame::next_message(&mut inbox).unwrap() {
                    reports.push(Report::decode(&message).unwrap());
                }
            }
            reports
        });
        line.send_the_rest(Duration::from_secs(60));
        drop(line);
        let mut all: Vec<Report> = (0..200).map(report).collect();
        all.push(Report::Empty);
        assert!(reader.join().unwrap() == all);
    }

    #[test]
    fn what_is_held_goes_with_the_next_word() {
        let (daemon, keeper) = socket::pair().unwrap();
        crate::pipe::set_nonblocking(&daemon).unwrap();
        let mut line = Line::new(keeper);
        line.say_soon(&Report::Started(7), Duration::from_secs(60));
        assert!(line.held_until().is_some());
        let mut chunk = [0; 64];
        let nothing = socket::receive(&daemon, &mut chunk, &mut Vec::new()).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        line.say(&Report::Empty);
        assert_eq!(line.held_until(), None);
        let count = socket::receive(&daemon, &mut chunk, &mut Vec::new()).unwrap();
        let both = [Report::Started(7), Report::Empty].map(|report| report.encode().unwrap());
        assert_eq!(chunk[..count], both.concat());
    }

    #[test]
    fn a_daemon_that_is_gone_is_noticed() {
        let (daemon, keeper) = socket::pair().unwrap();
        let mut line = Line::new(keeper);
        drop(daemon);
        line.say(&Report::Empty);
        assert!(!line.is_open());
        line.say(&Report::Empty);
        line.send_the_rest(Duration::from_secs(60));
        assert!(line.unsent.is_empty());
    }
}
