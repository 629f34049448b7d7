//! The sockets' side of the daemon: who connects gets a connection of its own; at the end, no new requests, and those at
//! work may finish (R21).

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Connection, Limits, Peer, Service, Shared};
use crate::dispatch::Session;
use crate::host::Host;
use crate::metrics::Calls;

/// How long a client may take none of the bytes that wait for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A socket that clients connect to.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: UnixListener,
    /// Whether its clients may only look.
    pub read_only: bool,
}

/// Serves clients until `shutdown`; returns when the last request has ended, or has had its time (R21). The sockets are
/// closed then.
pub async fn serve(listeners: Vec<Listener>, host: Arc<Host>, shutdown: CancellationToken) {
    let conf = &host.settings.libvirtd;
    let limits = Limits {
        requests: conf.max_client_requests.max(1),
        keepalive_interval: conf
            .keepalive_interval
            .map(|seconds| Duration::from_secs(u64::from(seconds))),
        keepalive_count: conf.keepalive_count,
        patience: PATIENCE,
    };
    let bounds = Bounds {
        clients: conf.max_clients.max(1),
        drain: host.settings.own.shutdown.drain.into(),
    };
    let calls = host.metrics.as_ref().map(|metrics| Arc::clone(&metrics.calls));
    let door = move |peer| Session::new(Arc::clone(&host), peer);
    serve_with(listeners, door, limits, bounds, calls, shutdown).await;
}

/// Bounds of the server as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How many clients may be connected; more wait in the sockets' queues.
    pub(crate) clients: usize,
    /// How long running requests have when the daemon ends.
    pub(crate) drain: Duration,
}

/// The same for any service: `door` makes the one that answers a client.
pub(crate) async fn serve_with<S, D>(
    listeners: Vec<Listener>,
    door: D,
    limits: Limits,
    bounds: Bounds,
    calls: Option<Arc<Calls>>,
    shutdown: CancellationToken,
) where
    S: Service,
    D: Fn(Arc<Peer>) -> S + Clone + Send + 'static,
{
    let places = Arc::new(Semaphore::new(bounds.clients));
    let connections = TaskTracker::new();
    let shared = Shared {
        limits: Arc::new(limits),
        work: TaskTracker::new(),
        shutdown: shutdown.clone(),
        force: CancellationToken::new(),
        calls,
    };
    let mut doors = JoinSet::new();
    for listener in listeners {
        let (door, places) = (door.clone(), Arc::clone(&places));
        let (connections, shared) = (connections.clone(), shared.clone());
        doors.spawn(async move {
            let shutdown = shared.shutdown.clone();
            let accepting = accept_all(&listener, door, &places, &connections, &shared);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = accepting => {}
            }
        });
    }
    while doors.join_next().await.is_some() {}
    connections.close();
    shared.work.close();
    let done = async {
        connections.wait().await;
        shared.work.wait().await;
    };
    if timeout(bounds.drain, done).await.is_err() {
        tracing::warn!(
            "requests have not ended {:?} after the daemon was told to end: it ends all the same",
            bounds.drain
        );
        shared.force.cancel();
        connections.wait().await;
    }
}

async fn accept_all<S, D>(
    listener: &Listener,
    door: D,
    places: &Arc<Semaphore>,
    connections: &TaskTracker,
    shared: &Shared,
) where
    S: Service,
    D: Fn(Arc<Peer>) -> S,
{
    loop {
        let socket = match listener.socket.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of descriptors, most likely: it must not become a busy loop.
                tracing::warn!("cannot accept a client: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(peer) = peer_of(&socket, listener.read_only) else {
            continue;
        };
        // With all places taken this client waits, and those behind it in the socket's queue. Only a closed semaphore
        // gives an error, and nobody closes it.
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return;
        };
        let service = door(Arc::clone(&peer));
        let connection = Connection::new(socket, peer, service, shared.clone());
        connections.spawn(async move {
            connection.run().await;
            drop(place);
        });
    }
}

fn peer_of(socket: &UnixStream, read_only: bool) -> Option<Arc<Peer>> {
    match socket.peer_cred() {
        Ok(cred) => Some(Arc::new(Peer::new(
            cred.uid(),
            cred.gid(),
            cred.pid().filter(|pid| *pid > 0),
            read_only,
        ))),
        Err(error) => {
            tracing::warn!("cannot tell who a client is: {error}");
            None
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
