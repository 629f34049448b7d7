//! Much of the same work at once: a few at a time.
//!
//! Forty programs that start together take the processors from each other, so none is ready sooner, and from the daemon,
//! which has clients that ask for something meanwhile (R90). What the kernel does one after the other gains nothing from
//! being asked for side by side either.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// A door that lets a few through at a time, and everybody in the end.
#[derive(Debug)]
pub struct Door {
    places: Semaphore,
    patience: Duration,
}

/// A turn at a [`Door`], to be held while the work lasts; `None` after waiting in vain.
pub type Turn<'a> = Option<SemaphorePermit<'a>>;

impl Door {
    /// `width` is how many go through at a time, `patience` how long one waits for its turn at most: work that hangs
    /// holds up nobody for longer (R90). It should be several times what the work takes.
    pub const fn new(width: usize, patience: Duration) -> Door {
        Door {
            places: Semaphore::const_new(width),
            patience,
        }
    }

    /// Waits for its turn.
    pub async fn turn(&self) -> Turn<'_> {
        timeout(self.patience, self.places.acquire()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn r90_starts_that_hang_hold_nobody_up_for_long() {
        let door = Door::new(4, Duration::from_millis(100));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(door.turn().await.expect("free"));
        }
        assert!(door.turn().await.is_none());
        held.pop();
        assert!(door.turn().await.is_some());
    }
}
