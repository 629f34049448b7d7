//! The daemon's end of the talk with a controller.
//!
//! ```text
//! let (controller, mut events) = Controller::connect(&path, patience).await?;
//! controller.hello();                       // how far the container is
//! events.recv().await;                      // Cloned, Running, …; None: the controller is gone
//! controller.ask(Ask::Go, patience).await?; // its answer
//! ```

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::{Framed, LinesCodec};

use crate::protocol::{Ask, Ending, Failure, Hello, LONGEST_LINE, Report, Request};

/// What a controller says by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Init's process is there and waits for [`Ask::Go`].
    Cloned {
        /// Its number.
        init: i32,
    },
    /// Init was executed.
    Running,
    /// It does not start; nothing is left.
    Failed(Failure),
    /// Everything in the container is gone.
    Ended(Ending),
}

/// Why a controller did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It tried and failed.
    #[error("{0}")]
    Refused(Failure),
    /// It is gone, or another daemon has taken its place at the other end.
    #[error("the container's controller is gone")]
    Gone,
    /// No answer in time.
    #[error("the container's controller did not answer in time")]
    Timeout,
    /// The connection failed.
    #[error("cannot talk with the container's controller: {0}")]
    Io(#[from] io::Error),
    /// It said something that no controller says.
    #[error("the container's controller does not speak the protocol: {0}")]
    Protocol(String),
}

/// A controller that is connected. Clones mean the same connection, which lives as long as one of them, or until the
/// controller is gone.
#[derive(Debug, Clone)]
pub struct Controller {
    hello: Arc<Hello>,
    asks: mpsc::UnboundedSender<(Ask, oneshot::Sender<Result<(), Failure>>)>,
}

type Lines = Framed<UnixStream, LinesCodec>;

impl Controller {
    /// Connects to the controller that listens at `path`, and hears how far it is. The channel brings what it says from
    /// then on, in order, and ends when it is gone.
    ///
    /// # Errors
    /// [`ClientError::Io`] when nobody listens there (`ECONNREFUSED`: the controller is gone; `ENOENT`: it never was);
    /// [`ClientError::Timeout`].
    pub async fn connect(
        path: &Path,
        patience: Duration,
    ) -> Result<(Controller, mpsc::UnboundedReceiver<Event>), ClientError> {
        let until = Instant::now() + patience;
        let late = |_| ClientError::Timeout;
        let stream = timeout_at(until, UnixStream::connect(path))
            .await
            .map_err(late)??;
        let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(LONGEST_LINE));
        let hello = match timeout_at(until, next(&mut lines)).await.map_err(late)?? {
            Report::Hello(hello) => hello,
            other => return Err(ClientError::Protocol(format!("it begins with {other:?}"))),
        };
        let (asks, requests) = mpsc::unbounded_channel();
        let (events, receiver) = mpsc::unbounded_channel();
        tokio::spawn(talk(lines, requests, events));
        let controller = Controller {
            hello: Arc::new(hello),
            asks,
        };
        Ok((controller, receiver))
    }

    /// How things stood when this connection was made.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Asks for something and waits for the answer. Events that belong to it are in the channel before.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the controller's words; the others when there is no answer.
    pub async fn ask(&self, ask: Ask, patience: Duration) -> Result<(), ClientError> {
        let (answer, heard) = oneshot::channel();
        self.asks.send((ask, answer)).map_err(|_| ClientError::Gone)?;
        match tokio::time::timeout(patience, heard).await {
            Ok(Ok(result)) => result.map_err(ClientError::Refused),
            Ok(Err(_)) => Err(ClientError::Gone),
            Err(_) => Err(ClientError::Timeout),
        }
    }
}

/// The next message.
async fn next(lines: &mut Lines) -> Result<Report, ClientError> {
    match lines.next().await {
        None => Err(ClientError::Gone),
        Some(Ok(line)) => {
            serde_json::from_str(&line).map_err(|error| ClientError::Protocol(error.to_string()))
        }
        Some(Err(error)) => Err(ClientError::Protocol(error.to_string())),
    }
}

/// The task that owns the connection: until the controller is gone or nobody is interested any more. Who waits for an answer
/// then hears that there is none.
async fn talk(
    mut lines: Lines,
    mut requests: mpsc::UnboundedReceiver<(Ask, oneshot::Sender<Result<(), Failure>>)>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut waiting: HashMap<u64, oneshot::Sender<Result<(), Failure>>> = HashMap::new();
    let mut id = 0;
    loop {
        tokio::select! {
            report = next(&mut lines) => match report {
                Ok(Report::Answer { id, result }) => {
                    if let Some(answer) = waiting.remove(&id) {
                        // Who does not wait any more has his reasons.
                        let _ = answer.send(result);
                    }
                }
                Ok(report) => {
                    if let Some(event) = event(report) {
                        let _ = events.send(event);
                    }
                }
                Err(ClientError::Gone) => return,
                Err(error) => {
                    tracing::warn!("{error}");
                    return;
                }
            },
            request = requests.recv() => {
                let Some((ask, answer)) = request else { return };
                id += 1;
                waiting.insert(id, answer);
                let Ok(line) = serde_json::to_string(&Request { id, ask }) else {
                    waiting.remove(&id);
                    continue;
                };
                if lines.send(line).await.is_err() {
                    // What it said before it went is still to be read.
                    waiting.remove(&id);
                }
            }
        }
    }
}

