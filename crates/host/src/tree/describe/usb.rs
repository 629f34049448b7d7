//! USB devices and their interfaces.

use std::str::FromStr;

use ferrovirt_model::node_device::{PciId, UsbDeviceCapability, UsbInterfaceCapability};

use super::Look;
use crate::sysfs;

pub(super) fn device(look: &Look<'_>) -> UsbDeviceCapability {
    let id = |attribute: &str, database: &str, own: &str| PciId {
        id: sysfs::hex(&look.dir.join(attribute)).unwrap_or(0),
        name: look
            .record
            .get(database)
            .map(str::to_owned)
            .or_else(|| look.word(own)),
    };
    UsbDeviceCapability {
        bus: decimal(look, "busnum"),
        device: decimal(look, "devnum"),
        product: id("idProduct", "ID_MODEL_FROM_DATABASE", "product"),
        vendor: id("idVendor", "ID_VENDOR_FROM_DATABASE", "manufacturer"),
    }
}

fn decimal<T: FromStr + Default>(look: &Look<'_>, attribute: &str) -> T {
    sysfs::number(&look.dir.join(attribute)).unwrap_or_default()
}

pub(super) fn interface(look: &Look<'_>) -> UsbInterfaceCapability {
    let hex = |attribute: &str| sysfs::hex(&look.dir.join(attribute)).unwrap_or(0);
    UsbInterfaceCapability {
        number: hex("bInterfaceNumber"),
        class: hex("bInterfaceClass"),
        subclass: hex("bInterfaceSubClass"),
        protocol: hex("bInterfaceProtocol"),
    }
}
