//! A network's dnsmasq is started again when it dies, with a growing pause between attempts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrovirt_model::network::Network;
use ferrovirt_sys::pidfd::PidFd;
use ferrovirt_sys::process::ProcessId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Dnsmasq;

/// Pause after the first death.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What has served this long has not died of what killed the one before.
const LONG_ENOUGH: Duration = Duration::from_secs(60);

/// The task that watches one dnsmasq.
#[derive(Debug)]
pub(crate) struct Supervisor {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Watches the process `id`; without one, starts it first.
    pub(crate) fn start(dnsmasq: Dnsmasq, network: Arc<Network>, id: Option<ProcessId>) -> Supervisor {
        let stop = CancellationToken::new();
        let task = tokio::spawn(watch(dnsmasq, network, id, stop.clone()));
        Supervisor { stop, task }
    }

    /// Stops watching; returns when no attempt to start it is under way.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!("the supervision of a dnsmasq was given up: {error}");
        }
    }
}

async fn watch(dnsmasq: Dnsmasq, network: Arc<Network>, mut id: Option<ProcessId>, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    let mut since = Instant::now();
    loop {
        if let Some(serving) = id {
            tokio::select! {
                () = stop.cancelled() => return,
                () = end_of(serving) => {}
            }
            if since.elapsed() > LONG_ENOUGH {
                pause = FIRST_PAUSE;
            }
            tracing::warn!(
                "dnsmasq of network '{}' has ended; it is started again",
                network.name
            );
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        since = Instant::now();
        id = match dnsmasq.start(&network).await {
            Ok(id) => Some(id),
            Err(error) => {
                tracing::error!("{error}");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                None
            }
        };
    }
}

/// Waits until the process has ended.
async fn end_of(id: ProcessId) {
    if let Ok(pidfd) = PidFd::open(id) {
        pidfd.exited().await;
    }
}
