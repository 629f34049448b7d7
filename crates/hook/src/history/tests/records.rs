//! What is told comes back as it was told.

use super::*;

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
