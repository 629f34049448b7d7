//! PCI functions: where they are, what their configuration says, and their way between drivers.

mod address;
mod bind;
pub(crate) mod config;
mod passthrough;
mod reset;
#[cfg(test)]
mod tests;
mod variant;

use std::path::{Path, PathBuf};

pub use address::PciAddress;
pub use passthrough::{Driver, Passthrough, Wanted};

use crate::error::{Error, words};
use crate::places::Places;
use crate::sysfs;

/// The directory of a device.
pub(crate) fn dir(places: &Places, address: PciAddress) -> PathBuf {
    places.sys.join("bus/pci/devices").join(address.to_string())
}

/// The driver that has a device.
pub(crate) fn driver(dir: &Path) -> Option<String> {
    sysfs::link_name(&dir.join("driver"))
}

/// Whether the driver that a device has is one for guests. New kernels say so; of older ones all are called after it.
pub(crate) fn is_for_guests(dir: &Path) -> bool {
    driver(dir).is_some_and(|driver| driver.replace('_', "-").ends_with("vfio-pci"))
        || dir.join("vfio-dev").exists()
}

/// The virtual functions of a device, in the order of their numbers.
pub(crate) fn virtual_functions(dir: &Path) -> Vec<PciAddress> {
    let links = (0..).map_while(|number: u32| sysfs::link_name(&dir.join(format!("virtfn{number}"))));
    links.filter_map(|name| name.parse().ok()).collect()
}

/// A virtual function of a network card, as the physical one knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualFunction {
    /// The interface of the physical function.
    pub interface: String,
    /// Whether that is switched on.
    pub is_up: bool,
    /// The function's number there.
    pub number: u32,
}

/// What a device is a virtual function of; `None` for any other, and where the physical one has no interface.
pub(crate) fn virtual_function(places: &Places, address: PciAddress) -> Option<VirtualFunction> {
    let physical = dir(places, address).join("physfn");
    let functions = virtual_functions(&physical);
    let position = functions.iter().position(|one| *one == address)?;
    let interface = sysfs::names(&physical.join("net")).into_iter().next()?;
    let flags = sysfs::hex(&physical.join("net").join(&interface).join("flags"))?;
    Some(VirtualFunction {
        is_up: flags & IFF_UP != 0,
        number: u32::try_from(position).ok()?,
        interface,
    })
}

/// The flag of an interface that is switched on.
const IFF_UP: u32 = 1;

/// The number of a device's IOMMU group.
pub(crate) fn group(dir: &Path) -> Option<u32> {
    sysfs::link_name(&dir.join("iommu_group"))?.parse().ok()
}

/// The devices of an IOMMU group, by their addresses.
pub(crate) fn members(places: &Places, group: u32) -> Vec<PciAddress> {
    let dir = places.sys.join(format!("kernel/iommu_groups/{group}/devices"));
    let mut members: Vec<PciAddress> = sysfs::names(&dir)
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    members.sort_unstable();
    members
}

/// Whether this machine can give devices to guests at all. Asked each time: a module may have been loaded meanwhile.
pub(crate) fn has_vfio(places: &Places) -> bool {
    !sysfs::names(&places.sys.join("kernel/iommu_groups")).is_empty() && places.dev.join("vfio/vfio").exists()
}

/// Whether a device is on PCI Express; none if it is not there.
pub fn is_express(places: &Places, address: PciAddress) -> Option<bool> {
    Some(config::Config::read(&dir(places, address))?.express().is_some())
}

/// The directory of a device that is there.
fn present(places: &Places, address: PciAddress) -> Result<PathBuf, Error> {
    let dir = dir(places, address);
    let config = dir.join("config");
    match std::fs::metadata(&config) {
        Ok(_) => Ok(dir),
        Err(error) => Err(Error::NoPciDevice {
            address,
            path: PathBuf::from(format!("/sys/bus/pci/devices/{address}/config")),
            reason: words(&error),
        }),
    }
}
