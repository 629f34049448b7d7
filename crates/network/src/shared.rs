//! What all networks share: settings, the doors to hooks, devices and packet filter, and the index of who is there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use ferrovirt_hook::{Aside, Call, Engine, HookEvent, NetworkOperation};
use ferrovirt_link::{Address, Links};
use ferrovirt_model::Uuid;
use ferrovirt_model::network::Network;

use crate::bridge;
use crate::document::hook_data;
use crate::error::{Error, Result};
use crate::event::{Event, Listener, What};
use crate::firewall::Firewall;
use crate::handle::NetworkHandle;
use crate::sequence::uuid_text;
use crate::{Config, Snapshot};

/// One for all networks of a daemon.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    /// Held by whoever changes which networks there are or their definitions: names, ids and bridges are unique. No
    /// read and no start waits for it.
    pub(crate) definitions: tokio::sync::Mutex<()>,
    links: OnceLock<Links>,
    firewall: OnceLock<Firewall>,
    /// Calls for rules that nobody waits for.
    line: Aside,
    listeners: RwLock<Vec<Listener>>,
    index: RwLock<BTreeMap<String, NetworkHandle>>,
    /// Bridge and subnets of networks that are up or on their way.
    subnets: Mutex<HashMap<String, (String, Vec<Address>)>>,
}

impl Shared {
    pub(crate) fn new(config: Config, engine: Engine) -> Shared {
        let line = Aside::new(&engine);
        Shared {
            config,
            engine,
            line,
            listeners: RwLock::default(),
            definitions: tokio::sync::Mutex::default(),
            links: OnceLock::new(),
            firewall: OnceLock::new(),
            index: RwLock::default(),
            subnets: Mutex::default(),
        }
    }

    /// Tells the rules that want to know what became of this network's definition.
    pub(crate) fn tell(&self, operation: NetworkOperation, network: &Network) {
        let event = HookEvent::network(&network.name, operation);
        if self.engine.wants(&event) {
            self.line.add(Call {
                uuid: uuid_text(network),
                ..Call::new(event, Some(hook_data(network, 0, None)))
            });
        }
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(listener);
    }

    /// Tells those who listen.
    pub(crate) fn announce(&self, name: &str, uuid: Uuid, what: What) {
        let event = Event {
            name: name.to_owned(),
            uuid,
            what,
        };
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        for listener in listeners.iter() {
            listener(&event);
        }
    }

    /// The door to network devices, opened at the first use.
    pub(crate) fn links(&self) -> Result<&Links> {
        if let Some(links) = self.links.get() {
            return Ok(links);
        }
        let opened = Links::open()?;
        Ok(self.links.get_or_init(|| opened))
    }

    /// The door to the packet filter.
    pub(crate) fn firewall(&self) -> &Firewall {
        self.firewall
            .get_or_init(|| Firewall::new(self.config.nft.clone()))
    }

    pub(crate) fn handle(&self, name: &str) -> Option<NetworkHandle> {
        self.index
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// All networks, by name.
    pub(crate) fn handles(&self) -> Vec<NetworkHandle> {
        self.index
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn insert(&self, handle: NetworkHandle) {
        let name = handle.snapshot().name.clone();
        self.index
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, handle);
    }

    /// Takes the network out of the index, if it is this one and not another of its name.
    pub(crate) fn forget(&self, snapshot: &Snapshot) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if index
            .get(&snapshot.name)
            .is_some_and(|handle| handle.snapshot().uuid == snapshot.uuid)
        {
            index.remove(&snapshot.name);
        }
    }

    /// Keeps the network's subnets from others that start at the same time: only when its bridge has them, the
    /// kernel's routes tell.
    ///
    /// # Errors
    /// `Internal` when another network has one of them.
    pub(crate) fn reserve(&self, network: &Network, bridge: &str) -> Result<()> {
        let wanted = bridge::addresses(network);
        let mut subnets = self.subnets.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, (device, taken)) in subnets.iter() {
            let overlap = taken
                .iter()
                .any(|taken| wanted.iter().any(|wanted| wanted.overlaps(taken)));
            if overlap && *name != network.name {
                return Err(bridge::in_use(device));
            }
            if device == bridge && *name != network.name {
                return Err(Error::Internal(format!("bridge name '{bridge}' already in use.")));
            }
        }
        subnets.insert(network.name.clone(), (bridge.to_owned(), wanted));
        Ok(())
    }

    /// The network is gone.
    pub(crate) fn release(&self, network: &str) {
        self.subnets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(network);
    }
}
