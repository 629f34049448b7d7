//! Resetting a device that no guest has.

use super::bind::write;
use super::config::{Config, HeaderType};
use super::{PciAddress, is_for_guests, present};
use crate::error::Error;
use crate::places::Places;
use crate::sysfs;

/// Resets a device under the driver that it has. What a driver for guests has is reset when a guest opens it and lets it go, and
/// so is what can be reset alone: nothing is done about either. `detached` says which devices the host has given up.
pub(super) fn reset(
    places: &Places,
    address: PciAddress,
    detached: &dyn Fn(PciAddress) -> bool,
) -> Result<(), Error> {
    let dir = present(places, address)?;
    let config = Config::read(&dir);
    if config.as_ref().map(Config::header_type) != Some(HeaderType::Endpoint) {
        return Err(Error::ResetNotEndpoint(address));
    }
    let can = |how: fn(&Config) -> bool| config.as_ref().is_some_and(how);
    if is_for_guests(&dir) || can(Config::has_function_reset) {
        return Ok(());
    }
    let impossible = |reason: String| Error::Reset { address, reason };
    if !can(Config::has_power_reset) {
        // What is left resets the whole bus, where others may be at work. The root's has no end.
        let neighbour = (address.bus != 0)
            .then(|| neighbour(places, address, detached))
            .flatten();
        if let Some(neighbour) = neighbour {
            let text = format!(
                "internal error: Active {neighbour} devices on bus with {address}, not doing bus reset"
            );
            return Err(impossible(text));
        }
    }
    // The kernel tries the same ways, and tells the driver.
    let file = dir.join("reset");
    if !file.exists() {
        return Err(impossible("no FLR, PM reset or bus reset available".to_owned()));
    }
    write(&file, "1", "reset", address).map_err(|error| match error {
        Error::Sysfs { reason, .. } => impossible(reason),
        other => other,
    })
}

/// The first other device of the bus that the host has not given up.
fn neighbour(
    places: &Places,
    address: PciAddress,
    detached: &dyn Fn(PciAddress) -> bool,
) -> Option<PciAddress> {
    let names = sysfs::names(&places.sys.join("bus/pci/devices"));
    let others = names.iter().filter_map(|name| name.parse::<PciAddress>().ok());
    others
        .filter(|other| (other.domain, other.bus) == (address.domain, address.bus) && *other != address)
        .filter(|other| !detached(*other))
        .min()
}
