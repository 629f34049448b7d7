//! Bounds, batches and who is woken.

use super::*;

fn later(run: u64, bytes: usize) -> Entry {
    Entry::PrintedLater(RunId(run), Stream::Stdout, vec![b'x'; bytes])
}

fn end(run: u64) -> Entry {
    let end = RunEnd {
        took: Duration::ZERO,
        how: super::super::How::Exit(0),
        stdout: crate::Captured::default(),
        stderr: crate::Captured::default(),
        output_document: None,
        ignored: false,
        failure: None,
    };
    Entry::RunEnded(RunId(run), Box::new(end))
}

#[test]
fn r93_a_full_queue_drops_and_counts_and_nobody_waits() {
    let queue = Queue::default();
    for run in 0..ENTRIES as u64 {
        queue.push(later(run, 1));
    }
    queue.push(later(1, 1));
    queue.push(end(7));
    let taken = queue.take(Duration::ZERO);
    assert_eq!((taken.entries.len(), taken.last), (BATCH, false));
    assert_eq!((taken.missed.count, taken.missed.runs), (2, vec![RunId(7)]));
    queue.push(end(8));
    assert_eq!(queue.take(Duration::ZERO).missed.count, 0);
}

#[test]
fn r93_the_queue_is_bounded_by_bytes_too() {
    let queue = Queue::default();
    // One thing that is larger than the queue is taken when nothing else waits.
    queue.push(later(1, BYTES + 1));
    queue.push(later(2, 1));
    let taken = queue.take(Duration::ZERO);
    assert_eq!((taken.entries.len(), taken.missed.count), (1, 1));
    for run in 0..9 {
        queue.push(later(run, 4 << 20));
    }
    let taken = queue.take(Duration::ZERO);
    assert_eq!((taken.entries.len(), taken.missed.count), (1, 2));
}

#[test]
fn r93_the_end_comes_after_what_is_queued() {
    let queue = Queue::default();
    let (done, mut is_done) = oneshot::channel();
    for run in 0..BATCH as u64 {
        queue.push(later(run, 1));
    }
    queue.push(Entry::Flush(done));
    queue.close();
    queue.push(later(1, 1));
    assert!(!queue.take(Duration::from_secs(60)).last);
    assert!(is_done.try_recv().is_err());
    let taken = queue.take(Duration::from_secs(60));
    assert_eq!((taken.entries.len(), taken.last), (1, true));
    // Who waits for a writer that is gone is told.
    drop(taken);
    assert!(matches!(
        is_done.try_recv(),
        Err(oneshot::error::TryRecvError::Closed)
    ));
}

/// A run's end that holds this much in each of its parts.
fn full_end(stdout: usize, stderr: usize, document: usize, failure: usize) -> Entry {
    let text = |length: usize| "x".repeat(length);
    let captured = |length: usize| crate::Captured {
        bytes: vec![b'x'; length],
        lost: 0,
    };
    let Entry::RunEnded(id, end) = end(1) else {
        unreachable!("it makes nothing else")
    };
    let end = RunEnd {
        stdout: captured(stdout),
        stderr: captured(stderr),
        output_document: Some(text(document).into()),
        failure: Some(text(failure)),
        ..*end
    };
    Entry::RunEnded(id, Box::new(end))
}

fn operation_ended(id: u64, failure: usize, log: usize) -> Entry {
    let end = OperationEnd {
        at: std::time::SystemTime::UNIX_EPOCH,
        failure: Some("x".repeat(failure)),
        reason: None,
        hypervisor_log: Some("x".repeat(log)),
    };
    Entry::OperationEnded(OperationId(id), Box::new(end))
}

#[test]
fn r93_all_that_an_entry_holds_counts_as_memory_of_the_queue() {
    let (done, _is_done) = oneshot::channel();
    let step = Step {
        name: "launch".to_owned(),
        began: std::time::SystemTime::UNIX_EPOCH,
        took: Duration::ZERO,
        failure: Some("x".repeat(70)),
    };
    let sizes = [
        (full_end(3, 50, 700, 11_000), 11_753),
        (operation_ended(1, 30, 500), 530),
        (Entry::Step(OperationId(1), Box::new(step)), 70),
        (later(1, 90), 90),
        (Entry::Flush(done), 0),
    ];
    for (entry, bytes) in sizes {
        assert_eq!(entry.bytes(), OVERHEAD + bytes, "{entry:?}");
    }
}

#[test]
fn r93_the_numbers_of_lost_ends_are_bounded_and_a_wait_is_no_loss() {
    let mut missed = Missed::default();
    let (done, _is_done) = oneshot::channel();
    missed.note(&Entry::Flush(done));
    assert_eq!(missed.count, 0);
    for id in 0..ENDS as u64 + 1 {
        missed.note(&end(id));
        missed.note(&operation_ended(id, 0, 0));
    }
    assert_eq!((missed.runs.len(), missed.operations.len()), (ENDS, ENDS));
    assert_eq!(missed.count, 2 * (ENDS as u64 + 1));
    let mut all = Missed::default();
    all.note(&end(1));
    all.add(missed);
    assert_eq!(all.count, 2 * ENDS as u64 + 3);
    assert_eq!((all.runs.len(), all.operations.len()), (ENDS + 1, ENDS));
}

