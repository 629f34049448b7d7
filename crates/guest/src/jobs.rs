//! How the owner begins what it has admitted, and what it makes of what the guest does by itself.

use std::sync::Arc;

use ferrovirt_hook::{GuestOperation, Origin};
use ferrovirt_model::domain::{CrashLifecycle, Domain, Lifecycle as Action};
use tokio_util::sync::CancellationToken;

use crate::admission::{Ask, Verdict, judge};
use crate::backend::{BackendEvent, DiskName, Plug, Power, Tune};
use crate::definition::{self, Edit};
use crate::error::Error;
use crate::event::{DiskFailure, Lifecycle, What};
use crate::flags::{Metadata, RESET_NVRAM, StartFlags};
use crate::handle::not_running;
use crate::operation::{self, Word};
use crate::owner::{Job, Later, Note, Owner, answer};
use crate::plug::{self, DeviceChange};
use crate::request::{Envelope, Reply, Request};
use crate::run::Run;
use crate::sequence;
use crate::snapshot::Snapshot;
use crate::state::{
    CrashedReason, PausedReason, Phase, Reason, RunningReason, ShutdownReason, ShutoffReason, State,
};
use crate::tuning::Tuning;
use crate::{status_xml, store};

/// What the job of a reboot is called.
const REBOOT: &str = "reboot";

impl<B: Power + Tune + Plug> Owner<B> {
    /// Begins what the table has let pass.
    pub(crate) fn begin(&mut self, envelope: Envelope) {
        let Envelope {
            request,
            origin,
            reply,
        } = envelope;
        let active = self.desk.look().is_active();
        match request {
            Request::Start(flags, doc) => self.begin_start(flags, doc, &origin, reply),
            Request::Destroy(flags) => {
                self.begin_end(ShutoffReason::Destroyed, flags.graceful, &origin, vec![reply]);
            }
            Request::Say(word) => self.begin_word(word, &origin, Some(reply)),
            Request::Edit(edit) => self.begin_edit(edit, &origin, reply),
            Request::Describe(change, affect) if affect.is_live(active) => {
                self.begin_describe(change, affect.config, &origin, reply);
            }
            Request::Describe(change, _) => self.begin_edit(Edit::Describe(change), &origin, reply),
            Request::Tune(change, affect) if affect.is_live(active) => {
                self.begin_tune(change, affect.config, &origin, reply);
            }
            Request::Tune(change, _) => self.begin_edit(Edit::Tune(change), &origin, reply),
            Request::Device(change, affect) if affect.is_live(active) => {
                self.begin_device(*change, affect.config, &origin, reply);
            }
            Request::Device(change, _) => self.begin_edit(Edit::Device(change), &origin, reply),
        }
    }

    fn begin_start(&mut self, flags: StartFlags, doc: Option<Box<Domain>>, origin: &Origin, reply: Reply) {
        let seen = self.desk.look();
        let Some(doc) = doc.map(|doc| *doc).or_else(|| seen.config.as_deref().cloned()) else {
            return answer(
                reply,
                Err(Error::Internal(format!(
                    "guest '{}' has no definition",
                    seen.name
                ))),
            );
        };
        let cancel = CancellationToken::new();
        let path = self.shared.store.status_path(&seen.name);
        let mut run = Run::new(self.shared.registry.new_id(), doc, path, cancel.clone());
        if flags.reset_nvram {
            run.facts.insert(RESET_NVRAM.to_owned(), "yes".to_owned());
        }
        self.autodestroy = flags.autodestroy;
        let walk = self.hold("start", &run, cancel, origin, vec![reply]);
        let work = async move {
            let (finish, result) = sequence::start(&walk, run, flags.paused).await;
            walk.close(&result).await;
            Note::Over(finish, result)
        };
        self.spawn(work, || Note::Broken);
    }

    pub(crate) fn begin_end(
        &mut self,
        why: ShutoffReason,
        graceful: bool,
        origin: &Origin,
        replies: Vec<Reply>,
    ) {
        let Some(run) = self.run.take() else {
            return nothing_runs(replies);
        };
        let what = match why {
            ShutoffReason::Destroyed => "destroy",
            _ => "end",
        };
        let walk = self.hold(what, &run, CancellationToken::new(), origin, replies);
        let work = async move {
            let (finish, result) = sequence::destroy(&walk, *run, why, graceful).await;
            walk.close(&result).await;
            Note::Over(finish, result)
        };
        self.spawn(work, || Note::Broken);
    }

