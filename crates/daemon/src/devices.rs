//! Devices of the host, as the daemon has them: one tree, one register of who has which.

use std::sync::Arc;

use ferrovirt_host::{Guest, Passthrough, PciAddress, Places, Taken, Tree};
use roxmltree::{Document, Node};

use crate::bulletin::Bulletin;
use crate::host::Host;
use crate::node;
use crate::paths::Paths;
use crate::settings::Settings;

/// The name of QEMU's driver in refusals.
pub const QEMU: &str = "QEMU";

/// The tree of devices, which tells of what comes and goes.
pub fn tree(settings: &Settings, bulletin: &Arc<Bulletin>) -> Tree {
    let tree = Tree::new(Places::real(), Some(node::host_uuid(settings)));
    let board = Arc::clone(bulletin);
    tree.listen(move |event| board.device(event));
    tree
}

/// PCI devices between host and guests, with a register that the next daemon finds.
pub fn passthrough(paths: &Paths) -> Passthrough {
    let taken = Taken::open(Some(paths.run_dir.join("host-devices.json")));
    Passthrough::new(Places::real(), taken)
}

/// After the guests that ran were taken over: devices of those that are gone go back.
pub async fn recover(host: &Host) {
    let lives = |guest: &Guest| {
        let known = host.guests.qemu.by_name(&guest.name);
        guest.driver == QEMU && known.is_some_and(|guest| guest.snapshot().is_active())
    };
    host.passthrough.recover(lives).await;
}

/// Guests with a PCI device in their documents, running or not: device and guest.
pub fn wanted(host: &Host) -> Vec<(PciAddress, String)> {
    let mut wanted = Vec::new();
    for guest in host.guests.qemu.list() {
        for document in [&guest.live, &guest.config].into_iter().flatten() {
            let text = document.to_xml(&ferrovirt_xml::Form::LIVE);
            wanted.extend(
                in_document(&text)
                    .into_iter()
                    .map(|address| (address, guest.name.clone())),
            );
        }
    }
    wanted.sort();
    wanted.dedup();
    wanted
}

/// The host's PCI devices that a document of a guest names.
fn in_document(text: &str) -> Vec<PciAddress> {
    let Ok(document) = Document::parse(text) else {
        return Vec::new();
    };
    let named = |wanted: &'static str| move |node: &Node<'_, '_>| node.has_tag_name(wanted);
    let sources = document
        .descendants()
        .filter(|node| {
            let hostdev = node.has_tag_name("hostdev") && node.attribute("type") == Some("pci");
            hostdev || node.has_tag_name("interface") && node.attribute("type") == Some("hostdev")
        })
        .filter_map(|device| device.children().find(named("source")));
    let addresses = sources.filter_map(|source| source.children().find(named("address")));
    addresses.filter_map(|address| address_of(&address)).collect()
}

fn address_of(node: &Node<'_, '_>) -> Option<PciAddress> {
    let number = |name: &str| {
        let text = node.attribute(name).unwrap_or("0");
        match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    };
    Some(PciAddress {
        domain: number("domain")?,
        bus: number("bus")?.try_into().ok()?,
        slot: number("slot")?.try_into().ok()?,
        function: number("function")?.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_the_host_are_told_from_addresses_in_the_guest() {
        let text = "<domain><devices>
            <hostdev mode='subsystem' type='pci'>
              <source><address domain='0x0000' bus='0x01' slot='0x1f' function='0x2'/></source>
              <address type='pci' domain='0x0000' bus='0x09' slot='0x00' function='0x0'/>
            </hostdev>
            <hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>
            <interface type='hostdev'><source><address type='pci' bus='7' slot='16'/></source></interface>
            <interface type='network'><source network='default'/></interface>
          </devices></domain>";
        let found: Vec<String> = in_document(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["0000:01:1f.2", "0000:07:10.0"]);
        assert!(in_document("<").is_empty());
    }
}
