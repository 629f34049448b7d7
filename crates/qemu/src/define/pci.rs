//! PCI places. Two passes, as libvirt does it: a rehearsal finds out how many buses are needed, then the buses
//! become controllers, and everything is placed for good, buses first.
//!
//! The rehearsal of a q35 guest that leaves its buses to us ends with one root port too many: room to plug
//! something in. That of a `pc` guest takes one slot too many: room for a bridge.

use ferrovirt_model::domain::{
    Address, Controller, ControllerTarget, ControllerType, Domain, PciAddress, SoundModel,
};

use super::controllers;
use super::machine::Chipset;
use super::pci_devices::{Connect, Device, all, connect, info, info_mut};
use crate::error::{Error, Result};

/// A bus: what may sit on it and what does.
#[derive(Debug, Clone)]
struct Bus {
    model: String,
    /// Functions in use, a bit each.
    slots: [u8; 32],
    /// Slots whose functions root ports share.
    shared: [bool; 32],
}

impl Bus {
    fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            slots: [0; 32],
            shared: [false; 32],
        }
    }

    fn accepts(&self, connect: Connect) -> bool {
        match connect {
            Connect::Pci => matches!(
                self.model.as_str(),
                "pci-root" | "pci-bridge" | "pcie-to-pci-bridge" | "dmi-to-pci-bridge"
            ),
            Connect::Pcie => self.model == "pcie-root-port",
            Connect::RootPort => self.model == "pcie-root",
        }
    }

    /// Slot numbers that exist for devices.
    fn range(&self) -> std::ops::RangeInclusive<u32> {
        if self.model == "pcie-root-port" {
            0..=0
        } else {
            1..=31
        }
    }

    fn is_full(&self) -> bool {
        self.range().all(|slot| self.slots[slot as usize] != 0)
    }
}

const WHOLE_SLOT: u8 = 0xff;

/// All buses of a guest.
#[derive(Debug, Clone)]
struct Map {
    chipset: Chipset,
    buses: Vec<Bus>,
}

impl Map {
    fn of(doc: &Domain, chipset: Chipset) -> Result<Self> {
        let mut buses: Vec<Option<Bus>> = Vec::new();
        for controller in doc
            .devices
            .controllers
            .iter()
            .filter(|c| c.kind == ControllerType::Pci)
        {
            let index = controller.number() as usize;
            if index > 255 {
                return Err(Error::Xml(format!(
                    "PCI controller index {index} too high, maximum is 255"
                )));
            }
            if buses.len() <= index {
                buses.resize(index + 1, None);
            }
            buses[index] = Some(Bus::new(controller.model.as_deref().unwrap_or_default()));
        }
        let fill = if chipset == Chipset::Q35 {
            "pcie-root-port"
        } else {
            "pci-bridge"
        };
        let buses = buses
            .into_iter()
            .map(|bus| bus.unwrap_or_else(|| Bus::new(fill)))
            .collect();
        Ok(Self { chipset, buses })
    }

    fn add(&mut self, model: &str) -> Result<usize> {
        if self.buses.len() > 255 {
            return Err(Error::Failed("No more available PCI slots".to_owned()));
        }
        self.buses.push(Bus::new(model));
        Ok(self.buses.len() - 1)
    }

    fn find(&mut self, connect: Connect) -> Option<PciAddress> {
        for (number, bus) in self.buses.iter_mut().enumerate() {
            if !bus.accepts(connect) {
                continue;
            }
            for slot in bus.range() {
                let at = slot as usize;
                let bus_number = u32::try_from(number).unwrap_or(0);
                if bus.slots[at] == 0 {
                    let shared = connect == Connect::RootPort;
                    bus.shared[at] = shared;
                    bus.slots[at] = if shared { 1 } else { WHOLE_SLOT };
                    return Some(PciAddress::new(bus_number, slot, 0));
                }
                if connect == Connect::RootPort && bus.shared[at] && bus.slots[at] != WHOLE_SLOT {
                    let function = bus.slots[at].trailing_ones();
                    bus.slots[at] |= 1 << function;
                    return Some(PciAddress::new(bus_number, slot, function));
                }
            }
        }
        None
    }

    /// A place for such a device; makes a bus for it when there is none.
    fn take(&mut self, connect: Connect) -> Result<PciAddress> {
        if let Some(address) = self.find(connect) {
            return Ok(address);
        }
        match (self.chipset, connect) {
            (Chipset::Q35, Connect::Pcie) => {
                self.add("pcie-root-port")?;
            }
            (Chipset::Q35, Connect::Pci) => {
                // The bridge itself sits below a root port.
                self.take(Connect::Pcie)?;
                self.add("pcie-to-pci-bridge")?;
            }
            (Chipset::I440fx, Connect::Pci) => {
                self.add("pci-bridge")?;
            }
            _ => return Err(Error::Failed("No more available PCI slots".to_owned())),
        }
        self.find(connect)
            .ok_or_else(|| Error::Failed("No more available PCI slots".to_owned()))
    }

