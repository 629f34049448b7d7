//! The network cards of a container: pairs of devices, one end in a bridge of the host, the other inside.
//!
//! The host's ends are made before the `start` hook (R31), which may look at them; the others go inside once there is an
//! inside, and are set up from here, with a netlink connection to the container's network namespace.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ferrovirt_guest::{BackendError, Run, Step};
use ferrovirt_link::{Address, LinkError, Links, MacvlanMode as LinkMode, Route, VethSpec};
use ferrovirt_model::MacAddress;
use ferrovirt_model::domain::{
    CardAddress, Hostdev, HostdevKind, Interface, InterfaceType, LinkState, MacvlanMode,
};

use crate::error::{Error, Result};

/// Kind of the step that stands for a device of the host.
const STEP: &str = "card";
/// Its name, as far as it is known before it is there.
const DEVICE: &str = "device";
/// Its number, once it is there: another device may have its name by then.
const INDEX: &str = "index";
/// The hardware address of one that is to go inside under another name than the step knows.
const MAC: &str = "mac";
/// The name of the document's device in a step, where it has one.
pub const ALIAS: &str = "alias";

/// Names of the host's ends that the daemon chooses.
const PATTERN: &str = "vnet%d";
/// The same for cards that share one of the host's.
const DIRECT_PATTERN: &str = "macvlan%d";

/// A device that waits on the host to be moved inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its name on the host.
    pub device: String,
    /// Its name inside.
    pub inside: String,
    /// Its addresses inside.
    pub ips: Vec<CardAddress>,
    /// Routes of the container through it.
    pub routes: Vec<ferrovirt_model::network::Route>,
    /// Whether it is switched on.
    pub up: bool,
}

/// The name on the host of an end that goes inside. It must fit 15 bytes, and no other run has it.
fn passing_name(run: i32, number: usize) -> String {
    format!("fv{run}-{number}")
}

/// Makes the host's side of all cards, and says what must go inside.
///
/// # Errors
/// The bridge is not there, or the kernel refuses.
pub async fn make(links: &Links, run: &mut Run) -> std::result::Result<Vec<Waiting>, BackendError> {
    let mut waiting = Vec::new();
    for number in 0..run.doc.devices.interfaces.len() {
        let mut card = run.doc.devices.interfaces[number].clone();
        waiting.push(make_numbered(links, run, &mut card, number).await?);
        run.doc.devices.interfaces[number] = card;
    }
    waiting.extend(run.doc.devices.hostdevs.iter().filter_map(given));
    Ok(waiting)
}

/// Makes the host's side of a card that comes to a container that runs.
///
/// # Errors
/// As [`make`].
pub async fn make_one(
    links: &Links,
    run: &mut Run,
    card: &mut Interface,
) -> std::result::Result<Waiting, BackendError> {
    let number = run.doc.devices.interfaces.len();
    make_numbered(links, run, card, number).await
}

async fn make_numbered(
    links: &Links,
    run: &mut Run,
    card: &mut Interface,
    number: usize,
) -> std::result::Result<Waiting, BackendError> {
    let device = passing_name(run.id, number);
    let step = match &card.info.alias {
        Some(alias) => Step::new(STEP).with(ALIAS, alias),
        None => Step::new(STEP),
    };
    let before = step.clone().with(DEVICE, &device);
    run.journal(before.clone()).await?;
    let host_end = connect(links, card, &device).await?;
    let remaining = host_end.as_deref().unwrap_or(&device);
    let index = links.index_of(remaining).await.map_err(Error::from)?;
    let index = index.map(|index| index.to_string()).unwrap_or_default();
    let mut made = step.with(DEVICE, remaining).with(INDEX, index);
    if let (None, Some(mac)) = (&host_end, card.mac) {
        made = made.with(MAC, mac.to_string());
    }
    run.journal(made).await?;
    run.undone(&before);
    if let Some(name) = &host_end {
        give_addresses(links, name, card).await?;
    }
    // The names that libvirt gives; scripts see them at `start`.
    let pattern = if host_end.is_some() {
        PATTERN
    } else {
        DIRECT_PATTERN
    };
    let device = links.rename(&device, pattern).await.map_err(Error::from)?;
    card.guest.get_or_insert_default().actual = Some(device.clone());
    card.target.get_or_insert_default().dev = Some(host_end.unwrap_or_else(|| device.clone()));
    Ok(Waiting {
        device,
        inside: name_inside(card).unwrap_or_else(|| format!("eth{number}")),
        ips: card.ips.clone(),
        routes: card.routes.clone(),
        up: card.link != Some(LinkState::Down),
    })
}

