//! Devices that come and go while a guest runs, and in its definition.
//!
//! ```text
//!   attach   written down, port with its hook (R74), the backend's part, document, told
//!   detach   the guest is asked to let go; when it has: the backend's part, port with its hook, document, told
//! ```
//!
//! What a sudden death cuts short is undone by the next daemon, which finds a step of ours in the status file (R96) or
//! misses a device in the guest. A hook that fails fails the attachment, and nothing else.

use ferrovirt_model::UnknownPolicy;
use ferrovirt_model::domain::{Device, Domain, NotFound, Place};
use ferrovirt_xml::Form;

use crate::backend::Plug;
use crate::error::{BackendError, Error, Result};
use crate::event::What;
use crate::handle::not_running;
use crate::operation::publish;
use crate::run::Run;
use crate::sequence::Finish;
use crate::status::{Plugged, Step};
use crate::walk::Walk;
use crate::{definition, ports};

/// Kind of the step that stands for a device that is being attached.
const STEP: &str = "plug";

/// How libvirt calls a change of the running guest.
const LIVE: &str = "live";

/// What can be done with a device.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceChange {
    /// Add it.
    Attach(Device),
    /// Take away the one that this one means.
    Detach(Device),
    /// Take away the one of this name.
    DetachAlias(String),
    /// Change the one that this one means.
    Update(Device),
}

impl DeviceChange {
    /// What the client called it.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            DeviceChange::Attach(_) => "attachment of a device",
            DeviceChange::Detach(_) | DeviceChange::DetachAlias(_) => "detachment of a device",
            DeviceChange::Update(_) => "change of a device",
        }
    }

    /// Refuses kinds that this driver does not change one by one, in libvirt's words.
    fn refuse_others(&self, whose: &str, kinds: &[&str]) -> Result<()> {
        let (verb, device) = match self {
            DeviceChange::Attach(device) => ("attach", device),
            DeviceChange::Detach(device) => ("detach", device),
            DeviceChange::Update(device) => ("update", device),
            DeviceChange::DetachAlias(_) => return Ok(()),
        };
        let kind = device.kind();
        if kinds.contains(&kind) && !matches!(device, Device::Other(_)) {
            return Ok(());
        }
        let text = format!("{whose} {verb} of device '{kind}' is not supported");
        Err(match self {
            DeviceChange::Update(_) if whose == LIVE => BackendError::Unsupported(text).into(),
            _ => Error::NotSupported(text),
        })
    }

    /// Changes a definition of a driver that attaches devices of these kinds.
    ///
    /// # Errors
    /// The device is there already, or is not; `NotSupported` for kinds that are not changed one by one.
    pub(crate) fn apply(&self, doc: &mut Domain, kinds: &[&str]) -> Result<()> {
        self.refuse_others("persistent", kinds)?;
        match self {
            DeviceChange::Attach(device) => {
                if let Some(text) = already(doc, device) {
                    return Err(Error::Invalid(text));
                }
                doc.devices.insert(device.clone());
            }
            DeviceChange::Detach(device) => {
                let place = find(doc, device)?;
                doc.devices.remove(place);
            }
            DeviceChange::DetachAlias(alias) => {
                let place = find_alias(doc, alias)?;
                doc.devices.remove(place);
            }
            DeviceChange::Update(device) => {
                let place = find(doc, device)?;
                let mut device = device.clone();
                if let Some(old) = doc.devices.device(place) {
                    keep_place(&mut device, &old);
                }
                doc.devices.replace(place, device);
            }
        }
        Ok(())
    }
}

/// The words for a device whose place in the definition is taken, as libvirt has them.
fn already(doc: &Domain, device: &Device) -> Option<String> {
    let text = match device {
        Device::Disk(disk) => format!("target {} already exists", disk.target.dev),
        Device::Filesystem(_) => "Target already exists".to_owned(),
        Device::Hostdev(_) => "device is already in the domain configuration".to_owned(),
        Device::Interface(_) | Device::Other(_) => return None,
    };
    doc.devices.find(device).is_ok().then_some(text)
}

/// A device that does not say where it sits stays where it is.
fn keep_place(device: &mut Device, old: &Device) {
    let Some(old) = old.info().cloned() else { return };
    let Some(info) = device.info_mut() else { return };
    info.address = info.address.take().or(old.address);
    info.alias = info.alias.take().or(old.alias);
}

