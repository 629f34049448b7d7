//! `<sysinfo>` and `<genid>`: what firmware and guest are told of the machine.

use crate::Uuid;
use ferrovirt_xml::{Cursor, Element, Shape, Writer, Xml, XmlError, parse};

/// `<entry name='…'>`: one value of an SMBIOS table.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct SysInfoEntry {
    /// Which one, by the name that its table has for it.
    #[xml(attr)]
    pub name: String,
    /// The value.
    #[xml(text)]
    pub value: String,
}

/// `<entry>` of `fwcfg`: a value, or the content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct FwCfgEntry {
    /// Name of the firmware's file, below `opt/`.
    #[xml(attr)]
    pub name: String,
    /// Path of a file on the host.
    #[xml(attr)]
    pub file: Option<String>,
    /// The value itself; empty where there is a file.
    #[xml(text)]
    pub value: String,
}

/// An SMBIOS table; its entries stand in the order of the table after `normalize`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct SysInfoTable {
    /// Its values.
    #[xml(name = "entry")]
    pub entries: Vec<SysInfoEntry>,
}

/// `<oemStrings>`: strings that the vendor chose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct OemStrings {
    /// The strings.
    #[xml(name = "entry")]
    pub entries: Vec<String>,
}

/// `<sysinfo type='smbios'>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct SmbiosInfo {
    /// Firmware (type 0).
    pub bios: Option<SysInfoTable>,
    /// The machine (type 1).
    pub system: Option<SysInfoTable>,
    /// Its boards (type 2).
    #[xml(name = "baseBoard")]
    pub base_boards: Vec<SysInfoTable>,
    /// Its case (type 3).
    pub chassis: Option<SysInfoTable>,
    /// Strings of the vendor (type 11).
    #[xml(name = "oemStrings")]
    pub oem_strings: Option<OemStrings>,
}

/// `<sysinfo>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
#[xml(tag = "type")]
pub enum SysInfo {
    /// SMBIOS tables.
    Smbios(SmbiosInfo),
    /// QEMU's own device for the firmware.
    Fwcfg(FwCfg),
}

/// `<sysinfo type='fwcfg'>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct FwCfg {
    /// The firmware's files.
    #[xml(name = "entry")]
    pub entries: Vec<FwCfgEntry>,
}

/// `<genid>`: none yet for an empty element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GenerationId(pub Option<Uuid>);

/// By hand: an empty element asks for a new one.
impl Element for GenerationId {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        cursor.optional_text(parse).map(Self)
    }

    fn attributes(&self, _out: &mut Writer) {}

    fn content(&self, out: &mut Writer) {
        if let Some(uuid) = self.0 {
            out.text(uuid);
        }
    }

    fn shape(shape: &mut Shape) {
        shape.text();
    }
}
