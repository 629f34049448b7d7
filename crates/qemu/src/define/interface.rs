//! Network cards: address and model.

use ferrovirt_model::MacAddress;
use ferrovirt_model::domain::{Domain, InterfaceTarget};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};

/// Models by libvirt's name, with QEMU's device.
pub(crate) fn device_of(model: &str) -> Option<&'static str> {
    Some(match model {
        "virtio" => "virtio-net-pci",
        "virtio-transitional" => "virtio-net-pci-transitional",
        "virtio-non-transitional" => "virtio-net-pci-non-transitional",
        "e1000" => "e1000",
        "e1000e" => "e1000e",
        "igb" => "igb",
        "rtl8139" => "rtl8139",
        "ne2k_pci" => "ne2k_pci",
        "pcnet" => "pcnet",
        "i82551" => "i82551",
        "i82557b" => "i82557b",
        "i82559er" => "i82559er",
        "vmxnet3" => "vmxnet3",
        _ => return None,
    })
}

/// Settles `<interface>`.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    for interface in &mut doc.devices.interfaces {
        let mac = *interface.mac.get_or_insert_with(MacAddress::random);
        if mac.is_multicast() {
            return Err(Error::Xml(format!("expected unicast mac address, found multicast '{mac}'")));
        }
        let default = ["rtl8139", "e1000", "virtio"]
            .into_iter()
            .find(|model| device_of(model).is_some_and(|device| emulator.has(device)))
            .unwrap_or("virtio");
        let model = interface.model.get_or_insert_with(|| default.to_owned());
        if !device_of(model).is_some_and(|device| emulator.has(device)) {
            return Err(Error::unsupported(format!("unsupported network card model '{model}'")));
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
                .is_some_and(|rest| rest.is_empty() || rest == "%d" || rest.bytes().all(|b| b.is_ascii_digit()))
        })
    }
}
