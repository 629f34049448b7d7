//! What libvirt fills in when a guest is defined: a pure function of the document and of what the emulator is.
//!
//! One file per kind of device says what its defaults are; [`controllers`] adds what devices hang on, and the
//! three address files place everything. Running it on its own result changes nothing, which is tested.
//!
//! ```text
//!  machine -> devices (disk, serial, graphics, interface, lesser) -> controllers -> addresses (drive, usb,
//!  virtio-serial, pci) -> checks
//! ```

mod addresses;
mod controller_check;
mod controllers;
mod cpu;
mod disk;
mod disk_check;
mod features;
mod firmware;
mod foreign;
mod graphics;
mod hostdev;
mod interface;
mod labels;
mod lesser;
mod machine;
mod memory;
mod needs;
mod pci;
mod pci_devices;
mod serial;
mod shmem;
mod smartcard;
mod sound;
#[cfg(test)]
mod tests;
mod told;
mod tpm;
mod tuning;
mod usb;
mod video;
mod virtual_devices;

pub use disk::{device_index, sort as sort_disks};
pub use firmware::{Firmwares, Offer};
pub use machine::Chipset;

pub(crate) use controllers::{scsi_device, usb_device};
pub(crate) use interface::device_of as card_device;
pub(crate) use smartcard::DATABASE;
pub(crate) use sound::device_of as sound_device;
pub(crate) use video::device_of as video_device;

use std::sync::Arc;

use ferrovirt_model::domain::Domain;

use crate::capabilities::Emulator;
use crate::error::Result;
use crate::swtpm::Swtpm;

/// What the host has that documents ask for, beside the emulator.
#[derive(Debug, Clone, Default)]
pub struct OfHost {
    /// Descriptions of firmware.
    pub firmwares: Firmwares,
    /// Who plays TPMs.
    pub swtpm: Option<Arc<Swtpm>>,
}

/// Fills in what the document leaves open, on a host without any of that.
///
/// # Errors
/// As [`complete_with`].
pub fn complete(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    complete_with(doc, emulator, &OfHost::default())
}

/// Fills in what the document leaves open.
///
/// # Errors
/// The document asks for what this driver or this emulator does not have; the text names it.
pub fn complete_with(doc: &mut Domain, emulator: &Emulator, host: &OfHost) -> Result<()> {
    foreign::refuse(doc)?;
    labels::settle(doc)?;
    let chipset = machine::settle(doc, emulator)?;
    firmware::settle(doc, &host.firmwares, chipset)?;
    tuning::settle(doc)?;
    memory::settle_nodes(doc);
    cpu::settle(doc, emulator)?;
    features::settle(doc, chipset)?;
    told::settle(doc)?;
    disk::settle(doc)?;
    serial::settle(doc)?;
    graphics::settle(doc, emulator)?;
    interface::settle(doc, emulator)?;
    lesser::settle(doc, chipset)?;
    hostdev::settle(&doc.devices.hostdevs)?;
    sound::settle(doc, emulator)?;
    smartcard::settle(doc, emulator)?;
    tpm::settle(doc, emulator, host.swtpm.as_deref())?;
    shmem::settle(&mut doc.devices.shmems)?;
    memory::settle(doc, emulator)?;
    virtual_devices::settle(doc, chipset)?;
    controllers::settle(doc, emulator, chipset)?;
    smartcard::controllers(doc, emulator)?;
    addresses::settle(doc)?;
    pci::settle(doc, chipset)?;
    Ok(())
}

/// Completes the devices of a running guest's document to which one was added.
///
/// # Errors
/// As [`complete`].
pub(crate) fn complete_devices(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    let chipset = Chipset::of(doc);
    disk::settle(doc)?;
    interface::settle(doc, emulator)?;
    controllers::settle(doc, emulator, chipset)?;
    addresses::settle(doc)?;
    pci::settle(doc, chipset)
}

/// The architecture of a document; the host's when it names none.
#[must_use]
pub fn architecture(doc: &Domain) -> &str {
    doc.os.kind.arch.as_deref().unwrap_or("x86_64")
}
