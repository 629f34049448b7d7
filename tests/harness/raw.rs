//! Talking to the daemon without any library: bytes on its socket, right and wrong ones.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::daemon::SOCKET;

/// libvirt's main program.
pub const PROGRAM: u32 = 0x2000_8086;
/// Procedure: open a connection.
pub const CONNECT_OPEN: u32 = 1;
/// Procedure: list of authentication methods.
pub const AUTH_LIST: u32 = 66;

/// A connection that sends what it is told.
pub struct Raw {
    stream: UnixStream,
}

/// The header of a reply, and what follows.
#[derive(Debug)]
pub struct Reply {
    /// What the frame is: 1 an answer, 2 an event, 3 a packet of a stream.
    pub kind: u32,
    /// Procedure number.
    pub procedure: u32,
    /// The call that it answers.
    pub serial: u32,
    /// 0: fine, 1: an error follows.
    pub status: u32,
    /// The rest of the frame.
    pub body: Vec<u8>,
}

impl Raw {
    /// A new connection.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect() -> Self {
        Self::connect_to(SOCKET)
    }

    /// A new connection to one of the sockets.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect_to(path: &str) -> Self {
        let stream = UnixStream::connect(path).expect("the daemon listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout can be set");
        stream
            .set_write_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout can be set");
        Raw { stream }
    }

    /// How long to wait for an answer, if not the usual 10 s.
    ///
    /// # Panics
    /// When the socket does not take it.
    pub fn wait_up_to(&self, limit: Duration) {
        let set = self.stream.set_read_timeout(Some(limit));
        set.expect("a timeout can be set");
    }

    /// Sends bytes; whether they could be sent.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Ends the sending side.
    pub fn shut(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// A whole call.
    pub fn call(&mut self, procedure: u32, serial: u32, body: &[u8]) -> Option<Reply> {
        self.send(&frame(procedure, serial, body));
        self.reply()
    }

    /// The next frame; nothing if the daemon closed the connection.
    ///
    /// # Panics
    /// When neither happens in time.
    pub fn reply(&mut self) -> Option<Reply> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("neither an answer nor an end"),
            Err(_) => return None,
        }
        let length = u32::from_be_bytes(length) as usize;
        assert!(
            (28..=32 * 1024 * 1024).contains(&length),
            "a frame of {length} bytes"
        );
        let mut frame = vec![0; length - 4];
        self.stream.read_exact(&mut frame).ok()?;
        let word = |i: usize| {
            u32::from_be_bytes([frame[4 * i], frame[4 * i + 1], frame[4 * i + 2], frame[4 * i + 3]])
        };
        Some(Reply {
            kind: word(3),
            procedure: word(2),
            serial: word(4),
            status: word(5),
            body: frame[24..].to_vec(),
        })
    }
}

/// A call's frame.
pub fn frame(procedure: u32, serial: u32, body: &[u8]) -> Vec<u8> {
    frame_of((PROGRAM, 1), procedure, serial, body)
}

/// The frame of a call of another program, by number and version.
///
/// # Panics
/// When the body is gigabytes.
pub fn frame_of(program: (u32, u32), procedure: u32, serial: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(28 + body.len()).expect("a test's frame is short");
    let mut bytes = Vec::new();
    for word in [length, program.0, program.1, procedure, 0, serial, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(body);
    bytes
}

/// The arguments of [`CONNECT_OPEN`]: an optional name, flags.
pub fn open_arguments(name: &str) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 1];
    bytes.extend(
        u32::try_from(name.len())
            .expect("a test's name is short")
            .to_be_bytes(),
    );
    bytes.extend(name.as_bytes());
    bytes.extend(std::iter::repeat_n(0, (4 - name.len() % 4) % 4));
    bytes.extend([0; 4]);
    bytes
}
