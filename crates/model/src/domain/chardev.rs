//! Character devices: `<serial>`, `<parallel>`, `<console>`, `<channel>`. What is behind them on the host is the same for all.

use super::address::DeviceInfo;
use super::seclabel::DeviceLabel;
use ferrovirt_xml::values::{on_off, yes_no};
use ferrovirt_xml::{Form, Rest, Xml};

/// What is behind a character device on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum CharType {
    /// Nothing.
    Null,
    /// A console in the hypervisor's own window.
    Vc,
    /// A pseudo terminal.
    #[default]
    Pty,
    /// A device of the host.
    Dev,
    /// A file.
    File,
    /// A named pipe, or a pair of them.
    Pipe,
    /// The hypervisor's standard input and output.
    Stdio,
    /// Datagrams.
    Udp,
    /// A TCP socket.
    Tcp,
    /// A Unix domain socket.
    Unix,
    /// What a SPICE client brings along.
    #[xml(name = "spicevmc")]
    SpiceVmc,
    /// A port that a SPICE client opens by name.
    #[xml(name = "spiceport")]
    SpicePort,
    /// A pair of terminals (FreeBSD).
    Nmdm,
    /// SPICE's agent, played by the hypervisor.
    QemuVdagent,
    /// A channel of a D-Bus display.
    Dbus,
}

/// `<reconnect>`: what happens when a connection ends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Reconnect {
    /// Is it made anew?
    #[xml(attr, with = "yes_no")]
    pub enabled: bool,
    /// After so many seconds.
    #[xml(attr)]
    pub timeout: Option<u32>,
}

/// `<clipboard>` of SPICE's agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Clipboard {
    /// Is it shared?
    #[xml(attr = "copypaste", with = "yes_no")]
    pub copy_paste: bool,
}

/// Who draws the mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum MouseMode {
    /// The guest.
    #[default]
    Server,
    /// The client.
    Client,
}

/// `<mouse>` of SPICE's agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct AgentMouse {
    /// Who draws it.
    #[xml(attr)]
    pub mode: MouseMode,
}

/// Who listens on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum SocketMode {
    /// Somebody else; the hypervisor connects.
    Connect,
    /// The hypervisor.
    Bind,
}

/// `<source>` of a character device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct BackendSource {
    /// Who listens (sockets).
    #[xml(attr)]
    pub mode: Option<SocketMode>,
    /// Path of file, terminal or Unix socket.
    #[xml(attr)]
    pub path: Option<String>,
    /// Host of a TCP socket.
    #[xml(attr)]
    pub host: Option<String>,
    /// Port of a TCP socket.
    #[xml(attr)]
    pub service: Option<String>,
    /// Is the connection encrypted (TCP)?
    #[xml(attr, with = "yes_no")]
    pub tls: Option<bool>,
    /// Is a file continued, rather than truncated?
    #[xml(attr, with = "on_off")]
    pub append: Option<bool>,
    /// Name of the channel (spiceport, dbus).
    #[xml(attr)]
    pub channel: Option<String>,
    /// What happens when a connection ends.
    pub reconnect: Option<Reconnect>,
    /// Is the clipboard shared (SPICE's agent)?
    pub clipboard: Option<Clipboard>,
    /// Who draws the mouse (SPICE's agent).
    pub mouse: Option<AgentMouse>,
    /// What security drivers do with the file.
    #[xml(name = "seclabel")]
    pub seclabels: Vec<DeviceLabel>,
}

/// What is spoken on a TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum Protocol {
    /// Bytes.
    Raw,
    /// Telnet.
    Telnet,
    /// Telnet over TLS.
    Telnets,
    /// TLS.
    Tls,
}

/// `<log>`: a copy of what is written to the device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CharLog {
    /// Path of the copy.
    #[xml(attr)]
    pub file: String,
    /// Is it continued, rather than truncated?
    #[xml(attr, with = "on_off")]
    pub append: Option<bool>,
}

