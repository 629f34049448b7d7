//! What is booted on which machine, and what the ends of a run lead to.

use super::bios::{AcpiTables, Bios, Smbios};
use super::firmware::{Firmware, FirmwareKind, Loader, Nvram};
use crate::cpuset::CpuSet;
use ferrovirt_xml::values::yes_no;
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
    /// Which kind of firmware is looked for; none: what the loader says.
    #[xml(attr)]
    pub firmware: Option<FirmwareKind>,
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
    /// What the firmware shall be able to do.
    #[xml(name = "firmware")]
    pub firmware_features: Option<Firmware>,
    /// The firmware.
    pub loader: Option<Loader>,
    /// Where it stores its variables.
    pub nvram: Option<Nvram>,
    /// Path of a kernel on the host.
    pub kernel: Option<String>,
    /// Path of its initial RAM disk.
    pub initrd: Option<String>,
    /// Its command line.
    pub cmdline: Option<String>,
    /// Path of the program that is run before the kernel, to verify it.
    pub shim: Option<String>,
    /// Path of a device tree.
    pub dtb: Option<String>,
    /// ACPI tables from files.
    pub acpi: Option<AcpiTables>,
    /// Boot order by class of device.
    #[xml(child = "boot", attr = "dev")]
    pub boot: Vec<BootDevice>,
    /// The firmware's menu.
    #[xml(name = "bootmenu")]
    pub boot_menu: Option<BootMenu>,
    /// What else the firmware is told.
    pub bios: Option<Bios>,
    /// Where the SMBIOS tables come from.
    pub smbios: Option<Smbios>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
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

/// What the loss of a lock on an image leads to. No lock manager is known here, so no lock is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum LockFailure {
    /// The guest ends.
    Poweroff,
    /// It starts again.
    Restart,
    /// It is paused.
    Pause,
    /// Nothing.
    Ignore,
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
