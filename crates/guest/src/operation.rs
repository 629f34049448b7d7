//! Operations on a guest that is up: words with its hypervisor that call no hook (R40), and changes of its live document.

use std::sync::Arc;

use ferrovirt_hook::GuestOperation;

use crate::backend::{Backend, Power, Tune};
use crate::error::{Error, Result};
use crate::event::{Lifecycle, What};
use crate::flags::{Metadata, ShutdownMode};
use crate::handle::not_running;
use crate::run::Run;
use crate::sequence::{self, Finish};
use crate::state::{PausedReason, Reason, RunningReason, ShutoffReason, State};
use crate::tuning::Tuning;
use crate::walk::Walk;
use crate::{definition, metadata};

/// A word with the hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Suspend,
    Resume,
    Shutdown(ShutdownMode),
    Reboot(ShutdownMode),
    Reset,
    /// A power-off, or a panic, that becomes a reboot: reset the machine and let it run for this reason (R40).
    Again(RunningReason),
}

/// Says it.
pub(crate) async fn speak<B: Power>(walk: &Walk<B>, mut run: Box<Run>, word: Word) -> (Finish, Result<()>) {
    let result = match walk.desk.guest() {
        Some(guest) => speak_to(walk, &guest, &mut run, word).await,
        None => Err(Error::Internal(format!(
            "guest '{}' has no hypervisor",
            run.name()
        ))),
    };
    match (word, result) {
        // It cannot come back, so this is what it asked for: a power-off.
        (Word::Again(_), Err(error)) => {
            tracing::error!("guest '{}' cannot be reset: {error}", run.name());
            sequence::destroy(walk, *run, ShutoffReason::Shutdown, false).await
        }
        (_, result) => (Finish::Up(run), result),
    }
}

async fn speak_to<B: Power>(walk: &Walk<B>, guest: &B::Guest, run: &mut Run, word: Word) -> Result<()> {
    let (backend, desk) = (walk.backend(), &walk.desk);
    let state = desk.look().state;
    match word {
        Word::Suspend | Word::Resume if state == State::PmSuspended => {
            return Err(Error::Invalid("domain is pmsuspended".to_owned()));
        }
        Word::Suspend if state == State::Paused => {}
        Word::Suspend => {
            backend.suspend(guest).await?;
            desk.say(Reason::Paused(PausedReason::User));
            desk.tell(Lifecycle::SuspendedPaused);
        }
        Word::Resume if state == State::Running => {
            return Err(Error::Invalid("domain is already running".to_owned()));
        }
        Word::Resume => {
            backend.resume(guest, &mut run.doc).await?;
            desk.say(Reason::Running(RunningReason::Unpaused));
            desk.tell(Lifecycle::ResumedUnpaused);
        }
        Word::Shutdown(mode) => {
            run.sheet.note(|status| status.fake_reboot = false);
            backend.shutdown(guest, mode).await?;
        }
        Word::Reboot(mode) => {
            // On disk before the guest is asked: it may be off before the next daemon is there.
            run.save(|status| status.fake_reboot = true).await?;
            backend.reboot(guest, mode).await?;
        }
        Word::Reset => backend.reset(guest).await?,
        Word::Again(why) => {
            backend.reset(guest).await?;
            backend.resume(guest, &mut run.doc).await?;
            run.sheet.note(|status| status.fake_reboot = false);
            desk.say(Reason::Running(why));
            desk.ring(GuestOperation::Resumed);
            // A reboot is told of by the reset; a guest that had crashed was told to be paused.
            if why == RunningReason::Crashed {
                desk.announce(Lifecycle::ResumedUnpaused);
            }
        }
    }
    publish(walk, run).await
}

/// Changes title, description or metadata of the running guest, and of its definition when that is asked for too.
pub(crate) async fn describe<B: Backend>(
    walk: &Walk<B>,
    mut run: Box<Run>,
    change: Metadata,
    also_config: bool,
) -> (Finish, Result<()>) {
    let result = match also_config {
        true => definition::describe(walk, &change).await,
        false => Ok(()),
    };
    let result = match result.and_then(|()| metadata::apply(&mut run.doc, &change)) {
        Ok(()) => publish(walk, &run).await,
        Err(error) => Err(error),
    };
    if result.is_ok() {
        walk.desk.announce(What::described(&change));
    }
    (Finish::Up(run), result)
}

/// Changes limits and shares of the running guest, and of its definition when that is asked for too. What the kernel or
/// the hypervisor refuses changes neither.
pub(crate) async fn tune<B: Tune>(
    walk: &Walk<B>,
    mut run: Box<Run>,
    change: Tuning,
    also_config: bool,
) -> (Finish, Result<()>) {
    let result = tune_both(walk, &mut run, change, also_config).await;
    (Finish::Up(run), result)
}

async fn tune_both<B: Tune>(walk: &Walk<B>, run: &mut Run, change: Tuning, also_config: bool) -> Result<()> {
    let guest = walk.desk.guest().ok_or_else(not_running)?;
    let config = match also_config {
        true => Some(definition::with_tuning(walk, &change)?),
        false => None,
    };
    let mut wanted = run.doc.clone();
    change.apply(&mut wanted, true)?;
    if let Err(error) = walk.backend().tune(&guest, &run.doc, &mut wanted).await {
        // A part of it may hold already.
        let mut before = run.doc.clone();
        if let Err(lost) = walk.backend().tune(&guest, &wanted, &mut before).await {
            tracing::warn!("limits of guest '{}' are not what they were: {lost}", run.name());
        }
        return Err(error.into());
    }
    run.doc = wanted;
    publish(walk, run).await?;
    match config {
        Some(doc) => definition::keep(walk, doc),
        None => Ok(()),
    }
}

/// The live document and state, to readers and to disk.
pub(crate) async fn publish<B: Backend>(walk: &Walk<B>, run: &Run) -> Result<()> {
    let doc = Arc::new(run.doc.clone());
    walk.desk.change(|s| s.live = Some(doc));
    let reason = walk.desk.look().reason;
    run.save(|status| status.reason = reason).await
}
