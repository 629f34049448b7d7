//! A small blocking client: one call at a time, enough for tests and for a command line tool.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::error::ErrorReply;
use crate::frame::{Frame, FrameError, FrameReader, Header, MessageType, Status};
use crate::own::{self, Envelope, Question};
use crate::procedures::{AuthListArgs, Call, ConnectCloseArgs, ConnectOpenArgs};
use crate::program;
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
            if frame.header.kind == MessageType::Reply as u32 && frame.header.serial == serial {
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
        let header = Header {
            program,
            version: program::VERSION,
            procedure,
            kind: MessageType::Call as u32,
            serial,
            status: Status::Ok as u32,
        };
        self.send_bytes(&header.message(args)?)?;
        Ok(serial)
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
            match self.socket.read(&mut portion)? {
                0 => return Err(ClientError::Closed),
                length => self.reader.buffer().extend_from_slice(&portion[..length]),
            }
        }
    }
}

/// What the answer `frame` says: results or an error.
pub fn results<R: Xdr>(frame: &Frame) -> Result<R, ClientError> {
    if frame.header.status == Status::Ok as u32 {
        Ok(R::from_payload(&frame.payload)?)
    } else {
        Err(ClientError::Refused(ErrorReply::from_payload(&frame.payload)?))
    }
}
