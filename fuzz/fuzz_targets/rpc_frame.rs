//! Any bytes on the daemon's socket: frames are cut, judged, their arguments decoded and answered.
#![no_main]

use ferrovirt_wire::frame::{FrameReader, error_reply};
use ferrovirt_wire::procedures::dispatch;
use ferrovirt_wire::lxc::{self, LxcService};
use ferrovirt_wire::program::LXC;
use ferrovirt_wire::{ErrorReply, Incoming, Procedure, RemoteService, StreamKey, Xdr, triage};
use libfuzzer_sys::fuzz_target;

struct Nothing;
impl RemoteService for Nothing {
    type Stream = ();
}
impl LxcService for Nothing {
    fn admit_lxc(&self, _: &Procedure) -> Result<(), ErrorReply> {
        Ok(())
    }
}

fn finish<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("a service that does nothing waited"),
    }
}

fuzz_target!(|input: &[u8]| {
    let mut reader = FrameReader::default();
    reader.buffer().extend_from_slice(input);
    while let Ok(Some(frame)) = reader.next_frame() {
        match triage(&frame) {
            Incoming::Call(_) if frame.header.program == LXC => {
                finish(lxc::dispatch::<_, ()>(&Nothing, &frame.header, &frame.payload));
            }
            Incoming::Call(_) => {
                finish(dispatch(&Nothing, &frame.header, &frame.payload, Vec::new()));
            }
            Incoming::Stream(packet) => {
                // Holes longer than any file are refused when they are read.
                let sent = packet.message(StreamKey::of(&frame.header));
                assert!(sent.is_ok(), "{packet:?}: {sent:?}");
            }
            Incoming::Refused(error) => {
                error_reply(&frame.header, &error);
            }
            Incoming::Ping | Incoming::Pong | Incoming::Dropped => {}
        }
        // What a client reads.
        let _ = ErrorReply::from_payload(&frame.payload);
    }
});
