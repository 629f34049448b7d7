//! All scripts of one call, one after the other (R14, R37).

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ferrovirt_sys::errno_text;
use ferrovirt_sys::keeper::{Ended, Keeper, Script as Command, Surroundings};
use ferrovirt_sys::process::ProcessId;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, Filtered, Report, ScriptRun};
use crate::catalogue::{Found, Wanted};
use crate::diagnosis;
use crate::engine::Shared;
use crate::environment::{command_line, environment};
use crate::error::{HookError, PREFIX};
use crate::event::HookEvent;
use crate::origin::HookRef;
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

/// One call on its way.
pub(crate) struct Chain {
    shared: Arc<Shared>,
    call: Call,
    mode: Mode,
    report: Report,
    /// The last output of a filter that was not blank.
    filtered: Option<Arc<str>>,
    /// The last failure.
    failure: Option<HookError>,
    /// The keeper that the journal was last told of.
    announced: Option<ProcessId>,
}

impl Chain {
    pub(crate) fn new(shared: Arc<Shared>, mut call: Call, mode: Mode) -> Chain {
        if call.event.is_release() && !shared.config.release_reason {
            call.event = call.event.without_extra();
        }
        Chain {
            shared,
            call,
            mode,
            report: Report::default(),
            filtered: None,
            failure: None,
            announced: None,
        }
    }

    /// Runs all scripts, also after one has failed; not after a cancel.
    pub(crate) async fn run(mut self) -> Result<Filtered, HookError> {
        let mut cancelled = None;
        for script in self.scripts().await {
            if self.call.cancel.is_cancelled() {
                cancelled = Some(self.cancelled(None));
                break;
            }
            match self.run_one(&script).await {
                Ok(()) => {}
                Err(error @ HookError::Cancelled { .. }) => {
                    tracing::warn!(target: "virHookRun", "{}", error.detail());
                    cancelled = Some(error);
                    break;
                }
                Err(error) => self.fail(error),
            }
        }
        if let (Some(journal), Some(_)) = (&self.call.journal, self.announced) {
            journal.end().await;
        }
        match cancelled.or(self.failure) {
            Some(error) => Err(error),
            None => Ok(Filtered {
                document: self.filtered.as_deref().map(str::to_owned),
                report: self.report,
            }),
        }
    }

