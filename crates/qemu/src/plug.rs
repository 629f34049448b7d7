//! Devices that come to a running guest and go: virtio and SCSI disks, and network cards. What the command line says of a
//! device at a start is said on the monitor.

use std::time::Duration;

use ferrovirt_guest::{BackendError, Plug, Run};
use ferrovirt_model::domain::{
    BackingStore, Device, Disk, DiskBus, DiskDevice, DiskSource, DiskType, Domain, Hostdev, Interface,
    InterfaceType, LinkState,
};
use ferrovirt_sys::blocking;
use ferrovirt_sys::cgroup::DeviceRule;
use serde_json::value::RawValue;
use tokio::sync::broadcast::error::RecvError;

use crate::backend::QemuBackend;
use crate::command;
use crate::command::net::host_id;
use crate::define;
use crate::device_rules;
use crate::error::{Error, Result};
use crate::live::{alias, image, tap};
use crate::machine::{DEADLINE, Machine, Release, WORK_DEADLINE};
use crate::ownership;
use crate::private_dev;
use crate::qmp::commands::{BlockdevDel, CloseFd, DeviceDel, NetdevDel, QomList, SetLink};
use crate::qmp::{Command, QmpError};
use crate::throttle;
use crate::{host_card, hostdev};

/// How long a guest may take to let go of a device before the client gets its answer without that, as in libvirt.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where QEMU has all devices that were given a name.
const NAMED: &str = "/machine/peripheral";

impl Plug for QemuBackend {
    async fn fit(&self, doc: &Domain, device: &mut Device) -> std::result::Result<(), BackendError> {
        check(device)?;
        let emulator = self.emulator(doc).await?;
        let mut whole = doc.clone();
        whole.devices.insert(device.clone());
        let buses = whole.devices.controllers.len();
        define::complete_devices(&mut whole, &emulator)?;
        if whole.devices.controllers.len() > buses {
            return Err(no_place(device).into());
        }
        match device {
            Device::Disk(disk) => {
                let dev = disk.target.dev.clone();
                let complete = whole
                    .devices
                    .disks
                    .into_iter()
                    .find(|disk| disk.target.dev == dev);
                **disk = inspected(complete.unwrap_or_default()).await?;
            }
            Device::Interface(card) => {
                if let Some(complete) = whole.devices.interfaces.pop() {
                    **card = complete;
                }
            }
            Device::Hostdev(hostdev) => {
                if let Some(complete) = whole.devices.hostdevs.pop() {
                    **hostdev = complete;
                }
            }
            Device::Filesystem(_) | Device::Other(_) => {}
        }
        alias::assign_to(doc, device);
        Ok(())
    }

    async fn attach(
        &self,
        guest: &Machine,
        run: &mut Run,
        device: &mut Device,
    ) -> std::result::Result<(), BackendError> {
        match device {
            Device::Disk(disk) => {
                ownership::take_disk(run, self.config(), disk).await?;
                self.allow(run, &Device::Disk(disk.clone()))?;
                Ok(attach_disk(guest, &run.doc, disk).await?)
            }
            Device::Interface(card) if card.kind == InterfaceType::Hostdev => {
                host_card::attach(card, run, self.config(), self.passthrough(), self.links()).await?;
                self.allow(run, &Device::Interface(card.clone()))?;
                Ok(attach_host_card(guest, &run.doc, card).await?)
            }
            Device::Interface(card) => {
                let tap = tap::make(self.links(), card).await?;
                Ok(attach_card(guest, &run.doc, card, tap).await?)
            }
            Device::Hostdev(hostdev) => {
                hostdev::attach(hostdev, run, self.config(), self.passthrough()).await?;
                self.allow(run, &Device::Hostdev(hostdev.clone()))?;
                Ok(attach_hostdev(guest, &run.doc, hostdev).await?)
            }
            Device::Filesystem(_) | Device::Other(_) => Ok(check(device)?),
        }
    }

