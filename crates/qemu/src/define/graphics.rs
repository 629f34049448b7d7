//! Displays and what is typed on: servers, windows, input devices, and where sound goes by itself.

use ferrovirt_model::domain::{
    Audio, Connected, Domain, Graphics, GraphicsType, Input, InputBus, InputType, ListenType, Video,
};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};
use crate::launch::valid_to;

/// Settles `<graphics>`, `<input>`, `<audio>`, and the card that a display needs.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    for graphics in &doc.devices.graphics {
        display(graphics)?;
    }
    combinations(&doc.devices.graphics)?;
    inputs(doc)?;
    // Windows and the like have outputs of their own; of several displays the last one that knows decides.
    let all = doc.devices.graphics.iter();
    let quiet = all.fold(
        doc.devices.graphics.is_empty(),
        |quiet, graphics| match graphics.kind {
            GraphicsType::Vnc => true,
            GraphicsType::Sdl => false,
            _ => quiet,
        },
    );
    if doc.devices.audios.is_empty() && quiet {
        doc.devices.audios.push(Audio {
            id: 1,
            ..Audio::default()
        });
    }
    if !doc.devices.graphics.is_empty() && doc.devices.videos.is_empty() {
        doc.devices.videos.push(Video::default());
    }
    super::video::settle(doc, emulator)
}

/// VNC's own limit, in bytes.
const LONGEST_PASSWORD: usize = 8;

/// What this driver has of each kind.
fn display(graphics: &Graphics) -> Result<()> {
    let kind = graphics.kind;
    match kind {
        GraphicsType::Desktop => {
            return Err(Error::unsupported(format!("unsupported graphics type '{kind}'")));
        }
        GraphicsType::Rdp | GraphicsType::Spice => {
            return Err(Error::unsupported(format!(
                "{kind} graphics are not supported with this QEMU"
            )));
        }
        GraphicsType::Dbus if graphics.p2p != Some(true) && graphics.address.is_none() => {
            return Err(Error::unsupported(
                "graphics type 'dbus' needs p2p='yes' or the address of a bus",
            ));
        }
        _ => {}
    }
    if graphics.p2p == Some(true) && graphics.address.is_some() {
        return Err(Error::unsupported("D-Bus p2p and address are mutually exclusive"));
    }
    if let Some(password) = graphics
        .passwd
        .as_deref()
        .filter(|password| password.len() > LONGEST_PASSWORD)
    {
        return Err(Error::unsupported(format!(
            "VNC password is {} characters long, only 8 permitted: attribute 'passwd'",
            password.len()
        )));
    }
    if graphics
        .connected
        .is_some_and(|connected| connected != Connected::Keep)
    {
        return Err(Error::unsupported("VNC supports connected='keep' only"));
    }
    if let Some(until) = graphics
        .passwd_valid_to
        .as_deref()
        .filter(|until| valid_to(until).is_none())
    {
        return Err(Error::Xml(format!(
            "cannot parse password validity time '{until}', expect YYYY-MM-DDTHH:MM:SS"
        )));
    }
    let Some(listen) = graphics.listens.first() else {
        return Ok(());
    };
    if listen.kind == ListenType::Network {
        return Err(Error::unsupported(format!(
            "listen type 'network' of graphics type '{kind}' is not supported"
        )));
    }
    Ok(())
}

/// Which kinds go together.
fn combinations(all: &[Graphics]) -> Result<()> {
    let headless = all
        .iter()
        .any(|graphics| graphics.kind == GraphicsType::EglHeadless);
    for graphics in all {
        if headless && matches!(graphics.kind, GraphicsType::Sdl | GraphicsType::Dbus) {
            return Err(Error::unsupported(
                "graphics type 'egl-headless' is only supported with one of: 'vnc', 'spice' graphics types",
            ));
        }
    }
    Ok(())
}

fn inputs(doc: &mut Domain) -> Result<()> {
    let ps2 = super::features::has_ps2(doc);
    let inputs = &mut doc.devices.inputs;
    for input in inputs.iter() {
        if input.kind == InputType::Tablet && input.bus == Some(InputBus::Ps2) {
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
