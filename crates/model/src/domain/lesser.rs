//! Devices of few words: `<input>`, `<audio>`, `<watchdog>`, `<memballoon>`, `<rng>`, `<panic>`.

use super::address::DeviceInfo;
use ferrovirt_xml::values::on_off;
use ferrovirt_xml::{Rest, Xml};

/// Kind of input device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum InputType {
    /// A mouse.
    Mouse,
    /// A tablet (absolute positions).
    Tablet,
    /// A keyboard.
    Keyboard,
}

/// What an input device is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum InputBus {
    /// The PS/2 ports of a PC.
    Ps2,
    /// USB.
    Usb,
    /// virtio.
    Virtio,
}

/// `<input>`: a mouse, tablet or keyboard.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Input {
    /// Its kind.
    #[xml(attr = "type")]
    pub kind: InputType,
    /// What it is attached to.
    #[xml(attr)]
    pub bus: Option<InputBus>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Input {
    /// A device of a kind on a bus, otherwise empty.
    pub fn new(kind: InputType, bus: InputBus) -> Self {
        Self {
            kind,
            bus: Some(bus),
            info: DeviceInfo::default(),
            rest: Rest::default(),
        }
    }
}

/// Where sound goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum AudioType {
    /// Nowhere.
    #[default]
    None,
}

/// `<audio>`: where sound goes on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Audio {
    /// Its number, from 1.
    #[xml(attr)]
    pub id: u32,
    /// Where sound goes.
    #[xml(attr = "type", default)]
    pub kind: AudioType,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum RngSource {
    /// A device of the host.
    #[default]
    Random,
    /// The hypervisor itself.
    Builtin,
}

/// `<backend>` of a random number generator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct RngBackend {
    /// Its kind.
    #[xml(attr)]
    pub model: RngSource,
    /// Path of the device.
    #[xml(text)]
    pub path: Option<String>,
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
