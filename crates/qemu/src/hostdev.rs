//! Devices of the host between it and a guest. PCI devices are bound after the `prepare` hook and given back after `stopped`,
//! before `release`; a USB device is reserved, and QEMU takes it from its driver when it opens it. Who has which is in the
//! register of [`Passthrough`], on disk before anything is touched (R96).

use std::path::PathBuf;
use std::time::Duration;

use ferrovirt_guest::{BackendError, Run};
use ferrovirt_host::usb::{self, UsbDevice};
use ferrovirt_host::{Driver, Guest, Passthrough, PciAddress, Places, Wanted};
use ferrovirt_link::Links;
use ferrovirt_model::Kib;
use ferrovirt_model::domain::{
    Domain, HostPciAddress, HostPciDriver, HostPciDriverName, HostUsbAddress, Hostdev, HostdevKind,
    HostdevPci, HostdevStartupPolicy, HostdevUsb, Interface, OriginalStates,
};
use ferrovirt_sys::blocking;

use crate::config::QemuConfig;
use crate::error::{Error, Result};
use crate::host_card;
use crate::live::hostdev::node_of_usb;
use crate::ownership;

/// What VFIO locks besides the guest's memory: the space of the devices themselves.
const BESIDE_MEMORY: u64 = 1 << 30;

/// The name of this driver where libvirt says who has a device.
const DRIVER: &str = "QEMU";

/// The guest, as the register has it.
pub(crate) fn guest(name: &str) -> Guest {
    Guest {
        driver: DRIVER.to_owned(),
        name: name.to_owned(),
    }
}

pub(crate) fn address(address: &HostPciAddress) -> Result<PciAddress> {
    let text = address.to_string();
    text.parse()
        .map_err(|_| Error::Xml(format!("'{text}' is not an address of a PCI device")))
}

/// All devices of the host that a guest has, in libvirt's order: cards come first.
pub(crate) fn all(doc: &Domain) -> Vec<Hostdev> {
    let cards = doc.devices.interfaces.iter().filter_map(Interface::as_hostdev);
    cards.chain(doc.devices.hostdevs.iter().cloned()).collect()
}

/// What can be said before any device is looked at.
///
/// # Errors
/// The guest wants a PCI device, and this machine can give none away.
pub fn check(doc: &Domain, passthrough: &Passthrough) -> Result<()> {
    let by_vfio = |hostdev: &Hostdev| match &hostdev.kind {
        HostdevKind::Pci(pci) => driver_of(pci).is_ok_and(|driver| driver == Driver::Vfio),
        _ => false,
    };
    match all(doc).iter().any(by_vfio) && !blocking::here(|| passthrough.is_possible()) {
        true => Err(ferrovirt_host::Error::NoPassthrough.into()),
        false => Ok(()),
    }
}

/// Gets all devices of a guest ready and fills in what is found out. PCI devices that are not there are left out; the launch
/// misses them ([`nodes`]), as libvirt does.
///
/// # Errors
/// A device is in use, cannot be given away, or its driver does not let go of it.
pub async fn prepare(
    run: &mut Run,
    passthrough: &Passthrough,
    links: &Links,
) -> std::result::Result<(), BackendError> {
    let guest = guest(run.name());
    if passthrough.is_possible() {
        run.doc.devices.hostdevs.iter_mut().for_each(name_driver);
    }
    host_card::prepare(run, passthrough, links).await?;
    for hostdev in &mut run.doc.devices.hostdevs {
        // A driver that does not let go must not keep a destroy waiting: what is still on its way then goes back by itself.
        tokio::select! {
            taken = take(hostdev, &guest, passthrough) => taken?,
            () = run.cancel.cancelled() => return Err(BackendError::Cancelled),
        }
    }
    Ok(())
}

/// Puts the devices of a guest that libvirtd began into the register: its status file says of them all that is needed.
pub fn claim(doc: &Domain, passthrough: &Passthrough) {
    let guest = guest(&doc.name);
    for hostdev in all(doc) {
        let claimed = match &hostdev.kind {
            HostdevKind::Pci(pci) => address(&pci.source.address).and_then(|address| {
                let bound = pci.source.origstates.as_ref().is_some_and(|states| states.unbind);
                Ok(passthrough.claim(&guest, address, pci.managed == Some(true), bound)?)
            }),
            HostdevKind::Usb(usb) => claim_usb(usb, &guest, passthrough),
            HostdevKind::Storage(_) | HostdevKind::Misc(_) | HostdevKind::Net(_) => Ok(()),
        };
        if let Err(error) = claimed {
            tracing::warn!("guest '{}' of libvirtd's: {error}", doc.name);
        }
    }
}

