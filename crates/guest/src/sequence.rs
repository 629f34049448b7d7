//! THE order of hooks and work, read from top to bottom. Whatever starts or ends a guest goes through here.
//!
//! ```text
//!   start      prepare hook, ports, resources, start hook, launch, CPUs run, started hook, up
//!   end        process gone, stopped hook, ports gone, labels back, release hook, off
//!   reconnect  take over the process, its ports with their hooks, reconnect hook, up
//! ```
//!
//! A failure at any point takes the one way out, `end`, from wherever it was. Each phase is on disk before its work
//! begins, so that the next daemon knows what a sudden death cut short (R96). A destroy cancels the way up: no further
//! step begins, the running hook is ended, and the way out is walked as `destroyed` (R95).

use ferrovirt_hook::GuestOperation;

use crate::backend::{Backend, Plug, ReleaseStage};
use crate::error::Result;
use crate::event::Lifecycle;
use crate::plug;
use crate::run::Run;
use crate::state::{PausedReason, Phase, Reason, RunningReason, ShutoffReason, State, Way};
use crate::status::Status;
use crate::walk::Walk;

/// Where an operation left the guest.
pub(crate) enum Finish {
    /// It exists.
    Up(Box<Run>),
    /// It does not.
    Off,
}

/// Starts a guest (R30 to R32). The client hears the first failure.
pub(crate) async fn start<B: Backend>(walk: &Walk<B>, mut run: Run, paused: bool) -> (Finish, Result<()>) {
    walk.desk.say(Reason::Paused(PausedReason::StartingUp));
    if let Err(error) = walk.enter(&mut run, Phase::Prepare).await {
        // No hook was called, so there is nothing to take back.
        walk.off(&run, walk.blame(ShutoffReason::Failed)).await;
        return (Finish::Off, Err(error));
    }
    if let Err(first) = rise(walk, &mut run, paused).await {
        end(walk, &mut run, walk.blame(ShutoffReason::Failed)).await;
        return (Finish::Off, Err(first));
    }
    walk.desk.tell(Lifecycle::StartedBooted);
    if paused {
        walk.desk.tell(Lifecycle::SuspendedPaused);
    }
    (Finish::Up(Box::new(run)), Ok(()))
}

/// The way up, from the `prepare` hook on.
async fn rise<B: Backend>(walk: &Walk<B>, run: &mut Run, paused: bool) -> Result<()> {
    walk.hook(run, GuestOperation::Prepare).await?;
    walk.backend().name_devices(&mut run.doc);

    walk.enter(run, Phase::Ports).await?;
    walk.plug(run).await?;

    walk.enter(run, Phase::Resources).await?;
    walk.work("the preparation", walk.backend().prepare(run)).await?;

    walk.ports_ready(run).await?;

    walk.enter(run, Phase::Start).await?;
    walk.hook(run, GuestOperation::Start).await?;

    walk.enter(run, Phase::Launch).await?;
    let guest = walk.work("the launch", walk.backend().launch(run)).await?;
    walk.attach(run, &guest);

    if paused {
        walk.desk.say(Reason::Paused(PausedReason::User));
    } else {
        walk.enter(run, Phase::Resume).await?;
        walk.work(
            "the start of the CPUs",
            walk.backend().resume(&guest, &mut run.doc),
        )
        .await?;
        walk.desk.say(Reason::Running(RunningReason::Booted));
        if B::HABITS.start_resumes {
            // libvirt says so at every start; for rules it is no resumption.
            walk.desk.announce(Lifecycle::ResumedUnpaused);
        }
    }

    walk.enter(run, Phase::Started).await?;
    walk.hook(run, GuestOperation::Started).await?;

    walk.enter(run, Phase::Up).await
}

/// Ends a guest that is up. A process that does not go is the only thing that can stop this.
pub(crate) async fn destroy<B: Backend>(
    walk: &Walk<B>,
    mut run: Run,
    why: ShutoffReason,
    graceful: bool,
) -> (Finish, Result<()>) {
    let word = last_word(walk, why);
    walk.mark(&mut run, Phase::Kill).await;
    if let Err(error) = walk.kill(&mut run, graceful).await {
        walk.mark(&mut run, Phase::Up).await;
        return (Finish::Up(Box::new(run)), Err(error));
    }
    unwind(walk, &mut run, why).await;
    walk.over(why, word);
    (Finish::Off, Ok(()))
}

/// The one way out, from wherever the guest was. Whether this is an event is the caller's to say: a start that failed has
/// told of no guest, so it tells of no end either.
async fn end<B: Backend>(walk: &Walk<B>, run: &mut Run, why: ShutoffReason) {
    walk.mark(run, Phase::Kill).await;
    walk.kill_at_once(run).await;
    unwind(walk, run, why).await;
}

/// The end of a guest that the last daemon started.
async fn end_left<B: Backend>(walk: &Walk<B>, run: &mut Run, why: ShutoffReason) {
    let word = last_word(walk, why);
    end(walk, run, why).await;
    walk.over(why, word);
}

/// What an end is told as; asked while the guest's state still says how it came to it.
fn last_word<B: Backend>(walk: &Walk<B>, why: ShutoffReason) -> Lifecycle {
    match why {
        // libvirt's word for a hypervisor that is gone; a crash is the guest's own.
        ShutoffReason::Crashed if walk.desk.look().state != State::Crashed => Lifecycle::StoppedFailed,
        _ => Lifecycle::stopped(why),
    }
}

/// The way down once the process is gone (R33, R34).
async fn unwind<B: Backend>(walk: &Walk<B>, run: &mut Run, why: ShutoffReason) {
    walk.gone(run, why);
    walk.backend().release(run, ReleaseStage::Gone).await;

    walk.mark(run, Phase::Stopped).await;
    walk.farewell(run, None).await;

    walk.mark(run, Phase::Unplug).await;
    walk.unplug(run).await;

    walk.mark(run, Phase::Labels).await;
    walk.backend().release(run, ReleaseStage::Labels).await;

    walk.mark(run, Phase::Release).await;
    walk.farewell(run, Some(why)).await;

    if !walk.desk.look().persistent {
        walk.backend().abandon(&run.doc).await;
    }
    walk.off(run, why).await;
}

/// A new daemon finds a guest in the state directory: takes it over (R38), or undoes what the last daemon's death cut
/// short (R96).
pub(crate) async fn reconnect<B: Plug>(
    walk: &Walk<B>,
    mut run: Run,
    status: &Status,
) -> (Finish, Result<()>) {
    walk.end_orphan(status).await;
    if status.phase.way() != Way::Up {
        end_left(walk, &mut run, ShutoffReason::Failed).await;
        return (Finish::Off, Ok(()));
    }
    let adopted = walk.adopt(&mut run, status).await;
    // Also for a guest that is gone: its ports are taken away with their hooks, so they must be there (R24).
    walk.reclaim(&run).await;
    if let Err(why) = adopted {
        end_left(walk, &mut run, walk.blame(why)).await;
        return (Finish::Off, Ok(()));
    }
    plug::settle(walk, &mut run).await;
    if let Err(error) = greet(walk, &mut run).await {
        end_left(walk, &mut run, walk.blame(B::HABITS.refused)).await;
        return (Finish::Off, Err(error));
    }
    (Finish::Up(Box::new(run)), Ok(()))
}

async fn greet<B: Backend>(walk: &Walk<B>, run: &mut Run) -> Result<()> {
    walk.enter(run, Phase::Reconnect).await?;
    walk.hook(run, GuestOperation::Reconnect).await?;
    walk.enter(run, Phase::Up).await
}
