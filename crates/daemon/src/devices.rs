//! Devices of the host, as the daemon has them: one tree, one register of who has which.

use std::sync::Arc;

use ferrovirt_guest::Snapshot;
use ferrovirt_host::{Guest, Passthrough, PciAddress, Places, Taken, Tree};
use ferrovirt_model::domain::{Domain, HostdevKind, Interface};

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
        let devices = of_guest(&guest);
        wanted.extend(devices.into_iter().map(|address| (address, guest.name.clone())));
    }
    wanted.sort();
    wanted
}

/// The host's PCI devices that a guest's documents name, each once.
pub fn of_guest(guest: &Snapshot) -> Vec<PciAddress> {
    let documents = [&guest.live, &guest.config];
    let mut named: Vec<PciAddress> = documents
        .into_iter()
        .flatten()
        .flat_map(|doc| of_document(doc))
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

fn of_document(doc: &Domain) -> impl Iterator<Item = PciAddress> {
    let cards = doc.devices.interfaces.iter().filter_map(Interface::as_hostdev);
    let all = cards.chain(doc.devices.hostdevs.iter().cloned());
    all.filter_map(|hostdev| match hostdev.kind {
        HostdevKind::Pci(pci) => pci.source.address.to_string().parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_the_host_are_told_from_addresses_in_the_guest() {
        let text = "<domain type='qemu'><name>g</name><memory>1024</memory><os><type>hvm</type></os><devices>
            <hostdev mode='subsystem' type='pci'>
              <source><address domain='0x0000' bus='0x01' slot='0x1f' function='0x2'/></source>
              <address type='pci' domain='0x0000' bus='0x09' slot='0x00' function='0x0'/>
            </hostdev>
            <hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>
            <interface type='hostdev'>
              <source><address type='pci' domain='0x0000' bus='0x07' slot='0x10' function='0x0'/></source>
            </interface>
          </devices></domain>";
        let parsed = Domain::parse(text, ferrovirt_model::UnknownPolicy::Refuse).unwrap();
        let found: Vec<String> = of_document(&parsed.value)
            .map(|address| address.to_string())
            .collect();
        assert_eq!(found, ["0000:07:10.0", "0000:01:1f.2"]);
    }
}
