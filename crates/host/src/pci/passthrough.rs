//! The way of PCI devices to guests and back, as operations: what may be done, in which order, and what is undone when a step
//! fails.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{
    PciAddress, VirtualFunction, bind, driver, group, has_vfio, is_for_guests, members, present, reset,
    variant, virtual_function,
};
use crate::error::Error;
use crate::holders::{self, Holder};
use crate::pci::config::{Config, HeaderType};
use crate::places::Places;
use crate::taken::{Guest, Taken, TakenDevice, Use};

/// How long the kernel may take to bring a device from one driver to another. A graphics card's driver that tears everything down
/// takes some seconds; one that waits for its last user never ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which driver a device is given to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Driver {
    /// VFIO's: the one made for this device, or the general one.
    #[default]
    Vfio,
    /// One by the name of its driver or module.
    Named(String),
}

impl Driver {
    /// What `virsh nodedev-detach --driver` means.
    ///
    /// # Errors
    /// [`Error::LegacyKvm`].
    pub fn of_word(word: Option<&str>) -> Result<Driver, Error> {
        match word {
            None | Some("vfio") => Ok(Driver::Vfio),
            Some("kvm") => Err(Error::LegacyKvm),
            Some(name) => Ok(Driver::Named(name.to_owned())),
        }
    }
}

/// A device that a guest wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub address: PciAddress,
    /// Whether the daemon takes it from the host and gives it back; else somebody else has done the one and will do the other.
    pub managed: bool,
    /// Which driver it needs.
    pub driver: Driver,
}

/// PCI devices between host and guests. Clones are the same.
#[derive(Debug, Clone)]
pub struct Passthrough {
    places: Places,
    taken: Taken,
    patience: Duration,
}

impl Passthrough {
    /// With this register.
    pub fn new(places: Places, taken: Taken) -> Passthrough {
        Passthrough {
            places,
            taken,
            patience: PATIENCE,
        }
    }