    fn begin_word(&mut self, word: Word, origin: &Origin, reply: Option<Reply>) {
        let replies = reply.into_iter().collect();
        let Some(run) = self.run.take() else {
            return nothing_runs(replies);
        };
        let what = match word {
            Word::Suspend => "suspend",
            Word::Resume => "resume",
            Word::Shutdown(_) => "shutdown",
            Word::Reboot(_) | Word::Again(_) => REBOOT,
            Word::Reset => "reset",
        };
        let walk = self.hold(what, &run, CancellationToken::new(), origin, replies);
        let work = async move {
            let (finish, result) = operation::speak(&walk, run, word).await;
            walk.close(&result).await;
            Note::Over(finish, result)
        };
        self.spawn(work, || Note::Broken);
    }

    fn begin_describe(&mut self, change: Metadata, also_config: bool, origin: &Origin, reply: Reply) {
        let Some((walk, run)) = self.take_up("change of metadata", origin, vec![reply]) else {
            return;
        };
        let work = async move {
            let (finish, result) = operation::describe(&walk, run, change, also_config).await;
            walk.close(&result).await;
            Note::Over(finish, result)
        };
        self.spawn(work, || Note::Broken);
    }

    fn begin_tune(&mut self, change: Tuning, also_config: bool, origin: &Origin, reply: Reply) {
        let Some((walk, run)) = self.take_up("change of limits", origin, vec![reply]) else {
            return;
        };
        let work = async move {
            let (finish, result) = operation::tune(&walk, run, change, also_config).await;
            walk.close(&result).await;
            Note::Over(finish, result)
        };
        self.spawn(work, || Note::Broken);
    }

    fn begin_device(&mut self, change: DeviceChange, also_config: bool, origin: &Origin, reply: Reply) {
        let Some((walk, run)) = self.take_up(change.verb(), origin, vec![reply]) else {
            return;
        };
        let work = async move {
            let (finish, result) = plug::change(&walk, run, change, also_config).await;
            walk.close(&result).await;
            Note::Over(finish, result)
        };
        self.spawn(work, || Note::Broken);
    }

    /// The next device that the guest let go of, now that no job holds it.
    pub(crate) fn next_gone(&mut self) {
        if self.run.is_none() || self.gone.is_empty() {
            return;
        }
        let alias = self.gone.remove(0);
        let held = self.take_up("detachment of a device", &Origin::client(), Vec::new());
        let Some((walk, run)) = held else { return };
        let work = async move {
            let (finish, result) = plug::gone(&walk, run, &alias).await;
            walk.close(&result).await;
            Note::Over(finish, result)
        };
        self.spawn(work, || Note::Broken);
    }

    /// The run of a guest that is up, and the walk of an operation that holds its job from now on.
    fn take_up(
        &mut self,
        what: &'static str,
        origin: &Origin,
        replies: Vec<Reply>,
    ) -> Option<(crate::walk::Walk<B>, Box<Run>)> {
        let Some(run) = self.run.take() else {
            nothing_runs(replies);
            return None;
        };
        let walk = self.hold(what, &run, CancellationToken::new(), origin, replies);
        Some((walk, run))
    }

    fn begin_edit(&mut self, edit: Edit, origin: &Origin, reply: Reply) {
        self.writing = Some(reply);
        let walk = self.walk(origin, CancellationToken::new());
        let work = async move { Note::Written(definition::edit(&walk, edit).await) };
        let broken = || Note::Written(Err(Error::Internal("a fault of the daemon".to_owned())));
        self.spawn(work, broken);
    }

    /// Gives the guest's job to an operation.
    fn hold(
        &mut self,
        what: &'static str,
        run: &Run,
        cancel: CancellationToken,
        origin: &Origin,
        replies: Vec<Reply>,
    ) -> crate::walk::Walk<B> {
        let walk = self.walk(origin, cancel.clone()).recorded(what);
        let sheet = Arc::clone(&run.sheet);
        self.job = Some(Job {
            what,
            cancel,
            sheet,
            replies,
            joined: Vec::new(),
            doomed: false,
        });
        walk
    }

    /// The daemon is ready: what the last one left is taken over, or undone (R38, R96). The job is held since `load`.
    pub(crate) fn recover(&mut self) {
        let Some(run) = self.left.take() else { return };
        let cancel = run.cancel.clone();
        let walk = self.walk(&Origin::client(), cancel).recorded("reconnect");
        let status = run.sheet.status();
        let work = async move {
            let (finish, result) = sequence::reconnect(&walk, *run, &status).await;
            walk.close(&result).await;
            if let Err(error) = &result {
                tracing::error!("guest '{}' was not taken over: {error}", walk.desk.look().name);
            }
            Note::Over(finish, result)
        };
        self.spawn(work, || Note::Broken);
    }

