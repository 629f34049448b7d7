//! Recorded traffic: every message of a procedure that has a row is decoded and encoded again, to the same bytes.

use super::super::generated::again;
use super::super::*;
use crate::frame::{Frame, FrameReader, MessageType, Status};
use crate::triage::{Incoming, triage};
use crate::{events, program};

/// One line of a file of vectors.
struct Recorded {
    from_client: bool,
    bytes: Vec<u8>,
}

fn unhex(digits: &str) -> Vec<u8> {
    let nibbles: Vec<u8> = digits
        .bytes()
        .map(|d| (d as char).to_digit(16).unwrap() as u8)
        .collect();
    nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn recorded(line: &str) -> Option<Recorded> {
    let (side, digits) = line.split_once(' ')?;
    let from_client = match side {
        "C" => true,
        "S" => false,
        _ => return None,
    };
    (digits != "eof").then(|| Recorded {
        from_client,
        bytes: unhex(digits),
    })
}

fn vectors() -> Vec<(String, String)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

fn frame(bytes: &[u8]) -> Frame {
    let mut reader = FrameReader::default();
    reader.buffer().extend_from_slice(bytes);
    if matches!(bytes[19], 4 | 5) {
        // The recordings leave out the bytes that carry descriptors.
        reader.buffer().resize(bytes.len() + bytes[31] as usize, 0);
    }
    let frame = reader.next_frame().unwrap().unwrap();
    assert!(reader.buffer().is_empty());
    frame
}

/// The recorded results of a procedure.
pub(super) fn results<C: Call>(text: &str) -> Vec<C::Results> {
    text.lines()
        .filter_map(recorded)
        .filter(|message| !message.from_client)
        .map(|message| frame(&message.bytes))
        .filter(|frame| frame.header.program == program::REMOTE && frame.header.procedure == C::NUMBER)
        .map(|frame| C::Results::from_payload(&frame.payload).unwrap())
        .collect()
}

/// The payload after decoding and encoding; None when the procedure has no row.
fn payload_again(frame: &Frame) -> Option<Vec<u8>> {
    let header = &frame.header;
    if header.program != program::REMOTE {
        return None;
    }
    if header.status == Status::Error as u32 && !frame.payload.is_empty() {
        let error = ErrorReply::from_payload(&frame.payload).unwrap();
        let mut out = crate::Encoder::default();
        error.encode(&mut out);
        return Some(out.finish().unwrap());
    }
    let results = match MessageType::from_number(header.kind)? {
        MessageType::Call => false,
        MessageType::Reply => true,
        MessageType::Message => {
            assert_eq!(*header, events::header(header.procedure));
            let payload = events::again(header.procedure, &frame.payload)?;
            return Some(payload.unwrap_or_else(|error| panic!("{header:?}: {error}")));
        }
        _ => return None,
    };
    again(header.procedure, results, &frame.payload)
        .map(|outcome| outcome.unwrap_or_else(|error| panic!("{header:?}: {error}")))
}

#[test]
fn recorded_messages_are_understood_to_the_byte() {
    let mut understood = std::collections::BTreeSet::new();
    for (file, text) in vectors().into_iter().filter(|(file, _)| file != "edge-cases.txt") {
        for message in text.lines().filter_map(recorded) {
            let frame = frame(&message.bytes);
            assert_eq!(
                frame.header.message_of(&frame.payload, frame.descriptors),
                message.bytes,
                "header in {file}"
            );
            let Some(payload) = payload_again(&frame) else {
                continue;
            };
            understood.insert(frame.header.procedure);
            // go-libvirt says "present" as 0x01000000; we say 1.
            if file.starts_with("go-libvirt") && payload.starts_with(&[0, 0, 0, 1]) && message.from_client {
                assert_eq!(payload[4..], frame.payload[4..]);
            } else {
                assert_eq!(
                    payload, frame.payload,
                    "{file}, procedure {}",
                    frame.header.procedure
                );
            }
        }
    }
    assert!(understood.len() >= 40, "only {understood:?}");
    assert!(understood.contains(&315) && understood.contains(&318), "events");
}

#[test]
fn odd_requests_get_the_recorded_refusals() {
    let (_, text) = vectors()
        .into_iter()
        .find(|(file, _)| file == "edge-cases.txt")
        .unwrap();
    let mut compared = 0;
    for case in text.split("case ").skip(1) {
        let mut asked: Option<Frame> = None;
        for message in case.lines().filter_map(recorded) {
            let mut reader = FrameReader::default();
            reader.buffer().extend_from_slice(&message.bytes);
            let Ok(Some(frame)) = reader.next_frame() else {
                continue;
            };
            if message.from_client {
                asked = Some(frame);
                continue;
            }
            let Some(question) = asked.take() else { continue };
            if frame.header.program == program::KEEPALIVE {
                assert!(matches!(triage(&question), Incoming::Ping));
                assert_eq!(program::keepalive(program::PONG).empty_message(), message.bytes);
                compared += 1;
            } else if let Incoming::Refused(error) = triage(&question) {
                // The real daemon knows more procedures than we have rows.
                if ErrorReply::from_payload(&frame.payload).unwrap().code != error.code {
                    assert!(error.text().starts_with("unknown procedure"), "{case}");
                    continue;
                }
                assert_eq!(
                    crate::frame::error_reply(&question.header, &error),
                    message.bytes,
                    "{case}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared >= 10, "only {compared} refusals were compared");
}

impl Header {
    /// The message that `payload` came in.
    fn message_of(&self, payload: &[u8], descriptors: u32) -> Vec<u8> {
        let mut body = Vec::new();
        if matches!(self.kind, 4 | 5) {
            body.extend(descriptors.to_be_bytes());
        }
        body.extend_from_slice(payload);
        let mut message = self.empty_message().to_vec();
        message.extend(body);
        let length = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&length.to_be_bytes());
        message
    }
}
