//! The history as a whole, within one process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::broadcast::error::TryRecvError;

use super::*;
use crate::event::{Driver, GuestOperation, HookEvent};
use crate::output::Captured;

/// A time with microseconds, which is what the database keeps.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(1_800_000_000_000_001 + seconds * 1_000_000)
}

fn settings(dir: &TempDir) -> Settings {
    Settings {
        // The tests' times are not today's.
        max_age: Duration::MAX,
        ..Settings::new(dir.path().join("deep/history.db"))
    }
}

fn event(guest: &str, operation: GuestOperation) -> HookEvent {
    HookEvent::guest(Driver::Qemu, guest, operation).unwrap()
}

fn start(guest: &str) -> RunStart {
    RunStart {
        operation: None,
        call: 1,
        event: event(guest, GuestOperation::Prepare),
        uuid: None,
        script: "/h/qemu".into(),
        kind: RunKind::Script,
        rule: None,
        digest: None,
        document: None,
        asked_by: AskedBy::default(),
        at: at(0),
        environment: Vec::new(),
    }
}

fn end(how: How) -> RunEnd {
    RunEnd {
        took: Duration::from_micros(1500),
        how,
        stdout: Captured::default(),
        stderr: Captured::default(),
        output_document: None,
        ignored: false,
        failure: None,
    }
}

fn operation(guest: &str) -> OperationStart {
    OperationStart {
        driver: Driver::Qemu,
        object: guest.to_owned(),
        uuid: None,
        kind: "start".to_owned(),
        asked_by: AskedBy::default(),
        at: at(0),
    }
}

fn operation_end() -> OperationEnd {
    OperationEnd {
        at: at(9),
        failure: None,
        reason: None,
        hypervisor_log: None,
    }
}

fn captured(text: &str) -> Captured {
    Captured {
        bytes: text.as_bytes().to_vec(),
        lost: 0,
    }
}

/// A run about which everything is known.
fn full_start(operation: OperationId, asked_by: &AskedBy) -> RunStart {
    RunStart {
        operation: Some(operation),
        call: 42,
        event: event("web1", GuestOperation::Restore),
        uuid: Some("0-1".to_owned()),
        script: "/h/qemu.d/10 a".into(),
        kind: RunKind::Rule("backup".to_owned()),
        rule: Some("limit".to_owned()),
        digest: Some([0xab; 32]),
        document: Some("<domain passwd='x'/>\n".into()),
        asked_by: asked_by.clone(),
        at: at(5),
        environment: vec![
            "FERROVIRT_A".to_owned(),
            "PATH".to_owned(),
            "FERROVIRT_B".to_owned(),
        ],
    }
}

async fn reader(history: &History) -> Reader {
    history.flush().await;
    Reader::open(history.path().unwrap()).unwrap()
}

#[tokio::test]
async fn r93_a_run_comes_back_as_it_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let asked_by = AskedBy {
        pid: Some(7),
        uid: Some(1000),
        program: Some("/usr/bin/virsh".to_owned()),
        hook: Some(RunId(3)),
    };
    let operation_id = history.operation_began(operation("web1"));
    let id = history.run_began(full_start(operation_id, &asked_by));
    let began = reader(&history).await.run(id).unwrap().unwrap();
    assert_eq!(
        (began.row.how, began.row.took, began.row.failed),
        (None, None, false)
    );
    history.run_ended(
        id,
        RunEnd {
            stdout: captured("<domain passwd='y'/>"),
            stderr: Captured {
                bytes: b"\xff oh".to_vec(),
                lost: 5,
            },
            output_document: Some("<domain passwd='y'/>".into()),
            ignored: true,
            failure: Some("failed: passwd='z'".to_owned()),
            ..end(How::Exit(3))
        },
    );
    history.run_printed_later(id, Stream::Stderr, b"late passwd='ab".to_vec());
    history.run_printed_later(id, Stream::Stderr, b"cd' r".to_vec());
    let run = reader(&history).await.run(id).unwrap().unwrap();
    let expected = RunRow {
        id,
        operation_id: Some(operation_id),
        call: 42,
        driver: Driver::Qemu,
        object: "web1".to_owned(),
        uuid: Some("0-1".to_owned()),
        operation: "restore".to_owned(),
        sub_operation: "begin".to_owned(),
        extra: "-".to_owned(),
        script: "/h/qemu.d/10 a".into(),
        kind: KindRow::Rule("backup".to_owned()),
        rule: Some("limit".to_owned()),
        digest: Some([0xab; 32]),
        asked_by,
        began: at(5),
        took: Some(Duration::from_micros(1500)),
        how: Some(How::Exit(3)),
        failed: true,
        ignored: true,
        failure: Some("failed: passwd='***'".to_owned()),
    };
    assert_eq!(run.row, expected);
    assert_eq!(run.environment, ["FERROVIRT_A", "FERROVIRT_B"]);
    assert_eq!(run.document.unwrap().text, "<domain passwd='***'/>\n");
    assert_eq!(run.output_document.unwrap().text, "<domain passwd='***'/>");
    assert_eq!(run.stdout.bytes, b"<domain passwd='***'/>");
    assert_eq!(
        (run.stderr.bytes.as_slice(), run.stderr.lost),
        (&b"\xff oh"[..], 5)
    );
    assert_eq!(run.later_stdout, Output::default());
    assert!(run.later_stderr.bytes.starts_with(b"late passwd='***"));
    assert!(!run.later_stderr.bytes.windows(2).any(|two| two == b"ab"));
    assert_eq!(history.lost(), 0);
}

