//! The client against a scripted peer that says what no QEMU, or only a future one, says.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::{Monitor, QmpError, commands, parse_line};

const SOON: Duration = Duration::from_secs(5);
const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}}}}"#;

/// Reads one request; returns its number.
async fn request(peer: &mut BufReader<UnixStream>, name: &str) -> u64 {
    let mut line = String::new();
    peer.read_line(&mut line).await.unwrap();
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["execute"], name);
    value["id"].as_u64().unwrap()
}

async fn say(peer: &mut BufReader<UnixStream>, text: &str) {
    peer.get_mut()
        .write_all(format!("{text}\r\n").as_bytes())
        .await
        .unwrap();
}

fn pair() -> (UnixStream, BufReader<UnixStream>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours, BufReader::new(theirs))
}

#[tokio::test]
async fn an_event_before_the_capabilities_reply_is_delivered() {
    let (ours, mut peer) = pair();
    let (monitor, mut events) = Monitor::new(ours);
    let script = async {
        say(&mut peer, GREETING).await;
        let id = request(&mut peer, "qmp_capabilities").await;
        say(&mut peer, r#"{"timestamp": {"seconds": 5, "microseconds": 6}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#).await;
        say(&mut peer, &format!(r#"{{"return": {{}}, "id": {id}}}"#)).await;
        peer
    };
    let (done, _peer) = tokio::join!(monitor.negotiate(SOON), script);
    done.unwrap();
    let event = events.recv().await.unwrap();
    assert_eq!(event.name, "SHUTDOWN");
    assert_eq!(event.at.seconds, 5);
    assert!(event.data_or_default::<super::event::Shutdown>().guest);
}

#[tokio::test]
async fn unknown_events_members_and_garbage_pass_by() {
    let (ours, mut peer) = pair();
    let (monitor, mut events) = Monitor::new(ours);
    let script = async {
        say(
            &mut peer,
            r#"{"event": "FROM_THE_FUTURE", "data": [1, 2], "more": 1}"#,
        )
        .await;
        say(&mut peer, "this is not JSON").await;
        say(&mut peer, r#"{"event": 7}"#).await;
        let id = request(&mut peer, "query-status").await;
        say(
            &mut peer,
            &format!(
                r#"{{"new": 1, "return": {{"running": false, "status": "dreaming", "x": []}}, "id": {id}}}"#
            ),
        )
        .await;
        peer
    };
    let (status, _peer) = tokio::join!(monitor.execute(&commands::QueryStatus {}, SOON), script);
    assert_eq!(status.unwrap().status, "dreaming");
    assert_eq!(events.recv().await.unwrap().name, "FROM_THE_FUTURE");
}

#[tokio::test]
async fn an_error_reply_carries_class_and_text() {
    let (ours, mut peer) = pair();
    let (monitor, _events) = Monitor::new(ours);
    let script = async {
        let id = request(&mut peer, "cont").await;
        say(
            &mut peer,
            &format!(r#"{{"error": {{"class": "GenericError", "desc": "no"}}, "id": {id}}}"#),
        )
        .await;
        peer
    };
    let (done, _peer) = tokio::join!(monitor.execute(&commands::Cont {}, SOON), script);
    let error = done.unwrap_err();
    assert_eq!(error.class(), Some("GenericError"));
    assert_eq!(error.to_string(), "unable to execute QEMU command 'cont': no");
}

#[tokio::test]
async fn end_of_file_ends_everybody_who_waits() {
    let (ours, mut peer) = pair();
    let (monitor, mut events) = Monitor::new(ours);
    let script = async {
        request(&mut peer, "cont").await;
        drop(peer);
    };
    let (done, ()) = tokio::join!(monitor.execute(&commands::Cont {}, SOON), script);
    assert!(matches!(done, Err(QmpError::Closed { .. })));
    assert!(events.recv().await.is_none());
    assert!(monitor.is_closed());
    assert!(matches!(
        monitor.execute(&commands::Stop {}, SOON).await,
        Err(QmpError::Closed { .. })
    ));
}

#[tokio::test]
async fn a_late_answer_is_nobodys_and_the_next_command_gets_its_own() {
    let (ours, mut peer) = pair();
    let (monitor, _events) = Monitor::new(ours);
    let late = monitor
        .execute(&commands::QueryBalloon {}, Duration::from_millis(20))
        .await;
    assert!(matches!(late, Err(QmpError::Timeout { .. })));
    let script = async {
        let first = request(&mut peer, "query-balloon").await;
        let second = request(&mut peer, "query-balloon").await;
        say(
            &mut peer,
            &format!(r#"{{"return": {{"actual": 1}}, "id": {first}}}"#),
        )
        .await;
        say(
            &mut peer,
            &format!(r#"{{"return": {{"actual": 2}}, "id": {second}}}"#),
        )
        .await;
        peer
    };
    let (balloon, _peer) = tokio::join!(monitor.execute(&commands::QueryBalloon {}, SOON), script);
    assert_eq!(balloon.unwrap().actual, 2);
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let (ours, mut peer) = pair();
    let (monitor, _events) = Monitor::new(ours);
    let script = async {
        let a = request(&mut peer, "query-balloon").await;
        let b = request(&mut peer, "query-status").await;
        say(
            &mut peer,
            &format!(r#"{{"return": {{"running": true, "status": "running"}}, "id": {b}}}"#),
        )
        .await;
        say(&mut peer, &format!(r#"{{"return": {{"actual": 9}}, "id": {a}}}"#)).await;
        peer
    };
    let (balloon, status, _peer) = tokio::join!(
        monitor.execute(&commands::QueryBalloon {}, SOON),
        monitor.execute(&commands::QueryStatus {}, SOON),
        script
    );
    assert_eq!(balloon.unwrap().actual, 9);
    assert!(status.unwrap().running);
}

#[tokio::test]
async fn an_answer_of_another_shape_is_an_error_of_that_command_only() {
    let (ours, mut peer) = pair();
    let (monitor, _events) = Monitor::new(ours);
    let script = async {
        let a = request(&mut peer, "query-balloon").await;
        say(&mut peer, &format!(r#"{{"return": [], "id": {a}}}"#)).await;
        let b = request(&mut peer, "stop").await;
        say(&mut peer, &format!(r#"{{"return": {{}}, "id": {b}}}"#)).await;
        peer
    };
    let calls = async {
        let first = monitor.execute(&commands::QueryBalloon {}, SOON).await;
        (first, monitor.execute(&commands::Stop {}, SOON).await)
    };
    let ((first, second), _peer) = tokio::join!(calls, script);
    assert!(matches!(first, Err(QmpError::Reply { .. })));
    second.unwrap();
}

#[tokio::test]
async fn descriptors_travel_with_their_command() {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (monitor, _events) = Monitor::new(ours);
    let (file, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let script = async {
        theirs.readable().await.unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 512];
        let got = rustix::net::recvmsg(
            &theirs,
            &mut [std::io::IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
        .unwrap();
        let mut fds = 0;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds += rights.count();
            }
        }
        assert_eq!(fds, 1);
        let text = std::str::from_utf8(&bytes[..got.bytes])
            .unwrap()
            .trim_end()
            .to_owned();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["arguments"]["fdname"], "net0");
        let answer = format!("{{\"return\": {{}}, \"id\": {}}}\r\n", value["id"]);
        theirs.try_write(answer.as_bytes()).unwrap();
        theirs
    };
    let (done, _peer) = tokio::join!(monitor.send_fd("net0", file.into(), SOON), script);
    done.unwrap();
}

proptest! {
    #[test]
    fn any_line_is_decoded_or_refused_without_panic(text in "\\PC*") {
        let _ = parse_line(&text);
    }

    #[test]
    fn any_event_name_and_data_come_through(name in "[A-Z_]{1,20}", number in any::<i64>()) {
        let text = format!(r#"{{"event": "{name}", "data": {{"x": {number}}}, "extra": null}}"#);
        let line = parse_line(&text).unwrap();
        prop_assert_eq!(line.event.as_deref(), Some(name.as_str()));
        let data = format!(r#"{{"x": {number}}}"#);
        prop_assert_eq!(line.data.map(serde_json::value::RawValue::get), Some(data.as_str()));
    }
}
