//! Graphics and video: what libvirt fills in.

use super::{inconsistent, unsupported};
use crate::domain::{Graphics, GraphicsGl, GraphicsType, Listen, ListenType, Video, VideoModel};
use ferrovirt_xml::XmlError;

/// Completes a display: where it listens, and whether its port is chosen at the start.
pub(super) fn normalize_graphics(graphics: &mut Graphics) -> Result<(), XmlError> {
    check_parts(graphics)?;
    if graphics.kind == GraphicsType::Sdl && graphics.gl.as_ref().is_some_and(|gl| gl.enable.is_none()) {
        return Err(inconsistent(
            "Missing required attribute 'enable' in element 'gl'",
        ));
    }
    graphics.gl.take_if(|gl| *gl == GraphicsGl::default());
    graphics.audio.take_if(|audio| audio.id == 0);
    graphics.fullscreen.take_if(|whole| !*whole);
    graphics.p2p.take_if(|p2p| !*p2p);
    if graphics.passwd.is_none() {
        // They say something of a password only.
        (graphics.passwd_valid_to, graphics.connected) = (None, None);
    }
    if !graphics.is_server() {
        return Ok(());
    }
    listens(graphics)?;
    if graphics.listens[0].kind == ListenType::None || graphics.listens[0].kind == ListenType::Socket {
        (graphics.port, graphics.autoport, graphics.websocket) = (None, None, None);
    } else {
        let auto = graphics.port.is_none_or(|port| port == -1);
        if *graphics.autoport.get_or_insert(auto) {
            graphics.port = Some(graphics.port.filter(|port| *port > 0).unwrap_or(-1));
        } else {
            graphics.port.take_if(|port| matches!(port, -1 | 0));
        }
    }
    graphics.websocket.take_if(|port| *port == 0);
    Ok(())
}

/// What each kind has besides.
fn check_parts(graphics: &Graphics) -> Result<(), XmlError> {
    use GraphicsType::{Dbus, EglHeadless, Rdp, Sdl, Spice, Vnc};
    let (kind, given) = (graphics.kind, Option::is_some);
    let servers: &[GraphicsType] = &[Vnc, Rdp, Spice];
    let parts: [(&str, bool, &[GraphicsType]); 18] = [
        ("socket", given(&graphics.socket), &[Vnc]),
        ("port", graphics.port.is_some(), servers),
        ("autoport", graphics.autoport.is_some(), servers),
        ("websocket", graphics.websocket.is_some(), &[Vnc]),
        (
            "listen",
            given(&graphics.listen) || !graphics.listens.is_empty(),
            servers,
        ),
        ("keymap", given(&graphics.keymap), &[Vnc, Spice]),
        ("sharePolicy", graphics.share_policy.is_some(), &[Vnc]),
        ("passwd", given(&graphics.passwd), &[Vnc, Spice]),
        ("passwdValidTo", given(&graphics.passwd_valid_to), &[Vnc, Spice]),
        ("connected", graphics.connected.is_some(), &[Vnc, Spice]),
        ("powerControl", graphics.power_control.is_some(), &[Vnc]),
        ("display", given(&graphics.display), &[Sdl]),
        ("xauth", given(&graphics.xauth), &[Sdl]),
        ("fullscreen", graphics.fullscreen.is_some(), &[Sdl]),
        ("p2p", graphics.p2p.is_some(), &[Dbus]),
        ("address", given(&graphics.address), &[Dbus]),
        ("gl", graphics.gl.is_some(), &[Sdl, Dbus, EglHeadless, Spice]),
        ("audio", graphics.audio.is_some(), &[Vnc, Dbus]),
    ];
    let gl = graphics.gl.clone().unwrap_or_default();
    let inside: [(&str, bool, &[GraphicsType]); 2] = [
        ("enable", gl.enable.is_some(), &[Sdl, Dbus, Spice]),
        ("rendernode", gl.rendernode.is_some(), &[Dbus, EglHeadless, Spice]),
    ];
    match parts
        .iter()
        .chain(&inside)
        .find(|(_, there, kinds)| *there && !kinds.contains(&kind))
    {
        Some((name, ..)) => Err(unsupported(format!(
            "'{name}' does not fit graphics type '{kind}'"
        ))),
        None => Ok(()),
    }
}