    /// The same with less patience, for tests.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Passthrough {
        Passthrough { patience, ..self }
    }

    /// The register.
    pub fn taken(&self) -> &Taken {
        &self.taken
    }

    /// Where the machine is looked at.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// A guest that another daemon began has this device; `bound` says whether it was taken from the host's driver for that guest. What the
    /// register knows already stays.
    ///
    /// # Errors
    /// [`Error::Register`], [`Error::NoDevice`].
    pub fn claim(&self, guest: &Guest, address: PciAddress, managed: bool, bound: bool) -> Result<(), Error> {
        if self.taken.get(address).is_some() {
            return Ok(());
        }
        let dir = present(&self.places, address)?;
        self.taken.put(TakenDevice {
            address,
            driver: driver(&dir).unwrap_or_default(),
            usage: Use::Guest(guest.clone()),
            give_back: managed && bound,
            stays: !managed,
        })
    }

    /// Whether there is such a device.
    pub fn is_there(&self, address: PciAddress) -> bool {
        present(&self.places, address).is_ok()
    }

    /// What a device is a virtual function of.
    pub fn virtual_function(&self, address: PciAddress) -> Option<VirtualFunction> {
        virtual_function(&self.places, address)
    }

    /// Whether this machine can give devices to guests at all.
    pub fn is_possible(&self) -> bool {
        has_vfio(&self.places)
    }

    /// The node of a device's IOMMU group, `/dev/vfio/13`.
    ///
    /// # Errors
    /// [`Error::NoGroup`]; [`Error::NoGroupNode`] when the device's driver is none for guests.
    pub fn group_node(&self, address: PciAddress) -> Result<std::path::PathBuf, Error> {
        let dir = present(&self.places, address)?;
        let group = group(&dir).ok_or(Error::NoGroup(address))?;
        match std::fs::metadata(self.places.dev.join(format!("vfio/{group}"))) {
            Ok(_) => Ok(format!("/dev/vfio/{group}").into()),
            Err(error) => Err(Error::NoGroupNode {
                path: format!("/dev/vfio/{group}").into(),
                reason: crate::error::words(&error),
            }),
        }
    }

    /// Takes a device from the host's driver (`virsh nodedev-detach`).
    ///
    /// # Errors
    /// [`Error::NoVfio`], [`Error::InUse`], [`Error::Busy`], and what binding says.
    pub async fn detach(&self, address: PciAddress, wanted: Driver) -> Result<(), Error> {
        if wanted == Driver::Vfio && !self.is_possible() {
            return Err(Error::NoVfio);
        }
        let (places, taken) = (self.places.clone(), self.taken.clone());
        self.on_thread(address, "unbind", None, move || {
            unused(&taken, address)?;
            let driver = driver_for(&places, address, &wanted)?;
            let known = taken.get(address);
            taken.put(TakenDevice {
                address,
                driver: driver.clone(),
                usage: Use::Detached,
                give_back: known.is_some_and(|known| known.give_back),
                stays: true,
            })?;
            bind::give(&places, address, &driver).inspect_err(|_| undo(&places, &taken, address))
        })
        .await
    }

    /// Gives a device back to the host's driver (`virsh nodedev-reattach`), also if that has it.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Busy`], and what binding says.
    pub async fn reattach(&self, address: PciAddress) -> Result<(), Error> {
        let (places, taken) = (self.places.clone(), self.taken.clone());
        self.on_thread(address, "give back", None, move || {
            unused(&taken, address)?;
            bind::give_back(&places, address)?;
            taken.forget(address)
        })
        .await
    }

    /// Resets a device (`virsh nodedev-reset`).
    ///
    /// # Errors
    /// [`Error::ResetActive`] of one that a guest has, [`Error::ResetNotEndpoint`], [`Error::Reset`].
    pub async fn reset(&self, address: PciAddress) -> Result<(), Error> {
        let (places, taken) = (self.places.clone(), self.taken.clone());
        self.on_thread(address, "reset", None, move || {
            if taken.guest_of(address).is_some() {
                return Err(Error::ResetActive(address));
            }
            reset::reset(&places, address, &|other| taken.is_detached(other))
        })
        .await
    }

    /// Gets all devices of a guest ready, in their order: each is free, and those that are managed are taken from the host. When one
    /// of them cannot be had, those before it are given back.
    ///
    /// # Errors
    /// [`Error::NoPassthrough`], [`Error::NotEndpoint`], [`Error::InUse`] (also of another device of the group),
    /// [`Error::Unmanaged`], [`Error::NoPciDevice`], and what binding says.
    pub async fn prepare(&self, guest: &Guest, wanted: &[Wanted]) -> Result<(), Error> {
        if wanted.iter().any(|wanted| wanted.driver == Driver::Vfio) && !self.is_possible() {
            return Err(Error::NoPassthrough);
        }
        for wanted in wanted {
            self.check(guest, wanted)?;
        }
        for (done, one) in wanted.iter().enumerate() {
            if let Err(error) = self.prepare_one(guest, one).await {
                for earlier in wanted[..done].iter().rev() {
                    self.release_one(guest, earlier.address)
                        .await
                        .unwrap_or_else(|error| {
                            tracing::error!("domain {}: {error}", guest.name);
                        });
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// What can be said before anything is touched.
    fn check(&self, guest: &Guest, wanted: &Wanted) -> Result<(), Error> {
        let dir = present(&self.places, wanted.address)?;
        let header = Config::read(&dir).map(|config| config.header_type());
        if header != Some(HeaderType::Endpoint) {
            return Err(Error::NotEndpoint);
        }
        let group = group(&dir)
            .map(|group| members(&self.places, group))
            .unwrap_or_default();
        for address in std::iter::once(wanted.address).chain(group) {
            if let Some(other) = self.taken.guest_of(address).filter(|other| other != guest) {
                return Err(Error::InUse {
                    address,
                    guest: other,
                });
            }
        }
        if !wanted.managed && !is_for_guests(&dir) {
            return Err(Error::Unmanaged(wanted.address));
        }
        Ok(())
    }

    async fn prepare_one(&self, guest: &Guest, wanted: &Wanted) -> Result<(), Error> {
        let (places, taken) = (self.places.clone(), self.taken.clone());
        let (owner, wanted) = (guest.clone(), wanted.clone());
        let address = wanted.address;
        let mut hope = Hope {
            taken: &self.taken,
            guest,
            address,
            given_up: true,
        };
        let outcome = self
            .on_thread(address, "unbind", Some(guest), move || {
                take(&places, &taken, &owner, &wanted)
            })
            .await;
        hope.given_up = false;
        // The kernel may come back from it much later, or has just done so.
        if matches!(outcome, Err(Error::Hangs { .. })) {
            self.release_one(guest, address).await?;
        }
        outcome
    }

    /// A guest has ended: its devices go back to where they were.
    ///
    /// # Errors
    /// The first one; the others are gone on with.
    pub async fn release(&self, guest: &Guest) -> Result<(), Error> {
        let mut outcome = Ok(());
        for device in self.taken.devices() {
            if device.guest() == Some(guest) {
                outcome = outcome.and(self.release_one(guest, device.address).await);
            }
        }
        outcome
    }

    /// A guest has one device no longer. One that it has not is none of this.
    ///
    /// # Errors
    /// [`Error::Busy`], and what binding says.
    pub async fn release_one(&self, guest: &Guest, address: PciAddress) -> Result<(), Error> {
        // Still on its way there: who brings it takes it back once the kernel lets him.
        if self.taken.give_up(address, guest) {
            return Ok(());
        }
        let (places, taken, guest) = (self.places.clone(), self.taken.clone(), guest.clone());
        self.on_thread(address, "give back", None, move || {
            leave(&places, &taken, &guest, address)
        })
        .await
    }

    /// After a start of the daemon: devices of guests that are gone go back, and what is at its own driver again is forgotten.
    /// `lives` says which guests are there.
    pub async fn recover(&self, lives: impl Fn(&Guest) -> bool) {
        // All at once: one that hangs keeps no other from going back.
        let mut returns = JoinSet::new();
        for device in self.taken.devices() {
            let address = device.address;
            match device.guest() {
                Some(guest) if lives(guest) => {}
                Some(guest) => {
                    let (pass, guest) = (self.clone(), guest.clone());
                    let name = &guest.name;
                    tracing::info!("PCI device {address} is taken back from domain {name}, which is gone");
                    returns.spawn(async move { pass.release_one(&guest, address).await });
                }
                None => self
                    .forget_if_back(&device)
                    .unwrap_or_else(|error| tracing::error!("{error}")),
            }
        }
        while let Some(done) = returns.join_next().await {
            if let Ok(Err(error)) = done {
                tracing::error!("{error}");
            }
        }
        let _ = self
            .taken
            .leave_all_usb(|guest| !lives(guest))
            .inspect_err(|error| tracing::error!("{error}"));
    }

    fn forget_if_back(&self, device: &TakenDevice) -> Result<(), Error> {
        let dir = super::dir(&self.places, device.address);
        match driver(&dir).as_deref() == Some(&device.driver)
            || bind::overridden(&dir).as_ref() == Some(&device.driver)
        {
            true => Ok(()),
            false => self.taken.forget(device.address),
        }
    }

    /// Does work that may never end, on a thread of its own; the device is busy until it has ended. The caller waits for a bounded
    /// time, and may also go: what was begun is finished, and undone if the guest that it was for has given the device up.
    async fn on_thread<T: Send + 'static>(
        &self,
        address: PciAddress,
        action: &'static str,
        guest: Option<&Guest>,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let busy = self.taken.begin(address, action, guest)?;
        let (tell, told) = oneshot::channel();
        let (places, taken, guest) = (self.places.clone(), self.taken.clone(), guest.cloned());
        let spawned = std::thread::Builder::new()
            .name(format!("pci {address}"))
            .spawn(move || {
                let outcome = work();
                if let (Err(busy), Some(guest)) = (busy.end(), guest) {
                    leave(&places, &taken, &guest, address)
                        .unwrap_or_else(|error| tracing::error!("domain {}: {error}", guest.name));
                    drop(busy);
                }
                let _ = tell.send(outcome);
            });
        spawned.map_err(|error| Error::Internal(format!("cannot start a thread: {error}")))?;
        match tokio::time::timeout(self.patience, told).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::Internal(format!("cannot {action} PCI device {address}"))),
            Err(_) => {
                let pass = self.clone();
                let look = tokio::task::spawn_blocking(move || pass.holders(address));
                Err(Error::Hangs {
                    action,
                    address,
                    seconds: self.patience.as_secs(),
                    holders: look.await.unwrap_or_default(),
                })
            }
        }
    }

    /// The processes that have a device open, or what hangs on it. Goes through `/proc`, so it blocks for some milliseconds.
    pub fn holders(&self, address: PciAddress) -> Vec<Holder> {
        holders::of(&self.places, &super::dir(&self.places, address))
    }
}

