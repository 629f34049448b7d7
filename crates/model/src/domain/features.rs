//! `<features>`: what the machine has.

use super::capability::Capabilities;
use super::hyperv::Hyperv;
use crate::Kib;
use ferrovirt_xml::values::{on_off, yes_no};
use ferrovirt_xml::{Cursor, Element, Rest, Shape, Writer, Xml, XmlError, parse};

/// `<features>`: what the machine has. Flags are elements without content; the rest is `state='on'` or `'off'`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Features {
    /// ACPI.
    #[xml(flag)]
    pub acpi: bool,
    /// Programmable interrupt controller.
    pub apic: Option<Apic>,
    /// Physical address extension.
    #[xml(flag)]
    pub pae: bool,
    /// Hardware assisted paging.
    pub hap: Option<Switch>,
    /// Paravirtual extensions of Hyper-V (Xen's name for them).
    #[xml(flag)]
    pub viridian: bool,
    /// A private network name space.
    #[xml(flag)]
    pub privnet: bool,
    /// Enlightenments of Hyper-V.
    pub hyperv: Option<Hyperv>,
    /// What KVM does other than usual.
    pub kvm: Option<KvmFeatures>,
    /// Paravirtual spin locks.
    pub pvspinlock: Option<Switch>,
    /// Which of Linux's capabilities a container keeps.
    pub capabilities: Option<Capabilities>,
    /// Performance counters.
    pub pmu: Option<Switch>,
    /// VMware's I/O port.
    pub vmport: Option<Switch>,
    /// System management mode.
    pub smm: Option<Smm>,
    /// Who emulates the I/O interrupt controller.
    #[xml(child = "ioapic", attr = "driver")]
    pub ioapic: Option<IoapicDriver>,
    /// A note about the running kernel for memory dumps.
    pub vmcoreinfo: Option<Switch>,
    /// What happens at registers that nobody knows (bhyve's; QEMU's guests have no use for it).
    #[xml(child = "msrs", attr = "unknown")]
    pub msrs: Option<MsrsUnknown>,
    /// What only Xen does.
    pub xen: Option<XenFeatures>,
    /// What QEMU's own emulation does other than usual.
    pub tcg: Option<TcgFeatures>,
    /// Memory is given back after the end of the process.
    #[xml(name = "async-teardown")]
    pub async_teardown: Option<AsyncTeardown>,
    /// The controller of PS/2 devices.
    pub ps2: Option<State>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// `<apic>`: the interrupt controller.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Apic {
    /// End of interrupt without an exit.
    #[xml(attr, with = "on_off")]
    pub eoi: Option<bool>,
}

/// A feature with a state; without one it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct Switch {
    /// On or off.
    #[xml(attr, with = "on_off", default = "true")]
    pub state: bool,
}

/// A feature whose state must be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct State {
    /// On or off.
    #[xml(attr, with = "on_off")]
    pub state: bool,
}

/// `<kvm>`: what KVM does other than usual.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
#[xml(stay_open)]
pub struct KvmFeatures {
    /// The guest is not told that it is one of KVM's.
    pub hidden: Option<State>,
    /// Each virtual CPU has one of the host's for itself.
    #[xml(name = "hint-dedicated")]
    pub hint_dedicated: Option<State>,
    /// The guest decides how long the host waits before it lets go of an idle CPU.
    #[xml(name = "poll-control")]
    pub poll_control: Option<State>,
    /// Interrupts between CPUs by a call instead of the controller.
    #[xml(name = "pv-ipi")]
    pub pv_ipi: Option<State>,
    /// Pages that were written to are listed in a ring.
    #[xml(name = "dirty-ring")]
    pub dirty_ring: Option<DirtyRing>,
}

/// `<dirty-ring>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct DirtyRing {
    /// On or off.
    #[xml(attr, with = "on_off")]
    pub state: bool,
    /// Its entries; only when it is on: a power of 2 from 1024 to 65536.
    #[xml(attr)]
    pub size: Option<u32>,
}

/// `<smm>`: system management mode.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Smm {
    /// On or off.
    #[xml(attr, with = "on_off", default = "true")]
    pub state: bool,
    /// How much memory it has above the usual segment; `normalize` drops it where the mode is off.
    pub tseg: Option<Tseg>,
}

/// `<tseg>`: an amount of memory in bytes, MiB where no unit is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tseg(pub u64);

/// Units as they are written, the largest first.
const UNITS: &[(&str, u32)] = &[("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// By hand: the unit that is written is the largest that leaves a whole number.
impl Element for Tseg {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        let unit: Option<String> = cursor.attribute("unit", parse)?;
        let amount: u64 = cursor.text_value(parse)?;
        let unit = unit.as_deref().unwrap_or("MiB");
        let bytes = crate::units::bytes(amount, unit).map_err(|why| cursor.invalid(why))?;
        let bytes = u64::try_from(bytes)
            .ok()
            .filter(|bytes| *bytes <= Kib::MAX.bytes());
        bytes
            .map(Self)
            .ok_or_else(|| cursor.invalid(format!("value too large: {amount}{unit}")))
    }

    fn attributes(&self, out: &mut Writer) {
        out.attribute("unit", self.pretty().1);
    }

    fn content(&self, out: &mut Writer) {
        out.text(self.pretty().0);
    }

    fn shape(shape: &mut Shape) {
        shape.attribute("unit", "Unit of the size.");
        shape.text();
    }
}

impl Tseg {
    fn pretty(self) -> (u64, &'static str) {
        let fits = |(_, shift): &&(&str, u32)| self.0 != 0 && self.0.trailing_zeros() >= *shift;
        match UNITS.iter().find(fits) {
            Some((unit, shift)) => (self.0 >> shift, unit),
            None => (self.0, "B"),
        }
    }
}

/// Who emulates the I/O interrupt controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum IoapicDriver {
    /// The kernel.
    Kvm,
    /// QEMU, beside the kernel's other controllers.
    Qemu,
}

/// What happens at registers that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum MsrsUnknown {
    /// They read as nothing.
    Ignore,
    /// The guest gets a fault.
    Fault,
}

/// `<xen>`: what only Xen does. QEMU's guests have no use for it, and say it all the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
#[xml(stay_open)]
pub struct XenFeatures {
    /// The guest sees the host's memory map.
    pub e820_host: Option<State>,
    /// Devices of the host.
    pub passthrough: Option<XenPassthrough>,
}

/// How Xen maps the memory of a guest for devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum XenPassthroughMode {
    /// Beside the guest's own tables.
    #[xml(name = "sync_pt")]
    SyncPt,
    /// By the guest's own tables.
    #[xml(name = "share_pt")]
    SharePt,
}

/// `<xen><passthrough>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct XenPassthrough {
    /// On or off.
    #[xml(attr, with = "on_off")]
    pub state: bool,
    /// How the memory is mapped.
    #[xml(attr)]
    pub mode: Option<XenPassthroughMode>,
}

/// `<tcg>`: what QEMU's own emulation does other than usual.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct TcgFeatures {
    /// Size of the cache of translated code.
    #[xml(name = "tb-cache")]
    pub tb_cache: Option<Kib>,
}

/// `<async-teardown>`: memory is given back after the end of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct AsyncTeardown {
    /// Is it?
    #[xml(attr, with = "yes_no", default = "true")]
    pub enabled: bool,
}