    /// Takes a place that the document gives.
    fn reserve(&mut self, address: &PciAddress, connect: Connect) -> Result<()> {
        let text = text(address);
        let (bus_number, slot) = (
            address.bus.unwrap_or(0) as usize,
            address.slot.unwrap_or(0) as usize,
        );
        if address.domain.unwrap_or(0) != 0 {
            return Err(Error::Xml(format!(
                "Invalid PCI address {text}. Only PCI domain 0 is available"
            )));
        }
        while self.buses.len() <= bus_number {
            let model = if self.chipset == Chipset::Q35 {
                "pcie-root-port"
            } else {
                "pci-bridge"
            };
            self.add(model)?;
        }
        let bus = &mut self.buses[bus_number];
        // On the root bus the document may put whatever it likes; a root port has one slot only.
        if !bus.range().contains(&u32::try_from(slot).unwrap_or(u32::MAX)) && slot != 0 || slot > 31 {
            return Err(Error::Xml(format!(
                "Invalid PCI address {text}. slot must be <= {}",
                bus.range().end()
            )));
        }
        if slot == 0 && *bus.range().start() > 0 {
            return Err(Error::Xml(format!(
                "Invalid PCI address {text}. slot must be >= 1"
            )));
        }
        let function = address.function.unwrap_or(0);
        let bit = 1u8
            .checked_shl(function)
            .ok_or_else(|| Error::Xml(format!("Invalid PCI address {text}. function must be <= 7")))?;
        if bus.slots[slot] == WHOLE_SLOT || bus.slots[slot] & bit != 0 {
            return Err(Error::Xml(format!("Attempted double use of PCI Address {text}")));
        }
        bus.slots[slot] |= bit;
        bus.shared[slot] = connect == Connect::RootPort;
        Ok(())
    }

    /// After all that was given: a slot with one device in it is that device's alone, unless root ports share it.
    fn close_slots(&mut self) {
        for bus in &mut self.buses {
            for slot in 0..32 {
                if bus.slots[slot] != 0 && !bus.shared[slot] {
                    bus.slots[slot] = WHOLE_SLOT;
                }
            }
        }
    }
}

fn text(address: &PciAddress) -> String {
    format!(
        "{:04x}:{:02x}:{:02x}.{:x}",
        address.domain.unwrap_or(0),
        address.bus.unwrap_or(0),
        address.slot.unwrap_or(0),
        address.function.unwrap_or(0)
    )
}

/// Places everything.
pub(super) fn settle(doc: &mut Domain, chipset: Chipset) -> Result<()> {
    tidy(doc, chipset)?;
    let own_buses = doc
        .devices
        .controllers
        .iter()
        .any(|c| c.kind == ControllerType::Pci && c.number() > 0);
    let before = Map::of(doc, chipset)?.buses.len();
    chipset_devices(doc, chipset)?;
    let rehearsal = rehearse(doc, chipset, if own_buses { usize::MAX } else { before })?;
    add_buses(doc, &rehearsal);
    place(doc, chipset)?;
    multifunction(doc);
    describe_buses(doc);
    Ok(())
}

/// Makes a controller of each bus that has none.
fn add_buses(doc: &mut Domain, map: &Map) {
    for (index, bus) in map.buses.iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(0);
        let there = doc
            .devices
            .controllers
            .iter()
            .any(|c| c.kind == ControllerType::Pci && c.number() == index);
        if !there {
            let controller = Controller::new(ControllerType::Pci, index, Some(&bus.model));
            controllers::insert(&mut doc.devices.controllers, controller);
        }
    }
}

