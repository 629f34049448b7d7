//! Between a terminal of the host and a console of the container.
//!
//! The container must never wait for a reader on the host: while nobody has the host's terminal open, the end of what was written is kept, and
//! the rest forgotten. Who has it open is written to as fast as he reads, but one who does not read for a while does not
//! count as a reader. Nothing is polled at intervals: a terminal that nobody has open is watched for being opened.

use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use rustix::termios::OptionalActions;

use super::dev;

/// What is kept for a reader, bytes.
const KEPT: usize = 16 << 10;

/// What may wait to be read by the container, bytes; less than a terminal takes as one line.
const TYPED: usize = 2 << 10;

/// A reader who takes nothing for this long is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// One console.
#[derive(Debug)]
pub(super) struct Console {
    host: OwnedFd,
    /// The master inside, and its other side held open, once they are there.
    inside: Option<(OwnedFd, Option<OwnedFd>)>,
    to_host: VecDeque<u8>,
    to_inside: VecDeque<u8>,
    /// Somebody has the host's terminal open, as far as we know.
    is_open: bool,
    /// Since when a full buffer has not moved.
    stuck: Option<Instant>,
    /// Descriptor of the watch for being opened.
    watch: Option<i32>,
    /// Where it cannot be watched: its other side, so that it counts as open.
    _held: Option<OwnedFd>,
}

/// The two ends of a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// The host's terminal.
    Host,
    /// The container's.
    Inside,
}

impl Console {
    pub(super) fn new(host: OwnedFd, watcher: &Watcher) -> Console {
        make_raw(&host);
        let _ = set_nonblocking(&host);
        let watch = watcher.add(&host);
        Console {
            watch,
            _held: watch.is_none().then(|| dev::other_side(&host).ok()).flatten(),
            host,
            inside: None,
            to_host: VecDeque::new(),
            to_inside: VecDeque::new(),
            is_open: true,
            stuck: None,
        }
    }

    /// The container's side is there.
    pub(super) fn connect(&mut self, master: OwnedFd) {
        let _ = set_nonblocking(&master);
        let other_side = dev::other_side(&master).ok();
        self.inside = Some((master, other_side));
    }

    /// Somebody opened the terminal with this watch.
    pub(super) fn opened(&mut self, watch: i32) {
        self.is_open |= self.watch == Some(watch);
    }

    /// What to wait for.
    pub(super) fn interests(&self, now: Instant) -> impl Iterator<Item = (Half, BorrowedFd<'_>, PollFlags)> {
        let when = |condition: bool, flags: PollFlags| match condition {
            true => flags,
            false => PollFlags::empty(),
        };
        let host = self.is_open.then(|| {
            let wanted = when(self.to_inside.len() < TYPED, PollFlags::IN)
                | when(!self.to_host.is_empty(), PollFlags::OUT);
            (Half::Host, self.host.as_fd(), wanted)
        });
        let inside = self.inside.as_ref().map(|(master, _)| {
            let wanted = when(self.takes_output(now), PollFlags::IN)
                | when(!self.to_inside.is_empty(), PollFlags::OUT);
            (Half::Inside, master.as_fd(), wanted)
        });
        host.into_iter().chain(inside)
    }

    fn takes_output(&self, now: Instant) -> bool {
        self.to_host.len() < KEPT || !self.is_open || self.stuck.is_some_and(|since| now >= since + PATIENCE)
    }

    /// When to look again although nothing happened.
    pub(super) fn look_again(&self, now: Instant) -> Option<Instant> {
        let stuck = self.stuck.filter(|_| self.is_open)?;
        Some(stuck + PATIENCE).filter(|then| *then > now)
    }

    /// Something happened at one end.
    pub(super) fn ready(&mut self, half: Half, what: PollFlags, now: Instant) {
        match half {
            Half::Host => {
                if what.contains(PollFlags::IN) {
                    let room = TYPED.saturating_sub(self.to_inside.len());
                    read_into(&self.host, &mut self.to_inside, room);
                } else if what.intersects(PollFlags::HUP | PollFlags::ERR) {
                    self.is_open = false;
                }
            }
            Half::Inside => {
                if what.contains(PollFlags::IN) {
                    self.take_output();
                } else if what.intersects(PollFlags::HUP | PollFlags::ERR) {
                    self.revive();
                }
            }
        }
        self.pass_on(now);
    }

    fn take_output(&mut self) {
        if let Some((master, _)) = &self.inside {
            read_into(master, &mut self.to_host, KEPT);
        }
        let surplus = self.to_host.len().saturating_sub(KEPT);
        self.to_host.drain(..surplus);
    }

    fn pass_on(&mut self, now: Instant) {
        let before = self.to_host.len();
        if self.is_open {
            write_from(&self.host, &mut self.to_host);
        }
        match self.to_host.len() {
            length if length < before || length < KEPT => self.stuck = None,
            _ => self.stuck = self.stuck.or(Some(now)),
        }
        if let Some((master, _)) = &self.inside {
            write_from(master, &mut self.to_inside);
        }
    }

    /// Somebody inside hung up the terminal (`vhangup`, as gettys do), which closed our hold on it too.
    fn revive(&mut self) {
        if let Some((master, other_side)) = &mut self.inside {
            *other_side = None;
            match dev::other_side(master) {
                Ok(held) => *other_side = Some(held),
                Err(_) => self.inside = None,
            }
        }
    }

    /// The container is gone: what it wrote last.
    pub(super) fn finish(&mut self) {
        let Some((master, other_side)) = self.inside.take() else {
            return;
        };
        drop(other_side);
        let mut last = VecDeque::new();
        while read_into(&master, &mut last, KEPT) {
            self.to_host.append(&mut last);
            let surplus = self.to_host.len().saturating_sub(KEPT);
            self.to_host.drain(..surplus);
        }
        write_from(&self.host, &mut self.to_host);
    }
}

