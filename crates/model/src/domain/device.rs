//! One device on its own, as it is attached to a guest and detached from it, and how a document's devices are found.

use super::{DeviceInfo, Devices, Disk, Filesystem, Hostdev, HostdevKind, Interface};
use crate::{Form, Parsed, UnknownPolicy, XmlError};
use ferrovirt_xml::{Rest, Xml};

/// Kinds of devices that cannot be attached or detached one by one; of `hostdev` the host's own buses.
const OTHERS: [&str; 26] = [
    "audio",
    "channel",
    "console",
    "controller",
    "crypto",
    "graphics",
    "hostdev",
    "hub",
    "input",
    "iommu",
    "lease",
    "memballoon",
    "memory",
    "nvram",
    "panic",
    "parallel",
    "pstore",
    "redirdev",
    "rng",
    "serial",
    "shmem",
    "smartcard",
    "sound",
    "tpm",
    "video",
    "vsock",
];

/// One device.
#[derive(Debug, Clone, PartialEq)]
pub enum Device {
    /// `<disk>`
    Disk(Box<Disk>),
    /// `<interface>`
    Interface(Box<Interface>),
    /// `<filesystem>`
    Filesystem(Box<Filesystem>),
    /// `<hostdev>`
    Hostdev(Box<Hostdev>),
    /// One of another kind, of which only that is known.
    Other(&'static str),
}

/// Where in a document a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Among the disks.
    Disk(usize),
    /// Among the interfaces.
    Interface(usize),
    /// Among the file systems.
    Filesystem(usize),
    /// Among the host's devices.
    Hostdev(usize),
}

/// Why a device is not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// There is none like it.
    #[error("{0}")]
    None(String),
    /// There is more than one.
    #[error("{0}")]
    Several(String),
    /// Nobody looks for devices of this kind.
    #[error("device of kind '{0}' cannot be looked for")]
    Kind(&'static str),
}

/// As much of `<hostdev>` as tells whether it is one that can be attached.
#[derive(Xml)]
struct Head {
    #[xml(attr = "type")]
    kind: Option<String>,
    #[xml(rest)]
    rest: Rest,
}

/// Whether this is a device of a bus that cannot be attached.
fn is_other_bus(text: &str) -> Result<bool, XmlError> {
    let head: Parsed<Head> = ferrovirt_xml::from_str("hostdev", text, UnknownPolicy::Salvage)?;
    Ok(matches!(
        head.value.kind.as_deref(),
        Some("scsi" | "scsi_host" | "mdev")
    ))
}

impl Device {
    /// Reads a device. Nothing is filled in yet ([`Device::normalize`]): what is looked for is what was said.
    ///
    /// # Errors
    /// As for documents; a root element that is no device at all is `Unsupported`.
    pub fn parse(text: &str, policy: UnknownPolicy) -> Result<Parsed<Device>, XmlError> {
        fn boxed<T>(parsed: Parsed<T>, device: impl FnOnce(Box<T>) -> Device) -> Parsed<Device> {
            Parsed {
                value: device(Box::new(parsed.value)),
                kept: parsed.kept,
            }
        }
        let name = ferrovirt_xml::root_name(text)?;
        match name.as_str() {
            "disk" => Ok(boxed(
                ferrovirt_xml::from_str("disk", text, policy)?,
                Device::Disk,
            )),
            "interface" => Ok(boxed(
                ferrovirt_xml::from_str("interface", text, policy)?,
                Device::Interface,
            )),
            "filesystem" => Ok(boxed(
                ferrovirt_xml::from_str("filesystem", text, policy)?,
                Device::Filesystem,
            )),
            "hostdev" if !is_other_bus(text)? => Ok(boxed(
                ferrovirt_xml::from_str("hostdev", text, policy)?,
                Device::Hostdev,
            )),
            other => match OTHERS.iter().find(|known| **known == other) {
                Some(kind) => Ok(Parsed {
                    value: Device::Other(kind),
                    kept: Vec::new(),
                }),
                None => Err(XmlError::Unsupported(format!("unknown device type '{other}'"))),
            },
        }
    }

    /// Fills in what does not depend on the hypervisor, as in a document.
    ///
    /// # Errors
    /// Parts that contradict each other.
    pub fn normalize(&mut self) -> Result<(), XmlError> {
        super::normalize::device(self)
    }

    /// Writes it.
    pub fn to_xml(&self, form: &Form) -> String {
        match self {
            Device::Disk(disk) => ferrovirt_xml::to_string("disk", &**disk, form),
            Device::Interface(card) => ferrovirt_xml::to_string("interface", &**card, form),
            Device::Filesystem(mount) => ferrovirt_xml::to_string("filesystem", &**mount, form),
            Device::Hostdev(hostdev) => ferrovirt_xml::to_string("hostdev", &**hostdev, form),
            Device::Other(kind) => format!("<{kind}/>\n"),
        }
    }

