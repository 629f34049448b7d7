//! The life of a network, once, from top to bottom.
//!
//! ```text
//! start:  `start` hook │ bridge, addresses, DHCP and DNS, packet filter │ `started` hook │ up
//! end:    DHCP and DNS, packet filter, bridge away │ `port-deleted` of lost ports │ `stopped` hook │ off
//! ```
//!
//! A failure anywhere in a start takes the way of an end. Before each step that leaves something behind the status
//! file says so (see `status`); what is undone follows from the document alone and does no harm when there is
//! nothing, so the next daemon undoes in the same way what this one leaves unfinished (R96). Between steps the way up
//! looks whether it was cancelled (R95); the way down cannot be.

use std::sync::Arc;
use std::time::SystemTime;

use ferrovirt_hook::history::{OperationEnd, OperationStart};
use ferrovirt_hook::{Call, CallJournal, HookEvent, NetworkOperation, Object, Operation, Origin};
use ferrovirt_model::network::{ForwardMode, NatPorts, Network, NetworkPort};
use ferrovirt_sys::process::ProcessId;
use tokio_util::sync::CancellationToken;

use crate::dnsmasq::{self, Dnsmasq, Supervisor};
use crate::document::hook_data;
use crate::error::{Error, Result};
use crate::request::Reports;
use crate::shared::Shared;
use crate::status::{Journal, Phase};
use crate::{bridge, firewall, store};

/// A network that is up.
#[derive(Debug)]
pub(crate) struct Live {
    /// The live document.
    pub(crate) network: Arc<Network>,
    /// Its status file.
    pub(crate) journal: Journal,
    /// Who watches its dnsmasq, where it has one.
    pub(crate) supervisor: Option<Supervisor>,
}

/// One way of a network, up or down.
pub(crate) struct Way {
    pub(crate) shared: Arc<Shared>,
    pub(crate) network: Arc<Network>,
    pub(crate) journal: Journal,
    pub(crate) origin: Origin,
    /// Ends a start; an end has nobody to cancel it.
    pub(crate) cancel: CancellationToken,
    /// The owner, which publishes how far it is.
    pub(crate) reports: Reports,
    pub(crate) supervisor: Option<Supervisor>,
    /// Who held the script that a daemon before left running (R96).
    pub(crate) orphan: Option<ProcessId>,
    /// Whether `stopped` is called at the end: not where no script was called for the start.
    pub(crate) call_stopped: bool,
    /// Its place in the history.
    pub(crate) operation: Option<Operation>,
}

/// The object that a hook's caller may not change (R91).
pub(crate) fn object(network: &str) -> Object {
    Object::new(ferrovirt_hook::Driver::Network, network)
}

/// For rules that name the network by its uuid.
pub(crate) fn uuid_text(network: &Network) -> Option<Arc<str>> {
    network.uuid.map(|uuid| uuid.to_string().into())
}

impl Way {
    /// The same, as an operation of the history with this name.
    pub(crate) fn recorded(self, kind: &str) -> Way {
        let operation = self.shared.engine.operation(OperationStart {
            driver: ferrovirt_hook::Driver::Network,
            object: self.network.name.clone(),
            uuid: self.network.uuid.map(|uuid| uuid.to_string()),
            kind: kind.to_owned(),
            asked_by: self.origin.asked_by().clone(),
            at: SystemTime::now(),
        });
        Way {
            origin: self.origin.clone().part_of(operation.id()),
            operation: Some(operation),
            ..self
        }
    }

    fn step(&self, name: &'static str) {
        if let Some(operation) = &self.operation {
            operation.step(name);
        }
    }

    /// The way up (R70, R71).
    pub(crate) async fn start(mut self) -> Result<Live> {
        self.step("start");
        let begun = match self.journal.phase(Phase::Starting).await {
            Ok(()) => self.attempt().await,
            Err(error) => {
                close(self.operation.as_ref(), Some(&error));
                return Err(error);
            }
        };
        match begun {
            Ok(()) => {
                close(self.operation.as_ref(), None);
                Ok(Live {
                    network: self.network,
                    journal: self.journal,
                    supervisor: self.supervisor,
                })
            }
            Err(error) => {
                self.undo(Some(&error)).await;
                Err(error)
            }
        }
    }

    async fn attempt(&mut self) -> Result<()> {
        self.hook(NetworkOperation::Start).await?;
        self.go_on()?;
        self.complete();
        self.step("resources");
        self.bring_up().await?;
        self.reports.up(self.network.clone());
        self.step("started");
        self.hook(NetworkOperation::Started).await?;
        self.go_on()?;
        let network = (*self.network).clone();
        self.journal
            .change(|status| {
                status.network = network;
                status.ferrovirt.get_or_insert_default().phase = Phase::Active;
            })
            .await
    }

    /// The way down (R72), from wherever it was.
    pub(crate) async fn end(self) {
        self.undo(None).await;
    }

    /// The way down, after this failure.
    async fn undo(mut self, failure: Option<&Error>) {
        // A hook that hangs here is named to whoever asks again; nothing ends it but its own end.
        self.cancel = CancellationToken::new();
        if let Err(error) = self.journal.phase(Phase::Ending).await {
            tracing::error!("{error}");
        }
        if let Some(orphan) = self.orphan {
            self.shared.engine.end_orphan(orphan).await;
        }
        self.step("take-down");
        self.take_down().await;
        self.step("unplug");
        for (left, port) in lost_ports(self.reports.take_ports().await) {
            self.delete_port(&port, left).await;
        }
        self.reports.down();
        self.step("stopped");
        if self.call_stopped && self.hook(NetworkOperation::Stopped).await.is_err() {
            tracing::debug!(
                "`stopped` of network '{}' failed, which changes nothing",
                self.network.name
            );
        }
        store::remove_ports_dir(&self.shared.config, &self.network.name);
        if let Err(error) = self.journal.close().await {
            tracing::error!("{error}");
        }
        self.shared.release(&self.network.name);
        close(self.operation.as_ref(), failure);
    }

