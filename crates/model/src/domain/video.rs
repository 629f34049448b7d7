//! `<video>`: a graphics card.

use super::address::DeviceInfo;
use super::virtio_options::VirtioOptions;
use ferrovirt_xml::values::{on_off, yes_no};
use ferrovirt_xml::{Rest, Xml};

/// `<acceleration>`: what the host's GPU does for the guest's card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Acceleration {
    /// 2D (no model of QEMU's).
    #[xml(attr, with = "yes_no")]
    pub accel2d: Option<bool>,
    /// 3D.
    #[xml(attr, with = "yes_no")]
    pub accel3d: Option<bool>,
    /// The GPU's render node (only with a driver process of its own).
    #[xml(attr)]
    pub rendernode: Option<String>,
}

/// `<resolution>`: the first size of the screen, in pixels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Resolution {
    /// Width.
    #[xml(attr)]
    pub x: u32,
    /// Height.
    #[xml(attr)]
    pub y: u32,
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
    /// Is the guest's memory handed to the host's GPU as it is (virtio)?
    #[xml(attr, with = "on_off")]
    pub blob: Option<bool>,
    /// What the host's GPU does.
    pub acceleration: Option<Acceleration>,
    /// The first size of the screen.
    pub resolution: Option<Resolution>,
}

/// Who emulates the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum VideoBackend {
    /// QEMU.
    Qemu,
    /// A process of its own.
    #[xml(name = "vhostuser")]
    VhostUser,
}

/// Which registers of VGA a guest may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum VgaConf {
    /// All.
    Io,
    /// All, from firmware on.
    On,
    /// None.
    Off,
}

/// `<driver>` of a graphics card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct VideoDriver {
    /// Options of a virtio device.
    #[xml(flatten)]
    pub virtio: VirtioOptions,
    /// Who emulates it.
    #[xml(attr)]
    pub name: Option<VideoBackend>,
    /// Which registers of VGA it has (bhyve).
    #[xml(attr = "vgaconf")]
    pub vga_conf: Option<VgaConf>,
}

/// `<video>`: a graphics card.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Video {
    /// Who emulates it, and how.
    pub driver: Option<VideoDriver>,
    /// Its model.
    #[xml(default)]
    pub model: VideoModel,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
