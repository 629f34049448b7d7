//! The keepers that wait for a script. One is started when none waits; those that a burst left over go after a while.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrovirt_sys::keeper::{self, Keeper, KeeperError, Report};
use tokio::time::Instant;

use crate::history::{History, RunId, Stream};

/// So many stay for ever: a guest and a network that start after each other need no more.
const ALWAYS: usize = 2;

/// So many stay at most, to serve the next step of as many guests that start together.
const MOST: usize = 64;

/// How long a keeper beyond [`ALWAYS`] waits for work.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often is looked for those that waited too long.
const LOOK: Duration = Duration::from_secs(5);

/// Keepers without a script.
#[derive(Debug)]
pub(crate) struct Pool {
    program: PathBuf,
    waiting: Mutex<Waiting<Keeper>>,
}

/// What waits, since when. The last one in is the first one out, so that the others get old.
#[derive(Debug)]
struct Waiting<T> {
    list: Vec<(Instant, T)>,
    /// Whether a task looks for old ones.
    watched: bool,
}

impl<T> Default for Waiting<T> {
    fn default() -> Waiting<T> {
        Waiting {
            list: Vec::new(),
            watched: false,
        }
    }
}

impl<T> Waiting<T> {
    fn pop(&mut self) -> Option<T> {
        self.list.pop().map(|(_, thing)| thing)
    }

    /// Takes one more, unless there are too many. Whether somebody must begin to look for old ones now.
    fn push(&mut self, thing: T, now: Instant) -> bool {
        if self.list.len() < MOST {
            self.list.push((now, thing));
        }
        let begin = self.list.len() > ALWAYS && !self.watched;
        self.watched |= begin;
        begin
    }

    /// Lets those go that are too many and too old. Whether there is still something to look for.
    fn retire(&mut self, now: Instant) -> bool {
        let surplus = self.list.len().saturating_sub(ALWAYS);
        let is_old = |(since, _): &&(Instant, T)| now.duration_since(*since) >= PATIENCE;
        let old = self.list.iter().take(surplus).take_while(is_old).count();
        self.list.drain(..old);
        self.watched = self.list.len() > ALWAYS;
        self.watched
    }
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
            let waiting = self.lock().pop();
            match waiting {
                Some(keeper) if keeper.is_there() => return Ok(keeper),
                // Somebody killed it.
                Some(_) => {}
                None => return Keeper::start(&self.program).await,
            }
        }
    }

    /// Takes back a keeper that holds nothing.
    pub(crate) fn give_back(self: &Arc<Self>, keeper: Keeper) {
        if self.lock().push(keeper, Instant::now()) {
            tokio::spawn(self.clone().send_home());
        }
    }

    /// Takes back a keeper of which something still lives that a script left behind, as soon as it is empty. What that
    /// prints meanwhile belongs to the run in the history.
    pub(crate) fn give_back_later(self: &Arc<Self>, mut keeper: Keeper, run: Option<(History, RunId)>) {
        let pool = self.clone();
        tokio::spawn(async move {
            loop {
                match (keeper.next().await, &run) {
                    (Ok(Report::Empty), _) => return pool.give_back(keeper),
                    (Ok(Report::Printed { stream, bytes }), Some((history, id))) => {
                        let stream = match stream {
                            keeper::Stream::Stdout => Stream::Stdout,
                            keeper::Stream::Stderr => Stream::Stderr,
                        };
                        history.run_printed_later(*id, stream, bytes);
                    }
                    (Ok(_), _) => {}
                    (Err(_), _) => return,
                }
            }
        });
    }

    /// Lets keepers go that waited too long, until only those that always stay are left.
    async fn send_home(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            if !self.lock().retire(Instant::now()) {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<Keeper>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "../tests/all/support/keeper.rs"]
mod program;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_one_in_is_the_first_one_out_and_too_many_are_not_kept() {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        let begun: Vec<bool> = (0..70).map(|number| waiting.push(number, now)).collect();
        assert_eq!(
            begun.iter().position(|begin| *begin),
            Some(2),
            "with the third one"
        );
        assert_eq!(begun.iter().filter(|begin| **begin).count(), 1);
        assert_eq!(waiting.list.len(), 64);
        assert_eq!(waiting.pop(), Some(63));
    }

    #[tokio::test]
    async fn those_beyond_two_go_when_they_are_old() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut waiting = Waiting::default();
        let begun = [(1, 0), (2, 1), (3, 2), (4, 10)].map(|(thing, since)| waiting.push(thing, at(since)));
        assert_eq!(begun, [false, false, true, false]);
        assert!(waiting.retire(at(14)));
        assert_eq!(waiting.list.len(), 4);
        assert!(waiting.retire(at(15)));
        assert_eq!(
            waiting.list.iter().map(|(_, thing)| *thing).collect::<Vec<_>>(),
            [2, 3, 4]
        );
        assert!(!waiting.retire(at(16)));
        assert!(!waiting.retire(at(100)));
        assert_eq!(
            waiting.list.iter().map(|(_, thing)| *thing).collect::<Vec<_>>(),
            [3, 4]
        );
        assert!(waiting.push(5, at(100)), "somebody has to look again");
    }

    #[tokio::test]
    async fn keepers_that_a_burst_left_over_go_home() {
        let pool = Pool::new(program::keeper_program());
        let mut keepers = Vec::new();
        for _ in 0..4 {
            keepers.push(pool.take().await.unwrap());
        }
        let ids: Vec<_> = keepers.iter().map(Keeper::id).collect();
        keepers.into_iter().for_each(|keeper| pool.give_back(keeper));
        assert_eq!(pool.lock().list.len(), 4);
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(21)).await;
        assert_eq!(pool.lock().list.len(), 2);
        tokio::time::resume();
        for _ in 0..500 {
            if !ids[0].is_alive() && !ids[1].is_alive() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(
            ids.iter().map(|id| id.is_alive()).collect::<Vec<_>>(),
            [false, false, true, true]
        );
    }
}
