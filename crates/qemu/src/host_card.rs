//! Network cards that are virtual functions of one of the host's: their MAC address and VLAN are set at the physical function, before the
//! `start` hook, and are afterwards what they were. What they were is in the journal before it is changed.

use ferrovirt_guest::{BackendError, Run, Step};
use ferrovirt_host::{Passthrough, VirtualFunction};
use ferrovirt_link::{Links, VfSettings};
use ferrovirt_model::MacAddress;
use ferrovirt_model::domain::{HostCardDriver, Hostdev, HostdevKind, Interface, Vlan};
use ferrovirt_sys::blocking;

use crate::config::QemuConfig;
use crate::error::{Error, Result};
use crate::hostdev;

/// Kind of the steps of this module.
const STEP: &str = "virtual-function";

/// An address that means nothing, for drivers that do not take back that there was none.
const NO_ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 0];

/// Gets all such cards of a guest ready.
///
/// # Errors
/// As [`attach`].
pub async fn prepare(
    run: &mut Run,
    passthrough: &Passthrough,
    links: &Links,
) -> std::result::Result<(), BackendError> {
    for at in 0..run.doc.devices.interfaces.len() {
        let mut card = run.doc.devices.interfaces[at].clone();
        let Some(mut hostdev) = card.as_hostdev() else {
            continue;
        };
        let function = function(&card, &hostdev, passthrough)?;
        let before = settings(function.as_ref(), links).await?;
        hostdev::name_driver(&mut hostdev);
        let guest = hostdev::guest(run.name());
        // As with other devices: a driver that does not let go must not keep a destroy waiting.
        tokio::select! {
            taken = hostdev::take(&mut hostdev, &guest, passthrough) => taken?,
            () = run.cancel.cancelled() => return Err(BackendError::Cancelled),
        }
        keep_driver(&mut card, &hostdev);
        if let (Some(function), Some(before)) = (&function, before) {
            set(&card, function, before, run, links).await?;
        }
        run.doc.devices.interfaces[at] = card;
    }
    Ok(())
}

/// The same of a card that comes to a running guest, with all that QEMU needs to open it.
///
/// # Errors
/// As [`hostdev::attach`]; the device is no virtual function of a network card that is switched on, or the kernel does not set it.
pub async fn attach(
    card: &mut Interface,
    run: &mut Run,
    config: &QemuConfig,
    passthrough: &Passthrough,
    links: &Links,
) -> std::result::Result<(), BackendError> {
    let Some(mut hostdev) = card.as_hostdev() else {
        return Ok(());
    };
    let function = function(card, &hostdev, passthrough)?;
    let before = settings(function.as_ref(), links).await?;
    hostdev::attach(&mut hostdev, run, config, passthrough).await?;
    keep_driver(card, &hostdev);
    match (&function, before) {
        (Some(function), Some(before)) => set(card, function, before, run, links).await,
        _ => Ok(()),
    }
}

/// A running guest has the card no longer.
pub async fn detach(card: &Interface, run: &mut Run, passthrough: &Passthrough, links: &Links) {
    let Some(hostdev) = card.as_hostdev() else { return };
    if let Ok(Some(function)) = function(card, &hostdev, passthrough) {
        let number = function.number.to_string();
        let is_it = |step: &Step| step.get("device") == function.interface && step.get("number") == number;
        give_back(run, links, is_it).await;
    }
    hostdev::detach(&hostdev, run, passthrough).await;
}

fn keep_driver(card: &mut Interface, hostdev: &Hostdev) {
    if let HostdevKind::Pci(pci) = &hostdev.kind {
        card.host_driver = pci.driver.clone().map(HostCardDriver);
    }
}

/// The function that a card is; `None` when there is no such device, of which others have the better words.
fn function(
    card: &Interface,
    hostdev: &Hostdev,
    passthrough: &Passthrough,
) -> Result<Option<VirtualFunction>> {
    let HostdevKind::Pci(pci) = &hostdev.kind else {
        return Ok(None);
    };
    vlan(card)?;
    let address = hostdev::address(&pci.source.address)?;
    blocking::here(|| {
        if !passthrough.is_there(address) {
            return Ok(None);
        }
        let function = passthrough.virtual_function(address).ok_or_else(|| {
            Error::unsupported(
                "Interface type hostdev is currently supported on SR-IOV Virtual Functions only",
            )
        })?;
        match function.is_up {
            true => Ok(Some(function)),
            false => Err(Error::Internal(format!(
                "Unable to configure VF {} of PF '{}' because the PF is not online. Please change host network \
                 config to put the PF online.",
                function.number, function.interface
            ))),
        }
    })
}

