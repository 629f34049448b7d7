//! Streams: bytes that travel beside calls, in packets that carry the header of the call which opened them.
//!
//! Nothing announces a stream but the answer to that call. Then both sides send packets: data, an end of data, and one word
//! that ends the stream for both, after which nothing is said about it any more. A packet for a stream that is not there
//! was under way when it ended, and counts for nothing.

use bytes::Bytes;

use crate::error::ErrorReply;
use crate::frame::{Frame, Header, MessageType, Status};
use crate::xdr::{Xdr, XdrError};

/// Most bytes of data in a packet that libvirt's programs send. Receivers take any that fit a message.
pub const DATA_LIMIT: usize = 262_120;

/// Names a stream within its connection: the call that opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// Program of the call.
    pub program: u32,
    /// Its procedure.
    pub procedure: i32,
    /// Its serial.
    pub serial: u32,
}

impl StreamKey {
    /// The stream that the call with this header opens, or that the packet with this header belongs to.
    pub const fn of(header: &Header) -> Self {
        Self {
            program: header.program,
            procedure: header.procedure,
            serial: header.serial,
        }
    }

    const fn header(self, kind: MessageType, status: Status) -> Header {
        Header {
            program: self.program,
            version: crate::program::VERSION,
            procedure: self.procedure,
            kind: kind as u32,
            serial: self.serial,
            status: status as u32,
        }
    }
}

crate::xdr_struct! {
    /// What a packet of a hole carries.
    HoleFields { length: i64, flags: u32 }
}

/// What one packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Bytes; at least one.
    Data(Bytes),
    /// Its sender has no more bytes; the stream is still there.
    End,
    /// So many zeros, in a stream that was asked to be sparse.
    Hole(u64),
    /// The end: asked for by the client once it has sent and read everything, confirmed by the server.
    Finish,
    /// The end before its time. A client gives no reason, a server always does.
    Abort(Option<ErrorReply>),
    /// What nobody should send, in libvirt's words. It ends the stream.
    Strange(String),
}

impl Packet {
    /// The packet that a frame is; none if it is something else. Whose stream it belongs to says its header.
    pub fn of(frame: &Frame) -> Option<Self> {
        let kind = MessageType::from_number(frame.header.kind)?;
        let status = frame.header.status;
        let packet = match kind {
            MessageType::Stream if status == Status::Continue as u32 => match frame.payload.len() {
                0 => Self::End,
                _ => Self::Data(frame.payload.clone()),
            },
            MessageType::Stream if status == Status::Ok as u32 => Self::Finish,
            MessageType::Stream if status == Status::Error as u32 => {
                Self::Abort(ErrorReply::from_payload(&frame.payload).ok())
            }
            MessageType::StreamHole if status == Status::Continue as u32 => hole(&frame.payload),
            MessageType::Stream | MessageType::StreamHole => {
                Self::Strange(format!("stream aborted with unexpected status {status}"))
            }
            _ => return None,
        };
        Some(packet)
    }

    /// The whole message that says this in a stream.
    ///
    /// # Errors
    /// Data that does not fit a message, or a hole of more bytes than a file can have. What is [`Packet::Strange`] is not sent.
    pub fn message(&self, stream: StreamKey) -> Result<Bytes, XdrError> {
        let header = |status| stream.header(MessageType::Stream, status);
        match self {
            Self::Data(bytes) => header(Status::Continue).raw_message(bytes),
            Self::End => Ok(header(Status::Continue).empty_message()),
            Self::Hole(length) => {
                let limit = i64::MAX;
                let length = i64::try_from(*length).map_err(|_| XdrError::TooLong {
                    length: usize::try_from(*length).unwrap_or(usize::MAX),
                    limit: usize::try_from(limit).unwrap_or(usize::MAX),
                })?;
                let header = stream.header(MessageType::StreamHole, Status::Continue);
                header.message(&HoleFields { length, flags: 0 })
            }
            Self::Finish => Ok(header(Status::Ok).empty_message()),
            Self::Abort(None) => Ok(header(Status::Error).empty_message()),
            Self::Abort(Some(error)) => Ok(failure(stream, error)),
            Self::Strange(text) => Ok(failure(stream, &strange(text))),
        }
    }
}

/// The packet by which a server ends a stream with an error.
pub fn failure(stream: StreamKey, error: &ErrorReply) -> Bytes {
    let header = stream.header(MessageType::Stream, Status::Error);
    // Only a text over 4 MiB does not fit.
    header
        .message(error)
        .or_else(|_| header.message(&error.clipped()))
        .unwrap_or_else(|_| header.empty_message())
}

/// What a server says about a packet that nobody should send.
pub fn strange(text: &str) -> ErrorReply {
    use crate::error::{ErrorCode, ErrorDomain};
    ErrorReply::new(ErrorCode::Rpc, ErrorDomain::Streams, text)
}

fn hole(payload: &[u8]) -> Packet {
    match HoleFields::from_payload(payload) {
        Ok(HoleFields { length, flags: 0 }) => match u64::try_from(length) {
            Ok(length) => Packet::Hole(length),
            Err(_) => Packet::Strange(format!("a hole of {length} bytes is not possible")),
        },
        Ok(HoleFields { flags, .. }) => Packet::Strange(format!("unknown flags 0x{flags:x} of a hole")),
        Err(_) => Packet::Strange("Unable to decode message payload".to_owned()),
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
