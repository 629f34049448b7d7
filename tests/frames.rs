//! Bytes that are no proper protocol: an error reply or a closed connection; the daemon and all others go on.

use ferrovirt_tests::raw::{AUTH_LIST, CONNECT_OPEN, PROGRAM, Raw, frame, open_arguments};
use ferrovirt_tests::{Tool, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh];

#[test]
fn wrong_frames_end_one_connection_at_most() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let mut other = Raw::connect();
        assert_eq!(other.call(AUTH_LIST, 0, &[]).map(|reply| reply.status), Some(0));
        assert_eq!(
            other
                .call(CONNECT_OPEN, 1, &open_arguments("qemu:///system"))
                .map(|reply| reply.status),
            Some(0)
        );

        let with_length = |length: u32| {
            let mut bytes = frame(AUTH_LIST, 0, &[]);
            bytes[..4].copy_from_slice(&length.to_be_bytes());
            bytes
        };
        let with_word = |index: usize, word: u32| {
            let mut bytes = frame(AUTH_LIST, 0, &[]);
            bytes[4 * index..4 * index + 4].copy_from_slice(&word.to_be_bytes());
            bytes
        };
        let wrong: Vec<(&str, Vec<u8>)> = vec![
            ("a length of 4 GiB", with_length(u32::MAX)),
            ("a length over the limit", with_length(32 * 1024 * 1024 + 1)),
            ("a length of 0", with_length(0)),
            ("a length below the header", with_length(20)),
            ("a truncated frame", with_length(100)),
            ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            ("another program", with_word(1, 0x1234_5678)),
            ("another version", with_word(2, 99)),
            ("no such procedure", frame(9999, 0, &[])),
            ("a reply instead of a call", with_word(4, 1)),
            ("a stream that does not exist", with_word(4, 3)),
            ("arguments that are no XDR", frame(CONNECT_OPEN, 0, &[0xff; 64])),
            (
                "a string longer than its frame",
                frame(CONNECT_OPEN, 0, &[0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff]),
            ),
            ("nothing", Vec::new()),
            (
                "random bytes",
                (0..4096_u32)
                    .flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 8).to_be_bytes())
                    .collect(),
            ),
        ];
        for (what, bytes) in &wrong {
            let mut raw = Raw::connect();
            raw.send(bytes);
            raw.shut();
            while let Some(reply) = raw.reply() {
                assert_eq!(reply.status, 1, "{what}: answered as if it were right");
            }
            assert!(w.daemon_exit_code().is_none(), "{what}: the daemon is dead");
            let alive = other
                .call(CONNECT_GET_HOSTNAME, 7, &[])
                .map(|reply| (reply.serial, reply.status));
            assert_eq!(alive, Some((7, 0)), "{what}: another connection suffers");
        }
        w.virsh("list").ok();
    });
}

/// Procedure: the host's name.
const CONNECT_GET_HOSTNAME: u32 = 59;

#[test]
fn an_error_reply_has_its_calls_serial() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let mut raw = Raw::connect();
        let reply = raw.call(9999, 42, &[]);
        if let Some(reply) = reply {
            assert_eq!((reply.serial, reply.status, reply.procedure), (42, 1, 9999));
        }
        assert_ne!(PROGRAM, 0);
        w.virsh("list").ok();
    });
}

#[test]
fn nothing_is_served_before_the_connection_is_opened() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let mut raw = Raw::connect();
        let reply = raw.call(CONNECT_GET_HOSTNAME, 1, &[]);
        assert!(reply.is_none_or(|reply| reply.status == 1));
        w.virsh("list").ok();
    });
}

#[test]
fn a_client_that_does_not_read_is_no_burden() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let memory = |w: &ferrovirt_tests::World| -> u64 {
            let status = w.read(format!("/proc/{}/status", w.daemon_pid()));
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))
                .unwrap_or("0");
            line.trim()
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok())
                .unwrap_or(0)
        };
        let mut greedy = Raw::connect();
        greedy.call(AUTH_LIST, 0, &[]);
        greedy.call(CONNECT_OPEN, 1, &open_arguments("qemu:///system"));
        let before = memory(w);
        let many: Vec<u8> = (0..2000)
            .flat_map(|serial| frame(CONNECT_GET_CAPABILITIES, serial, &[]))
            .collect();
        for _ in 0..50 {
            if !greedy.send(&many) {
                break;
            }
        }
        assert!(
            memory(w) < before + 64 * 1024,
            "from {before} to {} KiB",
            memory(w)
        );
        w.virsh("list").within(std::time::Duration::from_secs(3)).ok();
    });
}

/// Procedure: a long answer.
const CONNECT_GET_CAPABILITIES: u32 = 7;