#[tokio::test]
async fn r93_every_kind_and_every_end_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let kinds = [
        (RunKind::Script, KindRow::Script),
        (RunKind::Rule("r".to_owned()), KindRow::Rule("r".to_owned())),
        (RunKind::GuestDirectory, KindRow::GuestDirectory),
        (RunKind::Replay(RunId(9)), KindRow::Replay(RunId(9))),
        (RunKind::Simulation, KindRow::Simulation),
    ];
    let ends = [
        How::Exit(0),
        How::Signal(9),
        How::NotStarted {
            errno: 8,
            reason: Some("CRLF".to_owned()),
        },
        How::TimedOut {
            after: Duration::from_millis(1500),
        },
        How::Cancelled {
            by: "destroy".to_owned(),
        },
        How::Refused {
            why: "mode".to_owned(),
        },
        How::Lost,
    ];
    for (index, how) in ends.iter().enumerate() {
        let kind = kinds[index % kinds.len()].0.clone();
        let id = history.run_began(RunStart { kind, ..start("g") });
        history.run_ended(id, end(how.clone()));
    }
    let rows = reader(&history).await.runs(&Query::default()).unwrap();
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row.how.as_ref(), Some(&ends[index]));
        assert_eq!(row.kind, kinds[index % kinds.len()].1);
        assert_eq!(row.failed, index > 0);
    }
    assert_eq!(rows.len(), ends.len());
}

#[tokio::test]
async fn r93_an_operation_comes_back_with_its_steps_and_runs() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let other = history.operation_began(operation("web2"));
    let id = history.operation_began(OperationStart {
        uuid: Some("u".to_owned()),
        ..operation("web1")
    });
    for name in ["resources", "launch"] {
        history.operation_step(
            id,
            Step {
                name: name.to_owned(),
                began: at(1),
                took: Duration::from_millis(3),
                failure: (name == "launch").then(|| "no".to_owned()),
            },
        );
    }
    let runs = [0, 1].map(|_| {
        history.run_began(RunStart {
            operation: Some(id),
            ..start("web1")
        })
    });
    history.run_began(RunStart {
        operation: Some(other),
        ..start("web2")
    });
    history.operation_ended(
        id,
        OperationEnd {
            failure: Some("boot".to_owned()),
            reason: Some("failed".to_owned()),
            hypervisor_log: Some(format!("{}last", "ü".repeat(20_000))),
            ..operation_end()
        },
    );
    let reader = reader(&history).await;
    let whole = reader.last_operation(Driver::Qemu, "web1").unwrap().unwrap();
    assert_eq!(whole, reader.operation(id).unwrap().unwrap());
    assert_eq!((whole.row.began, whole.row.ended), (at(0), Some(at(9))));
    assert_eq!((whole.row.kind.as_str(), whole.row.lost), ("start", false));
    assert_eq!(whole.row.failure.as_deref(), Some("boot"));
    assert_eq!(whole.row.reason.as_deref(), Some("failed"));
    let log = whole.hypervisor_log.unwrap();
    assert!(log.len() <= 16 << 10 && log.len() > 16_000 && log.ends_with("ülast"));
    let steps: Vec<_> = whole
        .steps
        .iter()
        .map(|step| (step.name.as_str(), step.failure.is_some()))
        .collect();
    assert_eq!(steps, [("resources", false), ("launch", true)]);
    assert_eq!(whole.runs.iter().map(|run| run.id).collect::<Vec<_>>(), runs);
    assert_eq!(reader.last_operation(Driver::Lxc, "web1").unwrap(), None);
    assert_eq!(reader.operation(OperationId(99)).unwrap(), None);
}

