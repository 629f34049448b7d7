//! Which devices sit on PCI, in the order in which libvirt places them, and on what kind of bus each fits.

use ferrovirt_model::domain::{
    ControllerType, DeviceInfo, DiskBus, Domain, Hostdev, HostdevKind, InputBus, InterfaceType, IommuModel,
    SoundModel,
};

use super::hostdev;
use super::machine::Chipset;

/// What a device is plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connect {
    /// A conventional slot.
    Pci,
    /// A PCI Express slot that can be (un)plugged: below a root port.
    Pcie,
    /// A root port itself: a function on the root bus, shared with others.
    RootPort,
    /// A place of its own on the root bus.
    Integrated,
    /// The upper end of a switch.
    Upstream,
    /// A port of a switch.
    Downstream,
}

/// A device by kind and place in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    /// `<controller>`
    Controller(usize),
    /// `<interface>`
    Interface(usize),
    /// `<disk>`
    Disk(usize),
    /// `<interface>` that is a device of the host
    HostCard(usize),
    /// `<hostdev>`
    Hostdev(usize),
    /// `<memballoon>`
    Balloon,
    /// `<rng>`
    Rng(usize),
    /// `<watchdog>`
    Watchdog(usize),
    /// `<video>`
    Video(usize),
    /// `<input>`
    Input(usize),
    /// `<serial>`
    Serial(usize),
    /// `<panic>`
    Panic(usize),
    /// `<sound>`
    Sound(usize),
    /// `<shmem>`
    Shmem(usize),
    /// `<filesystem>`
    Filesystem(usize),
    /// `<vsock>`
    Vsock(usize),
    /// `<iommu>`
    Iommu(usize),
    /// `<crypto>`
    Crypto(usize),
    /// `<pstore>`
    Pstore(usize),
    /// `<memory>`
    Memory(usize),
}

/// All PCI devices in libvirt's order: buses first, so that they get the lowest places.
pub(super) fn all(doc: &Domain) -> Vec<Device> {
    let d = &doc.devices;
    let controllers = |pci: bool| {
        d.controllers
            .iter()
            .enumerate()
            .filter(move |(_, c)| (c.kind == ControllerType::Pci) == pci)
            .map(|(at, _)| Device::Controller(at))
    };
    let cards = |of_host: bool| {
        let all = d.interfaces.iter().enumerate();
        all.filter(move |(_, card)| (card.kind == InterfaceType::Hostdev) == of_host)
            .map(|(at, _)| at)
    };
    let mut list: Vec<Device> = controllers(true).collect();
    list.extend((0..d.filesystems.len()).map(Device::Filesystem));
    list.extend(cards(false).map(Device::Interface));
    list.extend((0..d.sounds.len()).map(Device::Sound));
    list.extend(controllers(false));
    list.extend((0..d.disks.len()).map(Device::Disk));
    list.extend(cards(true).map(Device::HostCard));
    list.extend((0..d.hostdevs.len()).map(Device::Hostdev));
    list.push(Device::Balloon);
    list.extend((0..d.rngs.len()).map(Device::Rng));
    list.extend((0..d.watchdogs.len()).map(Device::Watchdog));
    list.extend((0..d.videos.len()).map(Device::Video));
    list.extend((0..d.shmems.len()).map(Device::Shmem));
    list.extend((0..d.inputs.len()).map(Device::Input));
    list.extend((0..d.serials.len()).map(Device::Serial));
    list.extend((0..d.vsocks.len()).map(Device::Vsock));
    list.extend((0..d.panics.len()).map(Device::Panic));
    list.extend((0..d.cryptos.len()).map(Device::Crypto));
    list.extend((0..d.pstores.len()).map(Device::Pstore));
    list.extend((0..d.iommus.len()).map(Device::Iommu));
    list.extend((0..d.memories.len()).map(Device::Memory));
    list
}

