//! What comes of a call: the answer's message, and what goes along with it.

use std::os::fd::OwnedFd;

use bytes::Bytes;

use crate::error::ErrorReply;
use crate::frame::{Header, error_reply, reply, reply_with_descriptors};
use crate::xdr::Xdr;

/// The answer to a call, to be sent in this order: message, descriptors, and only then the first packet of the stream.
#[derive(Debug)]
pub struct Answer<S> {
    /// The whole message.
    pub message: Bytes,
    /// Descriptors that follow it, as many as the message says.
    pub descriptors: Vec<OwnedFd>,
    /// What is at the server's end of the stream that the call has opened.
    pub stream: Option<S>,
}

impl<S> From<Bytes> for Answer<S> {
    fn from(message: Bytes) -> Self {
        Self {
            message,
            descriptors: Vec::new(),
            stream: None,
        }
    }
}

impl<S> Answer<S> {
    /// The answer that carries an error, and nothing else.
    pub fn error(call: &Header, error: &ErrorReply) -> Self {
        error_reply(call, error).into()
    }

    /// The answer to a call that opens a stream.
    pub fn stream<R: Xdr>(call: &Header, result: Result<(R, S), ErrorReply>) -> Self {
        match result {
            Ok((results, stream)) => Self {
                message: reply(call, Ok(results)),
                descriptors: Vec::new(),
                stream: Some(stream),
            },
            Err(error) => Self::error(call, &error),
        }
    }

    /// The answer to a call whose results may have descriptors with them.
    pub fn descriptors<R: Xdr>(call: &Header, result: Result<(R, Vec<OwnedFd>), ErrorReply>) -> Self {
        match result {
            Ok((results, descriptors)) => {
                let message = reply_with_descriptors(call, results, descriptors.len());
                // Too many of them have become an error, which has none.
                let descriptors = match crate::frame::carries_descriptors(&message) {
                    true => descriptors,
                    false => Vec::new(),
                };
                Self {
                    message,
                    descriptors,
                    stream: None,
                }
            }
            Err(error) => Self::error(call, &error),
        }
    }
}