    /// What the document leaves open until the network starts.
    fn complete(&mut self) {
        if self.network.mode() != ForwardMode::Nat {
            return;
        }
        let network = Arc::make_mut(&mut self.network);
        let forward = network.forward.get_or_insert_default();
        let nat = forward.nat.get_or_insert_default();
        nat.port.get_or_insert(NatPorts {
            start: 1024,
            end: 65535,
        });
    }

    /// Makes all that the network is. What waits for the kernel and what waits for dnsmasq go side by side.
    async fn bring_up(&mut self) -> Result<()> {
        if !self.network.makes_bridge() {
            return Ok(());
        }
        let network = self.network.clone();
        let bridge = bridge_of(&network)?;
        self.shared.reserve(&network, bridge)?;
        let served = async {
            bridge::bring_up(self.shared.links()?, &network, bridge).await?;
            self.go_on()?;
            if !dnsmasq::is_needed(&network) {
                return Ok(None);
            }
            let dnsmasq = Dnsmasq::new(&self.shared.config, &network.name, bridge);
            let id = dnsmasq.start(&network).await?;
            Ok(Some(Supervisor::start(dnsmasq, network.clone(), Some(id))))
        };
        let ruled = async {
            if firewall::has_rules(&network) {
                self.shared
                    .firewall()
                    .apply(firewall::batch(&network, bridge))
                    .await?;
            }
            Ok(())
        };
        let (served, ruled): (Result<_>, Result<()>) = tokio::join!(served, ruled);
        self.supervisor = match served {
            Ok(supervisor) => supervisor,
            Err(error) => return Err(error),
        };
        ruled
    }

    /// Undoes [`Way::bring_up`], however far it came. Never fails: what cannot be undone is a line in the log.
    async fn take_down(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.stop().await;
        }
        let network = &*self.network;
        let Some(bridge) = network.bridge_name().filter(|_| network.makes_bridge()) else {
            return;
        };
        let served = async {
            if dnsmasq::is_needed(network) {
                Dnsmasq::new(&self.shared.config, &network.name, bridge)
                    .stop()
                    .await;
            }
            Ok(())
        };
        let ruled = async {
            match firewall::has_rules(network) {
                true => {
                    self.shared
                        .firewall()
                        .apply(firewall::removal(&network.name))
                        .await
                }
                false => Ok(()),
            }
        };
        let linked = async { bridge::take_down(self.shared.links()?, network, bridge).await };
        let (served, ruled, linked): (Result<()>, Result<()>, Result<()>) =
            tokio::join!(served, ruled, linked);
        for error in [served, ruled, linked].into_iter().filter_map(Result::err) {
            tracing::error!("network '{}' is not undone whole: {error}", network.name);
        }
    }

    /// Calls one of the network's own hooks.
    async fn hook(&self, operation: NetworkOperation) -> Result<()> {
        let document = hook_data(&self.network, 0, None);
        self.call(operation, document).await
    }

    /// Takes a lost port away with its hook (R75), whose failure changes nothing. `left` ports stay.
    async fn delete_port(&self, port: &NetworkPort, left: usize) {
        let document = hook_data(&self.network, left, Some(port));
        if let Err(error) = self.call(NetworkOperation::PortDeleted, document).await {
            tracing::debug!("{error}");
        }
        if let Err(error) = store::remove(self.shared.config.port_file(&self.network.name, &port.uuid)) {
            tracing::warn!("{error}");
        }
    }

    async fn call(&self, operation: NetworkOperation, document: Arc<str>) -> Result<()> {
        let journal: Arc<dyn CallJournal> = Arc::new(self.journal.clone());
        let event = HookEvent::network(&self.network.name, operation);
        let call = Call {
            origin: self.origin.with(object(&self.network.name)),
            uuid: uuid_text(&self.network),
            cancel: self.cancel.clone(),
            journal: Some(journal),
            ..Call::new(event, Some(document))
        };
        let report = self.shared.engine.call(call).await.map_err(Error::Hook)?;
        if !report.runs.is_empty() {
            self.journal.taint();
        }
        Ok(())
    }

    /// Whether the way up goes on (R95).
    fn go_on(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled(format!(
                "network '{}' was destroyed while it was being started",
                self.network.name
            )));
        }
        Ok(())
    }
}

/// The operation is over.
fn close(operation: Option<&Operation>, failure: Option<&Error>) {
    if let Some(operation) = operation {
        operation.end(OperationEnd {
            at: SystemTime::now(),
            failure: failure.map(ToString::to_string),
            reason: None,
            hypervisor_log: None,
        });
    }
}

/// Ports in the order in which they were made, each with how many are left after it.
fn lost_ports(ports: Vec<Arc<NetworkPort>>) -> impl Iterator<Item = (usize, Arc<NetworkPort>)> {
    let count = ports.len();
    ports
        .into_iter()
        .enumerate()
        .map(move |(position, port)| (count - position - 1, port))
}

/// The bridge of a network that makes one: a definition without a name gets one.
pub(crate) fn bridge_of(network: &Network) -> Result<&str> {
    network
        .bridge_name()
        .ok_or_else(|| Error::Internal(format!("network '{}' has no bridge name", network.name)))
}