fn claim_usb(usb: &HostdevUsb, guest: &Guest, passthrough: &Passthrough) -> Result<()> {
    let taken = passthrough.taken();
    match usb.source.address {
        Some(at) if taken.guest_of_usb(at.bus, at.device).is_none() => {
            // Whether it had a driver nobody knows: who looks for one finds out.
            Ok(taken.take_usb(at.bus, at.device, guest, true)?)
        }
        _ => Ok(()),
    }
}

/// The same of one device that comes to a running guest, with all that QEMU needs to open it.
///
/// # Errors
/// As [`prepare`] and [`hand_over`].
pub async fn attach(
    hostdev: &mut Hostdev,
    run: &mut Run,
    config: &QemuConfig,
    passthrough: &Passthrough,
) -> std::result::Result<(), BackendError> {
    name_driver(hostdev);
    take(hostdev, &guest(run.name()), passthrough).await?;
    let nodes = blocking::here(|| nodes([&*hostdev], passthrough))?;
    ownership::take_nodes(run, config, nodes).await?;
    let mut doc = run.doc.clone();
    doc.devices.hostdevs.push(hostdev.clone());
    Ok(limit_locks(run, lock_limit(&doc))?)
}

/// Among the facts of a run: how much memory QEMU could lock before it had to, bytes.
const LOCKED_BEFORE: &str = "memlock";

/// Sets how much memory the running QEMU may lock; none: as much as before it got its first device.
fn limit_locks(run: &mut Run, limit: Option<u64>) -> Result<()> {
    let before = run.facts.get(LOCKED_BEFORE).and_then(|text| text.parse().ok());
    let (Some(bytes), Some(process)) = (limit.or(before), run.process()) else {
        return Ok(());
    };
    let had = ferrovirt_sys::process::limit_locked_memory(process, bytes)
        .map_err(Error::io("Unable to set the memory lock limit of", "QEMU"))?;
    match limit {
        Some(_) => drop(
            run.facts
                .entry(LOCKED_BEFORE.to_owned())
                .or_insert_with(|| had.to_string()),
        ),
        None => drop(run.facts.remove(LOCKED_BEFORE)),
    }
    Ok(())
}

/// A PCI device that does not say how it reaches the guest does so by VFIO.
pub(crate) fn name_driver(hostdev: &mut Hostdev) {
    if let HostdevKind::Pci(pci) = &mut hostdev.kind {
        let driver = pci.driver.get_or_insert_default();
        driver.name.get_or_insert(HostPciDriverName::Vfio);
    }
}

pub(crate) async fn take(hostdev: &mut Hostdev, guest: &Guest, passthrough: &Passthrough) -> Result<()> {
    match &mut hostdev.kind {
        HostdevKind::Pci(pci) => take_pci(pci, guest, passthrough).await,
        HostdevKind::Usb(usb) => blocking::here(|| take_usb(usb, guest, passthrough)),
        HostdevKind::Storage(_) | HostdevKind::Misc(_) | HostdevKind::Net(_) => Ok(()),
    }
}

/// Which driver a device needs meanwhile.
fn driver_of(pci: &HostdevPci) -> Result<Driver> {
    Ok(match &pci.driver {
        Some(HostPciDriver {
            name: Some(HostPciDriverName::Kvm),
            ..
        }) => {
            return Err(Error::unsupported(
                "pci backend driver type 'kvm' is not supported",
            ));
        }
        Some(HostPciDriver {
            name: Some(HostPciDriverName::Xen),
            ..
        }) => Driver::Named("pciback".to_owned()),
        Some(HostPciDriver {
            model: Some(model), ..
        }) => Driver::Named(model.clone()),
        _ => Driver::Vfio,
    })
}

async fn take_pci(pci: &mut HostdevPci, guest: &Guest, passthrough: &Passthrough) -> Result<()> {
    let wanted = Wanted {
        address: address(&pci.source.address)?,
        managed: pci.managed == Some(true),
        driver: driver_of(pci)?,
    };
    let address = wanted.address;
    if !blocking::here(|| passthrough.is_there(address)) && passthrough.is_possible() {
        return Ok(());
    }
    passthrough.prepare(guest, &[wanted]).await?;
    let known = passthrough.taken().get(address);
    pci.source.origstates = Some(OriginalStates {
        unbind: known.is_some_and(|known| known.give_back),
        ..OriginalStates::default()
    });
    Ok(())
}

