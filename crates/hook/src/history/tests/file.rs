//! The file: who may read it, who may write it, what becomes of it when it is broken or gone.

use super::*;

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
    history.run_began(start("h"));
    while history.recorder.as_ref().unwrap().queue.waiting() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 1..3000 {
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

#[tokio::test]
async fn r93_what_cannot_be_marked_at_the_beginning_is_marked_with_the_next_entries() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let open = history.run_began(start("g"));
    history.flush().await;
    let path = history.path().unwrap().to_owned();
    drop(history);
    drop(schema::lock(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON run BEGIN SELECT RAISE(ABORT, 'not now'); END";
    other.execute_batch(refuse).unwrap();
    let history = History::open(settings(&dir)).unwrap();
    other.execute_batch("DROP TRIGGER refuse").unwrap();
    let next = history.run_began(start("g"));
    assert_eq!(next, RunId(open.0 + 1));
    let reader = reader(&history).await;
    assert_eq!(reader.run(open).unwrap().unwrap().row.how, Some(How::Lost));
    assert_eq!(reader.run(next).unwrap().unwrap().row.how, None);
}

#[test]
fn r93_a_broken_file_is_moved_aside_also_while_the_daemon_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    fs::write(&path, b"this is no database, but it is long enough".repeat(50)).unwrap();
    drop(schema::open(&path).unwrap());
    assert!(Reader::open(&path).is_ok());
    assert_eq!(
        fs::read_dir(dir.path())
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_str().unwrap().starts_with("history.db.broken-")
            })
            .count(),
        1
    );
}

#[test]
fn r93_what_cannot_be_protected_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    // Nobody knows where this leads.
    std::os::unix::fs::symlink("history.db-wal", dir.path().join("history.db-wal")).unwrap();
    let error = schema::open(&path).unwrap_err();
    assert!(
        matches!(error, HistoryError::File { what: "open", .. }),
        "{error}"
    );
}

#[test]
fn r93_a_database_without_records_is_no_history_to_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    let error = Reader::open(&path).unwrap_err();
    assert!(matches!(error, HistoryError::Foreign { .. }), "{error}");
}
