//! What all guests of one driver have in common.

use std::sync::Arc;

use ferrovirt_hook::Engine;

use crate::Config;
use crate::event::Listeners;
use crate::ports::Ports;
use crate::registry::Registry;
use crate::store::Store;

pub(crate) struct Shared<B> {
    pub(crate) config: Config,
    pub(crate) backend: B,
    pub(crate) engine: Engine,
    pub(crate) ports: Arc<dyn Ports>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) store: Store,
    pub(crate) listeners: Arc<Listeners>,
}

impl<B> Shared<B> {
    pub(crate) fn new(config: Config, backend: B, engine: Engine, ports: Arc<dyn Ports>) -> Shared<B> {
        let store = Store::new(&config);
        Shared {
            config,
            backend,
            engine,
            ports,
            registry: Registry::new(),
            store,
            listeners: Arc::default(),
        }
    }
}