fn name_inside(card: &Interface) -> Option<String> {
    card.guest.as_ref().and_then(|guest| guest.dev.clone())
}

/// A device of the host that goes inside as it is.
pub fn given(hostdev: &Hostdev) -> Option<Waiting> {
    match &hostdev.kind {
        HostdevKind::Net(net) => Some(Waiting {
            device: net.source.interface.clone(),
            inside: net.source.interface.clone(),
            ips: net.ips.clone(),
            routes: net.routes.clone(),
            up: true,
        }),
        HostdevKind::Storage(_) | HostdevKind::Misc(_) | HostdevKind::Pci(_) | HostdevKind::Usb(_) => None,
    }
}

/// Makes one card; the name of the host's end, where there is one.
async fn connect(links: &Links, card: &Interface, device: &str) -> Result<Option<String>> {
    let mac = card
        .mac
        .ok_or_else(|| Error::Xml("interface has no MAC address".to_owned()))?
        .0;
    let source = card.source.as_ref();
    let bridge = match card.kind {
        InterfaceType::Network | InterfaceType::Bridge => {
            let bridge = source.and_then(|source| source.bridge.clone());
            Some(bridge.ok_or_else(|| {
                Error::Xml("interface has no bridge: its network was not plugged in".to_owned())
            })?)
        }
        InterfaceType::Ethernet => None,
        InterfaceType::Direct => {
            let lower = source.and_then(|source| source.dev.clone());
            let lower = lower
                .ok_or_else(|| Error::Xml("interface of type 'direct' has no source device".to_owned()))?;
            let mode = source.and_then(|source| source.mode);
            links.add_macvlan(device, &lower, mode_of(mode), mac).await?;
            return Ok(None);
        }
        kind => {
            return Err(Error::unsupported(format!("Unsupported network type {kind}")));
        }
    };
    let spec = VethSpec {
        name: card.target_dev().unwrap_or(PATTERN).to_owned(),
        peer: device.to_owned(),
        mac,
        bridge,
        mtu: card.mtu,
        up: card.link != Some(LinkState::Down),
    };
    Ok(Some(links.add_veth(&spec).await?))
}

fn mode_of(mode: Option<MacvlanMode>) -> LinkMode {
    match mode {
        None | Some(MacvlanMode::Vepa) => LinkMode::Vepa,
        Some(MacvlanMode::Bridge) => LinkMode::Bridge,
        Some(MacvlanMode::Private) => LinkMode::Private,
        Some(MacvlanMode::Passthrough) => LinkMode::Passthrough,
    }
}

/// Addresses and routes of the host's end (`<source><ip/>`).
async fn give_addresses(links: &Links, device: &str, card: &Interface) -> Result<()> {
    let Some(source) = &card.source else { return Ok(()) };
    set_up(links, device, &source.ips, &source.routes).await
}

async fn set_up(
    links: &Links,
    device: &str,
    ips: &[CardAddress],
    routes: &[ferrovirt_model::network::Route],
) -> Result<()> {
    for ip in ips {
        let address = Address {
            ip: ip.address,
            prefix: ip.prefix_length(),
        };
        match ip.peer {
            Some(peer) => links.add_address_to_peer(device, address, peer).await?,
            None => links.add_address(device, address).await?,
        }
    }
    for route in routes {
        let route = Route {
            destination: Address {
                ip: route.address,
                prefix: route.prefix_length(),
            },
            gateway: route.gateway,
            metric: route.metric,
        };
        links.add_route(device, route).await?;
    }
    Ok(())
}

