//! The document as JSON, for the hooks whose rules ask for it (`payload = "json"`): the event, the XML as it is, and a
//! summary of what most hooks look for in it. `docs/hooks/payload.schema.json` is the promise about its shape.
//!
//! All keys are always there; what is not known is `null` or an empty list. A document that is no XML, or not the
//! document of its driver, has no summary; that is never an error, for the hook has the text itself.

use roxmltree::{Document, Node};
use serde::Serialize;

use crate::event::{Driver, HookEvent};
use crate::policy::document::{attribute_of, child, children, devices, metadata, parse, text, text_of};
use crate::policy::document::{guest, network, port};

/// The JSON Schema (draft 2020-12) of what [`json`] writes.
pub const SCHEMA: &str = include_str!("../../../docs/hooks/payload.schema.json");

/// Grows when a key changes its meaning or goes; not when one is added.
const VERSION: u32 = 1;

/// The event and its document as one line of JSON, with a newline at the end.
pub fn json(event: &HookEvent, document: Option<&str>) -> String {
    let [object, operation, sub_operation, extra] = event.argv();
    let said = |argument: &String| (argument != "-").then(|| argument.clone());
    let parsed = document.and_then(parse);
    let (of_guest, of_network) = match event.driver() {
        Driver::Daemon => (None, None),
        Driver::Network => (None, parsed.as_ref()),
        Driver::Qemu | Driver::Lxc | Driver::Libxl => (parsed.as_ref(), None),
    };
    let payload = Payload {
        version: VERSION,
        driver: event.driver().as_str(),
        object: said(&object),
        operation,
        sub_operation: said(&sub_operation),
        extra: said(&extra),
        xml: document,
        guest: of_guest.and_then(Guest::of),
        network: of_network.and_then(Network::of),
        port: of_network.and_then(Port::of),
    };
    // Texts and numbers under fixed keys: there is nothing that JSON could not hold.
    serde_json::to_string(&payload).unwrap_or_default() + "\n"
}

#[derive(Serialize)]
struct Payload<'a> {
    version: u32,
    driver: &'static str,
    object: Option<String>,
    operation: String,
    sub_operation: Option<String>,
    extra: Option<String>,
    xml: Option<&'a str>,
    guest: Option<Guest<'a>>,
    network: Option<Network<'a>>,
    port: Option<Port<'a>>,
}

#[derive(Serialize)]
struct Guest<'a> {
    name: Option<&'a str>,
    uuid: Option<&'a str>,
    id: Option<i64>,
    title: Option<&'a str>,
    description: Option<&'a str>,
    memory_kib: Option<u64>,
    vcpus: Option<u64>,
    os: Os<'a>,
    interfaces: Vec<Interface<'a>>,
    disks: Vec<Disk<'a>>,
    hostdevs: Vec<Hostdev<'a>>,
    graphics: Vec<Graphics<'a>>,
    metadata: Vec<&'a str>,
}

impl<'a> Guest<'a> {
    fn of(document: &'a Document<'_>) -> Option<Guest<'a>> {
        let node = guest(document)?;
        let of_kind = |kind: &'static str| devices(node).filter(move |device| device.has_tag_name(kind));
        Some(Guest {
            name: text_of(node, "name"),
            uuid: text_of(node, "uuid"),
            id: number(node.attribute("id")),
            title: text_of(node, "title"),
            description: text_of(node, "description"),
            memory_kib: child(node, "memory").and_then(kib),
            vcpus: number(text_of(node, "vcpu")),
            os: Os::of(node),
            interfaces: of_kind("interface").map(Interface::of).collect(),
            disks: of_kind("disk").map(Disk::of).collect(),
            hostdevs: of_kind("hostdev").map(Hostdev::of).collect(),
            graphics: of_kind("graphics").map(Graphics::of).collect(),
            metadata: namespaces(node),
        })
    }
}

#[derive(Serialize)]
struct Os<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    arch: Option<&'a str>,
    machine: Option<&'a str>,
}

impl<'a> Os<'a> {
    fn of(guest: Node<'a, '_>) -> Os<'a> {
        let kind = child(guest, "os").and_then(|os| child(os, "type"));
        let attribute = |name| kind.and_then(|kind| kind.attribute(name));
        Os {
            kind: kind.and_then(text),
            arch: attribute("arch"),
            machine: attribute("machine"),
        }
    }
}

#[derive(Serialize)]
struct Interface<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    mac: Option<&'a str>,
    network: Option<&'a str>,
    bridge: Option<&'a str>,
    target: Option<&'a str>,
    model: Option<&'a str>,
}

impl<'a> Interface<'a> {
    fn of(node: Node<'a, '_>) -> Interface<'a> {
        Interface {
            kind: node.attribute("type"),
            mac: attribute_of(node, "mac", "address"),
            network: attribute_of(node, "source", "network"),
            bridge: attribute_of(node, "source", "bridge"),
            target: attribute_of(node, "target", "dev"),
            model: attribute_of(node, "model", "type"),
        }
    }
}

#[derive(Serialize)]
struct Disk<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    device: &'a str,
    target: Option<&'a str>,
    bus: Option<&'a str>,
    source: Option<&'a str>,
    format: Option<&'a str>,
    readonly: bool,
}

impl<'a> Disk<'a> {
    fn of(node: Node<'a, '_>) -> Disk<'a> {
        /// Where the kinds of sources have what they are called.
        const SOURCES: [&str; 6] = ["file", "dev", "dir", "volume", "name", "path"];
        let source = SOURCES
            .into_iter()
            .find_map(|attribute| attribute_of(node, "source", attribute));
        Disk {
            kind: node.attribute("type"),
            device: node.attribute("device").unwrap_or("disk"),
            target: attribute_of(node, "target", "dev"),
            bus: attribute_of(node, "target", "bus"),
            source,
            format: attribute_of(node, "driver", "type"),
            readonly: child(node, "readonly").is_some(),
        }
    }
}

