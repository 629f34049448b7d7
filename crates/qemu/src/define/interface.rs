//! Network cards: address and model.

use ferrovirt_model::MacAddress;
use ferrovirt_model::domain::{Domain, InterfaceTarget, InterfaceType};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};

/// QEMU's device for a model by libvirt's name; what libvirt has no name for goes by QEMU's.
pub(crate) fn device_of(model: &str) -> &str {
    match model {
        "virtio" => "virtio-net-pci",
        "virtio-transitional" => "virtio-net-pci-transitional",
        "virtio-non-transitional" => "virtio-net-pci-non-transitional",
        other => other,
    }
}

/// Settles `<interface>`.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    for interface in &mut doc.devices.interfaces {
        let mac = *interface.mac.get_or_insert_with(MacAddress::random);
        if mac.is_multicast() {
            return Err(Error::Xml(format!(
                "expected unicast mac address, found multicast '{mac}'"
            )));
        }
        let default = ["rtl8139", "e1000", "virtio"]
            .into_iter()
            .find(|model| emulator.has(device_of(model)))
            .unwrap_or("virtio");
        // One that QEMU does not have is named by QEMU at the start; one of the host's is what it is.
        if interface.kind != InterfaceType::Hostdev {
            interface.model.get_or_insert_with(|| default.to_owned());
        }
        // Names the daemon gives belong to a run.
        if interface.id_is_generated() {
            interface.target = None;
        }
        if let Some(name) = interface.target_dev()
            && name.len() > 15
        {
            return Err(Error::Xml(format!("network device name '{name}' is too long")));
        }
    }
    Ok(())
}

/// Whether the host's end has a name that the daemon chose.
trait Generated {
    fn id_is_generated(&self) -> bool;
}

impl Generated for ferrovirt_model::domain::Interface {
    fn id_is_generated(&self) -> bool {
        let target: Option<&InterfaceTarget> = self.target.as_ref();
        target.and_then(|t| t.dev.as_deref()).is_some_and(|dev| {
            dev.strip_prefix(ferrovirt_model::domain::GENERATED_PREFIX)
                .is_some_and(|rest| {
                    rest.is_empty() || rest == "%d" || rest.bytes().all(|b| b.is_ascii_digit())
                })
        })
    }
}
