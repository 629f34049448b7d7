//! While the start or shutdown hook runs nobody is served. Where systemd holds the sockets, clients can
//! connect all the same: they are told at once why they have to wait (R24), and nobody hangs.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use ferrovirt_wire::{ErrorReply, FrameReader, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::sockets::Listening;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many clients are answered at a time; more wait in the sockets' queues.
const AT_A_TIME: usize = 64;
/// The first message of a client is small.
const FIRST_MESSAGE: usize = 64 << 10;

/// What clients are told; asked for each client, since it may change.
pub type Reason = Arc<dyn Fn() -> String + Send + Sync>;

/// Answers all clients of some sockets with an error until it is dropped.
#[derive(Debug)]
pub struct Refusal {
    _tasks: JoinSet<()>,
}

impl Refusal {
    /// Begin to answer on these sockets, which stay usable by others.
    ///
    /// # Errors
    /// When a socket cannot be duplicated.
    pub fn begin(sockets: &[Listening], reason: &Reason) -> io::Result<Self> {
        let mut tasks = JoinSet::new();
        for socket in sockets {
            let socket: StdListener = socket.socket.try_clone()?;
            tasks.spawn(refuse_all(UnixListener::from_std(socket)?, Arc::clone(reason)));
        }
        Ok(Self { _tasks: tasks })
    }
}

async fn refuse_all(socket: UnixListener, reason: Reason) {
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        if clients.len() >= AT_A_TIME {
            clients.join_next().await;
        }
        match socket.accept().await {
            Ok((client, _)) => {
                let reason = Arc::clone(&reason);
                clients.spawn(async move {
                    let _ = timeout(PATIENCE, refuse(client, reason())).await;
                });
            }
            // Out of descriptors, or the client is gone already: neither may become a busy loop.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Answer the first call with the error, then hang up.
async fn refuse(mut client: UnixStream, reason: String) -> io::Result<()> {
    let mut reader = FrameReader::default();
    let mut portion = [0; 4096];
    loop {
        match reader.next_frame() {
            Ok(Some(call)) => {
                let answer = frame::error_reply(&call.header, &ErrorReply::rpc(reason));
                client.write_all(&answer).await?;
                return client.shutdown().await;
            }
            Ok(None) if reader.buffer().len() < FIRST_MESSAGE => {}
            _ => return Ok(()),
        }
        match client.read(&mut portion).await? {
            0 => return Ok(()),
            length => reader.buffer().extend_from_slice(&portion[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_wire::client::{Client, ClientError};

    fn socket(path: &std::path::Path) -> Listening {
        let socket = StdListener::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Listening {
            socket,
            read_only: false,
            remove: None,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn r24_clients_are_told_at_once_which_hook_they_wait_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let sockets = [socket(&path)];
        let reason: Reason = Arc::new(|| "hook /etc/libvirt/hooks/daemon runs".to_owned());
        let refusal = Refusal::begin(&sockets, &reason).unwrap();
        // A client that says nothing does not hold the others.
        let _mute = std::os::unix::net::UnixStream::connect(&path).unwrap();
        for _ in 0..3 {
            let path = path.clone();
            let told = tokio::task::spawn_blocking(move || {
                let mut client = Client::connect(&path).unwrap();
                client.set_timeout(Duration::from_secs(10)).unwrap();
                client.open("qemu:///system", false)
            });
            match told.await.unwrap() {
                Err(ClientError::Refused(e)) => assert!(e.to_string().contains("hooks/daemon runs"), "{e}"),
                other => panic!("{other:?}"),
            }
        }
        drop(refusal);
    }

    #[tokio::test]
    async fn bytes_that_are_no_message_end_the_connection() {
        let (client, server) = UnixStream::pair().unwrap();
        let task = tokio::spawn(refuse(server, "no".to_owned()));
        let mut client = client;
        client.write_all(&[0xff; 64]).await.unwrap();
        task.await.unwrap().unwrap();
        let mut rest = Vec::new();
        assert_eq!(client.read_to_end(&mut rest).await.unwrap_or(0), 0);
    }
}
