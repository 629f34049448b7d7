//! The register of devices that the host has given up: which guest has which, and which were only taken from their drivers.
//!
//! It is in memory, and in a file that is written before each step that it tells of. So a daemon that was killed half way leaves
//! a successor who knows what was bound, and for whom ([`crate::Passthrough::recover`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferrovirt_sys::durable;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::pci::PciAddress;

/// Whose device it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Guest {
    /// The driver's name as refusals say it, `QEMU`.
    pub driver: String,
    /// The guest's name.
    pub name: String,
}

/// What for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// Taken from the host's driver, by whomever: `virsh nodedev-detach`, or a guest that had it and did not manage it.
    Detached,
    /// A guest has it.
    Guest(Guest),
}

/// A PCI device that the host has given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenDevice {
    /// Where it is.
    pub address: PciAddress,
    /// The driver that it was given to.
    pub driver: String,
    /// What for.
    #[serde(rename = "use")]
    pub usage: Use,
    /// Whether it goes back to the host when its guest ends: only what was taken for that guest does.
    pub give_back: bool,
    /// Whether it stays in the register when its guest ends and it does not go back: somebody has detached it, and will want to
    /// reattach it. What a guest manages, and was where it is before, is nobody's any more.
    #[serde(default)]
    pub stays: bool,
}

impl TakenDevice {
    /// The guest that has it.
    pub fn guest(&self) -> Option<&Guest> {
        match &self.usage {
            Use::Guest(guest) => Some(guest),
            Use::Detached => None,
        }
    }
}

/// A USB device that a guest has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TakenUsb {
    bus: u32,
    device: u32,
    guest: Guest,
    /// Whether the host had a driver for it.
    #[serde(default)]
    driven: bool,
}

/// What is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Book {
    pci: Vec<TakenDevice>,
    usb: Vec<TakenUsb>,
}

#[derive(Debug, Default)]
struct Inner {
    pci: BTreeMap<PciAddress, TakenDevice>,
    usb: BTreeMap<(u32, u32), TakenUsb>,
    /// Devices that something is being done to at this moment.
    busy: BTreeMap<PciAddress, Work>,
}

/// Something that is being done to a device.
#[derive(Debug, Clone)]
struct Work {
    doing: &'static str,
    since: Instant,
    /// The guest that it is done for.
    guest: Option<Guest>,
    /// That guest does not want the device any more.
    given_up: bool,
}

/// What is being done to a device at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doing {
    /// What: `unbind`, `give back`, `reset`.
    pub what: &'static str,
    /// For how long.
    pub took: Duration,
    /// The guest that it is done for.
    pub guest: Option<Guest>,
}

/// The register. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Taken {
    path: Option<Arc<Path>>,
    inner: Arc<Mutex<Inner>>,
}

/// A device that something is being done to, until this is dropped.
#[derive(Debug)]
pub(crate) struct Busy {
    taken: Taken,
    address: PciAddress,
}