    async fn detach(
        &self,
        guest: &Machine,
        _run: &mut Run,
        device: &Device,
    ) -> std::result::Result<bool, BackendError> {
        check_unplug(device)?;
        Ok(release(guest, device.alias().unwrap_or_default()).await?)
    }

    async fn withdraw(&self, guest: &Machine, run: &mut Run, device: &Device) {
        let allowed = device_rules::with(run, device, self.config(), self.passthrough());
        let had = blocking::here(|| private_dev::with(run, device, self.config(), self.passthrough()));
        match device {
            Device::Disk(disk) => {
                for node_name in nodes(disk) {
                    forget(guest, &BlockdevDel { node_name }).await;
                }
                blocking::here(|| ownership::leave_disk(run, disk));
            }
            Device::Interface(card) if card.kind == InterfaceType::Hostdev => {
                host_card::detach(card, run, self.passthrough(), self.links()).await;
            }
            // The tap goes with its last descriptor.
            Device::Interface(card) => {
                let id = host_id(card.info.alias.as_deref().unwrap_or_default());
                forget(guest, &NetdevDel { id }).await;
            }
            Device::Hostdev(hostdev) => hostdev::detach(hostdev, run, self.passthrough()).await,
            Device::Filesystem(_) | Device::Other(_) => {}
        }
        let staying = self.rules(run);
        device_rules::change(run, &allowed, &staying, self.config());
        private_dev::keep(run, &had, self.config(), self.passthrough());
    }

    async fn update(
        &self,
        guest: &Machine,
        from: &Device,
        to: &mut Device,
    ) -> std::result::Result<(), BackendError> {
        match (from, to) {
            (Device::Interface(from), Device::Interface(to)) => Ok(update_card(guest, from, to).await?),
            (Device::Disk(from), Device::Disk(to)) => {
                let path = |disk: &Disk| disk.source.as_ref().and_then(|s| s.path()).map(str::to_owned);
                if path(from) != path(to) {
                    let text = "disk source can be changed only in removable drives";
                    return Err(BackendError::Unsupported(text.to_owned()));
                }
                Err(BackendError::NotSupported(format!(
                    "disk '{}' of a running guest cannot be changed",
                    from.target.dev
                )))
            }
            _ => Ok(()),
        }
    }

    async fn present(&self, guest: &Machine, _run: &Run) -> std::result::Result<Vec<String>, BackendError> {
        let path = NAMED.to_owned();
        let found = guest.monitor().execute(&QomList { path }, DEADLINE).await;
        let found = found.map_err(Error::from)?;
        let devices = found.into_iter().filter(|entry| entry.kind.starts_with("child<"));
        Ok(devices.map(|entry| entry.name).collect())
    }
}

impl QemuBackend {
    /// The rules of a running guest's control group.
    fn rules(&self, run: &Run) -> Vec<DeviceRule> {
        blocking::here(|| device_rules::of(&run.doc, self.config(), self.passthrough()))
    }

    /// One device more may be opened.
    fn allow(&self, run: &Run, device: &Device) -> std::result::Result<(), BackendError> {
        let to = device_rules::with(run, device, self.config(), self.passthrough());
        device_rules::change(run, &self.rules(run), &to, self.config());
        private_dev::add(run, device, self.config(), self.passthrough())
    }
}

