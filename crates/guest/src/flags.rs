//! What a request may say beside its name.

use tokio_util::sync::CancellationToken;

/// How a guest is started.
#[derive(Debug, Clone, Default)]
pub struct StartFlags {
    /// Leave the CPUs stopped (`virsh start --paused`).
    pub paused: bool,
    /// The guest is destroyed when this token is cancelled: the life of the client's connection
    /// (`virsh start --autodestroy`).
    pub autodestroy: Option<CancellationToken>,
    /// What the firmware stores is made anew (`virsh start --reset-nvram`).
    pub reset_nvram: bool,
}

/// Among the facts of a run: what the firmware stores is made anew.
pub const RESET_NVRAM: &str = "reset-nvram";

/// Among the facts of a run: the guest's process has a `/dev` of its own.
pub const PRIVATE_DEV: &str = "private-dev";

/// Among the facts of a run: another daemon, libvirtd, began it, and noted elsewhere what it had taken for it.
pub const FOREIGN: &str = "foreign";

/// What becomes of a guest's files when its definition goes: removed, kept, or nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// What the firmware stores.
    pub nvram: Option<bool>,
    /// What the TPM stores.
    pub tpm: Option<bool>,
}

/// How a guest is destroyed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DestroyFlags {
    /// Never use SIGKILL; fail when the process does not go by itself.
    pub graceful: bool,
}

/// By which way a guest is asked to power off or to reboot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShutdownMode {
    /// What the hypervisor thinks best.
    #[default]
    Default,
    /// The power button.
    Acpi,
    /// The agent inside the guest.
    Agent,
    /// The control pipe of the guest's init.
    Initctl,
    /// A signal to the guest's init.
    Signal,
}

/// Which of a guest's documents a change is for. Neither: the live one of a running guest, else the persistent one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Affect {
    /// The running guest.
    pub live: bool,
    /// The definition on disk.
    pub config: bool,
}

impl Affect {
    /// Whether the running guest is meant, given whether it runs.
    pub(crate) fn is_live(self, active: bool) -> bool {
        self.live || (active && !self.config)
    }
}

/// A change of what people write about a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// `<title>`; `None` removes it.
    Title(Option<String>),
    /// `<description>`; `None` removes it.
    Description(Option<String>),
    /// The element of one namespace inside `<metadata>`; `None` removes it.
    Element {
        /// The namespace.
        uri: String,
        /// The prefix to declare for it.
        key: String,
        /// The element as text, without its prefix.
        xml: Option<String>,
    },
}
