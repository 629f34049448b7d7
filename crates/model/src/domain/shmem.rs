//! `<shmem>`: memory that guests and host share.

use super::address::DeviceInfo;
use crate::Kib;
use ferrovirt_xml::values::on_off;
use ferrovirt_xml::{Cursor, Element, Rest, Shape, Writer, Xml, XmlError, parse};

/// What the guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum ShmemModel {
    /// QEMU's first one, which is gone.
    #[default]
    Ivshmem,
    /// Memory only.
    IvshmemPlain,
    /// Memory and interrupts, which a server hands on.
    IvshmemDoorbell,
}

/// Does the guest keep the memory when it is moved to another host?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum ShmemRole {
    /// Yes.
    Master,
    /// No.
    Peer,
}

/// `<server>`: who hands interrupts on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct ShmemServer {
    /// Path of its socket; by the name of the memory where it is left out.
    #[xml(attr)]
    pub path: Option<String>,
}

/// `<msi>`: how interrupts come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct ShmemMsi {
    /// Are they on? Only written by users.
    #[xml(attr, with = "on_off")]
    pub enabled: Option<bool>,
    /// How many.
    #[xml(attr)]
    pub vectors: Option<u32>,
    /// Without a stop in QEMU?
    #[xml(attr, with = "on_off")]
    pub ioeventfd: Option<bool>,
}

/// `<size>`: how much memory, in whole MiB as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShmemSize(pub Kib);

impl Element for ShmemSize {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        let unit: Option<String> = cursor.attribute("unit", parse)?;
        let amount: u64 = cursor.text_value(parse)?;
        let size = Kib::from_unit(amount, unit.as_deref().unwrap_or("bytes"));
        size.map(Self).map_err(|why| cursor.invalid(why))
    }

    fn attributes(&self, out: &mut Writer) {
        out.attribute("unit", "M");
    }

    fn content(&self, out: &mut Writer) {
        out.text(self.0.mib());
    }

    fn shape(shape: &mut Shape) {
        shape.attribute("unit", "Unit of the size.");
        shape.text();
    }
}

/// `<shmem>`: memory that is shared.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Shmem {
    /// Its name: the file in `/dev/shm`.
    #[xml(attr)]
    pub name: String,
    /// Is it kept when the guest is moved?
    #[xml(attr)]
    pub role: Option<ShmemRole>,
    /// What the guest sees.
    #[xml(child = "model", attr = "type")]
    pub model: Option<ShmemModel>,
    /// How much; a power of two.
    pub size: Option<ShmemSize>,
    /// Who hands interrupts on.
    pub server: Option<ShmemServer>,
    /// How interrupts come.
    pub msi: Option<ShmemMsi>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
