//! The host's ends of network cards: taps, plugged into their bridges.

use std::os::fd::OwnedFd;

use ferrovirt_link::{Links, TapSpec};
use ferrovirt_model::domain::{Interface, InterfaceType, LinkState};

use crate::error::{Error, Result};

/// Names of taps that the daemon chooses.
const PATTERN: &str = "vnet%d";

/// Makes the tap of a card, and writes its name into the document. `None` for cards that need none.
///
/// # Errors
/// The bridge is not there, or the kernel refuses.
pub async fn make(links: &Links, interface: &mut Interface) -> Result<Option<(OwnedFd, String)>> {
    if interface.kind == InterfaceType::User {
        return Ok(None);
    }
    let bridge = interface
        .source
        .as_ref()
        .and_then(|source| source.bridge.clone())
        .ok_or_else(|| Error::Xml("interface has no bridge: its network was not plugged in".to_owned()))?;
    let mac = interface
        .mac
        .ok_or_else(|| Error::Xml("interface has no MAC address".to_owned()))?;
    let virtio = interface
        .model
        .as_deref()
        .is_some_and(|model| model.starts_with("virtio"));
    let spec = TapSpec {
        name: interface.target_dev().unwrap_or(PATTERN).to_owned(),
        mac: mac.of_tap().0,
        vnet_hdr: virtio,
        bridge: Some(bridge),
        mtu: interface.mtu,
        up: interface.link != Some(LinkState::Down),
    };
    let tap = links.add_tap(&spec).await?;
    interface.target.get_or_insert_default().dev = Some(tap.name.clone());
    Ok(Some((tap.fd, tap.name)))
}
