//! Sound: which parts each kind of `<audio>` has, and what its settings imply.

use super::{inconsistent, unsupported};
use crate::domain::{Audio, AudioDirection, AudioType, Sound, SoundModel};
use ferrovirt_xml::XmlError;

/// Completes and checks what sound comes from and goes to.
pub(super) fn normalize(sounds: &mut [Sound], audios: &mut [Audio]) -> Result<(), XmlError> {
    sounds.iter_mut().try_for_each(normalize_sound)?;
    for at in 0..audios.len() {
        let id = audios[at].id;
        if id == 0 {
            return Err(inconsistent(
                "Invalid value for attribute 'id' in element 'audio': '0'. Zero is not permitted",
            ));
        }
        if audios[..at].iter().any(|other| other.id == id) {
            return Err(inconsistent(format!("audio ID {id} is used multiple times")));
        }
        normalize_audio(&mut audios[at])?;
    }
    Ok(())
}

fn normalize_sound(sound: &mut Sound) -> Result<(), XmlError> {
    let model = sound.model;
    let parts = [
        ("streams", sound.streams.is_some(), model == SoundModel::Virtio),
        (
            "multichannel",
            sound.multi_channel.is_some(),
            model == SoundModel::Usb,
        ),
        (
            "codec",
            !sound.codecs.is_empty(),
            matches!(model, SoundModel::Ich6 | SoundModel::Ich9),
        ),
        ("driver", sound.driver.is_some(), model == SoundModel::Virtio),
    ];
    for (name, there, fits) in parts {
        if there && !fits {
            return Err(unsupported(format!(
                "'{name}' of <sound> does not fit model '{model}'"
            )));
        }
    }
    if model == SoundModel::Virtio {
        let streams = *sound.streams.get_or_insert(2);
        if streams == 0 {
            return Err(unsupported(
                "invalid number of 'streams' for virtio sound device: 0",
            ));
        }
    }
    sound.driver.take_if(|driver| driver.is_empty());
    sound.audio.take_if(|audio| audio.id == 0);
    Ok(())
}

/// Drivers of SDL's that libvirt knows.
const SDL_DRIVERS: [&str; 4] = ["esd", "alsa", "arts", "pulseaudio"];

fn normalize_audio(audio: &mut Audio) -> Result<(), XmlError> {
    use AudioType::{File, Oss, PipeWire, PulseAudio, Sdl};
    let kind = audio.kind;
    let parts: [(&str, bool, &[AudioType]); 7] = [
        ("tryMMap", audio.try_mmap.is_some(), &[Oss]),
        ("exclusive", audio.exclusive.is_some(), &[Oss]),
        ("dspPolicy", audio.dsp_policy.is_some(), &[Oss]),
        ("serverName", audio.server_name.is_some(), &[PulseAudio]),
        ("driver", audio.driver.is_some(), &[Sdl]),
        ("path", audio.path.is_some(), &[File]),
        ("runtimeDir", audio.runtime_dir.is_some(), &[PipeWire]),
    ];
    check(kind, "audio", &parts)?;
    if let Some(driver) = audio
        .driver
        .as_deref()
        .filter(|driver| !SDL_DRIVERS.contains(driver))
    {
        let text = format!("Invalid value for attribute 'driver' in element 'audio': '{driver}'.");
        return Err(inconsistent(text));
    }
    for (name, direction) in [("input", &mut audio.input), ("output", &mut audio.output)] {
        if let Some(direction) = direction {
            normalize_direction(kind, name, direction)?;
        }
        direction.take_if(|direction| *direction == AudioDirection::default());
    }
    Ok(())
}

fn check(kind: AudioType, element: &str, parts: &[(&str, bool, &[AudioType])]) -> Result<(), XmlError> {
    match parts
        .iter()
        .find(|(_, there, kinds)| *there && !kinds.contains(&kind))
    {
        Some((name, ..)) => Err(unsupported(format!(
            "attribute '{name}' of <{element}> does not fit audio type '{kind}'"
        ))),
        None => Ok(()),
    }
}

fn normalize_direction(
    kind: AudioType,
    element: &str,
    direction: &mut AudioDirection,
) -> Result<(), XmlError> {
    use AudioType::{Alsa, CoreAudio, Jack, Oss, PipeWire, PulseAudio, Sdl};
    let parts: [(&str, bool, &[AudioType]); 10] = [
        ("dev", direction.dev.is_some(), &[Alsa, Oss]),
        (
            "bufferCount",
            direction.buffer_count.is_some(),
            &[CoreAudio, Oss, Sdl],
        ),
        ("tryPoll", direction.try_poll.is_some(), &[Oss]),
        ("name", direction.name.is_some(), &[PulseAudio, PipeWire]),
        (
            "streamName",
            direction.stream_name.is_some(),
            &[PulseAudio, PipeWire],
        ),
        ("latency", direction.latency.is_some(), &[PulseAudio, PipeWire]),
        ("serverName", direction.server_name.is_some(), &[Jack]),
        ("clientName", direction.client_name.is_some(), &[Jack]),
        ("connectPorts", direction.connect_ports.is_some(), &[Jack]),
        ("exactName", direction.exact_name.is_some(), &[Jack]),
    ];
    check(kind, element, &parts)?;
    for (name, value) in [
        ("voices", direction.voices),
        ("bufferLength", direction.buffer_length),
        ("bufferCount", direction.buffer_count),
        ("latency", direction.latency),
    ] {
        if value == Some(0) {
            let text =
                format!("Invalid value for attribute '{name}' in element '{element}': Zero is not permitted");
            return Err(inconsistent(text));
        }
    }
    if direction.fixed_settings == Some(true) && direction.mixing_engine != Some(true) {
        return Err(inconsistent(
            "fixed audio settings requires mixing engine: attributes 'fixedSettings' and 'mixingEngine'",
        ));
    }
    if direction.settings.is_some() && direction.fixed_settings != Some(true) {
        return Err(inconsistent(
            "audio settings specified without fixed settings flag: element 'settings' needs attribute 'fixedSettings'",
        ));
    }
    direction
        .settings
        .take_if(|settings| *settings == crate::domain::AudioSettings::default());
    Ok(())
}
