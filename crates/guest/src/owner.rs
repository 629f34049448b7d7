//! The owner of one guest: a task that admits requests and publishes what comes of them, and awaits nothing long. What
//! takes time is a child task that holds the guest's job and reports back with a note. A panic ends one operation: the
//! guest is rebuilt from its stored state, the other guests do not notice.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use ferrovirt_hook::Origin;
use ferrovirt_model::domain::Domain;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::{Situation, Verdict, judge};
use crate::backend::{Backend, BackendEvent, Plug, Power, Tune};
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::handle::not_running;
use crate::request::{Envelope, Reply, Request};
use crate::run::Run;
use crate::sequence::Finish;
use crate::shared::Shared;
use crate::sheet::Sheet;
use crate::state::{RunningReason, ShutoffReason};
use crate::walk::Walk;

/// How long a request waits for the job of another one, as in libvirt.
const WAIT: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 30 });

/// How many requests may wait for one guest.
pub(crate) const MAILBOX: usize = 64;

/// What child tasks tell the owner.
pub(crate) enum Note {
    /// There is a guest to watch.
    Watch(mpsc::UnboundedReceiver<BackendEvent>),
    /// The job is over.
    Over(Finish, Result<()>),
    /// The job panicked.
    Broken,
    /// The definition is written, or could not be.
    Written(Result<()>),
    /// The daemon is ready to take over what the last one left.
    Recover,
}

/// The job that holds the guest.
pub(crate) struct Job {
    pub(crate) what: &'static str,
    pub(crate) cancel: CancellationToken,
    pub(crate) sheet: Arc<Sheet>,
    /// Who asked for it.
    pub(crate) replies: Vec<Reply>,
    /// Who wants the guest destroyed meanwhile (R95).
    pub(crate) joined: Vec<Reply>,
    /// A destroy came, maybe from nobody who waits for an answer.
    pub(crate) doomed: bool,
}

/// What the guest did by itself while a job held it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Later {
    /// It powered off, or panicked, and shall run again.
    Again(RunningReason),
    /// It ended.
    End(ShutoffReason),
    /// It ended, and shall be started anew.
    Restart,
}

pub(crate) struct Owner<B: Backend> {
    pub(crate) shared: Arc<Shared<B>>,
    pub(crate) desk: Arc<Desk<B::Guest>>,
    pub(crate) notes: mpsc::UnboundedSender<Note>,
    /// The run, while no job holds it.
    pub(crate) run: Option<Box<Run>>,
    pub(crate) job: Option<Job>,
    /// Who waits for the definition to be written.
    pub(crate) writing: Option<Reply>,
    pub(crate) waiting: VecDeque<(Instant, Envelope)>,
    pub(crate) happened: Option<mpsc::UnboundedReceiver<BackendEvent>>,
    pub(crate) later: Option<Later>,
    /// What shall be started when the end is over that is under way.
    pub(crate) restart: Option<Box<Domain>>,
    /// Devices that the guest let go of while a job held it.
    pub(crate) gone: Vec<String>,
    pub(crate) autodestroy: Option<CancellationToken>,
    /// What the last daemon left, until it is taken over.
    pub(crate) left: Option<Box<Run>>,
    /// The guest does not exist any more.
    pub(crate) vanished: bool,
}

/// Where requests and notes arrive; outlives a panic of the owner.
pub(crate) struct Mail {
    pub(crate) requests: mpsc::Receiver<Envelope>,
    pub(crate) notes: mpsc::UnboundedReceiver<Note>,
}

/// Whether the owner goes on.
#[derive(PartialEq, Eq)]
enum Life {
    On,
    Vanished,
}

impl<B: Power + Tune + Plug> Owner<B> {
    /// Owns the guest until it vanishes.
    pub(crate) async fn live(mut self, mut mail: Mail) {
        loop {
            match AssertUnwindSafe(self.serve(&mut mail)).catch_unwind().await {
                Ok(()) => break,
                Err(_) => {
                    tracing::error!("a fault in the owner of guest '{}'", self.desk.look().name);
                    if self.job.is_none() && self.run.is_none() {
                        self.rebuild();
                    }
                }
            }
        }
        // From here on every request hears that the guest is gone.
        mail.requests.close();
    }