/// The UUID of some guest.
const UUID: &str = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0";

/// Ten runs of two guests and two scripts, a second apart; one failed.
fn ten_runs(history: &History) {
    for number in 0..10u64 {
        let guest = if number % 2 == 0 { "even" } else { "odd" };
        let id = history.run_began(RunStart {
            uuid: (number % 2 == 0).then(|| UUID.to_owned()),
            script: format!("/h/qemu.d/{}", number / 5).into(),
            at: at(number),
            ..start(guest)
        });
        history.run_ended(id, end(How::Exit(i32::from(number == 3))));
    }
}

/// The numbers of the runs that a query finds.
fn found(reader: &Reader, query: Query) -> Vec<u64> {
    reader.runs(&query).unwrap().iter().map(|row| row.id.0).collect()
}

#[tokio::test]
async fn r93_a_query_finds_what_it_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    ten_runs(&history);
    let reader = reader(&history).await;
    let found = |query| found(&reader, query);
    let nothing: [u64; 0] = [];
    let any = Query::default;
    let object = |name: &str| Some(name.to_owned());
    assert_eq!(found(any()), (1..=10).collect::<Vec<_>>());
    assert_eq!(
        found(Query {
            object: object("odd"),
            ..any()
        }),
        [2, 4, 6, 8, 10]
    );
    assert_eq!(
        found(Query {
            object: object(&UUID.to_uppercase()),
            ..any()
        }),
        [1, 3, 5, 7, 9]
    );
    assert_eq!(
        found(Query {
            driver: Some(Driver::Lxc),
            ..any()
        }),
        nothing
    );
    assert_eq!(
        found(Query {
            operation: object("start"),
            ..any()
        }),
        nothing
    );
    assert_eq!(
        found(Query {
            failed: true,
            ..any()
        }),
        [4]
    );
    assert_eq!(
        found(Query {
            script: Some("/h/qemu.d/1".into()),
            limit: Some(2),
            ..any()
        }),
        [9, 10]
    );
    assert_eq!(
        found(Query {
            script: Some("qemu.d/0".into()),
            ..any()
        }),
        [1, 2, 3, 4, 5]
    );
    assert_eq!(
        found(Query {
            script: Some("emu.d/0".into()),
            ..any()
        }),
        nothing
    );
}

#[tokio::test]
async fn r93_a_query_finds_times_and_pages() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    ten_runs(&history);
    let reader = reader(&history).await;
    let found = |query| found(&reader, query);
    let nothing: [u64; 0] = [];
    let any = Query::default;
    assert_eq!(
        found(Query {
            since: Some(at(2)),
            until: Some(at(4)),
            ..any()
        }),
        [3, 4, 5]
    );
    assert_eq!(
        found(Query {
            before: Some(RunId(5)),
            limit: Some(2),
            ..any()
        }),
        [3, 4]
    );
    assert_eq!(
        found(Query {
            after: Some(RunId(5)),
            limit: Some(2),
            ..any()
        }),
        [6, 7]
    );
    assert_eq!(
        found(Query {
            operation_id: Some(OperationId(1)),
            ..any()
        }),
        nothing
    );
}

/// A query, field by field.
fn query(change: impl FnOnce(&mut Query)) -> Query {
    let mut query = Query::default();
    change(&mut query);
    query
}