/// What can be plugged at all, in libvirt's words.
fn check(device: &Device) -> Result<()> {
    let disk = match device {
        Device::Disk(disk) => disk,
        Device::Interface(card) if command::net::queues(card) > 1 => {
            let text = "a card with more than one queue cannot be plugged: attribute 'queues'";
            return Err(Error::NotSupported(text.to_owned()));
        }
        Device::Interface(_) | Device::Hostdev(_) => return Ok(()),
        Device::Filesystem(_) | Device::Other(_) => {
            let text = format!("live attach of device '{}' is not supported", device.kind());
            return Err(Error::NotSupported(text));
        }
    };
    if disk.device != DiskDevice::Disk {
        let kind = disk.device;
        let text = format!("disk device type '{kind}' cannot be hotplugged");
        return Err(Error::NotSupported(text));
    }
    if disk.kind == DiskType::VhostUser {
        let text = "disk of type 'vhostuser' cannot be hotplugged".to_owned();
        return Err(Error::NotSupported(text));
    }
    match disk.target.bus {
        Some(DiskBus::Virtio | DiskBus::Scsi) | None => Ok(()),
        Some(bus) => Err(Error::NotSupported(format!(
            "disk bus '{bus}' cannot be hotplugged."
        ))),
    }
}

fn check_unplug(device: &Device) -> Result<()> {
    match device {
        Device::Disk(disk) if disk.device != DiskDevice::Disk => {
            let text = format!("disk device type '{}' cannot be detached", disk.device);
            Err(Error::NotSupported(text))
        }
        Device::Disk(disk) if !matches!(disk.target.bus, Some(DiskBus::Virtio | DiskBus::Scsi)) => Err(
            Error::NotSupported("This type of disk cannot be hot unplugged".to_owned()),
        ),
        _ => Ok(()),
    }
}

/// The device needs a bus that the running guest does not have.
fn no_place(device: &Device) -> Error {
    match device {
        Device::Disk(disk) if disk.target.bus == Some(DiskBus::Scsi) => Error::NotSupported(format!(
            "disk '{}' needs a SCSI controller with room, which the running guest does not have",
            disk.target.dev
        )),
        _ => Error::Internal("No more available PCI slots".to_owned()),
    }
}

/// Reads images' headers beside the runtime: a disk may be slow.
async fn inspected(disk: Disk) -> Result<Disk> {
    let looked = tokio::task::spawn_blocking(move || {
        let mut disk = disk;
        image::inspect_disk(&mut disk).map(|()| disk)
    });
    looked
        .await
        .map_err(|error| Error::Failed(format!("looking at the disk's images failed: {error}")))?
}

/// A command whose arguments were put together as for the command line.
async fn tell(guest: &Machine, command: &'static str, arguments: String) -> Result<()> {
    let arguments = RawValue::from_string(arguments).map_err(|source| QmpError::Encode {
        command: command.to_owned(),
        source,
    })?;
    guest
        .monitor()
        .raw(command, Some(&arguments), WORK_DEADLINE)
        .await?;
    Ok(())
}

/// Takes away what may not be there.
async fn forget<C: Command>(guest: &Machine, command: &C) {
    match guest.monitor().execute(command, DEADLINE).await {
        Ok(_) => {}
        Err(error) => tracing::debug!("guest '{}': {error}", guest.name()),
    }
}

async fn attach_disk(guest: &Machine, doc: &Domain, disk: &Disk) -> Result<()> {
    let (nodes, device) = command::disk::hot(doc, disk)?;
    for node in nodes {
        tell(guest, "blockdev-add", node).await?;
    }
    tell(guest, "device_add", device).await?;
    Ok(throttle::tell(guest.monitor(), disk).await?)
}

async fn attach_hostdev(guest: &Machine, doc: &Domain, hostdev: &Hostdev) -> Result<()> {
    match command::hostdev::device(doc, hostdev) {
        Some(device) => tell(guest, "device_add", device.finish()).await,
        None => Ok(()),
    }
}

async fn attach_host_card(guest: &Machine, doc: &Domain, card: &Interface) -> Result<()> {
    match command::hostdev::card(doc, card, None) {
        Some(device) => tell(guest, "device_add", device.finish()).await,
        None => Ok(()),
    }
}

