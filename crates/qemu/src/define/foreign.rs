//! What documents can say and this driver has no effect for (containers have it): refused by name, never passed over.

use ferrovirt_model::domain::{Domain, Features, Interface, InterfaceType, Os, VirtType};

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
        if let InterfaceType::Direct | InterfaceType::Ethernet = card.kind {
            let text = format!(
                "interface type '{}' is not supported by the QEMU driver",
                card.kind
            );
            return Err(Error::unsupported(text));
        }
    }
    Ok(())
}

/// Path of a part, and whether the document has it.
type Part = (&'static str, bool);

fn whole(doc: &Domain) -> [Part; 5] {
    [
        ("resource", doc.resource.is_some()),
        ("idmap", doc.id_map.is_some()),
        ("lxc:namespace", doc.lxc_namespace.is_some()),
        ("devices/filesystem", !doc.devices.filesystems.is_empty()),
        ("devices/hostdev", !doc.devices.hostdevs.is_empty()),
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

fn card(card: &Interface) -> [Part; 5] {
    let source = card.source.as_ref();
    [
        ("devices/interface/ip", !card.ips.is_empty()),
        ("devices/interface/route", !card.routes.is_empty()),
        ("devices/interface/guest", card.guest.is_some()),
        (
            "devices/interface/source/ip",
            source.is_some_and(|source| !source.ips.is_empty()),
        ),
        (
            "devices/interface/source/route",
            source.is_some_and(|source| !source.routes.is_empty()),
        ),
    ]
}
