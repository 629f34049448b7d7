//! Unix sockets that carry descriptors, for the talk with the small programs.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::frame::{self, Broken};

/// The most descriptors that one message carries (the kernel's own limit is 253).
const MOST_DESCRIPTORS: usize = 250;

/// Two connected stream sockets that no child inherits by accident.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Sends the beginning of `bytes`; `WouldBlock` when nothing can be sent now, also on a socket that otherwise waits.
pub(crate) fn send_now(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(rustix::net::send(socket, bytes, flags)?)
}

/// Sends the beginning of `bytes`, with the descriptors; returns how many bytes went. Never raises SIGPIPE.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if fds.len() > MOST_DESCRIPTORS {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    let message = SendAncillaryMessage::ScmRights(fds);
    let mut space = vec![MaybeUninit::uninit(); if fds.is_empty() { 0 } else { message.size() }];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(message) {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    Ok(sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?)
}

/// Sends a zero byte and a descriptor with it, now or not at all: `WouldBlock` when the socket takes nothing.
///
/// # Errors
/// The kernel's.
pub fn send_descriptor(socket: impl AsFd, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let one = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    // It has exactly the room for it.
    control.push(SendAncillaryMessage::ScmRights(&one));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, &[IoSlice::new(&[0])], &mut control, flags)?;
    Ok(())
}

/// Receives into `buffer` (0 bytes: the other end is closed); descriptors that came with it are added to `fds`.
///
/// # Errors
/// The kernel's.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(received.bytes)
}

/// Sends one whole message over a blocking socket; the descriptors go with its first byte.
pub(crate) fn send_all(socket: impl AsFd, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut sent = send(&socket, message, fds)?;
    while sent < message.len() {
        sent += send(&socket, &message[sent..], &[])?;
    }
    Ok(())
}

/// Receives one whole message over a blocking socket, with its descriptors.
pub(crate) fn receive_message(socket: impl AsFd) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut buffer = Vec::new();
    let mut fds = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        if let Some(message) = frame::next_message(&mut buffer).map_err(broken)? {
            return Ok((message, fds));
        }
        match receive(&socket, &mut chunk, &mut fds) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A message that is none, as an I/O error.
pub(crate) fn broken(error: Broken) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// For the main function of a small program: takes the socket that it was started with on standard input, puts
/// `/dev/null` there, and sees to it that nothing else that was inherited reaches a child.
pub(crate) fn take_from_stdin() -> io::Result<OwnedFd> {
    // SAFETY: duplicates descriptor 0, whatever it is; the result is checked before it is owned.
    let fd = unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let null = dev_null()?;
    // SAFETY: descriptor 0 is replaced as a whole; no Rust object owns it.
    if unsafe { libc::dup2(null.as_raw_fd(), 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    close_on_exec_from(3);
    Ok(socket)
}

/// `/dev/null` for reading and writing.
pub fn dev_null() -> io::Result<OwnedFd> {
    Ok(std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?
        .into())
}

/// Marks every descriptor from `first` on to be closed at exec.
pub(crate) fn close_on_exec_from(first: u32) {
    // SAFETY: only sets a flag on descriptors; those that do not exist are passed over.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    // Kernels before 5.11: one by one.
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    for fd in entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
    {
        if u32::try_from(fd).is_ok_and(|fd| fd >= first) {
            // SAFETY: only sets the flag; a descriptor that is gone meanwhile is refused with EBADF.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Writer;
    use std::io::{Read, Write};

    #[test]
    fn messages_and_descriptors_arrive_together() {
        let (ours, theirs) = pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let message = Writer::new(7).bytes(&vec![5; 300_000]).finish().unwrap();
        let sender = std::thread::spawn(move || {
            send_all(&ours, &message, &[writer.as_fd()]).unwrap();
            drop(writer);
            let small = Writer::new(8).finish().unwrap();
            send_all(&ours, &small, &[]).unwrap();
        });
        let (message, mut fds) = receive_message(&theirs).unwrap();
        assert_eq!((message.len(), message[0]), (300_005, 7));
        assert_eq!(fds.len(), 1);
        let mut pipe = std::fs::File::from(fds.remove(0));
        pipe.write_all(b"through").unwrap();
        drop(pipe);
        sender.join().unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn the_end_of_the_other_side_is_an_error_not_a_message() {
        let (ours, theirs) = pair().unwrap();
        drop(ours);
        assert_eq!(
            receive_message(&theirs).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(
            send_all(&theirs, b"x", &[]).unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
