//! `<capability type='storage'>`: a disk.

use ferrovirt_xml::Xml;

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct StorageCapability {
    /// Its node.
    pub block: String,
    /// What it is plugged into, as udev calls it.
    pub bus: Option<String>,
    /// `disk`, `cdrom`, `floppy`, `sd` …
    #[xml(name = "drive_type")]
    pub drive_type: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its maker.
    pub vendor: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// What else it is.
    #[xml(name = "capability")]
    pub extra: Vec<StorageExtra>,
    /// Bytes; not of a drive whose medium can be taken out.
    pub size: Option<u64>,
    /// Bytes of a block.
    #[xml(name = "logical_block_size")]
    pub block_size: Option<u64>,
    /// Blocks.
    #[xml(name = "num_blocks")]
    pub blocks: Option<u64>,
}

/// What a disk can be besides.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
#[xml(tag = "type")]
pub enum StorageExtra {
    /// Its medium can be taken out.
    Removable(Removable),
    /// It can be unplugged.
    Hotpluggable(Nothing),
}

/// Nothing more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct Nothing {}

/// `<capability type='removable'>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Removable {
    /// 1 with a medium in it, 0 without.
    #[xml(name = "media_available")]
    pub available: u8,
    /// Bytes of the medium.
    #[xml(name = "media_size")]
    pub size: Option<u64>,
    /// What it is called.
    #[xml(name = "media_label")]
    pub label: Option<String>,
    /// Bytes of a block.
    #[xml(name = "logical_block_size")]
    pub block_size: Option<u64>,
    /// Blocks.
    #[xml(name = "num_blocks")]
    pub blocks: Option<u64>,
}