/// The part of the document that holds the device's address.
pub(super) fn info_mut(doc: &mut Domain, device: Device) -> Option<&mut DeviceInfo> {
    let d = &mut doc.devices;
    match device {
        Device::Controller(at) => d.controllers.get_mut(at).map(|c| &mut c.info),
        Device::Interface(at) | Device::HostCard(at) => d.interfaces.get_mut(at).map(|c| &mut c.info),
        Device::Disk(at) => d.disks.get_mut(at).map(|c| &mut c.info),
        Device::Hostdev(at) => d.hostdevs.get_mut(at).map(|c| &mut c.info),
        Device::Balloon => d.memballoon.as_mut().map(|c| &mut c.info),
        Device::Rng(at) => d.rngs.get_mut(at).map(|c| &mut c.info),
        Device::Watchdog(at) => d.watchdogs.get_mut(at).map(|c| &mut c.info),
        Device::Video(at) => d.videos.get_mut(at).map(|c| &mut c.info),
        Device::Input(at) => d.inputs.get_mut(at).map(|c| &mut c.info),
        Device::Serial(at) => d.serials.get_mut(at).map(|c| &mut c.info),
        Device::Panic(at) => d.panics.get_mut(at).map(|c| &mut c.info),
        Device::Sound(at) => d.sounds.get_mut(at).map(|c| &mut c.info),
        Device::Shmem(at) => d.shmems.get_mut(at).map(|c| &mut c.info),
        Device::Filesystem(at) => d.filesystems.get_mut(at).map(|c| &mut c.info),
        Device::Vsock(at) => d.vsocks.get_mut(at).map(|c| &mut c.info),
        Device::Iommu(at) => d.iommus.get_mut(at).map(|c| &mut c.info),
        Device::Crypto(at) => d.cryptos.get_mut(at).map(|c| &mut c.info),
        Device::Pstore(at) => d.pstores.get_mut(at).map(|c| &mut c.info),
        Device::Memory(at) => d.memories.get_mut(at).map(|c| &mut c.info),
    }
}

/// The same, to read.
pub(super) fn info(doc: &Domain, device: Device) -> Option<&DeviceInfo> {
    let d = &doc.devices;
    match device {
        Device::Controller(at) => d.controllers.get(at).map(|c| &c.info),
        Device::Interface(at) | Device::HostCard(at) => d.interfaces.get(at).map(|c| &c.info),
        Device::Disk(at) => d.disks.get(at).map(|c| &c.info),
        Device::Hostdev(at) => d.hostdevs.get(at).map(|c| &c.info),
        Device::Balloon => d.memballoon.as_ref().map(|c| &c.info),
        Device::Rng(at) => d.rngs.get(at).map(|c| &c.info),
        Device::Watchdog(at) => d.watchdogs.get(at).map(|c| &c.info),
        Device::Video(at) => d.videos.get(at).map(|c| &c.info),
        Device::Input(at) => d.inputs.get(at).map(|c| &c.info),
        Device::Serial(at) => d.serials.get(at).map(|c| &c.info),
        Device::Panic(at) => d.panics.get(at).map(|c| &c.info),
        Device::Sound(at) => d.sounds.get(at).map(|c| &c.info),
        Device::Shmem(at) => d.shmems.get(at).map(|c| &c.info),
        Device::Filesystem(at) => d.filesystems.get(at).map(|c| &c.info),
        Device::Vsock(at) => d.vsocks.get(at).map(|c| &c.info),
        Device::Iommu(at) => d.iommus.get(at).map(|c| &c.info),
        Device::Crypto(at) => d.cryptos.get(at).map(|c| &c.info),
        Device::Pstore(at) => d.pstores.get(at).map(|c| &c.info),
        Device::Memory(at) => d.memories.get(at).map(|c| &c.info),
    }
}

/// What the device is plugged into; `None` when it is not on PCI.
pub(super) fn connect(doc: &Domain, chipset: Chipset, device: Device) -> Option<Connect> {
    let express = express(doc, device)?;
    Some(match (chipset, express) {
        (_, Connect::RootPort | Connect::Upstream | Connect::Downstream) => express,
        (Chipset::I440fx, Connect::Integrated) if is_bus(doc, device) => Connect::Integrated,
        (Chipset::I440fx, _) => Connect::Pci,
        (Chipset::Q35, connect) => connect,
    })
}

fn is_bus(doc: &Domain, device: Device) -> bool {
    matches!(device, Device::Controller(at) if doc.devices.controllers[at].kind == ControllerType::Pci)
}

/// virtio devices are Express unless they are the transitional kind.
fn virtio(model: &str) -> Connect {
    if model.ends_with("transitional") && model != "virtio-non-transitional" {
        Connect::Pci
    } else {
        Connect::Pcie
    }
}

