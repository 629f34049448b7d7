//! Many programs to be started at once: a few at a time.
//!
//! A process that was just started wants a processor. Forty of them at once take the processors from each other, so
//! none is ready sooner, and from the daemon, which has clients that ask for something meanwhile (R90).

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// So many at once.
const WIDTH: usize = 4;

/// So long at most one waits for its turn: a start that hangs holds up nobody else (R90).
const PATIENCE: Duration = Duration::from_millis(100);

/// A door that lets a few through at a time, and everybody in the end.
pub(crate) struct Door(Semaphore);

impl Door {
    pub(crate) const fn new() -> Door {
        Door(Semaphore::const_new(WIDTH))
    }

    /// Waits for its turn; to be held while the program starts. `None` after waiting in vain.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        timeout(PATIENCE, self.0.acquire()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn r90_a_start_that_hangs_holds_nobody_up_for_long() {
        let door = Door::new();
        let mut held = Vec::new();
        for _ in 0..WIDTH {
            held.push(door.turn().await.expect("free"));
        }
        assert!(door.turn().await.is_none());
        held.pop();
        assert!(door.turn().await.is_some());
    }
}
