//! The kernel's and udev's news about devices, over netlink. No polling: the socket is readable when there is some.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with, sockopt};
use tokio::io::unix::AsyncFd;

/// Whose news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The kernel's, where no udev runs.
    Kernel = 1,
    /// udev's: they come after its rules have run, when names are final and its database is written.
    Udev = 2,
}

/// The most that one message holds; the kernel's are below 4 KiB, udev's below 8.
const LIMIT: usize = 64 << 10;

/// How much may wait in the socket. A hub with all that hangs on it is some hundred messages at once.
const WAITING: usize = 8 << 20;

/// A socket on which the news arrive. It never blocks.
#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// What was received.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A message, as it came.
    Message(&'a [u8]),
    /// A message that somebody sent to this socket alone: not news.
    Foreign,
    /// Messages were lost: whoever follows the devices has to look at all of them anew.
    Lost,
}

impl Uevents {
    /// Listens from now on, in this network namespace.
    ///
    /// # Errors
    /// What the kernel says; `EPERM` hardly ever, since anybody may listen.
    pub fn open(source: Source) -> io::Result<Uevents> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            Some(KOBJECT_UEVENT),
        )?;
        // More than an ordinary user may have; where that is refused the kernel's usual size has to do.
        if sockopt::set_socket_recv_buffer_size_force(&socket, WAITING).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(&socket, WAITING);
        }
        bind(&socket, &SocketAddrNetlink::new(0, source as u32))?;
        Ok(Uevents {
            socket,
            buffer: vec![0; LIMIT],
        })
    }

    /// The next message.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; otherwise what the kernel says.
    pub fn receive(&mut self) -> io::Result<Received<'_>> {
        let slots: &mut [u8] = &mut self.buffer;
        match recvfrom(&self.socket, slots, RecvFlags::empty()) {
            Ok((length, _, sender)) => {
                let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
                // What is sent to a group has its number; only those who administer the network can do that.
                Ok(match sender {
                    Some(sender) if sender.groups() != 0 => Received::Message(&self.buffer[..length]),
                    _ => Received::Foreign,
                })
            }
            Err(Errno::NOBUFS) => Ok(Received::Lost),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsRawFd for Uevents {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The same inside a runtime.
#[derive(Debug)]
pub struct News {
    socket: AsyncFd<Uevents>,
}

impl News {
    /// Listens from now on. Only inside a runtime.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(source: Source) -> io::Result<News> {
        let events = Uevents::open(source)?;
        // SAFETY: `Uevents` owns its descriptor, tells the same one each time, and closes it only when it is dropped, which
        // `AsyncFd` does after it has given the registration up.
        let socket = unsafe { AsyncFd::register(events) }.map_err(|refused| refused.into_parts().1)?;
        Ok(News { socket })
    }

    /// Waits for the next message and gives it to `read`. May be dropped at any time: nothing is lost.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn next<T>(&mut self, read: impl Fn(Received<'_>) -> T) -> io::Result<T> {
        loop {
            let mut ready = self.socket.readable_mut().await?;
            if let Ok(read) = ready.try_io(|socket| socket.get_mut().receive().map(&read)) {
                return read;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_news_nothing_is_received_and_nothing_blocks() {
        for source in [Source::Kernel, Source::Udev] {
            let mut events = Uevents::open(source).unwrap();
            // Other tests of this machine may make devices meanwhile.
            loop {
                match events.receive() {
                    Ok(_) => continue,
                    Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
        }
    }
}
