//! The program `ferrovirt-keeper`: one thread, one script at a time, one loop over everything that can happen.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::cage::Cage;
use super::message::{Ended, RUN_DESCRIPTORS, Report, Request};
use super::spawn::spawn;
use crate::process::{self, ProcessId};
use crate::{frame, signals, socket};

/// The grace that a tree gets when the keeper itself is told to end (R96).
const GRACE: Duration = Duration::from_secs(5);

/// How soon survivors are killed again: a tree may fork meanwhile.
const AGAIN: Duration = Duration::from_millis(20);

/// After this long of killing, what still lives cannot be killed (it sleeps in the kernel, or belongs to another user).
const GIVE_UP: Duration = Duration::from_secs(3);

/// How long a keeper outlives its daemon when it holds nothing. Whoever kills a list of processes one after the other
/// (the end of a machine or a container) kills the daemon first, and finds the keepers of its list still there.
const LINGER: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 300_000_000,
};

/// The main function of `ferrovirt-keeper`.
pub fn main() -> ExitCode {
    match Keeper::new().and_then(|mut keeper| keeper.serve().map(|()| keeper.linger())) {
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
    pipes: Vec<OwnedFd>,
    /// The daemon has what was in the pipes; what is in them now is thrown away.
    released: bool,
    /// Set when the tree is to be ended.
    ending: Option<Ending>,
}

struct Ending {
    next_kill: Instant,
    give_up: Instant,
}

struct Keeper {
    /// The daemon; gone when it died.
    daemon: Option<OwnedFd>,
    inbox: Vec<u8>,
    descriptors: Vec<OwnedFd>,
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
            daemon: Some(daemon),
            inbox: Vec::new(),
            descriptors: Vec::new(),
            signals,
            held: None,
            leaving: false,
            cage: Cage::enter(),
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        while !self.is_done() {
            let (daemon, signals, pipes) = self.wait()?;
            if signals {
                self.take_signals();
            }
            if daemon && let Err(error) = self.hear() {
                // The daemon is gone or broken: only the script counts now.
                self.daemon = None;
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    eprintln!("ferrovirt-keeper: {error}");
                }
            }
            if pipes {
                self.empty_pipes();
            }
            self.go_on_ending();
            self.let_go_if_empty();
        }
        Ok(())
    }

    /// The last moment of a keeper whose daemon is gone; SIGTERM makes it shorter.
    fn linger(&self) {
        if !self.leaving {
            let _ = poll(&mut [PollFd::new(&self.signals, PollFlags::IN)], Some(&LINGER));
        }
    }

    /// With the daemon gone, what the script left behind is on its own as soon as it cannot miss its pipes.
    fn is_done(&self) -> bool {
        let orphan_is_done = |held: &Held| match &held.ending {
            Some(ending) => Instant::now() >= ending.give_up,
            None => held.main.is_none() && held.pipes.is_empty(),
        };
        match (&self.daemon, &self.held) {
            (_, None) => self.leaving || self.daemon.is_none(),
            (None, Some(held)) => orphan_is_done(held),
            (Some(_), Some(held)) => self.leaving && orphan_is_done(held),
        }
    }

    /// Whether nobody but this keeper looks into the pipes.
    fn drains(&self) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| held.released || self.daemon.is_none())
    }

    /// Sleeps until something happens: word from the daemon, a signal, output to throw away.
    fn wait(&self) -> io::Result<(bool, bool, bool)> {
        let timeout = self
            .held
            .as_ref()
            .and_then(|held| held.ending.as_ref())
            .map(|ending| {
                let left = ending.next_kill.saturating_duration_since(Instant::now());
                Timespec {
                    tv_sec: left.as_secs().cast_signed(),
                    tv_nsec: left.subsec_nanos().into(),
                }
            });
        let mut list = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if let Some(daemon) = &self.daemon {
            list.push(PollFd::new(daemon, PollFlags::IN));
        }
        let fixed = list.len();
        if self.drains() {
            let pipes = self.held.iter().flat_map(|held| &held.pipes);
            list.extend(pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        }
        match poll(&mut list, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let daemon = fixed > 1 && ready(&list[1]);
        Ok((daemon, ready(&list[0]), list[fixed..].iter().any(ready)))
    }

    /// Reads what the daemon says and does it.
    fn hear(&mut self) -> io::Result<()> {
        let Some(daemon) = &self.daemon else { return Ok(()) };
        let mut chunk = vec![0; 64 << 10];
        match socket::receive(daemon, &mut chunk, &mut self.descriptors) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.inbox.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        while let Some(message) = frame::next_message(&mut self.inbox).map_err(socket::broken)? {
            match Request::decode(&message).map_err(socket::broken)? {
                Request::Run(script) => self.run(&script)?,
                Request::Release => {
                    if let Some(held) = &mut self.held {
                        held.released = true;
                    }
                }
                Request::End { grace_ms } => self.end_tree(Duration::from_millis(grace_ms.into())),
                Request::Leave => self.leaving = true,
            }
        }
        Ok(())
    }

    fn run(&mut self, script: &super::Script) -> io::Result<()> {
        if self.held.is_some() || self.descriptors.len() < RUN_DESCRIPTORS {
            return Err(io::Error::other("told to run a script that it cannot hold"));
        }
        let mut given = self.descriptors.drain(..RUN_DESCRIPTORS);
        let theirs: Vec<OwnedFd> = given.by_ref().take(3).collect();
        let pipes: Vec<OwnedFd> = given.collect();
        let [stdin, stdout, stderr] = &theirs[..] else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let spawned = spawn(script, [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]);
        drop(theirs);
        match spawned {
            Ok(pid) => {
                self.held = Some(Held {
                    main: Some(pid),
                    pipes,
                    released: false,
                    ending: None,
                });
                self.say(Report::Started(pid));
            }
            Err(error) => self.say(Report::NotStarted(error.raw_os_error().unwrap_or(libc::EIO))),
        }
        Ok(())
    }

    /// A daemon that is gone hears nothing, and that is noticed when its end of file is read.
    fn say(&mut self, report: Report) {
        let Some(daemon) = &self.daemon else { return };
        let sent = report
            .encode()
            .map_err(socket::broken)
            .and_then(|m| socket::send_all(daemon, &m, &[]));
        if sent.is_err() {
            self.daemon = None;
        }
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
            let empty = childless && held.pipes.iter().all(has_no_writer);
            if empty {
                // What is still in the pipes is in the daemon's ends of them, too.
                self.held = None;
            }
            self.say(Report::Exited { how, empty });
        }
    }

    fn empty_pipes(&mut self) {
        if !self.drains() {
            return;
        }
        let Some(held) = &mut self.held else { return };
        let mut rubbish = [0u8; 16 << 10];
        // One read each: whoever writes without end must not keep the keeper from its other duties.
        held.pipes
            .retain(|pipe| match rustix::io::read(pipe, &mut rubbish) {
                Ok(count) => count > 0,
                Err(error) => matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
            });
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
        for process in below_this() {
            let _ = signals::send(process, libc::SIGKILL);
        }
        self.collect();
    }

    /// Tells the daemon that this keeper can be used again, as soon as it can.
    fn let_go_if_empty(&mut self) {
        let Some(held) = &mut self.held else { return };
        if held.main.is_some() || !(held.released || self.daemon.is_none()) || has_children() {
            return;
        }
        // Without children, writers may be left that got the descriptors by other ways than by birth.
        held.pipes.retain(|pipe| !has_no_writer(pipe));
        if held.pipes.is_empty() || held.ending.is_some() {
            self.held = None;
            self.say(Report::Empty);
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

/// Whether all writing ends of a pipe are closed.
fn has_no_writer(pipe: &OwnedFd) -> bool {
    let mut list = [PollFd::new(pipe, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut list, Some(&now)).is_ok() && list[0].revents().contains(PollFlags::HUP)
}
