//! The tree of node devices: names, places and parents of all devices of the kinds that clients know.
//!
//! What a device is like is read when somebody asks ([`Tree::describe`]), so it is never older than the question; kept is
//! only what lists need. The tree is read when it is first needed, and from then on follows udev's news; a daemon that
//! nobody asks about devices reads nothing.

mod describe;
mod filter;
mod follow;
mod kind;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use ferrovirt_model::Uuid;
use ferrovirt_model::node_device::NodeDevice;
use ferrovirt_sys::blocking;

use crate::error::Error;
use crate::ids;
use crate::pci::PciAddress;
use crate::places::Places;

pub use filter::Filter;
pub use kind::Kind;

/// Every kind.
const KINDS: [Kind; 11] = [
    Kind::System,
    Kind::Pci,
    Kind::UsbDevice,
    Kind::UsbInterface,
    Kind::Net,
    Kind::ScsiHost,
    Kind::ScsiTarget,
    Kind::Scsi,
    Kind::Storage,
    Kind::ScsiGeneric,
    Kind::Drm,
];

/// The name of the machine itself, which is the parent of what has no other.
const COMPUTER: &str = "computer";

/// What is kept of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name for clients.
    pub name: Arc<str>,
    /// Its directory below `/sys`, `/devices/…`; empty for the machine itself.
    pub path: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// The name of the nearest device above it; none above the machine.
    pub parent: Option<Arc<str>>,
}

impl Device {
    fn computer() -> Device {
        Device {
            name: COMPUTER.into(),
            path: "".into(),
            kind: Kind::System,
            parent: None,
        }
    }

    /// Its directory on this machine.
    fn dir(&self, places: &Places) -> PathBuf {
        places.sys.join(self.path.trim_start_matches('/'))
    }

    /// The kernel's name for it.
    fn kernel_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Its address, if it is on a PCI bus.
    pub fn pci_address(&self) -> Option<PciAddress> {
        match self.kind {
            Kind::Pci => self.kernel_name().parse().ok(),
            _ => None,
        }
    }
}

/// All devices at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    by_path: BTreeMap<Arc<str>, Device>,
    by_name: BTreeMap<Arc<str>, Arc<str>>,
}

impl Snapshot {
    /// All devices, by their places: parents before children.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.by_path.values()
    }

    /// One device.
    pub fn get(&self, name: &str) -> Option<&Device> {
        self.by_path.get(self.by_name.get(name)?)
    }

    fn insert(&mut self, device: Device) {
        self.by_name.insert(device.name.clone(), device.path.clone());
        self.by_path.insert(device.path.clone(), device);
    }

    fn remove(&mut self, path: &str) -> Option<Device> {
        let device = self.by_path.remove(path)?;
        if self.by_name.get(&device.name).is_some_and(|of| **of == *path) {
            self.by_name.remove(&device.name);
        }
        Some(device)
    }

    /// The name of the nearest device above a place.
    fn above(&self, path: &str) -> Arc<str> {
        let mut rest = path;
        while let Some((dir, _)) = rest.rsplit_once('/') {
            rest = dir;
            if let Some(device) = self.by_path.get(dir).filter(|device| device.kind != Kind::System) {
                return device.name.clone();
            }
        }
        COMPUTER.into()
    }
}

/// What happened to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is there.
    Created,
    /// It is gone.
    Deleted,
    /// Something about it is different.
    Updated,
}

/// News about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: Arc<str>,
    /// What happened to it.
    pub change: Change,
}

type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// The node devices of this machine. Clones are the same tree.
#[derive(Clone)]
pub struct Tree {
    shared: Arc<Shared>,
}

struct Shared {
    places: Places,
    uuid: Option<Uuid>,
    ids: ids::Cache,
    now: RwLock<Arc<Snapshot>>,
    /// Held while the tree is read for the first time, and while news are brought into it.
    changing: Mutex<()>,
    read: OnceLock<()>,
    listener: OnceLock<Listener>,
}

impl Tree {
    /// A tree that nobody has looked at yet. `uuid` is the host's, for the description of the machine.
    pub fn new(places: Places, uuid: Option<Uuid>) -> Tree {
        Tree {
            shared: Arc::new(Shared {
                places,
                uuid,
                ids: ids::Cache::default(),
                now: RwLock::default(),
                changing: Mutex::default(),
                read: OnceLock::new(),
                listener: OnceLock::new(),
            }),
        }
    }

    /// Tells somebody of all that happens from now on. Only the first one counts.
    pub fn listen(&self, listener: impl Fn(&Event) + Send + Sync + 'static) {
        let _ = self.shared.listener.set(Box::new(listener));
    }

    /// All devices now. The first call reads them (some milliseconds for a hundred) and, inside a runtime, starts to follow the
    /// news.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        if self.shared.read.get().is_none() {
            blocking::here(|| self.begin());
        }
        self.shared.current()
    }

    fn begin(&self) {
        let _changing = self.shared.changing();
        if self.shared.read.get().is_some() {
            return;
        }
        // News first: what happens while the tree is read is then told of, too.
        let news = follow::open(&self.shared.places);
        self.shared.publish(scan::all(&self.shared.places));
        let _ = self.shared.read.set(());
        if let Some(news) = news {
            follow::begin(&self.shared, news);
        }
    }

    /// The device of this name.
    ///
    /// # Errors
    /// [`Error::NoDevice`].
    pub fn find(&self, name: &str) -> Result<Device, Error> {
        let found = self.snapshot().get(name).cloned();
        found.ok_or_else(|| Error::NoDevice(name.to_owned()))
    }

    /// Its document, read from the kernel now. Blocks for as long as some dozens of small reads take.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if it is gone meanwhile.
    pub fn describe(&self, device: &Device) -> Result<NodeDevice, Error> {
        describe::device(&self.shared, device)
    }

    /// Names of the devices that a filter lets through, in alphabetical order.
    pub fn list(&self, filter: Filter) -> Vec<Arc<str>> {
        let snapshot = self.snapshot();
        let places = &self.shared.places;
        let mut names: Vec<_> = snapshot
            .devices()
            .filter(|device| filter.shows(places, device))
            .map(|device| device.name.clone())
            .collect();
        names.sort_unstable();
        names
    }

    /// The words for what a device is.
    pub fn words(&self, device: &Device) -> Vec<&'static str> {
        Filter::words_of(&self.shared.places, device)
    }

    /// The SCSI controller with these world wide names (hexadecimal, without `0x`).
    ///
    /// # Errors
    /// [`Error::NoScsiHost`].
    pub fn scsi_host(&self, wwnn: &str, wwpn: &str) -> Result<Device, Error> {
        let snapshot = self.snapshot();
        let wanted = |device: &&Device| {
            device.kind == Kind::ScsiHost
                && filter::wwns(&self.shared.places, device)
                    .is_some_and(|(node, port)| node == wwnn && port == wwpn)
        };
        let found = snapshot.devices().find(wanted).cloned();
        found.ok_or_else(|| Error::NoScsiHost {
            wwnn: wwnn.to_owned(),
            wwpn: wwpn.to_owned(),
        })
    }
}

impl Shared {
    fn current(&self) -> Arc<Snapshot> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&now)
    }

    fn publish(&self, snapshot: Snapshot) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        *now = Arc::new(snapshot);
    }

    fn changing(&self) -> std::sync::MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, events: &[Event]) {
        if let Some(listener) = self.listener.get() {
            events.iter().for_each(listener);
        }
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let devices = self.shared.current().by_path.len();
        out.debug_struct("Tree")
            .field("devices", &devices)
            .finish_non_exhaustive()
    }
}
