//! Work that may wait for a disk or for the kernel, in the middle of an asynchronous function.
//!
//! `tokio::task::spawn_blocking` wants to own what it works on; this borrows. The other tasks of the worker thread go
//! on elsewhere meanwhile, so nobody else waits for a slow disk (R90).

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does the work here and now; tasks of this thread are taken over by another one while it lasts. On a runtime of one
/// thread (tests have some) and outside of any it is a plain call.
pub fn here<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn r90_other_tasks_go_on_meanwhile() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let (tell, heard) = mpsc::channel();
        runtime.block_on(async {
            let blocked = tokio::spawn(async move {
                tokio::spawn(async move { tell.send(()) });
                here(|| heard.recv_timeout(Duration::from_secs(30)))
            });
            blocked.await.unwrap().unwrap();
        });
    }

    #[test]
    fn without_other_threads_it_is_a_plain_call() {
        assert_eq!(here(|| 7), 7);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { here(|| 8) }), 8);
    }
}
