//! `<graphics>`: how the guest's screen is looked at.

use super::sound::AudioUse;
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Form, Rest, Xml};

/// How the screen is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum GraphicsType {
    /// A window of the host.
    Sdl,
    /// VNC.
    #[default]
    Vnc,
    /// RDP.
    Rdp,
    /// A window of the hypervisor's own.
    Desktop,
    /// SPICE.
    Spice,
    /// Nothing: a GPU of the host draws for the others.
    EglHeadless,
    /// D-Bus.
    Dbus,
}

/// On what a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum ListenType {
    /// Nothing.
    None,
    /// An IP address.
    #[default]
    Address,
    /// The address of a virtual network.
    Network,
    /// A Unix socket.
    Socket,
}

/// `<listen>`: on what a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Listen {
    /// Its kind.
    #[xml(attr = "type")]
    pub kind: ListenType,
    /// The IP address or host name; `None`: the configured default. Of a network it belongs to the run.
    #[xml(attr, when = "Listen::shows_address")]
    pub address: Option<String>,
    /// Name of the network.
    #[xml(attr)]
    pub network: Option<String>,
    /// Path of the Unix socket.
    #[xml(attr)]
    pub socket: Option<String>,
}

impl Listen {
    fn shows_address(&self, form: &Form) -> bool {
        !form.inactive || self.kind != ListenType::Network
    }
}

/// What a VNC server does when a second client comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum SharePolicy {
    /// It throws the first out if the second asks for that.
    AllowExclusive,
    /// It throws the first out, or the second if that does not want it.
    ForceShared,
    /// It takes all.
    Ignore,
}

/// What happens to a client that is connected when the password changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum Connected {
    /// It stays.
    Keep,
    /// It is thrown out.
    Disconnect,
    /// The change fails.
    Fail,
}

/// `<gl>`: drawing with a GPU of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct GraphicsGl {
    /// Is it used?
    #[xml(attr, with = "yes_no")]
    pub enable: Option<bool>,
    /// The GPU's render node.
    #[xml(attr)]
    pub rendernode: Option<String>,
}

/// `<graphics>`: one server that shows the screen. Which of the parts can be there depends on the type.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Graphics {
    /// Its kind.
    #[xml(attr = "type")]
    pub kind: GraphicsType,
    /// Path of the Unix socket of the first `<listen>` (an older place of it).
    #[xml(attr)]
    pub socket: Option<String>,
    /// The port; `-1` when it is chosen at the start.
    #[xml(attr, shown = "Graphics::shown_port")]
    pub port: Option<i32>,
    /// Is the port chosen at the start?
    #[xml(attr, with = "yes_no")]
    pub autoport: Option<bool>,
    /// The port for browsers; `-1` when it is chosen at the start (vnc).
    #[xml(attr, shown = "Graphics::shown_websocket")]
    pub websocket: Option<i32>,
    /// Was that port chosen at the start? Then it belongs to the run.
    #[xml(attr = "websocketGenerated", with = "yes_no", live, secret)]
    pub websocket_generated: Option<bool>,
    /// The address of the first `<listen>` (an older place of it).
    #[xml(attr, when = "Graphics::shows_listen")]
    pub listen: Option<String>,
    /// Keyboard layout.
    #[xml(attr)]
    pub keymap: Option<String>,
    /// What a second client leads to (vnc).
    #[xml(attr = "sharePolicy")]
    pub share_policy: Option<SharePolicy>,
    /// May clients turn the guest off (vnc)?
    #[xml(attr = "powerControl", with = "yes_no")]
    pub power_control: Option<bool>,
    /// The password.
    #[xml(attr, secret)]
    pub passwd: Option<String>,
    /// Until when the password counts, in UTC.
    #[xml(attr = "passwdValidTo")]
    pub passwd_valid_to: Option<String>,
    /// What a new password does to a client that is connected.
    #[xml(attr)]
    pub connected: Option<Connected>,
    /// The X display (sdl).
    #[xml(attr)]
    pub display: Option<String>,
    /// Path of the X server's cookies (sdl).
    #[xml(attr)]
    pub xauth: Option<String>,
    /// Does the window take the whole screen (sdl)?
    #[xml(attr, with = "yes_no")]
    pub fullscreen: Option<bool>,
    /// Without a bus, from process to process (dbus)?
    #[xml(attr, with = "yes_no")]
    pub p2p: Option<bool>,
    /// Address of the bus (dbus).
    #[xml(attr)]
    pub address: Option<String>,
    /// On what it listens; after `normalize` never empty for servers.
    #[xml(name = "listen")]
    pub listens: Vec<Listen>,
    /// Which GPU of the host draws.
    pub gl: Option<GraphicsGl>,
    /// Which of the host's outputs sound goes to.
    pub audio: Option<AudioUse>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Graphics {
    /// Whether it listens somewhere, on a port or a socket.
    pub fn is_server(&self) -> bool {
        matches!(
            self.kind,
            GraphicsType::Vnc | GraphicsType::Rdp | GraphicsType::Spice
        )
    }

    /// A port that was chosen at the start belongs to the run.
    fn shown_port(&self, form: &Form) -> Option<i32> {
        if form.inactive && self.autoport == Some(true) {
            Some(-1)
        } else {
            self.port
        }
    }

    fn shown_websocket(&self, form: &Form) -> Option<i32> {
        if form.inactive && self.websocket_generated == Some(true) {
            Some(-1)
        } else {
            self.websocket
        }
    }

    /// The address of a network belongs to the run.
    fn shows_listen(&self, form: &Form) -> bool {
        !form.inactive
            || self
                .listens
                .first()
                .is_none_or(|first| first.kind != ListenType::Network)
    }
}
