//! Runs of hooks, counted as the history tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrovirt_hook::history::{Change, History, How, KindRow, RunRow};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::histogram::{Histogram, Picture};

/// How many different scripts have a label of their own. Each costs a histogram per operation.
const SCRIPTS: usize = 64;
/// The label of all others.
const OTHER: &str = "other";

/// A small script takes milliseconds; who waits for a backup takes minutes.
const BOUNDS: &[Duration] = &[
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(300),
];

/// Driver, operation, and result or script.
pub(crate) type Key = [String; 3];

/// What was counted since the daemon began.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    tables: Mutex<Tables>,
    missed: AtomicU64,
}

#[derive(Debug, Default)]
struct Tables {
    counts: BTreeMap<Key, u64>,
    times: BTreeMap<Key, Histogram>,
    scripts: BTreeSet<String>,
}

impl Runs {
    /// Counts what the history tells from now on. Without a history nothing is counted. Needs a runtime around it.
    pub(crate) fn follow(history: &History) -> Arc<Runs> {
        let runs = Arc::new(Runs::default());
        if history.is_on() {
            tokio::spawn(listen(Arc::clone(&runs), history.subscribe()));
        }
        runs
    }

    /// A run is over. Replays and simulations are no runs of hooks: nothing depended on them.
    fn ended(&self, run: &RunRow) {
        if matches!(run.kind, KindRow::Replay(_) | KindRow::Simulation) {
            return;
        }
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let key = |last: String| [run.driver.as_str().to_owned(), run.operation.clone(), last];
        *tables.counts.entry(key(result(run).to_owned())).or_default() += 1;
        if let Some(took) = run.took {
            let script = tables.label(run);
            let times = tables.times.entry(key(script));
            times.or_insert_with(|| Histogram::new(BOUNDS)).observe(took);
        }
    }

    /// How many there were of each driver, operation and result.
    pub(crate) fn counts(&self) -> Vec<(Key, u64)> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables
            .counts
            .iter()
            .map(|(key, count)| (key.clone(), *count))
            .collect()
    }

    /// How long they took, of each driver, operation and script.
    pub(crate) fn times(&self) -> Vec<(Key, Picture)> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables
            .times
            .iter()
            .map(|(key, times)| (key.clone(), times.picture()))
            .collect()
    }

    /// How many changes of the history came too fast to be counted.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Tables {
    /// The script's file name, or `other`.
    fn label(&mut self, run: &RunRow) -> String {
        let name = run.script.file_name().unwrap_or_default().to_string_lossy();
        if self.scripts.contains(&*name) {
            return name.into_owned();
        }
        if self.scripts.len() >= SCRIPTS {
            return OTHER.to_owned();
        }
        self.scripts.insert(name.clone().into_owned());
        name.into_owned()
    }
}

/// How a run came out, in one word.
fn result(run: &RunRow) -> &'static str {
    match &run.how {
        _ if run.ignored => "ignored",
        Some(How::TimedOut { .. }) => "timeout",
        Some(How::Cancelled { .. }) => "cancelled",
        Some(How::NotStarted { .. } | How::Refused { .. }) => "not_started",
        _ if run.failed => "failed",
        _ => "ok",
    }
}

async fn listen(runs: Arc<Runs>, mut changes: Receiver<Change>) {
    loop {
        match changes.recv().await {
            Ok(Change::RunEnded(run)) => runs.ended(&run),
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => {
                runs.missed.fetch_add(missed, Ordering::Relaxed);
            }
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ferrovirt_hook::Driver;
    use ferrovirt_hook::history::{AskedBy, RunId};
    use std::time::SystemTime;

    pub(crate) fn run(script: &str, how: How) -> RunRow {
        RunRow {
            id: RunId(1),
            operation_id: None,
            call: 1,
            driver: Driver::Qemu,
            object: "web1".to_owned(),
            uuid: None,
            operation: "start".to_owned(),
            sub_operation: "begin".to_owned(),
            extra: "-".to_owned(),
            script: script.into(),
            kind: KindRow::Script,
            rule: None,
            digest: None,
            asked_by: AskedBy::default(),
            began: SystemTime::UNIX_EPOCH,
            took: Some(Duration::from_millis(20)),
            failed: how != How::Exit(0),
            ignored: false,
            failure: None,
            how: Some(how),
        }
    }

    pub(crate) fn counted(rows: &[RunRow]) -> Arc<Runs> {
        let runs = Arc::new(Runs::default());
        rows.iter().for_each(|row| runs.ended(row));
        runs
    }

    #[test]
    fn each_end_has_its_result() {
        let not_started = How::NotStarted {
            errno: 8,
            reason: None,
        };
        let refused = How::Refused {
            why: "unsafe".to_owned(),
        };
        let cancelled = How::Cancelled {
            by: "destroy".to_owned(),
        };
        let after = Duration::from_secs(5);
        for (how, wanted) in [
            (How::Exit(0), "ok"),
            (How::Exit(1), "failed"),
            (How::Signal(9), "failed"),
            (How::TimedOut { after }, "timeout"),
            (cancelled, "cancelled"),
            (not_started, "not_started"),
            (refused, "not_started"),
        ] {
            let row = run("/h/qemu", how.clone());
            assert_eq!(result(&row), wanted, "{how:?}");
            let ignored = RunRow { ignored: true, ..row };
            assert_eq!(result(&ignored), "ignored");
        }
    }

    #[test]
    fn there_are_only_so_many_scripts() {
        let rows: Vec<RunRow> = (0..100)
            .map(|n| run(&format!("/h/{n:03}"), How::Exit(0)))
            .collect();
        let runs = counted(&rows);
        let times = runs.times();
        assert_eq!(times.len(), SCRIPTS + 1);
        let other = times.iter().find(|(key, _)| key[2] == OTHER).unwrap();
        assert_eq!(other.1.count, 36);
        assert_eq!(runs.counts(), [(["qemu", "start", "ok"].map(str::to_owned), 100)]);
    }

    #[tokio::test]
    async fn what_came_too_fast_is_counted_as_missed() {
        let changes = tokio::sync::broadcast::Sender::new(4);
        let receiver = changes.subscribe();
        for _ in 0..7 {
            changes
                .send(Change::RunEnded(run("/h/qemu", How::Exit(0))))
                .unwrap();
        }
        drop(changes);
        let runs = Arc::new(Runs::default());
        listen(Arc::clone(&runs), receiver).await;
        assert_eq!((runs.missed(), runs.counts()[0].1), (3, 4));
    }

    #[test]
    fn what_was_only_tried_does_not_count() {
        let mut replay = run("/h/qemu", How::Exit(1));
        replay.kind = KindRow::Replay(RunId(7));
        let mut simulation = run("/h/qemu", How::Exit(1));
        simulation.kind = KindRow::Simulation;
        assert!(counted(&[replay, simulation]).counts().is_empty());
    }
}
