//! The controller's loop over everything that can happen.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ferrovirt_sys::channel::Channel;
use ferrovirt_sys::clone::{self, Namespace, Side};
use ferrovirt_sys::signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::protocol::{Ask, Ending, Failure, Hello, Orders, Phase, Report, Request, VERSION, Ways};

use super::console::{Console, Half, Watcher};
use super::meminfo::Meminfo;
use super::note::{Note, Ties};
use super::peer::{Line, Peer};
use super::{Named, Step, caps, guard, idmap, plug};

/// How long a controller waits for the daemon that started it before it makes anything.
const FIRST_CALL: Duration = Duration::from_secs(60);

/// How long a child may take that does something in the running container: a dead file system must not hold it for ever.
const CHILD_PATIENCE: Duration = Duration::from_secs(30);

/// How long the end waits for a daemon that does not read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The signals that arrive on a descriptor. All but the first have no effect: a container ends when the daemon says so.
const SIGNALS: [Signal; 7] = [
    Signal::CHILD,
    Signal::TERM,
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
];

/// What was woken.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Daemon,
    Notes,
    Exec,
    Opened,
    Meminfo,
    Console(usize, Half),
}

/// The container's first process.
#[derive(Debug)]
struct Init {
    pid: i32,
    handle: OwnedFd,
}

/// A child that does something in the container.
#[derive(Debug)]
struct Helper {
    pid: i32,
    handle: OwnedFd,
    request: u64,
    until: Instant,
    /// What is tried when it fails: the signal that asks init for the same.
    instead: Option<Signal>,
    /// It asks for the container's end.
    ends: bool,
}

/// The controller.
#[derive(Debug)]
pub(super) struct Supervisor {
    orders: Orders,
    phase: Phase,
    listener: OwnedFd,
    daemon: Option<Peer>,
    signals: OwnedFd,
    notes: Channel,
    /// The other end of `notes`, for children to come.
    notes_in: Channel,
    watcher: Watcher,
    consoles: Vec<Console>,
    meminfo: Option<Meminfo>,
    guard: Option<(i32, OwnedFd)>,
    words: Option<io::PipeWriter>,
    /// Ends with init's exec.
    exec: Option<OwnedFd>,
    init: Option<Init>,
    executing: bool,
    helpers: Vec<Helper>,
    failure: Option<Failure>,
    ending: Option<Ending>,
    /// The guard is gone, and all that was below it.
    is_over: bool,
}

impl Supervisor {
    pub(super) fn new(orders: Orders, listener: OwnedFd, consoles: Vec<OwnedFd>) -> io::Result<Self> {
        signals::reset_all();
        let signals = signals::descriptor(&SIGNALS.map(Signal::as_raw))?;
        let (notes, notes_in) = Channel::pair()?;
        let watcher = Watcher::new();
        let consoles = consoles
            .into_iter()
            .map(|host| Console::new(host, &watcher))
            .collect();
        let flags = rustix::fs::fcntl_getfl(&listener)?;
        rustix::fs::fcntl_setfl(&listener, flags | rustix::fs::OFlags::NONBLOCK)?;
        Ok(Self {
            orders,
            phase: Phase::Starting,
            listener,
            daemon: None,
            signals,
            notes,
            notes_in,
            watcher,
            consoles,
            meminfo: None,
            guard: None,
            words: None,
            exec: None,
            init: None,
            executing: false,
            helpers: Vec::new(),
            failure: None,
            ending: None,
            is_over: false,
        })
    }

    /// Until the container is gone.
    pub(super) fn serve(mut self) -> io::Result<()> {
        let give_up = Instant::now() + FIRST_CALL;
        while !self.is_over {
            let unheard = self.daemon.is_none() && self.guard.is_none();
            if unheard && Instant::now() >= give_up {
                return Err(io::Error::other("nobody has connected"));
            }
            for (source, what) in self.wait(unheard.then_some(give_up))? {
                self.attend(source, what)?;
            }
            self.drop_broken_daemon();
            self.end_slow_helpers();
        }
        self.finish();
        Ok(())
    }

