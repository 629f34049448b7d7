//! What all guests of one driver have in common.

use std::sync::Arc;

use ferrovirt_hook::Engine;
use tokio::sync::broadcast;

use crate::Config;
use crate::event::Event;
use crate::ports::Ports;
use crate::registry::Registry;
use crate::store::Store;

/// How many events a listener may be late before it loses some.
const EVENTS: usize = 1024;

pub(crate) struct Shared<B> {
    pub(crate) config: Config,
    pub(crate) backend: B,
    pub(crate) engine: Engine,
    pub(crate) ports: Arc<dyn Ports>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) store: Store,
    pub(crate) events: broadcast::Sender<Event>,
}

impl<B> Shared<B> {
    pub(crate) fn new(config: Config, backend: B, engine: Engine, ports: Arc<dyn Ports>) -> Shared<B> {
        let store = Store::new(&config);
        let events = broadcast::Sender::new(EVENTS);
        Shared {
            config,
            backend,
            engine,
            ports,
            registry: Registry::new(),
            store,
            events,
        }
    }
}
