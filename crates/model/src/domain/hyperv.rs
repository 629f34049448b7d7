//! `<hyperv>`: what the guest is offered of what Hyper-V offers, which Windows uses.

use super::features::State;
use ferrovirt_xml::Xml;
use ferrovirt_xml::values::on_off;

/// Who chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum HypervMode {
    /// What is named.
    #[default]
    Custom,
    /// All that the host's kernel can do.
    Passthrough,
}

/// `<hyperv>`: its features in the order in which they are written and in which QEMU is told of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
#[xml(stay_open)]
pub struct Hyperv {
    /// Who chooses.
    #[xml(attr, default)]
    pub mode: HypervMode,
    /// Time limits of the guest are relaxed.
    pub relaxed: Option<State>,
    /// Virtual interrupt controller.
    pub vapic: Option<State>,
    /// How often a spin lock is tried before the host is told.
    pub spinlocks: Option<HypervSpinlocks>,
    /// Index of the CPU.
    pub vpindex: Option<State>,
    /// Time that a CPU ran.
    pub runtime: Option<State>,
    /// Synthetic interrupt controller.
    pub synic: Option<State>,
    /// Synthetic timers.
    pub stimer: Option<HypervStimer>,
    /// Reset by the hypervisor.
    pub reset: Option<State>,
    /// Name of the hypervisor.
    pub vendor_id: Option<HypervVendor>,
    /// Registers with frequencies.
    pub frequencies: Option<State>,
    /// A note at migrations.
    pub reenlightenment: Option<State>,
    /// Flushes of address translations by the hypervisor.
    pub tlbflush: Option<HypervTlbFlush>,
    /// Interrupts between CPUs by the hypervisor.
    pub ipi: Option<State>,
    /// Enlightened control structures of nested guests.
    pub evmcs: Option<State>,
    /// The controller's acceleration by hardware stays on.
    pub avic: Option<State>,
    /// Enlightened bitmap of registers.
    #[xml(name = "emsr_bitmap")]
    pub emsr_bitmap: Option<State>,
    /// Calls by vector registers.
    #[xml(name = "xmm_input")]
    pub xmm_input: Option<State>,
}

/// `<spinlocks>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct HypervSpinlocks {
    /// On or off.
    #[xml(attr, with = "on_off")]
    pub state: bool,
    /// How often; only when it is on, 4095 at least.
    #[xml(attr)]
    pub retries: Option<u32>,
}

/// `<stimer>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct HypervStimer {
    /// On or off.
    #[xml(attr, with = "on_off")]
    pub state: bool,
    /// Expiry by an interrupt of its own instead of a message.
    pub direct: Option<State>,
}

/// `<vendor_id>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct HypervVendor {
    /// On or off.
    #[xml(attr, with = "on_off")]
    pub state: bool,
    /// The name, 12 characters at most; only when it is on.
    #[xml(attr)]
    pub value: Option<String>,
}

/// `<tlbflush>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct HypervTlbFlush {
    /// On or off.
    #[xml(attr, with = "on_off")]
    pub state: bool,
    /// Nested guests may ask directly.
    pub direct: Option<State>,
    /// Ranges of addresses.
    pub extended: Option<State>,
}
