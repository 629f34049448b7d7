//! One script, from its document to its end (R8, R9, R12, R95).

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrovirt_sys::keeper::{Ended, Keeper, KeeperError, Report, Script, Step};
use ferrovirt_sys::pipe::PipeWriter;
use ferrovirt_sys::{dev_null, process, signals};
use tokio_util::sync::CancellationToken;

use crate::engine::SIGKILL;
use crate::event::HookEvent;
use crate::output::{Captured, Collector};
use crate::registry::Entry;

/// How long a tree that is told to end may take before it is killed (R95).
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// After this long even the kernel should be done with it: the grace, and as much again.
const TOO_LATE: Duration = Duration::from_secs(10);

/// Longer than any script.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

/// What is to be run, and how.
pub(crate) struct Job {
    pub(crate) path: PathBuf,
    pub(crate) event: HookEvent,
    pub(crate) command: Script,
    pub(crate) document: Option<Arc<str>>,
    pub(crate) cancel: CancellationToken,
    pub(crate) warn_after: Duration,
    /// After which time the whole tree is ended (R92).
    pub(crate) limit: Option<Duration>,
    /// Limits of standard output and standard error, bytes.
    pub(crate) limits: [usize; 2],
}

/// How a script went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and ended.
    Ended(Ended),
    /// The kernel does not execute it; the error number.
    NotStarted(i32),
}

/// Who ordered the end of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Whoever cancelled the call (R95), or somebody who meant this script alone.
    Cancel(Option<Arc<str>>),
    /// Its time limit (R92).
    Limit(Duration),
}

/// What came of a script.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) duration: Duration,
    pub(crate) stdout: Captured,
    pub(crate) stderr: Captured,
    /// Its end was ordered.
    pub(crate) ordered: Option<Order>,
    /// At what it failed, if it was not started.
    pub(crate) step: Step,
    /// Its memory limit has killed something of its tree.
    pub(crate) oom: bool,
    /// The keeper holds nothing more.
    pub(crate) keeper_empty: bool,
}

/// The document on its way to a script that may never read it.
struct Feed {
    document: Arc<str>,
    rest: Option<(PipeWriter, usize)>,
}

impl Feed {
    /// The script's standard input, and what is left to be written to it.
    fn new(document: Option<Arc<str>>) -> std::io::Result<(OwnedFd, Feed)> {
        let Some(document) = document else {
            return Ok((
                dev_null()?,
                Feed {
                    document: "".into(),
                    rest: None,
                },
            ));
        };
        let (theirs, rest) = PipeWriter::filled(document.as_bytes())?;
        Ok((theirs, Feed { document, rest }))
    }

    fn is_pending(&self) -> bool {
        self.rest.is_some()
    }

    /// Writes once. A script that closed its end has read what it wanted.
    async fn write(&mut self) {
        let Some((writer, sent)) = &mut self.rest else {
            return;
        };
        match writer.write(&self.document.as_bytes()[*sent..]).await {
            Ok(count) => *sent += count,
            Err(_) => *sent = self.document.len(),
        }
        if *sent >= self.document.len() {
            self.rest = None;
        }
    }
}

/// Runs one script to its end.
///
/// # Errors
/// When it could not be given to the keeper, or the keeper was lost while it ran; the script is then killed as far as it
/// can be found.
pub(crate) async fn run(job: Job, keeper: &mut Keeper, entry: Entry) -> Result<Finished, KeeperError> {
    let started = Instant::now();
    let lost = |source| KeeperError::Connection {
        keeper: keeper.id().pid,
        source,
    };
    let (stdin, feed) = Feed::new(job.document.clone()).map_err(lost)?;
    let (stdout, stdout_end) = Collector::new(job.limits[0]).map_err(lost)?;
    let (stderr, stderr_end) = Collector::new(job.limits[1]).map_err(lost)?;
    keeper
        .run(
            job.command.clone(),
            [stdin, stdout_end, stderr_end],
            [&stdout.pipe, &stderr.pipe],
        )
        .await?;
    let ending = job.cancel.child_token();
    let mut watch = Watch {
        job: &job,
        entry,
        feed,
        stdout,
        stderr,
        pid: None,
        ordered: None,
        step: Step::Exec,
        oom: false,
        ending: ending.clone(),
    };
    let end = tokio::select! {
        end = watch.until_exit(keeper) => end,
        () = too_late(&ending) => Err(KeeperError::Gone { keeper: keeper.id().pid }),
    };
    let (outcome, empty) = match end {
        Ok(end) => end,
        Err(error) => {
            watch.kill_the_lost(keeper);
            return Err(error);
        }
    };
    let duration = started.elapsed();
    let Watch {
        entry,
        stdout,
        stderr,
        ordered,
        step,
        oom,
        ..
    } = watch;
    let whole_tree = ordered.is_some();
    let finished = Finished {
        outcome,
        duration,
        stdout: stdout.finish(empty),
        stderr: stderr.finish(empty),
        ordered,
        step,
        oom,
        keeper_empty: empty,
    };
    if empty {
        return Ok(finished);
    }
    keeper.release(true).await?;
    let keeper_empty = whole_tree && wait_for_the_tree(&job, keeper).await;
    drop(entry);
    Ok(Finished {
        keeper_empty,
        ..finished
    })
}

