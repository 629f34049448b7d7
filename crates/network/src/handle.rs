//! The door to one network.

use std::sync::Arc;

use ferrovirt_hook::{CallJournal, NetworkOperation, Origin};
use ferrovirt_model::network::{Network, NetworkPort};
use ferrovirt_model::{MacAddress, Uuid};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::dnsmasq::Dnsmasq;
use crate::error::{Error, Result};
use crate::event::What;
use crate::lease::Book;
use crate::port::PortCall;
use crate::request::{Reply, Request};
use crate::sequence::object;
use crate::shared::Shared;
use crate::{Lease, PortRequest, Snapshot, store};

/// One network. Cheap to clone; stays usable (with `NoNetwork`) after the network is gone.
#[derive(Clone)]
pub struct NetworkHandle {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

impl NetworkHandle {
    pub(crate) fn new(
        shared: Arc<Shared>,
        requests: mpsc::Sender<Request>,
        snapshot: watch::Receiver<Arc<Snapshot>>,
    ) -> NetworkHandle {
        NetworkHandle {
            shared,
            requests,
            snapshot,
        }
    }

    /// The picture of this moment; never waits (R90).
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Told of each new picture.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// Starts it (R70, R71).
    ///
    /// # Errors
    /// `Invalid` when it is active; `Hook`, `Cancelled`, or what failed; then everything is undone, `stopped` too.
    pub async fn start(&self, origin: Origin) -> Result<()> {
        self.start_as(None, origin).await
    }

    /// Starts it with `doc` in the place of its definition.
    pub(crate) async fn start_as(&self, doc: Option<Arc<Network>>, origin: Origin) -> Result<()> {
        self.not_from_its_own_hook(&origin)?;
        if !self.shared.config.privileged {
            return Err(not_privileged());
        }
        self.ask(|reply| Request::Start { doc, origin, reply }).await
    }

    /// Ends it (R72), and also a start whose hook hangs (R95). Ports that are lost are deleted with their hook (R75).
    ///
    /// # Errors
    /// `Invalid` when it is not active; `Busy` when it is being ended already.
    pub async fn destroy(&self, origin: Origin) -> Result<()> {
        self.not_from_its_own_hook(&origin)?;
        self.ask(|reply| Request::Destroy { origin, reply }).await
    }

    /// Forgets the definition; a running network becomes transient.
    ///
    /// # Errors
    /// `Invalid` for a transient network.
    pub async fn undefine(&self, origin: Origin) -> Result<()> {
        self.not_from_its_own_hook(&origin)?;
        let _turn = self.shared.definitions.lock().await;
        let snapshot = self.snapshot();
        if !snapshot.persistent {
            return Err(Error::Invalid("can't undefine transient network".to_owned()));
        }
        store::remove_definition(&self.shared.config, &snapshot.name)?;
        self.ask(|reply| Request::SetConfig { config: None, reply })
            .await?;
        self.shared
            .announce(&snapshot.name, snapshot.uuid, What::Undefined);
        if let Some(config) = &snapshot.config {
            self.shared.tell(NetworkOperation::Undefined, config);
        }
        Ok(())
    }

    /// Marks it to be started with the daemon, or not.
    ///
    /// # Errors
    /// `Invalid` for a transient network.
    pub async fn set_autostart(&self, autostart: bool, origin: Origin) -> Result<()> {
        self.not_from_its_own_hook(&origin)?;
        let _turn = self.shared.definitions.lock().await;
        let snapshot = self.snapshot();
        if !snapshot.persistent {
            return Err(Error::Invalid(
                "cannot set autostart for transient network".to_owned(),
            ));
        }
        if snapshot.autostart != autostart {
            store::set_autostart(&self.shared.config, &snapshot.name, autostart)?;
        }
        self.ask(|reply| Request::SetAutostart { autostart, reply }).await
    }

    /// The definition on disk is now this one.
    pub(crate) async fn set_config(&self, config: Arc<Network>) -> Result<()> {
        self.ask(|reply| Request::SetConfig {
            config: Some(config),
            reply,
        })
        .await
    }

    /// The start that the network was made for was refused: nothing is left of it, unless it has become something
    /// meanwhile.
    pub(crate) async fn leave_if_never_started(&self) {
        // An error says that it is gone already.
        let _ = self.ask(|reply| Request::Leave { reply }).await;
    }

    /// The leases that have not ended, of one hardware address or of all.
    ///
    /// # Errors
    /// `File` when they cannot be read.
    pub async fn leases(&self, mac: Option<MacAddress>) -> Result<Vec<Lease>> {
        let snapshot = self.snapshot();
        let Some(network) = snapshot.live.clone().or_else(|| snapshot.config.clone()) else {
            return Ok(Vec::new());
        };
        let Some(bridge) = network.bridge_name().filter(|_| network.makes_bridge()) else {
            return Ok(Vec::new());
        };
        let path = Dnsmasq::new(&self.shared.config, &network.name, bridge)
            .leases()
            .to_owned();
        let book = store::blocking(path, "read", Book::read)?;
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Ok(book.leases(&network, mac, i64::try_from(since.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Makes a port for a guest's interface (R73). `origin` carries the guest that waits; `cancel` ends the hook
    /// (R95); `journal` is told of the hook's keeper.
    ///
    /// # Errors
    /// `Hook` when the script says no (there is no port then), `Invalid` when the network is not active.
    pub async fn create_port(
        &self,
        request: PortRequest,
        origin: Origin,
        cancel: CancellationToken,
        journal: Option<Arc<dyn CallJournal>>,
    ) -> Result<Arc<NetworkPort>> {
        let call = PortCall {
            origin,
            cancel,
            journal,
        };
        self.ask(|reply| Request::CreatePort { request, call, reply })
            .await
    }

    /// Takes a port away and calls its hook (R74), whose failure is logged only.
    ///
    /// # Errors
    /// `NoPort` when there is none with this id.
    pub async fn delete_port(&self, uuid: Uuid, origin: Origin) -> Result<()> {
        let call = PortCall {
            origin,
            cancel: CancellationToken::new(),
            journal: None,
        };
        self.ask(|reply| Request::DeletePort { uuid, call, reply }).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    fn gone(&self) -> Error {
        Error::NoNetwork(format!(
            "no network with matching name '{}'",
            self.snapshot().name
        ))
    }

    /// R91: what waits for a hook of this network would wait for ever.
    fn not_from_its_own_hook(&self, origin: &Origin) -> Result<()> {
        let name = &self.snapshot().name;
        refuse_from_hook(name, origin)
    }
}

/// R91: refuses to change the network from inside a hook that its operation waits for.
pub(crate) fn refuse_from_hook(name: &str, origin: &Origin) -> Result<()> {
    match origin.waiting_for(&object(name)) {
        None => Ok(()),
        Some(hook) => Err(Error::Busy(format!(
            "network '{name}' cannot be changed from inside hook {hook}, for which an operation on it waits"
        ))),
    }
}

/// What an ordinary user's daemon cannot do.
fn not_privileged() -> Error {
    Error::Denied(
        "networks are started by the system daemon (qemu:///system): an ordinary user's daemon may not change the \
         host's network"
            .to_owned(),
    )
}
