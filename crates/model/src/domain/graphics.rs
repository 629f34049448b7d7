//! `<graphics>` and `<video>`: what the guest shows, and how it is looked at.

use super::address::DeviceInfo;
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Form, Rest, Xml};

/// How the screen is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum GraphicsType {
    /// VNC.
    #[default]
    Vnc,
}

/// On what a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum ListenType {
    /// Nothing.
    None,
    /// An IP address.
    #[default]
    Address,
    /// A Unix socket.
    Socket,
}

/// `<listen>`: on what a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Listen {
    /// Its kind.
    #[xml(attr = "type")]
    pub kind: ListenType,
    /// The IP address or host name; `None`: the configured default.
    #[xml(attr)]
    pub address: Option<String>,
    /// Path of the Unix socket.
    #[xml(attr)]
    pub socket: Option<String>,
}

/// `<graphics>`: one server that shows the screen.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Graphics {
    /// Its kind.
    #[xml(attr = "type")]
    pub kind: GraphicsType,
    /// Path of the Unix socket of the first `<listen>` (an older place of it).
    #[xml(attr)]
    pub socket: Option<String>,
    /// The port; `-1` when it is chosen at the start.
    #[xml(attr, shown = "Graphics::shown_port")]
    pub port: Option<i32>,
    /// Is the port chosen at the start?
    #[xml(attr, with = "yes_no")]
    pub autoport: Option<bool>,
    /// The address of the first `<listen>` (an older place of it).
    #[xml(attr)]
    pub listen: Option<String>,
    /// Keyboard layout.
    #[xml(attr)]
    pub keymap: Option<String>,
    /// The password.
    #[xml(attr, secret)]
    pub passwd: Option<String>,
    /// On what it listens; after `normalize` never empty.
    #[xml(name = "listen")]
    pub listens: Vec<Listen>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Graphics {
    /// A port that was chosen at the start belongs to the run.
    fn shown_port(&self, form: &Form) -> Option<i32> {
        if form.inactive && self.autoport == Some(true) {
            Some(-1)
        } else {
            self.port
        }
    }
}

/// `<video><model>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct VideoModel {
    /// What the guest sees: `virtio`, `vga`, `cirrus`, `qxl`, `bochs`, `none`, …
    #[xml(attr = "type")]
    pub kind: String,
    /// Memory of the first bar, in KiB (qxl).
    #[xml(attr)]
    pub ram: Option<u32>,
    /// Video memory in KiB.
    #[xml(attr)]
    pub vram: Option<u32>,
    /// Memory of the 64-bit bar, in KiB (qxl).
    #[xml(attr)]
    pub vram64: Option<u32>,
    /// Framebuffer in KiB (qxl).
    #[xml(attr)]
    pub vgamem: Option<u32>,
    /// Number of screens.
    #[xml(attr)]
    pub heads: Option<u32>,
    /// Is it the one that shows the boot?
    #[xml(attr, with = "yes_no")]
    pub primary: Option<bool>,
}

/// `<video>`: a graphics card.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Video {
    /// Its model.
    pub model: VideoModel,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
