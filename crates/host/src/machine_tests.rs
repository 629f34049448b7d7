//! A made-up machine: files as the kernel has them, and a kernel that does what is written to them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::pci::config::tests::space;
use crate::places::Places;

/// A machine that only has files.
pub(crate) struct Machine {
    root: TempDir,
}

/// A PCI device to be made.
pub(crate) struct Pci<'a> {
    pub(crate) address: &'a str,
    /// The devices above it, from the root: `pci0000:00/0000:00:01.0`.
    pub(crate) above: &'a str,
    pub(crate) class: u32,
    pub(crate) ids: (u32, u32),
    pub(crate) driver: Option<&'a str>,
    pub(crate) group: Option<u32>,
    pub(crate) header: u8,
}

impl Default for Pci<'_> {
    fn default() -> Self {
        Pci {
            address: "0000:01:00.0",
            above: "pci0000:00",
            class: 0x20000,
            ids: (0x8086, 0x10d3),
            driver: Some("e1000e"),
            group: Some(13),
            header: 0,
        }
    }
}

impl Machine {
    /// One with VFIO and nothing else.
    pub(crate) fn new() -> Machine {
        let machine = Machine {
            root: tempfile::tempdir().unwrap(),
        };
        machine.file("dev/vfio/vfio", "");
        machine.file("sys/bus/pci/drivers_probe", "");
        machine.driver("vfio-pci");
        machine
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn places(&self) -> Places {
        Places {
            modprobe: "false".into(),
            ..Places::below(self.root())
        }
    }

    /// Writes a file and the directories above it.
    pub(crate) fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A link to something of the same machine, in place of what was there.
    pub(crate) fn link(&self, from: &str, to: &str) {
        let link = self.root().join(from);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&link);
        // As in sysfs: up to the root of the machine, then down.
        let depth = from.split('/').count() - 1;
        symlink(format!("{}{to}", "../".repeat(depth)), link).unwrap();
    }

    fn driver(&self, name: &str) {
        self.file(&format!("sys/bus/pci/drivers/{name}/unbind"), "");
    }

    /// Adds a device; its directory below the root.
    pub(crate) fn pci(&self, pci: &Pci<'_>) -> String {
        let address = pci.address;
        let dir = format!("sys/devices/{}/{address}", pci.above);
        let write = |name: &str, text: String| self.file(&format!("{dir}/{name}"), &text);
        write(
            "uevent",
            format!("PCI_CLASS={:X}\nPCI_SLOT_NAME={address}\n", pci.class),
        );
        write("vendor", format!("0x{:04x}\n", pci.ids.0));
        write("device", format!("0x{:04x}\n", pci.ids.1));
        write("class", format!("0x{:06x}\n", pci.class));
        write("numa_node", "-1\n".to_owned());
        write("driver_override", "(null)\n".to_owned());
        fs::write(write("config", String::new()), space(pci.header, &[])).unwrap();
        self.link(&format!("{dir}/subsystem"), "sys/bus/pci");
        self.link(&format!("sys/bus/pci/devices/{address}"), &dir);
        if let Some(driver) = pci.driver {
            self.driver(driver);
            write("own_driver", driver.to_owned());
            self.link(&format!("{dir}/driver"), &format!("sys/bus/pci/drivers/{driver}"));
        }
        if let Some(group) = pci.group {
            let of_group = format!("sys/kernel/iommu_groups/{group}");
            self.link(&format!("{dir}/iommu_group"), &of_group);
            self.link(&format!("{of_group}/devices/{address}"), &dir);
        }
        dir
    }

    /// Adds a USB device: bus and number, vendor and product.
    pub(crate) fn usb(&self, name: &str, place: [u32; 2], ids: [u32; 2]) {
        let dir = format!("sys/devices/usb/{name}");
        let write = |file: &str, text: String| self.file(&format!("{dir}/{file}"), &text);
        let node = format!("DEVNAME=bus/usb/{:03}/{:03}\n", place[0], place[1]);
        write(
            "uevent",
            format!("MAJOR=189\nMINOR={}\n{node}DEVTYPE=usb_device\n", place[1]),
        );
        write("busnum", place[0].to_string());
        write("devnum", place[1].to_string());
        write("idVendor", format!("{:04x}\n", ids[0]));
        write("idProduct", format!("{:04x}\n", ids[1]));
        self.link(&format!("{dir}/subsystem"), "sys/bus/usb");
        self.link(&format!("sys/bus/usb/devices/{name}"), &dir);
    }

    /// The driver of a PCI device, and the override that is written down.
    pub(crate) fn bound(&self, address: &str) -> (Option<String>, String) {
        let dir = self.root().join("sys/bus/pci/devices").join(address);
        let written = fs::read_to_string(dir.join("driver_override")).unwrap();
        (crate::pci::driver(&dir), written.trim().to_owned())
    }
}

/// What the kernel does when this is written to one of its files.
pub(crate) fn react(path: &Path, text: &str) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let parent = path.parent().unwrap();
    match name {
        "driver_override" => {
            let text = if text.trim().is_empty() { "(null)" } else { text };
            fs::write(path, format!("{text}\n")).unwrap();
        }
        "unbind" => {
            // `DEVICE/driver/unbind`, as it is written by those who do not know the driver.
            let device = parent.parent().unwrap();
            while device.join("hangs").exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = fs::remove_file(device.join("driver"));
        }
        "drivers_probe" => {
            let device = parent.join("devices").join(text);
            let wanted = fs::read_to_string(device.join("driver_override")).unwrap();
            let wanted = match wanted.trim() {
                "(null)" => fs::read_to_string(device.join("own_driver")).ok(),
                name => Some(name.to_owned()),
            };
            let bound = device.join("driver").exists() || device.join("no_driver_binds").exists();
            if let Some(driver) = wanted.filter(|_| !bound) {
                symlink(parent.join("drivers").join(driver), device.join("driver")).unwrap();
            }
        }
        _ => {}
    }
}
