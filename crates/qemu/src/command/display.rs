//! Displays: VNC servers, windows, D-Bus, and a GPU of the host that draws for others.

use ferrovirt_model::domain::{Connected, Domain, Graphics, GraphicsType, ListenType};

use super::audio::used;
use super::{Arguments, Context, escaped};
use crate::error::{Error, Result};

/// First port of VNC; QEMU counts from it.
pub(crate) const FIRST_PORT: i32 = 5900;

/// All displays.
pub(super) fn all(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    let displays = &context.doc.devices.graphics;
    for (at, graphics) in displays.iter().enumerate() {
        if displays[..at].iter().any(|other| other.kind == graphics.kind) {
            return Err(Error::unsupported(
                "only 1 graphics device of each type (sdl, vnc, spice, headless, dbus, rdp) is supported",
            ));
        }
        if graphics.listens.len() > 1 {
            return Err(Error::unsupported(
                "QEMU does not support multiple listens for one graphics device.",
            ));
        }
        match graphics.kind {
            GraphicsType::Vnc => vnc(context, graphics, args)?,
            GraphicsType::Sdl => sdl(graphics, args),
            GraphicsType::EglHeadless => egl_headless(graphics, args),
            GraphicsType::Dbus => dbus(context.doc, graphics, args),
            // Refused when a guest is defined.
            kind @ (GraphicsType::Spice | GraphicsType::Rdp | GraphicsType::Desktop) => {
                return Err(Error::unsupported(format!("unsupported graphics type '{kind}'")));
            }
        }
    }
    Ok(())
}

fn vnc(context: &Context<'_>, graphics: &Graphics, args: &mut Arguments) -> Result<()> {
    let mut text = address(context, graphics)?;
    if let Some(port) = graphics.websocket {
        text += &format!(",websocket={port}");
    }
    if let Some(policy) = graphics.share_policy {
        text += &format!(",share={policy}");
    }
    if graphics.passwd.is_some() {
        text += ",password=on";
    }
    if let Some(allowed) = graphics.power_control {
        text += if allowed {
            ",power-control=on"
        } else {
            ",power-control=off"
        };
    }
    if let Some(audio) = used(context.doc, graphics.audio.as_ref()) {
        text += &format!(",audiodev={audio}");
    }
    args.add("-vnc", text);
    if let Some(keymap) = &graphics.keymap {
        args.add("-k", keymap.clone());
    }
    Ok(())
}

fn address(context: &Context<'_>, graphics: &Graphics) -> Result<String> {
    let listen = graphics.listens.first();
    match listen.map_or(ListenType::Address, |listen| listen.kind) {
        ListenType::None => Ok("none".to_owned()),
        ListenType::Socket => {
            let path = listen.and_then(|listen| listen.socket.clone());
            let own = || context.given.guest_dir.join("vnc.sock").display().to_string();
            Ok(format!("vnc=unix:{}", escaped(&path.unwrap_or_else(own))))
        }
        ListenType::Network => Err(Error::unsupported("listen type 'network' is not supported")),
        ListenType::Address => {
            let host = listen
                .and_then(|listen| listen.address.as_deref())
                .or(graphics.listen.as_deref());
            let host = host.unwrap_or("127.0.0.1");
            // Without a port yet, the first: what is shown to who asks for the command line only.
            let port = match (graphics.autoport, graphics.port) {
                (Some(true), port) => port.filter(|port| *port >= FIRST_PORT).unwrap_or(FIRST_PORT),
                (_, Some(port)) if (FIRST_PORT..=65535).contains(&port) => port,
                _ => return Err(Error::unsupported("vnc port must be in range [5900,65535]")),
            };
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                escaped(host)
            };
            Ok(format!("{host}:{}", port - FIRST_PORT))
        }
    }
}

fn sdl(graphics: &Graphics, args: &mut Arguments) {
    if graphics.fullscreen == Some(true) {
        args.flag("-full-screen");
    }
    args.add("-display", format!("sdl{}", gl(graphics)));
}

fn gl(graphics: &Graphics) -> &'static str {
    match graphics.gl.as_ref().and_then(|gl| gl.enable) {
        Some(true) => ",gl=on",
        Some(false) => ",gl=off",
        None => "",
    }
}

/// `,rendernode=…`
fn node(graphics: &Graphics) -> String {
    let node = graphics.gl.as_ref().and_then(|gl| gl.rendernode.as_deref());
    node.map_or_else(String::new, |node| format!(",rendernode={}", escaped(node)))
}

fn egl_headless(graphics: &Graphics, args: &mut Arguments) {
    args.add("-display", format!("egl-headless{}", node(graphics)));
}

fn dbus(doc: &Domain, graphics: &Graphics, args: &mut Arguments) {
    let mut text = "dbus".to_owned();
    if graphics.p2p == Some(true) {
        text += ",p2p=on";
    }
    if let Some(address) = &graphics.address {
        text += &format!(",addr={}", escaped(address));
    }
    text += gl(graphics);
    text += &node(graphics);
    if let Some(audio) = graphics.audio.as_ref().and_then(|audio| used(doc, Some(audio))) {
        text += &format!(",audiodev={audio}");
    }
    args.add("-display", text);
}

/// What a window needs to find its screen.
pub(super) fn environment(doc: &Domain) -> Vec<(String, String)> {
    let windows = doc.devices.graphics.iter();
    let variables = windows.flat_map(|window| {
        let cookies = window.xauth.clone().map(|path| ("XAUTHORITY", path));
        let display = window.display.clone().map(|display| ("DISPLAY", display));
        cookies.into_iter().chain(display)
    });
    variables.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// QEMU's word for what a new password does to a client.
pub(crate) fn connected(graphics: &Graphics) -> Option<&'static str> {
    graphics.connected.map(|connected| match connected {
        Connected::Keep => "keep",
        Connected::Disconnect => "disconnect",
        Connected::Fail => "fail",
    })
}
