//! Network cards: what each kind needs.

use super::{inconsistent, ip, unsupported};
use crate::MacAddress;
use crate::domain::{Interface, InterfaceGuest, InterfaceSource, InterfaceType, MacvlanMode};
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
    check_source(card)?;
    normalize_source(card)?;
    ip::normalize(ip::Whose::Guest, &mut card.ips, &mut card.routes)?;
    if let Some(guest) = &mut card.guest {
        guest.dev.take_if(|dev| dev.is_empty());
        guest.actual.take_if(|dev| dev.is_empty());
    }
    if card.rest.is_empty() {
        card.guest.take_if(|guest| *guest == InterfaceGuest::default());
        if card.target_dev().is_none_or(str::is_empty) {
            card.target = None;
        }
    }
    Ok(())
}

/// What each kind takes of the source's parts.
fn check_source(card: &Interface) -> Result<(), XmlError> {
    let kind = card.kind;
    let none = InterfaceSource::default();
    let source = card.source.as_ref().unwrap_or(&none);
    let given = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.is_empty());
    // The part, whether it is there, who takes it.
    let parts: [(&str, bool, &[InterfaceType]); 4] = [
        ("network", given(&source.network), &[InterfaceType::Network]),
        (
            "bridge",
            given(&source.bridge),
            &[InterfaceType::Network, InterfaceType::Bridge],
        ),
        ("dev", given(&source.dev), &[InterfaceType::Direct]),
        ("mode", source.mode.is_some(), &[InterfaceType::Direct]),
    ];
    for (name, given, takers) in parts {
        if given && !takers.contains(&kind) {
            return Err(unsupported(format!(
                "attribute '{name}' in the <source> of an interface of type '{kind}'"
            )));
        }
    }
    let needed = match kind {
        InterfaceType::Network => Some(("network", given(&source.network))),
        InterfaceType::Bridge => Some(("bridge", given(&source.bridge))),
        InterfaceType::Direct => Some(("dev", given(&source.dev))),
        InterfaceType::User | InterfaceType::Ethernet => None,
    };
    match needed {
        Some((name, false)) => Err(inconsistent(format!(
            "No <source> '{name}' attribute specified with <interface type='{kind}'/>"
        ))),
        _ => Ok(()),
    }
}

/// Completes the source: how a card is shared, what the host's end gets.
fn normalize_source(card: &mut Interface) -> Result<(), XmlError> {
    let kind = card.kind;
    let Some(source) = &mut card.source else {
        return Ok(());
    };
    if kind == InterfaceType::Direct {
        source.mode.get_or_insert(MacvlanMode::Vepa);
    }
    if kind != InterfaceType::Ethernet && !(source.ips.is_empty() && source.routes.is_empty()) {
        return Err(unsupported(format!(
            "Invalid attempt to set network interface host-side IP route and/or address info on interface of \
             type '{kind}'. This is only supported on interfaces of type 'ethernet'"
        )));
    }
    ip::normalize(ip::Whose::Host, &mut source.ips, &mut source.routes)?;
    if card.rest.is_empty() && kind == InterfaceType::Ethernet {
        card.source
            .take_if(|source| *source == InterfaceSource::default());
    }
    Ok(())
}
