//! `<hub>`: more ports of a USB bus.

use super::address::DeviceInfo;
use ferrovirt_xml::{Rest, Xml};

/// Kind of hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum HubType {
    /// USB.
    #[default]
    Usb,
}

/// `<hub>`: a hub with eight ports.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Hub {
    /// Its kind.
    #[xml(attr = "type")]
    pub kind: HubType,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
