//! `<devices>`: one list per kind, in the order in which libvirt writes the kinds; within a kind the order is the document's.

use super::{
    Audio, Channel, Console, Controller, Disk, Graphics, Input, Interface, MemBalloon, Panic, Parallel, Rng,
    Serial, Video, Watchdog,
};
use ferrovirt_xml::{Rest, Xml};

/// All devices of a guest.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Devices {
    /// Path of the hypervisor's program.
    pub emulator: Option<String>,
    /// Disks.
    #[xml(name = "disk")]
    pub disks: Vec<Disk>,
    /// Controllers.
    #[xml(name = "controller")]
    pub controllers: Vec<Controller>,
    /// Network cards.
    #[xml(name = "interface")]
    pub interfaces: Vec<Interface>,
    /// Serial ports.
    #[xml(name = "serial")]
    pub serials: Vec<Serial>,
    /// Parallel ports.
    #[xml(name = "parallel")]
    pub parallels: Vec<Parallel>,
    /// Consoles.
    #[xml(name = "console")]
    pub consoles: Vec<Console>,
    /// Channels.
    #[xml(name = "channel")]
    pub channels: Vec<Channel>,
    /// Input devices.
    #[xml(name = "input")]
    pub inputs: Vec<Input>,
    /// Servers that show the screen.
    #[xml(name = "graphics")]
    pub graphics: Vec<Graphics>,
    /// Where sound goes.
    #[xml(name = "audio")]
    pub audios: Vec<Audio>,
    /// Graphics cards.
    #[xml(name = "video")]
    pub videos: Vec<Video>,
    /// Watchdogs.
    #[xml(name = "watchdog")]
    pub watchdogs: Vec<Watchdog>,
    /// The balloon; `model='none'` says that there is none.
    pub memballoon: Option<MemBalloon>,
    /// Random number generators.
    #[xml(name = "rng")]
    pub rngs: Vec<Rng>,
    /// Panic devices.
    #[xml(name = "panic")]
    pub panics: Vec<Panic>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