    /// Sleeps until something happens.
    fn wait(&self, until: Option<Instant>) -> io::Result<Vec<(Source, PollFlags)>> {
        let now = Instant::now();
        let mut sources: Vec<(Source, BorrowedFd<'_>, PollFlags)> = vec![
            (Source::Notes, self.notes.as_fd(), PollFlags::IN),
            (Source::Signals, self.signals.as_fd(), PollFlags::IN),
            (Source::Listener, self.listener.as_fd(), PollFlags::IN),
        ];
        let daemon = self.daemon.as_ref();
        sources.extend(daemon.map(|daemon| (Source::Daemon, daemon.as_fd(), daemon.interest())));
        let exec = self.exec.as_ref();
        sources.extend(exec.map(|exec| (Source::Exec, exec.as_fd(), PollFlags::IN)));
        let opened = self.watcher.descriptor();
        sources.extend(opened.map(|fd| (Source::Opened, fd, PollFlags::IN)));
        let meminfo = self.meminfo.as_ref();
        sources.extend(meminfo.map(|file| (Source::Meminfo, file.descriptor(), PollFlags::IN)));
        for (index, console) in self.consoles.iter().enumerate() {
            let ends = console.interests(now);
            sources.extend(ends.map(|(half, fd, wanted)| (Source::Console(index, half), fd, wanted)));
        }
        let again = self.consoles.iter().filter_map(|console| console.look_again(now));
        let helpers = self.helpers.iter().map(|helper| helper.until);
        let next = until.into_iter().chain(again).chain(helpers).min();
        let timeout = next.map(|next| {
            let left = next.saturating_duration_since(now) + Duration::from_millis(1);
            Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let mut list: Vec<_> = sources
            .iter()
            .map(|(_, fd, wanted)| PollFd::from_borrowed_fd(*fd, *wanted))
            .collect();
        match poll(&mut list, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let woken = sources.iter().zip(&list);
        Ok(woken
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|((source, ..), fd)| (*source, fd.revents()))
            .collect())
    }

    fn attend(&mut self, source: Source, what: PollFlags) -> io::Result<()> {
        match source {
            Source::Notes => self.take_notes()?,
            Source::Signals => self.take_signals()?,
            Source::Listener => self.answer_the_door(),
            Source::Daemon => self.hear(what),
            Source::Exec => self.executed()?,
            Source::Opened => {
                for watch in self.watcher.opened() {
                    self.consoles.iter_mut().for_each(|console| console.opened(watch));
                }
            }
            Source::Meminfo => self.meminfo = self.meminfo.take().filter(Meminfo::serve),
            Source::Console(index, half) => {
                if let Some(console) = self.consoles.get_mut(index) {
                    console.ready(half, what, Instant::now());
                }
            }
        }
        Ok(())
    }

    fn say(&mut self, report: &Report) {
        if let Some(daemon) = &mut self.daemon {
            daemon.say(report);
        }
    }

    fn fail(&mut self, failure: Failure) {
        eprintln!("ferrovirt-lxc: {failure}");
        // What comes later comes of it.
        self.failure.get_or_insert(failure);
    }

    /// The first daemon that connects is the one that started us, and can be told what comes of it: now it begins.
    fn answer_the_door(&mut self) {
        let Some(peer) = Peer::accept(&self.listener) else {
            return;
        };
        self.daemon = Some(peer);
        self.say(&Report::Hello(Hello {
            version: VERSION,
            name: self.orders.name.clone(),
            init: self.init.as_ref().map(|init| init.pid),
            phase: self.phase,
        }));
        if self.guard.is_none()
            && let Err(failure) = self.begin()
        {
            self.fail(failure);
            self.is_over = true;
        }
    }

    fn begin(&mut self) -> Step<()> {
        if let Some(maps) = &self.orders.namespaces.user {
            idmap::check(maps)?;
        }
        caps::kept(&self.orders.capabilities)?;
        let failed = || "cannot start the container's guard".to_owned();
        let (words, writer) = io::pipe().named(failed)?;
        let (exec, until_exec) = io::pipe().named(failed)?;
        let notes = self.notes_in.as_fd().try_clone_to_owned().named(failed)?;
        let ties = Ties {
            notes: notes.into(),
            words: words.into(),
            until_exec: until_exec.into(),
        };
        match clone::clone(&[Namespace::Pid], false).named(failed)? {
            Side::Child => guard::run(&self.orders, ties),
            Side::Parent(pid, handle) => self.guard = Some((pid, handle)),
        }
        self.words = Some(writer);
        self.exec = Some(exec.into());
        Ok(())
    }

    fn take_notes(&mut self) -> io::Result<()> {
        while let Some((note, fds)) = Note::receive(&self.notes)? {
            match note {
                Note::Consoles => {
                    for (console, master) in self.consoles.iter_mut().zip(fds) {
                        console.connect(master);
                    }
                }
                Note::Meminfo => {
                    let memory = self.orders.memory.clone();
                    let ends = fds.into_iter().next().zip(memory);
                    self.meminfo = ends.map(|(connection, memory)| Meminfo::new(connection, memory));
                }
                Note::Born => {
                    if let Err(failure) = self.born(fds) {
                        self.fail(failure);
                        self.kill();
                    }
                }
                Note::Executing => self.executing = true,
                Note::Failed(failure) => self.fail(failure),
                Note::Ended(ending) => self.ending = Some(ending),
                Note::Did { id, result } => self.did(id, result),
            }
        }
        Ok(())
    }

    fn born(&mut self, fds: Vec<OwnedFd>) -> Step<()> {
        let gone = || Failure::new("init of the container was killed", 0);
        let handle = fds.into_iter().next().ok_or_else(gone)?;
        let pid = clone::pid_of(&handle).ok_or_else(gone)?;
        if let Some(maps) = &self.orders.namespaces.user {
            idmap::write(maps, pid)?;
        }
        self.init = Some(Init { pid, handle });
        self.phase = Phase::Cloned;
        self.give_word();
        self.say(&Report::Cloned { init: pid });
        Ok(())
    }

    /// Init goes on. One that is gone is noticed elsewhere.
    fn give_word(&mut self) {
        if let Some(words) = &mut self.words {
            let _ = words.write_all(b".");
        }
    }

    /// The pipe is closed that init had until its exec.
    fn executed(&mut self) -> io::Result<()> {
        self.exec = None;
        self.words = None;
        // Whoever could not exec has said so before its end closed the pipe.
        self.take_notes()?;
        self.tell_if_running();
        Ok(())
    }

    fn tell_if_running(&mut self) {
        if self.executing && self.failure.is_none() && self.phase != Phase::Running {
            self.phase = Phase::Running;
            self.say(&Report::Running);
        }
    }

    fn take_signals(&mut self) -> io::Result<()> {
        let mut records = [0u8; 1024];
        while rustix::io::read(&self.signals, &mut records).is_ok_and(|count| count > 0) {}
        while let Some((pid, _)) = clone::collect(false)? {
            if self.guard.as_ref().is_some_and(|(guard, _)| *guard == pid) {
                self.is_over = true;
            } else {
                self.lose_helper(pid)?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, what: PollFlags) {
        let Some(daemon) = &mut self.daemon else { return };
        if what.contains(PollFlags::OUT) {
            daemon.flush();
        }
        if !what.intersects(!PollFlags::OUT) {
            return;
        }
        for line in daemon.hear() {
            match line {
                Line::Request(request) => self.obey(request),
                Line::Unknown(id) => {
                    self.answer(
                        id,
                        Err(Failure::new("this controller does not know that request", 0)),
                    );
                }
            }
        }
    }

    fn answer(&mut self, id: u64, result: Result<(), Failure>) {
        self.say(&Report::Answer { id, result });
    }

    fn obey(&mut self, Request { id, ask }: Request) {
        let runs = self.phase == Phase::Running;
        match ask {
            Ask::Go if self.phase == Phase::Cloned => {
                self.phase = Phase::Preparing;
                self.give_word();
                self.answer(id, Ok(()));
            }
            Ask::Kill => {
                self.kill();
                self.answer(id, Ok(()));
            }
            Ask::Go => self.answer(id, Err(Failure::new("init does not wait for that", 0))),
            _ if !runs => self.answer(id, Err(Failure::new("the container does not run", 0))),
            Ask::Shutdown(ways) => self.power(id, Ask::Shutdown(ways), ways, Signal::TERM),
            Ask::Reboot(ways) => self.power(id, Ask::Reboot(ways), ways, Signal::HUP),
            ask => self.send_helper(id, &ask, None),
        }
    }

    fn power(&mut self, id: u64, ask: Ask, ways: Ways, signal: Signal) {
        let signal = ways.signal.then_some(signal);
        match signal {
            _ if ways.initctl => self.send_helper(id, &ask, signal),
            Some(signal) => {
                let result = self.signal(signal);
                self.answer(id, result);
            }
            None => self.answer(id, Err(Failure::new("no way to ask init was given", 0))),
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let gone = || Failure::new("the container does not run", 0);
        let init = self.init.as_ref().ok_or_else(gone)?;
        rustix::process::pidfd_send_signal(&init.handle, signal)
            .named(|| "cannot send a signal to init of the container".to_owned())
    }

    /// Everything in the container ends with its guard.
    fn kill(&mut self) {
        match &self.guard {
            Some((_, handle)) => {
                let _ = rustix::process::pidfd_send_signal(handle, Signal::KILL);
            }
            None => self.is_over = true,
        }
    }

    /// What may wait or enters other namespaces is done by a child.
    fn send_helper(&mut self, request: u64, ask: &Ask, instead: Option<Signal>) {
        let Some(init) = &self.init else {
            return self.answer(request, Err(Failure::new("the container does not run", 0)));
        };
        let ends = matches!(ask, Ask::Shutdown(_) | Ask::Reboot(_));
        match clone::clone(&[], false) {
            Ok(Side::Child) => {
                let result = plug::act(&self.orders, &init.handle, ask);
                Note::Did { id: request, result }.send(&self.notes_in, &[]);
                clone::exit_now(0)
            }
            Ok(Side::Parent(pid, handle)) => self.helpers.push(Helper {
                pid,
                handle,
                request,
                until: Instant::now() + CHILD_PATIENCE,
                instead,
                ends,
            }),
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(0);
                self.answer(request, Err(Failure::new("cannot start a child for it", errno)));
            }
        }
    }

    fn did(&mut self, id: u64, result: Result<(), Failure>) {
        let Some(place) = self.helpers.iter().position(|helper| helper.request == id) else {
            return;
        };
        let helper = self.helpers.swap_remove(place);
        let result = match (result, helper.instead) {
            (Err(_), Some(signal)) => self.signal(signal),
            (result, _) => result,
        };
        self.answer(id, result);
    }

    /// A child that ended without a word.
    fn lose_helper(&mut self, pid: i32) -> io::Result<()> {
        self.take_notes()?;
        let lost = self.helpers.iter().find(|helper| helper.pid == pid);
        if let Some(id) = lost.map(|helper| helper.request) {
            self.did(id, Err(Failure::new("the child that was to do it was killed", 0)));
        }
        Ok(())
    }

    /// The container has gone while children were at work. Who asked for that has got it, even if the child that told init has not
    /// said so yet.
    fn answer_for_helpers(&mut self) {
        for helper in std::mem::take(&mut self.helpers) {
            let _ = rustix::process::pidfd_send_signal(&helper.handle, Signal::KILL);
            let gone = || Failure::new("the container does not run", 0);
            self.answer(helper.request, helper.ends.then_some(()).ok_or_else(gone));
        }
    }

    fn end_slow_helpers(&mut self) {
        let now = Instant::now();
        for helper in self.helpers.iter_mut().filter(|helper| helper.until <= now) {
            let _ = rustix::process::pidfd_send_signal(&helper.handle, Signal::KILL);
            // One that the kernel holds is told of when it is gone, but does not keep us busy.
            helper.until = now + CHILD_PATIENCE;
        }
    }

    fn drop_broken_daemon(&mut self) {
        if self.daemon.as_ref().is_some_and(Peer::is_broken) {
            self.daemon = None;
        }
    }

    /// Nothing is left of the container: the daemon hears how it ended, or why it never was.
    fn finish(&mut self) {
        if let Err(error) = self.take_notes() {
            eprintln!("ferrovirt-lxc: {error}");
        }
        self.tell_if_running();
        self.answer_for_helpers();
        for console in &mut self.consoles {
            console.finish();
        }
        let last = match self.phase {
            Phase::Running => Report::Ended(self.ending.unwrap_or(Ending::Signaled(Signal::KILL.as_raw()))),
            _ => {
                let killed = || Failure::new("the container was killed before its init was executed", 0);
                Report::Failed(self.failure.take().unwrap_or_else(killed))
            }
        };
        self.phase = Phase::Ended;
        self.say(&last);
        if let Some(daemon) = &mut self.daemon {
            daemon.finish(LAST_WORDS);
        }
    }
}
