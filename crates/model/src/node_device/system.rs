//! `<capability type='system'>`: the machine, as its firmware describes it.

use crate::Uuid;
use ferrovirt_xml::Xml;

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct SystemCapability {
    /// What it is sold as.
    pub product: Option<String>,
    /// Who made it.
    pub hardware: Hardware,
    /// What boots it.
    pub firmware: Firmware,
}

/// `<hardware>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Hardware {
    /// Its maker.
    pub vendor: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// The host's UUID.
    pub uuid: Option<Uuid>,
}

/// `<firmware>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Firmware {
    /// Its maker.
    pub vendor: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// When it was released, as it says.
    #[xml(name = "release_date")]
    pub released: Option<String>,
}
