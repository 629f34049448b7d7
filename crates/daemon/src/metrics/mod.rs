//! Numbers for Prometheus, off by default; `docs/metrics.md` names them all.
//!
//! * `calls`: calls of clients, counted where they are answered; `runs`: hooks, counted as the history tells of them
//! * `histogram`: durations; `scrape`: everything at one moment, as text
//!
//! What can be looked up (guests, networks, running hooks) is looked up when somebody asks.

mod calls;
mod histogram;
mod runs;
mod scrape;

use std::path::Path;
use std::sync::Arc;

use ferrovirt_guest::State;
use ferrovirt_hook::history::History;
use hyper::StatusCode;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use calls::Calls;

use crate::host::Host;
use crate::page::door::{self, Answer, Desk, Opened};
use crate::page::now;
use crate::settings::own;
use runs::Runs;
use scrape::{HistoryPicture, Scrape};

/// The format, as Prometheus wants to be told.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// What is counted while the daemon lives. There is none when metrics are off, and nothing is counted then.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) calls: Arc<Calls>,
    runs: Arc<Runs>,
}

impl Metrics {
    /// Begins to count, if the settings ask for it. Needs a runtime around it.
    pub fn begin(settings: &own::Metrics, history: &History) -> Option<Metrics> {
        settings.listen.as_ref()?;
        Some(Metrics {
            calls: Arc::new(Calls::new()),
            runs: Runs::follow(history),
        })
    }
}

/// Begins to serve what is counted. Guests do not depend on it: an address that cannot be had is said in the log, and
/// that is all.
pub async fn start(host: &Arc<Host>, stop: CancellationToken) -> Option<JoinHandle<()>> {
    let listen = host.settings.own.metrics.listen.as_ref()?;
    let metrics = host.metrics.clone()?;
    let opened = match Opened::new(listen).await {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!("there are no metrics: {error}");
            return None;
        }
    };
    tracing::info!("metrics on {listen}");
    let office = Office {
        host: Arc::clone(host),
        metrics,
    };
    Some(tokio::spawn(door::serve(opened, Arc::new(office), stop)))
}

/// Where scrapes are answered.
struct Office {
    host: Arc<Host>,
    metrics: Metrics,
}

impl Desk for Office {
    fn answer(&self, path: &str) -> Answer {
        match path {
            "/metrics" => Answer {
                status: StatusCode::OK,
                kind: OPENMETRICS,
                body: self.scrape().text(),
            },
            _ => self.refuse(StatusCode::NOT_FOUND),
        }
    }

    fn refuse(&self, status: StatusCode) -> Answer {
        Answer {
            status,
            kind: PLAIN,
            body: format!(
                "{status}: the metrics are at /metrics, for GET, and for this machine's own names\n"
            ),
        }
    }
}

impl Office {
    fn scrape(&self) -> Scrape {
        let host = &self.host;
        let hooks = host.engine.running();
        let guests: Vec<_> = host.guests.all().flat_map(|set| set.list()).collect();
        let networks = host.networks.list();
        let in_state = |state: &State| guests.iter().filter(|guest| guest.state == *state).count();
        let networks_active = networks.iter().filter(|network| network.active).count();
        let history = host.engine.history();
        Scrape {
            runs: Arc::clone(&self.metrics.runs),
            hooks_running: hooks.len(),
            hooks_late: hooks.iter().filter(|hook| hook.late).count(),
            hooks_waiting: hooks.iter().filter(|hook| hook.waits_for.is_some()).count(),
            guests: State::ALL
                .iter()
                .map(|state| (state.as_str(), in_state(state)))
                .collect(),
            networks_active,
            networks_inactive: networks.len() - networks_active,
            clients: host.clients.count(),
            calls: self.metrics.calls.pictures(),
            history: history.path().map(|path| HistoryPicture {
                lost: history.lost(),
                bytes: size(path),
            }),
            began: now::own_start(),
        }
    }
}

/// The file and the log beside it.
fn size(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
    length(path) + length(Path::new(&log))
}
