//! A handle to a process that cannot come to mean another one: its end is waited for without polling, its signals hit it
//! or nobody.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::pipe;
use crate::process::ProcessId;

/// One process, held by descriptor.
#[derive(Debug)]
pub struct PidFd {
    fd: AsyncFd<OwnedFd>,
    id: ProcessId,
}

impl PidFd {
    /// Takes hold of a process. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `ESRCH` when it is gone or its number belongs to another process by now; what the kernel says otherwise.
    pub fn open(id: ProcessId) -> io::Result<PidFd> {
        let fd = open_raw(id)?;
        Ok(PidFd {
            fd: pipe::watched(fd, Interest::READABLE)?,
            id,
        })
    }

    /// Which process this is.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Waits until the process has ended (it need not have been collected by its parent). May be dropped and repeated.
    pub async fn exited(&self) {
        // The kernel makes a pidfd readable at the end and keeps it so. Readiness cannot fail while the runtime lives.
        if self.fd.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// `ESRCH` when the process is gone, `EPERM` when it belongs to somebody else, `EINVAL` for no signal.
    pub fn kill(&self, signal: i32) -> io::Result<()> {
        send_to(self.fd.get_ref(), signal)
    }
}

/// A pidfd that is certain to mean `id`.
pub(crate) fn open_raw(id: ProcessId) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(id.pid).ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    let fd = pidfd_open(pid, PidfdFlags::empty())?;
    // Only now the number cannot be given away any more: compare after opening, not before.
    match ProcessId::of(id.pid) {
        Ok(now) if now == id => Ok(fd),
        _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

/// Sends a signal through a pidfd.
pub(crate) fn send_to(fd: &OwnedFd, signal: i32) -> io::Result<()> {
    let signal = Signal::from_named_raw(signal).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    Ok(pidfd_send_signal(fd, signal)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Duration;

    #[tokio::test]
    async fn r95_a_killed_process_is_seen_to_end() {
        let mut child = Command::new("/bin/sleep").arg("30").spawn().unwrap();
        let id = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        let handle = PidFd::open(id).unwrap();
        assert_eq!(handle.id(), id);
        assert!(
            tokio::time::timeout(Duration::from_millis(50), handle.exited())
                .await
                .is_err()
        );
        handle.kill(libc::SIGTERM).unwrap();
        tokio::time::timeout(Duration::from_secs(5), handle.exited())
            .await
            .unwrap();
        tokio::time::timeout(Duration::from_secs(5), handle.exited())
            .await
            .unwrap();
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
        assert_eq!(
            handle.kill(libc::SIGTERM).unwrap_err().raw_os_error(),
            Some(libc::ESRCH)
        );
        assert_eq!(handle.kill(12345).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[tokio::test]
    async fn r96_another_start_time_is_refused() {
        let mut id = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        id.start_time += 1;
        assert_eq!(PidFd::open(id).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        let nobody = ProcessId {
            pid: 0,
            start_time: 0,
        };
        assert_eq!(PidFd::open(nobody).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