    async fn serve(&mut self, mail: &mut Mail) {
        let mut life = Life::On;
        while life == Life::On {
            let deadline = self.waiting.front().map(|(deadline, _)| *deadline);
            tokio::select! {
                biased;
                // What the guest did comes before what an operation says of it.
                Some(event) = next(&mut self.happened) => self.observe(event),
                Some(note) = mail.notes.recv() => life = self.take(note),
                () = connection_gone(&self.autodestroy) => self.autodestroy_now(),
                () = until(deadline) => self.expire(),
                Some(envelope) = mail.requests.recv() => self.admit(envelope),
                else => return,
            }
        }
    }

    pub(crate) fn situation(&self) -> Situation {
        Situation::of(self.desk.look().phase, self.job.is_some())
    }

    fn judge(&self, request: &Request) -> Verdict {
        judge(
            request.ask(self.desk.look().is_active()),
            self.situation(),
            self.writing.is_some(),
        )
    }

    fn admit(&mut self, envelope: Envelope) {
        match self.judge(&envelope.request) {
            Verdict::Go => self.begin(envelope),
            Verdict::Join => self.join(envelope),
            Verdict::Wait if self.waiting.len() < MAILBOX => {
                self.waiting.push_back((Instant::now() + WAIT, envelope));
            }
            Verdict::Wait => {
                let text = format!("too many requests wait for guest '{}'", self.desk.look().name);
                answer(envelope.reply, Err(Error::Busy(text)));
            }
            Verdict::Active => {
                let error = self.active(&envelope.request);
                answer(envelope.reply, Err(error));
            }
            Verdict::Inactive => answer(envelope.reply, Err(not_running())),
            // The last two are for what the guest does by itself.
            Verdict::Held | Verdict::Later | Verdict::Ignore => {
                answer(envelope.reply, Err(Error::Busy(self.held())));
            }
        }
    }

    fn active(&self, request: &Request) -> Error {
        Error::Invalid(match request {
            Request::Start(_, Some(_)) => format!("domain '{}' is already active", self.desk.look().name),
            Request::Start(_, None) => "domain is already running".to_owned(),
            _ => "cannot rename active domain".to_owned(),
        })
    }

    /// Who holds the guest, in words that name the hook (R95).
    fn held(&self) -> String {
        let seen = self.desk.look();
        let job = self
            .job
            .as_ref()
            .map_or("a change of its definition", |job| job.what);
        match &seen.busy {
            Some(hook) => format!(
                "guest '{}' is held by {job}, which waits for hook {hook}",
                seen.name
            ),
            None => format!("guest '{}' is held by {job}", seen.name),
        }
    }

    /// A destroy beside a job (R95): nothing of it goes on, the process goes at once; the answer comes when the guest is
    /// off.
    fn join(&mut self, envelope: Envelope) {
        let graceful = matches!(&envelope.request, Request::Destroy(flags) if flags.graceful);
        self.doom(graceful);
        if let Some(job) = &mut self.job {
            job.joined.push(envelope.reply);
        }
    }

    fn doom(&mut self, graceful: bool) {
        let Some(job) = &mut self.job else { return };
        job.doomed = true;
        job.cancel.cancel();
        if let Some(process) = job.sheet.status().process.filter(|_| !graceful)
            && let Ok(pidfd) = ferrovirt_sys::pidfd::PidFd::open(process)
            && let Err(error) = pidfd.kill(libc::SIGKILL)
        {
            tracing::error!("cannot kill process {process}: {error}");
        }
    }

    fn autodestroy_now(&mut self) {
        self.autodestroy = None;
        match judge(
            crate::admission::Ask::Destroy,
            self.situation(),
            self.writing.is_some(),
        ) {
            Verdict::Go => self.begin_end(ShutoffReason::Destroyed, false, &Origin::client(), Vec::new()),
            Verdict::Join => self.doom(false),
            _ => {}
        }
    }

    fn expire(&mut self) {
        if let Some((_, envelope)) = self.waiting.pop_front() {
            let text = format!("cannot acquire state change lock: {}", self.held());
            answer(envelope.reply, Err(Error::Timeout(text)));
        }
    }

