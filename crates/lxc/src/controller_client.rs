//! The daemon's side of the talk with a controller.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::protocol::{Ask, Failure, Hello, LONGEST_LINE, Report, Request};

/// What can go wrong in the talk.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there, or the connection broke.
    #[error("the controller at '{}' cannot be reached: {source}", path.display())]
    Io {
        /// Its socket.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It said something that is no message.
    #[error("the controller said something that is not understood: {0}")]
    Garbled(String),
    /// It is gone.
    #[error("the controller is gone")]
    Gone,
    /// It does not answer.
    #[error("the controller does not answer")]
    Late,
    /// It could not do it.
    #[error("{0}")]
    Refused(Failure),
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<(), Failure>>>>>;

/// A connection to a controller. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    writer: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    waiting: Waiting,
    next: Arc<AtomicU64>,
    path: PathBuf,
}

impl Client {
    /// Connects. What the controller says by itself comes through the channel, which ends with the connection.
    ///
    /// # Errors
    /// Nobody is there, or it does not say hello.
    pub async fn connect(
        path: &Path,
    ) -> Result<(Client, Hello, mpsc::UnboundedReceiver<Report>), ClientError> {
        let failed = |source| ClientError::Io {
            path: path.to_owned(),
            source,
        };
        let stream = UnixStream::connect(path).await.map_err(failed)?;
        let (reader, writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let hello = match next(&mut reader).await? {
            Some(Report::Hello(hello)) => hello,
            Some(other) => return Err(ClientError::Garbled(format!("{other:?} instead of hello"))),
            None => return Err(ClientError::Gone),
        };
        let client = Client {
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            waiting: Waiting::default(),
            next: Arc::default(),
            path: path.to_owned(),
        };
        let (tell, reports) = mpsc::unbounded_channel();
        tokio::spawn(listen(reader, Arc::clone(&client.waiting), tell));
        Ok((client, hello, reports))
    }

    /// Asks for something and waits for the answer.
    ///
    /// # Errors
    /// It cannot do it, is gone, or does not answer within `patience`.
    pub async fn ask(&self, ask: Ask, patience: Duration) -> Result<(), ClientError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, answer) = oneshot::channel();
        lock(&self.waiting).insert(id, tell);
        let asked = tokio::time::timeout(patience, async {
            self.send(&Request { id, ask }).await?;
            answer.await.map_err(|_| ClientError::Gone)
        });
        let answered = asked.await;
        lock(&self.waiting).remove(&id);
        match answered {
            Ok(Ok(result)) => result.map_err(ClientError::Refused),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ClientError::Late),
        }
    }

    async fn send(&self, request: &Request) -> Result<(), ClientError> {
        let mut line =
            serde_json::to_vec(request).map_err(|error| ClientError::Garbled(error.to_string()))?;
        line.push(b'\n');
        let mut writer = self.writer.lock().await;
        writer.write_all(&line).await.map_err(|source| ClientError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next message; nothing at the end of the connection. Messages that a later version has are passed over.
async fn next(reader: &mut BufReader<OwnedReadHalf>) -> Result<Option<Report>, ClientError> {
    let mut line = Vec::new();
    let most = LONGEST_LINE as u64;
    let read = (&mut *reader).take(most).read_until(b'\n', &mut line).await;
    match read {
        Ok(0) | Err(_) => Ok(None),
        Ok(_) => serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| ClientError::Garbled(error.to_string())),
    }
}

async fn listen(mut reader: BufReader<OwnedReadHalf>, waiting: Waiting, tell: mpsc::UnboundedSender<Report>) {
    loop {
        match next(&mut reader).await {
            Ok(Some(Report::Answer { id, result })) => {
                if let Some(asker) = lock(&waiting).remove(&id) {
                    // Whoever does not wait any more does not want to know.
                    let _ = asker.send(result);
                }
            }
            Ok(Some(report)) => {
                if tell.send(report).is_err() {
                    // Nobody wants to hear of the container; answers still come.
                }
            }
            Ok(None) => break,
            Err(error) => tracing::warn!("{error}"),
        }
    }
    lock(&waiting).clear();
}
