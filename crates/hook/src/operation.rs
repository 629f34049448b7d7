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
