//! ferrovirt's own RPC program, byte for byte as docs/rpc.md has it: its number, its frames, and what readers may do.

use ferrovirt_tests::daemon::{SOCKET, SOCKET_READ_ONLY};
use ferrovirt_tests::raw::{CONNECT_OPEN, Raw, Reply, frame, frame_of, open_arguments};
use ferrovirt_tests::{Guest, Tool, in_world};

/// Its number and its version.
const OWN: (u32, u32) = (0x4656_4952, 1);

/// Procedures by number, and whether readers may call them.
const PROCEDURES: [(u32, &str, bool); 9] = [
    (1, "{}", true),
    (2, r#"{"id":1}"#, false),
    (3, r#"{"driver":"qemu","object":"g","operation":"prepare"}"#, true),
    (4, "{}", true),
    (5, r#"{"id":1}"#, false),
    (6, r#"{"id":1}"#, false),
    (
        7,
        r#"{"driver":"qemu","object":"g","operation":"prepare"}"#,
        false,
    ),
    (8, r#"{"object":"g"}"#, true),
    (9, "{}", true),
];

/// One string, as XDR has it.
fn string(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Asks without opening any connection of libvirt's first.
fn ask(socket: &str, procedure: u32, json: &str) -> Reply {
    let mut raw = Raw::connect_to(socket);
    assert!(raw.send(&frame_of(OWN, procedure, 7, &string(json))));
    let reply = raw.reply().expect("an answer");
    assert_eq!((reply.procedure, reply.serial), (procedure, 7));
    reply
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

#[test]
fn its_number_its_frames_and_the_limits_of_readers() {
    in_world(&[Tool::Virsh, Tool::Qemu], |w| {
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        for (procedure, question, may_read) in PROCEDURES {
            let reply = ask(SOCKET_READ_ONLY, procedure, question);
            if may_read {
                assert_eq!(reply.status, 0, "{procedure}: {}", text(&reply));
                let length = u32::from_be_bytes(reply.body[..4].try_into().unwrap()) as usize;
                let answer: serde_json::Value = serde_json::from_slice(&reply.body[4..4 + length]).unwrap();
                assert!(answer.is_object() || answer.is_array(), "{answer}");
            } else {
                assert_eq!(reply.status, 1, "{procedure}: {}", text(&reply));
                let refusal = "read only access prevents ferrovirt";
                assert!(text(&reply).contains(refusal), "{procedure}: {}", text(&reply));
            }
        }
        // Who may write is served; what happens is another question.
        assert_eq!(ask(SOCKET, 5, r#"{"id":1}"#).status, 0);
        assert!(text(&ask(SOCKET, 2, r#"{"id":1}"#)).contains("no hook with number 1 is running"));
        // What nobody understands is an error, and the connection goes on.
        let mut raw = Raw::connect();
        for (program, procedure, body) in [
            (OWN, 99, string("{}")),
            (OWN, 1, string("no JSON")),
            (OWN, 1, vec![0, 0, 0, 9]),
            ((OWN.0, 2), 1, string("{}")),
        ] {
            raw.send(&frame_of(program, procedure, 8, &body));
            assert_eq!(raw.reply().expect("an answer").status, 1, "{procedure} {body:?}");
        }
        raw.send(&frame(CONNECT_OPEN, 9, &open_arguments("qemu:///system")));
        assert_eq!(raw.reply().expect("an answer").status, 0);
    });
}
