//! The table itself: its order, its access rules, and every row against bytes.

use super::generated::again;
use super::*;
use crate::frame::{FrameReader, MessageType, Status};
use crate::program;
use crate::xdr::Encoder;
use bytes::Bytes;
use proptest::prelude::*;

struct Nothing;
impl RemoteService for Nothing {
    type Stream = ();
}

fn call(procedure: i32) -> Header {
    Header {
        program: program::REMOTE,
        version: 1,
        procedure,
        kind: MessageType::Call as u32,
        serial: 3,
        status: Status::Ok as u32,
    }
}

/// The answer's message; what nobody served has nothing beside it.
fn answer_of<S: RemoteService<Stream = ()>>(service: &S, procedure: i32, payload: &[u8]) -> Bytes {
    let answer = finish(dispatch(service, &call(procedure), payload, Vec::new()));
    assert!(answer.stream.is_none() && answer.descriptors.is_empty());
    answer.message
}

/// Runs a future that never waits.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("the service waited"),
    }
}

fn error_of(message: &[u8]) -> ErrorReply {
    let mut reader = FrameReader::default();
    reader.buffer().extend_from_slice(message);
    let frame = reader.next_frame().unwrap().unwrap();
    assert_eq!(
        (frame.header.kind, frame.header.status, frame.header.serial),
        (1, 1, 3)
    );
    ErrorReply::from_payload(&frame.payload).unwrap()
}

#[test]
fn rows_are_in_order_and_found() {
    assert!(TABLE.windows(2).all(|pair| pair[0].number < pair[1].number));
    assert_eq!(TABLE.len(), 139);
    for row in TABLE {
        assert_eq!(find(row.number), Some(row));
    }
    assert_eq!(find(0), None);
    assert_eq!(find(107), None);
    assert_eq!(
        find(number::DOMAIN_CREATE).map(|row| row.function),
        Some("virDomainCreate")
    );
}

#[test]
fn what_changes_something_is_not_for_readers() {
    for row in TABLE {
        let reads = [
            "GET",
            "LOOKUP",
            "LIST",
            "IS",
            "HAS",
            "NUM",
            "SUPPORTS",
            "INTERFACE_ADDRESSES",
            "CALLBACK",
            "CONNECT_OPEN",
            "CLOSE",
        ];
        let sounds_harmless = reads.iter().any(|word| row.name.contains(word));
        assert_eq!(row.readonly(), sounds_harmless, "{}", row.name);
    }
}

#[test]
fn a_procedure_without_a_handler_is_unknown() {
    let error = error_of(&answer_of(&Nothing, number::AUTH_LIST, &[]));
    assert_eq!(
        (error.code, error.domain, error.text()),
        (39, 7, "unknown procedure: 66")
    );
    let error = error_of(&answer_of(&Nothing, 9999, &[]));
    assert_eq!(error.text(), "unknown procedure: 9999");
}

#[test]
fn arguments_cut_short_are_refused() {
    let error = error_of(&answer_of(
        &Nothing,
        number::DOMAIN_LOOKUP_BY_NAME,
        &[0, 0, 0, 5, b'a'],
    ));
    assert_eq!(
        (error.code, error.domain, error.text()),
        (39, 7, "Unable to decode message payload")
    );
}

#[test]
fn a_handlers_results_are_the_answer() {
    struct Named;
    impl RemoteService for Named {
        type Stream = ();
        async fn connect_get_hostname(
            &self,
            _: ConnectGetHostnameArgs,
        ) -> Result<ConnectGetHostnameResults, ErrorReply> {
            Ok(ConnectGetHostnameResults {
                hostname: "testhost-a".to_owned(),
            })
        }
    }
    let answer = answer_of(&Named, number::CONNECT_GET_HOSTNAME, b"junk");
    let expected = [
        0, 0, 0, 44, 0x20, 0, 0x80, 0x86, 0, 0, 0, 1, 0, 0, 0, 59, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0,
        0, 10, b't', b'e', b's', b't', b'h', b'o', b's', b't', b'-', b'a', 0, 0,
    ];
    assert_eq!(answer, expected.as_slice());
}

#[test]
fn a_lease_survives_the_wire() {
    let results = NetworkGetDhcpLeasesResults {
        leases: List::new(vec![DhcpLease {
            iface: "virbr0".to_owned(),
            expirytime: -1,
            kind: 0,
            mac: Some("52:54:00:00:00:01".to_owned()),
            iaid: None,
            ipaddr: "192.168.122.2".to_owned(),
            prefix: 24,
            hostname: None,
            clientid: Some("01".to_owned()),
        }])
        .unwrap(),
        ret: 1,
    };
    let mut out = Encoder::default();
    results.encode(&mut out);
    assert_eq!(
        NetworkGetDhcpLeasesResults::from_payload(&out.finish().unwrap()),
        Ok(results)
    );
}

#[test]
fn the_recorded_figures_have_names_and_types() {
    let text = include_str!("../tests/vectors/domstats.txt");
    let records = captures::results::<ConnectGetAllDomainStatsArgs>(text);
    let [record] = &*records.first().unwrap().ret_stats else {
        panic!("{records:?}");
    };
    assert_eq!(record.dom.name, "demo");
    let value = |name: &str| {
        let found = record.params.iter().find(|param| param.field == name);
        found.map(|param| param.value.clone())
    };
    assert_eq!(value("state.state"), Some(1_i32.into()));
    assert_eq!(value("cpu.time"), Some(3_873_601_435_u64.into()));
    assert_eq!(value("vcpu.current"), Some(1_u32.into()));
    assert_eq!(value("dirtyrate.calc_start_time"), Some(0_i64.into()));
    assert_eq!(value("dirtyrate.calc_mode"), Some("page-sampling".into()));
}

proptest! {
    #[test]
    fn arbitrary_payloads_never_panic(payload: Vec<u8>, choice in 0..TABLE.len()) {
        let row = &TABLE[choice];
        let _ = answer_of(&Nothing, row.number, &payload);
        for results in [false, true] {
            if let Some(Ok(once)) = again(row.number, results, &payload) {
                // What was understood once is understood again as the same bytes.
                prop_assert_eq!(again(row.number, results, &once), Some(Ok(once)));
            }
        }
    }
}

#[path = "captures_tests.rs"]
mod captures;