fn find(doc: &Domain, device: &Device) -> Result<Place> {
    doc.devices.find(device).map_err(|error| match error {
        NotFound::None(text) => Error::NoDevice(text),
        NotFound::Several(text) => Error::Failed(text),
        NotFound::Kind(_) => Error::NotSupported(error.to_string()),
    })
}

fn find_alias(doc: &Domain, alias: &str) -> Result<Place> {
    let place = doc.devices.find_alias(alias);
    place.ok_or_else(|| Error::Internal(format!("no device found with alias {alias}")))
}

/// Changes the running guest, and its definition when that is asked for too. What the definition cannot have is refused
/// before the guest is touched.
pub(crate) async fn change<B: Plug>(
    walk: &Walk<B>,
    mut run: Box<Run>,
    change: DeviceChange,
    also_config: bool,
) -> (Finish, Result<()>) {
    let result = change_both(walk, &mut run, change, also_config).await;
    (Finish::Up(run), result)
}

async fn change_both<B: Plug>(
    walk: &Walk<B>,
    run: &mut Run,
    change: DeviceChange,
    also_config: bool,
) -> Result<()> {
    let config = match also_config {
        true => Some(definition::with_change(walk, &change).await?),
        false => None,
    };
    change.refuse_others(LIVE, B::DEVICES)?;
    match change {
        DeviceChange::Attach(device) => attach(walk, run, device).await?,
        DeviceChange::Detach(device) => {
            let place = find(&run.doc, &device)?;
            detach(walk, run, place).await?;
        }
        DeviceChange::DetachAlias(alias) => {
            let place = find_alias(&run.doc, &alias)?;
            detach(walk, run, place).await?;
        }
        DeviceChange::Update(device) => update(walk, run, device).await?,
    }
    match config {
        Some(doc) => definition::replace(walk, doc),
        None => Ok(()),
    }
}

async fn attach<B: Plug>(walk: &Walk<B>, run: &mut Run, mut device: Device) -> Result<()> {
    let guest = walk.desk.guest().ok_or_else(not_running)?;
    walk.backend().fit(&run.doc, &mut device).await?;
    let port = match &device {
        Device::Interface(card) => ports::wanted_by(card),
        _ => None,
    };
    let step = write_down(run, &device, port.clone()).await?;
    let made = attach_now(walk, &guest, run, &mut device, port.as_ref()).await;
    run.undone(&step);
    let alias = device.alias().unwrap_or_default().to_owned();
    match made {
        Ok(()) => run.doc.devices.insert(device),
        Err(error) => {
            if let Err(lost) = run.save(|_| ()).await {
                tracing::error!("guest '{}': {lost}", run.name());
            }
            return Err(error);
        }
    }
    publish(walk, run).await?;
    walk.desk.announce(What::DeviceAdded(alias));
    Ok(())
}

/// What is about to be made, with all that is needed to undo it (R96).
async fn write_down(run: &mut Run, device: &Device, port: Option<Plugged>) -> Result<Step> {
    let mut step = Step::new(STEP).with("device", device.to_xml(&Form::STATUS));
    if let Some(port) = port {
        step = step.with("port", port.uuid.to_string());
        run.ports.push(port);
    }
    run.journal(step.clone()).await?;
    Ok(step)
}

/// The port, then the backend's part; nothing of both is left after a failure.
async fn attach_now<B: Plug>(
    walk: &Walk<B>,
    guest: &B::Guest,
    run: &mut Run,
    device: &mut Device,
    port: Option<&Plugged>,
) -> Result<()> {
    if let (Some(port), Device::Interface(card)) = (port, &mut *device) {
        match walk.create_port(run, port).await {
            Ok(made) => ports::fill_card(card, &made),
            Err(error) => {
                // Its network has undone it, so there is nothing to delete (R73).
                run.ports.retain(|other| other != port);
                return Err(error);
            }
        }
    }
    let what = "the attachment of a device";
    let attached = walk.work(what, walk.backend().attach(guest, run, device)).await;
    let ready = match (&attached, &*device) {
        (Ok(()), Device::Interface(card)) => walk.port_ready(run, card.target_dev()).await,
        _ => Ok(()),
    };
    if let Err(error) = attached.and(ready) {
        walk.backend().withdraw(guest, run, device).await;
        if let Some(port) = port {
            walk.delete_port(run, port).await;
        }
        return Err(error);
    }
    Ok(())
}

