//! The door to all networks: look-up, lists, definitions, autostart.

use std::sync::Arc;

use ferrovirt_hook::{Engine, NetworkOperation, Origin};
use ferrovirt_model::Uuid;
use ferrovirt_model::network::Network;
use futures_util::future::join_all;

use crate::error::{Error, Result};
use crate::event::{Listener, What};
use crate::handle::refuse_from_hook;
use crate::owner::{Begin, Owner};
use crate::shared::Shared;
use crate::{Autostart, Config, NetworkHandle, Snapshot, definition, load, store};

/// File that says that this boot's autostart is done; libvirt's name for it.
const AUTOSTARTED: &str = "autostarted";

/// All networks of this daemon. Cheap to clone.
#[derive(Clone)]
pub struct Networks {
    shared: Arc<Shared>,
}

impl Networks {
    /// No network yet: [`Networks::load`] reads them.
    pub fn new(config: Config, engine: Engine) -> Self {
        Networks {
            shared: Arc::new(Shared::new(config, engine)),
        }
    }

    /// From now on this one hears what happens to networks, each event when a query shows what it tells of.
    pub fn listen(&self, listener: Listener) {
        self.shared.listen(listener);
    }

    /// Reads definitions and live state. Networks whose bridge is gone get `stopped` (R24), a start or an end
    /// that was cut short is undone with its hook (R96), dnsmasq is taken over or started again, the packet
    /// filter's rules are put back.
    ///
    /// # Errors
    /// When a directory cannot be read or made. A broken file is a line in the log.
    pub async fn load(&self) -> Result<()> {
        let _turn = self.shared.definitions.lock().await;
        load::load(&self.shared).await
    }

    /// Starts what is marked autostart and is down, side by side; failures are logged.
    pub async fn autostart(&self, when: Autostart) {
        if !self.shared.config.privileged || (when == Autostart::Boot && !self.first_of_this_boot().await) {
            return;
        }
        let marked = self.shared.handles().into_iter().filter(|handle| {
            let snapshot = handle.snapshot();
            snapshot.autostart && snapshot.live.is_none()
        });
        join_all(marked.map(|handle| async move {
            // A hook's failure is in the log already.
            if let Err(error) = handle.start(Origin::client()).await
                && !matches!(error, Error::Hook(_))
            {
                tracing::error!("cannot autostart network '{}': {error}", handle.snapshot().name);
            }
        }))
        .await;
    }

    /// Whether nobody has autostarted since the machine booted; from now on somebody has.
    async fn first_of_this_boot(&self) -> bool {
        let flag = self.shared.config.boot_flag_dir.join(AUTOSTARTED);
        let made = store::blocking(flag, "make", |flag| {
            if let Some(directory) = flag.parent() {
                std::fs::create_dir_all(directory)?;
            }
            match std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(flag)
            {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        });
        made.unwrap_or_else(|error| {
            tracing::error!("{error}: networks are not autostarted");
            false
        })
    }

    /// All networks, by name.
    pub fn list(&self) -> Vec<Arc<Snapshot>> {
        self.shared
            .handles()
            .iter()
            .map(NetworkHandle::snapshot)
            .collect()
    }

    /// The network of this name.
    pub fn by_name(&self, name: &str) -> Option<NetworkHandle> {
        self.shared.handle(name)
    }

    /// The network with this id.
    pub fn by_uuid(&self, uuid: &Uuid) -> Option<NetworkHandle> {
        self.shared
            .handles()
            .into_iter()
            .find(|handle| handle.snapshot().uuid == *uuid)
    }

    /// Defines a persistent network, or changes the definition of the one with this name and id.
    ///
    /// # Errors
    /// `Failed` when name or id belong to another network; `Xml`, `Unsupported` for what the document says.
    pub async fn define(&self, doc: Network, origin: Origin) -> Result<NetworkHandle> {
        refuse_from_hook(&doc.name, &origin)?;
        let _turn = self.shared.definitions.lock().await;
        let existing = definition::clash(&self.shared, &doc)?;
        let doc = Arc::new(definition::complete(&self.shared, doc, existing.as_ref()).await?);
        store::write_definition(&self.shared.config, &doc)?;
        if let Some(handle) = existing {
            match handle.set_config(doc.clone()).await {
                // A transient network may end at this very moment; then it is a new one.
                Err(Error::NoNetwork(_)) => {}
                other => {
                    other?;
                    self.defined(&handle, &doc);
                    return Ok(handle);
                }
            }
        }
        let handle = Owner::spawn(
            self.shared.clone(),
            &doc,
            Some(doc.clone()),
            false,
            Begin::Inactive,
        );
        self.shared.insert(handle.clone());
        self.defined(&handle, &doc);
        Ok(handle)
    }

    fn defined(&self, handle: &NetworkHandle, doc: &Network) {
        self.shared
            .announce(&doc.name, handle.snapshot().uuid, What::Defined);
        self.shared.tell(NetworkOperation::Defined, doc);
    }

    /// Starts a network by this document; one that has no definition of its name is transient.
    ///
    /// # Errors
    /// As `define` and as [`NetworkHandle::start`].
    pub async fn create(&self, doc: Network, origin: Origin) -> Result<NetworkHandle> {
        refuse_from_hook(&doc.name, &origin)?;
        let (handle, doc) = {
            let _turn = self.shared.definitions.lock().await;
            let existing = definition::clash(&self.shared, &doc)?;
            let active = existing
                .as_ref()
                .is_some_and(|handle| handle.snapshot().live.is_some());
            let doc = match active {
                // The owner says what is wrong with that.
                true => Arc::new(doc),
                false => Arc::new(definition::complete(&self.shared, doc, existing.as_ref()).await?),
            };
            let handle = existing.unwrap_or_else(|| {
                let handle = Owner::spawn(self.shared.clone(), &doc, None, false, Begin::Inactive);
                self.shared.insert(handle.clone());
                handle
            });
            (handle, doc)
        };
        let started = handle.start_as(Some(doc), origin).await;
        if let Err(error) = started {
            // The owner has left already if its start came as far as to fail; a refusal leaves it to us.
            handle.leave_if_never_started().await;
            return Err(error);
        }
        Ok(handle)
    }
}