/// The host's side of a character device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Backend {
    /// Its kind.
    #[xml(attr = "type")]
    pub kind: CharType,
    /// Where it is. The path of a pseudo terminal belongs to the run.
    #[xml(when = "Backend::shows_source")]
    pub source: Option<BackendSource>,
    /// Where datagrams go (UDP); `source` then is where they come in.
    #[xml(name = "source")]
    pub peer: Option<BackendSource>,
    /// What is spoken (TCP).
    #[xml(child = "protocol", attr = "type")]
    pub protocol: Option<Protocol>,
    /// A copy of what is written.
    pub log: Option<CharLog>,
}

impl Backend {
    fn shows_source(&self, form: &Form) -> bool {
        !form.inactive || self.kind != CharType::Pty
    }

    /// Path of the file, terminal or socket, if there is one.
    pub fn path(&self) -> Option<&str> {
        self.source.as_ref().and_then(|source| source.path.as_deref())
    }
}

/// `<target>` of a serial port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct SerialTarget {
    /// Kind of bus or of device: `isa-serial`, `usb-serial`, `pci-serial`.
    #[xml(attr = "type")]
    pub kind: Option<String>,
    /// Number of the port.
    #[xml(attr)]
    pub port: Option<u32>,
    /// The device that the guest sees.
    #[xml(child = "model", attr = "name")]
    pub model: Option<String>,
}

/// `<serial>`: a serial port.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Serial {
    /// The host's side.
    #[xml(flatten)]
    pub backend: Backend,
    /// The guest's side.
    pub target: Option<SerialTarget>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Serial {
    /// Can the first console be another name of this port? Not if it sits on a bus that a firmware does not look at.
    pub fn can_be_console(&self) -> bool {
        let kind = self.target.as_ref().and_then(|target| target.kind.as_deref());
        matches!(
            kind,
            None | Some("isa-serial" | "system-serial" | "sclp-serial" | "spapr-vio-serial")
        )
    }
}

/// `<target>` of a parallel port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct ParallelTarget {
    /// Number of the port.
    #[xml(attr)]
    pub port: Option<u32>,
}

/// `<parallel>`: a parallel port.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Parallel {
    /// The host's side.
    #[xml(flatten)]
    pub backend: Backend,
    /// The guest's side.
    pub target: Option<ParallelTarget>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// `<target>` of a console.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct ConsoleTarget {
    /// Kind of device: `serial`, `virtio`.
    #[xml(attr = "type")]
    pub kind: Option<String>,
    /// Number of the console.
    #[xml(attr)]
    pub port: Option<u32>,
}

/// `<console>`: a console. The first one of type `serial` is another name of the first serial port.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Console {
    /// The host's side.
    #[xml(flatten)]
    pub backend: Backend,
    /// An older place of the pseudo terminal's path; written from there.
    #[xml(attr, live, shown = "Console::shown_tty")]
    pub tty: Option<String>,
    /// The guest's side.
    pub target: Option<ConsoleTarget>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Console {
    fn shown_tty(&self, _form: &Form) -> Option<String> {
        self.backend
            .path()
            .filter(|_| self.backend.kind == CharType::Pty)
            .map(str::to_owned)
    }
}

/// Has the guest opened a channel?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum ChannelState {
    /// Yes.
    Connected,
    /// No.
    Disconnected,
}

/// Kind of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum ChannelTargetType {
    /// An address in the guest's user network, whose connections come here.
    #[xml(name = "guestfwd")]
    GuestForward,
    /// A port of a virtio-serial controller.
    #[default]
    Virtio,
    /// Xen's.
    Xen,
}

/// `<target>` of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct ChannelTarget {
    /// Kind of channel.
    #[xml(attr = "type")]
    pub kind: ChannelTargetType,
    /// Name that the guest finds it by.
    #[xml(attr)]
    pub name: Option<String>,
    /// Has the guest opened it?
    #[xml(attr, live)]
    pub state: Option<ChannelState>,
    /// The address in the guest's network (`guestfwd`).
    #[xml(attr)]
    pub address: Option<std::net::IpAddr>,
    /// The port there.
    #[xml(attr)]
    pub port: Option<u16>,
}

/// `<channel>`: a channel between guest and host.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Channel {
    /// The host's side.
    #[xml(flatten)]
    pub backend: Backend,
    /// The guest's side.
    pub target: ChannelTarget,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}
