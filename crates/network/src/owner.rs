//! The owner of one network: the task that admits operations and publishes what readers see.
//!
//! It awaits nothing but its two mailboxes. An operation is a task of its own (`sequence`, `port`) that reports back;
//! so a destroy is heard while a start's hook hangs (R95), and ports are counted while other ports' hooks run (R90).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ferrovirt_hook::{Driver, Engine, Origin};
use ferrovirt_model::Uuid;
use ferrovirt_model::network::{Network, NetworkPort};
use ferrovirt_sys::process::ProcessId;
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::Snapshot;
use crate::dnsmasq::Dnsmasq;
use crate::error::{Error, Result};
use crate::event::What;
use crate::handle::NetworkHandle;
use crate::request::{Reply, Report, Reports, Request};
use crate::sequence::{Live, Way};
use crate::shared::Shared;
use crate::slots::Slots;
use crate::status::{Journal, Status};

mod ports;

/// In what state a network is.
enum State {
    /// Off.
    Inactive,
    /// On its way up.
    Starting {
        doc: Arc<Network>,
        up: bool,
        journal: Journal,
        cancel: CancellationToken,
        reply: Reply<()>,
        /// Who asked meanwhile for its end (R95).
        destroyer: Option<Reply<()>>,
    },
    /// Up.
    Active(Live),
    /// On its way down.
    Ending {
        doc: Arc<Network>,
        up: bool,
        reply: Option<Reply<()>>,
    },
}

/// With what an owner begins.
pub(crate) enum Begin {
    /// Off.
    Inactive,
    /// Up: taken over from a daemon before, with its ports.
    Active(Live, Vec<NetworkPort>),
    /// Half way: to be undone (R96), with its ports; `done` is told when it is.
    Undo {
        way: Undo,
        ports: Vec<NetworkPort>,
        done: Reply<()>,
    },
}

/// What a daemon before left half way.
pub(crate) struct Undo {
    /// The live document.
    pub(crate) network: Arc<Network>,
    /// Its status file.
    pub(crate) journal: Journal,
    /// Who held the script that ran.
    pub(crate) orphan: Option<ProcessId>,
    /// Whether any script was called.
    pub(crate) call_stopped: bool,
}

/// The owner of one network.
pub(crate) struct Owner {
    shared: Arc<Shared>,
    name: String,
    uuid: Uuid,
    config: Option<Arc<Network>>,
    autostart: bool,
    state: State,
    slots: Slots,
    ports_wanted: Option<oneshot::Sender<Vec<Arc<NetworkPort>>>>,
    reports: Reports,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Who listens believes that it is up.
    announced: bool,
    /// Set when nothing is left to own.
    gone: bool,
}

