//! HTTP as little as it takes: one request per connection, few connections, and no patience. The metrics use it too.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::guard::{self, Door};
use super::listen::Listen;
use crate::error::Error;
use crate::sockets::{self, Listening, Wanted};

/// How many clients are served at a time; the others wait in the socket's queue.
const CLIENTS: usize = 16;
/// How long one client may take from its first byte to the last one it reads.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a request's head may get.
const HEAD: usize = 16 << 10;
/// How many headers it may have.
const HEADERS: usize = 64;

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

/// Who answers. Both may wait for the disk: they are asked on a thread of their own.
pub(crate) trait Desk: Send + Sync + 'static {
    /// What is at this path.
    fn answer(&self, path: &str) -> Answer;
    /// Why there is nothing.
    fn refuse(&self, status: StatusCode) -> Answer;
}

/// A socket that is open.
#[derive(Debug)]
pub(crate) enum Opened {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, Listening),
}

impl Opened {
    /// Opens the socket. A unix socket is its owner's alone from the first moment on.
    pub(crate) async fn new(listen: &Listen) -> Result<Opened, Error> {
        let failed = |source: io::Error| Error::File {
            action: "listen on",
            path: listen.to_string().into(),
            source,
        };
        match listen {
            Listen::Tcp(address) => {
                let socket = TcpListener::bind(address).await.map_err(failed)?;
                let address = socket.local_addr().map_err(failed)?;
                Ok(Opened::Tcp(socket, address))
            }
            Listen::Unix(path) => {
                let wanted = Wanted {
                    path: path.clone(),
                    read_only: true,
                    mode: 0o600,
                    group: None,
                };
                // It looks whether somebody listens there already, who may take his time.
                let made = tokio::task::spawn_blocking(move || wanted.listen()).await;
                let listening = made.map_err(|panic| failed(panic.into()))??;
                let socket = listening.socket.try_clone().and_then(UnixListener::from_std);
                Ok(Opened::Unix(socket.map_err(failed)?, listening))
            }
        }
    }
}

/// Serves until `stop`. Requests that are under way are dropped then: they only read.
pub(crate) async fn serve<D: Desk>(opened: Opened, desk: Arc<D>, stop: CancellationToken) {
    let serving = accept_all(&opened, &desk, &stop);
    tokio::select! {
        () = stop.cancelled() => {}
        () = serving => {}
    }
    if let Opened::Unix(_, listening) = &opened {
        sockets::remove(listening);
    }
}

async fn accept_all<D: Desk>(opened: &Opened, desk: &Arc<D>, stop: &CancellationToken) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        // Only a closed semaphore gives an error, and nobody closes it.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let accepted = match opened {
            Opened::Tcp(socket, address) => socket.accept().await.map(|(stream, _)| {
                attend(stream, Door::Tcp(*address), Arc::clone(desk), place, stop.clone());
            }),
            Opened::Unix(socket, _) => socket.accept().await.map(|(stream, _)| {
                attend(stream, Door::Unix, Arc::clone(desk), place, stop.clone());
            }),
        };
        if let Err(error) = accepted {
            // Out of descriptors, most likely: it must not become a busy loop.
            tracing::debug!("cannot accept a client of the page: {error}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// One client, in a task of its own.
fn attend<D, S>(stream: S, door: Door, desk: Arc<D>, place: OwnedSemaphorePermit, stop: CancellationToken)
where
    D: Desk,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        let talk = timeout(PATIENCE, converse(stream, door, desk, place));
        tokio::select! {
            () = stop.cancelled() => {}
            // Whoever is too slow is left, whoever talks nonsense too.
            _ = talk => {}
        }
    });
}

/// One request and its answer.
pub(crate) async fn converse<D, S>(stream: S, door: Door, desk: Arc<D>, place: OwnedSemaphorePermit)
where
    D: Desk,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let place = Arc::new(place);
    let service = service_fn(move |request: Request<Incoming>| {
        let (desk, place) = (Arc::clone(&desk), Arc::clone(&place));
        async move { Ok::<_, Infallible>(respond(request, door, desk, place).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        // Who has said all may close that direction and still listens.
        .half_close(true)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a client of the page: {error}");
    }
}

async fn respond<D: Desk>(
    request: Request<Incoming>,
    door: Door,
    desk: Arc<D>,
    place: Arc<OwnedSemaphorePermit>,
) -> Response<Full<Bytes>> {
    let admitted = guard::admit(request.method(), request.uri(), request.headers(), door);
    let path = request.uri().path().to_owned();
    let head = request.method() == Method::HEAD;
    let work = move || {
        // The place is taken until the disk has answered, also when the client has left meanwhile.
        let _place = place;
        match admitted {
            Ok(()) => desk.answer(&path),
            Err(status) => desk.refuse(status),
        }
    };
    let answer = tokio::task::spawn_blocking(work).await;
    let answer = answer.unwrap_or_else(|_| Answer {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        kind: "text/plain; charset=utf-8",
        body: "This page failed in a way that it should not.\n".to_owned(),
    });
    response(answer, head)
}

/// What goes with every answer: nothing is loaded from elsewhere, nothing runs, nothing is kept.
const HEADERS_OF_ALL: [(HeaderName, HeaderValue); 4] = [
    (
        hyper::header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (
        hyper::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        hyper::header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

fn response(answer: Answer, head: bool) -> Response<Full<Bytes>> {
    let length = answer.body.len();
    let body = if head { String::new() } else { answer.body };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.extend(HEADERS_OF_ALL);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.kind));
    headers.insert(hyper::header::CONTENT_LENGTH, HeaderValue::from(length));
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}
