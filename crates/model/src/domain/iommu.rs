//! `<iommu>`: what stands between devices and the guest's memory.

use super::address::DeviceInfo;
use ferrovirt_xml::values::on_off;
use ferrovirt_xml::{Rest, Xml};

/// What the guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum IommuModel {
    /// Intel's.
    Intel,
    /// virtio.
    Virtio,
}

/// `<driver>` of an IOMMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct IommuDriver {
    /// Are interrupts mapped, too?
    #[xml(attr, with = "on_off")]
    pub intremap: Option<bool>,
    /// Does it tell the hypervisor of each new mapping?
    #[xml(attr, with = "on_off")]
    pub caching_mode: Option<bool>,
    /// Extended interrupt mode (x2APIC).
    #[xml(attr, with = "on_off")]
    pub eim: Option<bool>,
    /// Do devices cache translations?
    #[xml(attr, with = "on_off")]
    pub iotlb: Option<bool>,
    /// Bits of an address.
    #[xml(attr)]
    pub aw_bits: Option<u32>,
    /// Is memory mapped at all?
    #[xml(attr, with = "on_off")]
    pub dma_translation: Option<bool>,
}

/// `<iommu>`.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Iommu {
    /// What the guest sees.
    #[xml(attr)]
    pub model: IommuModel,
    /// What it can.
    pub driver: Option<IommuDriver>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