async fn attach_card(
    guest: &Machine,
    doc: &Domain,
    card: &Interface,
    tap: Option<(std::os::fd::OwnedFd, String)>,
) -> Result<()> {
    let alias = card.info.alias.clone().unwrap_or_default();
    let fdname = format!("fd-{alias}");
    let (netdev, device) = command::net::hot(doc, card, &fdname)?;
    if let Some((fd, _)) = tap {
        guest.monitor().send_fd(&fdname, fd, DEADLINE).await?;
    }
    if let Err(error) = tell(guest, "netdev_add", netdev).await {
        forget(guest, &CloseFd { fdname }).await;
        return Err(error);
    }
    tell(guest, "device_add", device).await?;
    if card.link == Some(LinkState::Down) {
        set_link(guest, alias, false).await?;
    }
    Ok(())
}

async fn set_link(guest: &Machine, name: String, up: bool) -> Result<()> {
    guest.monitor().execute(&SetLink { name, up }, DEADLINE).await?;
    Ok(())
}

/// Asks the guest to let go; whether it has, in time.
async fn release(guest: &Machine, alias: &str) -> Result<bool> {
    let mut releases = guest.releases();
    let id = alias.to_owned();
    match guest.monitor().execute(&DeviceDel { id }, DEADLINE).await {
        Ok(_) => {}
        Err(error) if error.class() == Some("DeviceNotFound") => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    let answered = async {
        loop {
            match releases.recv().await {
                Ok(Release::Gone(name)) if name == alias => return Ok(true),
                Ok(Release::Refused(name)) if name == alias => {
                    return Err(Error::Failed(format!(
                        "the guest does not let go of device '{alias}'"
                    )));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                // QEMU is gone, and everything with it.
                Err(RecvError::Closed) => return Ok(true),
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .unwrap_or(Ok(false))
}

/// The nodes of a disk that may be there, the uppermost first.
fn nodes(disk: &Disk) -> Vec<String> {
    let data = |source: &DiskSource| source.data_store.as_ref().and_then(|store| store.index);
    let mut indices: Vec<u32> = Vec::new();
    if let Some(source) = &disk.source {
        indices.extend(source.index);
        indices.extend(data(source));
    }
    let mut below: Option<&BackingStore> = disk.backing_store.as_deref();
    while let Some(store) = below {
        indices.extend(store.index);
        indices.extend(store.source.as_deref().and_then(data));
        below = store.backing_store.as_deref();
    }
    let names = |index: u32| {
        [
            format!("libvirt-{index}-format"),
            format!("libvirt-{index}-slice-sto"),
            format!("libvirt-{index}-storage"),
        ]
    };
    let filters = (alias::last_number(disk) + 1..).zip(&disk.throttle_filters);
    let filters: Vec<String> = filters
        .map(|(number, _)| format!("libvirt-{number}-filter"))
        .collect();
    let copy = format!("libvirt-CoR-{}", disk.target.dev);
    filters
        .into_iter()
        .rev()
        .chain(std::iter::once(copy))
        .chain(indices.into_iter().flat_map(names))
        .collect()
}

/// Of a card in a running guest only its cable can be plugged in and out.
async fn update_card(guest: &Machine, from: &Interface, to: &mut Interface) -> Result<()> {
    if from.model != to.model && to.model.is_some() {
        let name = |model: &Option<String>| model.clone().unwrap_or_default();
        return Err(Error::NotSupported(format!(
            "cannot modify network device model from {} to {}",
            name(&from.model),
            name(&to.model)
        )));
    }
    let link = to.link;
    let mut wanted = from.clone();
    wanted.link = link;
    let network = |card: &Interface| card.source.as_ref().and_then(|source| source.network.clone());
    let same = from.kind == to.kind
        && network(from) == network(to)
        && (to.mtu.is_none() || to.mtu == from.mtu)
        && to.info == from.info;
    if !same {
        return Err(Error::NotSupported(
            "of a network card in a running guest only the link state can be changed".to_owned(),
        ));
    }
    let up = link != Some(LinkState::Down);
    let alias = from.info.alias.clone().unwrap_or_default();
    set_link(guest, alias, up).await?;
    *to = wanted;
    Ok(())
}
