//! `<input>`: mice, tablets, keyboards, and the host's own ones handed through.

use super::address::DeviceInfo;
use super::virtio_options::VirtioOptions;
use ferrovirt_xml::values::on_off;
use ferrovirt_xml::{Form, Rest, Xml};

/// Kind of input device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum InputType {
    /// A mouse.
    Mouse,
    /// A tablet (absolute positions).
    Tablet,
    /// A keyboard.
    Keyboard,
    /// An event device of the host, as a virtio device.
    Passthrough,
    /// An event device of the host, whose events the emulated devices get.
    Evdev,
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
    /// None: what type `evdev` has. Never written.
    None,
}

/// Which of the devices are grabbed by the combination of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum InputGrab {
    /// All.
    All,
}

/// The combination of keys that switches between host and guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum GrabToggle {
    /// Both control keys.
    CtrlCtrl,
    /// Both alt keys.
    AltAlt,
    /// Both shift keys.
    ShiftShift,
    /// Both meta keys.
    MetaMeta,
    /// The scroll lock key.
    Scrolllock,
    /// Control and scroll lock.
    CtrlScrolllock,
}

/// `<source>` of an input device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct InputSource {
    /// Path of the event device (type `passthrough`).
    #[xml(attr)]
    pub evdev: Option<String>,
    /// Path of the event device (type `evdev`).
    #[xml(attr)]
    pub dev: Option<String>,
    /// Which devices the combination of keys grabs.
    #[xml(attr)]
    pub grab: Option<InputGrab>,
    /// The combination of keys.
    #[xml(attr = "grabToggle")]
    pub grab_toggle: Option<GrabToggle>,
    /// Do held keys repeat?
    #[xml(attr, with = "on_off")]
    pub repeat: Option<bool>,
}

/// `<input>`: an input device.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Input {
    /// Its kind.
    #[xml(attr = "type")]
    pub kind: InputType,
    /// What it is attached to.
    #[xml(attr, shown = "Input::shown_bus")]
    pub bus: Option<InputBus>,
    /// What the guest sees, of a virtio device: `virtio`, `virtio-transitional`, `virtio-non-transitional`.
    #[xml(attr)]
    pub model: Option<String>,
    /// Options of a virtio device.
    pub driver: Option<VirtioOptions>,
    /// The device of the host.
    pub source: Option<InputSource>,
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
            model: None,
            driver: None,
            source: None,
            info: DeviceInfo::default(),
            rest: Rest::default(),
        }
    }

    fn shown_bus(&self, _form: &Form) -> Option<InputBus> {
        self.bus.filter(|bus| *bus != InputBus::None)
    }
}
