//! All scripts of one call, one after the other (R14, R37).

use std::sync::Arc;

use ferrovirt_sys::process::ProcessId;
use tracing::Instrument;

use crate::call::{BoxFuture, Call, CallJournal, Filtered, Report};
use crate::engine::Shared;
use crate::error::{HookError, PREFIX};
use crate::execute::{Cause, Executed, Mode, Ticket, cancelled, execute};
use crate::plan::{Planned, plan};
use crate::policy::OnFailure;

/// One call on its way.
pub(crate) struct Chain {
    ticket: Ticket,
    report: Report,
    /// The last output of a filter that was not blank.
    filtered: Option<Arc<str>>,
    /// The last failure.
    failure: Option<HookError>,
    journal: Option<Arc<dyn CallJournal>>,
}

impl Chain {
    pub(crate) fn new(shared: Arc<Shared>, mut call: Call, mode: Mode) -> Chain {
        let journal = call.journal.take().map(|journal| -> Arc<dyn CallJournal> {
            Arc::new(Told {
                journal,
                of: tokio::sync::Mutex::new(None),
            })
        });
        let number = shared.registry.next_number();
        Chain {
            ticket: Ticket {
                shared,
                call,
                mode,
                cause: Cause::Event,
                number,
            },
            report: Report::default(),
            filtered: None,
            failure: None,
            journal,
        }
    }

    /// Runs all scripts, also after one has failed; not after a cancel.
    pub(crate) async fn run(mut self, planned: Vec<Planned>) -> Result<Filtered, HookError> {
        let mut stopped = None;
        for planned in planned {
            if self.ticket.call.cancel.is_cancelled() {
                stopped = Some(cancelled(&self.ticket.call.event, None));
                break;
            }
            if planned.treatment.run_async {
                self.detach(planned);
                continue;
            }
            let document = self
                .filtered
                .clone()
                .or_else(|| self.ticket.call.document.clone());
            let done = execute(&self.ticket, &planned, document, self.journal.as_ref()).await;
            if let Some(error) = self.take(done) {
                tracing::warn!(target: "virHookRun", "{}", error.detail());
                stopped = Some(error);
                break;
            }
        }
        if let Some(journal) = &self.journal {
            journal.end().await;
        }
        match stopped.or(self.failure) {
            Some(error) => Err(error),
            None => Ok(Filtered {
                document: self.filtered.as_deref().map(str::to_owned),
                report: self.report,
            }),
        }
    }

    /// What it will run. Reads directories: not for an async thread.
    pub(crate) fn planned(&self) -> Vec<Planned> {
        let Ticket { shared, call, .. } = &self.ticket;
        let mut all = plan(
            shared,
            &call.event,
            call.document.as_deref(),
            call.uuid.as_deref(),
        );
        all.retain(|planned| planned.skipped.is_none());
        all
    }

    /// Nobody waits for it. The operation may be over before the script is, so its cancel and its journal are not the
    /// script's.
    fn detach(&self, planned: Planned) {
        let mut ticket = self.ticket.clone();
        ticket.call.cancel = ticket.shared.end_of_async.child_token();
        let detached = ticket.shared.detached.clone();
        let work = async move {
            let document = ticket.call.document.clone();
            let done = execute(&ticket, &planned, document, None).await;
            if let Err(error) = done.result {
                log(&error, done.on_failure);
            }
        };
        detached.spawn(work.in_current_span());
    }

    /// What the end of one script means for the call; an error is the end of the call.
    fn take(&mut self, done: Executed) -> Option<HookError> {
        self.report.runs.extend(done.run);
        match done.result {
            // After a failure there is no output to pass on: the later ones get the original.
            Ok(Some(output)) if self.failure.is_none() => self.filtered = Some(output),
            Ok(_) => {}
            Err(error @ HookError::Cancelled { .. }) => return Some(error),
            Err(error) => {
                log(&error, done.on_failure);
                if done.on_failure == OnFailure::Abort {
                    // Later filters get the original again (R37).
                    self.filtered = None;
                    self.failure = Some(error);
                }
            }
        }
        None
    }
}

/// Two lines in the log for every failure (R13), one for a failure that a rule has made less of.
fn log(error: &HookError, on_failure: OnFailure) {
    let detail = error.detail();
    match on_failure {
        OnFailure::Abort => {
            tracing::error!(target: "virCommandWait", "{detail}");
            tracing::error!(target: "virRunScript", "{PREFIX}{detail}");
        }
        OnFailure::Warn => tracing::warn!(target: "virRunScript", "{PREFIX}{detail}"),
        OnFailure::Ignore => {}
    }
}

/// A journal that is told of each keeper once, and of the end if it was told of any.
struct Told {
    journal: Arc<dyn CallJournal>,
    of: tokio::sync::Mutex<Option<ProcessId>>,
}

impl CallJournal for Told {
    fn begin(&self, keeper: ProcessId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut of = self.of.lock().await;
            if of.replace(keeper) != Some(keeper) {
                self.journal.begin(keeper).await;
            }
        })
    }

    fn end(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.of.lock().await.take().is_some() {
                self.journal.end().await;
            }
        })
    }
}
