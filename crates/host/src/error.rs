//! The one error of this crate. The texts are those that libvirt's users know; where libvirt says nothing of use, ours.

use std::io;
use std::path::PathBuf;

use crate::holders::Holder;
use crate::pci::PciAddress;
use crate::taken::Guest;

/// Why a device cannot be found, described, given away or taken back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No node device has this name.
    #[error("no node device with matching name '{0}'")]
    NoDevice(String),
    /// No SCSI controller has these world wide names.
    #[error("no node device with matching wwnn '{wwnn}' and wwpn '{wwpn}'")]
    NoScsiHost {
        /// Of the node.
        wwnn: String,
        /// Of the port.
        wwpn: String,
    },
    /// It is a device, but none on a PCI bus.
    #[error("device {0} is not a PCI device")]
    NotPci(String),
    /// There is no PCI device with this address.
    #[error("Device {address} not found: could not access {}: {reason}", path.display())]
    NoPciDevice {
        /// Its address.
        address: PciAddress,
        /// What could not be read.
        path: PathBuf,
        /// What the kernel said.
        reason: String,
    },
    /// A bridge, which no guest can have.
    #[error("Non-endpoint PCI devices cannot be assigned to guests")]
    NotEndpoint,
    /// A guest has it.
    #[error("PCI device {address} is in use by driver {}, domain {}", guest.driver, guest.name)]
    InUse {
        /// Which device: not always the one that was asked for, but one of its group.
        address: PciAddress,
        /// Which guest.
        guest: Guest,
    },
    /// Something is being done to it.
    #[error("PCI device {address} is busy: {doing}")]
    Busy {
        /// Which device.
        address: PciAddress,
        /// What is being done.
        doing: String,
    },
    /// Whoever gives it away has not said that it be taken from the host.
    #[error("Unmanaged PCI device {0} must be manually detached from the host")]
    Unmanaged(PciAddress),
    /// A guest has it, and would not survive a reset.
    #[error("Not resetting active device {0}")]
    ResetActive(PciAddress),
    /// A bridge cannot be reset.
    #[error("Invalid attempt to reset PCI device {0}. Only PCI endpoint devices can be reset")]
    ResetNotEndpoint(PciAddress),
    /// No way of resetting the device is left.
    #[error("Unable to reset PCI device {address}: {reason}")]
    Reset {
        /// Which device.
        address: PciAddress,
        /// Why not.
        reason: String,
    },
    /// The machine cannot give devices to guests: no IOMMU, or no VFIO.
    #[error("VFIO device assignment is currently not supported on this system")]
    NoVfio,
    /// The same, said to who starts a guest.
    #[error("host doesn't support passthrough of host PCI devices")]
    NoPassthrough,
    /// What QEMU did before VFIO.
    #[error("'legacy KVM' device assignment is no longer supported on this system")]
    LegacyKvm,
    /// A kind of driver in a guest's document that there is not any more.
    #[error("pci backend driver type '{0}' is not supported")]
    DriverKind(String),
    /// No module has this name, or it does not load.
    #[error("Failed to load PCI driver module {module}: {reason}")]
    Module {
        /// Its name.
        module: String,
        /// What `modprobe` said.
        reason: String,
    },
    /// A directory that should be there is not.
    #[error("cannot open directory '{}': {reason}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        reason: String,
    },
    /// The group's node did not appear: a driver that is no VFIO driver has the device.
    #[error("Path '{}' is not accessible: {reason}", path.display())]
    NoGroupNode {
        /// The node.
        path: PathBuf,
        /// What the kernel said.
        reason: String,
    },
    /// The device has no IOMMU group.
    #[error("PCI device {0} is in no IOMMU group")]
    NoGroup(PciAddress),
    /// The kernel would not let its driver go, or would not give it another one.
    #[error("Unable to {action} PCI device {address}: {reason}")]
    Sysfs {
        /// What was tried.
        action: &'static str,
        /// On which device.
        address: PciAddress,
        /// What the kernel said.
        reason: String,
    },
    /// The driver was not bound although the kernel did not complain.
    #[error("PCI device {address} is not bound to driver {driver}{}", found.as_ref().map(|found| format!(" but to {found}")).unwrap_or_default())]
    NotBound {
        /// Which device.
        address: PciAddress,
        /// The driver that it should have.
        driver: String,
        /// The one that it has.
        found: Option<String>,
    },
    /// The kernel does not come back.
    #[error(
        "Unable to {action} PCI device {address}: the kernel has not answered for {seconds} s{}",
        held_by(holders)
    )]
    Hangs {
        /// What was tried.
        action: &'static str,
        /// On which device.
        address: PciAddress,
        /// For how long.
        seconds: u64,
        /// Processes that have the device open.
        holders: Vec<Holder>,
    },
    /// No USB device is what was asked for.
    #[error("Did not find USB device {0}")]
    NoUsbDevice(String),
    /// More than one is.
    #[error("Multiple USB devices for {vendor:x}:{product:x}, use <address> to specify one")]
    ManyUsbDevices {
        /// Its maker.
        vendor: u32,
        /// What it is.
        product: u32,
    },
    /// A guest has it.
    #[error("USB device {bus:03}:{device:03} is in use by driver {}, domain {}", guest.driver, guest.name)]
    UsbInUse {
        /// Its bus.
        bus: u32,
        /// Its number there.
        device: u32,
        /// Which guest.
        guest: Guest,
    },
    /// The register of who has what could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Register {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

fn held_by(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return String::new();
    }
    let list: Vec<String> = holders.iter().map(ToString::to_string).collect();
    format!("; in use by {}", list.join(", "))
}

/// The kernel's words without a number.
pub(crate) fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => ferrovirt_sys::errno_text(errno),
        None => error.to_string(),
    }
}
