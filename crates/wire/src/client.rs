//! A small blocking client: one call at a time, enough for tests and for a command line tool.

use std::io::{IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::error::ErrorReply;
use crate::frame::{Frame, FrameError, FrameReader, Header, MessageType, Status};
use crate::own::{self, Envelope, Question};
use crate::procedures::{AuthListArgs, Call, ConnectCloseArgs, ConnectOpenArgs};
use crate::program;
use crate::stream::{Packet, StreamKey};
use crate::xdr::{Xdr, XdrError};

/// Why a call has no results.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused it.
    #[error("{0}")]
    Refused(ErrorReply),
    /// The socket failed.
    #[error("talking to the daemon")]
    Io(#[from] std::io::Error),
    /// The server sent what is not a message.
    #[error("reading the daemon's answer")]
    Frame(#[from] FrameError),
    /// Arguments or results are not what the procedure has.
    #[error("decoding the daemon's answer")]
    Xdr(#[from] XdrError),
    /// An answer of ferrovirt's own program is not what this version of the tool knows.
    #[error("understanding the daemon's answer")]
    Json(#[source] serde_json::Error),
    /// The server hung up.
    #[error("the daemon closed the connection")]
    Closed,
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    socket: UnixStream,
    reader: FrameReader,
    serial: u32,
}

impl Client {
    /// Connects to the socket at `path`; nothing is said yet.
    pub fn connect(path: &Path) -> std::io::Result<Self> {
        UnixStream::connect(path).map(Self::over)
    }

    /// Speaks over a socket that is connected already.
    pub fn over(socket: UnixStream) -> Self {
        Self {
            socket,
            reader: FrameReader::default(),
            serial: 0,
        }
    }

    /// How long to wait for an answer at most.
    pub fn set_timeout(&self, timeout: Duration) -> std::io::Result<()> {
        self.socket.set_read_timeout(Some(timeout))
    }

    /// Opens the driver of `uri` as client libraries do.
    pub fn open(&mut self, uri: &str, readonly: bool) -> Result<(), ClientError> {
        self.call(&AuthListArgs {})?;
        self.call(&ConnectOpenArgs {
            name: Some(uri.to_owned()),
            flags: u32::from(readonly),
        })?;
        Ok(())
    }

    /// Says goodbye and waits for the answer.
    pub fn close(mut self) -> Result<(), ClientError> {
        self.call(&ConnectCloseArgs {}).map(|_| ())
    }

    /// Calls a procedure and waits for its answer.
    pub fn call<A: Call>(&mut self, args: &A) -> Result<A::Results, ClientError> {
        let serial = self.send(args)?;
        self.answer_to(serial)
    }

    fn answer_to<R: Xdr>(&mut self, serial: u32) -> Result<R, ClientError> {
        loop {
            let frame = self.receive()?;
            let kind = MessageType::from_number(frame.header.kind);
            let answers = matches!(kind, Some(MessageType::Reply | MessageType::ReplyWithDescriptors));
            if answers && frame.header.serial == serial {
                return results(&frame);
            }
        }
    }

    /// Sends a call without waiting; the answer will carry the serial.
    pub fn send<A: Call>(&mut self, args: &A) -> Result<u32, ClientError> {
        self.send_to(program::REMOTE, A::NUMBER, args)
    }

    fn send_to(&mut self, program: u32, procedure: i32, args: &impl Xdr) -> Result<u32, ClientError> {
        let serial = self.serial;
        self.serial = serial.wrapping_add(1);
        let header = call_header(program, procedure, MessageType::Call, serial);
        self.send_bytes(&header.message(args)?)?;
        Ok(serial)
    }

    /// Calls a procedure of any program with descriptors, and waits for its answer and what comes with that.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn call_with_descriptors<R: Xdr>(
        &mut self,
        (program, procedure): (u32, i32),
        args: &impl Xdr,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(R, Vec<OwnedFd>), ClientError> {
        if descriptors.is_empty() {
            let serial = self.send_to(program, procedure, args)?;
            let results = self.answer_to(serial)?;
            return Ok((results, self.reader.take_descriptors()));
        }
        let serial = self.serial;
        self.serial = serial.wrapping_add(1);
        let header = call_header(program, procedure, MessageType::CallWithDescriptors, serial);
        self.send_bytes(&header.message_with_descriptors(descriptors.len(), args)?)?;
        for descriptor in descriptors {
            let one = [*descriptor];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&one));
            rustix::net::sendmsg(
                &self.socket,
                &[IoSlice::new(&[0])],
                &mut control,
                SendFlags::NOSIGNAL,
            )
            .map_err(std::io::Error::from)?;
        }
        let results = self.answer_to(serial)?;
        Ok((results, self.reader.take_descriptors()))
    }

    /// Calls a procedure that opens a stream, and waits for its answer.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn open_stream<A: Call>(&mut self, args: &A) -> Result<(StreamKey, A::Results), ClientError> {
        let serial = self.send(args)?;
        let stream = StreamKey {
            program: program::REMOTE,
            procedure: A::NUMBER,
            serial,
        };
        Ok((stream, self.answer_to(serial)?))
    }

    /// Sends a packet of a stream.
    ///
    /// # Errors
    /// Data that does not fit a message; the socket failed.
    pub fn send_packet(&mut self, stream: StreamKey, packet: &Packet) -> Result<(), ClientError> {
        self.send_bytes(&packet.message(stream)?)
    }

    /// The next packet of a stream; whatever else comes before it is passed over.
    ///
    /// # Errors
    /// The socket failed or was closed.
    pub fn packet(&mut self, stream: StreamKey) -> Result<Packet, ClientError> {
        loop {
            let frame = self.receive()?;
            if let Some(packet) = Packet::of(&frame).filter(|_| StreamKey::of(&frame.header) == stream) {
                return Ok(packet);
            }
        }
    }

    /// Asks a question of ferrovirt's own program; the connection need not be open for that.
    pub fn ask<Q: Question>(&mut self, question: &Q) -> Result<Q::Answer, ClientError> {
        let json = serde_json::to_string(question).map_err(ClientError::Json)?;
        let serial = self.send_to(own::PROGRAM, Q::NUMBER, &Envelope { json })?;
        let envelope: Envelope = self.answer_to(serial)?;
        serde_json::from_str(&envelope.json).map_err(ClientError::Json)
    }

    /// Sends bytes as they are, for what [`Client::send`] would never send.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.socket.write_all(bytes)?;
        Ok(())
    }

    /// The next message that is not a ping; pings are answered.
    pub fn receive(&mut self) -> Result<Frame, ClientError> {
        loop {
            let frame = self.receive_any()?;
            if frame.header.program != program::KEEPALIVE || frame.header.procedure != program::PING {
                return Ok(frame);
            }
            self.send_bytes(&program::keepalive(program::PONG).empty_message())?;
        }
    }

    /// The next message, whatever it is.
    pub fn receive_any(&mut self) -> Result<Frame, ClientError> {
        let mut portion = [0; 16_384];
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Ok(frame);
            }
            let (buffer, descriptors) = self.reader.buffers();
            match receive(self.socket.as_fd(), &mut portion, descriptors)? {
                0 => return Err(ClientError::Closed),
                length => buffer.extend_from_slice(&portion[..length]),
            }
        }
    }
}

const fn call_header(program: u32, procedure: i32, kind: MessageType, serial: u32) -> Header {
    Header {
        program,
        version: program::VERSION,
        procedure,
        kind: kind as u32,
        serial,
        status: Status::Ok as u32,
    }
}

/// Reads with room for a descriptor: a plain read would lose it.
fn receive(
    socket: BorrowedFd<'_>,
    portion: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> std::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(portion)];
    let received = loop {
        match rustix::net::recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(received.bytes)
}

/// What the answer `frame` says: results or an error.
pub fn results<R: Xdr>(frame: &Frame) -> Result<R, ClientError> {
    if frame.header.status == Status::Ok as u32 {
        Ok(R::from_payload(&frame.payload)?)
    } else {
        Err(ClientError::Refused(ErrorReply::from_payload(&frame.payload)?))
    }
}
