//! The program `ferrovirt-keeper`: one thread, one script at a time, one loop over everything that can happen.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;

use super::cage::Cage;
use super::limits::Limits;
use super::line::Line;
use super::message::{Ended, RUN_DESCRIPTORS, Report, Request, Script};
use super::outlets::Outlets;
use super::spawn::spawn;
use super::steps::{NotStarted, Steps};
use super::surroundings::Surroundings;
use crate::process::{self, ProcessId};
use crate::{signals, socket};

/// The grace that a tree gets when the keeper itself is told to end (R96).
const GRACE: Duration = Duration::from_secs(5);

/// How soon survivors are killed again: a tree may fork meanwhile.
const AGAIN: Duration = Duration::from_millis(20);

/// After this long of killing, what still lives cannot be killed (it sleeps in the kernel, or belongs to another user).
const GIVE_UP: Duration = Duration::from_secs(3);

/// How long a script's start may wait for its end, so that one message tells both: most scripts are over by then.
const SHORT: Duration = Duration::from_millis(10);

/// How long a keeper outlives its daemon when it holds nothing. Whoever kills a list of processes one after the other
/// (the end of a machine or a container) kills the daemon first, and finds the keepers of its list still there.
const LINGER: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 300_000_000,
};

/// How long a keeper that ends waits for a daemon that does not read.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// The main function of `ferrovirt-keeper`.
pub fn main() -> ExitCode {
    match Keeper::new().and_then(|mut keeper| keeper.serve().map(|()| keeper.finish())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ferrovirt-keeper: {error} (this program is started by the daemon, not by hand)");
            ExitCode::FAILURE
        }
    }
}

/// The script that this keeper holds, until nothing of it is left.
struct Held {
    /// Its main process, while that lives.
    main: Option<i32>,
    /// Reading ends of its output that somebody may still write to.
    outlets: Outlets,
    /// The daemon has what was in the pipes; what is in them now is the keeper's.
    released: bool,
    /// The control groups that limit it.
    limits: Option<Limits>,
    /// Set when the tree is to be ended.
    ending: Option<Ending>,
}

struct Ending {
    next_kill: Instant,
    give_up: Instant,
}

/// What ended a sleep.
struct Woken {
    /// Something was sent to this process.
    signals: bool,
    /// The daemon said something, or is gone.
    daemon: bool,
    /// It is time to send: the daemon takes what it did not take before, or what was held has been held long enough.
    send: bool,
    /// There is something in the pipes, and it is ours.
    pipes: bool,
}

struct Keeper {
    /// The connection to the daemon.
    line: Line,
    signals: OwnedFd,
    held: Option<Held>,
    /// End as soon as nothing is held: somebody sent SIGTERM.
    leaving: bool,
    cage: Option<Cage>,
}

