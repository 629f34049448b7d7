//! Network cards: what each kind needs.

use super::{host_card as host, inconsistent, ip, unsupported};
use crate::MacAddress;
use crate::domain::{
    CardBackend, CardDriver, CardTune, GuestOffloads, HostOffloads, Interface, InterfaceGuest,
    InterfaceSource, InterfaceType, MacvlanMode,
};
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
    host::normalize(card)?;
    check_source(card)?;
    check_driver(card)?;
    normalize_source(card)?;
    ip::normalize(ip::Whose::Guest, &mut card.ips, &mut card.routes)?;
    if let Some(guest) = &mut card.guest {
        guest.dev.take_if(|dev| dev.is_empty());
        guest.actual.take_if(|dev| dev.is_empty());
    }
    let unmanaged = { card.target.as_ref() }.is_some_and(|target| target.managed == Some(false));
    if unmanaged && card.target_dev().is_none_or(str::is_empty) {
        return Err(inconsistent("target dev must be supplied when managed='no'"));
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
    let sockets: &[InterfaceType] = &[
        InterfaceType::Server,
        InterfaceType::Client,
        InterfaceType::Mcast,
        InterfaceType::Udp,
    ];
    let parts: [(&str, bool, &[InterfaceType]); 7] = [
        ("network", given(&source.network), &[InterfaceType::Network]),
        (
            "bridge",
            given(&source.bridge),
            &[InterfaceType::Network, InterfaceType::Bridge],
        ),
        (
            "dev",
            given(&source.dev),
            &[InterfaceType::Direct, InterfaceType::Vdpa],
        ),
        ("mode", source.mode.is_some(), &[InterfaceType::Direct]),
        ("address", given(&source.address), sockets),
        ("port", source.port.is_some(), sockets),
        ("local", source.local.is_some(), &[InterfaceType::Udp]),
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
        InterfaceType::Hostdev => Some(("address", source.host.is_some())),
        InterfaceType::Udp if source.port.is_some() && source.local.is_none() => {
            return Err(inconsistent(
                "'<local>' element missing for 'udp' socket interface",
            ));
        }
        InterfaceType::Mcast | InterfaceType::Client | InterfaceType::Udp if !given(&source.address) => {
            Some(("address", false))
        }
        InterfaceType::Server | InterfaceType::Mcast | InterfaceType::Client | InterfaceType::Udp => {
            Some(("port", source.port.is_some()))
        }
        _ => None,
    };
    match needed {
        Some((name, false)) => Err(inconsistent(format!(
            "No <source> '{name}' attribute specified with <interface type='{kind}'/>"
        ))),
        _ => Ok(()),
    }
}

/// Only virtio cards have a driver, and its parts have limits.
fn check_driver(card: &mut Interface) -> Result<(), XmlError> {
    card.driver.take_if(|driver| {
        driver
            .host
            .take_if(|offloads| *offloads == HostOffloads::default());
        driver
            .guest
            .take_if(|offloads| *offloads == GuestOffloads::default());
        *driver == CardDriver::default()
    });
    card.backend.take_if(|backend| *backend == CardBackend::default());
    card.tune.take_if(|tune| *tune == CardTune::default());
    let virtio = card
        .model
        .as_deref()
        .is_some_and(|model| model.starts_with("virtio"));
    let Some(driver) = &card.driver else {
        return Ok(());
    };
    if !virtio {
        return Err(unsupported(
            "'driver' is only supported by interfaces of model 'virtio'",
        ));
    }
    for (name, size) in [
        ("rx_queue_size", driver.rx_queue_size),
        ("tx_queue_size", driver.tx_queue_size),
    ] {
        if size.is_some_and(|size| !size.is_power_of_two()) {
            return Err(unsupported(format!("{name} has to be a power of two")));
        }
    }
    if driver.queues == Some(0) {
        return Err(inconsistent(
            "Invalid value for attribute 'queues' in element 'driver': '0'. Zero is not permitted",
        ));
    }
    Ok(())
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
