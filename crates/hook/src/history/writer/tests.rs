//! One batch at a time, without the thread: what one bad entry costs, and when an outage is over.

use super::super::tests::{at, settings, start};
use super::*;
use crate::event::Driver;
use crate::history::{Query, Reader, RunId, Skipped};
use crate::logged::logged;

fn writer(dir: &tempfile::TempDir) -> Writer {
    let settings = settings(dir);
    schema::make_directory(&settings.path).unwrap();
    Writer {
        path: settings.path.clone(),
        store: Some(Store::open(&settings.path).unwrap()),
        unmarked: false,
        queue: Arc::default(),
        changes: broadcast::Sender::new(8),
        retention: Retention::new(&settings),
        lost: Arc::default(),
        lock: schema::lock(&settings.path).unwrap(),
    }
}

fn run(id: u64) -> Entry {
    Entry::RunBegan(RunId(id), Box::new(start("g")))
}

fn skip() -> Entry {
    Entry::Skipped(Box::new(Skipped {
        driver: Driver::Qemu,
        path: "/h/x".into(),
        reason: "r".to_owned(),
        at: at(0),
    }))
}

fn lost(writer: &Writer) -> u64 {
    writer.lost.load(Ordering::Relaxed)
}

fn runs(writer: &Writer) -> Vec<u64> {
    let rows = Reader::open(&writer.path)
        .unwrap()
        .runs(&Query::default())
        .unwrap();
    rows.iter().map(|row| row.id.0).collect()
}

/// An outage whose last loss is longer ago than [`QUIET`].
fn old_outage() -> Option<Outage> {
    Some(Outage {
        missed: Missed {
            count: 5,
            ..Missed::default()
        },
        last: Instant::now().checked_sub(2 * QUIET).unwrap(),
    })
}

#[test]
fn r93_one_bad_entry_costs_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(&dir);
    let mut outage = None;
    let ((), said) = logged(|| writer.write(vec![run(1), run(1), run(2)], &mut outage));
    assert_eq!((runs(&writer), lost(&writer)), (vec![1, 2], 1));
    assert!(outage.is_none());
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("one entry of the history cannot be written"),
        "{said:?}"
    );
}

#[test]
fn r93_a_batch_that_fails_leaves_nothing_behind_and_the_next_one_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(&dir);
    let mut outage = None;
    let other = rusqlite::Connection::open(&writer.path).unwrap();
    other.execute_batch("ALTER TABLE skip RENAME TO gone").unwrap();
    let ((), said) = logged(|| writer.write(vec![run(1), skip()], &mut outage));
    assert_eq!((runs(&writer), lost(&writer)), (vec![], 2));
    assert!(outage.is_some());
    assert_eq!(said.len(), 1, "{said:?}");
    other.execute_batch("ALTER TABLE gone RENAME TO skip").unwrap();
    writer.write(vec![run(2), skip()], &mut outage);
    assert_eq!((runs(&writer), lost(&writer)), (vec![2], 2));
}

#[test]
fn r93_an_outage_is_over_when_something_was_written_and_nothing_lost_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(&dir);
    // Nothing was written: whoever only waits proves nothing.
    let mut outage = old_outage();
    let (done, _is_done) = tokio::sync::oneshot::channel();
    let ((), said) = logged(|| writer.write(vec![Entry::Flush(done)], &mut outage));
    assert!(outage.is_some() && said.is_empty(), "{said:?}");
    let ((), said) = logged(|| writer.write(vec![run(1)], &mut outage));
    assert!(outage.is_none());
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].ends_with("is written again; 5 entries were lost"),
        "{said:?}"
    );
    // Something was lost just now.
    let mut outage = old_outage().map(|outage| Outage {
        last: Instant::now() + QUIET,
        ..outage
    });
    writer.write(vec![run(2)], &mut outage);
    assert!(outage.is_some());
}

#[test]
fn r93_damage_is_found_at_the_beginning_and_a_new_file_begun() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let mut damaged = writer(&dir);
    for id in 1..50 {
        let start = crate::history::RunStart {
            document: Some(format!("{id} {}", "x".repeat(5000)).into()),
            ..start("g")
        };
        damaged.write(vec![Entry::RunBegan(RunId(id), Box::new(start))], &mut None);
    }
    let path = damaged.path.clone();
    drop(damaged);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in pages - 4..pages {
        file.write_all_at(&[0x5a; 4096], page * 4096).unwrap();
    }
    let mut writer = writer(&dir);
    let ((), said) = logged(|| writer.check());
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("is broken"), "{said:?}");
    writer.write(vec![run(1)], &mut None);
    assert_eq!(runs(&writer), [1]);
    // A sound one stays.
    let ((), said) = logged(|| writer.check());
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(runs(&writer), [1]);
}
