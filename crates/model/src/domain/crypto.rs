//! `<crypto>`: a device that encrypts for the guest.

use super::address::DeviceInfo;
use super::virtio_options::VirtioOptions;
use ferrovirt_xml::{Rest, Xml};

/// What the guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CryptoModel {
    /// virtio.
    Virtio,
}

/// How the guest speaks with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CryptoType {
    /// In QEMU's way.
    Qemu,
}

/// Who encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CryptoBackendModel {
    /// The hypervisor.
    Builtin,
}

/// `<backend>` of a crypto device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct CryptoBackend {
    /// Who encrypts.
    #[xml(attr)]
    pub model: CryptoBackendModel,
    /// Number of queues.
    #[xml(attr)]
    pub queues: Option<u32>,
}

/// `<crypto>`.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Crypto {
    /// What the guest sees.
    #[xml(attr)]
    pub model: CryptoModel,
    /// How it speaks.
    #[xml(attr = "type")]
    pub kind: CryptoType,
    /// Who encrypts.
    pub backend: CryptoBackend,
    /// How it speaks virtio.
    pub driver: Option<VirtioOptions>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