    /// Holds the job for what the last daemon left, until [`Owner::recover`].
    pub(crate) fn keep(&mut self, run: Box<Run>) {
        let sheet = Arc::clone(&run.sheet);
        self.job = Some(Job {
            what: "reconnect",
            cancel: run.cancel.clone(),
            sheet,
            replies: Vec::new(),
            joined: Vec::new(),
            doomed: false,
        });
        self.left = Some(run);
    }

    /// After a fault: memory is not trusted, the status file is.
    pub(crate) fn rebuild(&mut self) {
        let seen = self.desk.look();
        let path = self.shared.store.status_path(&seen.name);
        // A small local file, after a fault only.
        let status = std::fs::read_to_string(&path)
            .map_err(|e| e.to_string())
            .and_then(|text| status_xml::read(&text).map_err(|e| e.to_string()));
        let Ok(status) = status else {
            self.desk.change(store::shut_off);
            self.desk.set_guest(None);
            self.happened = None;
            return;
        };
        let phase = status.phase;
        self.desk.change(|s| store::show(s, &status));
        let run = Box::new(Run::of(status, path, CancellationToken::new()));
        if phase == Phase::Up && self.desk.guest().is_some() {
            self.run = Some(run);
        } else {
            self.keep(run);
            self.recover();
        }
    }

    fn was_reset(&mut self, guest_initiated: bool, seen: &Snapshot) {
        self.desk.announce(What::Rebooted);
        // A reset by our own hand within a reboot is that reboot.
        let reboots = self.job.as_ref().is_some_and(|job| job.what == REBOOT);
        self.desk.ring(match guest_initiated || reboots {
            true => GuestOperation::Rebooted,
            false => GuestOperation::Reset,
        });
        let doc = seen.live.as_ref();
        if doc.is_some_and(|doc| doc.on_reboot == Action::Destroy) {
            self.by_itself(Later::End(ShutoffReason::Shutdown));
        } else if let Some(sheet) = self.sheet() {
            sheet.note(|status| status.fake_reboot = false);
        }
    }

    /// The guest did something by itself.
    pub(crate) fn observe(&mut self, event: BackendEvent) {
        let seen = self.desk.look();
        let doc = seen.live.clone();
        match event {
            BackendEvent::Shutdown { guest_initiated } => {
                let asked = self.sheet().is_some_and(|sheet| sheet.status().fake_reboot);
                let restart = doc.is_some_and(|doc| doc.on_poweroff == Action::Restart);
                if guest_initiated && (asked || restart) {
                    // It comes back: those who listen hear of a reboot.
                    return self.by_itself(Later::Again(RunningReason::Booted));
                }
                // Our signal to a process whose guest is off is a second power-off in its eyes.
                if seen.state != State::Shutdown {
                    self.desk.tell(match guest_initiated {
                        true => Lifecycle::ShutdownGuest,
                        false => Lifecycle::ShutdownHost,
                    });
                }
                self.note(Reason::Shutdown(ShutdownReason::Unknown));
                self.by_itself(Later::End(ShutoffReason::Shutdown));
            }
            BackendEvent::Reset { guest_initiated } => self.was_reset(guest_initiated, &seen),
            BackendEvent::DiskFailed { disk, action, reason } => {
                let failure = doc.and_then(|doc| DiskFailure::of(&doc, &disk, action, reason));
                self.disk_failed(&disk, failure);
            }
            BackendEvent::Paused { io_error } if self.calm(&seen) && seen.state == State::Running => {
                self.desk.tell(if io_error {
                    Lifecycle::SuspendedIoError
                } else {
                    Lifecycle::SuspendedPaused
                });
                self.note(Reason::Paused(if io_error {
                    PausedReason::IoError
                } else {
                    PausedReason::Unknown
                }));
            }
            BackendEvent::Resumed if self.calm(&seen) && seen.state == State::Paused => {
                self.desk.tell(Lifecycle::ResumedUnpaused);
                self.note(Reason::Running(RunningReason::Unpaused));
            }
            // An operation of ours says what it did.
            BackendEvent::Paused { .. } | BackendEvent::Resumed => {}
            BackendEvent::Panicked => {
                // Its CPUs have stopped, too.
                self.desk.announce(Lifecycle::SuspendedPaused);
                self.desk.tell(Lifecycle::CrashedPanicked);
                self.note(Reason::Crashed(CrashedReason::Panicked));
                match doc.map(|doc| doc.on_crash) {
                    Some(CrashLifecycle::Preserve) => {}
                    Some(CrashLifecycle::Restart | CrashLifecycle::CoredumpRestart) => {
                        self.by_itself(Later::Again(RunningReason::Crashed));
                    }
                    _ => self.by_itself(Later::End(ShutoffReason::Crashed)),
                }
            }
            BackendEvent::Left { again } => {
                let wish = doc.map(|doc| if again { doc.on_reboot } else { doc.on_poweroff });
                self.by_itself(match wish {
                    Some(Action::Restart) => Later::Restart,
                    _ => Later::End(ShutoffReason::Shutdown),
                });
            }
            BackendEvent::DeviceGone(alias) => {
                self.gone.push(alias);
                self.next_gone();
            }
            BackendEvent::MonitorLost => self.desk.announce(What::ControlError),
            BackendEvent::Exited => {
                let why = match seen.state {
                    State::Shutdown => ShutoffReason::Shutdown,
                    _ => ShutoffReason::Crashed,
                };
                self.by_itself(Later::End(why));
            }
        }
    }