    /// The name of its element.
    pub fn kind(&self) -> &'static str {
        match self {
            Device::Disk(_) => "disk",
            Device::Interface(_) => "interface",
            Device::Filesystem(_) => "filesystem",
            Device::Hostdev(_) => "hostdev",
            Device::Other(kind) => kind,
        }
    }

    /// What all devices have in common.
    pub fn info(&self) -> Option<&DeviceInfo> {
        match self {
            Device::Disk(disk) => Some(&disk.info),
            Device::Interface(card) => Some(&card.info),
            Device::Filesystem(mount) => Some(&mount.info),
            Device::Hostdev(hostdev) => Some(&hostdev.info),
            Device::Other(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn info_mut(&mut self) -> Option<&mut DeviceInfo> {
        match self {
            Device::Disk(disk) => Some(&mut disk.info),
            Device::Interface(card) => Some(&mut card.info),
            Device::Filesystem(mount) => Some(&mut mount.info),
            Device::Hostdev(hostdev) => Some(&mut hostdev.info),
            Device::Other(_) => None,
        }
    }

    /// What it is known by where it has no name: a container's devices have none that were there from its start.
    pub fn known_as(&self) -> String {
        let alias = self.alias().map(str::to_owned);
        alias.unwrap_or_else(|| match self {
            Device::Disk(disk) => disk.target.dev.clone(),
            Device::Interface(card) => card.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            Device::Filesystem(mount) => mount.target.clone().unwrap_or_default(),
            Device::Hostdev(hostdev) => hostdev.kind.named(),
            Device::Other(kind) => (*kind).to_owned(),
        })
    }

    /// Its name in the running guest.
    pub fn alias(&self) -> Option<&str> {
        self.info().and_then(|info| info.alias.as_deref())
    }
}

impl Devices {
    /// The device that this one means: a disk and a file system by its target, an interface by its address, MAC and alias
    /// as far as they are said, a device of the host by what it is.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn find(&self, wanted: &Device) -> Result<Place, NotFound> {
        match wanted {
            Device::Disk(wanted) => {
                let dev = &wanted.target.dev;
                let place = self.disks.iter().position(|disk| disk.target.dev == *dev);
                place
                    .map(Place::Disk)
                    .ok_or_else(|| NotFound::None(format!("disk {dev} not found")))
            }
            Device::Interface(wanted) => self.find_interface(wanted),
            Device::Filesystem(wanted) => {
                let mut all = self.filesystems.iter();
                let place = all.position(|mount| mount.target == wanted.target);
                place
                    .map(Place::Filesystem)
                    .ok_or_else(|| NotFound::None("no matching filesystem device was found".to_owned()))
            }
            Device::Hostdev(wanted) => {
                let mut all = self.hostdevs.iter();
                let place = all.position(|hostdev| hostdev.kind.is_same(&wanted.kind));
                place
                    .map(Place::Hostdev)
                    .ok_or_else(|| NotFound::None(wanted.kind.not_found()))
            }
            Device::Other(kind) => Err(NotFound::Kind(kind)),
        }
    }

    fn find_interface(&self, wanted: &Interface) -> Result<Place, NotFound> {
        let means = |card: &Interface| {
            let same = |one: Option<&str>, other: Option<&str>| one.is_none() || one == other;
            (wanted.mac.is_none() || wanted.mac == card.mac)
                && (wanted.info.address.is_none() || wanted.info.address == card.info.address)
                && same(wanted.info.alias.as_deref(), card.info.alias.as_deref())
        };
        let mut found = self.interfaces.iter().enumerate().filter(|(_, card)| means(card));
        let said = |what: Option<String>| what.unwrap_or_else(|| "(<null>)".to_owned());
        let mac = said(wanted.mac.map(|mac| mac.to_string()));
        match (found.next(), found.next()) {
            (Some((at, _)), None) => Ok(Place::Interface(at)),
            (Some(_), Some(_)) => Err(NotFound::Several(format!(
                "multiple devices matching MAC address {mac} found"
            ))),
            (None, _) => {
                let address = said(wanted.info.pci().map(ToString::to_string));
                let alias = said(wanted.info.alias.clone());
                Err(NotFound::None(format!(
                    "no device found at address '{address}' matching MAC address '{mac}' and alias '{alias}'"
                )))
            }
        }
    }

    /// The device of this name.
    pub fn find_alias(&self, alias: &str) -> Option<Place> {
        let named = |info: &DeviceInfo| info.alias.as_deref() == Some(alias);
        let disk = self.disks.iter().position(|disk| named(&disk.info));
        let card = || self.interfaces.iter().position(|card| named(&card.info));
        let mount = || self.filesystems.iter().position(|mount| named(&mount.info));
        let hostdev = || self.hostdevs.iter().position(|hostdev| named(&hostdev.info));
        disk.map(Place::Disk)
            .or_else(|| card().map(Place::Interface))
            .or_else(|| mount().map(Place::Filesystem))
            .or_else(|| hostdev().map(Place::Hostdev))
    }

    /// All devices that can be attached and detached.
    pub fn single(&self) -> impl Iterator<Item = Device> {
        let places = (0..self.disks.len())
            .map(Place::Disk)
            .chain((0..self.interfaces.len()).map(Place::Interface))
            .chain((0..self.filesystems.len()).map(Place::Filesystem))
            .chain((0..self.hostdevs.len()).map(Place::Hostdev));
        places.filter_map(|place| self.device(place))
    }

    /// What stands there.
    pub fn device(&self, place: Place) -> Option<Device> {
        match place {
            Place::Disk(at) => Some(Device::Disk(Box::new(self.disks.get(at)?.clone()))),
            Place::Interface(at) => Some(Device::Interface(Box::new(self.interfaces.get(at)?.clone()))),
            Place::Filesystem(at) => Some(Device::Filesystem(Box::new(self.filesystems.get(at)?.clone()))),
            Place::Hostdev(at) => Some(Device::Hostdev(Box::new(self.hostdevs.get(at)?.clone()))),
        }
    }

    /// Adds a device behind those of its kind, a disk in libvirt's order. One of another kind is not added.
    pub fn insert(&mut self, device: Device) {
        match device {
            Device::Disk(disk) => {
                let at = super::normalize::disk_position(&self.disks, &disk.target);
                self.disks.insert(at, *disk);
            }
            Device::Interface(card) => self.interfaces.push(*card),
            Device::Filesystem(mount) => self.filesystems.push(*mount),
            Device::Hostdev(hostdev) => self.hostdevs.push(*hostdev),
            Device::Other(_) => {}
        }
    }

    /// Puts a device where another one of its kind stood.
    pub fn replace(&mut self, place: Place, device: Device) {
        fn put<T>(list: &mut [T], at: usize, new: T) {
            if let Some(old) = list.get_mut(at) {
                *old = new;
            }
        }
        match (place, device) {
            (Place::Disk(at), Device::Disk(disk)) => put(&mut self.disks, at, *disk),
            (Place::Interface(at), Device::Interface(card)) => put(&mut self.interfaces, at, *card),
            (Place::Filesystem(at), Device::Filesystem(mount)) => put(&mut self.filesystems, at, *mount),
            (Place::Hostdev(at), Device::Hostdev(hostdev)) => put(&mut self.hostdevs, at, *hostdev),
            _ => {}
        }
    }

    /// Takes a device out.
    pub fn remove(&mut self, place: Place) -> Option<Device> {
        let device = self.device(place)?;
        match place {
            Place::Disk(at) => drop(self.disks.remove(at)),
            Place::Interface(at) => drop(self.interfaces.remove(at)),
            Place::Filesystem(at) => drop(self.filesystems.remove(at)),
            Place::Hostdev(at) => drop(self.hostdevs.remove(at)),
        }
        Some(device)
    }
}

impl HostdevKind {
    /// Its path, name or address on the host.
    pub fn named(&self) -> String {
        match self {
            HostdevKind::Storage(storage) => storage.source.block.clone(),
            HostdevKind::Misc(misc) => misc.source.char.clone(),
            HostdevKind::Net(net) => net.source.interface.clone(),
            HostdevKind::Pci(pci) => pci.source.address.to_string(),
            HostdevKind::Usb(usb) => usb.named(),
        }
    }

    /// What is said when a guest does not have it.
    fn not_found(&self) -> String {
        let bus = match self {
            HostdevKind::Storage(_) | HostdevKind::Misc(_) | HostdevKind::Net(_) => "hostdev",
            HostdevKind::Pci(_) => "host pci device",
            HostdevKind::Usb(_) => "host usb device",
        };
        format!("{bus} {} not found", self.named())
    }

    /// Whether both are the same thing of the host, whatever it gets inside.
    pub fn is_same(&self, other: &HostdevKind) -> bool {
        match (self, other) {
            (HostdevKind::Usb(one), HostdevKind::Usb(another)) => one.is_same(another),
            _ => {
                std::mem::discriminant(self) == std::mem::discriminant(other) && self.named() == other.named()
            }
        }
    }
}
