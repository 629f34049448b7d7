//! What is booted on which machine, what the machine has, how its clock runs, and what the ends of a run lead to.

use super::capability::Capabilities;
use crate::cpuset::CpuSet;
use ferrovirt_xml::values::{on_off, yes_no};
use ferrovirt_xml::{Rest, Xml};

/// How the number of host CPUs is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum VcpuPlacement {
    /// As written.
    #[default]
    Static,
    /// By an advisory service.
    Auto,
}

/// `<vcpu>`: number of CPUs.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Vcpu {
    /// Where they run.
    #[xml(attr, default)]
    pub placement: VcpuPlacement,
    /// On which of the host's CPUs they run.
    #[xml(attr)]
    pub cpuset: Option<CpuSet>,
    /// How many are there at boot, if less than `count`.
    #[xml(attr)]
    pub current: Option<u32>,
    /// How many there can be.
    #[xml(text)]
    pub count: u32,
}

impl Default for Vcpu {
    fn default() -> Self {
        Self {
            placement: VcpuPlacement::Static,
            cpuset: None,
            current: None,
            count: 1,
        }
    }
}

/// `<os><type>`: kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct OsType {
    /// CPU architecture by libvirt's name.
    #[xml(attr)]
    pub arch: Option<String>,
    /// Machine type by QEMU's name.
    #[xml(attr)]
    pub machine: Option<String>,
    /// `hvm` for a whole machine, `exe` for a container.
    #[xml(text)]
    pub kind: String,
}

/// From what a guest boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum BootDevice {
    /// Floppy disk.
    Fd,
    /// Hard disk.
    Hd,
    /// CD-ROM.
    Cdrom,
    /// Network.
    Network,
}

/// `<bootmenu>`: does the firmware offer a choice?
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct BootMenu {
    /// Is it shown?
    #[xml(attr, with = "yes_no")]
    pub enable: bool,
    /// How long it waits, in milliseconds.
    #[xml(attr)]
    pub timeout: Option<u32>,
}

/// `<initenv>`: a variable of a container's first process.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct InitEnv {
    /// Its name.
    #[xml(attr)]
    pub name: String,
    /// Its value.
    #[xml(text)]
    pub value: String,
}

/// `<os>`: what is booted.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Os {
    /// Kind of machine.
    #[xml(name = "type")]
    pub kind: OsType,
    /// Path of a container's first process, inside.
    pub init: Option<String>,
    /// Its arguments.
    #[xml(name = "initarg")]
    pub init_args: Vec<String>,
    /// Its environment, beside what each has.
    #[xml(name = "initenv")]
    pub init_env: Vec<InitEnv>,
    /// Its working directory, inside.
    #[xml(name = "initdir")]
    pub init_dir: Option<String>,
    /// Its user by name or number.
    #[xml(name = "inituser")]
    pub init_user: Option<String>,
    /// Its group by name or number.
    #[xml(name = "initgroup")]
    pub init_group: Option<String>,
    /// Path of a kernel on the host.
    pub kernel: Option<String>,
    /// Path of its initial RAM disk.
    pub initrd: Option<String>,
    /// Its command line.
    pub cmdline: Option<String>,
    /// Boot order by class of device.
    #[xml(child = "boot", attr = "dev")]
    pub boot: Vec<BootDevice>,
    /// The firmware's menu.
    #[xml(name = "bootmenu")]
    pub boot_menu: Option<BootMenu>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

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
    /// Paravirtual spin locks.
    pub pvspinlock: Option<Switch>,
    /// Performance counters.
    pub pmu: Option<Switch>,
    /// VMware's I/O port.
    pub vmport: Option<Switch>,
    /// A note about the running kernel for memory dumps.
    pub vmcoreinfo: Option<Switch>,
    /// Which of Linux's capabilities a container keeps.
    pub capabilities: Option<Capabilities>,
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

/// What the guest's clock is set to at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum ClockOffset {
    /// UTC.
    #[default]
    Utc,
    /// The host's local time.
    Localtime,
}

/// `<clock>`: the clock and its timers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Clock {
    /// What the clock is set to at boot.
    #[xml(attr, default)]
    pub offset: ClockOffset,
    /// The timers.
    #[xml(name = "timer")]
    pub timers: Vec<Timer>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// Which timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TimerName {
    /// Whatever the platform has.
    Platform,
    /// Programmable interval timer.
    Pit,
    /// Real-time clock.
    Rtc,
    /// High precision event timer.
    Hpet,
    /// Time stamp counter.
    Tsc,
    /// KVM's paravirtual clock.
    Kvmclock,
    /// Hyper-V's reference clock.
    Hypervclock,
    /// ARM's virtual timer.
    Armvtimer,
}

/// What happens to ticks that a guest missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TickPolicy {
    /// They come late, at the normal rate.
    Delay,
    /// They come faster until the guest has caught up.
    Catchup,
    /// They become one.
    Merge,
    /// They are dropped.
    Discard,
}

/// `<timer>`: one timer.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Timer {
    /// Which one.
    #[xml(attr)]
    pub name: TimerName,
    /// What happens to missed ticks.
    #[xml(attr = "tickpolicy")]
    pub tick_policy: Option<TickPolicy>,
    /// Does the guest see it?
    #[xml(attr, with = "yes_no")]
    pub present: Option<bool>,
}

/// What the end of a run leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum Lifecycle {
    /// The guest ends.
    #[default]
    Destroy,
    /// It starts again.
    Restart,
    /// It starts again under another name.
    RenameRestart,
    /// It stays as it is, not running.
    Preserve,
}

/// What a crash leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum CrashLifecycle {
    /// The guest ends.
    #[default]
    Destroy,
    /// It starts again.
    Restart,
    /// It starts again under another name.
    RenameRestart,
    /// It stays as it is, not running.
    Preserve,
    /// Its memory is dumped, then it ends.
    CoredumpDestroy,
    /// Its memory is dumped, then it starts again.
    CoredumpRestart,
}

/// `<pm>`: which sleep states the firmware offers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct PowerManagement {
    /// S3.
    #[xml(name = "suspend-to-mem")]
    pub suspend_to_mem: Option<Power>,
    /// S4.
    #[xml(name = "suspend-to-disk")]
    pub suspend_to_disk: Option<Power>,
}

/// One sleep state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct Power {
    /// Is it offered?
    #[xml(attr, with = "yes_no")]
    pub enabled: Option<bool>,
}
