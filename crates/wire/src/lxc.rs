//! The program of containers: what only they can do. It has one procedure.

use std::os::fd::OwnedFd;

use crate::answer::Answer;
use crate::error::{ErrorDomain, ErrorReply};
use crate::frame::Header;
use crate::object::DomainRef;
use crate::program::{Access, Extra, Needs, Priority, Procedure};
use crate::xdr::Xdr;
use crate::xdr_struct;

/// Number of the procedure that opens a container's namespaces.
pub const DOMAIN_OPEN_NAMESPACE: i32 = 1;

xdr_struct! {
    /// Arguments of DOMAIN_OPEN_NAMESPACE. It has no results but descriptors.
    DomainOpenNamespaceArgs { dom: DomainRef, flags: u32 }
}
xdr_struct! {
    /// Results of DOMAIN_OPEN_NAMESPACE.
    DomainOpenNamespaceResults {}
}

/// Every row of the program.
pub static TABLE: &[Procedure] = &[Procedure {
    number: DOMAIN_OPEN_NAMESPACE,
    name: "DOMAIN_OPEN_NAMESPACE",
    function: "virDomainLxcOpenNamespace",
    domain: ErrorDomain::None,
    needs: Needs::Containers,
    access: Access::Write,
    priority: Priority::Low,
    extra: Extra::Descriptors,
}];

/// The row of a procedure.
pub fn find(number: i32) -> Option<&'static Procedure> {
    TABLE.iter().find(|row| row.number == number)
}

/// What a server does for each procedure.
pub trait LxcService: Sync {
    /// Whether this procedure may be called, asked before its handler.
    ///
    /// # Errors
    /// What the client is told instead.
    fn admit_lxc(&self, procedure: &Procedure) -> Result<(), ErrorReply>;

    /// The namespaces of a running container, as descriptors that a client can enter.
    fn domain_open_namespace(
        &self,
        args: DomainOpenNamespaceArgs,
    ) -> impl Future<Output = Result<Vec<OwnedFd>, ErrorReply>> + Send {
        let _ = args;
        async { Err(ErrorReply::unknown_procedure(DOMAIN_OPEN_NAMESPACE)) }
    }
}

