//! `<hostdev>`: what this driver can give to a guest, and what kind of slot a PCI device wants.

use ferrovirt_host::Places;
use ferrovirt_model::domain::{HostPciAddress, Hostdev, HostdevKind};

use crate::error::{Error, Result};

/// Refuses what only containers can have.
pub(super) fn settle(hostdevs: &[Hostdev]) -> Result<()> {
    for hostdev in hostdevs {
        match &hostdev.kind {
            HostdevKind::Pci(_) | HostdevKind::Usb(_) => {}
            HostdevKind::Storage(_) | HostdevKind::Misc(_) | HostdevKind::Net(_) => {
                return Err(Error::unsupported(
                    "hostdev mode 'capabilities' is not supported in QEMU",
                ));
            }
        }
    }
    Ok(())
}

/// Whether a device of the host is on PCI Express. One that is not there now most likely is.
pub(super) fn is_express(address: &HostPciAddress) -> bool {
    let known = address.to_string().parse().ok();
    known
        .and_then(|address| ferrovirt_host::is_express(&Places::real(), address))
        .unwrap_or(true)
}
