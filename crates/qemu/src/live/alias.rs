//! libvirt's names for devices: people look for them in QEMU's command line and in hooks.

use ferrovirt_model::domain::{
    Address, Controller, ControllerType, Device, DeviceInfo, Disk, DiskBus, DiskSource, Domain, DriveAddress,
    InterfaceType, MemoryModel,
};

use super::is_lsilogic;
use crate::define::{Chipset, device_index, sort_disks};

/// Names every device, rounds the sizes of memory, and numbers the disks' images: the last disk has the lowest number.
pub fn assign(doc: &mut Domain) {
    sort_disks(&mut doc.devices.disks);
    super::memory::align(doc);
    let chipset = Chipset::of(doc);
    controllers(doc, chipset);
    disks(doc);
    let d = &mut doc.devices;
    let (host, own): (Vec<_>, Vec<_>) =
        { d.interfaces.iter_mut() }.partition(|card| card.kind == InterfaceType::Hostdev);
    numbered("net", own.into_iter().map(|device| &mut device.info));
    numbered("serial", d.serials.iter_mut().map(|device| &mut device.info));
    numbered("parallel", d.parallels.iter_mut().map(|device| &mut device.info));
    numbered("channel", d.channels.iter_mut().map(|device| &mut device.info));
    numbered("input", d.inputs.iter_mut().map(|device| &mut device.info));
    numbered(
        "video",
        d.videos
            .iter_mut()
            .filter(|v| v.model.kind != "none")
            .map(|device| &mut device.info),
    );
    let host = host.into_iter().map(|card| &mut card.info);
    numbered(
        "hostdev",
        host.chain(d.hostdevs.iter_mut().map(|device| &mut device.info)),
    );
    numbered("sound", d.sounds.iter_mut().map(|device| &mut device.info));
    numbered(
        "smartcard",
        d.smartcards.iter_mut().map(|device| &mut device.info),
    );
    numbered("redir", d.redirdevs.iter_mut().map(|device| &mut device.info));
    numbered("tpm", d.tpms.iter_mut().map(|device| &mut device.info));
    numbered("shmem", d.shmems.iter_mut().map(|device| &mut device.info));
    numbered("hub", d.hubs.iter_mut().map(|device| &mut device.info));
    numbered("fs", d.filesystems.iter_mut().map(|device| &mut device.info));
    numbered("iommu", d.iommus.iter_mut().map(|device| &mut device.info));
    numbered("vsock", d.vsocks.iter_mut().map(|device| &mut device.info));
    numbered("crypto", d.cryptos.iter_mut().map(|device| &mut device.info));
    numbered("pstore", d.pstores.iter_mut().map(|device| &mut device.info));
    numbered("watchdog", d.watchdogs.iter_mut().map(|device| &mut device.info));
    memories(d);
    numbered("rng", d.rngs.iter_mut().map(|device| &mut device.info));
    if let Some(balloon) = d.memballoon.as_mut().filter(|balloon| balloon.model != "none") {
        set(&mut balloon.info, "balloon0".to_owned());
    }
    consoles(doc);
}

fn set(info: &mut DeviceInfo, name: String) {
    if !info.has_user_alias() {
        info.alias = Some(name);
    }
}

fn numbered<'a>(kind: &str, infos: impl Iterator<Item = &'a mut DeviceInfo>) {
    for (number, info) in infos.enumerate() {
        set(info, format!("{kind}{number}"));
    }
}

/// Modules are called by their slots.
fn memories(devices: &mut ferrovirt_model::domain::Devices) {
    let (mut pmem, mut mem) = (0, 0);
    for memory in &mut devices.memories {
        let slot = match &memory.info.address {
            Some(Address::Dimm(address)) => address.slot.unwrap_or(0),
            _ => 0,
        };
        let next = |number: &mut u32| {
            *number += 1;
            *number - 1
        };
        let name = match memory.model {
            MemoryModel::Dimm => format!("dimm{slot}"),
            MemoryModel::Nvdimm => format!("nvdimm{slot}"),
            MemoryModel::VirtioPmem => format!("virtiopmem{}", next(&mut pmem)),
            MemoryModel::VirtioMem => format!("virtiomem{}", next(&mut mem)),
        };
        set(&mut memory.info, name);
    }
}

/// The first console is the first serial port by another name.
fn consoles(doc: &mut Domain) {
    let serial = doc
        .devices
        .serials
        .first()
        .and_then(|serial| serial.info.alias.clone());
    for (number, console) in doc.devices.consoles.iter_mut().enumerate() {
        let of_serial = console.target.as_ref().and_then(|target| target.kind.as_deref()) == Some("serial");
        match (&serial, of_serial) {
            (Some(serial), true) => console.info.alias = Some(serial.clone()),
            _ => set(&mut console.info, format!("console{number}")),
        }
    }
}

fn controllers(doc: &mut Domain, chipset: Chipset) {
    for controller in &mut doc.devices.controllers {
        let name = controller_name(controller, chipset);
        set(&mut controller.info, name);
    }
}