/// Fills in the missing numbers of addresses that the document gives; forgets those that give none.
fn tidy(doc: &mut Domain, chipset: Chipset) -> Result<()> {
    for device in all(doc) {
        let wanted = connect(doc, chipset, device);
        let Some(info) = info_mut(doc, device) else {
            continue;
        };
        match &mut info.address {
            Some(Address::Pci(address)) if !address.is_given() => info.address = None,
            Some(Address::Pci(_)) if wanted.is_none() => {
                return Err(Error::Xml(
                    "a PCI address was given to a device that is not on PCI".to_owned(),
                ));
            }
            Some(Address::Pci(address)) => {
                address.domain.get_or_insert(0);
                address.bus.get_or_insert(0);
                address.slot.get_or_insert(0);
                address.function.get_or_insert(0);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Devices that are part of the chipset have their places, and the first card that shows the boot has its own.
fn chipset_devices(doc: &mut Domain, chipset: Chipset) -> Result<()> {
    for controller in &mut doc.devices.controllers {
        if controller.info.address.is_some() {
            continue;
        }
        let place = match (chipset, controller.kind, controller.number()) {
            (Chipset::Q35, ControllerType::Sata, 0) => Some((0x1f, 2)),
            (Chipset::I440fx, ControllerType::Ide, 0) => Some((1, 1)),
            (Chipset::I440fx, ControllerType::Usb, 0)
                if controller.model.as_deref() == Some("piix3-uhci") =>
            {
                Some((1, 2))
            }
            _ => None,
        };
        if let Some((slot, function)) = place {
            controller.info.address = Some(Address::Pci(PciAddress::new(0, slot, function)));
        }
    }
    ich9_usb(doc, chipset)?;
    if chipset == Chipset::Q35 {
        ich9_sound(doc);
    }
    let slot = if chipset == Chipset::Q35 { 1 } else { 2 };
    let wanted = PciAddress::new(0, slot, 0);
    let used = all(doc).into_iter().any(|device| {
        info(doc, device)
            .and_then(|info| info.pci())
            .is_some_and(|a| a.bus == Some(0) && a.slot == Some(slot))
    });
    let primary = doc
        .devices
        .videos
        .iter_mut()
        .find(|video| video.model.primary == Some(true) && video.model.kind != "ramfb");
    if let Some(video) = primary
        && video.info.address.is_none()
        && !used
    {
        video.info.address = Some(Address::Pci(wanted));
    }
    Ok(())
}

/// Where the chipset of q35 has its sound card.
const ICH9_SOUND: u32 = 0x1b;

/// The first sound card of ICH9's kind is the chipset's, where that place is free.
fn ich9_sound(doc: &mut Domain) {
    let used = all(doc).into_iter().any(|device| {
        let address = info(doc, device).and_then(|info| info.pci());
        address.is_some_and(|a| a.bus == Some(0) && a.slot == Some(ICH9_SOUND))
    });
    let mut sounds = doc.devices.sounds.iter_mut();
    let first = sounds.find(|sound| sound.model == SoundModel::Ich9 && sound.info.address.is_none());
    if let Some(sound) = first.filter(|_| !used) {
        sound.info.address = Some(Address::Pci(PciAddress::new(0, ICH9_SOUND, 0)));
    }
}

/// Function of each part of an ICH9 USB controller.
fn ich9_function(model: &str) -> Option<u32> {
    Some(match model {
        "ich9-ehci1" => 7,
        "ich9-uhci1" => 0,
        "ich9-uhci2" => 1,
        "ich9-uhci3" => 2,
        _ => return None,
    })
}

/// The four parts of an ICH9 USB controller share a slot; on q35 it is the chipset's.
fn ich9_usb(doc: &mut Domain, chipset: Chipset) -> Result<()> {
    let mut slots: Vec<(u32, u32, u32)> = Vec::new();
    let mut of_chipset = [0x1d, 0x1a].into_iter();
    for at in 0..doc.devices.controllers.len() {
        let controller = &doc.devices.controllers[at];
        if controller.kind != ControllerType::Usb || controller.info.address.is_some() {
            continue;
        }
        let Some(function) = controller.model.as_deref().and_then(ich9_function) else {
            continue;
        };
        let index = controller.number();
        let place = slots
            .iter()
            .find(|(i, ..)| *i == index)
            .map(|(_, bus, slot)| (*bus, *slot));
        let (bus, slot) = match place {
            Some(place) => place,
            None => {
                let whole = doc.devices.controllers.iter().any(|c| {
                    c.kind == ControllerType::Usb
                        && c.number() == index
                        && c.model.as_deref() == Some("ich9-uhci1")
                });
                let own = (chipset == Chipset::Q35 && whole)
                    .then(|| of_chipset.next())
                    .flatten();
                let place = match own {
                    Some(slot) => (0, slot),
                    None => {
                        let mut map = reserved(doc, chipset)?;
                        let free = map.take(Connect::Pci)?;
                        add_buses(doc, &map);
                        (free.bus.unwrap_or(0), free.slot.unwrap_or(0))
                    }
                };
                slots.push((index, place.0, place.1));
                place
            }
        };
        let mut address = PciAddress::new(bus, slot, function);
        if function == 0 {
            address.multifunction = Some(true);
        }
        // A bus that was just made stands before this one.
        let controller = doc.devices.controllers.iter_mut().find(|c| {
            c.kind == ControllerType::Usb
                && c.number() == index
                && c.info.address.is_none()
                && c.model.as_deref().and_then(ich9_function) == Some(function)
        });
        if let Some(controller) = controller {
            controller.info.address = Some(Address::Pci(address));
        }
    }
    Ok(())
}

/// The map with all given places taken.
fn reserved(doc: &Domain, chipset: Chipset) -> Result<Map> {
    let mut map = Map::of(doc, chipset)?;
    let root = &mut map.buses[0];
    match chipset {
        // ISA bridge, IDE, USB and power management.
        Chipset::I440fx => root.slots[1] |= 0b1001,
        // ISA bridge and SMBus.
        Chipset::Q35 => root.slots[0x1f] |= 0b1001,
    }
    for device in all(doc) {
        let Some(connect) = connect(doc, chipset, device) else {
            continue;
        };
        if let Some(address) = info(doc, device).and_then(|info| info.pci()) {
            map.reserve(address, connect)?;
        }
    }
    map.close_slots();
    Ok(map)
}

/// `leave`: with more buses than that, one is added to plug something in.
fn rehearse(doc: &Domain, chipset: Chipset, leave: usize) -> Result<Map> {
    let mut map = reserved(doc, chipset)?;
    let full = map.buses.iter().all(Bus::is_full);
    for device in all(doc) {
        let Some(connect) = connect(doc, chipset, device) else {
            continue;
        };
        if info(doc, device).is_some_and(|info| info.pci().is_none()) {
            map.take(connect)?;
        }
    }
    match chipset {
        Chipset::I440fx if !full => {
            map.take(Connect::Pci)?;
        }
        Chipset::Q35 if map.buses.len() > leave => {
            map.take(Connect::Pcie)?;
        }
        _ => {}
    }
    Ok(map)
}

fn place(doc: &mut Domain, chipset: Chipset) -> Result<()> {
    let mut map = reserved(doc, chipset)?;
    let buses = map.buses.len();
    for device in all(doc) {
        let Some(connect) = connect(doc, chipset, device) else {
            continue;
        };
        let Some(info) = info_mut(doc, device) else {
            continue;
        };
        if info.pci().is_none() {
            info.address = Some(Address::Pci(map.take(connect)?));
        }
    }
    if map.buses.len() != buses {
        return Err(Error::Failed("No more available PCI slots".to_owned()));
    }
    Ok(())
}

/// Function 0 of a slot that root ports share says so.
fn multifunction(doc: &mut Domain) {
    let shared: Vec<(u32, u32)> = all(doc)
        .into_iter()
        .filter_map(|device| match device {
            Device::Controller(at) if doc.devices.controllers[at].kind == ControllerType::Pci => {
                info(doc, device)?.pci()
            }
            _ => None,
        })
        .filter(|address| address.function.unwrap_or(0) > 0)
        .map(|address| (address.bus.unwrap_or(0), address.slot.unwrap_or(0)))
        .collect();
    for controller in &mut doc.devices.controllers {
        if controller.kind != ControllerType::Pci {
            continue;
        }
        if let Some(Address::Pci(address)) = &mut controller.info.address {
            let place = (address.bus.unwrap_or(0), address.slot.unwrap_or(0));
            if address.function == Some(0) && shared.contains(&place) {
                address.multifunction.get_or_insert(true);
            }
        }
    }
}

/// QEMU's device, chassis and port numbers of each bus.
fn describe_buses(doc: &mut Domain) {
    for controller in doc
        .devices
        .controllers
        .iter_mut()
        .filter(|c| c.kind == ControllerType::Pci)
    {
        let index = controller.number();
        let model = controller.model.clone().unwrap_or_default();
        let device = match model.as_str() {
            "pcie-root-port" => "pcie-root-port",
            "pcie-to-pci-bridge" => "pcie-pci-bridge",
            "pci-bridge" => "pci-bridge",
            "dmi-to-pci-bridge" => "i82801b11-bridge",
            _ => continue,
        };
        controller.device.get_or_insert_with(|| device.to_owned());
        match model.as_str() {
            "pcie-root-port" => {
                let port = controller
                    .info
                    .pci()
                    .map(|a| (a.slot.unwrap_or(0) << 3) + a.function.unwrap_or(0));
                let target = controller.target.get_or_insert_with(ControllerTarget::default);
                target.chassis.get_or_insert(index);
                if target.port.is_none() {
                    target.port = port;
                }
            }
            "pci-bridge" => {
                controller
                    .target
                    .get_or_insert_with(ControllerTarget::default)
                    .chassis_nr
                    .get_or_insert(index);
            }
            _ => {}
        }
    }
}
