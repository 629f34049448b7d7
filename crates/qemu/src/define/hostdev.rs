//! `<hostdev>`: what this driver can give to a guest, and what kind of slot a PCI device wants.

use std::fs;
use std::path::Path;

use ferrovirt_model::domain::{HostPciAddress, Hostdev, HostdevKind};

use crate::error::{Error, Result};

/// Where the host's PCI devices are.
const DEVICES: &str = "/sys/bus/pci/devices";

/// Offset of the first capability's offset in a device's configuration.
const FIRST_CAPABILITY: usize = 0x34;
/// The capability of PCI Express.
const EXPRESS: u8 = 0x10;
/// There are no more in the part where capabilities lie, and each takes four bytes or more.
const MOST_CAPABILITIES: usize = 48;

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
    let path = Path::new(DEVICES).join(address.to_string()).join("config");
    fs::read(path).map_or(true, |config| has_express(&config))
}

fn has_express(config: &[u8]) -> bool {
    let mut at = config.get(FIRST_CAPABILITY).copied().unwrap_or(0) & !3;
    for _ in 0..MOST_CAPABILITIES {
        let (Some(&id), Some(&next)) = (config.get(usize::from(at)), config.get(usize::from(at) + 1)) else {
            return false;
        };
        match (at, id) {
            (0, _) => return false,
            (_, EXPRESS) => return true,
            _ => at = next & !3,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn express_is_a_capability() {
        let mut config = vec![0u8; 256];
        assert!(!has_express(&config));
        config[FIRST_CAPABILITY] = 0x40;
        config[0x40] = 0x05;
        config[0x41] = 0x60;
        assert!(!has_express(&config), "only interrupts by messages");
        config[0x60] = EXPRESS;
        assert!(has_express(&config));
        config[0x41] = 0x40;
        assert!(!has_express(&config), "a list without an end");
    }

    proptest! {
        #[test]
        fn any_configuration_is_read(config in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = has_express(&config);
        }
    }
}
