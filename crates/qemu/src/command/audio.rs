//! Sound: where it goes on the host (`-audiodev`), and the guest's cards.

use ferrovirt_model::domain::{
    Audio, AudioDirection, AudioType, AudioUse, CodecType, Domain, Sound, SoundModel,
};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context, virtio_options};
use crate::define::sound_device;

/// Where sound goes.
pub(super) fn backends(context: &Context<'_>, args: &mut Arguments) {
    for audio in &context.doc.devices.audios {
        args.add("-audiodev", backend(audio).finish());
    }
}

/// QEMU's name of a kind.
fn driver(kind: AudioType) -> &'static str {
    match kind {
        AudioType::None => "none",
        AudioType::Alsa => "alsa",
        AudioType::CoreAudio => "coreaudio",
        AudioType::Jack => "jack",
        AudioType::Oss => "oss",
        AudioType::PulseAudio => "pa",
        AudioType::Sdl => "sdl",
        AudioType::Spice => "spice",
        AudioType::File => "wav",
        AudioType::Dbus => "dbus",
        AudioType::PipeWire => "pipewire",
    }
}

fn backend(audio: &Audio) -> Object {
    let mut object = Object::default()
        .text("id", &format!("audio{}", audio.id))
        .text("driver", driver(audio.kind))
        .maybe_number("timer-period", audio.timer_period)
        .maybe_boolean("try-mmap", audio.try_mmap)
        .maybe_boolean("exclusive", audio.exclusive)
        .maybe_number("dsp-policy", audio.dsp_policy)
        .maybe_text("server", audio.server_name.as_deref())
        .maybe_text("path", audio.path.as_deref());
    for (key, way) in [("in", &audio.input), ("out", &audio.output)] {
        if let Some(way) = way {
            object = object.object(key, &direction(way));
        }
    }
    object
}

fn direction(way: &AudioDirection) -> Object {
    let settings = way.settings.clone().unwrap_or_default();
    Object::default()
        .maybe_boolean("mixing-engine", way.mixing_engine)
        .maybe_boolean("fixed-settings", way.fixed_settings)
        .maybe_number("voices", way.voices)
        .maybe_number("buffer-length", way.buffer_length)
        .maybe_number("frequency", settings.frequency)
        .maybe_number("channels", settings.channels)
        .maybe_text("format", settings.format.map(|format| format.as_str()))
        .maybe_text("dev", way.dev.as_deref())
        .maybe_number("buffer-count", way.buffer_count)
        .maybe_boolean("try-poll", way.try_poll)
        .maybe_text("name", way.name.as_deref())
        .maybe_text("stream-name", way.stream_name.as_deref())
        .maybe_number("latency", way.latency)
        .maybe_text("server-name", way.server_name.as_deref())
        .maybe_text("client-name", way.client_name.as_deref())
        .maybe_text("connect-ports", way.connect_ports.as_deref())
        .maybe_boolean("exact-name", way.exact_name)
}

/// What the libraries behind the outputs read from their environment.
pub(super) fn environment(doc: &Domain) -> Vec<(String, String)> {
    let audios = doc.devices.audios.iter();
    let variables = audios.flat_map(|audio| {
        let sdl = audio.driver.clone().map(|driver| ("SDL_AUDIODRIVER", driver));
        let pipewire = audio.runtime_dir.clone().map(|dir| ("PIPEWIRE_RUNTIME_DIR", dir));
        sdl.into_iter().chain(pipewire)
    });
    variables.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Which output a device uses: the one it names, else the first.
pub(super) fn used(doc: &Domain, wanted: Option<&AudioUse>) -> Option<String> {
    let first = doc.devices.audios.first().map(|audio| audio.id);
    let id = wanted.map(|wanted| wanted.id).or(first)?;
    Some(format!("audio{id}"))
}

/// The output of the PC's own speaker: an option of the machine.
pub(super) fn speaker(doc: &Domain) -> Option<String> {
    let mut speakers = doc.devices.sounds.iter();
    let speaker = speakers.find(|sound| sound.model == SoundModel::Pcspk)?;
    used(doc, speaker.audio.as_ref())
}

/// Sound cards.
pub(super) fn cards(context: &Context<'_>, args: &mut Arguments) {
    for sound in &context.doc.devices.sounds {
        let Some(device) = sound_device(sound.model) else {
            continue;
        };
        let id = alias(&sound.info);
        let output = used(context.doc, sound.audio.as_ref());
        let hda = matches!(sound.model, SoundModel::Ich6 | SoundModel::Ich9);
        let own = output.as_deref().filter(|_| !hda);
        let object = virtio_options(Object::driver(device), sound.driver.as_ref())
            .text("id", id)
            .maybe_text("audiodev", own)
            .maybe_boolean("multi", sound.multi_channel)
            .maybe_number("streams", sound.streams);
        args.device(object.append(&place(context.doc, &sound.info)));
        if hda {
            codecs(sound, id, output.as_deref(), args);
        }
    }
}

/// What is behind an HDA card.
fn codecs(sound: &Sound, id: &str, output: Option<&str>, args: &mut Arguments) {
    let kinds: Vec<CodecType> = sound.codecs.iter().map(|codec| codec.kind).collect();
    let kinds = if kinds.is_empty() {
        vec![CodecType::Duplex]
    } else {
        kinds
    };
    for (number, kind) in (0u32..).zip(kinds) {
        let driver = match kind {
            CodecType::Duplex => "hda-duplex",
            CodecType::Micro => "hda-micro",
            CodecType::Output => "hda-output",
        };
        args.device(
            Object::driver(driver)
                .text("id", &format!("{id}-codec{number}"))
                .text("bus", &format!("{id}.0"))
                .number("cad", number)
                .maybe_text("audiodev", output),
        );
    }
}