/// A query about one guest.
fn of_guest(change: impl FnOnce(&mut Query)) -> Query {
    query(|query| {
        query.object = Some("web1".to_owned());
        change(query);
    })
}

#[tokio::test]
async fn r93_queries_go_by_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let reader = reader(&history).await;
    let id = Some(RunId(5));
    let rows = [
        (of_guest(|q| q.driver = Some(Driver::Qemu)), "run_object"),
        (of_guest(|q| q.limit = Some(50)), "run_object"),
        (of_guest(|q| q.failed = true), "run_object"),
        (of_guest(|q| q.since = Some(at(0))), "run_object"),
        (of_guest(|q| q.before = id), "run_object"),
        (of_guest(|q| q.after = id), "run_object"),
        (of_guest(|q| q.operation = Some("start".to_owned())), "run_object"),
        (query(|q| q.object = Some(UUID.to_owned())), "run_uuid"),
        (
            query(|q| q.operation_id = Some(OperationId(1))),
            "run_operation_id",
        ),
        (query(|q| q.script = Some("/h/qemu".into())), "run_script"),
        (query(|q| q.failed = true), "run_failed"),
        (query(|q| q.since = Some(at(0))), "run_began"),
        (query(|q| q.after = id), "INTEGER PRIMARY KEY (rowid>?)"),
    ];
    for (query, index) in rows {
        let plan = reader.plan(&query.clauses());
        assert!(plan.contains(index), "{query:?}: {plan}");
        // All of one guest comes in the order of the index: nothing is sorted.
        assert!(
            index != "run_object" || !plan.contains("TEMP B-TREE"),
            "{query:?}: {plan}"
        );
    }
    let query = OperationQuery {
        driver: Some(Driver::Qemu),
        object: Some("web1".to_owned()),
        limit: Some(1),
        ..OperationQuery::default()
    };
    let plan = reader.plan(&query.clauses());
    assert!(
        plan.contains("operation_object") && !plan.contains("TEMP B-TREE"),
        "{plan}"
    );
}

#[tokio::test]
async fn r93_a_burst_is_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let document: Arc<str> = "<domain/>".repeat(500).into();
    for _ in 0..500 {
        let id = history.run_began(RunStart {
            document: Some(document.clone()),
            ..start("g")
        });
        history.run_ended(id, end(How::Exit(0)));
    }
    let reader = reader(&history).await;
    let rows = reader.runs(&Query::default()).unwrap();
    assert_eq!(rows.len(), 500);
    assert!(rows.iter().all(|row| row.how == Some(How::Exit(0))));
    let statistics = reader.statistics().unwrap();
    assert_eq!(
        (statistics.runs, statistics.documents, statistics.operations),
        (500, 1, 0)
    );
    assert_eq!(statistics.oldest, Some(at(0)));
    assert_eq!(history.lost(), 0);
}

#[tokio::test]
async fn r93_a_history_that_is_off_does_nothing() {
    let history = History::off();
    assert!(!history.is_on() && history.path().is_none());
    assert_eq!(history.run_began(start("g")), RunId(0));
    assert_eq!(history.operation_began(operation("g")), OperationId(0));
    history.run_ended(RunId(0), end(How::Exit(0)));
    history.flush().await;
    assert_eq!(history.subscribe().try_recv(), Err(TryRecvError::Closed));
    assert_eq!(history.lost(), 0);
}

#[tokio::test]
async fn r93_only_the_owner_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    history.run_began(start("g"));
    history.flush().await;
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("deep"), 0o700);
    for name in [
        "history.db",
        "history.db-wal",
        "history.db-shm",
        "history.db.lock",
    ] {
        assert_eq!(mode(&format!("deep/{name}")), 0o600, "{name}");
    }
    drop(history);
    // Somebody opened it up meanwhile.
    let path = dir.path().join("deep/history.db");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let history = History::open(settings(&dir)).unwrap();
    history.flush().await;
    assert_eq!(mode("deep/history.db"), 0o600);
}

