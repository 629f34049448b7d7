//! Which answer odd messages get: an error that echoes their header, silence, or the way to dispatch.
//!
//! The order of the questions is part of the answer: a call of an unknown program is refused for the program, not for
//! its status, and only calls are answered at all.

use crate::error::{ErrorCode, ErrorDomain, ErrorReply};
use crate::frame::{Frame, MessageType, Status};
use crate::lxc;
use crate::own;
use crate::procedures;
use crate::program::{self, Procedure};
use crate::stream::Packet;

/// What to do about a message from a client.
#[derive(Debug)]
pub enum Incoming {
    /// Dispatch it.
    Call(&'static Procedure),
    /// Answer at once that we are there.
    Ping,
    /// The peer is there. Nothing to answer.
    Pong,
    /// Bring it to the stream that its header names, if that is there.
    Stream(Packet),
    /// Answer with this error; the connection goes on.
    Refused(ErrorReply),
    /// Say nothing; the connection goes on.
    Dropped,
}

/// Decides what becomes of a message from a client.
pub fn triage(frame: &Frame) -> Incoming {
    let header = &frame.header;
    let kind = MessageType::from_number(header.kind);
    if header.program == program::KEEPALIVE && header.version == program::VERSION {
        return match (kind, header.procedure) {
            (Some(MessageType::Message), program::PING) => Incoming::Ping,
            (Some(MessageType::Message), program::PONG) => Incoming::Pong,
            _ => Incoming::Dropped,
        };
    }
    if let Some(packet) = Packet::of(frame) {
        return Incoming::Stream(packet);
    }
    // Clients have no business sending the other kinds.
    if !matches!(kind, Some(MessageType::Call | MessageType::CallWithDescriptors)) {
        return Incoming::Dropped;
    }
    let known = matches!(
        header.program,
        program::REMOTE | program::QEMU | program::LXC | own::PROGRAM
    );
    if !known || header.version != program::VERSION {
        let text = format!(
            "Cannot find program {} version {}",
            header.program, header.version
        );
        return refused(ErrorReply::rpc(text));
    }
    if header.status != Status::Ok as u32 {
        return refused(ErrorReply::rpc(format!(
            "Unexpected message status {}",
            header.status
        )));
    }
    if let Some(function) = program::foreign_function(header.program, header.procedure) {
        return refused(ErrorReply::new(ErrorCode::NoSupport, ErrorDomain::None, function));
    }
    let procedure = match header.program {
        program::REMOTE => procedures::find(header.procedure),
        program::LXC => lxc::find(header.procedure),
        own::PROGRAM => own::find(header.procedure),
        _ => None,
    };
    match procedure {
        Some(procedure) => Incoming::Call(procedure),
        None => refused(ErrorReply::unknown_procedure(header.procedure)),
    }
}

fn refused(error: ErrorReply) -> Incoming {
    Incoming::Refused(error)
}
