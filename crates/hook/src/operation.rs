//! One operation in the history: what a client asked for or what happened by itself, with its steps.

use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use crate::history::{History, OperationEnd, OperationId, OperationStart, Step};

/// An operation that is under way. When it is dropped without [`Operation::end`], its end stays unknown to the history
/// until the next daemon marks it as lost.
#[derive(Debug)]
pub struct Operation {
    history: History,
    id: Option<OperationId>,
    step: Mutex<Option<Current>>,
}

/// The step that is under way.
#[derive(Debug)]
struct Current {
    name: &'static str,
    began: SystemTime,
    since: Instant,
}

impl Operation {
    pub(crate) fn begin(history: &History, start: OperationStart) -> Operation {
        Operation {
            history: history.clone(),
            id: history.is_on().then(|| history.operation_began(start)),
            step: Mutex::default(),
        }
    }

    /// Its number, for the calls that belong to it.
    pub fn id(&self) -> Option<OperationId> {
        self.id
    }

    /// The next step begins; the one before is over and done.
    pub fn step(&self, name: &'static str) {
        self.next(Some(name), None);
    }

    /// It is over. `end.failure` is also that of the step that was under way.
    pub fn end(&self, end: OperationEnd) {
        self.next(None, end.failure.clone());
        if let Some(id) = self.id {
            self.history.operation_ended(id, end);
        }
    }

    fn next(&self, name: Option<&'static str>, failure: Option<String>) {
        let Some(id) = self.id else { return };
        let current = name.map(|name| Current {
            name,
            began: SystemTime::now(),
            since: Instant::now(),
        });
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *step, current);
        drop(step);
        if let Some(before) = before {
            let took = before.since.elapsed();
            let step = Step {
                name: before.name.to_owned(),
                began: before.began,
                took,
                failure,
            };
            self.history.operation_step(id, step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Driver;
    use crate::history::{AskedBy, Reader, Settings};

    fn start() -> OperationStart {
        OperationStart {
            driver: Driver::Qemu,
            object: "g1".to_owned(),
            uuid: None,
            kind: "start".to_owned(),
            asked_by: AskedBy::default(),
            at: SystemTime::now(),
        }
    }

    fn end(failure: Option<&str>) -> OperationEnd {
        OperationEnd {
            at: SystemTime::now(),
            failure: failure.map(str::to_owned),
            reason: None,
            hypervisor_log: None,
        }
    }

    #[tokio::test]
    async fn r93_the_history_tells_how_far_an_operation_came_and_what_it_failed_at() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::open(Settings::new(dir.path().join("history.db"))).unwrap();
        let operation = Operation::begin(&history, start());
        operation.step("prepare");
        operation.step("launch");
        operation.end(end(Some("no room")));
        history.flush().await;
        let reader = Reader::open(history.path().unwrap()).unwrap();
        let found = reader.operation(operation.id().unwrap()).unwrap().unwrap();
        assert_eq!(found.row.failure.as_deref(), Some("no room"));
        assert!(found.row.ended.is_some());
        let steps = found
            .steps
            .iter()
            .map(|step| (step.name.as_str(), step.failure.as_deref()));
        assert_eq!(
            steps.collect::<Vec<_>>(),
            [("prepare", None), ("launch", Some("no room"))]
        );
        // The next one is another operation, and its last step is no failure.
        let next = Operation::begin(&history, start());
        next.step("prepare");
        next.end(end(None));
        history.flush().await;
        let found = reader.operation(next.id().unwrap()).unwrap().unwrap();
        assert_ne!(operation.id(), next.id());
        assert_eq!((found.steps.len(), found.steps[0].failure.as_deref()), (1, None));
    }

    #[test]
    fn r93_without_a_history_an_operation_has_no_number() {
        let operation = Operation::begin(&History::off(), start());
        operation.step("prepare");
        operation.end(end(None));
        assert_eq!(operation.id(), None);
    }
}
