//! Devices that come to a running container and go: file systems, network cards, and the host's devices.
//!
//! | device | attach | detach |
//! |---|---|---|
//! | `filesystem` | rules, mounted by the controller | unmounted, rules |
//! | `hostdev` storage, misc | rules, a node made by the controller | the node removed, rules |
//! | `hostdev` net | moved in | moved back |
//! | `interface` | a pair or a macvlan, moved in | the host's end, or the macvlan inside, removed |
//!
//! Devices have names from here on only; those that were there from the start have none, as with libvirt.
//! What is done is in steps of the run with those names: a step is what [`Plug::withdraw`] goes by, in this daemon or the next.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ferrovirt_guest::{BackendError, Plug, Run, Step};
use ferrovirt_model::domain::{Device, Devices, Domain, Filesystem, Hostdev, HostdevKind, Interface};
use ferrovirt_sys::blocking;
use ferrovirt_sys::cgroup::DeviceKind;

use crate::backend::LxcBackend;
use crate::cards::{self, ALIAS};
use crate::container::Container;
use crate::define::{self, live};
use crate::error::{Error, Result};
use crate::protocol::{Ask, Node};
use crate::{inside, orders, rules};

/// Kind of the step that stands for a device that is no card.
const STEP: &str = "plugged";
/// The rules that it needs.
const RULES: &str = "rules";
/// The mount that its place was in before.
const BEFORE: &str = "before";

impl Plug for LxcBackend {
    async fn fit(&self, doc: &Domain, device: &mut Device) -> std::result::Result<(), BackendError> {
        define::complete_device(&doc.devices, device)?;
        match device {
            Device::Interface(card) => {
                let mut whole = doc.clone();
                whole.devices.interfaces.push(Interface::clone(card));
                live::name_inside(&mut whole);
                if let Some(named) = whole.devices.interfaces.pop() {
                    **card = named;
                }
            }
            Device::Filesystem(_) | Device::Hostdev(_) if doc.devices.find(device).is_ok() => {
                return Err(Error::Invalid(taken(device).to_owned()).into());
            }
            _ => {}
        }
        name(&doc.devices, device);
        Ok(())
    }

    async fn attach(
        &self,
        guest: &Container,
        run: &mut Run,
        device: &mut Device,
    ) -> std::result::Result<(), BackendError> {
        match device {
            Device::Filesystem(filesystem) => mount(guest, run, filesystem).await,
            Device::Hostdev(hostdev) => match orders::node(&hostdev.kind) {
                Some(node) => make_node(guest, run, hostdev, node).await,
                None => self.give(guest, run, hostdev).await,
            },
            Device::Interface(card) => {
                let netns = private_network(guest)?;
                let waiting = cards::make_one(self.links(), run, card).await?;
                Ok(cards::move_in_later(self.links(), &netns, &[waiting]).await?)
            }
            Device::Disk(_) | Device::Other(_) => Err(unknown(device).into()),
        }
    }

    async fn detach(
        &self,
        guest: &Container,
        run: &mut Run,
        device: &Device,
    ) -> std::result::Result<bool, BackendError> {
        self.take_out(guest, run, device).await?;
        Ok(true)
    }

    async fn withdraw(&self, guest: &Container, run: &mut Run, device: &Device) {
        // Without a step nothing was made, or nothing is left.
        let steps = run.steps();
        let mut own = steps.iter().filter(|step| is_for(step, device));
        if own.next().is_some()
            && let Err(error) = self.take_out(guest, run, device).await
        {
            tracing::warn!("container '{}', {}: {error}", run.name(), device.known_as());
        }
    }

    async fn update(
        &self,
        _guest: &Container,
        _from: &Device,
        _to: &mut Device,
    ) -> std::result::Result<(), BackendError> {
        let text = "Unable to modify live devices";
        Err(BackendError::NotSupported(text.to_owned()))
    }

    async fn present(&self, guest: &Container, run: &Run) -> std::result::Result<Vec<String>, BackendError> {
        let mut present = Vec::new();
        for device in run.doc.devices.single() {
            if let Some(alias) = device.alias()
                && self.has(guest, run, &device).await?
            {
                present.push(alias.to_owned());
            }
        }
        Ok(present)
    }
}

/// Forgets the steps of a container that is gone, and its devices with it.
pub fn forget(run: &mut Run) {
    for step in run.steps().iter().filter(|step| step.kind == STEP) {
        run.undone(step);
    }
}

fn unknown(device: &Device) -> Error {
    let kind = device.kind();
    Error::unsupported(format!(
        "device '{kind}' of a running container cannot be changed"
    ))
}

/// libvirt's words for a device that is there already.
fn taken(device: &Device) -> &'static str {
    match device {
        Device::Filesystem(_) => "Target already exists",
        _ => "host device already exists",
    }
}