/// A guest that waits for its device. Who goes before it is there has given it up.
struct Hope<'a> {
    taken: &'a Taken,
    guest: &'a Guest,
    address: PciAddress,
    given_up: bool,
}

impl Drop for Hope<'_> {
    fn drop(&mut self) {
        if self.given_up {
            self.taken.give_up(self.address, self.guest);
        }
    }
}

/// Takes a device from the host for a guest.
fn take(places: &Places, taken: &Taken, guest: &Guest, wanted: &Wanted) -> Result<(), Error> {
    let address = wanted.address;
    let dir = present(places, address)?;
    let known = taken.get(address);
    let name = match wanted.managed {
        true => driver_for(places, address, &wanted.driver)?,
        false => driver(&dir).unwrap_or_default(),
    };
    // What is at such a driver already was brought there by somebody else, who will want to find it there. What the register
    // knows keeps the way that it came in.
    let ours = wanted.managed && driver(&dir).as_ref() != Some(&name);
    taken.put(TakenDevice {
        address,
        driver: name.clone(),
        usage: Use::Guest(guest.clone()),
        give_back: known.as_ref().map_or(ours, |known| known.give_back),
        stays: known.as_ref().map_or(!wanted.managed, |known| known.stays),
    })?;
    if !wanted.managed {
        return Ok(());
    }
    bind::give(places, address, &name).inspect_err(|_| match known {
        None => undo(places, taken, address),
        Some(known) => {
            let _ = taken.leave_detached(known.address);
        }
    })
}

