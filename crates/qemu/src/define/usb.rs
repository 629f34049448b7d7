//! Ports of USB controllers and hubs. What has a port keeps it; hubs come first, then everything else takes the first free
//! port, those of the controllers before those of hubs.

use ferrovirt_model::domain::{
    Address, Controller, ControllerType, DeviceInfo, DiskBus, Domain, HostdevKind, Hub, InputBus, SoundModel,
    UsbAddress,
};

use crate::error::{Error, Result};

/// Ports of a hub.
const HUB_PORTS: usize = 8;
/// Longest way through hubs to a port.
const DEPTH: usize = 4;

/// A controller or a hub: its ports.
#[derive(Debug, Clone, Default)]
struct Ports {
    taken: Vec<bool>,
    hubs: Vec<Option<Box<Ports>>>,
}

impl Ports {
    fn new(count: usize) -> Self {
        Self {
            taken: vec![false; count],
            hubs: (0..count).map(|_| None).collect(),
        }
    }

    /// The first free port, with the way there.
    fn take(&mut self, depth: usize) -> Option<Vec<usize>> {
        if let Some(free) = self.taken.iter().position(|taken| !taken) {
            self.taken[free] = true;
            return Some(vec![free + 1]);
        }
        if depth >= DEPTH {
            return None;
        }
        for (at, hub) in self.hubs.iter_mut().enumerate() {
            if let Some(mut rest) = hub.as_mut().and_then(|hub| hub.take(depth + 1)) {
                rest.insert(0, at + 1);
                return Some(rest);
            }
        }
        None
    }
}

/// One bus: a number, and the controllers that have it.
struct Bus {
    number: u32,
    root: Ports,
}

impl Bus {
    /// What holds the last port of this way, and that port.
    fn holder(&mut self, way: &[usize]) -> Result<(&mut Ports, usize)> {
        let number = self.number;
        let text = |way: &[usize]| way.iter().map(usize::to_string).collect::<Vec<_>>().join(".");
        let whole = text(way);
        let mut ports = &mut self.root;
        let last = way.last().copied().unwrap_or(0);
        for (at, port) in way.iter().enumerate().take(way.len().saturating_sub(1)) {
            let hub = ports.hubs.get_mut(port.wrapping_sub(1)).and_then(Option::as_mut);
            ports = hub.ok_or_else(|| {
                let before = text(&way[..=at]);
                Error::Xml(format!(
                    "there is no hub at port {before} in USB address bus: {number} port: {whole}"
                ))
            })?;
        }
        if last == 0 || last > ports.taken.len() {
            return Err(Error::Xml(format!(
                "requested USB port {whole} not present on USB bus {number}"
            )));
        }
        Ok((ports, last - 1))
    }

    fn add_hub(&mut self, way: &[usize]) -> Result<()> {
        let number = self.number;
        let (ports, port) = self.holder(way)?;
        if ports.hubs[port].is_some() {
            return Err(Error::Xml(format!(
                "Duplicate USB hub on bus {number} port {}",
                port + 1
            )));
        }
        ports.hubs[port] = Some(Box::new(Ports::new(HUB_PORTS)));
        Ok(())
    }
}

/// Ports of a USB controller.
fn ports_of(controller: &Controller) -> usize {
    match controller.model.as_deref() {
        Some("qemu-xhci" | "nec-xhci") => controller.ports.unwrap_or(4) as usize,
        Some("ehci" | "ich9-ehci1") => 6,
        Some("pci-ohci") => 3,
        Some("piix3-uhci" | "piix4-uhci" | "vt82c686b-uhci") => 2,
        _ => 0,
    }
}

fn buses(controllers: &[Controller]) -> Vec<Bus> {
    let mut buses: Vec<Bus> = Vec::new();
    for controller in controllers.iter().filter(|c| c.kind == ControllerType::Usb) {
        let (number, ports) = (controller.number(), ports_of(controller));
        if ports > 0 && !buses.iter().any(|bus| bus.number == number) {
            let root = Ports::new(ports);
            buses.push(Bus { number, root });
        }
    }
    buses.sort_by_key(|bus| bus.number);
    buses
}

/// The way that an address names, if it names one.
fn way_of(info: &DeviceInfo) -> Result<Option<(u32, Vec<usize>)>> {
    let Some(Address::Usb(UsbAddress {
        bus,
        port: Some(port),
    })) = &info.address
    else {
        return Ok(None);
    };
    let way: Option<Vec<usize>> = port.split('.').map(|part| part.parse().ok()).collect();
    match way.filter(|way| way.len() <= DEPTH) {
        Some(way) => Ok(Some((*bus, way))),
        None => Err(Error::Xml(format!(
            "Cannot parse <address> 'port' attribute '{port}'"
        ))),
    }
}

fn bus_of(buses: &mut [Bus], number: u32) -> Result<&mut Bus> {
    let found = buses.iter_mut().find(|bus| bus.number == number);
    found.ok_or_else(|| Error::Xml(format!("Missing USB bus {number}")))
}

