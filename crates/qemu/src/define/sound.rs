//! Sound cards: which models there are, and that what they refer to is there.

use ferrovirt_model::domain::{AudioType, Domain, SoundModel};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};

/// Settles `<sound>`, and what refers to an `<audio>`.
pub(super) fn settle(doc: &Domain, emulator: &Emulator) -> Result<()> {
    let devices = &doc.devices;
    for sound in &devices.sounds {
        let model = sound.model;
        if model == SoundModel::Ich7 || device_of(model).is_some_and(|device| !emulator.has(device)) {
            return Err(Error::unsupported(format!(
                "sound card model '{model}' is not supported"
            )));
        }
    }
    if devices
        .sounds
        .iter()
        .filter(|sound| sound.model == SoundModel::Pcspk)
        .count()
        > 1
    {
        return Err(Error::unsupported(
            "there is one sound card of model 'pcspk' only",
        ));
    }
    if devices.audios.iter().any(|audio| audio.kind == AudioType::Spice) {
        return Err(Error::unsupported(
            "audio type 'spice' is not supported: there is no spice graphics",
        ));
    }
    let uses = devices.sounds.iter().filter_map(|sound| sound.audio.as_ref());
    for wanted in uses.chain(
        devices
            .graphics
            .iter()
            .filter_map(|graphics| graphics.audio.as_ref()),
    ) {
        if !devices.audios.iter().any(|audio| audio.id == wanted.id) {
            return Err(Error::unsupported(format!(
                "unable to find audio backend for id '{}'",
                wanted.id
            )));
        }
    }
    Ok(())
}

/// QEMU's device; the speaker is part of the machine.
pub(crate) fn device_of(model: SoundModel) -> Option<&'static str> {
    Some(match model {
        SoundModel::Sb16 => "sb16",
        SoundModel::Es1370 => "ES1370",
        SoundModel::Ac97 => "AC97",
        SoundModel::Ich6 => "intel-hda",
        SoundModel::Ich9 => "ich9-intel-hda",
        SoundModel::Usb => "usb-audio",
        SoundModel::Virtio => "virtio-sound-pci",
        SoundModel::Pcspk | SoundModel::Ich7 => return None,
    })
}
