//! What is filled in when a guest is started: names of devices, numbers of images, paths, ports.
//!
//! [`alias`] is pure; [`image`] reads images' headers, [`socket`] makes sockets and finds ports, [`tap`] makes
//! network devices. Nothing here runs before the `prepare` hook.

pub mod alias;
pub mod host_smbios;
pub mod hostdev;
pub mod image;
pub mod memory;
pub mod nvram;
pub mod socket;
pub mod tap;
pub mod tpm;

use ferrovirt_model::domain::{Backend, CharType, ControllerType, DeviceInfo, Domain, RngBackend};

/// Whether a SCSI controller knows targets but no units below them.
#[must_use]
pub fn is_lsilogic(doc: &Domain, number: u32) -> bool {
    doc.devices
        .controllers
        .iter()
        .find(|c| c.kind == ControllerType::Scsi && c.number() == number)
        .is_some_and(|c| c.model.as_deref() == Some("lsilogic"))
}

/// All character devices that have a backend of their own, with their names.
pub fn char_devices(doc: &Domain) -> impl Iterator<Item = (&DeviceInfo, &Backend)> {
    let d = &doc.devices;
    let serials = d.serials.iter().map(|device| (&device.info, &device.backend));
    let parallels = d.parallels.iter().map(|device| (&device.info, &device.backend));
    let channels = d.channels.iter().map(|device| (&device.info, &device.backend));
    let consoles = d
        .consoles
        .iter()
        .filter(|console| console.target.as_ref().and_then(|t| t.kind.as_deref()) == Some("virtio"))
        .map(|device| (&device.info, &device.backend));
    let cards = { d.smartcards.iter() }.filter_map(|card| Some((&card.info, card.backend.0.as_ref()?)));
    let redirected = d.redirdevs.iter().map(|device| (&device.info, &device.backend));
    let rngs = d.rngs.iter().filter_map(|rng| match &rng.backend {
        RngBackend::Egd(backend) => Some((&rng.info, &**backend)),
        RngBackend::Random(_) | RngBackend::Builtin => None,
    });
    let others = cards.chain(redirected).chain(rngs);
    serials
        .chain(parallels)
        .chain(channels)
        .chain(consoles)
        .chain(others)
}

/// Alias and backend of the character devices that write to a file, in the order of their descriptors.
#[must_use]
pub fn file_backends(doc: &Domain) -> Vec<(String, Backend)> {
    char_devices(doc)
        .filter(|(_, backend)| backend.kind == CharType::File)
        .map(|(info, backend)| (info.alias.clone().unwrap_or_default(), backend.clone()))
        .collect()
}
