//! Frames from portions of any size, and bytes that are no frames.

use super::*;
use proptest::prelude::*;

fn header(kind: MessageType) -> Header {
    Header {
        program: 0x2000_8086,
        version: 1,
        procedure: 59,
        kind: kind as u32,
        serial: 7,
        status: 0,
    }
}

fn read_all(bytes: &[u8], portion: usize) -> Result<Vec<Frame>, FrameError> {
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    for part in bytes.chunks(portion.max(1)) {
        reader.buffer().extend_from_slice(part);
        while let Some(frame) = reader.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

#[test]
fn two_calls_in_one_portion_are_two_frames() {
    let first = header(MessageType::Call).empty_message();
    let second = header(MessageType::Call).message(&"name".to_owned()).unwrap();
    let frames = read_all(&[first, second].concat(), 1000).unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1].payload, [0, 0, 0, 4, b'n', b'a', b'm', b'e'].as_slice());
}

#[test]
fn impossible_lengths_end_the_connection() {
    for length in [0_u32, 3, 4, 20, 27, 0x0200_0005, u32::MAX] {
        assert_eq!(
            read_all(&length.to_be_bytes(), 4),
            Err(FrameError::Length(length))
        );
    }
    assert_eq!(read_all(&0x0200_0004_u32.to_be_bytes(), 4), Ok(vec![]));
}

#[test]
fn bytes_that_carry_descriptors_are_not_the_next_message() {
    let mut bytes = header(MessageType::CallWithDescriptors)
        .message(&2_u32)
        .unwrap()
        .to_vec();
    bytes.extend([0, 0]);
    bytes.extend(header(MessageType::Call).empty_message());
    for portion in 1..bytes.len() {
        let frames = read_all(&bytes, portion).unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!((frames[0].descriptors, frames[0].payload.len()), (2, 0));
        assert_eq!(frames[1].descriptors, 0);
    }
}

#[test]
fn too_many_descriptors_end_the_connection() {
    let bytes = header(MessageType::CallWithDescriptors).message(&33_u32).unwrap();
    assert_eq!(read_all(&bytes, 99), Err(FrameError::Descriptors(33)));
    let bytes = header(MessageType::CallWithDescriptors).empty_message();
    assert!(read_all(&bytes, 99).is_err());
}

#[test]
fn an_answer_repeats_the_header_of_its_call() {
    let call = Header {
        serial: 0xffff_ffff,
        ..header(MessageType::CallWithDescriptors)
    };
    let frames = read_all(&reply(&call, Ok(5_u32)), 999).unwrap();
    assert_eq!(frames[0].header, Header { kind: 1, ..call });
    assert_eq!(frames[0].payload, [0, 0, 0, 5].as_slice());
}

#[test]
fn results_over_a_limit_become_an_error() {
    let call = header(MessageType::Call);
    let text = "x".repeat(crate::xdr::STRING_LIMIT + 1);
    let frames = read_all(&reply(&call, Ok(text.clone())), 1 << 20).unwrap();
    assert_eq!(frames[0].header.status, 1);
    assert_eq!(ErrorReply::from_payload(&frames[0].payload).unwrap().code, 39);
    // An error text of that size is cut and says so.
    let frames = read_all(&error_reply(&call, &ErrorReply::rpc(text)), 1 << 20).unwrap();
    assert!(
        ErrorReply::from_payload(&frames[0].payload)
            .unwrap()
            .text()
            .ends_with("bytes more)")
    );
}

/// Descriptors that can be told apart: the n-th is a file of n bytes.
fn files(count: usize) -> Vec<OwnedFd> {
    let file = |length| {
        let file = tempfile::tempfile().unwrap();
        file.set_len(length).unwrap();
        file.into()
    };
    (0..count as u64).map(file).collect()
}

fn lengths(descriptors: Vec<OwnedFd>) -> Vec<u64> {
    let files = descriptors.into_iter().map(std::fs::File::from);
    files.map(|file| file.metadata().unwrap().len()).collect()
}

