//! One stream at a time for each console: who has it, and how it is taken away from him.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::{CancellationToken, DropGuard};

/// Who has which console, by the path of its terminal or socket.
#[derive(Debug, Clone, Default)]
pub struct Seats {
    taken: Arc<Mutex<HashMap<PathBuf, Holder>>>,
}

#[derive(Debug, Clone)]
struct Holder {
    /// He shall leave.
    lost: CancellationToken,
    /// He has left.
    left: CancellationToken,
}

/// The right to a console; not any more when this is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    path: PathBuf,
    holder: Holder,
    /// After all else: whoever waits takes the seat then.
    _left: DropGuard,
}

impl Seats {
    /// Takes the seat at this path; none if somebody has it. With `force` he loses it, and has left when this returns.
    pub async fn take(&self, path: &Path, force: bool) -> Option<Seat> {
        loop {
            let before = match self.try_take(path) {
                Ok(seat) => return Some(seat),
                Err(_) if !force => return None,
                Err(before) => before,
            };
            before.lost.cancel();
            // His task sees that at its next step: it never waits for anything else alone.
            before.left.cancelled().await;
        }
    }

    fn try_take(&self, path: &Path) -> Result<Seat, Holder> {
        let mut taken = self.lock();
        if let Some(holder) = taken.get(path) {
            return Err(holder.clone());
        }
        let holder = Holder {
            lost: CancellationToken::new(),
            left: CancellationToken::new(),
        };
        taken.insert(path.to_owned(), holder.clone());
        Ok(Seat {
            seats: self.clone(),
            path: path.to_owned(),
            _left: holder.left.clone().drop_guard(),
            holder,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Holder>> {
        // Nothing that can panic happens under the lock.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Cancelled when somebody else wants it by force.
    pub fn lost(&self) -> &CancellationToken {
        &self.holder.lost
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_seat_has_one_holder_until_he_leaves() {
        let seats = Seats::default();
        let (one, two) = (Path::new("/dev/pts/1"), Path::new("/dev/pts/2"));
        let first = seats.take(one, false).await.unwrap();
        assert!(seats.take(one, false).await.is_none());
        let other = seats.take(two, false).await.unwrap();
        assert!(!first.lost().is_cancelled());
        drop(first);
        assert!(seats.take(one, false).await.is_some());
        drop(other);
        assert!(seats.lock().is_empty());
    }

    #[tokio::test]
    async fn who_takes_it_by_force_waits_until_the_holder_has_left() {
        let seats = Seats::default();
        let path = Path::new("/dev/pts/1");
        let first = seats.take(path, false).await.unwrap();
        let lost = first.lost().clone();
        let mut second = std::pin::pin!(seats.take(path, true));
        tokio::select! {
            biased;
            _ = &mut second => panic!("two have it"),
            () = lost.cancelled() => {}
        }
        drop(first);
        let second = second.await.unwrap();
        assert!(!second.lost().is_cancelled());
        assert!(seats.take(path, false).await.is_none());
        let holder = second.lost().clone();
        let (third, ()) = tokio::join!(seats.take(path, true), async {
            holder.cancelled().await;
            drop(second);
        });
        assert!(third.is_some());
    }
}