/// Reads what is there, no more than `room`; whether there was something.
fn read_into(from: &OwnedFd, to: &mut VecDeque<u8>, room: usize) -> bool {
    let mut chunk = [0u8; 2048];
    let length = chunk.len().min(room);
    match rustix::io::read(from, &mut chunk[..length]) {
        Ok(count) => {
            to.extend(&chunk[..count]);
            count > 0
        }
        Err(_) => false,
    }
}

fn write_from(to: &OwnedFd, from: &mut VecDeque<u8>) {
    while !from.is_empty() {
        match rustix::io::write(to, from.as_slices().0) {
            Ok(0) => return,
            Ok(count) => drop(from.drain(..count)),
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn set_nonblocking(fd: &OwnedFd) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)
}

/// The container's terminal is the one that edits lines and echoes; the host's only carries bytes.
fn make_raw(host: &OwnedFd) {
    if let Ok(mut settings) = rustix::termios::tcgetattr(host) {
        settings.make_raw();
        let _ = rustix::termios::tcsetattr(host, OptionalActions::Now, &settings);
    }
}

/// Tells when a terminal is opened.
#[derive(Debug)]
pub(super) struct Watcher(Option<OwnedFd>);

impl Watcher {
    pub(super) fn new() -> Watcher {
        Watcher(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok())
    }

    fn add(&self, master: &OwnedFd) -> Option<i32> {
        let path: CString = rustix::pty::ptsname(master, Vec::new()).ok()?;
        inotify::add_watch(self.0.as_ref()?, path, WatchFlags::OPEN).ok()
    }

    /// What to wait for.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }

    /// The watches whose terminals were opened.
    pub(super) fn opened(&self) -> Vec<i32> {
        let mut found = Vec::new();
        let Some(fd) = &self.0 else { return found };
        let mut space = [std::mem::MaybeUninit::uninit(); 1024];
        let mut reader = inotify::Reader::new(fd, &mut space);
        while let Ok(event) = reader.next() {
            found.push(event.wd());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::OpenptFlags;

    fn terminal() -> (OwnedFd, OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let slave = dev::other_side(&master).unwrap();
        (master, slave)
    }

    fn settle(console: &mut Console) {
        for _ in 0..8 {
            let now = Instant::now();
            let wanted: Vec<_> = console
                .interests(now)
                .map(|(half, _, flags)| (half, flags))
                .collect();
            for (half, flags) in wanted {
                console.ready(half, flags & PollFlags::IN, now);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn bytes_go_both_ways() {
        let (host, client) = terminal();
        let (inside, program) = terminal();
        let mut console = Console::new(host, &Watcher::new());
        console.connect(inside);
        rustix::io::write(&program, b"login: ").unwrap();
        rustix::io::write(&client, b"root\n").unwrap();
        settle(&mut console);
        let mut text = [0u8; 64];
        let count = rustix::io::read(&program, &mut text).unwrap();
        assert_eq!(&text[..count], b"root\n");
        let count = rustix::io::read(&client, &mut text).unwrap();
        assert!(text[..count].starts_with(b"login: "));
    }

    #[test]
    fn without_a_reader_the_end_is_kept_and_the_container_goes_on() {
        let (host, client) = terminal();
        let (inside, program) = terminal();
        let watcher = Watcher::new();
        let mut console = Console::new(host, &watcher);
        console.connect(inside);
        drop(client);
        console.ready(Half::Host, PollFlags::HUP, Instant::now());
        assert!(
            console
                .interests(Instant::now())
                .all(|(half, ..)| half == Half::Inside)
        );
        for line in 0..3000 {
            rustix::io::write(&program, format!("line {line}\n").as_bytes()).unwrap();
            console.ready(Half::Inside, PollFlags::IN, Instant::now());
        }
        settle(&mut console);
        assert_eq!(console.to_host.len(), KEPT);
        let client = dev::other_side(&console.host).unwrap();
        for watch in watcher.opened() {
            console.opened(watch);
        }
        // Opened through the master, a terminal may not tell its path's watchers; a client opens the path.
        console.is_open = true;
        console.pass_on(Instant::now());
        let mut text = vec![0u8; 64 << 10];
        let count = rustix::io::read(&client, &mut text).unwrap();
        assert!(count > 0 && !String::from_utf8_lossy(&text[..count]).contains("line 0\r"));
    }

    #[test]
    fn a_terminal_that_is_opened_by_its_path_is_noticed() {
        let (host, client) = terminal();
        let path = rustix::pty::ptsname(&host, Vec::new()).unwrap();
        let watcher = Watcher::new();
        let mut console = Console::new(host, &watcher);
        drop(client);
        console.ready(Half::Host, PollFlags::HUP, Instant::now());
        assert!(!console.is_open);
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let _client = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap();
        for watch in watcher.opened() {
            console.opened(watch);
        }
        assert!(console.is_open);
    }

    #[test]
    fn a_reader_that_does_not_read_does_not_count_for_long() {
        let (host, _client) = terminal();
        let mut console = Console::new(host, &Watcher::new());
        let now = Instant::now();
        console.to_host.extend(vec![b'x'; KEPT]);
        console.stuck = Some(now);
        assert!(!console.takes_output(now));
        assert_eq!(console.look_again(now), Some(now + PATIENCE));
        assert!(console.takes_output(now + PATIENCE));
        assert_eq!(console.look_again(now + PATIENCE), None);
    }
}