impl Keeper {
    fn new() -> io::Result<Keeper> {
        signals::reset_all();
        let daemon = socket::take_from_stdin()?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        // What a terminal sends to everybody must not reach the keeper: the daemon decides what happens to its scripts.
        let blocked = [
            libc::SIGCHLD,
            libc::SIGTERM,
            libc::SIGHUP,
            libc::SIGINT,
            libc::SIGQUIT,
        ];
        let signals = signals::descriptor(&blocked)?;
        Ok(Keeper {
            line: Line::new(daemon),
            signals,
            held: None,
            leaving: false,
            cage: Cage::enter(),
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        while !self.is_done() {
            let woken = self.wait()?;
            if woken.signals {
                self.take_signals();
            }
            if woken.send {
                self.line.send();
            }
            if woken.daemon
                && let Err(error) = self.hear()
            {
                // The daemon is gone or broken: only the script counts now.
                self.line.close();
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    eprintln!("ferrovirt-keeper: {error}");
                }
            }
            if woken.pipes {
                self.empty_pipes();
            }
            self.go_on_ending();
            self.let_go_if_empty();
        }
        Ok(())
    }

    /// The last moment of a keeper; SIGTERM makes it shorter for one whose daemon is gone.
    fn finish(&mut self) {
        self.line.send_the_rest(LAST_WORDS);
        if !self.leaving {
            let _ = poll(&mut [PollFd::new(&self.signals, PollFlags::IN)], Some(&LINGER));
        }
    }

    /// With the daemon gone, what the script left behind is on its own as soon as it cannot miss its pipes.
    fn is_done(&self) -> bool {
        let orphan_is_done = |held: &Held| match &held.ending {
            Some(ending) => Instant::now() >= ending.give_up,
            None => held.main.is_none() && held.outlets.is_empty(),
        };
        let is_alone = self.leaving || !self.line.is_open();
        is_alone && self.held.as_ref().is_none_or(orphan_is_done)
    }

    /// Whether nobody but this keeper looks into the pipes.
    fn drains(&self) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| held.released || !self.line.is_open())
    }

    /// Sleeps until something happens.
    fn wait(&self) -> io::Result<Woken> {
        let ending = self.held.as_ref().and_then(|held| held.ending.as_ref());
        let next = [ending.map(|ending| ending.next_kill), self.line.held_until()];
        let timeout = next.into_iter().flatten().min().map(|next| {
            let left = next.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let mut list = vec![PollFd::new(&self.signals, PollFlags::IN)];
        list.extend(self.line.poll_fd());
        let fixed = list.len();
        if self.drains() {
            list.extend(self.held.iter().flat_map(|held| held.outlets.poll_fds()));
        }
        match poll(&mut list, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let daemon = list[1..fixed].first().map_or(PollFlags::empty(), PollFd::revents);
        Ok(Woken {
            signals: ready(&list[0]),
            daemon: daemon.intersects(!PollFlags::OUT),
            send: daemon.contains(PollFlags::OUT)
                || self
                    .line
                    .held_until()
                    .is_some_and(|until| until <= Instant::now()),
            pipes: list[fixed..].iter().any(ready),
        })
    }

    /// Reads what the daemon says and does it.
    fn hear(&mut self) -> io::Result<()> {
        self.line.receive()?;
        while let Some(request) = self.line.next_request()? {
            match request {
                Request::Run(script) => self.run(&script)?,
                Request::Release { keep } => {
                    if let Some(held) = &mut self.held {
                        held.released = true;
                        held.outlets.keep = keep;
                    }
                }
                Request::End { grace_ms } => self.end_tree(Duration::from_millis(grace_ms.into())),
                Request::Leave => self.leaving = true,
            }
        }
        Ok(())
    }

    fn run(&mut self, script: &Script) -> io::Result<()> {
        let given = self.line.take_descriptors::<RUN_DESCRIPTORS>();
        let (None, Some([stdin, stdout, stderr, from_stdout, from_stderr])) = (&self.held, given) else {
            return Err(io::Error::other("told to run a script that it cannot hold"));
        };
        let theirs = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let started = start(script, theirs);
        // Only the script's now.
        drop((stdin, stdout, stderr));
        match started {
            Ok((pid, limits)) => {
                self.held = Some(Held {
                    main: Some(pid),
                    outlets: Outlets::new(from_stdout, from_stderr),
                    released: false,
                    limits,
                    ending: None,
                });
                self.line.say_soon(&Report::Started(pid), SHORT);
            }
            Err(NotStarted { errno, step }) => self.line.say(&Report::NotStarted { errno, step }),
        }
        Ok(())
    }

    fn take_signals(&mut self) {
        let mut told_to_end = false;
        let mut record = [0u8; size_of::<libc::signalfd_siginfo>()];
        while rustix::io::read(&self.signals, &mut record).is_ok_and(|count| count == record.len()) {
            // The first field is the signal's number, 32 bits.
            let number = u32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
            told_to_end |= number == libc::SIGTERM.cast_unsigned();
        }
        self.collect();
        if told_to_end {
            self.leaving = true;
            self.end_tree(GRACE);
        }
    }

    /// Collects whatever ended: the script, and what lost its parent and so became ours.
    fn collect(&mut self) {
        let mut main_ended = None;
        let childless = loop {
            let mut status = 0;
            // SAFETY: `status` is a valid place for the kernel to write to.
            match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
                0 => break false,
                pid if pid < 0 => break true,
                pid => {
                    if self.held.as_ref().is_some_and(|held| held.main == Some(pid)) {
                        main_ended = Some(Ended::from_wait_status(status));
                    }
                }
            }
        };
        if let (Some(how), Some(held)) = (main_ended, &mut self.held) {
            held.main = None;
            let empty = childless && held.outlets.have_no_writer();
            let oom = held.limits.as_ref().is_some_and(Limits::has_killed);
            if empty {
                // What is still in the pipes is in the daemon's ends of them, too.
                self.held = None;
            }
            self.line.say(&Report::Exited { how, empty, oom });
        }
    }

    fn empty_pipes(&mut self) {
        if !self.drains() {
            return;
        }
        if let Some(held) = &mut self.held {
            held.outlets.read_once(|report| self.line.say(&report));
        }
    }

    /// One SIGTERM to everything that is there now. Not again to what comes later: a script's trap may start programs that
    /// clean up.
    fn end_tree(&mut self, grace: Duration) {
        let Some(held) = &mut self.held else { return };
        if held.ending.is_none() {
            for process in below_this() {
                let _ = signals::send(process, libc::SIGTERM);
                // What is stopped would not notice.
                let _ = signals::send(process, libc::SIGCONT);
            }
        }
        let next_kill = Instant::now() + grace;
        held.ending = Some(Ending {
            next_kill,
            give_up: next_kill + GIVE_UP,
        });
    }

    fn go_on_ending(&mut self) {
        let Some(ending) = self.held.as_mut().and_then(|held| held.ending.as_mut()) else {
            return;
        };
        let now = Instant::now();
        if now < ending.next_kill {
            return;
        }
        // What cannot be killed is tried again now and then, should it wake up.
        ending.next_kill = now
            + if now < ending.give_up {
                AGAIN
            } else {
                Duration::from_secs(1)
            };
        if let Some(cage) = &self.cage {
            cage.kill_all();
        }
        if let Some(limits) = self.held.as_ref().and_then(|held| held.limits.as_ref()) {
            limits.kill_all();
        }
        for process in below_this() {
            let _ = signals::send(process, libc::SIGKILL);
        }
        self.collect();
    }

    /// Tells the daemon that this keeper can be used again, as soon as it can.
    fn let_go_if_empty(&mut self) {
        if !self.drains() {
            return;
        }
        let Some(held) = &mut self.held else { return };
        if held.main.is_some() || has_children() {
            return;
        }
        // Without children, writers may be left that got the descriptors by other ways than by birth.
        held.outlets.let_go(|report| self.line.say(&report));
        if (held.outlets.is_empty() || held.ending.is_some())
            && let Some(held) = self.held.take()
        {
            held.outlets.finish(|report| self.line.say(&report));
            // Gone before the daemon hears that nothing is left.
            drop(held.limits);
            self.line.say(&Report::Empty);
        }
    }
}

/// Starts a script, in the surroundings that it wants.
fn start(script: &Script, fds: [BorrowedFd<'_>; 3]) -> Result<(i32, Option<Limits>), NotStarted> {
    match Steps::prepare(&script.surroundings)? {
        None => Ok((spawn(script, fds, None)?, None)),
        Some((steps, limits)) => {
            give_pipes(&script.surroundings, fds);
            Ok((spawn(script, fds, Some(&steps))?, limits))
        }
    }
}

/// A pipe that is open can be written to, but opened again (as `/dev/stderr`) only by its owner.
fn give_pipes(to: &Surroundings, fds: [BorrowedFd<'_>; 3]) {
    let Some(user) = &to.user else { return };
    for fd in fds {
        let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind == Ok(FileType::Fifo) {
            // Who may not give it away is no other user either.
            let _ = rustix::fs::fchown(fd, Some(rustix::process::Uid::from_raw(user.uid)), None);
        }
    }
}

/// Everything that descends from this process.
fn below_this() -> Vec<ProcessId> {
    process::descendants(rustix::process::getpid().as_raw_pid())
}

/// Whether there is any child, ended or not. A subreaper without children has no descendants.
fn has_children() -> bool {
    // SAFETY: with WNOWAIT and WNOHANG nothing is collected; the kernel writes into `info` only.
    unsafe {
        let mut info = std::mem::zeroed();
        libc::waitid(
            libc::P_ALL,
            0,
            &mut info,
            libc::WEXITED | libc::WNOHANG | libc::WNOWAIT,
        ) == 0
    }
}