fn take_usb(device: &mut HostdevUsb, guest: &Guest, passthrough: &Passthrough) -> Result<()> {
    match find_usb(device, passthrough.places()) {
        Ok(found) => {
            let driven = usb::is_driven(passthrough.places(), found);
            passthrough
                .taken()
                .take_usb(found.bus, found.device, guest, driven)?;
            device.source.address = Some(HostUsbAddress {
                bus: found.bus,
                device: found.device,
            });
            Ok(())
        }
        Err(ferrovirt_host::Error::NoUsbDevice(_))
            if device.source.startup_policy == Some(HostdevStartupPolicy::Optional) =>
        {
            device.source.missing = Some(true);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The one that is meant: with both a place and a kind the place of another boot may be another device's now.
fn find_usb(device: &HostdevUsb, places: &Places) -> std::result::Result<UsbDevice, ferrovirt_host::Error> {
    let source = &device.source;
    let ids = source.vendor.zip(source.product);
    let placed = source
        .address
        .map(|at| usb::by_address(places, at.bus, at.device));
    match (placed, ids) {
        (Some(Ok(found)), Some((vendor, product)))
            if (found.vendor, found.product) != (vendor.id, product.id) =>
        {
            usb::by_ids(places, vendor.id, product.id)
        }
        (Some(Err(_)), Some((vendor, product))) => usb::by_ids(places, vendor.id, product.id),
        (Some(found), _) => found,
        (None, Some((vendor, product))) => usb::by_ids(places, vendor.id, product.id),
        (None, None) => Err(ferrovirt_host::Error::NoUsbDevice("without a place".to_owned())),
    }
}

/// The nodes that QEMU opens for the devices.
///
/// # Errors
/// A device is not there, or not with a driver for guests.
pub fn nodes<'a>(
    hostdevs: impl IntoIterator<Item = &'a Hostdev>,
    passthrough: &Passthrough,
) -> Result<Vec<PathBuf>> {
    let mut nodes = Vec::new();
    for hostdev in hostdevs {
        match &hostdev.kind {
            HostdevKind::Pci(pci) => nodes.push(passthrough.group_node(address(&pci.source.address)?)?),
            HostdevKind::Usb(usb) if usb.source.missing != Some(true) => {
                nodes.extend(node_of_usb(usb).map(PathBuf::from));
            }
            _ => {}
        }
    }
    nodes.dedup();
    Ok(nodes)
}

/// Gives the devices' nodes to QEMU's user.
///
/// # Errors
/// As [`nodes`]; the owner of a node cannot be changed.
pub async fn hand_over(
    run: &mut Run,
    config: &QemuConfig,
    passthrough: &Passthrough,
) -> std::result::Result<(), BackendError> {
    let nodes = blocking::here(|| nodes(&all(&run.doc), passthrough))?;
    ownership::take_nodes(run, config, nodes).await
}

/// How much memory QEMU may lock, bytes: what the document says, all if it wants that of its memory, else what VFIO
/// locks: the memory once, or once for each device where the guest has an IOMMU and with it an address space for each of
/// them. `None`: as much as the daemon.
#[must_use]
pub fn lock_limit(doc: &Domain) -> Option<u64> {
    let is_vfio = |hostdev: &&Hostdev| matches!(hostdev.kind, HostdevKind::Pci(_));
    let devices = all(doc).iter().filter(is_vfio).count() as u64;
    let vfio = devices > 0;
    let times = if doc.devices.iommus.is_empty() { 1 } else { devices };
    let locked = doc.memory_backing.as_ref().is_some_and(|backing| backing.locked);
    let hard = doc.memtune.as_ref().and_then(|tune| tune.hard_limit);
    match hard.map(Kib::bytes) {
        _ if !vfio && !locked => None,
        Some(hard) => Some(hard),
        None if locked => Some(u64::MAX),
        None => Some(
            { doc.memory.bytes() }
                .saturating_mul(times)
                .saturating_add(BESIDE_MEMORY),
        ),
    }
}

/// The guest has ended: everything goes back to where it was.
pub async fn release(run: &mut Run, passthrough: &Passthrough, links: &Links) {
    if all(&run.doc).is_empty() {
        return;
    }
    let guest = guest(run.name());
    host_card::give_back(run, links, |_| true).await;
    if let Err(error) = passthrough.release(&guest).await {
        tracing::error!("guest '{}': {error}", run.name());
    }
    give_back_usb(passthrough, &guest).await;
    let gone = |other: &Guest| *other == guest;
    if let Err(error) = blocking::here(|| passthrough.taken().leave_all_usb(gone)) {
        tracing::error!("guest '{}': {error}", run.name());
    }
    for hostdev in &mut run.doc.devices.hostdevs {
        match &mut hostdev.kind {
            HostdevKind::Pci(pci) => pci.source.origstates = None,
            HostdevKind::Usb(usb) => usb.source.missing = None,
            _ => {}
        }
    }
}

/// How long drivers of USB devices may take that come back to them.
const USB_PATIENCE: Duration = Duration::from_secs(10);

/// QEMU gives its USB devices back, unless it was killed. A driver that hangs must not keep the guest from its end.
async fn give_back_usb(passthrough: &Passthrough, guest: &Guest) {
    let driven = passthrough.taken().driven_usb(guest);
    if driven.is_empty() {
        return;
    }
    let places = passthrough.places().clone();
    let work = tokio::task::spawn_blocking(move || {
        for (bus, device) in driven {
            // One that was pulled out meanwhile has nothing to come back to.
            let Ok(found) = usb::by_address(&places, bus, device) else {
                continue;
            };
            if let Err(error) = usb::give_back(&places, found) {
                tracing::warn!("USB device {bus:03}:{device:03} has not got its driver back: {error}");
            }
        }
    });
    if tokio::time::timeout(USB_PATIENCE, work).await.is_err() {
        tracing::warn!(
            "guest '{}': a driver of a USB device does not come back",
            guest.name
        );
    }
}

/// A running guest has a device no longer. The node of a group that another of its devices is in stays QEMU's.
pub async fn detach(hostdev: &Hostdev, run: &mut Run, passthrough: &Passthrough) {
    let gone = blocking::here(|| nodes([hostdev], passthrough)).unwrap_or_default();
    let kept = blocking::here(|| {
        let others = all(&run.doc);
        { others.iter() }
            .filter_map(|other| nodes([other], passthrough).ok())
            .flatten()
            .collect::<Vec<_>>()
    });
    let gone: Vec<PathBuf> = gone.into_iter().filter(|node| !kept.contains(node)).collect();
    blocking::here(|| ownership::leave_nodes(run, &gone));
    let left = match &hostdev.kind {
        HostdevKind::Pci(pci) => match address(&pci.source.address) {
            Ok(address) => passthrough.release_one(&guest(run.name()), address).await,
            Err(_) => Ok(()),
        },
        HostdevKind::Usb(usb) => match usb.source.address {
            Some(at) => blocking::here(|| leave_usb(at, run.name(), passthrough)),
            None => Ok(()),
        },
        _ => Ok(()),
    };
    if let Err(error) = left {
        tracing::error!("guest '{}': {error}", run.name());
    }
    let runs = run.process().is_some_and(|process| process.is_alive());
    if runs && let Err(error) = limit_locks(run, lock_limit(&run.doc)) {
        tracing::warn!("guest '{}': {error}", run.name());
    }
}

/// What another guest has stays its own.
fn leave_usb(
    at: HostUsbAddress,
    name: &str,
    passthrough: &Passthrough,
) -> std::result::Result<(), ferrovirt_host::Error> {
    match passthrough.taken().guest_of_usb(at.bus, at.device) {
        Some(owner) if owner == guest(name) => passthrough.taken().leave_usb(at.bus, at.device),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_model::UnknownPolicy;

    fn limit(parts: &str) -> Option<u64> {
        let text = format!(
            "<domain type='qemu'><name>g</name><memory unit='MiB'>128</memory><os><type machine='q35'>hvm</type></os>{parts}</domain>"
        );
        lock_limit(&Domain::parse(&text, UnknownPolicy::Refuse).unwrap().value)
    }

    fn card(slot: u8) -> String {
        format!(
            "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0' bus='1' slot='{slot}' function='0'/></source></hostdev>"
        )
    }

    #[test]
    fn memory_is_locked_once_or_once_for_each_device_with_an_address_space() {
        const MIB: u64 = 1 << 20;
        let (one, two) = (card(1), card(1) + &card(2));
        assert_eq!(limit("<devices/>"), None);
        assert_eq!(limit(&format!("<devices>{one}</devices>")), Some(1152 * MIB));
        assert_eq!(limit(&format!("<devices>{two}</devices>")), Some(1152 * MIB));
        let iommu = "<iommu model='intel'/>";
        assert_eq!(
            limit(&format!("<devices>{two}{iommu}</devices>")),
            Some(1280 * MIB)
        );
        let hard = "<memtune><hard_limit unit='MiB'>200</hard_limit></memtune>";
        assert_eq!(limit(&format!("{hard}<devices>{two}</devices>")), Some(200 * MIB));
        assert_eq!(limit(&format!("{hard}<devices/>")), None);
        let locked = "<memoryBacking><locked/></memoryBacking>";
        assert_eq!(limit(locked), Some(u64::MAX));
    }
}