/// Asks the guest to let go. When it takes its time, it is told of later, as libvirt does it.
async fn detach<B: Plug>(walk: &Walk<B>, run: &mut Run, place: Place) -> Result<()> {
    let guest = walk.desk.guest().ok_or_else(not_running)?;
    let Some(device) = run.doc.devices.device(place) else {
        return Ok(());
    };
    let asked = walk.backend().detach(&guest, run, &device);
    if walk.work("the detachment of a device", asked).await? {
        remove(walk, run, place).await?;
    }
    Ok(())
}

/// The guest has let go of a device: so does the host, and so do the documents.
async fn remove<B: Plug>(walk: &Walk<B>, run: &mut Run, place: Place) -> Result<()> {
    let Some(device) = run.doc.devices.remove(place) else {
        return Ok(());
    };
    if let Some(guest) = walk.desk.guest() {
        walk.backend().withdraw(&guest, run, &device).await;
    }
    if let Device::Interface(card) = &device {
        let id = card.source.as_ref().and_then(|source| source.portid);
        if let Some(port) = run.ports.iter().find(|port| Some(port.uuid) == id).cloned() {
            walk.delete_port(run, &port).await;
        }
    }
    publish(walk, run).await?;
    walk.desk.announce(What::DeviceRemoved(device.known_as()));
    Ok(())
}

/// A device has gone by itself, or long after it was asked to.
pub(crate) async fn gone<B: Plug>(walk: &Walk<B>, mut run: Box<Run>, alias: &str) -> (Finish, Result<()>) {
    let result = match run.doc.devices.find_alias(alias) {
        Some(place) => remove(walk, &mut run, place).await,
        None => Ok(()),
    };
    (Finish::Up(run), result)
}

async fn update<B: Plug>(walk: &Walk<B>, run: &mut Run, mut device: Device) -> Result<()> {
    let guest = walk.desk.guest().ok_or_else(not_running)?;
    let place = find(&run.doc, &device)?;
    let Some(old) = run.doc.devices.device(place) else {
        return Ok(());
    };
    keep_place(&mut device, &old);
    let asked = walk.backend().update(&guest, &old, &mut device);
    walk.work("the change of a device", asked).await?;
    run.doc.devices.replace(place, device);
    publish(walk, run).await
}

/// A new daemon has taken the guest over: what was being attached is taken away again, what has gone meanwhile is
/// forgotten (R96).
pub(crate) async fn settle<B: Plug>(walk: &Walk<B>, run: &mut Run) {
    let Some(guest) = walk.desk.guest() else { return };
    let present = match walk.backend().present(&guest, run).await {
        Ok(present) => present,
        Err(error) => {
            return tracing::error!("devices of guest '{}' are not known: {error}", run.name());
        }
    };
    for step in run.steps().iter().filter(|step| step.kind == STEP) {
        undo(walk, &guest, run, step, &present).await;
        run.undone(step);
    }
    let aliases = run.doc.devices.single().filter_map(|device| {
        let alias = device.alias()?;
        Some(alias.to_owned())
    });
    let missing: Vec<String> = aliases.filter(|alias| !present.contains(alias)).collect();
    for alias in missing {
        tracing::warn!("guest '{}' has no device '{alias}' any more", run.name());
        if let Some(place) = run.doc.devices.find_alias(&alias)
            && let Err(error) = remove(walk, run, place).await
        {
            tracing::error!("guest '{}': {error}", run.name());
        }
    }
}

/// An attachment that nobody was told of. A guest that does not let go of the device keeps it.
async fn undo<B: Plug>(walk: &Walk<B>, guest: &B::Guest, run: &mut Run, step: &Step, present: &[String]) {
    let Ok(device) = Device::parse(step.get("device"), UnknownPolicy::Salvage) else {
        return tracing::error!("guest '{}': a step that is no device", run.name());
    };
    let mut device = device.value;
    let alias = device.alias().unwrap_or_default().to_owned();
    let port = run
        .ports
        .iter()
        .find(|port| port.uuid.to_string() == step.get("port"))
        .cloned();
    if present.contains(&alias) {
        let released = walk.backend().detach(guest, run, &device).await;
        if !released.unwrap_or(false) {
            tracing::warn!("guest '{}' keeps the device '{alias}'", run.name());
            if let (Device::Interface(card), Some(port)) = (&mut device, &port) {
                card.source.get_or_insert_default().portid = Some(port.uuid);
            }
            return run.doc.devices.insert(device);
        }
    }
    walk.backend().withdraw(guest, run, &device).await;
    if let Some(port) = port {
        walk.delete_port(run, &port).await;
    }
}
