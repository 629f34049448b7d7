//! `<memtune>`: how much of the host's memory a guest may take.

use crate::Kib;
use ferrovirt_xml::{Cursor, Element, Rest, Shape, Writer, Xml, XmlError, parse};

/// What libvirt calls no limit; amounts from here on are not written.
pub const UNLIMITED: Kib = Kib((1 << 53) - 1);

/// `<memtune>`: limits of memory. `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct MemTune {
    /// The most that it can have.
    pub hard_limit: Option<Kib>,
    /// What it is pushed back to when the host's memory is short.
    pub soft_limit: Option<Kib>,
    /// What it always has. No hypervisor here can promise that.
    pub min_guarantee: Option<Kib>,
    /// The most that it can have of memory and swap together.
    pub swap_hard_limit: Option<Kib>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl MemTune {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == MemTune::default()
    }

    /// Limits that are none are not there.
    pub(crate) fn normalize(&mut self) {
        for limit in [
            &mut self.hard_limit,
            &mut self.soft_limit,
            &mut self.min_guarantee,
            &mut self.swap_hard_limit,
        ] {
            limit.take_if(|limit| *limit >= UNLIMITED);
        }
    }
}

/// `<maxMemory>`: how far memory can grow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MaxMemory {
    /// How many modules there is room for.
    pub slots: Option<u32>,
    /// All memory then.
    pub size: Kib,
}

impl Element for MaxMemory {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        let slots = cursor.attribute("slots", parse)?;
        let size = Kib::decode(cursor)?;
        Ok(Self { slots, size })
    }

    fn attributes(&self, out: &mut Writer) {
        if let Some(slots) = self.slots {
            out.attribute("slots", slots);
        }
        self.size.attributes(out);
    }

    fn content(&self, out: &mut Writer) {
        self.size.content(out);
    }

    fn shape(shape: &mut Shape) {
        shape.attribute("slots", "Places for memory modules.");
        Kib::shape(shape);
    }
}