fn express(doc: &Domain, device: Device) -> Option<Connect> {
    let d = &doc.devices;
    match device {
        Device::Controller(at) => controller(doc, at),
        Device::Interface(at) => match d.interfaces[at].model.as_deref().unwrap_or_default() {
            "usb-net" => None,
            "rtl8139" | "e1000" | "vmxnet3" => Some(Connect::Pci),
            model if model.starts_with("virtio") => Some(virtio(model)),
            // Also old cards that libvirt has no name of its own for.
            _ => Some(Connect::Pcie),
        },
        Device::Disk(at) => {
            let disk = &d.disks[at];
            (disk.target.bus == Some(DiskBus::Virtio))
                .then(|| virtio(disk.model.as_deref().unwrap_or("virtio")))
        }
        Device::HostCard(at) => d.interfaces[at]
            .as_hostdev()
            .and_then(|hostdev| of_host(&hostdev)),
        Device::Hostdev(at) => of_host(&d.hostdevs[at]),
        Device::Balloon => d
            .memballoon
            .as_ref()
            .filter(|balloon| balloon.model != "none")
            .map(|balloon| virtio(&balloon.model)),
        Device::Rng(at) => Some(virtio(&d.rngs[at].model)),
        Device::Watchdog(at) => (d.watchdogs[at].model == "i6300esb").then_some(Connect::Pci),
        Device::Video(at) => match d.videos[at].model.kind.as_str() {
            "none" | "ramfb" => None,
            "virtio" | "bochs" => Some(Connect::Pcie),
            _ => Some(Connect::Pci),
        },
        Device::Input(at) => {
            let model = d.inputs[at].model.as_deref().unwrap_or("virtio");
            (d.inputs[at].bus == Some(InputBus::Virtio)).then(|| virtio(model))
        }
        Device::Sound(at) => match d.sounds[at].model {
            SoundModel::Virtio => Some(Connect::Pcie),
            SoundModel::Ac97 | SoundModel::Es1370 | SoundModel::Ich6 | SoundModel::Ich9 => Some(Connect::Pci),
            SoundModel::Sb16 | SoundModel::Pcspk | SoundModel::Usb | SoundModel::Ich7 => None,
        },
        Device::Shmem(_) => Some(Connect::Pci),
        Device::Serial(at) => {
            let kind = d.serials[at]
                .target
                .as_ref()
                .and_then(|target| target.kind.as_deref());
            (kind == Some("pci-serial")).then_some(Connect::Pci)
        }
        Device::Panic(at) => {
            (d.panics[at].model.as_deref() == Some("pvpanic")).then_some(Connect::Integrated)
        }
        Device::Filesystem(at) => Some(virtio(
            d.filesystems[at].model.map_or("virtio", |model| model.as_str()),
        )),
        Device::Vsock(at) => Some(virtio(d.vsocks[at].model.as_deref().unwrap_or("virtio"))),
        Device::Iommu(at) => (d.iommus[at].model == IommuModel::Virtio).then_some(Connect::Integrated),
        Device::Crypto(_) | Device::Pstore(_) => Some(Connect::Pci),
        Device::Memory(at) => (!d.memories[at].model.has_slot()).then_some(Connect::Pcie),
    }
}

/// A device of the host wants the kind of slot that it has there.
fn of_host(hostdev: &Hostdev) -> Option<Connect> {
    match &hostdev.kind {
        HostdevKind::Pci(pci) if hostdev::is_express(&pci.source.address) => Some(Connect::Pcie),
        HostdevKind::Pci(_) => Some(Connect::Pci),
        _ => None,
    }
}

fn controller(doc: &Domain, at: usize) -> Option<Connect> {
    let controller = &doc.devices.controllers[at];
    let model = controller.model.as_deref().unwrap_or_default();
    match controller.kind {
        ControllerType::Pci if controller.number() == 0 => None,
        ControllerType::Pci => Some(match model {
            "pcie-root-port" => Connect::RootPort,
            "pcie-to-pci-bridge" => Connect::Pcie,
            "pcie-switch-upstream-port" => Connect::Upstream,
            "pcie-switch-downstream-port" => Connect::Downstream,
            "pci-expander-bus" | "pcie-expander-bus" | "dmi-to-pci-bridge" => Connect::Integrated,
            _ => Connect::Pci,
        }),
        ControllerType::Usb if model == "none" => None,
        ControllerType::Usb => Some(match model {
            "qemu-xhci" | "nec-xhci" => Connect::Pcie,
            _ => Connect::Pci,
        }),
        ControllerType::Scsi => Some(match model {
            "lsilogic" => Connect::Pci,
            "virtio-scsi" => Connect::Pcie,
            "lsisas1078" | "lsisas1068" | "dc390" | "am53c974" | "vmpvscsi" => Connect::Pci,
            model => virtio(model),
        }),
        ControllerType::VirtioSerial => Some(virtio(model)),
        ControllerType::Sata | ControllerType::Ide => Some(Connect::Pci),
        ControllerType::Fdc | ControllerType::Ccid => None,
    }
}
