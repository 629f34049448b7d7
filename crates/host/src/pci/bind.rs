//! What is written to sysfs. All of it blocks, some of it for ever if a driver does not let go: only for threads of their own.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::config::{Config, HeaderType};
use super::{PciAddress, driver, present};
use crate::error::{Error, words};
use crate::places::Places;
use crate::sysfs;

/// Gives a device to a driver by its name. Nothing is written if that has it already.
///
/// The name is written down as the only one that may have the device; then it is taken from its driver, and the kernel looks for
/// one anew.
pub(super) fn give(places: &Places, address: PciAddress, name: &str) -> Result<(), Error> {
    let dir = present(places, address)?;
    if driver(&dir).as_deref() == Some(name) {
        return Ok(());
    }
    write(&dir.join("driver_override"), name, "set the driver of", address)?;
    rebind(places, &dir, address)?;
    match driver(&dir) {
        Some(found) if found == name => Ok(()),
        // Drivers for guests take no bridges, but nobody else has them then.
        None if Config::read(&dir).is_none_or(|config| config.header_type() != HeaderType::Endpoint) => {
            Ok(())
        }
        found => Err(Error::NotBound {
            address,
            driver: name.to_owned(),
            found,
        }),
    }
}

/// Gives a device back to whichever of the host's drivers wants it; always, also if one has it.
pub(super) fn give_back(places: &Places, address: PciAddress) -> Result<(), Error> {
    let dir = present(places, address)?;
    write(&dir.join("driver_override"), "\n", "give back", address)?;
    rebind(places, &dir, address)
}

fn rebind(places: &Places, dir: &Path, address: PciAddress) -> Result<(), Error> {
    if driver(dir).is_some() {
        write(
            &dir.join("driver/unbind"),
            &address.to_string(),
            "unbind",
            address,
        )?;
    }
    let probe = places.sys.join("bus/pci/drivers_probe");
    write(&probe, &address.to_string(), "find a driver for", address)
}

pub(super) fn write(path: &Path, text: &str, action: &'static str, address: PciAddress) -> Result<(), Error> {
    let opened = OpenOptions::new().write(true).open(path);
    // In one piece: the kernel acts on each write.
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    #[cfg(test)]
    crate::testing::react(path, text);
    written.map_err(|error| Error::Sysfs {
        action,
        address,
        reason: words(&error),
    })
}

/// The name of the driver that a module or a driver of this name is; loads the module if need be.
pub(super) fn load(places: &Places, name: &str) -> Result<String, Error> {
    let drivers = places.sys.join("bus/pci/drivers");
    // A name, not a path, and nothing that modprobe takes for an option.
    let sane = !name.is_empty() && !name.starts_with(['-', '.']) && !name.contains('/');
    if !sane {
        return Err(Error::Module {
            module: name.to_owned(),
            reason: "this is no name of a module".to_owned(),
        });
    }
    if drivers.join(name).is_dir() {
        return Ok(name.to_owned());
    }
    // What is part of the kernel need not be loaded.
    if !places.sys.join("module").join(name.replace('-', "_")).is_dir() {
        modprobe(places, name)?;
    }
    if drivers.join(name).is_dir() {
        return Ok(name.to_owned());
    }
    // A module is not always called as its driver.
    let module = places.sys.join("module").join(name.replace('-', "_"));
    let entries = std::fs::read_dir(module.join("drivers")).map_err(|error| Error::Directory {
        path: format!("/sys/module/{}/drivers", name.replace('-', "_")).into(),
        reason: words(&error),
    })?;
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut drivers = names.filter_map(|name| name.strip_prefix("pci:").map(str::to_owned));
    drivers.next().ok_or_else(|| Error::Module {
        module: name.to_owned(),
        reason: "it has no driver for PCI devices".to_owned(),
    })
}

fn modprobe(places: &Places, name: &str) -> Result<(), Error> {
    let failed = |reason: String| Error::Module {
        module: name.to_owned(),
        reason,
    };
    let output = Command::new(&places.modprobe)
        .args(["-b", "--", name])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(words(&error)))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(
            String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
        )),
    }
}

/// The names of driver and override, for the register.
pub(super) fn overridden(dir: &Path) -> Option<String> {
    sysfs::word(&dir.join("driver_override")).filter(|name| name != "(null)")
}
