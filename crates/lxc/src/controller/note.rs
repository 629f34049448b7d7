//! What the controller's own children tell it: over one channel that all of them have, and that the container has not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ferrovirt_sys::channel::Channel;
use serde::{Deserialize, Serialize};

use crate::protocol::{Ending, Failure};

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Note {
    /// From the stage: the masters of the container's consoles come along.
    Consoles,
    /// From the stage: the connection to the kernel for `/proc/meminfo` comes along.
    Meminfo,
    /// From the stage: init is there; a pidfd comes along.
    Born,
    /// From init: nothing is left but the exec.
    Executing,
    /// From whoever met it.
    Failed(Failure),
    /// From the guard: init ended.
    Ended(Ending),
    /// From the child that did what the daemon had asked for.
    Did {
        /// The request.
        id: u64,
        /// What came of it.
        result: Result<(), Failure>,
    },
}

impl Note {
    /// Tells it. A controller that is gone cannot be told; the kernel ends us soon.
    pub(super) fn send(&self, to: &Channel, fds: &[BorrowedFd<'_>]) {
        if let Ok(text) = serde_json::to_vec(self) {
            let _ = to.send(&text, fds);
        }
    }

    /// The next one; `None` when there is none now.
    pub(super) fn receive(from: &Channel) -> io::Result<Option<(Note, Vec<OwnedFd>)>> {
        match from.receive() {
            Ok(Some((text, fds))) => Ok(Some((serde_json::from_slice(&text)?, fds))),
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What every child holds of the controller.
#[derive(Debug)]
pub(super) struct Ties {
    /// Where notes go.
    pub(super) notes: Channel,
    /// The controller's words: one byte when the id maps are written, one to go on. Its end is the end of the controller.
    pub(super) words: OwnedFd,
    /// Closes with the exec.
    pub(super) until_exec: OwnedFd,
}

impl Ties {
    /// Waits for the controller's next word; `None` when it is gone.
    pub(super) fn wait_for_word(&self) -> Option<()> {
        loop {
            match rustix::io::read(&self.words, &mut [0u8]) {
                Ok(1) => return Some(()),
                Err(rustix::io::Errno::INTR) => {}
                _ => return None,
            }
        }
    }

    /// All of them.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.notes.as_fd(), self.words.as_fd(), self.until_exec.as_fd()]
    }
}
