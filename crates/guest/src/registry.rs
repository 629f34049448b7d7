//! Who is who: all guests of a driver by name and uuid, and the numbers that running guests get. Readers take an
//! `Arc` and are gone; writers copy when somebody reads.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ferrovirt_model::Uuid;
use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::handle::GuestHandle;

/// All guests at one moment.
#[derive(Clone, Default)]
pub(crate) struct Index {
    by_uuid: HashMap<Uuid, GuestHandle>,
    by_name: BTreeMap<String, Uuid>,
    /// Guests that are about to exist, while their definition is being written.
    expected: Vec<(String, Uuid)>,
}

impl Index {
    pub(crate) fn by_name(&self, name: &str) -> Option<&GuestHandle> {
        self.by_uuid.get(self.by_name.get(name)?)
    }

    pub(crate) fn by_uuid(&self, uuid: &Uuid) -> Option<&GuestHandle> {
        self.by_uuid.get(uuid)
    }

    /// All guests, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &GuestHandle> {
        self.by_name.values().filter_map(|uuid| self.by_uuid.get(uuid))
    }
}

/// The answer to somebody who wants to bring a guest into being.
pub(crate) enum Claim {
    /// There is one with this name and uuid.
    Known(GuestHandle),
    /// Name and uuid are kept free until the claim is settled.
    New(Reservation),
}

/// See [`Claim::New`]; given up when dropped.
pub(crate) struct Reservation {
    registry: Arc<Registry>,
    name: String,
    uuid: Uuid,
}

impl Reservation {
    /// The guest exists from now on.
    pub(crate) fn settle(self, handle: GuestHandle) {
        let mut index = self.registry.write();
        let index = Arc::make_mut(&mut index);
        index.by_name.insert(self.name.clone(), self.uuid);
        index.by_uuid.insert(self.uuid, handle);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut index = self.registry.write();
        Arc::make_mut(&mut index)
            .expected
            .retain(|(name, _)| *name != self.name);
        drop(index);
        self.registry.settled.notify_waiters();
    }
}

/// The index, and the next number of a running guest.
pub(crate) struct Registry {
    index: RwLock<Arc<Index>>,
    settled: Notify,
    next_id: AtomicI32,
}

impl Registry {
    pub(crate) fn new() -> Arc<Registry> {
        Arc::new(Registry {
            index: RwLock::default(),
            settled: Notify::new(),
            next_id: AtomicI32::new(1),
        })
    }

    pub(crate) fn index(&self) -> Arc<Index> {
        Arc::clone(&self.read())
    }

    /// A number that no guest had since the daemon started, nor one that it took over.
    pub(crate) fn new_id(&self) -> i32 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// A guest with this number was taken over.
    pub(crate) fn taken_id(&self, id: i32) {
        self.next_id.fetch_max(id.saturating_add(1), Ordering::Relaxed);
    }

    /// Looks a guest up, or keeps its name and uuid free for it. Waits while another one is brought into being under the
    /// same name or uuid.
    ///
    /// # Errors
    /// `Failed`, in libvirt's words, when name or uuid belong to another guest.
    pub(crate) async fn claim(self: &Arc<Self>, name: &str, uuid: Uuid) -> Result<Claim> {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            // From here on no settlement is missed.
            settled.as_mut().enable();
            if let Some(claim) = self.try_claim(name, uuid)? {
                return Ok(claim);
            }
            settled.await;
        }
    }

    fn try_claim(self: &Arc<Self>, name: &str, uuid: Uuid) -> Result<Option<Claim>> {
        let mut index = self.write();
        if let Some(handle) = index.by_uuid(&uuid) {
            let known = handle.snapshot();
            return match known.name == name {
                true => Ok(Some(Claim::Known(handle.clone()))),
                false => Err(Error::Failed(format!(
                    "domain '{}' is already defined with uuid {uuid}",
                    known.name
                ))),
            };
        }
        if let Some(other) = index.by_name.get(name) {
            return Err(Error::Failed(format!(
                "domain '{name}' already exists with uuid {other}"
            )));
        }
        if index.expected.iter().any(|(n, u)| n == name || *u == uuid) {
            return Ok(None);
        }
        Arc::make_mut(&mut index).expected.push((name.to_owned(), uuid));
        Ok(Some(Claim::New(Reservation {
            registry: Arc::clone(self),
            name: name.to_owned(),
            uuid,
        })))
    }

    /// Keeps a new name free for a guest that exists; dropping the reservation gives it up.
    ///
    /// # Errors
    /// `Failed` when the name belongs to another guest.
    pub(crate) fn reserve_name(self: &Arc<Self>, name: &str, uuid: Uuid) -> Result<Reservation> {
        let mut index = self.write();
        if index.by_name.contains_key(name) || index.expected.iter().any(|(n, _)| n == name) {
            return Err(Error::Failed(format!("domain with name '{name}' already exists")));
        }
        Arc::make_mut(&mut index).expected.push((name.to_owned(), uuid));
        Ok(Reservation {
            registry: Arc::clone(self),
            name: name.to_owned(),
            uuid,
        })
    }

    /// The guest has its new name from now on.
    pub(crate) fn renamed(&self, old: &str, reservation: Reservation) {
        let mut index = self.write();
        let names = &mut Arc::make_mut(&mut index).by_name;
        names.remove(old);
        names.insert(reservation.name.clone(), reservation.uuid);
        // Dropping the reservation takes the lock.
        drop(index);
    }

    /// The guest does not exist any more.
    pub(crate) fn remove(&self, name: &str, uuid: &Uuid) {
        let mut index = self.write();
        let index = Arc::make_mut(&mut index);
        index.by_uuid.remove(uuid);
        index.by_name.remove(name);
    }

    fn read(&self) -> RwLockReadGuard<'_, Arc<Index>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Arc<Index>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}
