//! Packets against bytes, recorded ones and any.

use super::*;
use crate::frame::FrameReader;
use crate::triage::{Incoming, triage};
use proptest::prelude::*;

const CONSOLE: StreamKey = StreamKey {
    program: crate::program::REMOTE,
    procedure: 201,
    serial: 8,
};

fn frame(message: &[u8]) -> Frame {
    let mut reader = FrameReader::default();
    reader.buffer().extend_from_slice(message);
    reader.next_frame().unwrap().unwrap()
}

fn unhex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .bytes()
        .map(|digit| (digit as char).to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The packets of a recording, in its order: who sent it, its stream, what it says. Each is written again to the same bytes.
fn recorded(text: &str) -> Vec<(char, StreamKey, Packet)> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter(|(side, digits)| matches!(*side, "C" | "S") && *digits != "eof")
        .filter_map(|(side, digits)| {
            let bytes = unhex(digits);
            let frame = frame(&bytes);
            let packet = Packet::of(&frame)?;
            let stream = StreamKey::of(&frame.header);
            assert_eq!(packet.message(stream).unwrap(), bytes);
            Some((side.chars().next()?, stream, packet))
        })
        .collect()
}

#[test]
fn a_recorded_console_is_understood() {
    let packets = recorded(include_str!("../tests/vectors/console-stream.txt"));
    assert!(packets.iter().all(|(_, stream, _)| *stream == CONSOLE));
    let said = |from: char| -> String {
        let of = packets.iter().filter(|(side, ..)| *side == from);
        of.map(|(.., packet)| match packet {
            Packet::Data(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => format!("<{other:?}>"),
        })
        .collect()
    };
    assert_eq!(said('S'), "GUEST-UP\r\nhello\r\ngot:hello\r\n<Finish>");
    assert_eq!(said('C'), "hello\r<Finish>");
}

#[test]
fn recorded_ends_and_holes_are_understood() {
    let of = |text| -> Vec<(char, Packet)> {
        let packets = recorded(text).into_iter();
        packets.map(|(side, _, packet)| (side, packet)).collect()
    };
    let aborted = [
        ('C', Packet::Finish),
        ('S', Packet::Finish),
        ('S', Packet::End),
        ('C', Packet::Abort(None)),
        ('S', Packet::Finish),
        ('S', Packet::End),
        ('C', Packet::Finish),
        ('S', Packet::Finish),
    ];
    assert_eq!(of(include_str!("../tests/vectors/stream-abort.txt")), aborted);
    let (first, second) = (Packet::Hole(0x20000), Packet::Hole(0x1e000));
    let sparse = [
        ('C', first.clone()),
        ('C', second.clone()),
        ('C', Packet::Finish),
        ('S', Packet::Finish),
        ('S', first),
        ('S', second),
        ('S', Packet::End),
        ('C', Packet::Finish),
        ('S', Packet::Finish),
    ];
    assert_eq!(of(include_str!("../tests/vectors/stream-sparse.txt")), sparse);
}

#[test]
fn what_nobody_should_send_is_named() {
    let odd = |kind: MessageType, status: u32, payload: &[u8]| {
        let header = Header {
            status,
            ..CONSOLE.header(kind, Status::Ok)
        };
        match Packet::of(&frame(&header.raw_message(payload).unwrap())) {
            Some(Packet::Strange(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    let unexpected = "stream aborted with unexpected status 7";
    assert_eq!(odd(MessageType::Stream, 7, b""), unexpected);
    assert_eq!(odd(MessageType::StreamHole, 7, b""), unexpected);
    assert!(odd(MessageType::StreamHole, 2, &[0; 11]).contains("decode"));
    assert!(odd(MessageType::StreamHole, 2, &[0xff; 12]).contains("0xffffffff"));
    let negative = [&[0xff; 8][..], &[0; 4]].concat();
    assert!(odd(MessageType::StreamHole, 2, &negative).contains("-1 bytes"));
    // As libvirt's daemon puts it.
    let error = strange(unexpected);
    assert_eq!((error.code, error.domain, error.text()), (39, 38, unexpected));
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let data = Packet::Data(vec![0; crate::frame::PAYLOAD_LIMIT + 1].into());
    assert!(data.message(CONSOLE).is_err());
    assert!(Packet::Hole(u64::MAX).message(CONSOLE).is_err());
    let long = strange(&"x".repeat(5 << 20));
    let Some(Packet::Abort(Some(error))) = Packet::of(&frame(&failure(CONSOLE, &long))) else {
        panic!("the error is lost");
    };
    assert!(error.text().ends_with("bytes more)"));
}

fn any_packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..3000).prop_map(|bytes| Packet::Data(bytes.into())),
        Just(Packet::End),
        (0..=i64::MAX as u64).prop_map(Packet::Hole),
        Just(Packet::Finish),
        Just(Packet::Abort(None)),
        "\\PC{0,80}".prop_map(|text| Packet::Abort(Some(strange(&text)))),
    ]
}

proptest! {
    #[test]
    fn what_one_side_sends_the_other_hears(
        packets in prop::collection::vec((any_packet(), any::<u32>(), any::<i32>()), 0..20), portion in 1_usize..500,
    ) {
        let mut bytes = Vec::new();
        for (packet, serial, procedure) in &packets {
            let stream = StreamKey { serial: *serial, procedure: *procedure, ..CONSOLE };
            bytes.extend_from_slice(&packet.message(stream).unwrap());
        }
        let mut reader = FrameReader::default();
        let mut heard = Vec::new();
        for part in bytes.chunks(portion) {
            reader.buffer().extend_from_slice(part);
            while let Some(frame) = reader.next_frame().unwrap() {
                let key = StreamKey::of(&frame.header);
                match triage(&frame) {
                    Incoming::Stream(packet) => heard.push((packet, key.serial, key.procedure)),
                    other => panic!("{other:?}"),
                }
            }
        }
        prop_assert_eq!(heard, packets);
    }

    #[test]
    fn any_packet_is_understood_or_named(hole: bool, status: u32, payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let kind = if hole { MessageType::StreamHole } else { MessageType::Stream };
        let header = Header { status, ..CONSOLE.header(kind, Status::Ok) };
        let packet = Packet::of(&frame(&header.raw_message(&payload).unwrap())).unwrap();
        // What was understood says the same when it is sent on.
        let again = Packet::of(&frame(&packet.message(CONSOLE).unwrap())).unwrap();
        if let Packet::Strange(text) = packet {
            prop_assert_eq!(again, Packet::Abort(Some(strange(&text))));
        } else {
            prop_assert_eq!(again, packet);
        }
    }
}
