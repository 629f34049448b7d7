//! Queries find what they ask for, and quickly.

use super::*;

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

/// A history of [`ten_runs`]; the directory goes with the first value.
async fn ten_to_read() -> (tempfile::TempDir, Reader) {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    ten_runs(&history);
    let reader = reader(&history).await;
    (dir, reader)
}

/// The numbers of the runs that a query finds.
fn found(reader: &Reader, query: Query) -> Vec<u64> {
    reader.runs(&query).unwrap().iter().map(|row| row.id.0).collect()
}

#[tokio::test]
async fn r93_a_query_finds_what_it_asks_for() {
    let (_dir, reader) = ten_to_read().await;
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
    let (_dir, reader) = ten_to_read().await;
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
async fn r93_times_do_not_take_the_place_of_what_is_narrower() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    let reader = reader(&history).await;
    let since = Some(at(0));
    for narrow in [
        of_guest(|q| q.since = since),
        query(|q| (q.script, q.since) = (Some("/h/qemu".into()), since)),
        query(|q| (q.operation_id, q.since) = (Some(OperationId(1)), since)),
        query(|q| (q.failed, q.since) = (true, since)),
    ] {
        let plan = reader.plan(&narrow.clauses());
        assert!(!plan.contains("run_began"), "{narrow:?}: {plan}");
    }
    let of = |object: Option<&str>| {
        let query = OperationQuery {
            object: object.map(str::to_owned),
            since,
            ..OperationQuery::default()
        };
        reader.plan(&query.clauses())
    };
    assert!(of(None).contains("operation_began"), "{}", of(None));
    assert!(of(Some("g")).contains("operation_object"), "{}", of(Some("g")));
    // A name of hexadecimal digits is no UUID, nor is one that only has a UUID's dashes.
    for name in ["cafe", "cafecafe-cafe-cafe-cafe-cafecafecafg"] {
        let plan = reader.plan(&query(|q| q.object = Some(name.to_owned())).clauses());
        assert!(!plan.contains("run_uuid"), "{name}: {plan}");
    }
}

#[tokio::test]
async fn r93_the_last_operation_of_an_object_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(settings(&dir)).unwrap();
    history.operation_began(operation("g"));
    let last = history.operation_began(operation("g"));
    history.operation_began(operation("other"));
    let found = reader(&history).await.last_operation(Driver::Qemu, "g").unwrap();
    assert_eq!(found.unwrap().row.id, last);
}
