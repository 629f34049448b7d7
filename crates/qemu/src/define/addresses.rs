//! Places on buses other than PCI: ports of virtio-serial controllers and of USB controllers.

use std::collections::BTreeSet;

use ferrovirt_model::domain::{
    Address, Channel, ChannelTargetType, Controller, ControllerType, DeviceInfo, DiskBus, Domain,
    HostdevKind, InputBus, SoundModel, UsbAddress, VirtioSerialAddress,
};

use crate::error::{Error, Result};

/// Ports of a virtio-serial controller that says nothing.
const SERIAL_PORTS: u32 = 31;

/// Gives ports to channels, and to USB devices.
pub(super) fn settle(doc: &mut Domain) -> Result<()> {
    channels(doc)?;
    usb(doc)
}

fn channels(doc: &mut Domain) -> Result<()> {
    let ports: Vec<(u32, u32)> = doc
        .devices
        .controllers
        .iter()
        .filter(|c| c.kind == ControllerType::VirtioSerial)
        .map(|c| (c.number(), c.ports.unwrap_or(SERIAL_PORTS)))
        .collect();
    let given = |info: &DeviceInfo| match &info.address {
        Some(Address::VirtioSerial(address)) if address.port > 0 => Some((address.controller, address.port)),
        _ => None,
    };
    let mut taken: BTreeSet<(u32, u32)> = BTreeSet::new();
    let infos = doc
        .devices
        .channels
        .iter()
        .map(|c| &c.info)
        .chain(doc.devices.consoles.iter().map(|c| &c.info));
    for place in infos.filter_map(given) {
        if !taken.insert(place) {
            return Err(Error::Xml(format!(
                "virtio serial port {} on controller {} is already occupied",
                place.1, place.0
            )));
        }
    }
    let virtio = |channel: &&mut Channel| channel.target.kind == ChannelTargetType::Virtio;
    for channel in doc.devices.channels.iter_mut().filter(virtio) {
        if given(&channel.info).is_some() {
            continue;
        }
        // Port 0 is the console's.
        let wanted = match &channel.info.address {
            Some(Address::VirtioSerial(address)) => Some(address.controller),
            _ => None,
        };
        let place = ports
            .iter()
            .filter(|(controller, _)| wanted.is_none_or(|wanted| wanted == *controller))
            .flat_map(|(controller, count)| (1..*count).map(|port| (*controller, port)))
            .find(|place| !taken.contains(place))
            .ok_or_else(|| Error::Xml("Unable to find a free virtio-serial port".to_owned()))?;
        taken.insert(place);
        channel.info.address = Some(Address::VirtioSerial(VirtioSerialAddress {
            controller: place.0,
            bus: 0,
            port: place.1,
        }));
    }
    Ok(())
}

/// Ports of a USB controller.
fn usb_ports(controller: &Controller) -> u32 {
    match controller.model.as_deref() {
        Some("qemu-xhci" | "nec-xhci") => controller.ports.unwrap_or(4),
        Some("ehci" | "ich9-ehci1") => 6,
        Some("pci-ohci") => 3,
        Some("piix3-uhci" | "piix4-uhci" | "vt82c686b-uhci") => 2,
        _ => 0,
    }
}

fn usb(doc: &mut Domain) -> Result<()> {
    let mut free: Vec<(u32, String)> = Vec::new();
    for controller in doc
        .devices
        .controllers
        .iter()
        .filter(|c| c.kind == ControllerType::Usb)
    {
        free.extend((1..=usb_ports(controller)).map(|port| (controller.number(), port.to_string())));
    }
    let devices = &mut doc.devices;
    let hostdevs = devices
        .hostdevs
        .iter_mut()
        .filter(|hostdev| matches!(hostdev.kind, HostdevKind::Usb(_)))
        .map(|hostdev| &mut hostdev.info);
    let disks = devices
        .disks
        .iter_mut()
        .filter(|d| d.target.bus == Some(DiskBus::Usb))
        .map(|d| &mut d.info);
    let inputs = devices
        .inputs
        .iter_mut()
        .filter(|i| i.bus == Some(InputBus::Usb))
        .map(|i| &mut i.info);
    let serials = devices
        .serials
        .iter_mut()
        .filter(|s| s.target.as_ref().and_then(|t| t.kind.as_deref()) == Some("usb-serial"))
        .map(|s| &mut s.info);
    let ccids = { devices.controllers.iter_mut() }.filter(|c| c.kind == ControllerType::Ccid);
    let sounds = { devices.sounds.iter_mut() }.filter(|sound| sound.model == SoundModel::Usb);
    let mut users: Vec<&mut DeviceInfo> = hostdevs.chain(disks).chain(inputs).chain(serials).collect();
    let cards = { devices.interfaces.iter_mut() }.filter(|card| card.model.as_deref() == Some("usb-net"));
    users.extend(cards.map(|card| &mut card.info));
    users.extend(sounds.map(|sound| &mut sound.info));
    users.extend(ccids.map(|controller| &mut controller.info));
    users.extend(devices.redirdevs.iter_mut().map(|redirdev| &mut redirdev.info));
    for info in &users {
        if let Some(Address::Usb(UsbAddress {
            bus,
            port: Some(port),
        })) = &info.address
        {
            let before = free.len();
            free.retain(|place| !(place.0 == *bus && place.1 == *port));
            if free.len() == before {
                return Err(Error::Xml(format!(
                    "USB bus {bus} does not have a free port {port}"
                )));
            }
        }
    }
    for info in &mut users {
        let bus = match &info.address {
            Some(Address::Usb(UsbAddress { port: Some(_), .. })) => continue,
            Some(Address::Usb(UsbAddress { bus, port: None })) => Some(*bus),
            _ => None,
        };
        let at = free
            .iter()
            .position(|place| bus.is_none_or(|bus| bus == place.0))
            .ok_or_else(|| Error::unsupported("No free USB ports (hubs are not supported by this driver)"))?;
        let (bus, port) = free.remove(at);
        info.address = Some(Address::Usb(UsbAddress {
            bus,
            port: Some(port),
        }));
    }
    Ok(())
}