impl Busy {
    /// Ends it, unless the guest that it was done for has given the device up meanwhile: then the device is still ours to give
    /// back. One step, so that nobody falls in between.
    pub(crate) fn end(self) -> Result<(), Busy> {
        let mut inner = self.taken.inner();
        match inner.busy.get(&self.address) {
            Some(work) if work.given_up => {
                drop(inner);
                Err(self)
            }
            _ => {
                inner.busy.remove(&self.address);
                drop(inner);
                Ok(())
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.taken.inner().busy.remove(&self.address);
    }
}

impl Taken {
    /// The register of this file; `None` keeps it in memory only. A file that cannot be understood is an empty register, with a
    /// warning: what it told of then stays with the driver that it was given to.
    pub fn open(path: Option<PathBuf>) -> Taken {
        let book = path.as_deref().map(read).unwrap_or_default();
        let inner = Inner {
            pci: book
                .pci
                .into_iter()
                .map(|device| (device.address, device))
                .collect(),
            usb: book
                .usb
                .into_iter()
                .map(|usb| ((usb.bus, usb.device), usb))
                .collect(),
            busy: BTreeMap::new(),
        };
        Taken {
            path: path.map(Into::into),
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All PCI devices in it, by their addresses.
    pub fn devices(&self) -> Vec<TakenDevice> {
        self.inner().pci.values().cloned().collect()
    }

    /// One of them.
    pub fn get(&self, address: PciAddress) -> Option<TakenDevice> {
        self.inner().pci.get(&address).cloned()
    }

    /// The guest that has a device.
    pub fn guest_of(&self, address: PciAddress) -> Option<Guest> {
        self.inner().pci.get(&address)?.guest().cloned()
    }

    /// Whether the host has given a device up that no guest has.
    pub fn is_detached(&self, address: PciAddress) -> bool {
        self.get(address)
            .is_some_and(|device| device.usage == Use::Detached)
    }

    /// Says that something is being done to a device.
    ///
    /// # Errors
    /// [`Error::Busy`]: something else is.
    pub(crate) fn begin(
        &self,
        address: PciAddress,
        doing: &'static str,
        guest: Option<&Guest>,
    ) -> Result<Busy, Error> {
        let mut inner = self.inner();
        if let Some(work) = inner.busy.get(&address) {
            let doing = work.doing.to_owned();
            return Err(Error::Busy { address, doing });
        }
        let work = Work {
            doing,
            since: Instant::now(),
            guest: guest.cloned(),
            given_up: false,
        };
        inner.busy.insert(address, work);
        Ok(Busy {
            taken: self.clone(),
            address,
        })
    }

    /// A guest does not want a device any more that is still on its way to it: who brings it gives it back. Whether there is
    /// such a device.
    pub(crate) fn give_up(&self, address: PciAddress, guest: &Guest) -> bool {
        let mut inner = self.inner();
        let work = inner.busy.get_mut(&address);
        match work.filter(|work| work.guest.as_ref() == Some(guest)) {
            Some(work) => {
                work.given_up = true;
                true
            }
            None => false,
        }
    }

    /// What is being done to a device now.
    pub fn doing(&self, address: PciAddress) -> Option<Doing> {
        let inner = self.inner();
        let work = inner.busy.get(&address)?;
        Some(Doing {
            what: work.doing,
            took: work.since.elapsed(),
            guest: work.guest.clone(),
        })
    }

    /// Changes the register, on disk first: if that fails nothing is changed.
    ///
    /// # Errors
    /// What `change` says, or [`Error::Register`].
    fn change<T>(&self, change: impl FnOnce(&mut Book) -> Result<T, Error>) -> Result<T, Error> {
        let mut inner = self.inner();
        let mut book = Book {
            pci: inner.pci.values().cloned().collect(),
            usb: inner.usb.values().cloned().collect(),
        };
        let before = book.clone();
        let value = change(&mut book)?;
        if book == before {
            return Ok(value);
        }
        if let Some(path) = &self.path {
            write(path, &book)?;
        }
        inner.pci = book
            .pci
            .into_iter()
            .map(|device| (device.address, device))
            .collect();
        inner.usb = book
            .usb
            .into_iter()
            .map(|usb| ((usb.bus, usb.device), usb))
            .collect();
        Ok(value)
    }

    /// Puts a device in, in place of what was there of it.
    ///
    /// # Errors
    /// [`Error::InUse`] when another guest has it, [`Error::Register`].
    pub(crate) fn put(&self, device: TakenDevice) -> Result<(), Error> {
        self.change(|book| {
            let others = book.pci.iter().filter(|known| known.address == device.address);
            for known in others {
                if let Some(guest) = known.guest().filter(|guest| device.guest() != Some(guest)) {
                    return Err(Error::InUse {
                        address: known.address,
                        guest: guest.clone(),
                    });
                }
            }
            book.pci.retain(|known| known.address != device.address);
            book.pci.push(device);
            Ok(())
        })
    }

    /// Takes a device out.
    ///
    /// # Errors
    /// [`Error::Register`].
    pub(crate) fn forget(&self, address: PciAddress) -> Result<(), Error> {
        self.change(|book| {
            book.pci.retain(|known| known.address != address);
            Ok(())
        })
    }

    /// A guest has a device no longer, which stays with the driver that it was given to.
    pub(crate) fn leave_detached(&self, address: PciAddress) -> Result<(), Error> {
        self.change(|book| {
            let known = book.pci.iter_mut().find(|known| known.address == address);
            if let Some(known) = known {
                known.usage = Use::Detached;
            }
            Ok(())
        })
    }

    /// Reserves a USB device for a guest. It stays with the host's driver until the guest opens it; `driven` says whether there is
    /// one.
    ///
    /// # Errors
    /// [`Error::UsbInUse`], [`Error::Register`].
    pub fn take_usb(&self, bus: u32, device: u32, guest: &Guest, driven: bool) -> Result<(), Error> {
        self.change(|book| {
            let known = book.usb.iter().find(|usb| (usb.bus, usb.device) == (bus, device));
            match known {
                Some(usb) => Err(Error::UsbInUse {
                    bus,
                    device,
                    guest: usb.guest.clone(),
                }),
                None => {
                    book.usb.push(TakenUsb {
                        bus,
                        device,
                        guest: guest.clone(),
                        driven,
                    });
                    Ok(())
                }
            }
        })
    }

    /// Gives up one USB device of a guest.
    ///
    /// # Errors
    /// [`Error::Register`].
    pub fn leave_usb(&self, bus: u32, device: u32) -> Result<(), Error> {
        self.change(|book| {
            book.usb.retain(|usb| (usb.bus, usb.device) != (bus, device));
            Ok(())
        })
    }

    /// Gives up all USB devices of the guests that `gone` names.
    ///
    /// # Errors
    /// [`Error::Register`].
    pub fn leave_all_usb(&self, gone: impl Fn(&Guest) -> bool) -> Result<(), Error> {
        self.change(|book| {
            book.usb.retain(|usb| !gone(&usb.guest));
            Ok(())
        })
    }

    /// The guest that has a USB device.
    pub fn guest_of_usb(&self, bus: u32, device: u32) -> Option<Guest> {
        self.inner().usb.get(&(bus, device)).map(|usb| usb.guest.clone())
    }

    /// A guest's USB devices, bus and number, that the host had drivers for.
    pub fn driven_usb(&self, guest: &Guest) -> Vec<(u32, u32)> {
        let inner = self.inner();
        let theirs = inner
            .usb
            .iter()
            .filter(|(_, usb)| usb.guest == *guest && usb.driven);
        theirs.map(|(at, _)| *at).collect()
    }
}

fn read(path: &Path) -> Book {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Book::default(),
        Err(error) => {
            tracing::warn!("cannot read {}: {error}", path.display());
            return Book::default();
        }
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::warn!(
            "{}: {error}: devices that were given to guests are not known",
            path.display()
        );
        Book::default()
    })
}

fn write(path: &Path, book: &Book) -> Result<(), Error> {
    let failed = |source| Error::Register {
        path: path.to_owned(),
        source,
    };
    let bytes = serde_json::to_vec(book).map_err(|error| failed(error.into()))?;
    durable::write(path, &bytes, 0o600).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn guest(name: &str) -> Guest {
        Guest {
            driver: "QEMU".to_owned(),
            name: name.to_owned(),
        }
    }

    fn device(address: &str, usage: Use) -> TakenDevice {
        TakenDevice {
            address: address.parse().unwrap(),
            driver: "vfio-pci".to_owned(),
            give_back: usage != Use::Detached,
            stays: usage == Use::Detached,
            usage,
        }
    }

    #[test]
    fn what_was_put_in_is_there_for_the_next_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("devices.json");
        let taken = Taken::open(Some(path.clone()));
        let nic = device("0000:01:00.0", Use::Guest(guest("g1")));
        taken.put(nic.clone()).unwrap();
        taken.put(device("0000:02:00.0", Use::Detached)).unwrap();
        taken.take_usb(1, 2, &guest("g1"), true).unwrap();
        let next = Taken::open(Some(path.clone()));
        assert_eq!((next.devices(), next.devices().len()), (taken.devices(), 2));
        assert_eq!(next.guest_of(nic.address), Some(guest("g1")));
        assert_eq!(next.guest_of_usb(1, 2), Some(guest("g1")));
        assert_eq!(next.driven_usb(&guest("g1")), [(1, 2)]);
        assert_eq!(next.driven_usb(&guest("g2")), []);
        next.leave_detached(nic.address).unwrap();
        assert!(next.is_detached(nic.address));
        next.forget(nic.address).unwrap();
        next.leave_all_usb(|_| true).unwrap();
        let last = Taken::open(Some(path.clone()));
        assert_eq!((last.devices().len(), last.guest_of_usb(1, 2)), (1, None));
        std::fs::write(&path, "{").unwrap();
        assert!(Taken::open(Some(path)).devices().is_empty());
    }

    #[test]
    fn who_comes_second_is_told_of_the_first() {
        let taken = Taken::open(None);
        taken
            .put(device("0000:01:00.0", Use::Guest(guest("g1"))))
            .unwrap();
        let second = taken.put(device("0000:01:00.0", Use::Guest(guest("g2"))));
        let text = "PCI device 0000:01:00.0 is in use by driver QEMU, domain g1";
        assert_eq!(second.unwrap_err().to_string(), text);
        taken
            .put(device("0000:01:00.0", Use::Guest(guest("g1"))))
            .unwrap();
        taken.take_usb(1, 2, &guest("g1"), true).unwrap();
        let second = taken.take_usb(1, 2, &guest("g2"), false).unwrap_err();
        assert_eq!(
            second.to_string(),
            "USB device 001:002 is in use by driver QEMU, domain g1"
        );
        taken.leave_usb(1, 2).unwrap();
        taken.take_usb(1, 2, &guest("g2"), false).unwrap();
        let address = "0000:01:00.0".parse().unwrap();
        let busy = taken.begin(address, "unbind", None).unwrap();
        assert!(
            taken
                .begin(address, "bind", None)
                .unwrap_err()
                .to_string()
                .ends_with("is busy: unbind")
        );
        drop(busy);
        assert!(taken.begin(address, "bind", None).is_ok());
    }

    #[test]
    fn what_cannot_be_written_down_is_not_done() {
        let taken = Taken::open(Some("/nonexistent/devices.json".into()));
        assert!(taken.put(device("0000:01:00.0", Use::Detached)).is_err());
        assert!(taken.devices().is_empty());
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(bytes: Vec<u8>) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x");
            std::fs::write(&path, bytes).unwrap();
            let _ = Taken::open(Some(path)).devices();
        }
    }
}
