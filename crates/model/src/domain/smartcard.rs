//! `<smartcard>`: a card reader of the guest.

use super::address::DeviceInfo;
use super::chardev::Backend;
use ferrovirt_xml::{Cursor, Element, Rest, Shape, Writer, Xml, XmlError};

/// Where the card is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum SmartcardMode {
    /// In a reader of the host.
    #[default]
    Host,
    /// Made up from certificates of the host.
    HostCertificates,
    /// At the other end of a character device.
    Passthrough,
}

/// The host's side where there is one: a character device's, which nothing but its attribute `type` tells.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MaybeBackend(pub Option<Backend>);

impl Element for MaybeBackend {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        let given = cursor.attribute("type", |text| Ok(text.to_owned()))?;
        // virt-install gives a type to all of them, and libvirt passes over it.
        let host = cursor.attribute("mode", |text| Ok(text == SmartcardMode::Host.as_str()))?;
        let given = given.filter(|_| host != Some(true));
        given.map(|_| Backend::decode(cursor)).transpose().map(Self)
    }

    fn attributes(&self, out: &mut Writer) {
        if let Some(backend) = &self.0 {
            backend.attributes(out);
        }
    }

    fn content(&self, out: &mut Writer) {
        if let Some(backend) = &self.0 {
            backend.content(out);
        }
    }

    fn shape(shape: &mut Shape) {
        Backend::shape(shape);
    }
}

/// `<smartcard>`.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Smartcard {
    /// Where the card is.
    #[xml(attr)]
    pub mode: SmartcardMode,
    /// The other end (mode `passthrough`).
    #[xml(flatten)]
    pub backend: MaybeBackend,
    /// Names of three certificates (mode `host-certificates`).
    #[xml(name = "certificate")]
    pub certificates: Vec<String>,
    /// Where they are (mode `host-certificates`).
    pub database: Option<String>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
