//! `<sound>`: sound cards, and `<audio>`: where their sound goes on the host.

use super::address::DeviceInfo;
use super::virtio_options::VirtioOptions;
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Rest, Xml};

/// What the guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum SoundModel {
    /// Sound Blaster 16.
    Sb16,
    /// Ensoniq.
    Es1370,
    /// The PC's own speaker.
    Pcspk,
    /// Intel AC'97.
    Ac97,
    /// Intel HDA of ICH6.
    Ich6,
    /// Intel HDA of ICH9.
    Ich9,
    /// A USB device.
    Usb,
    /// AC'97 of ICH7 (no QEMU has it).
    Ich7,
    /// virtio.
    Virtio,
}

/// `<audio id>` within a device: which of the host's outputs it uses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct AudioUse {
    /// Number of the `<audio>`.
    #[xml(attr)]
    pub id: u32,
}

/// What a codec of an HDA card can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CodecType {
    /// Line in and line out.
    Duplex,
    /// Microphone and speaker.
    Micro,
    /// Line out.
    Output,
}

/// `<codec>` of an HDA card.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Codec {
    /// What it can do.
    #[xml(attr = "type")]
    pub kind: CodecType,
}

/// `<sound>`: a sound card.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Sound {
    /// What the guest sees.
    #[xml(attr)]
    pub model: SoundModel,
    /// Several channels (USB)?
    #[xml(attr = "multichannel", with = "yes_no")]
    pub multi_channel: Option<bool>,
    /// Number of PCM streams (virtio).
    #[xml(attr)]
    pub streams: Option<u32>,
    /// What is behind an HDA card; `duplex` where nothing is said.
    #[xml(name = "codec")]
    pub codecs: Vec<Codec>,
    /// Where the sound goes.
    pub audio: Option<AudioUse>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// Options of a virtio device.
    pub driver: Option<VirtioOptions>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// Where sound goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum AudioType {
    /// Nowhere.
    #[default]
    None,
    /// ALSA.
    Alsa,
    /// macOS.
    #[xml(name = "coreaudio")]
    CoreAudio,
    /// JACK.
    Jack,
    /// The Open Sound System.
    Oss,
    /// PulseAudio.
    #[xml(name = "pulseaudio")]
    PulseAudio,
    /// SDL.
    Sdl,
    /// The client of a SPICE server.
    Spice,
    /// A WAV file.
    File,
    /// The client of a D-Bus display.
    Dbus,
    /// PipeWire.
    #[xml(name = "pipewire")]
    PipeWire,
}

/// Format of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum SampleFormat {
    /// 8 bits, signed.
    S8,
    /// 8 bits, unsigned.
    U8,
    /// 16 bits, signed.
    S16,
    /// 16 bits, unsigned.
    U16,
    /// 32 bits, signed.
    S32,
    /// 32 bits, unsigned.
    U32,
    /// Floating point.
    F32,
}

/// `<settings>` of one direction: fixed rather than what the guest asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct AudioSettings {
    /// Samples in a second.
    #[xml(attr)]
    pub frequency: Option<u32>,
    /// Number of channels.
    #[xml(attr)]
    pub channels: Option<u32>,
    /// Format of a sample.
    #[xml(attr)]
    pub format: Option<SampleFormat>,
}

/// `<input>` or `<output>` of `<audio>`. Which of the parts can be there depends on the type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct AudioDirection {
    /// Is QEMU's mixer used?
    #[xml(attr = "mixingEngine", with = "yes_no")]
    pub mixing_engine: Option<bool>,
    /// Are the settings those of `<settings>`, whatever the guest asks for?
    #[xml(attr = "fixedSettings", with = "yes_no")]
    pub fixed_settings: Option<bool>,
    /// Number of voices.
    #[xml(attr)]
    pub voices: Option<u32>,
    /// Length of the buffer in microseconds.
    #[xml(attr = "bufferLength")]
    pub buffer_length: Option<u32>,
    /// Path of the device, or its name (alsa, oss).
    #[xml(attr)]
    pub dev: Option<String>,
    /// Number of buffers (coreaudio, oss, sdl).
    #[xml(attr = "bufferCount")]
    pub buffer_count: Option<u32>,
    /// Is the device polled (alsa's and oss's)?
    #[xml(attr = "tryPoll", with = "yes_no")]
    pub try_poll: Option<bool>,
    /// Name of sink or source (pulseaudio, pipewire).
    #[xml(attr)]
    pub name: Option<String>,
    /// Name of the stream (pulseaudio, pipewire).
    #[xml(attr = "streamName")]
    pub stream_name: Option<String>,
    /// Wanted latency in microseconds (pulseaudio, pipewire).
    #[xml(attr)]
    pub latency: Option<u32>,
    /// The server (jack).
    #[xml(attr = "serverName")]
    pub server_name: Option<String>,
    /// Name as a client (jack).
    #[xml(attr = "clientName")]
    pub client_name: Option<String>,
    /// Which ports are connected: a regular expression (jack).
    #[xml(attr = "connectPorts")]
    pub connect_ports: Option<String>,
    /// Must the client's name be exactly that (jack)?
    #[xml(attr = "exactName", with = "yes_no")]
    pub exact_name: Option<bool>,
    /// Fixed settings.
    pub settings: Option<AudioSettings>,
}

/// `<audio>`: where sound goes on the host. Which of the parts can be there depends on the type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Audio {
    /// Its number, from 1.
    #[xml(attr)]
    pub id: u32,
    /// Where sound goes.
    #[xml(attr = "type", default)]
    pub kind: AudioType,
    /// How often buffers are looked at, in microseconds.
    #[xml(attr = "timerPeriod")]
    pub timer_period: Option<u32>,
    /// Is the device's memory mapped (oss)?
    #[xml(attr = "tryMMap", with = "yes_no")]
    pub try_mmap: Option<bool>,
    /// Is the device used by nobody else (oss)?
    #[xml(attr, with = "yes_no")]
    pub exclusive: Option<bool>,
    /// Timing policy (oss).
    #[xml(attr = "dspPolicy")]
    pub dsp_policy: Option<i32>,
    /// The server (pulseaudio).
    #[xml(attr = "serverName")]
    pub server_name: Option<String>,
    /// SDL's own driver (sdl).
    #[xml(attr)]
    pub driver: Option<String>,
    /// Path of the file (file).
    #[xml(attr)]
    pub path: Option<String>,
    /// Directory of the server's socket (pipewire).
    #[xml(attr = "runtimeDir")]
    pub runtime_dir: Option<String>,
    /// What is recorded.
    pub input: Option<AudioDirection>,
    /// What is played.
    pub output: Option<AudioDirection>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
