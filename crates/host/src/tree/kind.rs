//! What kinds of devices there are, and which of the kernel's are of which kind.

use std::collections::BTreeMap;

/// Kinds of node devices that this machine can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The machine itself.
    System,
    /// A PCI function.
    Pci,
    /// A USB device.
    UsbDevice,
    /// An interface of a USB device.
    UsbInterface,
    /// A network device.
    Net,
    /// A SCSI controller.
    ScsiHost,
    /// A SCSI target.
    ScsiTarget,
    /// A SCSI device.
    Scsi,
    /// A disk.
    Storage,
    /// The generic node of a SCSI device.
    ScsiGeneric,
    /// A node of a graphics card.
    Drm,
}

/// Directories of sysfs in which devices are listed, with their subsystem.
pub(super) const LISTS: [(&str, &str); 7] = [
    ("bus/pci/devices", "pci"),
    ("bus/usb/devices", "usb"),
    ("bus/scsi/devices", "scsi"),
    ("class/net", "net"),
    ("class/block", "block"),
    ("class/scsi_generic", "scsi_generic"),
    ("class/drm", "drm"),
];

impl Kind {
    /// The kind by the kernel's variables (the file `uevent`); most devices are of none.
    pub(super) fn of(subsystem: &str, variables: &BTreeMap<String, String>) -> Option<Kind> {
        let has = |name: &str| variables.contains_key(name);
        Some(match (subsystem, variables.get("DEVTYPE").map(String::as_str)) {
            ("usb", Some("usb_device")) => Kind::UsbDevice,
            ("usb", Some("usb_interface")) => Kind::UsbInterface,
            ("scsi", Some("scsi_host")) => Kind::ScsiHost,
            ("scsi", Some("scsi_target")) => Kind::ScsiTarget,
            ("scsi", Some("scsi_device")) => Kind::Scsi,
            // One of several paths to the same disk has no node.
            ("block", Some("disk")) if has("DEVNAME") => Kind::Storage,
            ("drm", Some("drm_minor")) => Kind::Drm,
            // Bridges, bonds and VLANs have a type; they are no devices of the host's.
            ("net", None | Some("wlan")) if has("INTERFACE") => Kind::Net,
            ("pci", None) if has("PCI_CLASS") => Kind::Pci,
            ("scsi_generic", None) => Kind::ScsiGeneric,
            _ => return None,
        })
    }

    /// The word for it in documents and for `--cap`.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::System => "system",
            Kind::Pci => "pci",
            Kind::UsbDevice => "usb_device",
            Kind::UsbInterface => "usb",
            Kind::Net => "net",
            Kind::ScsiHost => "scsi_host",
            Kind::ScsiTarget => "scsi_target",
            Kind::Scsi => "scsi",
            Kind::Storage => "storage",
            Kind::ScsiGeneric => "scsi_generic",
            Kind::Drm => "drm",
        }
    }

    /// Its bit in a filter of lists.
    pub const fn bit(self) -> u32 {
        1 << match self {
            Kind::System => 0,
            Kind::Pci => 1,
            Kind::UsbDevice => 2,
            Kind::UsbInterface => 3,
            Kind::Net => 4,
            Kind::ScsiHost => 5,
            Kind::ScsiTarget => 6,
            Kind::Scsi => 7,
            Kind::Storage => 8,
            Kind::ScsiGeneric => 11,
            Kind::Drm => 12,
        }
    }
}
