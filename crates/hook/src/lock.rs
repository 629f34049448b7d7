//! Named locks: only one script that has one runs at a time, whatever it is called for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// All locks that somebody ever asked for.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    all: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Locks {
    /// The lock of this name, as soon as nobody else has it. First come, first served.
    pub(crate) async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            // Whatever nobody holds or waits for need not be remembered.
            all.retain(|known, lock| known == name || Arc::strong_count(lock) > 1);
            all.entry(name.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_by_name() {
        let locks = Locks::default();
        let held = locks.take("a").await;
        let other = locks.take("b").await;
        {
            let mut waiting = std::pin::pin!(locks.take("a"));
            tokio::select! {
                biased;
                _ = waiting.as_mut() => panic!("somebody has it"),
                () = tokio::task::yield_now() => {}
            }
            drop(held);
            let _taken = waiting.await;
        }
        drop(other);
        let _again = locks.take("c").await;
        assert_eq!(locks.all.lock().unwrap().len(), 1, "only what somebody holds");
    }
}
