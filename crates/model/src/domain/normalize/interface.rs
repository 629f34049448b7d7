//! Network cards: what each kind needs.

use super::{inconsistent, unsupported};
use crate::MacAddress;
use crate::domain::{Interface, InterfaceType};
use ferrovirt_xml::XmlError;

/// Models that libvirt knows, as it writes them; it reads them in any case.
const MODELS: [&str; 16] = [
    "netfront",
    "rtl8139",
    "virtio",
    "e1000",
    "e1000e",
    "igb",
    "virtio-transitional",
    "virtio-non-transitional",
    "usb-net",
    "spapr-vlan",
    "lan9118",
    "smc91c111",
    "vlance",
    "vmxnet",
    "vmxnet2",
    "vmxnet3",
];

/// Completes a card and checks that its source fits its kind.
pub(super) fn normalize(card: &mut Interface) -> Result<(), XmlError> {
    let mac = *card.mac.get_or_insert_with(MacAddress::random);
    if mac.is_multicast() {
        return Err(inconsistent(format!(
            "expected unicast mac address, found multicast '{mac}'"
        )));
    }
    if let Some(model) = &mut card.model
        && let Some(known) = MODELS.iter().find(|known| known.eq_ignore_ascii_case(model))
    {
        *model = (*known).to_owned();
    }
    let given = |value: Option<&String>| value.is_some_and(|text| !text.is_empty());
    let source = card.source.as_ref();
    let network = given(source.and_then(|source| source.network.as_ref()));
    let bridge = given(source.and_then(|source| source.bridge.as_ref()));
    match card.kind {
        InterfaceType::Network if !network => Err(inconsistent(
            "No <source> 'network' attribute specified with <interface type='network'/>",
        )),
        InterfaceType::Bridge if !bridge => Err(inconsistent(
            "No <source> 'bridge' attribute specified with <interface type='bridge'/>",
        )),
        InterfaceType::Bridge if network => Err(unsupported(
            "attribute 'network' in the <source> of an interface of type 'bridge'",
        )),
        InterfaceType::User if network || bridge => Err(unsupported(
            "attributes in the <source> of an interface of type 'user'",
        )),
        _ => {
            if card.rest.is_empty() && card.target_dev().is_none_or(str::is_empty) {
                card.target = None;
            }
            Ok(())
        }
    }
}
