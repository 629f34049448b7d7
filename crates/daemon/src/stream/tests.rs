//! Streams over real sockets, with ends that are slow, gone, or never stop.

use super::*;
use std::os::fd::AsFd;

use ferrovirt_wire::lxc::{DOMAIN_OPEN_NAMESPACE, DomainOpenNamespaceArgs, DomainOpenNamespaceResults};
use ferrovirt_wire::program::LXC;
use ferrovirt_wire::{Packet, StreamKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Room between a stream and its other end.
const ROOM: usize = 4096;

fn console(name: &str) -> DomainOpenConsoleArgs {
    DomainOpenConsoleArgs {
        dom: guest(),
        dev_name: Some(name.to_owned()),
        flags: 0,
    }
}

fn open(client: &mut Client, name: &str) -> StreamKey {
    client.open_stream(&console(name)).unwrap().0
}

fn data(text: &[u8]) -> Packet {
    Packet::Data(text.to_vec().into())
}

/// The text of the error that ends a stream.
fn failure(packet: &Packet) -> (i32, i32, String) {
    match packet {
        Packet::Abort(Some(error)) => (error.code, error.domain, error.text().to_owned()),
        other => panic!("{other:?}"),
    }
}

impl Running {
    /// A console that can be opened once; the other end of it.
    fn console(&self, name: &str) -> DuplexStream {
        self.console_with(name, |endpoint| endpoint)
    }

    fn console_with(&self, name: &str, change: impl FnOnce(Endpoint) -> Endpoint) -> DuplexStream {
        let (ours, theirs) = duplex(ROOM);
        let (source, sink) = tokio::io::split(ours);
        let endpoint = change(Endpoint::both(source, sink));
        let mut streams = self.world.streams.lock().unwrap();
        streams.insert(name.to_owned(), endpoint);
        theirs
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_both_ways_and_the_goodbye_is_confirmed() {
    let running = usual();
    let mut guest = running.console("c");
    let echo = tokio::spawn(async move {
        let mut line = [0; 6];
        guest.write_all(b"hello\r\n").await.unwrap();
        guest.read_exact(&mut line).await.unwrap();
        guest.write_all(&line).await.unwrap();
        // Open until the client has gone.
        guest.read(&mut line).await.unwrap()
    });
    running
        .with(|path| {
            let mut client = connect(path);
            let stream = open(&mut client, "c");
            assert_eq!(client.packet(stream).unwrap(), data(b"hello\r\n"));
            client.send_packet(stream, &data(b"abc")).unwrap();
            // Calls go on beside it.
            client.call(&ConnectGetHostnameArgs {}).unwrap();
            client.send_packet(stream, &data(b"def")).unwrap();
            assert_eq!(client.packet(stream).unwrap(), data(b"abcdef"));
            client.send_packet(stream, &Packet::Finish).unwrap();
            assert_eq!(client.packet(stream).unwrap(), Packet::Finish);
            // Nobody is there any more, and nothing is said about that.
            client.send_packet(stream, &data(b"late")).unwrap();
            client.send_packet(stream, &Packet::Finish).unwrap();
            assert!(matches!(client.call(&console("c")), Err(ClientError::Refused(_))));
            let hostname = client.send(&ConnectGetHostnameArgs {}).unwrap();
            assert_eq!(client.receive_any().unwrap().header.serial, hostname);
        })
        .await;
    assert_eq!(echo.await.unwrap(), 0);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_end_a_stream_has_its_answer() {
    let running = usual();
    let lost = CancellationToken::new();
    let mut guests = Vec::new();
    for name in ["end", "abort", "hole", "strange"] {
        guests.push(running.console(name));
    }
    let token = lost.clone();
    guests.push(running.console_with("lost", |endpoint| endpoint.until(token)));
    let mut ends = guests.remove(0);
    running
        .with(move |path| {
            let mut client = connect(path);
            let stream = open(&mut client, "end");
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                ends.write_all(b"last").await.unwrap();
                ends.shutdown().await.unwrap();
            });
            assert_eq!(client.packet(stream).unwrap(), data(b"last"));
            assert_eq!(client.packet(stream).unwrap(), Packet::End);
            client.send_packet(stream, &Packet::Finish).unwrap();
            assert_eq!(client.packet(stream).unwrap(), Packet::Finish);

            let stream = open(&mut client, "abort");
            client.send_packet(stream, &Packet::Abort(None)).unwrap();
            assert_eq!(client.packet(stream).unwrap(), Packet::Finish);

            let stream = open(&mut client, "hole");
            client.send_packet(stream, &Packet::Hole(5)).unwrap();
            let (code, domain, _) = failure(&client.packet(stream).unwrap());
            assert_eq!((code, domain), (39, 38));

            let stream = open(&mut client, "strange");
            let mut bytes = Packet::End.message(stream).unwrap().to_vec();
            bytes[27] = 7;
            client.send_bytes(&bytes).unwrap();
            let text = "stream aborted with unexpected status 7".to_owned();
            assert_eq!(failure(&client.packet(stream).unwrap()), (39, 38, text));

            let stream = open(&mut client, "lost");
            lost.cancel();
            let text = "stream had I/O failure".to_owned();
            assert_eq!(failure(&client.packet(stream).unwrap()), (39, 38, text));
        })
        .await;
    for mut guest in guests {
        // The stream has let go of it.
        assert_eq!(guest.read(&mut [0; 10]).await.unwrap(), 0);
    }
    running.end().await;
}

/// Writes for as long as somebody takes it; how many bytes that was.
async fn flood(mut guest: DuplexStream, so_far: Arc<AtomicUsize>) {
    while guest.write_all(&[b'y'; 1000]).await.is_ok() {
        so_far.fetch_add(1000, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_makes_the_other_end_wait() {
    let running = usual();
    let written = Arc::new(AtomicUsize::new(0));
    let guest = running.console("c");
    let flood = tokio::spawn(flood(guest, Arc::clone(&written)));
    let mut client = running
        .with(|path| {
            let mut client = connect(path);
            let _ = open(&mut client, "c");
            client
        })
        .await;
    // It comes to a stop: neither patience nor memory ends with it.
    let mut last = usize::MAX;
    while last != written.load(Ordering::SeqCst) {
        last = written.load(Ordering::SeqCst);
        tokio::time::sleep(limits().patience * 2).await;
    }
    assert!(last < 2 << 20, "{last} bytes wait somewhere");
    assert!(!running.lives.lock().unwrap()[0].life().is_cancelled());
    // Others are served, and so is this one as soon as it reads again: nothing is missing.
    running
        .with(move |path| {
            connect(path).call(&ConnectGetHostnameArgs {}).unwrap();
            let stream = StreamKey {
                program: ferrovirt_wire::program::REMOTE,
                procedure: number::DOMAIN_OPEN_CONSOLE,
                serial: 0,
            };
            let mut read = 0;
            while read < 4 << 20 {
                match client.packet(stream).unwrap() {
                    Packet::Data(bytes) => read += bytes.iter().filter(|byte| **byte == b'y').count(),
                    other => panic!("{other:?}"),
                }
            }
        })
        .await;
    // The connection is gone with the client, and its stream with it.
    flood.await.unwrap();
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_other_end_that_does_not_read_makes_the_client_wait() {
    let running = usual();
    let mut guest = running.console("c");
    let sent = running
        .with(|path| {
            let mut socket = StdStream::connect(path).unwrap();
            let header = ferrovirt_wire::Header {
                program: ferrovirt_wire::program::REMOTE,
                version: 1,
                procedure: number::DOMAIN_OPEN_CONSOLE,
                kind: 0,
                serial: 0,
                status: 0,
            };
            socket.write_all(&header.message(&console("c")).unwrap()).unwrap();
            socket
                .set_write_timeout(Some(Duration::from_millis(500)))
                .unwrap();
            let packet = data(&[b'x'; 10_000]).message(StreamKey::of(&header)).unwrap();
            let mut answer = [0; 28];
            socket.read_exact(&mut answer).unwrap();
            let count = (0..10_000).take_while(|_| socket.write_all(&packet).is_ok());
            (count.count(), socket)
        })
        .await;
    assert!(sent.0 < 400, "{} packets were taken", sent.0);
    // All of it arrives in order once somebody reads.
    let mut bytes = vec![0; sent.0 * 10_000];
    guest.read_exact(&mut bytes).await.unwrap();
    assert!(bytes.iter().all(|byte| *byte == b'x'));
    drop(sent.1);
    // What was cut short belongs to no packet.
    assert_eq!(guest.read(&mut [0; 10]).await.unwrap(), 0);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_does_not_wait_behind_data() {
    let running = usual();
    let guest = running.console("c");
    running
        .with(|path| {
            let mut client = connect(path);
            let stream = open(&mut client, "c");
            for _ in 0..10 {
                client.send_packet(stream, &data(&[0; 10_000])).unwrap();
            }
            client.send_packet(stream, &Packet::Abort(None)).unwrap();
            assert_eq!(client.packet(stream).unwrap(), Packet::Finish);
        })
        .await;
    drop(guest);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_whose_last_bytes_nobody_takes_ends_all_the_same() {
    let running = usual();
    let guest = running.console("c");
    running
        .with(|path| {
            let mut client = connect(path);
            let stream = open(&mut client, "c");
            client.send_packet(stream, &data(&[0; 10_000])).unwrap();
            client.send_packet(stream, &Packet::Finish).unwrap();
            assert_eq!(failure(&client.packet(stream).unwrap()).0, 39);
        })
        .await;
    drop(guest);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_daemon_ends_streams() {
    let running = usual();
    let mut guest = running.console("c");
    let (mut client, stream) = running
        .with(|path| {
            let mut client = connect(path);
            let stream = open(&mut client, "c");
            (client, stream)
        })
        .await;
    running.end().await;
    assert_eq!(guest.read(&mut [0; 10]).await.unwrap(), 0);
    tokio::task::spawn_blocking(move || {
        let text = "stream had I/O failure".to_owned();
        assert_eq!(failure(&client.packet(stream).unwrap()), (39, 38, text));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_its_serial_for_itself_and_there_are_not_too_many() {
    let running = usual();
    let mut guests = Vec::new();
    for n in 0..70 {
        guests.push(running.console(&n.to_string()));
    }
    running
        .with(|path| {
            let mut client = connect(path);
            let first = open(&mut client, "0");
            let header = ferrovirt_wire::Header {
                program: first.program,
                version: 1,
                procedure: first.procedure,
                kind: 0,
                serial: first.serial,
                status: 0,
            };
            client
                .send_bytes(&header.message(&console("1")).unwrap())
                .unwrap();
            let answer = client.receive().unwrap();
            assert!(matches!(
                results::<DomainOpenConsoleResults>(&answer),
                Err(ClientError::Refused(_))
            ));
            let opened = (2..70).take_while(|n| client.call(&console(&n.to_string())).is_ok());
            assert_eq!(opened.count(), 63);
            client.send_packet(first, &Packet::Finish).unwrap();
            assert_eq!(client.packet(first).unwrap(), Packet::Finish);
            open(&mut client, "69");
        })
        .await;
    drop(guests);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptors_go_both_ways_or_end_the_connection() {
    let running = usual();
    running
        .with(|path| {
            let mut client = connect(path);
            let mut ask = |count: u32, sent: usize| {
                let null = std::fs::File::open("/dev/null").unwrap();
                let args = DomainOpenNamespaceArgs {
                    dom: guest(),
                    flags: count,
                };
                let procedure = (LXC, DOMAIN_OPEN_NAMESPACE);
                let fds = vec![null.as_fd(); sent];
                client.call_with_descriptors::<DomainOpenNamespaceResults>(procedure, &args, &fds)
            };
            for (count, sent) in [(0, 0), (6, 0), (32, 0), (1, 5), (0, 32)] {
                let (_, descriptors) = ask(count, sent).unwrap();
                assert_eq!(descriptors.len(), count as usize);
            }
            assert!(matches!(ask(33, 0), Err(ClientError::Refused(_))));
            // Announced, and never sent: a byte is there, and nothing with it.
            let call = ferrovirt_wire::Header {
                program: LXC,
                version: 1,
                procedure: DOMAIN_OPEN_NAMESPACE,
                kind: 4,
                serial: 9,
                status: 0,
            };
            let message = call.message_with_descriptors(1, &0_u32).unwrap();
            client.send_bytes(&[&message[..], &[0]].concat()).unwrap();
            assert!(client.receive().is_err());
        })
        .await;
    running.end().await;
}