#[test]
fn descriptors_belong_to_the_frame_that_announced_them() {
    let mut reader = FrameReader::default();
    let first = header(MessageType::ReplyWithDescriptors)
        .message_with_descriptors(2, &"first".to_owned())
        .unwrap();
    let second = header(MessageType::CallWithDescriptors)
        .message_with_descriptors(1, &7_u32)
        .unwrap();
    let mut files = files(3).into_iter();
    reader.buffer().extend_from_slice(&first);
    assert_eq!(reader.next_frame(), Ok(None), "it is not whole without them");
    for _ in 0..2 {
        let (buffer, waiting) = reader.buffers();
        buffer.extend_from_slice(&[0]);
        waiting.extend(files.next());
    }
    reader.buffer().extend_from_slice(&second);
    let frame = reader.next_frame().unwrap().unwrap();
    assert_eq!(String::from_payload(&frame.payload).unwrap(), "first");
    assert_eq!(
        (frame.descriptors, lengths(reader.take_descriptors())),
        (2, vec![0, 1])
    );
    assert_eq!(reader.next_frame(), Ok(None));
    let (buffer, waiting) = reader.buffers();
    buffer.extend_from_slice(&[0]);
    waiting.extend(files.next());
    let frame = reader.next_frame().unwrap().unwrap();
    assert_eq!(u32::from_payload(&frame.payload).unwrap(), 7);
    assert_eq!(lengths(reader.take_descriptors()), vec![2]);
}

#[test]
fn descriptors_that_nobody_announced_are_closed() {
    let mut reader = FrameReader::default();
    let call = header(MessageType::Call).empty_message();
    let (buffer, waiting) = reader.buffers();
    buffer.extend_from_slice(&call);
    waiting.extend(files(3));
    assert!(reader.next_frame().unwrap().is_some());
    assert!(reader.take_descriptors().is_empty() && reader.waiting.is_empty());
    reader.waiting.extend(files(DESCRIPTOR_LIMIT as usize + 1));
    assert_eq!(reader.next_frame(), Err(FrameError::Descriptors(33)));
}

#[test]
fn more_descriptors_than_a_message_may_have_are_not_sent() {
    let call = header(MessageType::Call);
    assert!(call.message_with_descriptors(33, &0_u32).is_err());
    let message = reply_with_descriptors(&call, 0_u32, 33);
    assert_eq!(read_all(&message, 999).unwrap()[0].header.status, 1);
    let message = reply_with_descriptors(&call, 5_u32, 0);
    assert_eq!(read_all(&message, 999).unwrap()[0].header.kind, 1);
}

proptest! {
    #[test]
    fn frames_survive_any_portions(texts in prop::collection::vec("[^\0]{0,60}", 0..5), portion in 1_usize..200) {
        let bytes: Vec<u8> = texts.iter().flat_map(|text| header(MessageType::Call).message(text).unwrap()).collect();
        let frames = read_all(&bytes, portion).unwrap();
        prop_assert_eq!(frames.len(), texts.len());
        for (frame, text) in frames.iter().zip(&texts) {
            prop_assert_eq!(&String::from_payload(&frame.payload).unwrap(), text);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(input: Vec<u8>, portion in 1_usize..64) {
        let _ = read_all(&input, portion);
    }

    #[test]
    fn arbitrary_messages_get_through_triage(words: [u32; 6], payload: Vec<u8>) {
        let length = u32::try_from(HEADER_SIZE + payload.len()).unwrap();
        let mut bytes: Vec<u8> = std::iter::once(length).chain(words).flat_map(u32::to_be_bytes).collect();
        bytes.extend(payload);
        if let Ok(frames) = read_all(&bytes, bytes.len()) {
            for frame in frames {
                let _ = crate::triage(&frame);
            }
        }
    }
}