    fn take(&mut self, note: Note) -> Life {
        match note {
            Note::Watch(events) => {
                self.happened = Some(events);
                return Life::On;
            }
            Note::Recover => self.recover(),
            Note::Over(finish, result) => self.over(finish, result),
            Note::Broken => self.broken(),
            Note::Written(result) => {
                let reply = self.writing.take();
                self.forget_if_nothing_is_left();
                if let Some(reply) = reply {
                    answer(reply, result);
                }
            }
        }
        self.after()
    }

    /// A transient guest that is off does not exist; nobody finds it once its end was answered.
    fn forget_if_nothing_is_left(&mut self) {
        let seen = self.desk.look();
        let idle = self.job.is_none() && self.writing.is_none();
        if idle && self.situation() == Situation::Off && !seen.persistent && !self.vanished {
            self.vanished = true;
            self.shared.registry.remove(&seen.name, &seen.uuid);
        }
    }

    /// Something ended: is there still a guest, and who comes next?
    fn after(&mut self) -> Life {
        if self.vanished {
            return Life::Vanished;
        }
        for (deadline, envelope) in std::mem::take(&mut self.waiting) {
            match self.judge(&envelope.request) {
                Verdict::Wait => self.waiting.push_back((deadline, envelope)),
                _ => self.admit(envelope),
            }
        }
        Life::On
    }

    fn over(&mut self, finish: Finish, result: Result<()>) {
        let Some(job) = self.job.take() else { return };
        let restart = self
            .restart
            .take()
            .filter(|_| matches!(finish, Finish::Off) && !job.doomed);
        if matches!(finish, Finish::Off) && restart.is_none() {
            self.forget_if_nothing_is_left();
        }
        let mut replies = job.replies.into_iter();
        let first = replies.next();
        replies.for_each(|reply| answer(reply, again(&result)));
        if let Some(reply) = first {
            answer(reply, result);
        }
        match finish {
            Finish::Off => {
                self.happened = None;
                self.later = None;
                self.gone.clear();
                let autodestroy = self.autodestroy.take();
                for reply in job.joined {
                    answer(reply, Ok(()));
                }
                if let Some(doc) = restart {
                    self.start_again(doc, autodestroy);
                }
            }
            Finish::Up(run) => {
                self.run = Some(run);
                match self.later.take() {
                    _ if job.doomed => {
                        self.begin_end(ShutoffReason::Destroyed, false, &Origin::client(), job.joined)
                    }
                    Some(later) => self.act(later),
                    None => self.next_gone(),
                }
            }
        }
    }

    /// The job panicked (rule: a panic stays at home).
    fn broken(&mut self) {
        let Some(job) = self.job.take() else { return };
        let text = format!(
            "the {} of guest '{}' failed by a fault of the daemon",
            job.what,
            self.desk.look().name
        );
        tracing::error!("{text}");
        for reply in job.replies.into_iter().chain(job.joined) {
            answer(reply, Err(Error::Internal(text.clone())));
        }
        self.desk.change(|s| s.busy = None);
        self.rebuild();
    }

    /// A child task that does what takes time; it always reports back.
    pub(crate) fn spawn(&self, work: impl Future<Output = Note> + Send + 'static, broken: fn() -> Note) {
        let notes = self.notes.clone();
        tokio::spawn(async move {
            let note = AssertUnwindSafe(work)
                .catch_unwind()
                .await
                .unwrap_or_else(|_| broken());
            // The owner lives as long as its operations.
            let _ = notes.send(note);
        });
    }

    pub(crate) fn walk(&self, origin: &Origin, cancel: CancellationToken) -> Walk<B> {
        Walk::new(&self.shared, &self.desk, origin, cancel, &self.notes)
    }
}

pub(crate) fn answer(reply: Reply, result: Result<()>) {
    // A client that is gone does not want it.
    let _ = reply.send(result);
}

/// The same answer for one more.
fn again(result: &Result<()>) -> Result<()> {
    result.as_ref().map_err(|e| Error::Failed(e.to_string())).copied()
}

async fn next(events: &mut Option<mpsc::UnboundedReceiver<BackendEvent>>) -> Option<BackendEvent> {
    let event = match events {
        Some(channel) => channel.recv().await,
        None => std::future::pending().await,
    };
    if event.is_none() {
        // The channel is closed; asking again would spin.
        *events = None;
        return std::future::pending().await;
    }
    event
}

async fn connection_gone(token: &Option<CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