    /// The catalogue is read from the disk, which may be a slow one.
    async fn scripts(&self) -> Vec<Found> {
        let (shared, event) = (self.shared.clone(), self.call.event.clone());
        let uuid = self.call.uuid.clone();
        let look = move || {
            let [object, operation, sub_operation, _] = event.argv();
            let mut files = shared.catalogue.files(&Wanted {
                driver: event.driver(),
                object: &object,
                uuid: uuid.as_deref(),
                operation: &operation,
                sub_operation: &sub_operation,
                for_scripts: true,
            });
            files.retain(|file| file.skipped.is_none());
            files
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// Two lines in the log for every failure (R13); later filters get the original again (R37).
    fn fail(&mut self, error: HookError) {
        let detail = error.detail();
        tracing::error!(target: "virCommandWait", "{detail}");
        tracing::error!(target: "virRunScript", "{PREFIX}{detail}");
        self.filtered = None;
        self.failure = Some(error);
    }

    async fn run_one(&mut self, script: &Found) -> Result<(), HookError> {
        if let (true, Some(reason)) = (self.shared.config.strict_permissions, &script.suspicion) {
            let (event, script) = (Box::new(self.call.event.clone()), script.path.clone());
            return Err(HookError::Permissions {
                event,
                script,
                reason: reason.clone(),
            });
        }
        let event = self.call.event.clone();
        let unavailable = |error| {
            let script = script.path.clone();
            HookError::Unavailable {
                event: Box::new(event.clone()),
                script,
                source: io::Error::other(error),
            }
        };
        let mut keeper = self.shared.pool.take().await.map_err(unavailable)?;
        self.announce(&keeper).await;
        let hook = HookRef {
            script: script.path.clone(),
            event: event.clone(),
        };
        let end = self.call.cancel.child_token();
        let entry = self
            .shared
            .registry
            .enter(hook, keeper.id(), &self.call.origin, &end);
        let args = event.argv();
        let env = environment(|name| env::var_os(name));
        let shown = command_line(&env, &script.path, &args);
        let job = self.job(&script.path, args, env, end);
        let finished = match script::run(job, &mut keeper, entry).await {
            Ok(finished) => finished,
            Err(error) if self.call.cancel.is_cancelled() => {
                // The client is told what it asked for; what went wrong on the way is for the log.
                tracing::error!(target: "virHookRun", "{}", unavailable(error).detail());
                return Err(self.cancelled(Some(&script.path)));
            }
            Err(error) => return Err(unavailable(error)),
        };
        if finished.keeper_empty {
            self.shared.pool.give_back(keeper);
        } else {
            self.shared.pool.give_back_later(keeper);
        }
        self.judge(&script.path, &shown, finished).await
    }

    /// R96: the journal knows the keeper before the keeper knows the script.
    async fn announce(&mut self, keeper: &Keeper) {
        if let Some(journal) = &self.call.journal
            && self.announced != Some(keeper.id())
        {
            self.announced = Some(keeper.id());
            journal.begin(keeper.id()).await;
        }
    }

    fn job(
        &self,
        path: &Path,
        args: [String; 4],
        env: Vec<(OsString, OsString)>,
        cancel: CancellationToken,
    ) -> Job {
        let limit = self.shared.config.output_limit;
        Job {
            path: path.to_owned(),
            event: self.call.event.clone(),
            command: Command {
                program: path.as_os_str().to_owned(),
                args: args.into_iter().map(OsString::from).collect(),
                env,
                surroundings: Surroundings::default(),
            },
            document: self.filtered.clone().or_else(|| self.call.document.clone()),
            cancel,
            warn_after: self.shared.config.warn_after,
            limit: None,
            limits: [limit, limit.max(LEAST_STDERR)],
        }
    }

    /// What a script's end means.
    async fn judge(&mut self, path: &Path, shown: &str, finished: Finished) -> Result<(), HookError> {
        let Finished {
            outcome,
            duration,
            stdout,
            stderr,
            ordered,
            ..
        } = finished;
        let run = ScriptRun {
            script: path.to_owned(),
            outcome,
            duration,
            stdout,
            stderr,
        };
        let result = if let Some(order) = ordered {
            Err(self.ordered(path, order))
        } else if outcome == Outcome::Ended(Ended::Exit(0)) {
            self.take_output(&run)
        } else {
            Err(self.failed(&run, shown).await)
        };
        self.report.runs.push(run);
        result
    }

    /// The output of a filter, unless it is blank (R37).
    fn take_output(&mut self, run: &ScriptRun) -> Result<(), HookError> {
        // After a failure there is no output to pass on: the later ones get the original.
        if self.mode == Mode::Notify || self.failure.is_some() {
            return Ok(());
        }
        let wrong = |event: &HookEvent, reason: String| {
            Err(HookError::Output {
                event: Box::new(event.clone()),
                script: run.script.clone(),
                reason,
            })
        };
        if run.stdout.lost > 0 {
            let limit = run.stdout.bytes.len();
            return wrong(&self.call.event, format!("more than {limit} bytes"));
        }
        match str::from_utf8(&run.stdout.bytes) {
            Ok(text) if text.trim().is_empty() => Ok(()),
            Ok(text) => {
                self.filtered = Some(text.into());
                Ok(())
            }
            Err(error) => wrong(&self.call.event, format!("not UTF-8: {error}")),
        }
    }

    /// The error of R13. What can be said beyond libvirt's words about a file that cannot be executed goes to the log.
    async fn failed(&self, run: &ScriptRun, shown: &str) -> HookError {
        let (what, text) = match run.outcome {
            Outcome::Ended(Ended::Exit(status)) => (format!("exit status {status}"), run.stderr.text()),
            Outcome::Ended(Ended::Signal(signal)) => (format!("fatal signal {signal}"), run.stderr.text()),
            Outcome::NotStarted(errno) => {
                let path = run.script.clone();
                let explained = tokio::task::spawn_blocking(move || diagnosis::explain(&path, errno)).await;
                let script = run.script.display();
                if let Ok(Some(reason)) = explained {
                    tracing::warn!(target: "virHookRun", "Hook script {script} cannot be executed: {reason}");
                }
                let status = if errno == ENOENT { 127 } else { 126 };
                let text = format!(
                    "libvirt:  error : cannot execute binary {script}: {}\n",
                    errno_text(errno)
                );
                (format!("exit status {status}"), text)
            }
        };
        let colon = if text.is_empty() { "" } else { ": " };
        let detail = format!("internal error: Child process ({shown}) unexpected {what}{colon}{text}");
        HookError::Failed {
            event: Box::new(self.call.event.clone()),
            script: run.script.clone(),
            detail,
        }
    }

    /// What it means that somebody ended the script.
    fn ordered(&self, script: &Path, order: Order) -> HookError {
        let (event, path) = (Box::new(self.call.event.clone()), script.to_owned());
        match order {
            Order::Limit(limit) => HookError::TooLong {
                event,
                script: path,
                limit,
            },
            Order::Cancel(Some(by)) if !self.call.cancel.is_cancelled() => HookError::Ended {
                event,
                script: path,
                by: by.to_string(),
            },
            Order::Cancel(_) => self.cancelled(Some(script)),
        }
    }

    fn cancelled(&self, script: Option<&Path>) -> HookError {
        let (event, script) = (Box::new(self.call.event.clone()), script.map(Path::to_owned));
        HookError::Cancelled {
            event,
            script,
            by: "destroy".to_owned(),
        }
    }
}
