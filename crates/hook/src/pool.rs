//! The keepers that wait for a script. One is started when none waits; those that a burst left over go after a while.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferrovirt_sys::keeper::{Keeper, KeeperError, Report};

/// So many stay for ever: a guest and a network that start after each other need no more.
const ALWAYS: usize = 2;

/// So many stay at most, to serve the next step of as many guests that start together.
const MOST: usize = 64;

/// How long a keeper beyond [`ALWAYS`] waits for work.
const PATIENCE: Duration = Duration::from_secs(15);

/// Keepers without a script.
#[derive(Debug)]
pub(crate) struct Pool {
    program: PathBuf,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The last one in is the first one out, so that the others get old.
    keepers: Vec<(Instant, Keeper)>,
    /// Whether a task looks for old ones.
    watched: bool,
}

impl Pool {
    pub(crate) fn new(program: PathBuf) -> Arc<Pool> {
        Arc::new(Pool {
            program,
            waiting: Mutex::default(),
        })
    }

    /// A keeper that holds nothing.
    pub(crate) async fn take(&self) -> Result<Keeper, KeeperError> {
        loop {
            let waiting = self.lock().keepers.pop();
            match waiting {
                Some((_, keeper)) if keeper.is_there() => return Ok(keeper),
                // Somebody killed it.
                Some(_) => {}
                None => return Keeper::start(&self.program).await,
            }
        }
    }

    /// Takes back a keeper that holds nothing.
    pub(crate) fn give_back(self: &Arc<Self>, keeper: Keeper) {
        let mut waiting = self.lock();
        if waiting.keepers.len() >= MOST {
            return;
        }
        waiting.keepers.push((Instant::now(), keeper));
        if waiting.keepers.len() > ALWAYS && !waiting.watched {
            waiting.watched = true;
            tokio::spawn(self.clone().send_home());
        }
    }

    /// Takes back a keeper of which something still lives that a script left behind, as soon as it is empty.
    pub(crate) fn give_back_later(self: &Arc<Self>, mut keeper: Keeper) {
        let pool = self.clone();
        tokio::spawn(async move {
            loop {
                match keeper.next().await {
                    Ok(Report::Empty) => return pool.give_back(keeper),
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
    }

    /// Lets keepers go that waited too long, until only those that always stay are left.
    async fn send_home(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PATIENCE / 3).await;
            let mut waiting = self.lock();
            let surplus = waiting.keepers.len().saturating_sub(ALWAYS);
            let old = waiting
                .keepers
                .iter()
                .take(surplus)
                .filter(|(since, _)| since.elapsed() >= PATIENCE)
                .count();
            waiting.keepers.drain(..old);
            if waiting.keepers.len() <= ALWAYS {
                waiting.watched = false;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