#[tokio::test]
async fn r93_what_has_no_end_is_lost_at_the_next_beginning_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let operation_id = history.operation_began(operation("g"));
    let open = history.run_began(start("g"));
    let whole = history.run_began(start("g"));
    history.run_ended(whole, end(How::Exit(0)));
    drop(history);
    let history = History::open(settings(&dir)).unwrap();
    let next = history.run_began(start("g"));
    assert_eq!((open.0, next.0), (1, 3));
    assert_eq!(history.operation_began(operation("g")).0, operation_id.0 + 1);
    let reader = reader(&history).await;
    let row = |id| reader.run(id).unwrap().unwrap().row;
    assert_eq!((row(open).how, row(open).failed), (Some(How::Lost), true));
    assert_eq!(row(open).failure.as_deref(), Some("the daemon died"));
    assert_eq!(row(whole).how, Some(How::Exit(0)));
    assert_eq!(row(next).how, None);
    let lost = reader.operation(operation_id).unwrap().unwrap().row;
    assert!(lost.lost && lost.ended.is_none());
    assert!(!reader.operation(OperationId(2)).unwrap().unwrap().row.lost);
}

#[tokio::test]
async fn r93_two_daemons_do_not_write_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let _history = History::open(settings(&dir)).unwrap();
    let error = History::open(settings(&dir)).unwrap_err();
    assert!(matches!(error, HistoryError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn r93_a_broken_file_is_moved_aside() {
    let garbage = b"this is no database, but it is long enough to be read as one".repeat(50);
    let newer = tempfile::tempdir().unwrap();
    for damage in ["garbage", "header", "middle"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/history.db");
        let history = History::open(settings(&dir)).unwrap();
        for _ in 0..200 {
            history.run_began(RunStart {
                document: Some(garbage.escape_ascii().to_string().into()),
                ..start("g")
            });
        }
        drop(history);
        drop(schema::lock(&path).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        match damage {
            "garbage" => bytes = garbage.clone(),
            "header" => bytes[..100].fill(0xff),
            _ => {
                let length = bytes.len();
                bytes[4096..length].fill(0x5a);
            }
        }
        fs::write(&path, bytes).unwrap();
        let history = History::open(settings(&dir)).unwrap();
        let id = history.run_began(start("g"));
        let reader = reader(&history).await;
        assert!(reader.run(id).unwrap().is_some(), "{damage}");
        assert_eq!(reader.runs(&Query::default()).unwrap().len(), 1, "{damage}");
        let names = fs::read_dir(dir.path().join("deep")).unwrap();
        let names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(
            names.iter().any(|name| name.starts_with("history.db.broken-")),
            "{damage}: {names:?}"
        );
    }
    let history = History::open(settings(&newer)).unwrap();
    drop(history);
    let path = newer.path().join("deep/history.db");
    drop(schema::lock(&path).unwrap());
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    for error in [
        History::open(settings(&newer)).unwrap_err(),
        Reader::open(&path).unwrap_err(),
    ] {
        assert!(matches!(error, HistoryError::Newer { found: 99, .. }), "{error}");
    }
}

#[tokio::test]
async fn r93_nobody_waits_for_a_database_that_is_held_and_the_loss_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let run = history.run_began(start("g"));
    let operation_id = history.operation_began(operation("g"));
    history.flush().await;
    let other = Connection::open(history.path().unwrap()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // One in the writer's hands, the queue full behind it; all of this goes on while the database is held.
    for _ in 0..3000 {
        history.run_began(start("h"));
    }
    history.run_ended(run, end(How::Exit(0)));
    history.operation_ended(operation_id, operation_end());
    other.execute_batch("ROLLBACK").unwrap();
    let reader = reader(&history).await;
    history.run_began(start("i"));
    history.flush().await;
    let of = |name: &str| {
        reader
            .runs(&Query {
                object: Some(name.to_owned()),
                ..Query::default()
            })
            .unwrap()
    };
    assert!(history.lost() > 0);
    assert_eq!(of("h").len() as u64 + history.lost(), 3002);
    assert_eq!(of("i").len(), 1);
    let row = &of("g")[0];
    assert_eq!(
        (row.how.clone(), row.failure.as_deref()),
        (Some(How::Lost), Some("its end could not be recorded"))
    );
    assert!(reader.operation(operation_id).unwrap().unwrap().row.lost);
}

#[tokio::test]
async fn r93_outputs_are_bounded_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let id = history.run_began(start("g"));
    let stdout = Captured {
        bytes: vec![b'x'; 300 << 10],
        lost: 7,
    };
    history.run_ended(
        id,
        RunEnd {
            stdout,
            ..end(How::Exit(0))
        },
    );
    for _ in 0..3 {
        history.run_printed_later(id, Stream::Stdout, vec![b'y'; 20_000]);
    }
    // Of nothing that is known.
    history.run_printed_later(RunId(77), Stream::Stdout, b"z".to_vec());
    let run = reader(&history).await.run(id).unwrap().unwrap();
    assert_eq!(
        (run.stdout.bytes.len(), run.stdout.lost),
        (256 << 10, (44 << 10) + 7)
    );
    let later = &run.later_stdout;
    assert_eq!(
        (later.bytes.len(), later.lost),
        (store::LATER, 60_000 - store::LATER as u64)
    );
    assert_eq!(history.lost(), 1);
}

#[tokio::test]
async fn r93_the_size_is_bounded_and_the_newest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let history = History::open(Settings {
        max_bytes: limit,
        ..settings(&dir)
    })
    .unwrap();
    let still_running = history.run_began(start("old"));
    for number in 0..800u64 {
        let operation = history.operation_began(OperationStart {
            at: at(number),
            ..operation("g")
        });
        let document = format!("<domain>{number}{}</domain>", "x".repeat(4000));
        let id = history.run_began(RunStart {
            operation: Some(operation),
            document: Some(document.into()),
            at: at(number),
            ..start("g")
        });
        history.run_ended(
            id,
            RunEnd {
                stderr: captured("e"),
                ..end(How::Exit(0))
            },
        );
        history.operation_ended(operation, operation_end());
        history.skipped(Skipped {
            driver: Driver::Qemu,
            path: "/h/x".into(),
            reason: "r".to_owned(),
            at: at(number),
        });
        history.flush().await;
    }
    let reader = reader(&history).await;
    // Cleaning goes on a little at a time between batches.
    for _ in 0..100 {
        if reader.statistics().unwrap().bytes <= limit {
            break;
        }
        history.flush().await;
    }
    let statistics = reader.statistics().unwrap();
    assert!(
        statistics.bytes <= limit && statistics.runs > 20,
        "{statistics:?}"
    );
    assert_eq!(statistics.documents, statistics.runs - 1);
    let runs = reader.runs(&Query::default()).unwrap();
    assert_eq!((runs[0].id, runs.last().unwrap().id), (still_running, RunId(801)));
    let connection = Connection::open(history.path().unwrap()).unwrap();
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM output") as u64, statistics.runs - 1);
    assert_eq!(
        count("SELECT count(*) FROM run WHERE operation_id NOT IN (SELECT id FROM operation)"),
        0
    );
    assert_eq!(history.lost(), 0);
}

#[tokio::test]
async fn r93_what_is_old_goes_and_numbers_are_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(3 * 24 * 60 * 60);
    for _ in 0..450 {
        let operation = history.operation_began(OperationStart {
            at: long_ago,
            ..operation("g")
        });
        let id = history.run_began(RunStart {
            operation: Some(operation),
            at: long_ago,
            ..start("g")
        });
        history.run_ended(id, end(How::Exit(0)));
        history.operation_ended(operation, operation_end());
        history.flush().await;
    }
    drop(history);
    let settings = Settings {
        max_age: Duration::from_secs(24 * 60 * 60),
        ..settings(&dir)
    };
    let history = History::open(settings.clone()).unwrap();
    let reader = reader(&history).await;
    for _ in 0..100 {
        if reader.statistics().unwrap().runs == 0 {
            break;
        }
        history.flush().await;
    }
    let statistics = reader.statistics().unwrap();
    assert_eq!((statistics.runs, statistics.operations), (0, 0));
    drop((history, reader));
    let history = History::open(settings).unwrap();
    assert_eq!(history.run_began(start("g")), RunId(451));
    assert_eq!(history.operation_began(operation("g")), OperationId(451));
}