#[test]
fn r93_the_last_byte_of_the_queue_is_used() {
    let queue = Queue::default();
    queue.push(later(1, BYTES - 2 * OVERHEAD - 1));
    queue.push(later(2, 1));
    assert_eq!(queue.waiting(), 2);
    queue.push(later(3, 0));
    let taken = queue.take(Duration::ZERO);
    assert_eq!((taken.entries.len(), taken.missed.count), (1, 1));
    let taken = queue.take(Duration::ZERO);
    assert_eq!(taken.entries.len(), 1);
}

#[test]
fn r93_the_writer_is_woken_only_when_that_is_worth_it() {
    let queue = Queue::default();
    // It writes something else: what comes meanwhile may gather.
    assert!(!queue.add(later(1, 1)));
    for _ in 2..BATCH {
        assert!(!queue.add(later(1, 1)));
    }
    assert!(queue.add(later(1, 1)), "a whole batch waits");
    assert!(!queue.add(later(1, 1)));
    assert!(queue.add(later(1, BATCH_BYTES - 257)), "a large batch waits");
    // It sleeps: the first entry wakes it.
    let queue = Queue::default();
    queue.lock().idle = true;
    assert!(queue.add(later(1, 1)));
    // Somebody waits.
    let queue = Queue::default();
    let (done, _is_done) = oneshot::channel();
    assert!(queue.add(Entry::Flush(done)));
    // Nobody is there any more to be woken.
    queue.close();
    assert!(!queue.add(later(1, 1)));
}

#[test]
fn r93_a_batch_is_written_at_once_when_somebody_waits_or_it_is_large() {
    let ready = |entries: Vec<Entry>| {
        let queue = Queue::default();
        entries.into_iter().for_each(|entry| queue.push(entry));
        !queue.lock().is_gathering()
    };
    let (done, _is_done) = oneshot::channel();
    assert!(!ready(vec![later(1, 1)]));
    assert!(ready(vec![Entry::Flush(done), later(1, 1)]));
    assert!(ready((0..BATCH).map(|_| later(1, 1)).collect()));
    assert!(!ready((1..BATCH).map(|_| later(1, 1)).collect()));
    assert!(ready(vec![later(1, BATCH_BYTES - OVERHEAD)]));
    assert!(!ready(vec![later(1, BATCH_BYTES - OVERHEAD - 1)]));
    // What was taken need not be hurried any more.
    let queue = Queue::default();
    let (done, _is_done) = oneshot::channel();
    queue.push(Entry::Flush(done));
    assert!(queue.take(Duration::ZERO).entries.len() == 1);
    queue.push(later(1, 1));
    assert!(!queue.lock().batch_is_ready());
    // There is nothing that could be waited for.
    assert!(!Queue::default().lock().is_gathering());
}

#[test]
fn r93_no_batch_is_larger_than_it_may_be() {
    let queue = Queue::default();
    queue.push(later(1, BATCH_BYTES - OVERHEAD));
    queue.push(later(2, 1));
    assert_eq!(queue.take(Duration::ZERO).entries.len(), 1);
    assert_eq!(queue.take(Duration::ZERO).entries.len(), 1);
}

#[test]
fn r93_the_writer_sleeps_until_something_comes() {
    let queue = Queue::default();
    let over = std::sync::atomic::AtomicBool::new(false);
    let is_over = || over.load(std::sync::atomic::Ordering::Relaxed);
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !queue.lock().idle && !is_over() {
                std::thread::yield_now();
            }
            queue.push(later(1, 1));
        });
        let taken = queue.take(Duration::from_secs(60));
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        taken
    });
    assert_eq!(taken.entries.len(), 1);
}

#[test]
fn r93_a_full_queue_is_said_once_for_each_outage() {
    let queue = Queue::default();
    let fill = || {
        for _ in 0..ENTRIES + 2 {
            queue.push(later(1, 1));
        }
    };
    let ((), said) = crate::logged::logged(|| {
        fill();
        fill();
    });
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("entries are dropped"), "{said:?}");
    queue.recovered();
    assert_eq!(crate::logged::logged(fill).1.len(), 1, "another outage");
}

#[test]
fn r93_nobody_waits_for_a_writer_that_is_gone() {
    let queue = Queue::default();
    let (done, mut is_done) = oneshot::channel();
    queue.push(Entry::Flush(done));
    queue.abandon();
    assert!(matches!(
        is_done.try_recv(),
        Err(oneshot::error::TryRecvError::Closed)
    ));
    let (done, mut is_done) = oneshot::channel();
    queue.push(Entry::Flush(done));
    assert!(matches!(
        is_done.try_recv(),
        Err(oneshot::error::TryRecvError::Closed)
    ));
    assert_eq!((queue.waiting(), queue.lock().bytes), (0, 0));
}
