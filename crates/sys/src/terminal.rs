//! A terminal that is read and written without waiting.

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
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::pipe::watched;

/// The slave of a pseudo terminal whose master a guest has. What comes from the guest is read, what is written goes to the
/// guest, byte by byte and without any echo. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Terminal {
    file: Arc<AsyncFd<OwnedFd>>,
}

impl Terminal {
    /// Opens it. It does not become our own terminal. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The kernel's; also for what is no terminal.
    pub fn open(path: &Path) -> io::Result<Self> {
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
            file: Arc::new(watched(file, Interest::READABLE | Interest::WRITABLE)?),
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::{Read, Write};
    use std::path::PathBuf;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A master as a hypervisor has it, and the path of its slave.
    fn pty() -> (std::fs::File, PathBuf) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        (master.into(), PathBuf::from(name.into_string().unwrap()))
    }

    #[tokio::test]
    async fn bytes_pass_as_they_are_until_the_master_is_gone() {
        let (mut master, path) = pty();
        let mut terminal = Terminal::open(&path).unwrap();
        terminal.write_all(b"a\r\n\x03\x04b").await.unwrap();
        let mut heard = [0; 6];
        master.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"a\r\n\x03\x04b", "no echo, no signals, no lines");
        master.write_all(b"x\r\n\x04y").unwrap();
        terminal.read_exact(&mut heard[..5]).await.unwrap();
        assert_eq!(&heard[..5], b"x\r\n\x04y");
        drop(master);
        assert_eq!(terminal.read(&mut heard).await.unwrap(), 0);
        assert!(terminal.write_all(b"late").await.is_err());
    }

    #[tokio::test]
    async fn a_master_that_does_not_read_makes_the_writer_wait() {
        let (mut master, path) = pty();
        let terminal = Terminal::open(&path).unwrap();
        let mut writer = terminal.clone();
        let writing = tokio::spawn(async move { writer.write_all(&[b'x'; 200_000]).await });
        let heard = tokio::task::spawn_blocking(move || {
            let mut all = vec![0; 200_000];
            master.read_exact(&mut all).unwrap();
            all.iter().all(|byte| *byte == b'x')
        });
        writing.await.unwrap().unwrap();
        assert!(heard.await.unwrap());
    }

    #[tokio::test]
    async fn what_is_no_terminal_is_refused() {
        let error = |path: &str| Terminal::open(Path::new(path)).unwrap_err().raw_os_error();
        assert_eq!(error("/dev/null"), Some(libc::ENOTTY));
        assert_eq!(error("/dev/nowhere"), Some(libc::ENOENT));
    }
}
