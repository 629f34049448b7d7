//! `<vsock>`: sockets between host and guest.

use super::address::DeviceInfo;
use super::virtio_options::VirtioOptions;
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Rest, Xml};

/// `<cid>`: the guest's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct VsockCid {
    /// Is it chosen at each start?
    #[xml(attr, with = "yes_no")]
    pub auto: Option<bool>,
    /// The address, from 3.
    #[xml(attr)]
    pub address: Option<u32>,
}

/// `<vsock>`.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Vsock {
    /// What the guest sees: `virtio`, `virtio-transitional`, `virtio-non-transitional`.
    #[xml(attr)]
    pub model: Option<String>,
    /// The guest's address.
    pub cid: Option<VsockCid>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// How it speaks virtio.
    pub driver: Option<VirtioOptions>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
