//! What all virtio devices can be told about how they speak with the guest.

use ferrovirt_xml::Xml;
use ferrovirt_xml::values::on_off;

/// Attributes of `<driver>` that all virtio devices share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct VirtioOptions {
    /// Does the device go through the guest's IOMMU?
    #[xml(attr, with = "on_off")]
    pub iommu: Option<bool>,
    /// Has it an address translation service?
    #[xml(attr, with = "on_off")]
    pub ats: Option<bool>,
    /// Are its queues of the packed kind?
    #[xml(attr, with = "on_off")]
    pub packed: Option<bool>,
    /// Has each queue a page of its own?
    #[xml(attr, with = "on_off")]
    pub page_per_vq: Option<bool>,
}

impl VirtioOptions {
    /// Is nothing said?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
