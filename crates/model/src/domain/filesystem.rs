//! `<filesystem>`: what a container finds at a path.

use super::address::DeviceInfo;
use ferrovirt_xml::{Rest, Xml};

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum FilesystemType {
    /// A directory of the host.
    #[default]
    Mount,
    /// A device of the host.
    Block,
    /// An image file of the host.
    File,
    /// A template of OpenVZ.
    Template,
    /// Memory.
    Ram,
    /// A directory of the guest, at another place.
    Bind,
    /// A volume of a storage pool.
    Volume,
}

/// Whose rights count in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum AccessMode {
    /// The guest's own.
    #[default]
    Passthrough,
    /// The hypervisor's, the guest's kept beside the files.
    Mapped,
    /// The hypervisor's, failures to change owners ignored.
    Squash,
}

/// What makes an image a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum FilesystemDriverType {
    /// Nothing: it is a directory.
    Path,
    /// A loop device.
    Loop,
    /// A network block device, served by `qemu-nbd`.
    Nbd,
}

/// `<driver>` of a file system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct FilesystemDriver {
    /// What makes it a file system.
    #[xml(attr = "type")]
    pub kind: Option<FilesystemDriverType>,
    /// Format of the image: `raw`, `qcow2`, …
    #[xml(attr)]
    pub format: Option<String>,
}

/// `<source>` of a file system; which attribute it has depends on the type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct FilesystemSource {
    /// A directory (`mount`, `bind`).
    #[xml(attr)]
    pub dir: Option<String>,
    /// An image (`file`).
    #[xml(attr)]
    pub file: Option<String>,
    /// A device node (`block`).
    #[xml(attr)]
    pub dev: Option<String>,
    /// A template (`template`).
    #[xml(attr)]
    pub name: Option<String>,
    /// How much memory (`ram`), in KiB after `normalize`.
    #[xml(attr)]
    pub usage: Option<u64>,
    /// Unit of `usage`; `KiB` after `normalize`.
    #[xml(attr)]
    pub units: Option<String>,
    /// A storage pool (`volume`).
    #[xml(attr)]
    pub pool: Option<String>,
    /// Its volume.
    #[xml(attr)]
    pub volume: Option<String>,
}

/// `<filesystem>`: one mount.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Filesystem {
    /// What is mounted.
    #[xml(attr = "type", default)]
    pub kind: FilesystemType,
    /// Whose rights count.
    #[xml(attr = "accessmode", default)]
    pub access: AccessMode,
    /// What makes it a file system.
    pub driver: Option<FilesystemDriver>,
    /// Where it comes from.
    pub source: Option<FilesystemSource>,
    /// Where the guest finds it.
    #[xml(child = "target", attr = "dir")]
    pub target: Option<String>,
    /// Can nothing be written?
    #[xml(flag)]
    pub readonly: bool,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
