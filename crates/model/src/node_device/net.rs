//! `<capability type='net'>`: a network device.

use ferrovirt_xml::Xml;

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NetCapability {
    /// Its name.
    pub interface: String,
    /// Its hardware address, as long as it is.
    pub address: Option<String>,
    /// What its cable does.
    pub link: Option<NetLink>,
    /// What it can do in hardware.
    #[xml(child = "feature", attr = "name")]
    pub features: Vec<String>,
    /// Wire or radio.
    #[xml(name = "capability")]
    pub kind: Option<NetKindOf>,
}

/// `<link>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct NetLink {
    /// Mbit/s, while it is up.
    #[xml(attr)]
    pub speed: Option<u32>,
    /// The kernel's word for its state.
    #[xml(attr)]
    pub state: Option<String>,
}

/// `<capability type='80203'/>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct NetKindOf {
    /// Which kind.
    #[xml(attr = "type")]
    pub kind: NetKind,
}

/// Wire or radio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum NetKind {
    /// A wire.
    #[xml(name = "80203")]
    Ieee80203,
    /// Radio.
    #[xml(name = "80211")]
    Ieee80211,
}

impl From<NetKind> for NetKindOf {
    fn from(kind: NetKind) -> Self {
        Self { kind }
    }
}
