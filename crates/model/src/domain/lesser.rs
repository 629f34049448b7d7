//! Devices of few words: `<watchdog>`, `<memballoon>`, `<rng>`, `<panic>`.

use super::address::DeviceInfo;
use super::chardev::Backend;
use super::virtio_options::VirtioOptions;
use ferrovirt_xml::values::on_off;
use ferrovirt_xml::{Cursor, Element, Rest, Shape, Writer, Xml, XmlError, not_one_of, parse};

/// What a watchdog does that nobody fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum WatchdogAction {
    /// Resets the guest.
    #[default]
    Reset,
    /// Asks the guest to shut down.
    Shutdown,
    /// Turns it off.
    Poweroff,
    /// Pauses it.
    Pause,
    /// Dumps its memory.
    Dump,
    /// Nothing.
    None,
    /// Sends an interrupt that cannot be masked.
    InjectNmi,
}

/// `<watchdog>`.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Watchdog {
    /// What the guest sees: `i6300esb`, `ib700`, `itco`, …
    #[xml(attr)]
    pub model: String,
    /// What it does.
    #[xml(attr, default)]
    pub action: WatchdogAction,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// `<memballoon>`: takes memory back from the guest.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct MemBalloon {
    /// What the guest sees: `virtio`, `virtio-transitional`, `virtio-non-transitional`, or `none`.
    #[xml(attr)]
    pub model: String,
    /// Does it give memory back before the guest kills programs?
    #[xml(attr, with = "on_off")]
    pub autodeflate: Option<bool>,
    /// Does the guest tell which pages it does not use?
    #[xml(attr = "freePageReporting", with = "on_off")]
    pub free_page_reporting: Option<bool>,
    /// Seconds between two reports of the guest's figures.
    #[xml(child = "stats", attr = "period")]
    pub stats_period: Option<u32>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// Options of a virtio device.
    pub driver: Option<VirtioOptions>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// `<rate>`: how much a random number generator gives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct RngRate {
    /// So many bytes…
    #[xml(attr)]
    pub bytes: u32,
    /// …in so many milliseconds.
    #[xml(attr)]
    pub period: Option<u32>,
}

/// Where random numbers come from.
#[derive(Debug, Clone, PartialEq)]
pub enum RngBackend {
    /// A device of the host: its path.
    Random(Option<String>),
    /// A daemon that speaks EGD's protocol, at the other end of a character device.
    Egd(Box<Backend>),
    /// The hypervisor itself.
    Builtin,
}

impl Default for RngBackend {
    fn default() -> Self {
        Self::Random(None)
    }
}

impl RngBackend {
    const MODELS: [&str; 3] = ["random", "egd", "builtin"];

    /// The kind, as it is written.
    pub fn model(&self) -> &'static str {
        match self {
            Self::Random(_) => Self::MODELS[0],
            Self::Egd(_) => Self::MODELS[1],
            Self::Builtin => Self::MODELS[2],
        }
    }
}

/// `<backend model='…'>`: a path, or the inside of a character device.
impl Element for RngBackend {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        let model = cursor.required_attribute("model", |text| {
            let known = Self::MODELS.iter().position(|model| *model == text);
            known.ok_or_else(|| not_one_of(&Self::MODELS))
        })?;
        Ok(match model {
            0 => Self::Random(cursor.optional_text(parse)?),
            1 => Self::Egd(Box::new(Backend::decode(cursor)?)),
            _ => Self::Builtin,
        })
    }

    fn attributes(&self, out: &mut Writer) {
        out.attribute("model", self.model());
        if let Self::Egd(backend) = self {
            backend.attributes(out);
        }
    }

    fn content(&self, out: &mut Writer) {
        match self {
            Self::Random(Some(path)) => out.text(path),
            Self::Egd(backend) => backend.content(out),
            Self::Random(None) | Self::Builtin => {}
        }
    }

    fn shape(shape: &mut Shape) {
        shape.attribute("model", "Where the numbers come from.");
        shape.text();
        Backend::shape(shape);
    }
}

/// `<rng>`: a random number generator.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Rng {
    /// What the guest sees: `virtio`, `virtio-transitional`, `virtio-non-transitional`.
    #[xml(attr)]
    pub model: String,
    /// How much it gives.
    pub rate: Option<RngRate>,
    /// Where it takes it from.
    pub backend: RngBackend,
    /// Options of a virtio device.
    pub driver: Option<VirtioOptions>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// `<panic>`: tells the host of a guest's panic.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Panic {
    /// What the guest sees: `isa`, `hyperv`, `pvpanic`, …
    #[xml(attr)]
    pub model: Option<String>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