fn event(report: Report) -> Option<Event> {
    match report {
        Report::Cloned { init } => Some(Event::Cloned { init }),
        Report::Running => Some(Event::Running),
        Report::Failed(failure) => Some(Event::Failed(failure)),
        Report::Ended(ending) => Some(Event::Ended(ending)),
        Report::Hello(_) | Report::Answer { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Phase, VERSION};
    use tokio::net::UnixListener;

    const SOON: Duration = Duration::from_secs(20);

    fn hello() -> Report {
        Report::Hello(Hello {
            version: VERSION,
            name: "c1".to_owned(),
            init: None,
            phase: Phase::Starting,
        })
    }

    async fn say(lines: &mut Lines, report: &Report) {
        lines.send(serde_json::to_string(report).unwrap()).await.unwrap();
    }

    async fn heard(lines: &mut Lines) -> Request {
        serde_json::from_str(&lines.next().await.unwrap().unwrap()).unwrap()
    }

    /// A socket, and whoever connects to it.
    async fn pair() -> (
        tempfile::TempDir,
        tokio::task::JoinHandle<Lines>,
        std::path::PathBuf,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c1.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let accepted = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut lines = Framed::new(stream, LinesCodec::new());
            say(&mut lines, &hello()).await;
            lines
        });
        (directory, accepted, path)
    }

    #[tokio::test]
    async fn answers_find_their_requests_and_events_come_in_order() {
        let (_directory, accepted, path) = pair().await;
        let (controller, mut events) = Controller::connect(&path, SOON).await.unwrap();
        assert_eq!(controller.hello().phase, Phase::Starting);
        let mut lines = accepted.await.unwrap();
        say(&mut lines, &Report::Cloned { init: 7 }).await;
        assert_eq!(events.recv().await, Some(Event::Cloned { init: 7 }));
        let other = controller.clone();
        let first = tokio::spawn(async move { other.ask(Ask::Go, SOON).await });
        let one = heard(&mut lines).await;
        let other = controller.clone();
        let second = tokio::spawn(async move { other.ask(Ask::Kill, SOON).await });
        let two = heard(&mut lines).await;
        assert_eq!((one.ask, &two.ask), (Ask::Go, &Ask::Kill));
        let refused = Failure::new("no", 0);
        say(
            &mut lines,
            &Report::Answer {
                id: two.id,
                result: Err(refused),
            },
        )
        .await;
        say(&mut lines, &Report::Running).await;
        say(
            &mut lines,
            &Report::Answer {
                id: one.id,
                result: Ok(()),
            },
        )
        .await;
        assert!(matches!(second.await.unwrap(), Err(ClientError::Refused(failure)) if failure.what == "no"));
        first.await.unwrap().unwrap();
        assert_eq!(events.try_recv().unwrap(), Event::Running);
        say(&mut lines, &Report::Ended(Ending::Reboot)).await;
        drop(lines);
        assert_eq!(events.recv().await, Some(Event::Ended(Ending::Reboot)));
        assert_eq!(events.recv().await, None);
    }

    #[tokio::test]
    async fn a_controller_that_goes_or_keeps_silent_holds_nobody() {
        let (_directory, accepted, path) = pair().await;
        let (controller, mut events) = Controller::connect(&path, SOON).await.unwrap();
        let silent = accepted.await.unwrap();
        let short = Duration::from_millis(20);
        assert!(matches!(
            controller.ask(Ask::Go, short).await,
            Err(ClientError::Timeout)
        ));
        let waiting = controller.clone();
        let waits = tokio::spawn(async move { waiting.ask(Ask::Go, SOON).await });
        drop(silent);
        assert!(matches!(waits.await.unwrap(), Err(ClientError::Gone)));
        assert_eq!(events.recv().await, None);
        assert!(matches!(
            controller.ask(Ask::Go, SOON).await,
            Err(ClientError::Gone)
        ));
    }

    #[tokio::test]
    async fn what_is_no_controller_is_told_as_such() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock");
        assert!(matches!(
            Controller::connect(&path, SOON).await,
            Err(ClientError::Io(_))
        ));
        let listener = UnixListener::bind(&path).unwrap();
        let silent = Controller::connect(&path, Duration::from_millis(20)).await;
        assert!(matches!(silent, Err(ClientError::Timeout)));
        drop(listener.accept().await.unwrap());
        let speaker = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            Framed::new(stream, LinesCodec::new())
                .send("hello there")
                .await
                .unwrap();
        });
        let error = Controller::connect(&path, SOON).await.unwrap_err();
        assert!(matches!(error, ClientError::Protocol(_)), "{error}");
        speaker.await.unwrap();
    }
}