fn controller_name(controller: &Controller, chipset: Chipset) -> String {
    let number = controller.number();
    match (controller.kind, number, chipset) {
        (ControllerType::Pci, 0, Chipset::Q35) => "pcie.0".to_owned(),
        (ControllerType::Pci, ..) => format!("pci.{number}"),
        (ControllerType::Usb, 0, _) => "usb".to_owned(),
        (ControllerType::Usb, ..) => format!("usb{number}"),
        // The one that is part of the machine has QEMU's own name.
        (ControllerType::Ide, 0, Chipset::I440fx) | (ControllerType::Sata, 0, Chipset::Q35) => {
            "ide".to_owned()
        }
        (ControllerType::Ide, ..) => format!("ide{number}"),
        (ControllerType::Sata, ..) => format!("sata{number}"),
        (ControllerType::Scsi, ..) => format!("scsi{number}"),
        (ControllerType::Ccid, ..) => format!("ccid{number}"),
        (ControllerType::Fdc, ..) => format!("fdc{number}"),
        (ControllerType::VirtioSerial, ..) => format!("virtio-serial{number}"),
    }
}

fn disks(doc: &mut Domain) {
    let names: Vec<Option<String>> = doc
        .devices
        .disks
        .iter()
        .map(|disk| disk_name(doc, disk))
        .collect();
    for (disk, name) in doc.devices.disks.iter_mut().zip(names) {
        if let Some(name) = name {
            set(&mut disk.info, name);
        }
    }
    let mut number = 0;
    for disk in doc.devices.disks.iter_mut().rev() {
        number_images(disk, &mut number);
    }
}

/// Names a disk or a card that comes to a running guest: as at a start, but for numbers that others have.
pub(crate) fn assign_to(doc: &Domain, device: &mut Device) {
    match device {
        Device::Disk(disk) => {
            let mut number = doc.devices.disks.iter().map(last_node).max().unwrap_or(0);
            if let Some(name) = disk_name(doc, disk) {
                set(&mut disk.info, name);
            }
            number_images(disk, &mut number);
        }
        Device::Interface(card) if card.kind == InterfaceType::Hostdev => {
            set(&mut card.info, free(doc, "hostdev"));
        }
        Device::Interface(card) => set(&mut card.info, free(doc, "net")),
        Device::Hostdev(hostdev) => set(&mut hostdev.info, free(doc, "hostdev")),
        Device::Filesystem(_) | Device::Other(_) => {}
    }
}

/// The first name of this kind that no device has.
fn free(doc: &Domain, kind: &str) -> String {
    let taken = |name: &String| doc.devices.find_alias(name).is_some();
    let mut names = (0..).map(|number| format!("{kind}{number}"));
    names.find(|name| !taken(name)).unwrap_or_default()
}

/// Numbers a disk's image and those below it, from the next number on; its filters have those that follow.
fn number_images(disk: &mut Disk, number: &mut u32) {
    let source = disk.source.get_or_insert_default();
    *number += 1;
    source.index = Some(*number);
    number_data(source, number);
    let mut below = disk.backing_store.as_deref_mut();
    while let Some(store) = below {
        if store.kind.is_some() {
            *number += 1;
            store.index = Some(*number);
        }
        if let Some(source) = &mut store.source {
            number_data(source, number);
        }
        below = store.backing_store.as_deref_mut();
    }
    *number += u32::try_from(disk.throttle_filters.len()).unwrap_or(0);
}

fn number_data(source: &mut DiskSource, number: &mut u32) {
    if let Some(store) = &mut source.data_store {
        *number += 1;
        store.index = Some(*number);
    }
}

/// The highest number of a disk's images.
pub(crate) fn last_number(disk: &Disk) -> u32 {
    let of = |source: Option<&DiskSource>| {
        let data = source.and_then(|source| source.data_store.as_ref());
        data.and_then(|store| store.index).unwrap_or(0)
    };
    let source = disk.source.as_ref();
    let mut last = source
        .and_then(|source| source.index)
        .unwrap_or(0)
        .max(of(source));
    let mut below = disk.backing_store.as_deref();
    while let Some(store) = below {
        last = last
            .max(store.index.unwrap_or(0))
            .max(of(store.source.as_deref()));
        below = store.backing_store.as_deref();
    }
    last
}

/// The same with its filters.
fn last_node(disk: &Disk) -> u32 {
    last_number(disk) + u32::try_from(disk.throttle_filters.len()).unwrap_or(0)
}

/// libvirt's own name of a disk.
pub(crate) fn disk_name(doc: &Domain, disk: &Disk) -> Option<String> {
    let index = device_index(&disk.target.dev).unwrap_or(0);
    let address = match &disk.info.address {
        Some(Address::Drive(address)) => *address,
        _ => DriveAddress::default(),
    };
    let DriveAddress {
        controller,
        bus,
        target,
        unit,
    } = address;
    Some(match disk.target.bus? {
        DiskBus::Virtio => format!("virtio-disk{index}"),
        DiskBus::Usb => format!("usb-disk{index}"),
        DiskBus::Ide => format!("ide{controller}-{bus}-{unit}"),
        DiskBus::Sata => format!("sata{controller}-{bus}-{unit}"),
        DiskBus::Fdc => format!("fdc{controller}-{bus}-{unit}"),
        DiskBus::Scsi if is_lsilogic(doc, controller) => format!("scsi{controller}-{bus}-{unit}"),
        DiskBus::Scsi => format!("scsi{controller}-{bus}-{target}-{unit}"),
        DiskBus::Sd => format!("sd-disk{index}"),
        DiskBus::Xen | DiskBus::Uml | DiskBus::Nvme => return None,
    })
}
