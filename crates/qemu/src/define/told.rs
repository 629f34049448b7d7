//! What firmware and guest are told, counters, and QEMU's own namespace: what would have no effect is refused.

use ferrovirt_model::domain::{AcpiTableType, Domain, FwCfgEntry, SysInfo};

use crate::error::{Error, Result};

/// libvirt's names of what every QEMU can do that it still runs: taking one away or adding it means nothing any more.
const OBSOLETE: &str = "kqemu vnc-colon no-reboot drive drive-boot name uuid domid vnet-hdr migrate-kvm-stdio \
    migrate-qemu-tcp migrate-qemu-exec drive-cache-v2 drive-format vga 0.10 pci-device mem-path drive-serial \
    xen-domid migrate-qemu-unix chardev enable-kvm monitor-json balloon device sdl smp-topology netdev rtc \
    vhost-net rtc-td-hack no-kvm-pit tdf pci-configfd nodefconfig boot-menu enable-kqemu fsdev nesting \
    name-process drive-readonly smbios-type vga-qxl vga-none migrate-qemu-fd boot-index drive-aio pci-multibus \
    pci-bootindex chardev-spicevmc device-spicevmc device-qxl-vga pci-multifunction no-shutdown no-user-config";

/// Refuses what would have no effect.
pub(super) fn settle(doc: &Domain) -> Result<()> {
    let tables = doc.os.acpi.iter().flat_map(|acpi| &acpi.tables);
    if tables
        .into_iter()
        .any(|table| table.kind == AcpiTableType::Rawset)
    {
        return Err(Error::unsupported("ACPI table type 'rawset' is not supported"));
    }
    for info in &doc.sysinfos {
        if let SysInfo::Fwcfg(files) = info {
            files.entries.iter().try_for_each(firmware_file)?;
        }
    }
    let mut counters = doc.perf.iter().flat_map(|perf| &perf.events);
    if let Some(event) = counters.find(|event| event.enabled) {
        return Err(Error::unsupported(format!(
            "not supported: perf event '{}'",
            event.name
        )));
    }
    let corrections = doc.qemu_capabilities.iter();
    for correction in corrections.flat_map(|all| all.add.iter().chain(&all.del)) {
        let name = correction.capability.as_str();
        if !OBSOLETE.split_whitespace().any(|known| known == name) {
            return Err(Error::unsupported(format!(
                "not supported: capability '{name}' in qemu:capabilities"
            )));
        }
    }
    deprecation(doc)
}

/// Names outside `opt/` are QEMU's own, and some below belong to others.
fn firmware_file(entry: &FwCfgEntry) -> Result<()> {
    let name = &entry.name;
    if !name.starts_with("opt/") {
        return Err(Error::unsupported(format!("Invalid firmware name '{name}'")));
    }
    if name.starts_with("opt/ovmf/") || name.starts_with("opt/org.qemu/") {
        return Err(Error::unsupported(format!(
            "That firmware name is reserved: '{name}'"
        )));
    }
    Ok(())
}

fn deprecation(doc: &Domain) -> Result<()> {
    let behavior = doc
        .qemu_deprecation
        .as_ref()
        .and_then(|given| given.behavior.as_deref());
    match behavior {
        None | Some("none" | "omit" | "reject" | "crash") => Ok(()),
        Some(other) => Err(Error::unsupported(format!(
            "not supported: behavior '{other}' in qemu:deprecation"
        ))),
    }
}