/// The file of a process's network namespace.
pub fn netns_of(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

/// The file of the host's network namespace.
pub fn netns_of_host() -> PathBuf {
    PathBuf::from("/proc/self/ns/net")
}

/// Moves the devices inside and sets them up there; the loopback device, too.
///
/// # Errors
/// A device is gone, or its name inside is taken.
pub async fn move_in(links: &Links, netns: &Path, waiting: &[Waiting]) -> Result<()> {
    Links::open_in(netns)?.set_up("lo").await?;
    move_in_later(links, netns, waiting).await
}

/// The same in a container that runs, whose loopback device is its own matter.
///
/// # Errors
/// As [`move_in`].
pub async fn move_in_later(links: &Links, netns: &Path, waiting: &[Waiting]) -> Result<()> {
    let file = File::open(netns).map_err(Error::io("Cannot open network namespace", netns))?;
    let inside = Links::open_in(netns)?;
    for card in waiting {
        links.move_to(&card.device, file.as_fd(), &card.inside).await?;
        // Addresses first for those that are given; a route needs a device that is on.
        if card.up {
            inside.set_up(&card.inside).await?;
        }
        set_up(&inside, &card.inside, &card.ips, &card.routes).await?;
    }
    Ok(())
}

/// Removes what is left of the cards on the host; those inside went with the container.
pub async fn remove(links: &Links, run: &mut Run) {
    for step in run.steps().iter().filter(|step| step.kind == STEP) {
        if let Err(error) = remove_one(links, step).await {
            tracing::warn!("{error}");
        }
        run.undone(step);
    }
}

/// Whether a step stands for this card: by its name, or, from the start of the container, by the host's end.
fn is_for(step: &Step, card: &Interface) -> bool {
    step.kind == STEP
        && match card.info.alias.as_deref() {
            Some(alias) => step.get(ALIAS) == alias,
            None => step.get(ALIAS).is_empty() && card.target_dev() == Some(step.get(DEVICE)),
        }
}

/// Takes a card out of a container that runs. With one end of a pair the other goes.
///
/// # Errors
/// The kernel refuses.
pub async fn take_out(links: &Links, netns: &Path, run: &mut Run, card: &Interface) -> Result<()> {
    for step in run.steps().iter().filter(|step| is_for(step, card)) {
        remove_one(links, step).await?;
        run.undone(step);
    }
    if card.kind == InterfaceType::Direct {
        let inside = Links::open_in(netns)?;
        if let Some(name) = macvlan_of(&inside, card).await? {
            inside.delete(&name).await?;
        }
    }
    Ok(())
}

/// What a macvlan is called inside by now, if it is there.
async fn macvlan_of(inside: &Links, card: &Interface) -> Result<Option<String>> {
    match card.mac {
        Some(mac) => Ok(inside.macvlan_with(mac.0).await?),
        None => Ok(None),
    }
}

async fn mac_of(links: &Links, device: &str) -> Result<Option<MacAddress>> {
    match links.mac(device).await {
        Ok(mac) => Ok(Some(MacAddress(mac))),
        Err(LinkError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a card is still there: of a pair the host's end; what a container does with its own end is its own matter.
///
/// # Errors
/// The kernel does not say.
pub async fn is_there(links: &Links, netns: &Path, run: &Run, card: &Interface) -> Result<bool> {
    if card.kind == InterfaceType::Direct {
        return Ok(macvlan_of(&Links::open_in(netns)?, card).await?.is_some());
    }
    let steps = run.steps();
    match steps.iter().find(|step| is_for(step, card)) {
        Some(step) => Ok(index_now(links, step.get(DEVICE)).await? == step.get(INDEX)),
        None => Ok(false),
    }
}

/// The number of a device, empty when there is none of this name.
async fn index_now(links: &Links, device: &str) -> Result<String> {
    let index = links.index_of(device).await?;
    Ok(index.map(|index| index.to_string()).unwrap_or_default())
}

async fn remove_one(links: &Links, step: &Step) -> Result<()> {
    let (device, then) = (step.get(DEVICE), step.get(INDEX));
    let now = index_now(links, device).await?;
    match (now.as_str(), then) {
        // A name of ours, which nobody else has.
        (now, "") if !now.is_empty() => Ok(links.delete(device).await?),
        (now, then) if now == then => Ok(links.delete(device).await?),
        _ => remove_renamed(links, step).await,
    }
}

/// A device that has got its name for the inside, but has not gone there.
async fn remove_renamed(links: &Links, step: &Step) -> Result<()> {
    let (Ok(index), false) = (step.get(INDEX).parse(), step.get(MAC).is_empty()) else {
        return Ok(());
    };
    let name = match links.name_of(index).await {
        Ok(name) => name,
        Err(LinkError::Missing { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match mac_of(links, &name).await? {
        Some(mac) if mac.to_string() == step.get(MAC) => Ok(links.delete(&name).await?),
        _ => Ok(()),
    }
}