impl Owner {
    /// Starts the task of a network that is called and numbered as `doc` says; the handle is its door.
    pub(crate) fn spawn(
        shared: Arc<Shared>,
        doc: &Network,
        config: Option<Arc<Network>>,
        autostart: bool,
        begin: Begin,
    ) -> NetworkHandle {
        let (requests, inbox) = mpsc::channel(64);
        let (reports, outcomes) = mpsc::unbounded_channel();
        let mut owner = Owner {
            name: doc.name.clone(),
            uuid: doc.uuid.unwrap_or_else(Uuid::random),
            config,
            autostart,
            state: State::Inactive,
            slots: Slots::default(),
            ports_wanted: None,
            reports: Reports(reports),
            snapshot: watch::Sender::new(Arc::new(empty_snapshot(doc))),
            announced: false,
            gone: false,
            shared: shared.clone(),
        };
        match begin {
            Begin::Inactive => {}
            Begin::Active(live, ports) => {
                owner.slots = Slots::taken_over(ports);
                owner.announced = true;
                owner.state = State::Active(live);
            }
            Begin::Undo { way, ports, done } => {
                owner.slots = Slots::taken_over(ports);
                let Undo {
                    network,
                    journal,
                    orphan,
                    call_stopped,
                } = way;
                let way = owner.way(network, journal, Origin::client());
                owner.end(
                    Way {
                        orphan,
                        call_stopped,
                        ..way
                    },
                    Some(done),
                );
            }
        }
        owner.publish();
        let handle = NetworkHandle::new(shared, requests, owner.snapshot.subscribe());
        tokio::spawn(owner.run(inbox, outcomes));
        handle
    }

    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Request>,
        mut outcomes: mpsc::UnboundedReceiver<Report>,
    ) {
        while !self.gone {
            tokio::select! {
                biased;
                // The owner holds a sender itself, so this never ends.
                Some(report) = outcomes.recv() => self.report(report),
                request = inbox.recv() => match request {
                    Some(request) => self.request(request),
                    // No handle is left: the daemon is going down.
                    None => break,
                },
            }
            self.publish();
        }
        // Who asks from now on hears that there is no such network.
        inbox.close();
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Start { doc, origin, reply } => self.admit_start(doc, origin, reply),
            Request::Destroy { origin, reply } => self.admit_destroy(origin, reply),
            Request::SetConfig { config, reply } => {
                self.autostart &= config.is_some();
                self.config = config;
                self.leave_if_over();
                // Whoever has an answer sees in the picture what it says.
                self.publish();
                let _ = reply.send(Ok(()));
            }
            Request::SetAutostart { autostart, reply } => {
                self.autostart = autostart;
                self.publish();
                let _ = reply.send(Ok(()));
            }
            Request::Leave { reply } => {
                self.leave_if_over();
                let _ = reply.send(Ok(()));
            }
            Request::CreatePort { request, call, reply } => self.admit_port(request, call, reply),
            Request::DeletePort { uuid, call, reply } => self.admit_port_end(uuid, call, reply),
        }
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Up(network) => {
                if let State::Starting { doc, up, .. } = &mut self.state {
                    *doc = network;
                    *up = true;
                }
            }
            Report::Started(result) => self.started(result),
            Report::TakePorts(wanted) => {
                self.ports_wanted = Some(wanted);
                self.give_ports();
            }
            Report::Down => {
                self.slots = Slots::default();
                match &mut self.state {
                    State::Starting { up, .. } | State::Ending { up, .. } => *up = false,
                    State::Inactive | State::Active(_) => {}
                }
            }
            Report::Ended => self.ended(),
            Report::PortMade { uuid, result, reply } => {
                let answer = result.and_then(|()| {
                    self.slots
                        .made(&uuid)
                        .ok_or_else(|| Error::Internal("the port is not known any more".to_owned()))
                });
                if answer.is_err() {
                    self.slots.gone(&uuid);
                }
                self.publish();
                let _ = reply.send(answer);
                self.give_ports();
            }
            Report::PortGone { uuid, reply } => {
                self.slots.gone(&uuid);
                self.publish();
                let _ = reply.send(Ok(()));
                self.give_ports();
            }
        }
    }

    fn admit_start(&mut self, doc: Option<Arc<Network>>, origin: Origin, reply: Reply<()>) {
        let refusal = match &self.state {
            State::Inactive => None,
            State::Active(_) => Some(Error::Invalid(match doc {
                // As `net-create` says it.
                Some(_) => format!("network is already active as '{}'", self.name),
                None => "network is already active".to_owned(),
            })),
            State::Starting { .. } => Some(self.busy("is being started")),
            State::Ending { .. } => Some(self.busy("is being stopped")),
        };
        if let Some(refusal) = refusal {
            let _ = reply.send(Err(refusal));
            return;
        }
        let Some(doc) = doc.or_else(|| self.config.clone()) else {
            let _ = reply.send(Err(Error::Internal(format!(
                "network '{}' has no definition",
                self.name
            ))));
            self.leave_if_over();
            return;
        };
        let cancel = CancellationToken::new();
        let journal = Journal::new(
            self.shared.config.status_file(&self.name),
            Status::new((*doc).clone()),
        );
        let way = self.way(doc.clone(), journal.clone(), origin);
        let way = Way {
            cancel: cancel.clone(),
            ..way
        };
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let result = AssertUnwindSafe(way.recorded("net-start").start())
                .catch_unwind()
                .await;
            let result = result.unwrap_or_else(|_| Err(Error::Internal("the start was given up".to_owned())));
            reports.send(Report::Started(result));
        });
        self.state = State::Starting {
            doc,
            up: false,
            journal,
            cancel,
            reply,
            destroyer: None,
        };
    }

    fn started(&mut self, result: Result<Live>) {
        let State::Starting {
            doc,
            journal,
            reply,
            destroyer,
            ..
        } = std::mem::replace(&mut self.state, State::Inactive)
        else {
            return;
        };
        match (result, destroyer) {
            (Ok(live), None) => {
                self.state = State::Active(live);
                self.publish();
                self.announce_start();
                let _ = reply.send(Ok(()));
            }
            (Ok(live), Some(destroyer)) => {
                // It was up before the destroy was heard: it ends as any other.
                self.announce_start();
                let _ = reply.send(Ok(()));
                self.end_live(live, Origin::client(), destroyer);
            }
            (Err(Error::Internal(text)), destroyer) if journal.exists() => {
                // A start that was given up half way has not undone itself.
                let _ = reply.send(Err(Error::Internal(text)));
                self.end(self.way(doc, journal, Origin::client()), destroyer);
            }
            (Err(error), destroyer) => {
                self.leave_if_over();
                self.publish();
                let _ = reply.send(Err(error));
                if let Some(destroyer) = destroyer {
                    let _ = destroyer.send(Ok(()));
                }
            }
        }
    }

    fn admit_destroy(&mut self, origin: Origin, reply: Reply<()>) {
        match std::mem::replace(&mut self.state, State::Inactive) {
            State::Inactive => {
                let text = format!("network '{}' is not active", self.name);
                let _ = reply.send(Err(Error::Invalid(text)));
            }
            State::Starting {
                doc,
                up,
                journal,
                cancel,
                reply: starter,
                destroyer: None,
            } => {
                cancel.cancel();
                self.state = State::Starting {
                    doc,
                    up,
                    journal,
                    cancel,
                    reply: starter,
                    destroyer: Some(reply),
                };
            }
            State::Active(live) => {
                self.slots.cancel();
                self.end_live(live, origin, reply);
            }
            state @ (State::Starting { .. } | State::Ending { .. }) => {
                self.state = state;
                let _ = reply.send(Err(self.busy("is being stopped")));
            }
        }
    }

    fn end_live(&mut self, live: Live, origin: Origin, reply: Reply<()>) {
        let Live {
            network,
            journal,
            supervisor,
        } = live;
        let way = Way {
            supervisor,
            ..self.way(network, journal, origin)
        };
        self.end(way, Some(reply));
    }

    /// Begins the way down.
    fn end(&mut self, way: Way, reply: Option<Reply<()>>) {
        // Nobody waits for the end of what a daemon before left.
        let kind = match way.orphan.is_some() || !way.call_stopped {
            true => "net-end",
            false => "net-destroy",
        };
        let doc = way.network.clone();
        let reports = self.reports.clone();
        tokio::spawn(async move {
            if AssertUnwindSafe(way.recorded(kind).end())
                .catch_unwind()
                .await
                .is_err()
            {
                tracing::error!(
                    "the end of a network was given up; its status file is left for the next daemon"
                );
            }
            reports.send(Report::Ended);
        });
        self.state = State::Ending { doc, up: true, reply };
    }

    fn ended(&mut self) {
        let State::Ending { reply, .. } = std::mem::replace(&mut self.state, State::Inactive) else {
            return;
        };
        self.slots = Slots::default();
        self.leave_if_over();
        self.publish();
        if std::mem::take(&mut self.announced) {
            self.shared.announce(&self.name, self.uuid, What::Stopped);
        }
        if let Some(reply) = reply {
            let _ = reply.send(Ok(()));
        }
    }

    /// A start that fails is never told of, nor is its end.
    fn announce_start(&mut self) {
        self.announced = true;
        self.shared.announce(&self.name, self.uuid, What::Started);
    }

    fn way(&self, network: Arc<Network>, journal: Journal, origin: Origin) -> Way {
        Way {
            shared: self.shared.clone(),
            network,
            journal,
            origin,
            cancel: CancellationToken::new(),
            reports: self.reports.clone(),
            supervisor: None,
            orphan: None,
            call_stopped: true,
            operation: None,
        }
    }

    /// A network that is off and has no definition is over.
    fn leave_if_over(&mut self) {
        if self.config.is_some() || !matches!(self.state, State::Inactive) {
            return;
        }
        self.gone = true;
        let snapshot = self.snapshot.borrow().clone();
        self.shared.forget(&snapshot);
        if let Some(bridge) = &snapshot.bridge {
            let dnsmasq = Dnsmasq::new(&self.shared.config, &self.name, bridge);
            tokio::spawn(async move { dnsmasq.forget().await });
        }
    }

    /// Who holds the network, with the hook that runs.
    fn busy(&self, what: &str) -> Error {
        Error::Busy(busy_text(&self.shared.engine, &self.name, what))
    }

    fn publish(&self) {
        let (live, up, busy) = match &self.state {
            State::Inactive => (None, false, None),
            State::Starting { doc, up, .. } => (Some(doc.clone()), *up, Some("is being started")),
            State::Active(live) => (Some(live.network.clone()), true, None),
            State::Ending { doc, up, .. } => (Some(doc.clone()), *up, Some("is being stopped")),
        };
        let shown = live.as_ref().or(self.config.as_ref());
        let before = self.snapshot.borrow().bridge.clone();
        let snapshot = Snapshot {
            name: self.name.clone(),
            uuid: self.uuid,
            active: up,
            persistent: self.config.is_some(),
            autostart: self.autostart,
            bridge: shown.map_or(before, |doc| doc.bridge_name().map(str::to_owned)),
            live,
            config: self.config.clone(),
            ports: self.slots.present(),
            busy: busy.map(str::to_owned),
        };
        self.snapshot.send_replace(Arc::new(snapshot));
    }
}

/// Says who holds a network: what is being done to it, and which hook runs.
fn busy_text(engine: &Engine, network: &str, what: &str) -> String {
    let hooks = engine.running();
    let hook = hooks
        .iter()
        .find(|hook| hook.event.driver() == Driver::Network && hook.event.object() == network);
    match hook {
        Some(hook) => {
            format!(
                "network '{network}' {what}: hook {} ({}) is running",
                hook.script.display(),
                hook.event
            )
        }
        None => format!("network '{network}' {what}"),
    }
}

fn empty_snapshot(doc: &Network) -> Snapshot {
    Snapshot {
        name: doc.name.clone(),
        uuid: doc.uuid.unwrap_or_else(Uuid::random),
        active: false,
        persistent: false,
        autostart: false,
        bridge: doc.bridge_name().map(str::to_owned),
        live: None,
        config: None,
        ports: Vec::new(),
        busy: None,
    }
}
