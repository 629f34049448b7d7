//! What the firmware is given besides what it boots: ACPI tables, a serial port to talk to, SMBIOS.

use ferrovirt_xml::Xml;
use ferrovirt_xml::values::yes_no;

/// Which ACPI table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum AcpiTableType {
    /// A table with its own header.
    Raw,
    /// Several tables in one file (Xen's).
    Rawset,
    /// Licence of the system.
    Slic,
    /// Licence of newer systems.
    Msdm,
}

/// `<table>`: an ACPI table from a file.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct AcpiTable {
    /// Which one.
    #[xml(attr = "type")]
    pub kind: AcpiTableType,
    /// Path of the file.
    #[xml(text)]
    pub path: String,
}

/// `<os><acpi>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct AcpiTables {
    /// The tables.
    #[xml(name = "table")]
    pub tables: Vec<AcpiTable>,
}

/// `<bios>`: how the firmware behaves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Bios {
    /// It talks on the first serial port.
    #[xml(attr = "useserial", with = "yes_no")]
    pub use_serial: Option<bool>,
    /// How long it waits before it tries again to boot, in milliseconds; -1 for never.
    #[xml(attr = "rebootTimeout")]
    pub reboot_timeout: Option<i32>,
}

/// Where the SMBIOS tables come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum SmbiosMode {
    /// The hypervisor's own.
    Emulate,
    /// The host's.
    Host,
    /// `<sysinfo>`.
    Sysinfo,
}

/// `<smbios>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct Smbios {
    /// Where they come from.
    #[xml(attr)]
    pub mode: SmbiosMode,
}
