//! Graphics cards: which models there are, the one that shows the boot, memory.

use ferrovirt_model::domain::{Domain, MemorySource, Video, VideoBackend, VideoModel};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};

/// Models we place and start, with QEMU's device for the card that shows the boot.
pub(crate) fn device_of(model: &str) -> Option<&'static str> {
    Some(match model {
        "vga" => "VGA",
        "cirrus" => "cirrus-vga",
        "bochs" => "bochs-display",
        "virtio" => "virtio-gpu-pci",
        "vmvga" => "vmware-svga",
        "qxl" => "qxl-vga",
        "ramfb" => "ramfb",
        _ => return None,
    })
}

/// Settles `<video>`.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    let source = doc.memory_backing.as_ref().and_then(|backing| backing.source);
    let memfd = source == Some(MemorySource::Memfd);
    let videos = &mut doc.devices.videos;
    let several = videos.len() > 1;
    // With none marked, the first one shows the boot.
    let primary = videos
        .iter()
        .position(|video| video.model.primary == Some(true))
        .unwrap_or(0);
    for (at, video) in videos.iter_mut().enumerate() {
        let default = if emulator.has("cirrus-vga") {
            "cirrus"
        } else {
            "vga"
        };
        let model = &mut video.model;
        if model.kind.is_empty() || model.kind == "default" {
            model.kind = default.to_owned();
        }
        if model.kind == "none" {
            if several {
                return Err(Error::unsupported(
                    "a 'none' video type must be the only video device defined for the domain",
                ));
            }
            continue;
        }
        check(video, emulator)?;
        if video.model.blob == Some(true) && !memfd {
            return Err(Error::unsupported(
                "'blob' support for virtio-gpu devices requires a memfd memory backend",
            ));
        }
        let model = &mut video.model;
        if at == primary {
            model.primary = Some(true);
        } else if !matches!(model.kind.as_str(), "virtio" | "qxl") {
            return Err(Error::unsupported(format!(
                "video type '{}' is only valid as primary video device",
                model.kind
            )));
        }
        memory(model);
        model.heads.get_or_insert(1);
    }
    Ok(())
}

fn memory(model: &mut VideoModel) {
    match model.kind.as_str() {
        "virtio" | "ramfb" => {}
        "qxl" => {
            for (size, least, usual) in [
                (&mut model.ram, 0, 65536),
                (&mut model.vram, 1024, 65536),
                (&mut model.vgamem, 1024, 16384),
            ] {
                let wanted = (*size).filter(|size| *size > 0).unwrap_or(usual);
                *size = Some(wanted.max(least).checked_next_power_of_two().unwrap_or(wanted));
            }
            // The framebuffer is in the first bar, beside as much again.
            if let (Some(ram), Some(vgamem)) = (&mut model.ram, model.vgamem) {
                *ram = (*ram).max(vgamem.saturating_mul(2));
            }
        }
        _ => {
            model.vram.get_or_insert(16384);
        }
    }
}

/// What only some models have.
fn check(video: &Video, emulator: &Emulator) -> Result<()> {
    let model = &video.model;
    let kind = model.kind.as_str();
    let refused = |text: String| Err(Error::unsupported(text));
    if !device_of(kind).is_some_and(|device| emulator.has(device)) {
        return refused(format!(
            "domain configuration does not support video model '{kind}'"
        ));
    }
    if kind == "ramfb" && video.info.address.is_some() {
        return refused("address not supported for video type ramfb".to_owned());
    }
    let memory = [
        ("ram", model.ram.is_some(), kind == "qxl"),
        ("vram64", model.vram64.is_some(), kind == "qxl"),
        ("vgamem", model.vgamem.is_some(), kind == "qxl"),
        ("blob", model.blob.is_some(), kind == "virtio"),
        (
            "driver",
            video
                .driver
                .as_ref()
                .is_some_and(|driver| !driver.virtio.is_empty()),
            kind == "virtio",
        ),
        ("acceleration", model.acceleration.is_some(), kind == "virtio"),
        (
            "resolution",
            model.resolution.is_some(),
            matches!(kind, "vga" | "bochs" | "qxl" | "virtio"),
        ),
    ];
    if let Some((name, ..)) = memory.iter().find(|(_, there, fits)| *there && !fits) {
        return refused(format!("'{name}' is not supported for video model '{kind}'"));
    }
    if matches!(kind, "vga" | "bochs" | "vmvga") && model.vram.is_some_and(|vram| vram < 1024) {
        return refused("value for 'vram' must be at least 1 MiB (1024 KiB)".to_owned());
    }
    if model.heads.is_some_and(|heads| heads > 1) && !matches!(kind, "virtio" | "qxl") {
        return refused(format!("video type '{kind}' doesn't support multiple 'heads'"));
    }
    if model
        .resolution
        .as_ref()
        .is_some_and(|size| size.x == 0 || size.y == 0)
    {
        return refused("video resolution values must be greater than 0".to_owned());
    }
    let driver = video.driver.clone().unwrap_or_default();
    if driver.vga_conf.is_some() {
        return refused("attribute 'vgaconf' of a video driver is not supported".to_owned());
    }
    if driver.name == Some(VideoBackend::VhostUser) {
        return refused("video driver name 'vhostuser' is not supported".to_owned());
    }
    let Some(acceleration) = &model.acceleration else {
        return Ok(());
    };
    if acceleration.accel2d == Some(true) {
        return refused("qemu does not support the accel2d setting".to_owned());
    }
    if acceleration.rendernode.is_some() {
        return refused("unsupported rendernode accel attribute without 'vhostuser'".to_owned());
    }
    if acceleration.accel3d == Some(true)
        && !emulator.has("virtio-vga-gl")
        && !emulator.has("virtio-gpu-gl-pci")
    {
        return refused("3d acceleration is not supported by this QEMU binary".to_owned());
    }
    Ok(())
}
