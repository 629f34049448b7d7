//! `<filesystem>`: what a container finds at a path.

use super::address::DeviceInfo;
use super::virtio_options::VirtioOptions;
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

/// How a guest sees a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum FilesystemModel {
    /// virtio.
    Virtio,
    /// virtio, of both kinds.
    VirtioTransitional,
    /// virtio, of the new kind only.
    VirtioNonTransitional,
}

/// What happens where several file systems of the host meet in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum Multidevs {
    /// As the hypervisor likes.
    Default,
    /// Numbers of files are made different.
    Remap,
    /// Files of others are not shown.
    Forbid,
    /// The user is warned.
    Warn,
}

/// When written data are on the host's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum WritePolicy {
    /// As the hypervisor likes.
    Default,
    /// At once.
    Immediate,
}

/// Access rights in octal, as libvirt writes them.
mod octal {
    /// Reads them.
    pub fn parse(text: &str) -> Result<u32, String> {
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
            .ok_or_else(|| format!("'{text}' is not a file mode"))
    }

    /// Writes them.
    pub fn format(mode: &u32) -> String {
        format!("{mode:04o}")
    }
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
    /// When written data are on the host's disk.
    #[xml(attr = "wrpolicy")]
    pub write_policy: Option<WritePolicy>,
    /// How the device speaks virtio.
    #[xml(flatten)]
    pub virtio: VirtioOptions,
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
    /// How the guest sees it.
    #[xml(attr)]
    pub model: Option<FilesystemModel>,
    /// What happens where several file systems of the host meet in it.
    #[xml(attr)]
    pub multidevs: Option<Multidevs>,
    /// Access rights of new files.
    #[xml(attr, with = "octal")]
    pub fmode: Option<u32>,
    /// Access rights of new directories.
    #[xml(attr, with = "octal")]
    pub dmode: Option<u32>,
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
