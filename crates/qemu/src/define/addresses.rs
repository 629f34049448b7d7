//! Places on buses other than PCI: ports of virtio-serial controllers and of USB controllers.

use std::collections::BTreeSet;

use ferrovirt_model::domain::{
    Address, Channel, ChannelTargetType, ControllerType, DeviceInfo, Domain, VirtioSerialAddress,
};

use crate::error::{Error, Result};

/// Ports of a virtio-serial controller that says nothing.
const SERIAL_PORTS: u32 = 31;
/// More than that do not fit on any bus.
const MOST_CONTROLLERS: u32 = 255;

/// Gives ports to channels, and to USB devices.
pub(super) fn settle(doc: &mut Domain) -> Result<()> {
    channels(doc)?;
    super::usb::settle(doc)
}

fn channels(doc: &mut Domain) -> Result<()> {
    let mut ports: Vec<(u32, u32)> = doc
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
    // Controllers for those that find no port on the others.
    let mut added = Vec::new();
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
            .find(|place| !taken.contains(place));
        let place = match (place, wanted) {
            (Some(place), _) => place,
            (None, Some(wanted)) => {
                return Err(Error::Xml(format!(
                    "Unable to find a free virtio-serial port on controller {wanted}"
                )));
            }
            (None, None) => {
                let index = free_index(&ports)?;
                ports.push((index, SERIAL_PORTS));
                added.push(index);
                (index, 1)
            }
        };
        taken.insert(place);
        channel.info.address = Some(Address::VirtioSerial(VirtioSerialAddress {
            controller: place.0,
            bus: 0,
            port: place.1,
        }));
    }
    for index in added {
        super::controllers::ensure(doc, ControllerType::VirtioSerial, index, None);
    }
    Ok(())
}

/// The first number that no controller has.
fn free_index(ports: &[(u32, u32)]) -> Result<u32> {
    let free = (0..=MOST_CONTROLLERS).find(|index| ports.iter().all(|(number, _)| number != index));
    free.ok_or_else(|| Error::Xml("Unable to find a free virtio-serial port".to_owned()))
}