#[derive(Serialize)]
struct Hostdev<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    address: Option<String>,
}

impl<'a> Hostdev<'a> {
    fn of(node: Node<'a, '_>) -> Hostdev<'a> {
        Hostdev {
            kind: node.attribute("type"),
            address: child(node, "source").and_then(host_address),
        }
    }
}

/// `0000:01:00.0` of PCI, `001:004` of USB (or `046d:c077` without a place), the UUID of a mediated device.
fn host_address(source: Node<'_, '_>) -> Option<String> {
    let Some(address) = child(source, "address") else {
        let id = |name| attribute_of(source, name, "id").and_then(hexadecimal);
        return Some(format!("{:04x}:{:04x}", id("vendor")?, id("product")?));
    };
    if let Some(uuid) = address.attribute("uuid") {
        return Some(uuid.to_owned());
    }
    if let Some(device) = address.attribute("device") {
        let (bus, device) = (hexadecimal(address.attribute("bus")?)?, hexadecimal(device)?);
        return Some(format!("{bus:03}:{device:03}"));
    }
    let part = |name| address.attribute(name).and_then(hexadecimal);
    Some(format!(
        "{:04x}:{:02x}:{:02x}.{:x}",
        part("domain").unwrap_or(0),
        part("bus")?,
        part("slot")?,
        part("function").unwrap_or(0)
    ))
}

#[derive(Serialize)]
struct Graphics<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    port: Option<u16>,
}

impl<'a> Graphics<'a> {
    fn of(node: Node<'a, '_>) -> Graphics<'a> {
        Graphics {
            kind: node.attribute("type"),
            // -1 stands for a port that is not chosen yet.
            port: number(node.attribute("port")),
        }
    }
}

#[derive(Serialize)]
struct Network<'a> {
    name: Option<&'a str>,
    uuid: Option<&'a str>,
    bridge: Option<&'a str>,
    forward: Option<&'a str>,
    domain: Option<&'a str>,
    ips: Vec<Ip<'a>>,
    metadata: Vec<&'a str>,
}

impl<'a> Network<'a> {
    fn of(document: &'a Document<'_>) -> Option<Network<'a>> {
        let node = network(document)?;
        Some(Network {
            name: text_of(node, "name"),
            uuid: text_of(node, "uuid"),
            bridge: attribute_of(node, "bridge", "name"),
            // Without a mode, libvirt means this one.
            forward: child(node, "forward").map(|forward| forward.attribute("mode").unwrap_or("nat")),
            domain: attribute_of(node, "domain", "name"),
            ips: children(node, "ip").map(Ip::of).collect(),
            metadata: namespaces(node),
        })
    }
}

#[derive(Serialize)]
struct Ip<'a> {
    family: &'static str,
    address: Option<&'a str>,
    netmask: Option<&'a str>,
    prefix: Option<u8>,
}

impl<'a> Ip<'a> {
    fn of(node: Node<'a, '_>) -> Ip<'a> {
        Ip {
            family: if node.attribute("family") == Some("ipv6") {
                "ipv6"
            } else {
                "ipv4"
            },
            address: node.attribute("address"),
            netmask: node.attribute("netmask"),
            prefix: number(node.attribute("prefix")),
        }
    }
}

#[derive(Serialize)]
struct Port<'a> {
    uuid: Option<&'a str>,
    owner_name: Option<&'a str>,
    owner_uuid: Option<&'a str>,
    mac: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    bridge: Option<&'a str>,
}

impl<'a> Port<'a> {
    fn of(document: &'a Document<'_>) -> Option<Port<'a>> {
        let node = port(document)?;
        let owner = child(node, "owner");
        let of_owner = |name| owner.and_then(|owner| text_of(owner, name));
        Some(Port {
            uuid: text_of(node, "uuid"),
            owner_name: of_owner("name"),
            owner_uuid: of_owner("uuid"),
            mac: attribute_of(node, "mac", "address"),
            kind: attribute_of(node, "plug", "type"),
            bridge: attribute_of(node, "plug", "bridge"),
        })
    }
}

/// The namespaces of those who put something into `<metadata>`, each once.
fn namespaces<'a>(object: Node<'a, '_>) -> Vec<&'a str> {
    let mut all: Vec<&str> = metadata(object)
        .filter_map(|node| node.tag_name().namespace())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn number<T: std::str::FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

/// `0x1f`, as libvirt writes addresses; digits without `0x` are decimal.
fn hexadecimal(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A size with its unit, in KiB and rounded up, as libvirt does.
fn kib(node: Node<'_, '_>) -> Option<u64> {
    const UNITS: [(&str, u64); 18] = [
        ("b", 1),
        ("bytes", 1),
        ("KB", 1000),
        ("k", 1 << 10),
        ("K", 1 << 10),
        ("KiB", 1 << 10),
        ("MB", 1_000_000),
        ("m", 1 << 20),
        ("M", 1 << 20),
        ("MiB", 1 << 20),
        ("GB", 1_000_000_000),
        ("g", 1 << 30),
        ("G", 1 << 30),
        ("GiB", 1 << 30),
        ("TB", 1_000_000_000_000),
        ("t", 1 << 40),
        ("T", 1 << 40),
        ("TiB", 1 << 40),
    ];
    let unit = node.attribute("unit").unwrap_or("KiB");
    let factor = UNITS
        .iter()
        .find_map(|(name, factor)| (*name == unit).then_some(*factor))?;
    let bytes = number::<u64>(text(node))?.checked_mul(factor)?;
    Some(bytes.div_ceil(1 << 10))
}

#[cfg(test)]
mod tests;
