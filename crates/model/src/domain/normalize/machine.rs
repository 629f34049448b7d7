//! What firmware and guest are told of the machine: ACPI tables, SMBIOS, files of the firmware, identities, counters.

use super::{inconsistent, unsupported};
use crate::Uuid;
use crate::domain::{
    AcpiTableType, AcpiTables, Bios, Domain, GenerationId, Os, Perf, PowerManagement, SmbiosInfo, SysInfo,
    SysInfoTable,
};
use ferrovirt_xml::XmlError;

/// Completes all of it.
pub(super) fn normalize(doc: &mut Domain) -> Result<(), XmlError> {
    if let Some(GenerationId(id)) = &mut doc.generation_id {
        id.get_or_insert_with(Uuid::random);
    }
    normalize_os(&mut doc.os)?;
    let uuid = doc.uuid;
    let smbios = |info: &&SysInfo| matches!(info, SysInfo::Smbios(_));
    if doc.sysinfos.iter().filter(smbios).count() > 1 {
        return Err(unsupported("more than one <sysinfo> with type='smbios'"));
    }
    for info in &mut doc.sysinfos {
        match info {
            SysInfo::Smbios(smbios) => normalize_smbios(smbios, uuid)?,
            SysInfo::Fwcfg(files) => files.entries.iter_mut().try_for_each(check_file)?,
        }
    }
    normalize_power(&mut doc.pm);
    normalize_perf(&mut doc.perf)
}

/// Sleep states of which nothing is said.
fn normalize_power(pm: &mut Option<PowerManagement>) {
    if let Some(pm) = pm {
        for state in [&mut pm.suspend_to_mem, &mut pm.suspend_to_disk] {
            state.take_if(|state| state.enabled.is_none());
        }
    }
    pm.take_if(|pm| *pm == PowerManagement::default());
}

fn normalize_os(os: &mut Os) -> Result<(), XmlError> {
    os.bios.take_if(|bios| *bios == Bios::default());
    if let Some(timeout) = os.bios.as_ref().and_then(|bios| bios.reboot_timeout)
        && !(-1..=65535).contains(&timeout)
    {
        return Err(unsupported(
            "invalid value for rebootTimeout, must be in range [-1,65535]",
        ));
    }
    os.acpi.take_if(|acpi| *acpi == AcpiTables::default());
    for kind in [AcpiTableType::Rawset, AcpiTableType::Slic, AcpiTableType::Msdm] {
        let tables = os.acpi.iter().flat_map(|acpi| &acpi.tables);
        if tables.filter(|table| table.kind == kind).count() > 1 {
            let text = format!("ACPI table type '{kind}' may only appear once");
            return Err(inconsistent(text));
        }
    }
    Ok(())
}

/// Entries of each table in the table's order.
const BIOS: &[&str] = &["vendor", "version", "date", "release"];
const SYSTEM: &[&str] = &[
    "manufacturer",
    "product",
    "version",
    "serial",
    "uuid",
    "sku",
    "family",
];
const BOARD: &[&str] = &[
    "manufacturer",
    "product",
    "version",
    "serial",
    "asset",
    "location",
];
const CHASSIS: &[&str] = &["manufacturer", "version", "serial", "asset", "sku"];

fn normalize_smbios(info: &mut SmbiosInfo, uuid: Option<Uuid>) -> Result<(), XmlError> {
    for (table, element, order) in [
        (&mut info.bios, "bios", BIOS),
        (&mut info.system, "system", SYSTEM),
        (&mut info.chassis, "chassis", CHASSIS),
    ] {
        if let Some(table) = table {
            sort(table, element, order)?;
        }
        table.take_if(|table| table.entries.is_empty());
    }
    for board in &mut info.base_boards {
        sort(board, "baseBoard", BOARD)?;
    }
    info.base_boards.retain(|board| !board.entries.is_empty());
    info.oem_strings.take_if(|strings| strings.entries.is_empty());
    if let Some(date) = info.bios.as_ref().and_then(|bios| bios.value("date"))
        && !is_date(date)
    {
        return Err(inconsistent("Invalid BIOS 'date' format"));
    }
    let told = info.system.as_mut().and_then(|system| {
        let mut entries = system.entries.iter_mut();
        entries.find(|entry| entry.name == "uuid")
    });
    if let Some(entry) = told {
        let Ok(own) = entry.value.parse::<Uuid>() else {
            return Err(inconsistent("malformed <sysinfo> uuid element"));
        };
        if uuid.is_some_and(|uuid| uuid != own) {
            return Err(inconsistent("UUID mismatch between <uuid> and <sysinfo>"));
        }
        entry.value = own.to_string();
    }
    Ok(())
}

impl SysInfoTable {
    /// The value of this name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        entry.map(|entry| entry.value.as_str())
    }
}

/// Puts entries into the table's order; those without a value are not there.
fn sort(table: &mut SysInfoTable, element: &str, order: &[&str]) -> Result<(), XmlError> {
    table.entries.retain(|entry| !entry.value.is_empty());
    let rank = |name: &str| order.iter().position(|known| *known == name);
    if let Some(entry) = table.entries.iter().find(|entry| rank(&entry.name).is_none()) {
        let text = format!("entry '{}' in element '{element}' of <sysinfo>", entry.name);
        return Err(unsupported(text));
    }
    table.entries.sort_by_key(|entry| rank(&entry.name));
    match table.entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(twice) => Err(inconsistent(format!(
            "entry '{}' in element '{element}' of <sysinfo> more than once",
            twice[0].name
        ))),
        None => Ok(()),
    }
}

/// `month/day/year`; the year in two digits, or in four from 1900 on.
fn is_date(text: &str) -> bool {
    let parts: Vec<Option<u32>> = text.split('/').map(|part| part.parse().ok()).collect();
    let [Some(month), Some(day), Some(year)] = parts[..] else {
        return false;
    };
    (1..=12).contains(&month) && (1..=31).contains(&day) && (year <= 99 || (1900..=9999).contains(&year))
}

fn check_file(entry: &mut crate::domain::FwCfgEntry) -> Result<(), XmlError> {
    let name = &entry.name;
    entry.file.take_if(|file| file.is_empty());
    match (&entry.file, entry.value.is_empty()) {
        (None, true) => Err(inconsistent(
            "Firmware entry must have either value or 'file' attribute",
        )),
        (Some(_), false) => Err(unsupported(format!(
            "firmware entry '{name}' with a value and a 'file'"
        ))),
        _ => Ok(()),
    }
}

fn normalize_perf(perf: &mut Option<Perf>) -> Result<(), XmlError> {
    if let Some(perf) = perf {
        let mut names: Vec<_> = perf.events.iter().map(|event| event.name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(inconsistent(format!(
                "perf event '{}' was already specified",
                twice[0]
            )));
        }
        perf.events.sort_by_key(|event| event.name);
    }
    perf.take_if(|perf| perf.events.is_empty());
    Ok(())
}