/// Decodes a call's arguments, lets the service do it and encodes the whole answer.
pub async fn dispatch<S: LxcService, T>(service: &S, call: &Header, payload: &[u8]) -> Answer<T> {
    let Some(procedure) = find(call.procedure) else {
        return Answer::error(call, &ErrorReply::unknown_procedure(call.procedure));
    };
    let Ok(args) = DomainOpenNamespaceArgs::from_payload(payload) else {
        return Answer::error(call, &ErrorReply::undecodable());
    };
    if let Err(error) = service.admit_lxc(procedure) {
        return Answer::error(call, &error);
    }
    let opened = service.domain_open_namespace(args).await;
    Answer::descriptors(call, opened.map(|all| (DomainOpenNamespaceResults {}, all)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, ClientError};
    use crate::frame::{FrameReader, MessageType};
    use crate::program::{LXC, VERSION};
    use std::io::{IoSlice, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    /// A container with so many namespaces; the n-th is a file of n bytes.
    struct Box(u64);

    impl LxcService for Box {
        fn admit_lxc(&self, _: &Procedure) -> Result<(), ErrorReply> {
            Ok(())
        }

        async fn domain_open_namespace(
            &self,
            args: DomainOpenNamespaceArgs,
        ) -> Result<Vec<OwnedFd>, ErrorReply> {
            if args.flags != 0 {
                return Err(ErrorReply::rpc("flags"));
            }
            let file = |length| {
                let file = tempfile::tempfile().unwrap();
                file.set_len(length).unwrap();
                file.into()
            };
            Ok((0..self.0).map(file).collect())
        }
    }

    fn finish<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => output,
            std::task::Poll::Pending => panic!("the service waited"),
        }
    }

    fn args(flags: u32) -> DomainOpenNamespaceArgs {
        let dom = DomainRef {
            name: "box".to_owned(),
            uuid: [1; 16],
            id: 7,
        };
        DomainOpenNamespaceArgs { dom, flags }
    }

    /// The recorded call and its answer.
    fn recorded() -> Vec<Vec<u8>> {
        let text = include_str!("../tests/vectors/fd-reply.txt");
        let digits = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(_, digits)| digits);
        let of_lxc = digits.filter(|digits| digits.get(8..16) == Some("00068000"));
        of_lxc
            .map(|digits| {
                let byte = |i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap();
                (0..digits.len()).step_by(2).map(byte).collect()
            })
            .collect()
    }

    #[test]
    fn a_recorded_call_gets_the_recorded_answer() {
        let [asked, answered] = &recorded()[..] else {
            panic!()
        };
        let mut reader = FrameReader::default();
        reader.buffer().extend_from_slice(asked);
        let frame = reader.next_frame().unwrap().unwrap();
        assert!(matches!(crate::triage(&frame), crate::Incoming::Call(row) if row == &TABLE[0]));
        let answer = finish(dispatch::<_, ()>(&Box(6), &frame.header, &frame.payload));
        assert_eq!(
            (&answer.message[..], answer.descriptors.len()),
            (&answered[..], 6)
        );
        let refused = finish(dispatch::<_, ()>(&Box(33), &frame.header, &frame.payload));
        assert_eq!((refused.message[27], refused.descriptors.len()), (1, 0));
    }

    /// Answers one call over the socket, as any server must: message, then a byte for each descriptor.
    fn serve(mut socket: UnixStream, service: &Box) {
        let mut reader = FrameReader::default();
        let frame = loop {
            if let Some(frame) = reader.next_frame().unwrap() {
                break frame;
            }
            let mut portion = [0; 100];
            let length = std::io::Read::read(&mut socket, &mut portion).unwrap();
            reader.buffer().extend_from_slice(&portion[..length]);
        };
        let answer = finish(dispatch::<_, ()>(service, &frame.header, &frame.payload));
        socket.write_all(&answer.message).unwrap();
        for descriptor in &answer.descriptors {
            let one = [descriptor.as_fd()];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
            control.push(rustix::net::SendAncillaryMessage::ScmRights(&one));
            let flags = rustix::net::SendFlags::empty();
            rustix::net::sendmsg(&socket, &[IoSlice::new(&[0])], &mut control, flags).unwrap();
        }
    }

    #[test]
    fn a_client_gets_descriptors_or_the_error() {
        let ask = |count, flags| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let server = std::thread::spawn(move || serve(theirs, &Box(count)));
            let answer = Client::over(ours).call_with_descriptors::<DomainOpenNamespaceResults>(
                (LXC, DOMAIN_OPEN_NAMESPACE),
                &args(flags),
                &[],
            );
            server.join().unwrap();
            answer
        };
        let (_, descriptors) = ask(32, 0).unwrap();
        let length = |file: std::fs::File| file.metadata().unwrap().len();
        let lengths: Vec<u64> = descriptors.into_iter().map(|fd| length(fd.into())).collect();
        assert_eq!(lengths, (0..32).collect::<Vec<_>>());
        assert!(ask(0, 0).unwrap().1.is_empty());
        assert!(matches!(ask(3, 1), Err(ClientError::Refused(error)) if error.text() == "flags"));
    }

    #[test]
    fn a_procedure_that_is_not_there_is_unknown() {
        let call = Header {
            program: LXC,
            version: VERSION,
            procedure: 2,
            kind: MessageType::Call as u32,
            serial: 3,
            status: 0,
        };
        let answer = finish(dispatch::<_, ()>(&Box(1), &call, &[]));
        let mut reader = FrameReader::default();
        reader.buffer().extend_from_slice(&answer.message);
        let frame = reader.next_frame().unwrap().unwrap();
        let error = ErrorReply::from_payload(&frame.payload).unwrap();
        assert_eq!(error.text(), "unknown procedure: 2");
    }
}
