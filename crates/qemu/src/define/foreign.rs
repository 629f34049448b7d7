//! What documents can say and this driver has no effect for (containers have it): refused by name, never passed over.

use ferrovirt_model::domain::{Domain, Features, Interface, InterfaceType, Os, TeamingType, VirtType};

use ferrovirt_xml::what_is;

use crate::error::{Error, Result};

/// Refuses the first such part.
pub(super) fn refuse(doc: &Domain) -> Result<()> {
    if doc.kind == VirtType::Lxc {
        return Err(Error::unsupported(
            "domain type 'lxc' is not supported by the QEMU driver",
        ));
    }
    let parts = whole(doc)
        .into_iter()
        .chain(init(&doc.os))
        .chain(doc.features.iter().flat_map(features))
        .chain(doc.devices.interfaces.iter().flat_map(card));
    for (path, there) in parts {
        if there {
            return Err(Error::unsupported(format!(
                "not supported: {}, domain/{path}",
                what_is(path)
            )));
        }
    }
    for card in &doc.devices.interfaces {
        of_kind(card)?;
        if let InterfaceType::Direct
        | InterfaceType::Vdpa
        | InterfaceType::VhostUser
        | InterfaceType::Internal
        | InterfaceType::Null
        | InterfaceType::Vds = card.kind
        {
            let text = format!(
                "interface type '{}' is not supported by the QEMU driver",
                card.kind
            );
            return Err(Error::unsupported(text));
        }
    }
    Ok(())
}

/// What only some kinds of cards have, in libvirt's words.
fn of_kind(card: &Interface) -> Result<()> {
    let kind = card.kind;
    let mac = card.mac.map(|mac| mac.to_string()).unwrap_or_default();
    let refused = |text: String| Err(Error::unsupported(text));
    let tap = matches!(
        kind,
        InterfaceType::Network | InterfaceType::Bridge | InterfaceType::Ethernet
    );
    let bridged = tap && kind != InterfaceType::Ethernet;
    if card.mtu.is_some() && !tap {
        return refused(format!(
            "setting MTU on interface type {kind} is not supported yet"
        ));
    }
    if card.isolated.is_some() && !bridged {
        return refused(format!(
            "interface {mac} - <port isolated='yes'/> is not supported for network interfaces with type='{kind}'"
        ));
    }
    if card.tune.is_some() && !tap {
        return refused(format!(
            "<tune> is not supported for network interfaces with type='{kind}'"
        ));
    }
    let several = card
        .driver
        .as_ref()
        .and_then(|driver| driver.queues)
        .is_some_and(|queues| queues > 1);
    if several && !tap {
        return refused(format!(
            "interface {mac} - attribute 'queues': multiqueue is not supported for network interfaces of type {kind}"
        ));
    }
    match card.teaming.as_ref().map(|teaming| teaming.kind) {
        Some(TeamingType::Persistent) if card.model.as_deref() != Some("virtio") => {
            let model = card.model.as_deref().unwrap_or_default();
            return refused(format!(
                "virtio-net teaming persistent interface must be <model type='virtio'/>, not '{model}'"
            ));
        }
        Some(TeamingType::Transient) if kind != InterfaceType::Hostdev => {
            return refused(format!(
                "virtio-net teaming transient interface must be type='hostdev', not '{kind}'"
            ));
        }
        _ => {}
    }
    for (name, v4) in [("IPv4", true), ("IPv6", false)] {
        if card.ips.iter().filter(|ip| ip.address.is_ipv4() == v4).count() > 1 {
            return refused(format!(
                "Only one {name} address per interface is allowed: element 'ip'"
            ));
        }
    }
    if card.ips.iter().any(|ip| ip.peer.is_some()) {
        return refused(
            "Invalid attempt to set peer IP for guest: attribute 'peer' of element 'ip'".to_owned(),
        );
    }
    Ok(())
}

/// Path of a part, and whether the document has it.
type Part = (&'static str, bool);

fn whole(doc: &Domain) -> [Part; 2] {
    [
        ("idmap", doc.id_map.is_some()),
        ("lxc:namespace", doc.lxc_namespace.is_some()),
    ]
}

fn init(os: &Os) -> [Part; 6] {
    [
        ("os/init", os.init.is_some()),
        ("os/initarg", !os.init_args.is_empty()),
        ("os/initenv", !os.init_env.is_empty()),
        ("os/initdir", os.init_dir.is_some()),
        ("os/inituser", os.init_user.is_some()),
        ("os/initgroup", os.init_group.is_some()),
    ]
}

fn features(features: &Features) -> [Part; 1] {
    [("features/capabilities", features.capabilities.is_some())]
}

fn card(card: &Interface) -> [Part; 12] {
    let host = card.kind == InterfaceType::Hostdev;
    [
        ("devices/interface/driver", host && card.driver.is_some()),
        ("devices/interface/target", host && card.target.is_some()),
        ("devices/interface/link", host && card.link.is_some()),
        (
            "devices/interface/source/@address",
            host && { card.source.as_ref() }.is_some_and(|source| source.host.is_none()),
        ),
        (
            "devices/interface/ip",
            !card.ips.is_empty() && card.kind != InterfaceType::User,
        ),
        ("devices/interface/route", !card.routes.is_empty()),
        ("devices/interface/guest", card.guest.is_some()),
        (
            "devices/interface/@trustGuestRxFilters",
            card.trust_guest_rx_filters.is_some(),
        ),
        (
            "devices/interface/script",
            card.script.is_some() && card.kind != InterfaceType::Ethernet,
        ),
        ("devices/interface/downscript", card.down_script.is_some()),
        (
            "devices/interface/target/@managed",
            card.kind != InterfaceType::Ethernet && { card.target.as_ref() }
                .is_some_and(|target| target.managed.is_some()),
        ),
        ("devices/interface/backend", card.backend.is_some()),
    ]
}
