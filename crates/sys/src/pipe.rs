//! Pipes with one end for us, which never blocks, and one for a child, which does as children expect.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The end that reads what a child writes.
#[derive(Debug)]
pub struct PipeReader {
    fd: OwnedFd,
    /// Made when somebody waits for the first time: most pipes are read once, after the child's end.
    readiness: Option<AsyncFd<OwnedFd>>,
}

impl PipeReader {
    /// A new pipe: our end, and the one for the child.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn new() -> io::Result<(PipeReader, OwnedFd)> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        set_nonblocking(&ours)?;
        let reader = PipeReader {
            fd: ours,
            readiness: None,
        };
        Ok((reader, theirs))
    }

    /// Reads what there is, waits when there is nothing; 0 when nobody can write any more. May be dropped and repeated.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let readiness = match self.readiness.take() {
                Some(readiness) => readiness,
                // Its own number: the reactor's view of a descriptor must not outlive it.
                None => watched(self.fd.try_clone()?, Interest::READABLE)?,
            };
            let mut guard = self.readiness.insert(readiness).readable().await?;
            if let Ok(result) = guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *buffer)?)) {
                return result;
            }
        }
    }

    /// Reads without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing now.
    pub fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.fd, buffer)?)
    }

    /// How many bytes are in the pipe now.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn waiting(&self) -> io::Result<usize> {
        let count = rustix::io::ioctl_fionread(&self.fd)?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }
}

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The end that writes what a child reads. Dropping it is the end of file.
#[derive(Debug)]
pub struct PipeWriter {
    fd: AsyncFd<OwnedFd>,
}

impl PipeWriter {
    /// A new pipe that already holds the beginning of `input`, as much as fits: the end for the child, and ours with the
    /// number of bytes that went, unless all did (the child then finds the end of file behind them).
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn filled(input: &[u8]) -> io::Result<(OwnedFd, Option<(PipeWriter, usize)>)> {
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
        set_nonblocking(&ours)?;
        if input.len() > USUAL_CAPACITY {
            // A larger pipe is only a favour: one that the kernel refuses is fed bit by bit.
            let _ = rustix::pipe::fcntl_setpipe_size(&ours, input.len());
        }
        let mut sent = 0;
        while sent < input.len() {
            match rustix::io::write(&ours, &input[sent..]) {
                Ok(count) => sent += count,
                Err(rustix::io::Errno::AGAIN) => {
                    let writer = PipeWriter {
                        fd: watched(ours, Interest::WRITABLE)?,
                    };
                    return Ok((theirs, Some((writer, sent))));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((theirs, None))
    }

    /// Writes as much as fits, waits when nothing does. May be dropped and repeated.
    ///
    /// # Errors
    /// `BrokenPipe` when nobody can read any more.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let mut guard = self.fd.writable().await?;
            if let Ok(result) = guard.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                return result;
            }
        }
    }
}

/// What a pipe holds unless told otherwise.
const USUAL_CAPACITY: usize = 64 << 10;

/// Registers a descriptor with tokio's reactor.
pub(crate) fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` keeps its descriptor open, and the same, until it is dropped with the `AsyncFd`.
    let registered = unsafe { AsyncFd::register_with_interest(fd, interest) };
    registered.map_err(io::Error::from)
}

pub(crate) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd.as_fd())?;
    Ok(rustix::fs::fcntl_setfl(fd.as_fd(), flags | OFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    #[tokio::test]
    async fn r9_a_small_input_needs_no_feeding() {
        let (theirs, rest) = PipeWriter::filled(b"document").unwrap();
        assert!(rest.is_none());
        let mut text = String::new();
        File::from(theirs).read_to_string(&mut text).unwrap();
        assert_eq!(text, "document");
        let (theirs, rest) = PipeWriter::filled(b"").unwrap();
        assert!(rest.is_none());
        assert_eq!(File::from(theirs).read(&mut [0]).unwrap(), 0);
    }

    #[tokio::test]
    async fn r9_a_large_input_is_fed_as_it_is_read() {
        let input = vec![b'x'; 3 << 20];
        let (theirs, rest) = PipeWriter::filled(&input).unwrap();
        let (writer, mut sent) = rest.expect("no pipe holds 3 MiB");
        assert!(sent >= USUAL_CAPACITY && sent < input.len());
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            File::from(theirs).read_to_end(&mut bytes).unwrap();
            bytes
        });
        while sent < input.len() {
            sent += writer.write(&input[sent..]).await.unwrap();
        }
        drop(writer);
        assert!(reader.join().unwrap() == input);
    }

    #[tokio::test]
    async fn r9_a_reader_that_goes_away_is_an_error_and_no_signal() {
        let (theirs, rest) = PipeWriter::filled(&vec![b'x'; 3 << 20]).unwrap();
        drop(theirs);
        let error = rest.unwrap().0.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn r12_what_is_in_the_pipe_can_be_counted_and_taken() {
        let (mut reader, theirs) = PipeReader::new().unwrap();
        assert_eq!(reader.waiting().unwrap(), 0);
        assert_eq!(
            reader.read_now(&mut [0]).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let mut writer = File::from(theirs);
        writer.write_all(b"12345").unwrap();
        assert_eq!(reader.waiting().unwrap(), 5);
        let mut buffer = [0; 3];
        assert_eq!(reader.read(&mut buffer).await.unwrap(), 3);
        assert_eq!(reader.read_now(&mut buffer).unwrap(), 2);
        drop(writer);
        assert_eq!(reader.read(&mut buffer).await.unwrap(), 0);
    }
}
