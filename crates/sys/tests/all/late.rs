//! What background children print after the script's end (R93), and that it holds nobody up.

use std::fs;
use std::time::Duration;

use ferrovirt_sys::KeeperError;
use ferrovirt_sys::keeper::{Ended, LATE_MOST, Report, Stream};
use ferrovirt_sys::signals;

use crate::support::{Running, left_behind, started, until};

/// What was told until the keeper was empty.
#[derive(Default)]
struct Late {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    cuts: Vec<Stream>,
}

impl Late {
    /// Takes one report; `false` for the last one.
    fn take(&mut self, report: Report) -> bool {
        match report {
            Report::Printed { stream, bytes } => match stream {
                Stream::Stdout => self.stdout.extend_from_slice(&bytes),
                Stream::Stderr => self.stderr.extend_from_slice(&bytes),
            },
            Report::Cut(stream) => self.cuts.push(stream),
            Report::Empty => return false,
            other => panic!("{other:?}"),
        }
        true
    }

    async fn until_empty(it: &mut Running) -> Late {
        let mut late = Late::default();
        while late.take(it.next().await) {}
        late
    }
}

/// A script that has ended and left this behind, released.
async fn left(text: &str, keep: bool) -> Running {
    let mut it = Running::script(&format!("({text}) & exit 0")).await;
    started(it.next().await);
    assert_eq!(it.next().await, left_behind(Ended::Exit(0)));
    it.keeper.release(keep).await.unwrap();
    it
}

const WAIT: &str = "while [ ! -e $D/go ]; do sleep 0.01; done";

#[tokio::test]
async fn r93_what_a_child_prints_after_the_script_s_end_is_told() {
    let mut it = left(&format!("{WAIT}; echo late; echo error >&2; echo more"), true).await;
    it.put("go");
    let late = Late::until_empty(&mut it).await;
    assert_eq!(late.stdout, b"late\nmore\n");
    assert_eq!(late.stderr, b"error\n");
    assert_eq!(late.cuts, []);
    assert!(it.keeper.is_there(), "can be used again");
}

#[tokio::test]
async fn r93_a_child_that_says_nothing_is_told_nothing() {
    let mut it = left(WAIT, true).await;
    it.put("go");
    assert_eq!(it.next().await, Report::Empty);
}

#[tokio::test]
async fn r12_unless_it_is_to_be_kept_late_output_is_thrown_away() {
    let text = format!("{WAIT}; head -c 300000 /dev/zero; echo $? > $D/done");
    let mut it = left(&text, false).await;
    it.put("go");
    assert_eq!(it.next().await, Report::Empty);
    assert_eq!(it.text("done"), "0\n");
}

#[tokio::test]
async fn r93_the_last_words_before_the_end_are_not_lost() {
    // What is in the pipe when the last writer goes: read or not by then, it is told.
    for _ in 0..20 {
        let mut it = left(&format!("{WAIT}; head -c 60000 /dev/zero"), true).await;
        it.put("go");
        assert_eq!(Late::until_empty(&mut it).await.stdout.len(), 60_000);
    }
}

#[tokio::test]
async fn r93_a_daemon_that_does_not_read_holds_up_neither_keeper_nor_children() {
    let text = format!("{WAIT}; head -c 1073741824 /dev/zero; head -c 100000 /dev/zero >&2; echo > $D/done");
    let mut it = left(&text, true).await;
    it.put("go");
    let done = it.dir.path().join("done");
    until("a GiB went through", || done.exists()).await;
    assert!(memory_peak(it.keeper.id().pid) < 32 << 10);
    let late = Late::until_empty(&mut it).await;
    assert_eq!([late.stdout.len(), late.stderr.len()], [LATE_MOST; 2]);
    assert_eq!(late.cuts, [Stream::Stdout, Stream::Stderr]);
}

#[tokio::test]
async fn r95_a_tree_that_talks_without_end_is_ended() {
    let mut it = left("trap '' TERM; while :; do echo talk; echo talk >&2; done", true).await;
    let mut late = Late::default();
    while late.cuts.is_empty() {
        late.take(it.next().await);
    }
    it.keeper.end(Duration::from_millis(50)).await.unwrap();
    while late.take(it.next().await) {}
    assert!(it.keeper.is_there());
    assert!(late.stdout.len() <= LATE_MOST && late.stderr.len() <= LATE_MOST);
}

#[tokio::test]
async fn r96_a_keeper_that_is_told_to_end_while_output_flows_does() {
    let mut it = left("while :; do echo talk; done", true).await;
    assert!(matches!(it.next().await, Report::Printed { .. }));
    let id = it.keeper.id();
    signals::send(id, libc::SIGTERM).unwrap();
    let mut late = Late::default();
    while late.take(it.next().await) {}
    let gone = it.keeper.next().await;
    assert!(matches!(gone, Err(KeeperError::Gone { keeper }) if keeper == id.pid));
    until("the keeper is gone", || !id.is_alive()).await;
}

#[tokio::test]
async fn r96_without_its_daemon_nothing_is_kept_and_nobody_waits() {
    let text = format!("{WAIT}; head -c 300000 /dev/zero; echo $? > $D/done; sleep 0.01");
    let it = left(&text, true).await;
    let Running {
        keeper,
        stdout,
        stderr,
        dir,
    } = it;
    let id = keeper.id();
    drop((keeper, stdout, stderr));
    fs::write(dir.path().join("go"), "").unwrap();
    until("the keeper is gone", || !id.is_alive()).await;
    assert_eq!(fs::read_to_string(dir.path().join("done")).unwrap(), "0\n");
}

#[tokio::test]
async fn r12_a_script_that_prints_a_gib_is_read_slowly_and_costs_the_keeper_nothing() {
    let mut it = Running::script("head -c 1073741824 /dev/zero; exit 4").await;
    started(it.next().await);
    let mut chunk = vec![0; 64 << 10];
    let mut total = 0;
    while total < 1 << 30 {
        // A few bytes now and then in the beginning; a whole GiB of that would take the day.
        let most = if total < 50_000 { 500 } else { chunk.len() };
        if most == 500 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        total += it.stdout.read(&mut chunk[..most]).await.unwrap();
    }
    assert!(memory_peak(it.keeper.id().pid) < 32 << 10);
    assert_eq!(it.next().await, crate::support::ended(Ended::Exit(4)));
}

/// The most memory that a process had so far, KiB.
fn memory_peak(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
