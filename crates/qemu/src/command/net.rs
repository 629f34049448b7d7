//! Network cards: the host's end as an inherited descriptor, then the device.

use ferrovirt_model::domain::InterfaceType;

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context};
use crate::define::card_device;

/// All cards.
pub(super) fn all(context: &mut Context<'_>, args: &mut Arguments) {
    let doc = context.doc;
    for interface in &doc.devices.interfaces {
        let id = alias(&interface.info);
        let model = interface.model.as_deref().unwrap_or_default();
        let driver = card_device(model);
        let host = host_id(id);
        let netdev = match interface.kind {
            InterfaceType::User => Object::default().text("type", "user").text("id", &host),
            // `Direct` and `Ethernet` are refused when a guest is defined.
            InterfaceType::Network
            | InterfaceType::Bridge
            | InterfaceType::Direct
            | InterfaceType::Ethernet => {
                let fd = context.given.of(id).unwrap_or(-1);
                Object::default()
                    .text("type", "tap")
                    .text("fd", &fd.to_string())
                    .text("id", &host)
            }
        };
        args.add("-netdev", netdev.finish());
        let boot = interface.info.boot.or(context.boot.network.take());
        let mtu = interface
            .mtu
            .filter(|_| model.starts_with("virtio") && interface.kind != InterfaceType::User);
        let device = Object::driver(driver)
            .maybe_number("host_mtu", mtu)
            .text("netdev", &host)
            .text("id", id)
            .maybe_text("mac", interface.mac.map(|mac| mac.to_string()).as_deref())
            .maybe_number("bootindex", boot)
            .append(&place(doc, &interface.info));
        args.device(device);
    }
}

/// QEMU's name for the host's end of a card: `hostnet0` for `net0`.
pub(crate) fn host_id(alias: &str) -> String {
    format!("host{alias}")
}
