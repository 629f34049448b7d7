//! The machine, as its firmware describes it.

use ferrovirt_model::Uuid;
use ferrovirt_model::node_device::{Firmware, Hardware, SystemCapability};

use crate::places::Places;
use crate::sysfs;

pub(super) fn describe(places: &Places, uuid: Option<Uuid>) -> SystemCapability {
    let dir = places.sys.join("class/dmi/id");
    let read = |name| sysfs::word(&dir.join(name));
    SystemCapability {
        product: read("product_name"),
        hardware: Hardware {
            vendor: read("sys_vendor"),
            version: read("product_version"),
            serial: read("product_serial"),
            uuid,
        },
        firmware: Firmware {
            vendor: read("bios_vendor"),
            version: read("bios_version"),
            released: read("bios_date"),
        },
    }
}