/// On what a server listens; the first of these stands in older places, too.
fn listens(graphics: &mut Graphics) -> Result<(), XmlError> {
    if graphics.listens.is_empty() {
        let socket = graphics.socket.clone();
        let address = graphics.listen.clone().filter(|address| !address.is_empty());
        let kind = if socket.is_some() {
            ListenType::Socket
        } else {
            ListenType::Address
        };
        graphics.listens.push(Listen {
            kind,
            address: if socket.is_some() { None } else { address },
            network: None,
            socket,
        });
    }
    for listen in &mut graphics.listens {
        listen.address.take_if(|address| address.is_empty());
        let parts = [
            (
                "address",
                listen.address.is_some(),
                [ListenType::Address, ListenType::Network],
            ),
            (
                "network",
                listen.network.is_some(),
                [ListenType::Network, ListenType::Network],
            ),
            (
                "socket",
                listen.socket.is_some(),
                [ListenType::Socket, ListenType::Socket],
            ),
        ];
        if let Some((name, ..)) = parts
            .iter()
            .find(|(_, there, kinds)| *there && !kinds.contains(&listen.kind))
        {
            let kind = listen.kind;
            return Err(inconsistent(format!(
                "attribute '{name}' of <listen> does not fit listen type '{kind}'"
            )));
        }
        if listen.kind == ListenType::Network && listen.network.is_none() {
            return Err(inconsistent(
                "'network' attribute is required for listen type 'network'",
            ));
        }
    }
    let first = &graphics.listens[0];
    for (attribute, given, found) in [
        ("listen", &graphics.listen, &first.address),
        ("socket", &graphics.socket, &first.socket),
    ] {
        let given = given.as_ref().filter(|given| !given.is_empty());
        if let Some(given) = given.filter(|given| Some(*given) != found.as_ref()) {
            let inside = if attribute == "listen" {
                "address"
            } else {
                "socket"
            };
            let found = found.as_deref().unwrap_or("none");
            return Err(inconsistent(format!(
                "graphics '{attribute}' attribute '{given}' must match '{inside}' attribute of first listen element (found '{found}')"
            )));
        }
    }
    graphics.listen = first.address.clone();
    graphics.socket = first.socket.clone();
    Ok(())
}

/// Completes the cards: the primary one comes first, memory by model.
pub(super) fn normalize_videos(videos: &mut [Video]) -> Result<(), XmlError> {
    if videos
        .iter()
        .filter(|video| video.model.primary == Some(true))
        .count()
        > 1
    {
        return Err(unsupported("Only one primary video device is supported"));
    }
    if let Some(primary) = videos.iter().position(|video| video.model.primary == Some(true)) {
        videos[..=primary].rotate_right(1);
    }
    for (position, video) in videos.iter_mut().enumerate() {
        let model = &mut video.model;
        if model.kind == "none" {
            *model = VideoModel {
                kind: "none".to_owned(),
                ..VideoModel::default()
            };
            continue;
        }
        for size in [&mut model.vram, &mut model.ram, &mut model.vgamem]
            .into_iter()
            .flatten()
        {
            *size = size.checked_next_power_of_two().unwrap_or(*size);
        }
        model.primary = (position == 0).then_some(true);
        model.heads.get_or_insert(1);
        match model.kind.as_str() {
            "cirrus" | "vga" | "bochs" | "vmvga" => {
                model.vram.get_or_insert(16384);
            }
            "qxl" => {
                model.ram.get_or_insert(65536);
                model.vram.get_or_insert(65536);
                model.vgamem.get_or_insert(16384);
            }
            _ => {}
        }
    }
    Ok(())
}