/// All devices that sit on USB, but for hubs.
fn users(doc: &mut Domain) -> Vec<&mut DeviceInfo> {
    let devices = &mut doc.devices;
    let hostdevs = devices
        .hostdevs
        .iter_mut()
        .filter(|hostdev| matches!(hostdev.kind, HostdevKind::Usb(_)))
        .map(|hostdev| &mut hostdev.info);
    let disks = devices
        .disks
        .iter_mut()
        .filter(|disk| disk.target.bus == Some(DiskBus::Usb))
        .map(|disk| &mut disk.info);
    let cards = devices
        .interfaces
        .iter_mut()
        .filter(|card| card.model.as_deref() == Some("usb-net"))
        .map(|card| &mut card.info);
    let readers = devices
        .controllers
        .iter_mut()
        .filter(|controller| controller.kind == ControllerType::Ccid)
        .map(|controller| &mut controller.info);
    let inputs = devices
        .inputs
        .iter_mut()
        .filter(|input| input.bus == Some(InputBus::Usb))
        .map(|input| &mut input.info);
    let serials = devices
        .serials
        .iter_mut()
        .filter(|serial| serial.target.as_ref().and_then(|t| t.kind.as_deref()) == Some("usb-serial"))
        .map(|serial| &mut serial.info);
    let sounds = devices
        .sounds
        .iter_mut()
        .filter(|sound| sound.model == SoundModel::Usb)
        .map(|sound| &mut sound.info);
    let redirected = devices.redirdevs.iter_mut().map(|device| &mut device.info);
    let users = hostdevs.chain(disks).chain(cards).chain(readers).chain(inputs);
    users.chain(serials).chain(sounds).chain(redirected).collect()
}

/// Gives ports to hubs and USB devices; adds hubs where the controllers have too few.
pub(super) fn settle(doc: &mut Domain) -> Result<()> {
    let mut buses = buses(&doc.devices.controllers);
    add_hubs(doc, &buses);
    for hub in &doc.devices.hubs {
        if let Some((bus, way)) = way_of(&hub.info)? {
            bus_of(&mut buses, bus)?.add_hub(&way)?;
        }
    }
    let mut given: Vec<(u32, Vec<usize>)> = Vec::new();
    for hub in &doc.devices.hubs {
        given.extend(way_of(&hub.info)?);
    }
    for info in users(doc) {
        given.extend(way_of(info)?);
    }
    for (number, way) in given {
        let (ports, port) = bus_of(&mut buses, number)?.holder(&way)?;
        if std::mem::replace(&mut ports.taken[port], true) {
            let way: Vec<String> = way.iter().map(usize::to_string).collect();
            let text = format!("Duplicate USB address bus {number} port {}", way.join("."));
            return Err(Error::Xml(text));
        }
    }
    for hub in &mut doc.devices.hubs {
        if let Some((bus, way)) = assign(&mut hub.info, &mut buses)? {
            bus_of(&mut buses, bus)?.add_hub(&way)?;
        }
    }
    for info in users(doc) {
        assign(info, &mut buses)?;
    }
    Ok(())
}

/// Hubs for as many devices as the controllers and hubs have no ports for.
fn add_hubs(doc: &mut Domain, buses: &[Bus]) {
    let own: usize = buses.iter().map(|bus| bus.root.taken.len()).sum();
    let ports = own + doc.devices.hubs.len() * HUB_PORTS;
    let wanted = users(doc).len() + doc.devices.hubs.len();
    if wanted > ports && own > 0 {
        let more = (wanted - ports + 1).div_ceil(HUB_PORTS - 1);
        doc.devices.hubs.extend((0..more).map(|_| Hub::default()));
    }
}

/// Gives a device the first free port, of the bus that it names if it names one; which it got.
fn assign(info: &mut DeviceInfo, buses: &mut [Bus]) -> Result<Option<(u32, Vec<usize>)>> {
    let bus = match &info.address {
        Some(Address::Usb(UsbAddress { port: Some(_), .. })) => return Ok(None),
        Some(Address::Usb(UsbAddress { bus, port: None })) => Some(*bus),
        _ => None,
    };
    if let Some(number) = bus {
        bus_of(buses, number)?;
    }
    let mut candidates = buses
        .iter_mut()
        .filter(|candidate| bus.is_none_or(|bus| bus == candidate.number));
    let found = candidates.find_map(|bus| Some((bus.number, bus.root.take(1)?)));
    let Some((bus, way)) = found else {
        return Err(Error::Failed("No free USB ports".to_owned()));
    };
    let port = way.iter().map(usize::to_string).collect::<Vec<_>>().join(".");
    info.address = Some(Address::Usb(UsbAddress {
        bus,
        port: Some(port),
    }));
    Ok(Some((bus, way)))
}