#[tokio::test]
async fn r93_followers_are_told_and_those_who_lag_too() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let mut changes = history.subscribe();
    let operation_id = history.operation_began(operation("g"));
    let id = history.run_began(start("g"));
    history.run_ended(id, end(How::Signal(9)));
    history.operation_ended(operation_id, operation_end());
    history.flush().await;
    let mut next = || changes.try_recv().unwrap();
    assert!(matches!(next(), Change::OperationBegan(row) if row.id == operation_id && row.ended.is_none()));
    assert!(matches!(next(), Change::RunBegan(row) if row.id == id && row.how.is_none()));
    assert!(matches!(next(), Change::RunEnded(row) if row.how == Some(How::Signal(9))));
    assert!(matches!(next(), Change::OperationEnded(row) if row.ended == Some(at(9))));
    for _ in 0..FOLLOWED + 10 {
        history.run_began(start("g"));
        history.flush().await;
    }
    assert!(matches!(changes.try_recv(), Err(TryRecvError::Lagged(_))));
    assert!(changes.try_recv().is_ok());
}

#[tokio::test]
async fn r93_skipped_scripts_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    for name in ["/h/a", "/h/b", "/h/c"] {
        history.skipped(Skipped {
            driver: Driver::Network,
            path: name.into(),
            reason: "not executable".to_owned(),
            at: at(1),
        });
    }
    let rows = reader(&history).await.skips(2).unwrap();
    let expected = |name: &str| SkipRow {
        driver: Driver::Network,
        path: name.into(),
        reason: "not executable".to_owned(),
        at: at(1),
    };
    assert_eq!(rows, [expected("/h/b"), expected("/h/c")]);
}

