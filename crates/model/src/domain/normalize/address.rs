//! Addresses within their limits; aliases and places that no two devices share.

use super::{inconsistent, unsupported};
use crate::domain::{Address, DeviceInfo, Devices, PciAddress};
use ferrovirt_xml::XmlError;

/// Fills in the parts of a PCI address that were left out, and checks its limits.
pub(super) fn normalize(info: &mut DeviceInfo) -> Result<(), XmlError> {
    let Some(Address::Pci(address)) = &mut info.address else {
        return Ok(());
    };
    if !address.is_given() {
        return Ok(());
    }
    let limits = [
        ("domain", &mut address.domain, 0xffff_u32),
        ("bus", &mut address.bus, 0xff),
        ("slot", &mut address.slot, 0x1f),
        ("function", &mut address.function, 7),
    ];
    for (name, value, limit) in limits {
        let value = *value.get_or_insert(0);
        if value > limit {
            let text = format!("Invalid PCI address {name}='0x{value:x}', must be <= 0x{limit:X}");
            return Err(inconsistent(text));
        }
    }
    if address.domain == Some(0) && address.bus == Some(0) && address.slot == Some(0) {
        let text = "Invalid PCI address 0000:00:00, at least one of domain, bus, or slot must be > 0";
        return Err(inconsistent(text));
    }
    Ok(())
}

/// No alias that the user chose and no PCI address is there twice.
pub(super) fn check_unique(infos: &[&DeviceInfo]) -> Result<(), XmlError> {
    let mut aliases: Vec<&str> = infos
        .iter()
        .filter(|info| info.has_user_alias())
        .filter_map(|info| info.alias.as_deref())
        .collect();
    aliases.sort_unstable();
    if let Some(twice) = aliases.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(inconsistent(format!("non unique alias detected: {}", twice[0])));
    }
    let mut places: Vec<_> = infos
        .iter()
        .filter_map(|info| info.pci())
        .filter(|a| a.is_given())
        .map(place)
        .collect();
    places.sort_unstable();
    match places.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(unsupported(format!(
            "Attempted double use of PCI Address {}",
            twice[0]
        ))),
        None => Ok(()),
    }
}

/// Only cards and devices of the host can have a ROM of the user's.
pub(super) fn check_roms(devices: &Devices) -> Result<(), XmlError> {
    let may = devices.interfaces.iter().map(|card| &card.info);
    let may = may.chain(devices.hostdevs.iter().map(|hostdev| &hostdev.info));
    let count =
        |infos: &mut dyn Iterator<Item = &DeviceInfo>| infos.filter(|info| info.rom.is_some()).count();
    match count(&mut devices.infos().into_iter()) > count(&mut may.into_iter()) {
        true => Err(unsupported(
            "not supported: element 'rom' in a device that is neither an interface nor a host device",
        )),
        false => Ok(()),
    }
}

fn place(address: &PciAddress) -> String {
    let part = |value: Option<u32>| value.unwrap_or(0);
    let PciAddress {
        domain,
        bus,
        slot,
        function,
        ..
    } = *address;
    format!(
        "{:04x}:{:02x}:{:02x}.{:x}",
        part(domain),
        part(bus),
        part(slot),
        part(function)
    )
}
