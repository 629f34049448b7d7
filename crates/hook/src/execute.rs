//! One script of a call: its lock, its keeper, its run, what its end means, and its place in the history.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ferrovirt_sys::errno_text;
use ferrovirt_sys::keeper::{Ended, Keeper, Sandbox, Script as Command, Step, Surroundings};
use tokio_util::sync::CancellationToken;

use crate::call::{Call, CallJournal, ScriptRun};
use crate::catalogue::Place;
use crate::diagnosis;
use crate::engine::Shared;
use crate::environment::{command_line, environment};
use crate::error::HookError;
use crate::event::HookEvent;
use crate::history::{How, RunEnd, RunId, RunKind, RunStart};
use crate::origin::HookRef;
use crate::payload;
use crate::plan::{Planned, Source};
use crate::policy::{OnFailure, Payload};
use crate::registry::Entry;
use crate::script::{self, Finished, Job, Order, Outcome};

/// So much of standard error is kept whatever the settings say.
const LEAST_STDERR: usize = 1 << 20;

/// The error number of a file that does not exist: the one reason for status 127.
const ENOENT: i32 = 2;

/// What the output of scripts is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    Notify,
    /// It takes the place of the document.
    Filter,
}

/// Why scripts are called at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Something happened.
    Event,
    /// Somebody repeats an earlier run.
    Replay(RunId),
    /// Somebody tries what would happen.
    Simulation,
}

/// What is the same for all scripts of one call.
#[derive(Clone)]
pub(crate) struct Ticket {
    pub(crate) shared: Arc<Shared>,
    pub(crate) call: Call,
    pub(crate) mode: Mode,
    pub(crate) cause: Cause,
    /// The same number for all scripts of the call, in the history.
    pub(crate) number: u64,
}

/// What came of one script.
pub(crate) struct Executed {
    /// Nothing when it was not started at all.
    pub(crate) run: Option<ScriptRun>,
    /// Its number in the history.
    pub(crate) id: u64,
    /// What a filter passes on, if it wrote anything.
    pub(crate) result: Result<Option<Arc<str>>, HookError>,
    /// Its failure stops nothing, says a rule.
    pub(crate) on_failure: OnFailure,
}

/// Runs one script. `journal` is told of the keeper before the script is there (R96).
pub(crate) async fn execute(
    ticket: &Ticket,
    planned: &Planned,
    document: Option<Arc<str>>,
    journal: Option<&Arc<dyn CallJournal>>,
) -> Executed {
    let event = match told_the_reason(ticket, planned) {
        true => ticket.call.event.clone(),
        false => ticket.call.event.clone().without_extra(),
    };
    let document = match planned.treatment.payload {
        Payload::Json => Some(payload::json(&event, document.as_deref()).into()),
        Payload::Xml => document,
    };
    let execution = Execution {
        ticket,
        planned,
        event,
        end: ticket.call.cancel.child_token(),
    };
    let began = Instant::now();
    let id = execution.begin(document.clone());
    let done = execution.run(id, document, journal).await;
    let on_failure = planned.treatment.on_failure;
    execution.finish(id, began, &done);
    Executed {
        run: done.run,
        id: id.1,
        result: done.result,
        on_failure,
    }
}

/// Whether the script gets the event's fourth argument (R34): a rule for one script goes before the setting for all. What
/// is repeated is repeated as it was.
fn told_the_reason(ticket: &Ticket, planned: &Planned) -> bool {
    let told = planned
        .treatment
        .release_reason
        .unwrap_or(ticket.shared.config.release_reason);
    told || !ticket.call.event.is_release() || matches!(ticket.cause, Cause::Replay(_))
}

/// What came of a script, with what the history wants to know beside it.
struct Done {
    run: Option<ScriptRun>,
    how: How,
    result: Result<Option<Arc<str>>, HookError>,
}

impl Done {
    fn not_run(how: How, error: HookError) -> Done {
        Done {
            run: None,
            how,
            result: Err(error),
        }
    }
}

/// One script of one call.
struct Execution<'a> {
    ticket: &'a Ticket,
    planned: &'a Planned,
    event: HookEvent,
    /// Ends this script alone.
    end: CancellationToken,
}

/// The number of a run: in the history, if there is one, and for those who look at what runs.
type Number = (Option<RunId>, u64);

