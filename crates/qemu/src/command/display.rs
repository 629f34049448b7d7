//! Displays: VNC, graphics cards, audio.

use ferrovirt_model::domain::{Graphics, ListenType};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context, escaped};
use crate::error::{Error, Result};

/// First port of VNC; QEMU counts from it.
pub(crate) const FIRST_PORT: i32 = 5900;

/// Where sound goes: nowhere.
pub(super) fn audio(context: &Context<'_>, args: &mut Arguments) {
    for audio in &context.doc.devices.audios {
        let object = Object::default()
            .text("id", &format!("audio{}", audio.id))
            .text("driver", "none");
        args.add("-audiodev", object.finish());
    }
}

/// VNC servers.
pub(super) fn servers(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    let graphics = &context.doc.devices.graphics;
    if graphics.len() > 1 {
        return Err(Error::unsupported(
            "only 1 graphics device of each type (sdl, vnc, spice, headless, dbus, rdp) is supported",
        ));
    }
    let Some(graphics) = graphics.first() else {
        return Ok(());
    };
    let mut text = address(graphics)?;
    if graphics.passwd.is_some() {
        text += ",password=on";
    }
    if let Some(audio) = context.doc.devices.audios.first() {
        text += &format!(",audiodev=audio{}", audio.id);
    }
    args.add("-vnc", text);
    if let Some(keymap) = &graphics.keymap {
        args.add("-k", keymap.clone());
    }
    Ok(())
}

fn address(graphics: &Graphics) -> Result<String> {
    let listen = graphics.listens.first();
    match listen.map_or(ListenType::Address, |listen| listen.kind) {
        ListenType::None => Ok("none".to_owned()),
        ListenType::Socket => {
            let path = listen.and_then(|listen| listen.socket.as_deref());
            let path = path.ok_or_else(|| Error::Xml("VNC socket has no path".to_owned()))?;
            Ok(format!("vnc=unix:{}", escaped(path)))
        }
        ListenType::Address => {
            let host = listen
                .and_then(|listen| listen.address.as_deref())
                .or(graphics.listen.as_deref());
            let host = host.unwrap_or("127.0.0.1");
            // Without a port yet, the first: what is shown to who asks for the command line only.
            let port = graphics
                .port
                .filter(|port| *port >= FIRST_PORT)
                .unwrap_or(FIRST_PORT);
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                escaped(host)
            };
            Ok(format!("{host}:{}", port - FIRST_PORT))
        }
    }
}

/// Graphics cards.
pub(super) fn videos(context: &Context<'_>, args: &mut Arguments) {
    for video in &context.doc.devices.videos {
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
            "bochs" => Object::driver("bochs-display")
                .text("id", id)
                .maybe_number("vgamem", model.vram.map(|kib| i64::from(kib) * 1024)),
            "virtio" => Object::driver(if primary { "virtio-vga" } else { "virtio-gpu-pci" })
                .text("id", id)
                .maybe_number("max_outputs", model.heads),
            _ => continue,
        };
        args.device(object.append(&place(context.doc, &video.info)));
    }
}
