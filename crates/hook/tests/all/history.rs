//! The history where processes die, disks fill up, and others read (R93). Each test runs itself again as the process
//! that this happens to.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use ferrovirt_hook::history::{
    AskedBy, History, How, OperationStart, Query, Reader, RunEnd, RunId, RunKind, RunStart, Settings,
};
use ferrovirt_hook::{Captured, Driver, GuestOperation, HookEvent};
use rusqlite::Connection;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// Set in the process that a test starts; the directory to work in.
const INSIDE: &str = "FERROVIRT_TEST_HISTORY";

/// The directory, in the process that a test started.
fn inside() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

/// This test again, alone, in a process of its own.
fn again(test: &str, dir: &Path, before: &[&str]) -> Child {
    let exe = std::env::current_exe().unwrap().into_os_string();
    let mut words: Vec<_> = before.iter().map(Into::into).collect();
    words.push(exe);
    Command::new(&words[0])
        .args(&words[1..])
        .args([&format!("history::{test}"), "--exact", "--nocapture"])
        .env(INSIDE, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn start(document: String) -> RunStart {
    RunStart {
        operation: None,
        call: 1,
        event: HookEvent::guest(Driver::Qemu, "web1", GuestOperation::Prepare).unwrap(),
        uuid: None,
        script: "/h/qemu".into(),
        kind: RunKind::Script,
        rule: None,
        digest: None,
        document: Some(document.into()),
        asked_by: AskedBy::default(),
        at: SystemTime::now(),
        environment: Vec::new(),
    }
}

fn end() -> RunEnd {
    RunEnd {
        took: Duration::from_millis(1),
        how: How::Exit(0),
        stdout: Captured {
            bytes: b"out".to_vec(),
            lost: 0,
        },
        stderr: Captured::default(),
        output_document: None,
        ignored: false,
        failure: None,
    }
}

/// Records until it is killed, and says what must be there from then on.
fn record_until_killed(dir: &Path) {
    let history = History::open(Settings::new(dir.join("history.db"))).unwrap();
    let (runtime, mut out) = (runtime(), std::io::stdout());
    for round in 0u64.. {
        history.operation_began(OperationStart {
            driver: Driver::Qemu,
            object: "web1".to_owned(),
            uuid: None,
            kind: "start".to_owned(),
            asked_by: AskedBy::default(),
            at: SystemTime::now(),
        });
        let document = format!("<domain>{}</domain>", round.to_string().repeat(1000));
        let open = history.run_began(start(document.clone()));
        let whole = history.run_began(start(document));
        history.run_ended(whole, end());
        if round % 5 == 0 {
            runtime.block_on(history.flush());
            writeln!(out, "written {} {}", open.0, whole.0).unwrap();
        }
    }
}

#[test]
fn r93_a_kill_leaves_a_sound_history() {
    if let Some(dir) = inside() {
        return record_until_killed(&dir);
    }
    let rounds = std::env::var("PROOF")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut last = 0;
    for round in 0..rounds {
        let mut child = again("r93_a_kill_leaves_a_sound_history", dir.path(), &[]);
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let mut written = Vec::new();
        let mut note = |line: String| {
            let ids = line.split_once("written ")?.1.split_once(' ')?;
            // The line that the kill cut off says nothing.
            written.push((RunId(ids.0.parse().ok()?), RunId(ids.1.parse().ok()?)));
            Some(())
        };
        while note(lines.next().expect("it records")).is_none() {}
        // Anywhere: within a batch, between two, while the log is folded into the file.
        let nanos = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .subsec_nanos();
        std::thread::sleep(Duration::from_micros(u64::from(nanos / 1000 % 50_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| {
            note(line);
        });
        let check: String = Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok", "round {round}");
        let history = History::open(Settings::new(&path)).unwrap();
        let reader = Reader::open(&path).unwrap();
        for (open, whole) in written {
            let row = |id| {
                reader
                    .run(id)
                    .unwrap()
                    .unwrap_or_else(|| panic!("run {id} is gone"))
            };
            assert_eq!(row(open).row.how, Some(How::Lost));
            let whole = row(whole);
            assert_eq!(
                (whole.row.how, whole.stdout.bytes.as_slice()),
                (Some(How::Exit(0)), &b"out"[..])
            );
            assert!(
                whole
                    .document
                    .is_some_and(|document| document.text.ends_with("</domain>"))
            );
        }
        let rows = reader.runs(&Query::default()).unwrap();
        assert!(rows.iter().all(|row| row.how.is_some()));
        assert!(
            reader
                .operations(&Default::default())
                .unwrap()
                .iter()
                .all(|row| row.lost)
        );
        let next = history.run_began(start(String::new()));
        assert!(
            next.0 > last && rows.iter().all(|row| row.id < next),
            "round {round}"
        );
        last = next.0;
    }
}

#[test]
fn r93_others_read_while_it_is_written() {
    let all = 500;
    if let Some(dir) = inside() {
        let reader = Reader::open(&dir.join("history.db")).unwrap();
        let mut seen = 0;
        while seen < all {
            let rows = reader.runs(&Query::default()).unwrap();
            assert!(rows.len() >= seen && rows.windows(2).all(|two| two[0].id < two[1].id));
            seen = rows.len();
            if let Some(last) = rows.last() {
                assert!(reader.run(last.id).unwrap().unwrap().document.is_some());
            }
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(Settings::new(dir.path().join("history.db"))).unwrap();
    let mut child = again("r93_others_read_while_it_is_written", dir.path(), &[]);
    let runtime = runtime();
    let ended = loop {
        let id = history.run_began(start("<domain/>".to_owned()));
        history.run_ended(id, end());
        runtime.block_on(history.flush());
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert!(ended.success());
    assert_eq!(history.lost(), 0);
}

/// What the log said about the history.
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Recorder;

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        self.0 = format!("{value:?}");
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "virHookHistory" && *metadata.level() <= tracing::Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        LOG.lock().unwrap().push(message.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// In a mount namespace of its own: a disk of one megabyte.
fn on_a_small_disk(dir: &Path) {
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(dir)
        .status();
    assert!(mounted.unwrap().success());
    tracing::subscriber::set_global_default(Recorder).unwrap();
    let (runtime, path) = (runtime(), dir.join("history.db"));
    let history = History::open(Settings::new(&path)).unwrap();
    let before = history.run_began(start("<domain/>".to_owned()));
    runtime.block_on(history.flush());
    let filler = dir.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[b'x'; 4096]).is_ok() {}
    for round in 0..300 {
        let id = history.run_began(start(round.to_string().repeat(10_000)));
        history.run_ended(id, end());
        if round % 10 == 0 {
            runtime.block_on(history.flush());
        }
    }
    history.run_ended(before, end());
    runtime.block_on(history.flush());
    assert!(history.lost() > 100, "{}", history.lost());
    drop(file);
    fs::remove_file(&filler).unwrap();
    // An outage is over when nothing was lost for a second.
    std::thread::sleep(Duration::from_millis(1100));
    let after = history.run_began(start("<domain/>".to_owned()));
    history.run_ended(after, end());
    runtime.block_on(history.flush());
    let reader = Reader::open(&path).unwrap();
    let how = |id| reader.run(id).unwrap().unwrap().row.how;
    assert_eq!((how(before), how(after)), (Some(How::Lost), Some(How::Exit(0))));
    let log = LOG.lock().unwrap();
    assert!(
        log.len() == 2 && log[0].contains("full") && log[1].contains("is written again"),
        "{log:?}"
    );
    let lost = format!("{} entries were lost", history.lost());
    assert!(log[1].contains(&lost), "{log:?}, {lost}");
}

#[test]
fn r93_a_full_disk_stops_nobody() {
    if let Some(dir) = inside() {
        return on_a_small_disk(&dir);
    }
    let able = Command::new("unshare")
        .args(["-m", "--", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output();
    if !able.is_ok_and(|output| output.status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "there is no private mount namespace here"
        );
        eprintln!("skipped: there is no private mount namespace here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let child = again(
        "r93_a_full_disk_stops_nobody",
        dir.path(),
        &["unshare", "-m", "--"],
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
