//! A terminal as the end of a stream.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The slave of a pseudo terminal whose master a guest has. What comes from the guest is read, what is written goes to the
/// guest, byte by byte and without any echo. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    file: Arc<AsyncFd<OwnedFd>>,
}

impl Terminal {
    /// Opens it. It does not become the daemon's own terminal.
    ///
    /// # Errors
    /// The kernel's; also for what is no terminal.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let file: OwnedFd = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?
            .into();
        if !isatty(&file) {
            return Err(Errno::NOTTY.into());
        }
        let mut attributes = tcgetattr(&file)?;
        attributes.make_raw();
        tcsetattr(&file, OptionalActions::Now, &attributes)?;
        Ok(Self {
            file: Arc::new(AsyncFd::new(file)?),
        })
    }
}

impl AsyncRead for Terminal {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.file.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            match guard.try_io(|file| Ok(rustix::io::read(file.get_ref(), &mut *space)?)) {
                Ok(Ok(length)) => {
                    buf.advance(length);
                    return Poll::Ready(Ok(()));
                }
                // So the kernel says that nobody has the master any more: an end, as with any other file.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_wait) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.file.poll_write_ready(cx))?;
            match guard.try_io(|file| Ok(rustix::io::write(file.get_ref(), bytes)?)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(outcome) => return Poll::Ready(outcome),
                Err(_would_wait) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A terminal has no end of one direction.
        Poll::Ready(Ok(()))
    }
}
