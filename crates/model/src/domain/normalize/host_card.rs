//! Cards that are devices of the host: only they have such a source, a VLAN, or are managed.

use super::{hostdev, unsupported};
use crate::domain::{Interface, InterfaceType, Vlan};
use ferrovirt_xml::XmlError;

/// The largest number of a VLAN.
const LAST_VLAN: u32 = 4095;

/// One card of any type.
pub(super) fn normalize(card: &mut Interface) -> Result<(), XmlError> {
    if card.rest.is_empty() {
        card.vlan.take_if(|vlan| *vlan == Vlan::default());
    }
    if let Some(tag) = { card.vlan.iter() }
        .flat_map(|vlan| &vlan.tags)
        .find(|tag| tag.id > LAST_VLAN)
    {
        return Err(unsupported(format!(
            "vlan tag id {} too large (maximum 4095)",
            tag.id
        )));
    }
    let host = card.source.as_ref().and_then(|source| source.host);
    if card.kind == InterfaceType::Hostdev {
        return host.map_or(Ok(()), |host| hostdev::check_address(&host.at));
    }
    let parts = [
        (
            "attribute 'managed'",
            "interface/@managed",
            card.managed.is_some(),
        ),
        ("element 'driver'", "interface/driver", card.host_driver.is_some()),
        ("element 'vlan'", "interface/vlan", card.vlan.is_some()),
        ("element 'address'", "interface/source/address", host.is_some()),
    ];
    match parts.into_iter().find(|(_, _, there)| *there) {
        Some((what, path, _)) => Err(unsupported(format!(
            "not supported: {what}, domain/devices/{path} of type '{}'",
            card.kind
        ))),
        None => Ok(()),
    }
}