    fn disk_failed(&self, disk: &DiskName, failure: Option<DiskFailure>) {
        match failure {
            Some(failure) => self.desk.announce(What::DiskFailed(failure)),
            None => tracing::warn!(
                "guest '{}' has no disk {disk:?} that could fail",
                self.desk.look().name
            ),
        }
    }

    /// Whether no operation of ours stops or starts the CPUs just now.
    fn calm(&self, seen: &Snapshot) -> bool {
        self.job.is_none() || matches!(seen.phase, Phase::Started | Phase::Reconnect)
    }

    fn by_itself(&mut self, what: Later) {
        match judge(Ask::Gone, self.situation(), self.writing.is_some()) {
            Verdict::Go => self.act(what),
            // The first end has the reason; an end comes before a reboot.
            Verdict::Later if !matches!(self.later, Some(Later::End(_) | Later::Restart)) => {
                self.later = Some(what);
            }
            _ => {}
        }
    }

    pub(crate) fn act(&mut self, what: Later) {
        match what {
            Later::Again(why) => self.begin_word(Word::Again(why), &Origin::client(), None),
            Later::End(why) => self.begin_end(why, false, &Origin::client(), Vec::new()),
            Later::Restart => {
                // As it ran, with what was plugged in; only what ends with a run is left out.
                self.restart = self.run.as_ref().and_then(|run| match run.doc.to_config() {
                    Ok(doc) => Some(Box::new(doc)),
                    Err(error) => {
                        tracing::error!("guest '{}' is not started again: {error}", run.name());
                        None
                    }
                });
                self.begin_end(ShutoffReason::Shutdown, false, &Origin::client(), Vec::new());
            }
        }
    }

    /// A guest that asked to be started again: a new run with all hooks (R50).
    pub(crate) fn start_again(&mut self, doc: Box<Domain>, autodestroy: Option<CancellationToken>) {
        let flags = StartFlags {
            paused: false,
            autodestroy,
            reset_nvram: false,
        };
        // Nobody waits for the answer; the walk's own log and history tell of a failure.
        let (reply, _) = tokio::sync::oneshot::channel();
        self.desk.announce(What::Rebooted);
        self.begin_start(flags, Some(doc), &Origin::client(), reply);
    }

    fn sheet(&self) -> Option<&Arc<crate::sheet::Sheet>> {
        self.run
            .as_ref()
            .map(|run| &run.sheet)
            .or(self.job.as_ref().map(|job| &job.sheet))
    }

    /// Publishes what the CPUs do, and puts it on disk without waiting for it.
    fn note(&mut self, reason: Reason) {
        self.desk.say(reason);
        if let Some(sheet) = self.sheet().filter(|_| self.run.is_some()).cloned() {
            tokio::spawn(async move {
                if let Err(error) = sheet.write(|status| status.reason = reason).await {
                    tracing::error!("cannot write '{}': {error}", sheet.path().display());
                }
            });
        }
    }
}

fn nothing_runs(replies: Vec<Reply>) {
    for reply in replies {
        answer(reply, Err(not_running()));
    }
}