impl Execution<'_> {
    fn shared(&self) -> &Arc<Shared> {
        &self.ticket.shared
    }

    fn path(&self) -> &Path {
        &self.planned.path
    }

    /// The run is in the history before the script is there, so that a daemon that dies leaves a trace of it (R93).
    fn begin(&self, document: Option<Arc<str>>) -> Number {
        let shared = self.shared();
        if !shared.history.is_on() {
            return (None, shared.registry.next_number());
        }
        let treatment = &self.planned.treatment;
        let id = shared.history.run_began(RunStart {
            operation: self.ticket.call.origin.operation(),
            call: self.ticket.number,
            event: self.event.clone(),
            uuid: self.ticket.call.uuid.as_deref().map(str::to_owned),
            script: self.path().to_owned(),
            kind: self.kind(),
            rule: (!treatment.rules.is_empty()).then(|| treatment.rules.join(", ")),
            digest: self.planned.digest,
            document,
            asked_by: self.ticket.call.origin.asked_by().clone(),
            at: SystemTime::now(),
            environment: treatment.env.iter().map(|(name, _)| name.clone()).collect(),
        });
        (Some(id), id.0)
    }

    fn kind(&self) -> RunKind {
        match (&self.ticket.cause, &self.planned.source) {
            (Cause::Replay(of), _) => RunKind::Replay(*of),
            (Cause::Simulation, _) => RunKind::Simulation,
            (Cause::Event, Source::Rule(name)) => RunKind::Rule(name.clone()),
            (Cause::Event, Source::File(Place::Guest)) => RunKind::GuestDirectory,
            (Cause::Event, Source::File(_) | Source::Named) => RunKind::Script,
        }
    }

    fn finish(&self, number: Number, began: Instant, done: &Done) {
        let Some(id) = number.0 else { return };
        let run = done.run.as_ref();
        let failure = done.result.as_ref().err();
        let ignored = failure.is_some_and(|error| !error.is_cancelled())
            && self.planned.treatment.on_failure != OnFailure::Abort;
        let end = RunEnd {
            took: run.map_or_else(|| began.elapsed(), |run| run.duration),
            how: done.how.clone(),
            stdout: run.map(|run| run.stdout.clone()).unwrap_or_default(),
            stderr: run.map(|run| run.stderr.clone()).unwrap_or_default(),
            output_document: done.result.as_ref().ok().and_then(Clone::clone),
            ignored,
            failure: failure.map(|error| error.detail()),
        };
        self.shared().history.run_ended(id, end);
    }

    async fn run(
        &self,
        number: Number,
        document: Option<Arc<str>>,
        journal: Option<&Arc<dyn CallJournal>>,
    ) -> Done {
        if let Some(refused) = self.refused() {
            return refused;
        }
        let surroundings = match self.surroundings() {
            Ok(surroundings) => surroundings,
            Err(reason) => return self.unavailable(io::Error::other(reason)),
        };
        let hook = HookRef {
            script: self.path().to_owned(),
            event: self.event.clone(),
        };
        let lock = self.planned.treatment.lock.as_deref();
        let origin = &self.ticket.call.origin;
        let registry = &self.shared().registry;
        let entry = registry.enter(number.1, hook, (origin, lock), &self.end);
        // Held until the script is over.
        let _lock = match lock.filter(|name| !origin.holds(name)) {
            None => None,
            Some(name) => tokio::select! {
                held = self.shared().locks.take(name) => Some(held),
                () = self.end.cancelled() => {
                    let order = Order::Cancel(entry.ended_by());
                    return Done::not_run(how_ordered(&order), self.ordered(order));
                }
            },
        };
        entry.waits_no_more();
        let mut keeper = match self.shared().pool.take().await {
            Ok(keeper) => keeper,
            Err(error) => return self.unavailable(io::Error::other(error)),
        };
        entry.held_by(keeper.id());
        if let Some(journal) = journal {
            journal.begin(keeper.id()).await;
        }
        let done = self.run_in(&mut keeper, entry, document, surroundings).await;
        match done {
            Ok((done, true)) => {
                self.shared().pool.give_back(keeper);
                done
            }
            Ok((done, false)) => {
                let later = number.0.map(|id| (self.shared().history.clone(), id));
                self.shared().pool.give_back_later(keeper, later);
                done
            }
            Err(done) => done,
        }
    }

    /// Strict permissions (R94).
    fn refused(&self) -> Option<Done> {
        let reason = self.planned.suspicion.as_ref()?;
        if !self.shared().config.strict_permissions {
            return None;
        }
        let error = HookError::Permissions {
            event: Box::new(self.event.clone()),
            script: self.path().to_owned(),
            reason: reason.clone(),
        };
        Some(Done::not_run(How::Refused { why: reason.clone() }, error))
    }

    fn surroundings(&self) -> Result<Surroundings, String> {
        let treatment = &self.planned.treatment;
        let user = match &self.planned.user {
            Some(Ok(user)) => Some(user.identity.clone()),
            Some(Err(reason)) => return Err(reason.clone()),
            None => None,
        };
        let sandbox = treatment.sandbox.as_ref().map(|sandbox| Sandbox {
            read_only_root: sandbox.read_only,
            writable: sandbox.writable.clone(),
            network: sandbox.network,
            memory_bytes: sandbox.memory,
            cpu_percent: sandbox.cpu,
        });
        Ok(Surroundings {
            user,
            cwd: treatment.cwd.clone(),
            sandbox,
        })
    }

    /// Through a keeper, which is given back when the second value says that it is empty. An error is the end of the
    /// keeper, too.
    async fn run_in(
        &self,
        keeper: &mut Keeper,
        entry: Entry,
        document: Option<Arc<str>>,
        surroundings: Surroundings,
    ) -> Result<(Done, bool), Done> {
        let (job, shown) = self.job(document, surroundings);
        match script::run(job, keeper, entry).await {
            Ok(finished) => {
                let empty = finished.keeper_empty;
                Ok((self.judge(&shown, finished).await, empty))
            }
            Err(error) if self.ticket.call.cancel.is_cancelled() => {
                // The client is told what it asked for; what went wrong on the way is for the log.
                let lost = self.unavailable(io::Error::other(error));
                if let Err(error) = &lost.result {
                    tracing::error!(target: "virHookRun", "{}", error.detail());
                }
                Err(Done::not_run(How::Lost, self.cancelled()))
            }
            Err(error) => Err(self.unavailable(io::Error::other(error))),
        }
    }

    /// What the keeper is told, and how the call is shown in errors: without what a rule put into the environment (R8).
    fn job(&self, document: Option<Arc<str>>, surroundings: Surroundings) -> (Job, String) {
        let treatment = &self.planned.treatment;
        let config = &self.shared().config;
        let own = self.planned.args.iter().cloned();
        let args: Vec<OsString> = own.chain(self.event.argv().map(OsString::from)).collect();
        let user = self.planned.user.as_ref().and_then(|user| user.as_ref().ok());
        let mut env = environment(|name| match (name, user) {
            ("HOME", Some(user)) => Some(user.home.clone().into()),
            ("USER" | "LOGNAME", Some(user)) => Some(user.name.clone()),
            _ => env::var_os(name),
        });
        let shown = command_line(&env, self.path(), &args);
        let extra = treatment.env.iter();
        env.extend(extra.map(|(name, value)| (OsString::from(name), OsString::from(value))));
        let job = Job {
            path: self.path().to_owned(),
            event: self.event.clone(),
            command: Command {
                program: self.path().as_os_str().to_owned(),
                args,
                env,
                surroundings,
            },
            document,
            cancel: self.end.clone(),
            warn_after: treatment.warn_after.unwrap_or(config.warn_after),
            limit: treatment.timeout,
            limits: [config.output_limit, config.output_limit.max(LEAST_STDERR)],
        };
        (job, shown)
    }

    /// What a script's end means.
    async fn judge(&self, shown: &str, finished: Finished) -> Done {
        let run = ScriptRun {
            script: self.path().to_owned(),
            outcome: finished.outcome,
            duration: finished.duration,
            stdout: finished.stdout,
            stderr: finished.stderr,
        };
        if let Some(order) = finished.ordered {
            return Done {
                how: how_ordered(&order),
                result: Err(self.ordered(order)),
                run: Some(run),
            };
        }
        let (how, result) = match run.outcome {
            Outcome::Ended(Ended::Exit(0)) => (How::Exit(0), self.output(&run)),
            Outcome::Ended(Ended::Exit(status)) => {
                let what = format!("exit status {status}");
                (
                    How::Exit(status),
                    Err(self.failed(shown, &what, &run.stderr.text())),
                )
            }
            Outcome::Ended(Ended::Signal(signal)) => {
                let what = format!("fatal signal {signal}");
                let mut text = run.stderr.text();
                if finished.oom {
                    text.push_str("(its memory limit was reached)");
                }
                (How::Signal(signal), Err(self.failed(shown, &what, &text)))
            }
            Outcome::NotStarted(errno) => self.not_started(shown, errno, finished.step).await,
        };
        Done {
            run: Some(run),
            how,
            result,
        }
    }

    /// What a filter passes on, unless it is blank (R37).
    fn output(&self, run: &ScriptRun) -> Result<Option<Arc<str>>, HookError> {
        if self.ticket.mode == Mode::Notify {
            return Ok(None);
        }
        let wrong = |reason: String| HookError::Output {
            event: Box::new(self.event.clone()),
            script: run.script.clone(),
            reason,
        };
        if run.stdout.lost > 0 {
            let limit = run.stdout.bytes.len();
            return Err(wrong(format!("more than {limit} bytes")));
        }
        match str::from_utf8(&run.stdout.bytes) {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Ok(Some(text.into())),
            Err(error) => Err(wrong(format!("not UTF-8: {error}"))),
        }
    }

    /// The kernel refused. What can be said beyond libvirt's words about a file that cannot be executed goes to the log
    /// and to the history.
    async fn not_started(
        &self,
        shown: &str,
        errno: i32,
        step: Step,
    ) -> (How, Result<Option<Arc<str>>, HookError>) {
        let script = self.path().display();
        let at = match step {
            Step::Exec => None,
            Step::User => Some("become its user"),
            Step::Directory => Some("enter its working directory"),
            Step::Sandbox => Some("make its sandbox"),
        };
        if let Some(what) = at {
            let reason = format!("cannot {what}: {}", errno_text(errno));
            let how = How::NotStarted {
                errno,
                reason: Some(reason.clone()),
            };
            return (how, self.unavailable(io::Error::other(reason)).result);
        }
        let path: PathBuf = self.path().to_owned();
        let explained = tokio::task::spawn_blocking(move || diagnosis::explain(&path, errno)).await;
        let reason = explained.unwrap_or_default();
        if let Some(reason) = &reason {
            tracing::warn!(target: "virHookRun", "Hook script {script} cannot be executed: {reason}");
        }
        let status = if errno == ENOENT { 127 } else { 126 };
        let text = format!(
            "libvirt:  error : cannot execute binary {script}: {}\n",
            errno_text(errno)
        );
        let error = self.failed(shown, &format!("exit status {status}"), &text);
        (How::NotStarted { errno, reason }, Err(error))
    }

    /// The error of R13.
    fn failed(&self, shown: &str, what: &str, text: &str) -> HookError {
        let colon = if text.is_empty() { "" } else { ": " };
        HookError::Failed {
            event: Box::new(self.event.clone()),
            script: self.path().to_owned(),
            detail: format!("internal error: Child process ({shown}) unexpected {what}{colon}{text}"),
        }
    }

    fn unavailable(&self, source: io::Error) -> Done {
        let why = source.to_string();
        let error = HookError::Unavailable {
            event: Box::new(self.event.clone()),
            script: self.path().to_owned(),
            source,
        };
        Done::not_run(How::Refused { why }, error)
    }

    /// What it means that somebody ended the script.
    fn ordered(&self, order: Order) -> HookError {
        let (event, script) = (Box::new(self.event.clone()), self.path().to_owned());
        match order {
            Order::Limit(limit) => HookError::TooLong { event, script, limit },
            Order::Cancel(Some(by)) if !self.ticket.call.cancel.is_cancelled() => HookError::Ended {
                event,
                script,
                by: by.to_string(),
            },
            Order::Cancel(_) => self.cancelled(),
        }
    }

    fn cancelled(&self) -> HookError {
        cancelled(&self.event, Some(self.path()))
    }
}

/// A destroy ended the script, or came before it (R95).
pub(crate) fn cancelled(event: &HookEvent, script: Option<&Path>) -> HookError {
    HookError::Cancelled {
        event: Box::new(event.clone()),
        script: script.map(Path::to_owned),
        by: "destroy".to_owned(),
    }
}

fn how_ordered(order: &Order) -> How {
    match order {
        Order::Limit(after) => How::TimedOut { after: *after },
        Order::Cancel(by) => How::Cancelled {
            by: by.as_deref().unwrap_or("destroy").to_owned(),
        },
    }
}
