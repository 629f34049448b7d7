//! What is remembered of documents, what is refused, and what a damaged file looks like.

use super::super::tests::{captured, end, operation_end, start};
use super::*;
use crate::history::How;
use std::os::unix::fs::FileExt;

fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(&dir.path().join("history.db")).unwrap()
}

fn began(store: &mut Store, id: u64, document: &Arc<str>) {
    let start = RunStart {
        document: Some(document.clone()),
        ..start("g")
    };
    assert!(store.write(&Entry::RunBegan(RunId(id), Box::new(start))).unwrap());
}

fn count(store: &Store, sql: &str) -> i64 {
    store.connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn r93_outputs_have_the_numbers_that_files_of_earlier_releases_have() {
    let numbers = [
        (Stream::Stdout, false),
        (Stream::Stderr, false),
        (Stream::Stdout, true),
        (Stream::Stderr, true),
    ]
    .map(|(stream, later)| output_id(RunId(5), stream, later));
    assert_eq!(numbers, [20, 21, 22, 23]);
}

#[test]
fn r93_a_document_that_was_deleted_is_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(&dir);
    let document: Arc<str> = "<domain/>".into();
    began(&mut store, 1, &document);
    store
        .connection
        .execute_batch("DELETE FROM run; DELETE FROM blob")
        .unwrap();
    store.forget();
    began(&mut store, 2, &document);
    assert_eq!(
        count(
            &store,
            "SELECT count(*) FROM run JOIN blob ON blob.id = run.document"
        ),
        1
    );
}

#[test]
fn r93_so_many_documents_are_remembered_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(&dir);
    let of = |size: usize| -> Arc<str> { "x".repeat(size).into() };
    for id in 1..=8 {
        began(&mut store, id, &of(10 + id as usize));
        assert_eq!(store.recent.len() as u64, id);
    }
    began(&mut store, 9, &of(30));
    assert_eq!(store.recent.len(), 8);
    assert_eq!(store.recent[0].0.len(), 12, "the oldest is forgotten");
    // 4 MiB together.
    store.forget();
    began(&mut store, 10, &of(1 << 20));
    began(&mut store, 11, &of(3 << 20));
    assert_eq!(store.recent.len(), 2);
    began(&mut store, 12, &of(1));
    assert_eq!(store.recent.len(), 2);
    assert_eq!(store.recent[0].0.len(), 3 << 20);
    // One that is larger than that is none to keep in memory.
    began(&mut store, 13, &of((4 << 20) + 1));
    assert_eq!(store.recent.len(), 0);
}

#[test]
fn r93_a_huge_document_and_a_huge_error_are_cut_and_the_document_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(&dir);
    began(&mut store, 1, &"x".repeat((8 << 20) + 5).into());
    assert_eq!(count(&store, "SELECT lost FROM blob"), 5);
    assert_eq!(count(&store, "SELECT length(text) FROM blob"), 8 << 20);
    let end = RunEnd {
        failure: Some("x".repeat((64 << 10) + 5)),
        ..end(How::Exit(1))
    };
    store.write(&Entry::RunEnded(RunId(1), Box::new(end))).unwrap();
    assert_eq!(count(&store, "SELECT length(failure) FROM run"), 64 << 10);
}

#[test]
fn r93_what_belongs_to_nothing_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(&dir);
    let step = Step {
        name: "launch".to_owned(),
        began: std::time::SystemTime::UNIX_EPOCH,
        took: std::time::Duration::ZERO,
        failure: None,
    };
    let end = RunEnd {
        stdout: captured("text"),
        ..end(How::Exit(0))
    };
    for entry in [
        Entry::Step(OperationId(7), Box::new(step.clone())),
        Entry::OperationEnded(OperationId(7), Box::new(operation_end())),
        Entry::RunEnded(RunId(7), Box::new(end)),
        Entry::PrintedLater(RunId(7), Stream::Stdout, b"text".to_vec()),
    ] {
        assert!(!store.write(&entry).unwrap(), "{entry:?}");
    }
    assert_eq!(count(&store, "SELECT count(*) FROM output"), 0);
    // Of what is known it is.
    let operation = super::super::tests::operation("g");
    assert!(
        store
            .write(&Entry::OperationBegan(OperationId(7), Box::new(operation)))
            .unwrap()
    );
    assert!(store.write(&Entry::Step(OperationId(7), Box::new(step))).unwrap());
}

#[test]
fn r93_damage_is_found_that_nothing_has_read_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut sound = store(&dir);
    for id in 1..50u64 {
        began(&mut sound, id, &format!("{id} {}", "x".repeat(5000)).into());
    }
    assert!(sound.check().unwrap().is_none());
    drop(sound);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in pages - 4..pages {
        file.write_all_at(&[0x5a; 4096], page * 4096).unwrap();
    }
    let damaged = store(&dir);
    assert!(damaged.check().is_err() || damaged.check().unwrap().is_some());
}
