//! IOMMU, hubs, file systems, vsock, crypto devices, pstore.

use ferrovirt_model::domain::{AccessMode, IommuModel, Limits, WritePolicy};

use super::json::Object;
use super::place::{alias, place};
use super::virtio::{name, options};
use super::{Arguments, Context, escaped};

/// The IOMMU.
pub(super) fn iommus(context: &Context<'_>, args: &mut Arguments) {
    let on_off = |on: Option<bool>| on.map(|on| if on { "on" } else { "off" });
    for iommu in &context.doc.devices.iommus {
        let driver = iommu.driver.unwrap_or_default();
        let object = match iommu.model {
            IommuModel::Intel => Object::driver("intel-iommu")
                .text("id", alias(&iommu.info))
                .maybe_text("intremap", on_off(driver.intremap))
                .maybe_boolean("caching-mode", driver.caching_mode)
                .maybe_text("eim", on_off(driver.eim))
                .maybe_boolean("device-iotlb", driver.iotlb)
                .maybe_number("aw-bits", driver.aw_bits)
                .maybe_boolean("dma-translation", driver.dma_translation),
            IommuModel::Virtio => Object::driver("virtio-iommu").text("id", alias(&iommu.info)),
        };
        args.device(object.append(&place(context.doc, &iommu.info)));
    }
}

/// Hubs.
pub(super) fn hubs(context: &Context<'_>, args: &mut Arguments) {
    for hub in &context.doc.devices.hubs {
        let object = Object::driver("usb-hub").text("id", alias(&hub.info));
        args.device(object.append(&place(context.doc, &hub.info)));
    }
}

/// File systems that the guest mounts by a tag.
pub(super) fn filesystems(context: &Context<'_>, args: &mut Arguments) {
    for mount in &context.doc.devices.filesystems {
        let id = alias(&mount.info);
        let driver = mount.driver.clone().unwrap_or_default();
        let security = match mount.access {
            AccessMode::Passthrough => "passthrough",
            AccessMode::Mapped => "mapped",
            AccessMode::Squash => "none",
        };
        let mut text = format!("local,security_model={security}");
        if let Some(multidevs) = mount.multidevs {
            text.push_str(&format!(",multidevs={multidevs}"));
        }
        for (name, mode) in [("fmode", mount.fmode), ("dmode", mount.dmode)] {
            if let Some(mode) = mode {
                text.push_str(&format!(",{name}={mode:04o}"));
            }
        }
        if driver.write_policy == Some(WritePolicy::Immediate) {
            text.push_str(",writeout=immediate");
        }
        let dir = mount
            .source
            .as_ref()
            .and_then(|source| source.dir.as_deref())
            .unwrap_or_default();
        text.push_str(&format!(",id=fsdev-{id},path={}", escaped(dir)));
        if mount.readonly {
            text.push_str(",readonly");
        }
        args.add("-fsdev", text);
        let model = mount.model.map(|model| model.as_str());
        let object = Object::driver(&name("virtio-9p", model))
            .append(&options(Some(&driver.virtio)))
            .text("id", id)
            .text("fsdev", &format!("fsdev-{id}"))
            .text("mount_tag", mount.target.as_deref().unwrap_or_default());
        args.device(object.append(&place(context.doc, &mount.info)));
    }
}

/// Sockets between host and guest.
pub(super) fn vsocks(context: &Context<'_>, args: &mut Arguments) {
    for vsock in &context.doc.devices.vsocks {
        let id = alias(&vsock.info);
        let descriptor = context.given.of(id).unwrap_or(-1).to_string();
        let address = vsock.cid.and_then(|cid| cid.address).unwrap_or(0);
        let object = Object::driver(&name("vhost-vsock", vsock.model.as_deref()))
            .append(&options(vsock.driver.as_ref()))
            .text("id", id)
            .number("guest-cid", address)
            .text("vhostfd", &descriptor);
        args.device(object.append(&place(context.doc, &vsock.info)));
    }
}

/// Devices that encrypt.
pub(super) fn cryptos(context: &Context<'_>, args: &mut Arguments) {
    for crypto in &context.doc.devices.cryptos {
        let id = alias(&crypto.info);
        let backend = format!("obj{id}");
        let queues = crypto.backend.queues.filter(|queues| *queues > 1);
        let object = Object::default()
            .text("qom-type", "cryptodev-backend-builtin")
            .text("id", &backend)
            .maybe_number("queues", queues);
        args.add("-object", object.finish());
        let device = Object::driver("virtio-crypto-pci")
            .append(&options(crypto.driver.as_ref()))
            .text("cryptodev", &backend)
            .text("id", id);
        args.device(device.append(&place(context.doc, &crypto.info)));
    }
}

/// Where the guest's kernel keeps its last words.
pub(super) fn pstores(context: &Context<'_>, args: &mut Arguments) {
    for store in &context.doc.devices.pstores {
        let id = alias(&store.info);
        let memory = format!("mem{id}");
        let object = Object::default()
            .text("qom-type", "memory-backend-file")
            .text("id", &memory)
            .text("mem-path", store.path.as_deref().unwrap_or_default())
            .unsigned("size", store.size.unwrap_or_default().bytes())
            .boolean("share", true);
        args.add("-object", object.finish());
        let device = Object::driver("acpi-erst").text("id", id).text("memdev", &memory);
        args.device(device.append(&place(context.doc, &store.info)));
    }
}

/// Limits that disks share.
pub(super) fn throttle_groups(context: &Context<'_>, args: &mut Arguments) {
    for group in &context.doc.throttle_groups {
        if !group.has_any() {
            continue;
        }
        let mut limits = Object::default();
        for (name, value) in group.all() {
            if value > 0 || !name.ends_with("_length") {
                limits = limits.unsigned(&limit(name), value);
            }
        }
        let object = Object::default()
            .text("qom-type", "throttle-group")
            .text(
                "id",
                &format!("throttle-{}", group.group_name.as_deref().unwrap_or_default()),
            )
            .object("limits", &limits);
        args.add("-object", object.finish());
    }
}

/// QEMU's name of a limit: `bps-read-max` for `read_bytes_sec_max`.
fn limit(name: &str) -> String {
    if name == "size_iops_sec" {
        return "iops-size".to_owned();
    }
    let (which, rest) = name.split_once('_').unwrap_or((name, ""));
    let (what, rest) = rest.split_once("_sec").unwrap_or((rest, ""));
    let what = if what == "bytes" { "bps" } else { what };
    format!("{what}-{which}{}", rest.replace('_', "-"))
}
