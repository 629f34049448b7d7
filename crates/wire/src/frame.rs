//! Messages cut out of a byte stream, and messages made.
//!
//! A message is a length word (itself included), a header of six words and a payload. Lengths that cannot be a message
//! end the connection; everything that is a message gets a say in [`crate::triage`].

use std::os::fd::OwnedFd;

use bytes::{Buf, Bytes, BytesMut};

use crate::error::ErrorReply;
use crate::xdr::{Decoder, Encoder, Xdr, XdrError};

/// Bytes of the length word and the header.
pub const HEADER_SIZE: usize = 28;
/// Longest message without its length word, in bytes.
pub const MESSAGE_LIMIT: usize = 33_554_432;
/// Longest payload, in bytes.
pub const PAYLOAD_LIMIT: usize = MESSAGE_LIMIT + 4 - HEADER_SIZE;
/// Most descriptors that a message may announce.
pub const DESCRIPTOR_LIMIT: u32 = 32;

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MessageType {
    /// A client calls a procedure.
    Call = 0,
    /// The server answers.
    Reply = 1,
    /// Nobody asked: an event, or a sign of life.
    Message = 2,
    /// A piece of a stream.
    Stream = 3,
    /// A call that brings descriptors.
    CallWithDescriptors = 4,
    /// An answer that brings descriptors.
    ReplyWithDescriptors = 5,
    /// A hole in a sparse stream.
    StreamHole = 6,
}

impl MessageType {
    /// The type with this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Call,
            1 => Self::Reply,
            2 => Self::Message,
            3 => Self::Stream,
            4 => Self::CallWithDescriptors,
            5 => Self::ReplyWithDescriptors,
            6 => Self::StreamHole,
            _ => return None,
        })
    }
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Fine; in a stream, its end.
    Ok = 0,
    /// The payload is an error structure.
    Error = 1,
    /// A stream goes on.
    Continue = 2,
}

/// The six words of a header. Type and status are kept as numbers: a peer may send any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Program, see [`crate::program`].
    pub program: u32,
    /// Version of the program, 1 for all.
    pub version: u32,
    /// Procedure of the program.
    pub procedure: i32,
    /// [`MessageType`] as a number.
    pub kind: u32,
    /// Chosen by the caller, repeated in the answer.
    pub serial: u32,
    /// [`Status`] as a number.
    pub status: u32,
}

impl Header {
    /// The header of the answer to a call with this header.
    pub const fn answer(&self, status: Status) -> Self {
        Self {
            kind: MessageType::Reply as u32,
            status: status as u32,
            ..*self
        }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        Ok(Self {
            program: input.word()?,
            version: input.word()?,
            procedure: i32::decode(input)?,
            kind: input.word()?,
            serial: input.word()?,
            status: input.word()?,
        })
    }

    /// A whole message with this header; fails when `body` is over a limit.
    pub fn message(&self, body: &impl Xdr) -> Result<Bytes, XdrError> {
        let mut out = self.begin(128);
        body.encode(&mut out);
        seal(out)
    }

    /// The same with the number of descriptors before `body`; they follow the message, one byte each.
    pub fn message_with_descriptors(&self, descriptors: usize, body: &impl Xdr) -> Result<Bytes, XdrError> {
        let limit = DESCRIPTOR_LIMIT as usize;
        let count = u32::try_from(descriptors).unwrap_or(u32::MAX);
        if descriptors > limit {
            let length = descriptors;
            return Err(XdrError::TooLong { length, limit });
        }
        let mut out = self.begin(128);
        out.word(count);
        body.encode(&mut out);
        seal(out)
    }

    /// A whole message with this header and bytes that are no XDR.
    pub(crate) fn raw_message(&self, bytes: &[u8]) -> Result<Bytes, XdrError> {
        let mut message = self.begin(HEADER_SIZE + bytes.len()).finish()?;
        message.extend_from_slice(bytes);
        sealed(message)
    }

    /// A whole message with this header and no payload.
    pub fn empty_message(&self) -> Bytes {
        let mut message = self.begin(HEADER_SIZE).finish().unwrap_or_default();
        patch_length(&mut message);
        message.into()
    }

    fn begin(&self, capacity: usize) -> Encoder {
        let mut out = Encoder::with_capacity(capacity);
        for word in [
            0,
            self.program,
            self.version,
            self.procedure.cast_unsigned(),
            self.kind,
            self.serial,
            self.status,
        ] {
            out.word(word);
        }
        out
    }
}

fn seal(out: Encoder) -> Result<Bytes, XdrError> {
    sealed(out.finish()?)
}

fn sealed(mut message: Vec<u8>) -> Result<Bytes, XdrError> {
    if message.len() > MESSAGE_LIMIT + 4 {
        return Err(XdrError::TooLong {
            length: message.len() - HEADER_SIZE,
            limit: PAYLOAD_LIMIT,
        });
    }
    patch_length(&mut message);
    Ok(message.into())
}

fn patch_length(message: &mut [u8]) {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    if let Some(word) = message.first_chunk_mut::<4>() {
        *word = length.to_be_bytes();
    }
}

