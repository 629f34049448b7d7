//! Scripts called for no event: an earlier run once more, or what would happen (R93). Nobody's operation depends on them.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::call::{Call, ScriptRun};
use crate::engine::{Engine, Shared};
use crate::error::HookError;
use crate::event::{HookEvent, NoSuchOperation};
use crate::execute::{Cause, Mode, Ticket, execute};
use crate::history::{Run, RunId};
use crate::origin::Origin;
use crate::plan::{Planned, plan};
use crate::policy::OnFailure;

/// What is to be tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The event that scripts are told.
    pub event: HookEvent,
    /// What they get on standard input.
    pub document: Option<Arc<str>>,
    /// The object's uuid.
    pub uuid: Option<String>,
    /// This script and no other; all that would run when there is none.
    pub script: Option<PathBuf>,
    /// The earlier run that is repeated.
    pub replay: Option<RunId>,
    /// Who asked.
    pub origin: Origin,
    /// Ends the scripts.
    pub cancel: CancellationToken,
}

/// What came of one script that was tried.
#[derive(Debug)]
pub struct Tried {
    /// The script.
    pub script: PathBuf,
    /// Its number in the history.
    pub id: u64,
    /// Its run; nothing when it was not started at all.
    pub run: Option<ScriptRun>,
    /// What it was given.
    pub input: Option<Arc<str>>,
    /// Of a filter: what it passed on, or why the call failed.
    pub result: Result<Option<Arc<str>>, HookError>,
    /// What the call would have made of a failure.
    pub on_failure: OnFailure,
}

impl Engine {
    /// Calls scripts as the event would have them called, outside any operation: nothing waits for them, nothing is undone
    /// after a failure, and no later script is left out.
    pub async fn try_out(&self, trial: Trial) -> Vec<Tried> {
        let shared = self.shared().clone();
        let task = tokio::spawn(tried(shared, trial));
        task.await.unwrap_or_default()
    }
}

/// The event that an earlier run was called for.
///
/// # Errors
/// When its driver has no such operation (any more).
pub fn event_of(run: &Run) -> Result<HookEvent, NoSuchOperation> {
    let row = &run.row;
    HookEvent::repeated(row.driver, &row.object, &row.operation, &row.extra)
}

async fn tried(shared: Arc<Shared>, trial: Trial) -> Vec<Tried> {
    let steps = planned(&shared, &trial).await;
    let mode = match trial.event.is_filter() {
        true => Mode::Filter,
        false => Mode::Notify,
    };
    let number = shared.registry.next_number();
    let ticket = Ticket {
        shared,
        call: Call {
            origin: trial.origin,
            uuid: trial.uuid.map(Into::into),
            cancel: trial.cancel,
            ..Call::new(trial.event, trial.document.clone())
        },
        mode,
        cause: trial.replay.map_or(Cause::Simulation, Cause::Replay),
        number,
    };
    let mut all = Vec::new();
    let mut passed_on: Option<Arc<str>> = None;
    for step in steps {
        if ticket.call.cancel.is_cancelled() {
            break;
        }
        let input = passed_on.clone().or_else(|| trial.document.clone());
        let done = execute(&ticket, &step, input.clone(), None).await;
        match &done.result {
            Ok(Some(output)) => passed_on = Some(output.clone()),
            Ok(None) => {}
            Err(_) => passed_on = None,
        }
        all.push(Tried {
            script: step.path,
            id: done.id,
            run: done.run,
            input,
            result: done.result,
            on_failure: done.on_failure,
        });
    }
    all
}

/// The script that was named, or everything that the event would call.
async fn planned(shared: &Arc<Shared>, trial: &Trial) -> Vec<Planned> {
    if let Some(script) = &trial.script {
        return vec![Planned::named(script.clone())];
    }
    let (shared, trial) = (shared.clone(), trial.clone());
    let look = move || {
        let mut all = plan(
            &shared,
            &trial.event,
            trial.document.as_deref(),
            trial.uuid.as_deref(),
        );
        all.retain(|planned| planned.skipped.is_none());
        all
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}
