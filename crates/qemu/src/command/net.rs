//! Network cards: the host's end as an inherited descriptor, then the device.

use ferrovirt_model::domain::{Domain, Interface, InterfaceType};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context};
use crate::define::card_device;

/// All cards.
pub(super) fn all(context: &mut Context<'_>, args: &mut Arguments) {
    let doc = context.doc;
    for interface in &doc.devices.interfaces {
        let fd = context.given.of(alias(&interface.info)).unwrap_or(-1);
        args.add("-netdev", netdev(interface, &fd.to_string()).finish());
        let boot = interface.info.boot.or(context.boot.network.take());
        args.device(device(doc, interface, boot));
    }
}

/// The host's end; `fd` is a descriptor's number or the name under which QEMU was given it.
fn netdev(interface: &Interface, fd: &str) -> Object {
    let host = host_id(alias(&interface.info));
    match interface.kind {
        InterfaceType::User => Object::default().text("type", "user").text("id", &host),
        // `Direct` and `Ethernet` are refused when a guest is defined.
        InterfaceType::Network | InterfaceType::Bridge | InterfaceType::Direct | InterfaceType::Ethernet => {
            Object::default()
                .text("type", "tap")
                .text("fd", fd)
                .text("id", &host)
        }
    }
}

fn device(doc: &Domain, interface: &Interface, boot: Option<u32>) -> Object {
    let id = alias(&interface.info);
    let model = interface.model.as_deref().unwrap_or_default();
    let mtu = interface
        .mtu
        .filter(|_| model.starts_with("virtio") && interface.kind != InterfaceType::User);
    Object::driver(card_device(model))
        .maybe_number("host_mtu", mtu)
        .text("netdev", &host_id(id))
        .text("id", id)
        .maybe_text("mac", interface.mac.map(|mac| mac.to_string()).as_deref())
        .maybe_number("bootindex", boot)
        .append(&place(doc, &interface.info))
        .append(&super::hostdev::rom(interface.info.rom.as_ref()))
}

/// Arguments of `netdev_add` and `device_add` for a card that is plugged into the running guest of this document.
pub(crate) fn hot(doc: &Domain, interface: &Interface, fd: &str) -> (String, String) {
    let device = device(doc, interface, interface.info.boot);
    (netdev(interface, fd).finish(), device.finish())
}

/// QEMU's name for the host's end of a card: `hostnet0` for `net0`.
pub(crate) fn host_id(alias: &str) -> String {
    format!("host{alias}")
}
