//! The task of one stream.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use ferrovirt_wire::stream::{failure, strange};
use ferrovirt_wire::{ErrorReply, Packet, StreamKey};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Endpoint, Outlet, Streams, cost, failed};
use crate::outbox::Outbox;

/// Most bytes that are read at a time: what a stream whose client does not read can cost.
const PORTION: usize = 16 << 10;
/// How long a client that has said goodbye may hear nothing because the other end does not take its last bytes.
const LAST_BYTES: Duration = Duration::from_secs(5);

type Source = Box<dyn AsyncRead + Send + Unpin>;
type Sink = Box<dyn AsyncWrite + Send + Unpin>;

/// How a stream ended.
enum End {
    /// The client said so, or wants no more: both are confirmed.
    Finished,
    /// It cannot go on.
    Failed(ErrorReply),
    /// Nobody is there to hear of it.
    Gone,
}

/// Carries bytes until the stream ends for whatever reason.
pub(super) async fn run(
    mut outlet: Outlet,
    mut endpoint: Endpoint,
    outbox: Arc<Outbox>,
    life: CancellationToken,
) {
    let key = outlet.key;
    let (source, sink) = (endpoint.source.take(), endpoint.sink.take());
    let Outlet {
        streams,
        packets,
        aborted,
        goodbye,
        ..
    } = &mut outlet;
    let end = tokio::select! {
        biased;
        () = life.cancelled() => End::Gone,
        () = aborted.cancelled() => End::Finished,
        () = endpoint.lost.cancelled() => End::Failed(failed()),
        () = streams.closing.cancelled() => End::Failed(failed()),
        end = from_client(packets, sink, streams, source.is_some()) => end,
        error = to_client(key, source, &outbox, goodbye) => End::Failed(error),
        () = impatient(goodbye) => End::Failed(failed()),
    };
    // As soon as the client hears of the end it may use the serial, or the other end, again.
    drop(endpoint);
    drop(outlet);
    match end {
        // It has nothing in it that could be too long.
        End::Finished => outbox.send(Packet::Finish.message(key).unwrap_or_default()),
        End::Failed(error) => outbox.send(failure(key, &error)),
        End::Gone => {}
    }
}

async fn impatient(goodbye: &CancellationToken) {
    goodbye.cancelled().await;
    tokio::time::sleep(LAST_BYTES).await;
}

/// Brings bytes to the client, each time when it has taken what came before. Returns only with an error: after the end of the
/// bytes the client still has to say goodbye.
async fn to_client(
    key: StreamKey,
    source: Option<Source>,
    outbox: &Arc<Outbox>,
    goodbye: &CancellationToken,
) -> ErrorReply {
    let Some(mut source) = source else {
        return std::future::pending().await;
    };
    loop {
        outbox.flushed().await;
        let read = tokio::select! {
            biased;
            // Nobody reads what comes from now on.
            () = goodbye.cancelled() => return std::future::pending().await,
            read = read(&mut source) => read,
        };
        let packet = match read {
            Ok(bytes) if bytes.is_empty() => Packet::End,
            Ok(bytes) => Packet::Data(bytes),
            Err(error) => {
                tracing::debug!("a stream cannot be read: {error}");
                return failed();
            }
        };
        match packet.message(key) {
            Ok(message) => outbox.send_packet(message),
            Err(_) => return failed(),
        }
        if packet == Packet::End {
            return std::future::pending().await;
        }
    }
}

/// What there is to read, and nothing at its end. A stream in which nothing happens has no buffer.
async fn read(source: &mut Source) -> io::Result<Bytes> {
    poll_fn(|cx| {
        let mut space = [0; PORTION];
        let mut portion = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut *source).poll_read(cx, &mut portion))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(portion.filled())))
    })
    .await
}

/// Counts a packet as waiting until it is dropped.
struct Waiting<'a> {
    streams: &'a Streams,
    cost: usize,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.streams.release(self.cost);
    }
}

/// Brings bytes from the client to the other end, in order, until the client ends the stream. With a `source` that is read,
/// too, it is that one's end that is told.
async fn from_client(
    packets: &mut mpsc::UnboundedReceiver<Packet>,
    mut sink: Option<Sink>,
    streams: &Streams,
    source: bool,
) -> End {
    let mut broken = false;
    while let Some(packet) = packets.recv().await {
        let _waiting = Waiting {
            streams,
            cost: cost(&packet),
        };
        match packet {
            Packet::Data(_) if broken => {}
            Packet::Data(bytes) => {
                let Some(sink) = &mut sink else {
                    return End::Failed(strange("the stream takes no data"));
                };
                if let Err(error) = write(sink, &bytes).await {
                    tracing::debug!("a stream cannot be written: {error}");
                    if !source {
                        return End::Failed(failed());
                    }
                    broken = true;
                }
            }
            Packet::End => {
                if let Some(mut sink) = sink.take() {
                    // One that knows no end does not mind.
                    let _ = sink.shutdown().await;
                }
            }
            Packet::Finish | Packet::Abort(_) => return End::Finished,
            Packet::Hole(_) => return End::Failed(strange("the stream is not sparse")),
            Packet::Strange(text) => return End::Failed(strange(&text)),
        }
    }
    // The connection has dropped its end.
    End::Gone
}

async fn write(sink: &mut Sink, bytes: &[u8]) -> io::Result<()> {
    sink.write_all(bytes).await?;
    sink.flush().await
}
