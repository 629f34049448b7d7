//! Memory that guests and host share.

use ferrovirt_model::domain::{Shmem, ShmemModel, ShmemRole};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context, escaped};

/// All of it.
pub(super) fn all(context: &Context<'_>, args: &mut Arguments) {
    for shmem in &context.doc.devices.shmems {
        let at = place(context.doc, &shmem.info);
        match shmem.model.unwrap_or_default() {
            ShmemModel::IvshmemDoorbell => doorbell(shmem, &at, args),
            // The first model is refused when a guest is defined.
            ShmemModel::IvshmemPlain | ShmemModel::Ivshmem => plain(shmem, &at, args),
        }
    }
}

fn plain(shmem: &Shmem, at: &Object, args: &mut Arguments) {
    let id = alias(&shmem.info);
    let memory = format!("shmmem-{id}");
    let size = shmem
        .size
        .map(|size| i64::try_from(size.0.bytes()).unwrap_or(i64::MAX));
    let object = Object::default()
        .text("qom-type", "memory-backend-file")
        .text("id", &memory)
        .text("mem-path", &format!("/dev/shm/{}", shmem.name))
        .maybe_number("size", size)
        .boolean("share", true);
    args.add("-object", object.finish());
    let role = shmem.role.map(|role| match role {
        ShmemRole::Master => "on",
        ShmemRole::Peer => "off",
    });
    let device = Object::driver("ivshmem-plain")
        .text("id", id)
        .text("memdev", &memory)
        .maybe_text("master", role);
    args.device(device.append(at));
}

fn doorbell(shmem: &Shmem, at: &Object, args: &mut Arguments) {
    let id = alias(&shmem.info);
    let msi = shmem.msi.clone().unwrap_or_default();
    let device = Object::driver("ivshmem-doorbell")
        .text("id", id)
        .text("chardev", &format!("char{id}"))
        .maybe_number("vectors", msi.vectors)
        .maybe_boolean("ioeventfd", msi.ioeventfd);
    args.device(device.append(at));
    let path = shmem.server.as_ref().and_then(|server| server.path.clone());
    let path = path.unwrap_or_else(|| format!("/var/lib/libvirt/shmem-{}-sock", shmem.name));
    args.add("-chardev", format!("socket,id=char{id},path={}", escaped(&path)));
}
