//! What firmware and guest are told: `-smbios`, `-fw_cfg`, `-acpitable`, the generation.

use ferrovirt_model::domain::{AcpiTableType, Domain, SmbiosInfo, SmbiosMode, SysInfo, SysInfoTable};

use super::json::Object;
use super::{Arguments, Context, escaped};
use crate::error::{Error, Result};

/// SMBIOS tables, files of the firmware, the generation.
pub(super) fn told(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    let doc = context.doc;
    match doc.os.smbios.map(|smbios| smbios.mode) {
        None | Some(SmbiosMode::Emulate) => {}
        Some(SmbiosMode::Host) => {
            let Some(tables) = &context.given.host_smbios else {
                return Err(Error::unsupported(
                    "Host SMBIOS information ('smbios') is not available",
                ));
            };
            smbios(tables, args)?;
        }
        Some(SmbiosMode::Sysinfo) => smbios(own(doc)?, args)?,
    }
    for info in &doc.sysinfos {
        let SysInfo::Fwcfg(files) = info else { continue };
        for entry in &files.entries {
            let name = escaped(&entry.name);
            args.add(
                "-fw_cfg",
                match &entry.file {
                    Some(file) => format!("name={name},file={}", escaped(file)),
                    None => format!("name={name},string={}", escaped(&entry.value)),
                },
            );
        }
    }
    if let Some(id) = doc.generation_id.and_then(|generation| generation.0) {
        let object = Object::driver("vmgenid").text("guid", &id.to_string());
        args.device(object.text("id", "vmgenid0"));
    }
    Ok(())
}

/// The document's tables.
fn own(doc: &Domain) -> Result<&SmbiosInfo> {
    let mut tables = doc.sysinfos.iter().filter_map(|info| match info {
        SysInfo::Smbios(tables) => Some(tables),
        SysInfo::Fwcfg(_) => None,
    });
    tables
        .next()
        .ok_or_else(|| Error::Xml(format!("Domain '{}' sysinfo are not available", doc.name)))
}

fn smbios(info: &SmbiosInfo, args: &mut Arguments) -> Result<()> {
    if info.base_boards.len() > 1 {
        return Err(Error::unsupported(
            "qemu does not support more than one entry to Type 2 ('baseBoard') in SMBIOS table",
        ));
    }
    let tables = [
        (0, info.bios.as_ref()),
        (1, info.system.as_ref()),
        (2, info.base_boards.first()),
        (3, info.chassis.as_ref()),
    ];
    for (number, table) in tables {
        if let Some(table) = table {
            // As libvirt has it: a board has a manufacturer, if only an empty one.
            let first = match number {
                2 if table.value("manufacturer").is_none() => ",manufacturer=",
                _ => "",
            };
            args.add("-smbios", format!("type={number}{first}{}", values(table)));
        }
    }
    if let Some(strings) = &info.oem_strings {
        let values = strings.entries.iter();
        let values: String = values.map(|text| format!(",value={}", escaped(text))).collect();
        args.add("-smbios", format!("type=11{values}"));
    }
    Ok(())
}

fn values(table: &SysInfoTable) -> String {
    let entries = table.entries.iter();
    entries
        .map(|entry| format!(",{}={}", entry.name, escaped(&entry.value)))
        .collect()
}

/// ACPI tables from files.
pub(super) fn tables(context: &Context<'_>, args: &mut Arguments) {
    for table in context.doc.os.acpi.iter().flat_map(|acpi| &acpi.tables) {
        let signature = match table.kind {
            AcpiTableType::Slic => "sig=SLIC,",
            AcpiTableType::Msdm => "sig=MSDM,",
            AcpiTableType::Raw | AcpiTableType::Rawset => "",
        };
        args.add("-acpitable", format!("{signature}file={}", escaped(&table.path)));
    }
}
