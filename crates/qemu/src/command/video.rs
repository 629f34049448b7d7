//! Graphics cards.

use ferrovirt_model::domain::{Video, VideoModel};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context, virtio_options};

/// All cards.
pub(super) fn all(context: &Context<'_>, args: &mut Arguments) {
    for video in &context.doc.devices.videos {
        if let Some(object) = one(video) {
            args.device(object.append(&place(context.doc, &video.info)));
        }
    }
}

fn one(video: &Video) -> Option<Object> {
    let model = &video.model;
    let primary = model.primary == Some(true);
    let id = alias(&video.info);
    let mib = model.vram.map(|kib| kib / 1024);
    let object = match model.kind.as_str() {
        "vga" => Object::driver("VGA")
            .text("id", id)
            .maybe_number("vgamem_mb", mib),
        "vmvga" => Object::driver("vmware-svga")
            .text("id", id)
            .maybe_number("vgamem_mb", mib),
        "cirrus" => Object::driver("cirrus-vga").text("id", id),
        "ramfb" => Object::driver("ramfb").text("id", id),
        "bochs" => Object::driver("bochs-display")
            .text("id", id)
            .maybe_number("vgamem", model.vram.map(|kib| i64::from(kib) * 1024)),
        "qxl" => qxl(model, id),
        "virtio" => {
            let options = video.driver.as_ref().map(|driver| &driver.virtio);
            virtio_options(Object::driver(virtio_device(model, primary)), options)
                .text("id", id)
                .maybe_number("max_outputs", model.heads)
                .maybe_boolean("blob", model.blob)
        }
        _ => return None,
    };
    Some(match &model.resolution {
        Some(size) => object.number("xres", size.x).number("yres", size.y),
        None => object,
    })
}

fn virtio_device(model: &VideoModel, primary: bool) -> &'static str {
    let gpu = model
        .acceleration
        .as_ref()
        .and_then(|acceleration| acceleration.accel3d)
        == Some(true);
    match (primary, gpu) {
        (true, true) => "virtio-vga-gl",
        (true, false) => "virtio-vga",
        (false, true) => "virtio-gpu-gl-pci",
        (false, false) => "virtio-gpu-pci",
    }
}

fn qxl(model: &VideoModel, id: &str) -> Object {
    let driver = if model.primary == Some(true) {
        "qxl-vga"
    } else {
        "qxl"
    };
    Object::driver(driver)
        .text("id", id)
        .maybe_number("max_outputs", model.heads)
        .maybe_number("ram_size", model.ram.map(|kib| i64::from(kib) * 1024))
        .maybe_number("vram_size", model.vram.map(|kib| i64::from(kib) * 1024))
        .maybe_number("vram64_size_mb", model.vram64.map(|kib| kib / 1024))
        .maybe_number("vgamem_mb", model.vgamem.map(|kib| kib / 1024))
}
