//! Graphics and video: what libvirt fills in.

use super::inconsistent;
use crate::domain::{Graphics, Listen, ListenType, Video};
use ferrovirt_xml::XmlError;

/// Completes a server: where it listens, and whether its port is chosen at the start.
pub(super) fn normalize_graphics(graphics: &mut Graphics) -> Result<(), XmlError> {
    if graphics.listens.is_empty() {
        graphics.listens.push(match (&graphics.socket, &graphics.listen) {
            (Some(socket), _) => Listen {
                kind: ListenType::Socket,
                address: None,
                socket: Some(socket.clone()),
            },
            (None, address) => Listen {
                kind: ListenType::Address,
                address: address.clone(),
                socket: None,
            },
        });
    }
    let first = &graphics.listens[0];
    for (attribute, given, found) in [
        ("listen", &graphics.listen, &first.address),
        ("socket", &graphics.socket, &first.socket),
    ] {
        if let Some(given) = given.as_ref().filter(|given| Some(*given) != found.as_ref()) {
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
    if first.kind != ListenType::Address {
        (graphics.port, graphics.autoport) = (None, None);
    } else if graphics.port.is_none_or(|port| port <= 0) {
        (graphics.port, graphics.autoport) = (Some(-1), Some(true));
    } else {
        graphics.autoport.get_or_insert(false);
    }
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
        return Err(super::unsupported("Only one primary video device is supported"));
    }
    if let Some(primary) = videos.iter().position(|video| video.model.primary == Some(true)) {
        videos[..=primary].rotate_right(1);
    }
    for (position, video) in videos.iter_mut().enumerate() {
        let model = &mut video.model;
        if model.kind == "none" {
            model.primary = None;
            continue;
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