/// Gives a device back that a guest has.
fn leave(places: &Places, taken: &Taken, guest: &Guest, address: PciAddress) -> Result<(), Error> {
    let Some(device) = taken.get(address).filter(|device| device.guest() == Some(guest)) else {
        return Ok(());
    };
    match device.give_back {
        true => match bind::give_back(places, address) {
            Ok(()) => taken.forget(address),
            // The guest has it no longer all the same.
            Err(error) => taken.leave_detached(address).and(Err(error)),
        },
        // At the driver that somebody else brought it to, if it is there still.
        false if device.stays => taken.leave_detached(address),
        false => taken.forget(address),
    }
}

/// No guest has the device.
fn unused(taken: &Taken, address: PciAddress) -> Result<(), Error> {
    match taken.guest_of(address) {
        Some(guest) => Err(Error::InUse { address, guest }),
        None => Ok(()),
    }
}

/// The driver that is meant, loaded.
fn driver_for(places: &Places, address: PciAddress, wanted: &Driver) -> Result<String, Error> {
    let dir = present(places, address)?;
    let general = || bind::load(places, variant::GENERAL);
    match wanted {
        Driver::Named(name) => bind::load(places, name),
        Driver::Vfio => match variant::best(places, &dir) {
            // One that does not load must not keep the device from its guest.
            Some(module) => bind::load(places, &module).or_else(|error| {
                tracing::warn!("{error}; {address} is given to {}", variant::GENERAL);
                general()
            }),
            None => general(),
        },
    }
}

/// A device that did not get the driver that it should goes back to the host.
fn undo(places: &Places, taken: &Taken, address: PciAddress) {
    let back = bind::give_back(places, address).and_then(|()| taken.forget(address));
    if let Err(error) = back {
        tracing::error!("{error}");
    }
}