/// Everything that happens while a script runs.
struct Watch<'a> {
    job: &'a Job,
    entry: Entry,
    feed: Feed,
    stdout: Collector,
    stderr: Collector,
    pid: Option<i32>,
    ordered: Option<Order>,
    step: Step,
    oom: bool,
    /// Cancelled as soon as the end is ordered, by whomever.
    ending: CancellationToken,
}

impl Watch<'_> {
    /// Until the main process is over: how it ended, and whether nothing else of its tree is left.
    async fn until_exit(&mut self, keeper: &mut Keeper) -> Result<(Outcome, bool), KeeperError> {
        let warning = tokio::time::sleep(self.job.warn_after);
        let limit = tokio::time::sleep(self.job.limit.unwrap_or(NEVER));
        tokio::pin!(warning, limit);
        if let Some(limit) = self.job.limit {
            self.entry.is_limited(Instant::now() + limit);
        }
        let mut warned = false;
        loop {
            tokio::select! {
                biased;
                report = keeper.next() => match report? {
                    Report::Started(pid) => {
                        self.pid = Some(pid);
                        self.entry.started(pid);
                    }
                    Report::NotStarted { errno, step } => {
                        self.step = step;
                        return Ok((Outcome::NotStarted(errno), true));
                    }
                    Report::Exited { how, empty, oom } => {
                        self.oom = oom;
                        return Ok((Outcome::Ended(how), empty));
                    }
                    Report::Printed { .. } | Report::Cut(_) | Report::Empty => {}
                },
                () = self.job.cancel.cancelled(), if self.ordered.is_none() => {
                    self.order(keeper, Order::Cancel(self.entry.ended_by())).await?;
                }
                () = &mut limit, if self.ordered.is_none() && self.job.limit.is_some() => {
                    let limit = self.job.limit.unwrap_or_default();
                    self.order(keeper, Order::Limit(limit)).await?;
                }
                () = self.feed.write(), if self.feed.is_pending() => {}
                // Before that it is hardly worth looking: most scripts are over then, and their pipes are read once.
                () = self.stdout.read(), if self.pid.is_some() && self.stdout.is_open() => {}
                () = self.stderr.read(), if self.pid.is_some() && self.stderr.is_open() => {}
                () = &mut warning, if !warned => {
                    warned = true;
                    self.entry.is_late();
                    let (script, event) = (self.job.path.display(), &self.job.event);
                    let after = self.job.warn_after.as_secs_f32();
                    tracing::warn!(target: "virHookRun", "Hook script {script} ({event}) has been running for {after} s");
                }
            }
        }
    }

    /// The tree gets SIGTERM now and SIGKILL after the grace.
    async fn order(&mut self, keeper: &mut Keeper, order: Order) -> Result<(), KeeperError> {
        self.ordered = Some(order);
        self.ending.cancel();
        keeper.end(GRACE).await
    }

    /// Without its keeper nobody collects the script or ends its tree: what can be found of it is killed.
    fn kill_the_lost(&self, keeper: &Keeper) {
        let mut lost = Vec::new();
        if keeper.id().is_alive() {
            // It hangs, or is about to end; nobody can collect anything before it is gone itself.
            lost = process::descendants(keeper.id().pid);
            let _ = signals::send(keeper.id(), SIGKILL);
        }
        if self.pid.is_none() {
            // It was lost before it could tell.
            lost.extend(process::who_prints_to(&self.stdout.pipe));
            lost.extend(process::who_prints_to(&self.stderr.pipe));
        }
        lost.retain(|process| signals::send(*process, SIGKILL).is_ok());
        let group = self.pid.map(|pid| signals::kill_group(pid, keeper.id()));
        let killed = !lost.is_empty() || group.is_some_and(|result| result.is_ok());
        let script = self.job.path.display();
        tracing::warn!(target: "virHookRun", "Hook script {script} lost its keeper; killed: {killed}");
    }
}

/// A keeper ends its tree in time, or it is not able to.
async fn too_late(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(TOO_LATE).await;
}

/// After a cancel the whole tree is waited for (R95); `false` when something cannot be killed.
async fn wait_for_the_tree(job: &Job, keeper: &mut Keeper) -> bool {
    let empty = async { while !matches!(keeper.next().await, Ok(Report::Empty) | Err(_)) {} };
    let done = tokio::time::timeout(TOO_LATE, empty).await.is_ok();
    if !done {
        let script = job.path.display();
        tracing::error!(target: "virHookRun", "processes that hook script {script} left behind cannot be killed");
    }
    done
}