/// The one VLAN of a card; 0: none.
fn vlan(card: &Interface) -> Result<u16> {
    let none = Vlan::default();
    let vlan = card.vlan.as_ref().unwrap_or(&none);
    match vlan.tags.as_slice() {
        [] => Ok(0),
        [tag] if vlan.trunk != Some(true) && tag.native.is_none() => Ok(u16::try_from(tag.id).unwrap_or(0)),
        _ => Err(Error::unsupported(
            "vlan trunking is not supported by SR-IOV network devices",
        )),
    }
}

async fn settings(function: Option<&VirtualFunction>, links: &Links) -> Result<Option<VfSettings>> {
    match function {
        Some(function) => Ok(Some(links.vf(&function.interface, function.number).await?)),
        None => Ok(None),
    }
}

async fn set(
    card: &Interface,
    function: &VirtualFunction,
    before: VfSettings,
    run: &mut Run,
    links: &Links,
) -> std::result::Result<(), BackendError> {
    let device = &function.interface;
    let step = Step::new(STEP)
        .with("device", device.clone())
        .with("number", function.number.to_string())
        .with("mac", MacAddress(before.mac).to_string())
        .with("vlan", before.vlan.to_string())
        .with("qos", before.qos.to_string());
    run.journal(step).await?;
    if let Some(mac) = card.mac {
        let done = links.set_vf_mac(device, function.number, mac.0).await;
        done.map_err(Error::from)?;
    }
    let vlan = vlan(card)?;
    let done = links.set_vf_vlan(device, function.number, vlan, 0).await;
    Ok(done.map_err(Error::from)?)
}

/// Functions are set to what they were; of those steps of the run that are meant.
pub async fn give_back(run: &mut Run, links: &Links, meant: impl Fn(&Step) -> bool) {
    for step in run.steps() {
        if step.kind == STEP && meant(&step) {
            restore(&step, links).await;
            run.undone(&step);
        }
    }
}

async fn restore(step: &Step, links: &Links) {
    let device = step.get("device");
    let (Ok(number), Ok(mac)) = (step.get("number").parse(), step.get("mac").parse::<MacAddress>()) else {
        return;
    };
    let (vlan, qos) = (step.get("vlan").parse(), step.get("qos").parse());
    let vlan = links.set_vf_vlan(device, number, vlan.unwrap_or(0), qos.unwrap_or(0));
    if let Err(error) = vlan.await {
        tracing::warn!("virtual function {number}: {error}");
    }
    let mut done = links.set_vf_mac(device, number, mac.0).await;
    if done.is_err() && mac.0 == [0; 6] {
        done = links.set_vf_mac(device, number, NO_ADDRESS).await;
    }
    if let Err(error) = done {
        tracing::warn!("virtual function {number}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_model::domain::{InterfaceType, VlanTag};

    fn card(trunk: Option<bool>, ids: &[u32]) -> Interface {
        let tags = ids.iter().map(|id| VlanTag {
            id: *id,
            native: None,
        });
        let vlan = Vlan {
            trunk,
            tags: tags.collect(),
        };
        let mut card = Interface::new(InterfaceType::Hostdev);
        card.vlan = Some(vlan);
        card
    }

    #[test]
    fn a_function_is_in_one_vlan_or_none() {
        assert_eq!(vlan(&card(None, &[42])).unwrap(), 42);
        assert_eq!(vlan(&card(None, &[])).unwrap(), 0);
        assert_eq!(vlan(&Interface::new(InterfaceType::Hostdev)).unwrap(), 0);
        for refused in [card(Some(true), &[42]), card(None, &[1, 2])] {
            let error = vlan(&refused).unwrap_err().to_string();
            assert!(error.contains("vlan trunking is not supported"), "{error}");
        }
    }
}
