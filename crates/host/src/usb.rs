//! USB devices: which one is meant, and its node.

use std::path::PathBuf;

use crate::error::Error;
use crate::places::Places;
use crate::sysfs;

/// A USB device that is plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsbDevice {
    /// Its bus.
    pub bus: u32,
    /// Its number there; another one each time it is plugged in.
    pub device: u32,
    /// Its maker's number.
    pub vendor: u32,
    /// Its own number.
    pub product: u32,
}

impl UsbDevice {
    /// Its node, `/dev/bus/usb/001/002`.
    pub fn node(&self) -> PathBuf {
        format!("/dev/bus/usb/{:03}/{:03}", self.bus, self.device).into()
    }
}

/// All of them, by bus and number; hubs too.
pub fn all(places: &Places) -> Vec<UsbDevice> {
    let dir = places.sys.join("bus/usb/devices");
    let one = |name: &String| {
        // Interfaces are listed beside devices, with a colon in their names.
        let own = Some(dir.join(name)).filter(|_| !name.contains(':'))?;
        Some(UsbDevice {
            bus: sysfs::number(&own.join("busnum"))?,
            device: sysfs::number(&own.join("devnum"))?,
            vendor: sysfs::hex(&own.join("idVendor"))?,
            product: sysfs::hex(&own.join("idProduct"))?,
        })
    };
    let mut devices: Vec<UsbDevice> = sysfs::names(&dir).iter().filter_map(one).collect();
    devices.sort_unstable();
    devices
}

/// The device at a place.
///
/// # Errors
/// [`Error::NoUsbDevice`].
pub fn by_address(places: &Places, bus: u32, device: u32) -> Result<UsbDevice, Error> {
    let found = all(places)
        .into_iter()
        .find(|usb| (usb.bus, usb.device) == (bus, device));
    found.ok_or_else(|| Error::NoUsbDevice(format!("bus:{bus} device:{device}")))
}

/// The one device that is this.
///
/// # Errors
/// [`Error::NoUsbDevice`], [`Error::ManyUsbDevices`].
pub fn by_ids(places: &Places, vendor: u32, product: u32) -> Result<UsbDevice, Error> {
    let all = all(places);
    let mut fitting = all
        .iter()
        .filter(|usb| (usb.vendor, usb.product) == (vendor, product));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(*only),
        (Some(_), Some(_)) => Err(Error::ManyUsbDevices { vendor, product }),
        (None, _) => Err(Error::NoUsbDevice(format!("{vendor:04x}:{product:04x}"))),
    }
}

/// Whether the host has a driver for any part of a device.
pub fn is_driven(places: &Places, device: UsbDevice) -> bool {
    interfaces(places, device)
        .iter()
        .any(|dir| dir.join("driver").exists())
}

/// Has the host look for drivers of a device that a guest had. A QEMU that ends by itself gives it back; from one that is killed
/// the kernel takes it and leaves it alone.
///
/// # Errors
/// The kernel's refusal.
pub fn give_back(places: &Places, device: UsbDevice) -> std::io::Result<()> {
    let probe = places.sys.join("bus/usb/drivers_probe");
    for dir in interfaces(places, device) {
        let name = dir.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|_| !dir.join("driver").exists()) {
            std::fs::write(&probe, name)?;
        }
    }
    Ok(())
}

/// The directories of a device's interfaces: `1-3:1.0`.
fn interfaces(places: &Places, device: UsbDevice) -> Vec<PathBuf> {
    let dir = places.sys.join("bus/usb/devices");
    let is = |own: &PathBuf, file: &str, number| sysfs::number(&own.join(file)) == Some(number);
    let names = sysfs::names(&dir);
    let own = { names.iter() }
        .filter(|name| !name.contains(':'))
        .map(|name| dir.join(name))
        .find(|own| is(own, "busnum", device.bus) && is(own, "devnum", device.device));
    let Some(own) = own.as_deref().and_then(|own| own.file_name()?.to_str()) else {
        return Vec::new();
    };
    { names.iter() }
        .filter(|name| name.split_once(':').is_some_and(|(of, _)| of == own))
        .map(|name| dir.join(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Machine;

    #[test]
    fn what_a_killed_qemu_had_gets_its_drivers_back() {
        let machine = Machine::new();
        machine.usb("1-3", [1, 2], [0x627, 1]);
        machine.usb("1-30", [1, 3], [0x627, 2]);
        machine.file("sys/bus/usb/devices/1-3:1.0/bInterfaceNumber", "00");
        machine.file("sys/bus/usb/devices/1-30:1.0/bInterfaceNumber", "00");
        machine.file("sys/bus/usb/drivers_probe", "");
        let places = machine.places();
        let tablet = by_address(&places, 1, 2).unwrap();
        let probed = || std::fs::read_to_string(places.sys.join("bus/usb/drivers_probe")).unwrap();
        machine.file("sys/bus/usb/drivers/usbhid/module", "");
        machine.link("sys/bus/usb/devices/1-3:1.0/driver", "sys/bus/usb/drivers/usbhid");
        assert!(is_driven(&places, tablet));
        give_back(&places, tablet).unwrap();
        assert_eq!(probed(), "", "it has one");
        std::fs::remove_file(places.sys.join("bus/usb/devices/1-3:1.0/driver")).unwrap();
        assert!(!is_driven(&places, tablet));
        give_back(&places, tablet).unwrap();
        assert_eq!(probed(), "1-3:1.0", "and no other device's");
    }

    #[test]
    fn devices_are_found_by_place_and_by_kind() {
        let machine = Machine::new();
        machine.usb("usb1", [1, 1], [0x1d6b, 2]);
        machine.usb("1-3", [1, 2], [0x627, 1]);
        machine.usb("2-1", [2, 2], [0x46f4, 1]);
        machine.usb("2-2", [2, 3], [0x46f4, 1]);
        let places = machine.places();
        let tablet = by_ids(&places, 0x627, 1).unwrap();
        assert_eq!((tablet.bus, tablet.device), (1, 2));
        assert_eq!(tablet.node().to_str(), Some("/dev/bus/usb/001/002"));
        assert_eq!(by_address(&places, 2, 3).unwrap().vendor, 0x46f4);
        for (error, text) in [
            (
                by_address(&places, 9, 9),
                "Did not find USB device bus:9 device:9",
            ),
            (
                by_ids(&places, 0xdead, 0xbeef),
                "Did not find USB device dead:beef",
            ),
            (
                by_ids(&places, 0x46f4, 1),
                "Multiple USB devices for 46f4:1, use <address> to specify one",
            ),
        ] {
            assert_eq!(error.unwrap_err().to_string(), text);
        }
    }
}
