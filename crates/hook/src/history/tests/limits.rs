//! What is kept, and how much of it.

use super::*;

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
    assert_eq!((later.bytes.len(), later.lost), (32 << 10, 60_000 - (32 << 10)));
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
