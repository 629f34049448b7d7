//! Calls that nobody waits for, one after the other: what has happened to an object and is no step of its life.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::call::Call;
use crate::engine::Engine;

/// A line of such calls, for one object or one kind of them. Calls that are still in it when it is dropped are made all the
/// same.
#[derive(Debug)]
pub struct Aside {
    engine: Engine,
    calls: mpsc::UnboundedSender<Call>,
    /// Until the first call, which begins the task that makes them.
    waiting: Mutex<Option<mpsc::UnboundedReceiver<Call>>>,
}

impl Aside {
    /// An empty line.
    pub fn new(engine: &Engine) -> Aside {
        let (calls, waiting) = mpsc::unbounded_channel();
        Aside {
            engine: engine.clone(),
            calls,
            waiting: Mutex::new(Some(waiting)),
        }
    }

    /// The engine that makes the calls.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Puts a call at the end of the line. Within a runtime.
    pub fn add(&self, call: Call) {
        // Both ends are in this struct, or in a task that lives as long as it.
        let _ = self.calls.send(call);
        let begun = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(calls) = begun {
            tokio::spawn(make(self.engine.clone(), calls));
        }
    }
}

/// Makes the calls, until nobody can add any more.
async fn make(engine: Engine, mut calls: mpsc::UnboundedReceiver<Call>) {
    while let Some(call) = calls.recv().await {
        // The engine logs failures, and nothing depends on them.
        let _ = engine.call(call).await;
    }
}