/// The answer to `call`: `Ok` with the results or `Error` with the error structure. Results over a limit of the
/// protocol become an error, so that there always is an answer.
pub fn reply<R: Xdr>(call: &Header, result: Result<R, ErrorReply>) -> Bytes {
    let outcome = result.and_then(|results| {
        call.answer(Status::Ok)
            .message(&results)
            .map_err(|error| ErrorReply::rpc(format!("reply: {error}")))
    });
    match outcome {
        Ok(message) => message,
        Err(error) => error_reply(call, &error),
    }
}

/// The answer to `call` that descriptors follow; without any it is an ordinary one.
pub(crate) fn reply_with_descriptors<R: Xdr>(call: &Header, results: R, descriptors: usize) -> Bytes {
    if descriptors == 0 {
        return reply(call, Ok(results));
    }
    let header = Header {
        kind: MessageType::ReplyWithDescriptors as u32,
        ..call.answer(Status::Ok)
    };
    header
        .message_with_descriptors(descriptors, &results)
        .unwrap_or_else(|error| error_reply(call, &ErrorReply::rpc(format!("reply: {error}"))))
}

/// The answer to `call` that carries an error.
pub fn error_reply(call: &Header, error: &ErrorReply) -> Bytes {
    let header = call.answer(Status::Error);
    // Only a text over 4 MiB does not fit: then say it shorter.
    header
        .message(error)
        .or_else(|_| header.message(&error.clipped()))
        .unwrap_or_else(|_| header.empty_message())
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// What follows the header (and the descriptor count, where there is one).
    pub payload: Bytes,
    /// How many descriptors it announced; each comes with one more byte behind the message.
    pub descriptors: u32,
}

/// Bytes that end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length word is smaller than a header or larger than the limit.
    #[error("a message of {0} bytes is not possible")]
    Length(u32),
    /// A message announces more descriptors than are allowed, or has no room for their count.
    #[error("a message with {0} descriptors is not possible")]
    Descriptors(u32),
}

/// Cuts frames out of bytes that come in any portions.
///
/// Descriptors come beside the bytes, each with a byte of its own behind the message that announced it. Whoever reads the
/// socket puts both in; a frame is whole when the last of those bytes is there.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
    /// Descriptors that no frame has taken yet.
    waiting: Vec<OwnedFd>,
    /// Those of the frame that was cut last.
    taken: Vec<OwnedFd>,
}

impl FrameReader {
    /// Where the next bytes from the peer go.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Where the next bytes and the descriptors that come with them go.
    pub fn buffers(&mut self) -> (&mut BytesMut, &mut Vec<OwnedFd>) {
        (&mut self.buffer, &mut self.waiting)
    }

    /// The descriptors of the last frame, in their order: fewer than it announced if the peer, or whoever read its socket,
    /// lost some.
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.taken)
    }

    /// The next whole frame, if it is there. An error is final.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        self.taken.clear();
        if self.waiting.len() > DESCRIPTOR_LIMIT as usize {
            let count = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
            return Err(FrameError::Descriptors(count));
        }
        let Some(word) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*word);
        let length = announced as usize;
        if !(HEADER_SIZE..=MESSAGE_LIMIT + 4).contains(&length) {
            return Err(FrameError::Length(announced));
        }
        let Some(message) = self.buffer.get(4..length) else {
            return Ok(None);
        };
        let mut input = Decoder::new(message);
        let header = Header::decode(&mut input).map_err(|_| FrameError::Length(announced))?;
        let descriptors = descriptor_count(&header, &message[HEADER_SIZE - 4..])?;
        let carriers = descriptors.unwrap_or(0) as usize;
        if self.buffer.len() < length + carriers {
            return Ok(None);
        }
        let mut payload = self.buffer.split_to(length).freeze();
        payload.advance(HEADER_SIZE + if descriptors.is_some() { 4 } else { 0 });
        self.buffer.advance(carriers);
        self.taken = self.waiting.drain(..carriers.min(self.waiting.len())).collect();
        if self.buffer.is_empty() {
            // Nobody announced these.
            self.waiting.clear();
        }
        Ok(Some(Frame {
            header,
            payload,
            descriptors: descriptors.unwrap_or(0),
        }))
    }
}

/// Whether a whole message says that descriptors follow it.
pub(crate) fn carries_descriptors(message: &[u8]) -> bool {
    message.get(16..20) == Some(&(MessageType::ReplyWithDescriptors as u32).to_be_bytes())
}

/// How many descriptors follow a message with this payload; none if it is not of the kind that says so.
fn descriptor_count(header: &Header, payload: &[u8]) -> Result<Option<u32>, FrameError> {
    let carries = matches!(
        MessageType::from_number(header.kind),
        Some(MessageType::CallWithDescriptors | MessageType::ReplyWithDescriptors)
    );
    if !carries {
        return Ok(None);
    }
    let count = payload
        .first_chunk::<4>()
        .map_or(u32::MAX, |word| u32::from_be_bytes(*word));
    if count > DESCRIPTOR_LIMIT {
        return Err(FrameError::Descriptors(count));
    }
    Ok(Some(count))
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