/// The first free name, counted behind the devices that have none.
fn name(devices: &Devices, device: &mut Device) {
    let (prefix, count) = match device {
        Device::Filesystem(_) => ("fs", devices.filesystems.len()),
        Device::Hostdev(_) => ("hostdev", devices.hostdevs.len()),
        _ => ("net", devices.interfaces.len()),
    };
    let mut names = (count..).map(|number| format!("{prefix}{number}"));
    let free = names.find(|name| devices.find_alias(name).is_none());
    if let Some(info) = device.info_mut() {
        info.alias = free;
    }
}

/// Whether a step stands for this device.
fn is_for(step: &Step, device: &Device) -> bool {
    device
        .alias()
        .is_some_and(|alias| !alias.is_empty() && step.get(ALIAS) == alias)
}

/// The step of a device that is no card.
fn step_of(run: &Run, device: &Device) -> Option<Step> {
    let is_it = |step: &Step| step.kind == STEP && is_for(step, device);
    run.steps().into_iter().find(is_it)
}

/// The controller stands still with a container that is paused.
fn awake(guest: &Container, run: &Run) -> Result<()> {
    match guest.scope() {
        Some(scope) if blocking::here(|| scope.is_frozen()) => Err(Error::Invalid(format!(
            "container '{}' is paused: its file systems and devices cannot be changed",
            run.name()
        ))),
        _ => Ok(()),
    }
}

/// The file of a network namespace that is the container's own.
fn private_network(guest: &Container) -> Result<PathBuf> {
    let netns = cards::netns_of(guest.init().pid);
    let read = |path: &Path| std::fs::read_link(path).map_err(Error::io("Cannot look at", path));
    match read(&netns)? == read(&cards::netns_of_host())? {
        true => Err(Error::unsupported(
            "the container has no network of its own (an interface at its start, or <privnet/>)",
        )),
        false => Ok(netns),
    }
}

fn look(guest: &Container, path: &Path) -> Result<Option<inside::Found>> {
    blocking::here(|| inside::look(guest.init().pid, path))
}

/// The number of the mount that a path is in, for a step.
fn mount_at(guest: &Container, path: &Path) -> Result<String> {
    let found = look(guest, path)?;
    Ok(found.map(|found| found.mount.to_string()).unwrap_or_default())
}

/// Writes a device down and lets the container use what it needs.
async fn announce(
    guest: &Container,
    run: &mut Run,
    device: &Device,
    before: String,
) -> std::result::Result<(), BackendError> {
    let needed = blocking::here(|| rules::of_device(device))?;
    let step = Step::new(STEP)
        .with(ALIAS, device.alias().unwrap_or_default())
        .with(RULES, rules::written(&needed))
        .with(BEFORE, before);
    run.journal(step).await?;
    Ok(blocking::here(|| {
        rules::allow(guest.scope(), &run.doc.devices, &needed)
    })?)
}

async fn mount(
    guest: &Container,
    run: &mut Run,
    filesystem: &Filesystem,
) -> std::result::Result<(), BackendError> {
    awake(guest, run)?;
    let order = orders::filesystem(filesystem)?;
    let before = mount_at(guest, &order.target)?;
    let device = Device::Filesystem(Box::new(filesystem.clone()));
    announce(guest, run, &device, before).await?;
    Ok(guest.ask(Ask::Mount(order)).await?)
}

async fn make_node(
    guest: &Container,
    run: &mut Run,
    hostdev: &Hostdev,
    node: Node,
) -> std::result::Result<(), BackendError> {
    awake(guest, run)?;
    let device = Device::Hostdev(Box::new(hostdev.clone()));
    check_kind(&device, &hostdev.kind)?;
    if look(guest, &node.inside)?.is_some() {
        let text = format!("'{}' already exists in the container", node.inside.display());
        return Err(Error::Failed(text).into());
    }
    announce(guest, run, &device, String::new()).await?;
    Ok(guest.ask(Ask::MakeNode(node)).await?)
}

/// A node is of the kind that the document says.
fn check_kind(device: &Device, kind: &HostdevKind) -> Result<()> {
    let (wanted, word) = match kind {
        HostdevKind::Storage(_) => (DeviceKind::Block, "block"),
        _ => (DeviceKind::Character, "character"),
    };
    let found = blocking::here(|| rules::of_device(device))?;
    match found.iter().all(|rule| rule.kind == wanted) {
        true => Ok(()),
        false => Err(Error::unsupported(format!(
            "Hostdev source {} must be a {word} device",
            kind.named()
        ))),
    }
}

