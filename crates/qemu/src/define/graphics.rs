//! Displays: VNC servers, graphics cards, input devices, audio.

use ferrovirt_model::domain::{
    Audio, Domain, Graphics, Input, InputBus, InputType, Listen, ListenType, Video, VideoModel,
};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};

/// Settles `<graphics>`, `<video>`, `<input>`, `<audio>`.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    for graphics in &mut doc.devices.graphics {
        server(graphics);
    }
    inputs(doc)?;
    if doc.devices.audios.is_empty() {
        doc.devices.audios.push(Audio {
            id: 1,
            ..Audio::default()
        });
    }
    if !doc.devices.graphics.is_empty() && doc.devices.videos.is_empty() {
        doc.devices.videos.push(Video::default());
    }
    videos(&mut doc.devices.videos, emulator)
}

fn server(graphics: &mut Graphics) {
    if graphics.listens.is_empty() {
        graphics.listens.push(Listen {
            kind: ListenType::Address,
            address: graphics.listen.clone(),
            socket: None,
        });
    }
    if graphics.listens[0].kind == ListenType::Address {
        let auto = match (graphics.autoport, graphics.port) {
            (Some(auto), _) => auto,
            (None, Some(port)) => port <= 0,
            (None, None) => true,
        };
        graphics.autoport = Some(auto);
        if auto && graphics.port.is_none_or(|port| port <= 0) {
            graphics.port = Some(-1);
        }
        if graphics.listen.is_none() {
            graphics.listen = graphics.listens[0].address.clone();
        }
    }
}

fn inputs(doc: &mut Domain) -> Result<()> {
    let ps2 = super::features::has_ps2(doc);
    let inputs = &mut doc.devices.inputs;
    for input in inputs.iter_mut() {
        let bus = *input.bus.get_or_insert(match input.kind {
            InputType::Tablet => InputBus::Usb,
            _ => InputBus::Ps2,
        });
        if input.kind == InputType::Tablet && bus == InputBus::Ps2 {
            return Err(Error::unsupported("ps2 bus does not support tablet input device"));
        }
    }
    for kind in [InputType::Mouse, InputType::Keyboard] {
        if ps2
            && !inputs
                .iter()
                .any(|input| input.kind == kind && input.bus == Some(InputBus::Ps2))
        {
            inputs.push(Input::new(kind, InputBus::Ps2));
        }
    }
    Ok(())
}

/// Models we place and start, with QEMU's device for the card that shows the boot.
fn device_of(model: &str) -> Option<&'static str> {
    Some(match model {
        "vga" => "VGA",
        "cirrus" => "cirrus-vga",
        "bochs" => "bochs-display",
        "virtio" => "virtio-gpu-pci",
        "vmvga" => "vmware-svga",
        _ => return None,
    })
}

fn videos(videos: &mut [Video], emulator: &Emulator) -> Result<()> {
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
        let model: &mut VideoModel = &mut video.model;
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
        let known = device_of(&model.kind).is_some_and(|device| emulator.has(device));
        if !known {
            return Err(Error::unsupported(format!(
                "domain configuration does not support video model '{}'",
                model.kind
            )));
        }
        if at == primary {
            model.primary = Some(true);
        } else if model.kind != "virtio" {
            return Err(Error::unsupported(format!(
                "video type '{}' is only valid as primary video device",
                model.kind
            )));
        }
        if model.kind != "virtio" {
            model.vram.get_or_insert(16384);
        }
        model.heads.get_or_insert(1);
    }
    Ok(())
}