#[tokio::test]
async fn r93_rows_are_printed_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let operation_id = history.operation_began(operation("g"));
    let id = history.run_began(RunStart {
        operation: Some(operation_id),
        digest: Some([0x0f; 32]),
        kind: RunKind::Replay(RunId(4)),
        ..start("g")
    });
    let how = How::TimedOut {
        after: Duration::from_secs(5),
    };
    let stdout = Captured {
        bytes: b"a\xff".to_vec(),
        lost: 1,
    };
    history.run_ended(id, RunEnd { stdout, ..end(how) });
    let reader = reader(&history).await;
    let run = serde_json::to_value(reader.run(id).unwrap().unwrap()).unwrap();
    let expected = serde_json::json!({
        "id": 1, "operation_id": 1, "call": 1, "driver": "qemu", "object": "g", "uuid": null, "operation": "prepare",
        "sub_operation": "begin", "extra": "-", "script": "/h/qemu", "kind": {"replay": 4}, "rule": null,
        "digest": "0f".repeat(32), "asked_by": {"pid": null, "uid": null, "program": null, "hook": null},
        "began": "2027-01-15T08:00:00.000001Z", "took_ms": 1.5, "how": {"timed_out": {"after_ms": 5000.0}},
        "failed": true, "ignored": false, "failure": null, "environment": [], "document": null,
        "output_document": null, "stdout": {"text": "a\u{fffd}", "lost": 1}, "stderr": {"text": "", "lost": 0},
        "later_stdout": {"text": "", "lost": 0}, "later_stderr": {"text": "", "lost": 0},
    });
    assert_eq!(run, expected);
    let operation = serde_json::to_value(reader.operation(operation_id).unwrap().unwrap()).unwrap();
    assert_eq!(
        (&operation["ended"], &operation["runs"][0]["id"]),
        (&serde_json::Value::Null, &1.into())
    );
    let change = Change::OperationBegan(reader.operation(operation_id).unwrap().unwrap().row);
    let change = serde_json::to_value(change).unwrap();
    assert_eq!(
        (&change["change"], &change["kind"]),
        (&"operation_began".into(), &"start".into())
    );
}

#[tokio::test]
async fn r93_a_file_that_is_removed_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    // Looked at after every batch.
    let history = History::open(Settings {
        max_bytes: 1,
        ..settings(&dir)
    })
    .unwrap();
    history.run_began(start("g"));
    history.flush().await;
    let path = history.path().unwrap().to_owned();
    for directory in [false, true] {
        if directory {
            fs::remove_dir_all(path.parent().unwrap()).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        history.run_began(start("g"));
        history.flush().await;
        let id = history.run_began(start("g"));
        assert!(reader(&history).await.run(id).unwrap().is_some());
    }
}
