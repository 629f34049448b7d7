//! Messages with descriptors between a small program and its children: what is sent at once arrives at once, whoever of several
//! sends it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::socket;

/// The longest message, bytes.
const LONGEST: usize = 64 << 10;

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What arrived.
pub type Message = (Vec<u8>, Vec<OwnedFd>);

impl Channel {
    /// Two ends. The first does not wait when it receives.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        crate::pipe::set_nonblocking(&ours)?;
        Ok((Channel(ours), Channel(theirs)))
    }

    /// Sends one message.
    ///
    /// # Errors
    /// `EPIPE` when nobody is left to receive it, `EMSGSIZE`.
    pub fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        socket::send(&self.0, message, fds).map(drop)
    }

    /// The next message; `None` when nobody is left who could send one.
    ///
    /// # Errors
    /// `WouldBlock` when there is none yet and this end does not wait.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        let mut buffer = vec![0; LONGEST];
        let mut fds = Vec::new();
        loop {
            match socket::receive(&self.0, &mut buffer, &mut fds) {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    buffer.truncate(count);
                    return Ok(Some((buffer, fds)));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl From<OwnedFd> for Channel {
    /// Another descriptor of an end.
    fn from(end: OwnedFd) -> Channel {
        Channel(end)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_bounds_and_bring_descriptors() {
        let (ours, theirs) = Channel::pair().unwrap();
        assert_eq!(ours.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        theirs.send(b"one", &[]).unwrap();
        theirs.send(b"two", &[theirs.as_fd()]).unwrap();
        assert_eq!(ours.receive().unwrap().unwrap().0, b"one");
        let (text, fds) = ours.receive().unwrap().unwrap();
        assert_eq!((text.as_slice(), fds.len()), (b"two".as_slice(), 1));
        drop((theirs, fds));
        assert!(ours.receive().unwrap().is_none());
        assert_eq!(
            ours.send(b"x", &[]).unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