impl LxcBackend {
    /// Gives a network device of the host.
    async fn give(
        &self,
        guest: &Container,
        run: &mut Run,
        hostdev: &Hostdev,
    ) -> std::result::Result<(), BackendError> {
        let netns = private_network(guest)?;
        let Some(waiting) = cards::given(hostdev) else {
            return Ok(());
        };
        let there = self.links().exists(&waiting.device).await.map_err(Error::from)?;
        if !there {
            let text = format!("there is no network device '{}' on the host", waiting.device);
            return Err(Error::Failed(text).into());
        }
        let device = Device::Hostdev(Box::new(hostdev.clone()));
        announce(guest, run, &device, String::new()).await?;
        Ok(cards::move_in_later(self.links(), &netns, &[waiting]).await?)
    }

    /// Takes a device out of the container, as far as it is there, and what it needed.
    async fn take_out(&self, guest: &Container, run: &mut Run, device: &Device) -> Result<()> {
        let step = step_of(run, device);
        match device {
            Device::Filesystem(filesystem) => unmount(guest, run, filesystem, step.as_ref()).await?,
            Device::Hostdev(hostdev) => match orders::node(&hostdev.kind) {
                Some(node) => remove_node(guest, run, node).await?,
                None => self.take_back(guest, hostdev).await?,
            },
            Device::Interface(card) => {
                return cards::take_out(self.links(), &cards::netns_of(guest.init().pid), run, card).await;
            }
            Device::Disk(_) | Device::Other(_) => return Err(unknown(device)),
        }
        let needed = match &step {
            Some(step) => rules::read(step.get(RULES)),
            None => blocking::here(|| rules::of_device(device)).unwrap_or_else(|error| {
                tracing::warn!("container '{}': {error}", run.name());
                Vec::new()
            }),
        };
        let staying = without(&run.doc.devices, device);
        blocking::here(|| rules::forbid(guest.scope(), &staying, &needed))?;
        if let Some(step) = &step {
            run.undone(step);
        }
        Ok(())
    }

    /// Moves a network device of the host back. One that is on the host has never left it.
    async fn take_back(&self, guest: &Container, hostdev: &Hostdev) -> Result<()> {
        let device = hostdev.kind.named();
        if self.links().exists(&device).await? {
            return Ok(());
        }
        let host = cards::netns_of_host();
        let file = File::open(&host).map_err(Error::io("Cannot open network namespace", &host))?;
        let inside = ferrovirt_link::Links::open_in(&cards::netns_of(guest.init().pid))?;
        Ok(inside.move_to(&device, file.as_fd(), &device).await?)
    }

    /// Whether a device of the document is still in the container.
    async fn has(&self, guest: &Container, run: &Run, device: &Device) -> Result<bool> {
        let step = step_of(run, device);
        match device {
            Device::Filesystem(filesystem) => {
                let target = orders::filesystem(filesystem)?.target;
                let found = look(guest, &target)?;
                Ok(found.is_some_and(|found| is_ours(step.as_ref(), found)))
            }
            Device::Hostdev(hostdev) => match orders::node(&hostdev.kind) {
                Some(node) => Ok(look(guest, &node.inside)?.is_some_and(|found| found.is_device)),
                None => Ok(!self.links().exists(&hostdev.kind.named()).await?),
            },
            Device::Interface(card) => {
                cards::is_there(self.links(), &cards::netns_of(guest.init().pid), run, card).await
            }
            Device::Disk(_) | Device::Other(_) => Ok(true),
        }
    }
}

/// The devices of a document but for this one.
fn without(devices: &Devices, device: &Device) -> Devices {
    let mut rest = devices.clone();
    let place = match device.alias() {
        Some(alias) => rest.find_alias(alias),
        None => rest.find(device).ok(),
    };
    if let Some(place) = place {
        rest.remove(place);
    }
    rest
}

/// Whether what is mounted there is our device. One that was attached has a step with what was there before.
fn is_ours(step: Option<&Step>, found: inside::Found) -> bool {
    let is_new = step.is_none_or(|step| step.get(BEFORE) != found.mount.to_string());
    is_new && found.is_mount_point
}

async fn unmount(guest: &Container, run: &Run, filesystem: &Filesystem, step: Option<&Step>) -> Result<()> {
    let target = PathBuf::from(filesystem.target.clone().unwrap_or_default());
    if target == Path::new("/") {
        return Err(Error::unsupported("the root of a container cannot be detached"));
    }
    let Some(found) = look(guest, &target)? else {
        return Ok(());
    };
    if !is_ours(step, found) {
        return Ok(());
    }
    awake(guest, run)?;
    guest.ask(Ask::Unmount(target)).await
}

async fn remove_node(guest: &Container, run: &Run, node: Node) -> Result<()> {
    match look(guest, &node.inside)? {
        Some(found) if found.is_device => {
            awake(guest, run)?;
            guest.ask(Ask::RemoveNode(node.inside)).await
        }
        _ => Ok(()),
    }
}
