//! What all virtio devices share.

use ferrovirt_model::domain::VirtioOptions;

use super::json::Object;

/// QEMU's device of a kind for a model: `virtio-blk-pci-transitional` for `virtio-transitional`.
pub(super) fn name(kind: &str, model: Option<&str>) -> String {
    let suffix = model
        .and_then(|model| model.strip_prefix("virtio"))
        .unwrap_or_default();
    format!("{kind}-pci{suffix}")
}

/// How a device speaks with the guest.
pub(super) fn options(options: Option<&VirtioOptions>) -> Object {
    let options = options.copied().unwrap_or_default();
    Object::default()
        .maybe_boolean("iommu_platform", options.iommu)
        .maybe_boolean("ats", options.ats)
        .maybe_boolean("packed", options.packed)
        .maybe_boolean("page-per-vq", options.page_per_vq)
}
