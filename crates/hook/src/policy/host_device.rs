//! `has_device`: devices of the host that a guest gets for itself, by what they are.
//!
//! The document says where a PCI device is, and of a USB device where it is or what it is; the rest the kernel tells in sysfs, from
//! what it has read when it found the device. No device is touched for that (R30).

use std::fs;
use std::path::Path;

use roxmltree::Node;

use super::document;
use super::finding::quoted;
use super::suggest;

/// Classes of PCI devices by their names, with the digits that their class begins with.
const CLASSES: [(&str, &[&str]); 12] = [
    ("display", &["03"]),
    ("audio", &["0401", "0403"]),
    ("multimedia", &["04"]),
    ("network", &["02"]),
    ("wireless", &["0d"]),
    ("storage", &["01"]),
    ("nvme", &["0108"]),
    ("usb-controller", &["0c03"]),
    ("communication", &["07"]),
    ("input", &["09"]),
    ("encryption", &["10"]),
    ("accelerator", &["12"]),
];

/// Words of their own.
const WORDS: [&str; 3] = ["any", "pci", "usb"];

/// The buses that a device can be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bus {
    Pci,
    Usb,
}

/// A kind of device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any device of the host, also one on another bus.
    Any,
    /// Any on this bus.
    On(Bus),
    /// A PCI device whose class begins with one of these digits.
    Class(Vec<String>),
    /// One of this vendor, and of this product.
    Ids(Bus, u32, Option<u32>),
}

impl Kind {
    /// `any`, `pci`, `usb`, `display`, `class:0300`, `pci:10de:2684`, `pci:10de:*`, `usb:046d:c52b`.
    pub(crate) fn parse(text: &str) -> Result<Kind, String> {
        let class = CLASSES.iter().find(|(name, _)| *name == text);
        if let Some((_, digits)) = class {
            return Ok(Kind::Class(
                digits.iter().map(|&digits| digits.to_owned()).collect(),
            ));
        }
        match text.split_once(':') {
            None => match text {
                "any" => Ok(Kind::Any),
                "pci" => Ok(Kind::On(Bus::Pci)),
                "usb" => Ok(Kind::On(Bus::Usb)),
                _ => Err(unknown(text)),
            },
            Some(("class", digits)) => {
                let digits = digits.to_ascii_lowercase();
                let right = matches!(digits.len(), 2 | 4 | 6) && is_hex(&digits);
                right
                    .then(|| Kind::Class(vec![digits]))
                    .ok_or_else(|| "a class has 2, 4 or 6 hexadecimal digits, such as class:0300".to_owned())
            }
            Some(("pci", ids)) => of_ids(Bus::Pci, ids),
            Some(("usb", ids)) => of_ids(Bus::Usb, ids),
            Some(_) => Err(unknown(text)),
        }
    }

    fn fits(&self, device: &Device<'_>) -> bool {
        match self {
            Kind::Any => true,
            Kind::On(bus) => device.bus() == Some(*bus),
            Kind::Class(wanted) => device
                .class()
                .is_some_and(|class| wanted.iter().any(|digits| class.starts_with(digits))),
            Kind::Ids(bus, vendor, product) => {
                device.bus() == Some(*bus)
                    && device.ids().is_some_and(|(its_vendor, its_product)| {
                        its_vendor == *vendor && product.is_none_or(|product| its_product == product)
                    })
            }
        }
    }
}

fn unknown(text: &str) -> String {
    let names: Vec<&str> = CLASSES.iter().map(|(name, _)| *name).chain(WORDS).collect();
    let hint = suggest::closest(text, &names)
        .map_or_else(String::new, |meant| format!("; did you mean {}?", quoted(meant)));
    format!(
        "no kind of device: expected {}, class:0300, pci:10de:2684 or usb:046d:c52b{hint}",
        names.join(", ")
    )
}

/// `10de:2684`, `10de:*`.
fn of_ids(bus: Bus, text: &str) -> Result<Kind, String> {
    let number = |text: &str| match text.len() == 4 && is_hex(text) {
        true => u32::from_str_radix(text, 16).ok(),
        false => None,
    };
    let parsed = || {
        let (vendor, product) = text.split_once(':')?;
        let product = match product {
            "*" => None,
            product => Some(number(product)?),
        };
        Some(Kind::Ids(bus, number(vendor)?, product))
    };
    parsed().ok_or_else(|| {
        "expected vendor and product, four hexadecimal digits each, or * for any product".to_owned()
    })
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a guest gets a device of the host that is of one of these kinds.
pub(crate) fn has(guest: Node<'_, '_>, sysfs: &Path, kinds: &[Kind]) -> bool {
    let devices = document::devices(guest).filter_map(|node| Device::of(node, sysfs));
    devices
        .into_iter()
        .any(|device| kinds.iter().any(|kind| kind.fits(&device)))
}

/// A device of the host in a document.
struct Device<'a> {
    /// `pci`, `usb`, `scsi`, …
    kind: &'a str,
    source: Option<Node<'a, 'a>>,
    sysfs: &'a Path,
}

impl<'a> Device<'a> {
    fn of(node: Node<'a, 'a>, sysfs: &'a Path) -> Option<Device<'a>> {
        let kind = match node.tag_name().name() {
            "hostdev" => node.attribute("type").unwrap_or_default(),
            // A network card that the guest gets as a whole; all that are known are PCI devices.
            "interface" if node.attribute("type") == Some("hostdev") => "pci",
            _ => return None,
        };
        let source = document::child(node, "source");
        Some(Device { kind, source, sysfs })
    }

    fn bus(&self) -> Option<Bus> {
        match self.kind {
            "pci" => Some(Bus::Pci),
            "usb" => Some(Bus::Usb),
            _ => None,
        }
    }

    /// A number of its address on the host.
    fn place(&self, name: &str) -> Option<u32> {
        number(document::attribute_of(self.source?, "address", name)?)
    }

    /// What the kernel says of a PCI device; nothing of one that is not there.
    fn pci(&self, file: &str) -> Option<String> {
        let (domain, function) = (
            self.place("domain").unwrap_or(0),
            self.place("function").unwrap_or(0),
        );
        let (bus, slot) = (self.place("bus")?, self.place("slot")?);
        let name = format!("{domain:04x}:{bus:02x}:{slot:02x}.{function:x}");
        word(&self.sysfs.join("bus/pci/devices").join(name).join(file))
    }

    /// Six digits.
    fn class(&self) -> Option<String> {
        (self.bus() == Some(Bus::Pci))
            .then(|| self.pci("class"))
            .flatten()
            .map(|text| text.trim_start_matches("0x").to_owned())
    }

    fn ids(&self) -> Option<(u32, u32)> {
        match self.bus()? {
            Bus::Pci => Some((number(&self.pci("vendor")?)?, number(&self.pci("device")?)?)),
            Bus::Usb => self.written().or_else(|| self.plugged()),
        }
    }

    /// What the document says that a USB device is.
    fn written(&self) -> Option<(u32, u32)> {
        let id = |name: &str| number(document::attribute_of(self.source?, name, "id")?);
        Some((id("vendor")?, id("product")?))
    }

    /// What is plugged in at its place.
    fn plugged(&self) -> Option<(u32, u32)> {
        let wanted = (self.place("bus")?, self.place("device")?);
        let all = fs::read_dir(self.sysfs.join("bus/usb/devices")).ok()?;
        all.flatten().find_map(|entry| {
            let read = |file: &str| word(&entry.path().join(file));
            let decimal = |file: &str| read(file)?.parse::<u32>().ok();
            let hex = |file: &str| u32::from_str_radix(&read(file)?, 16).ok();
            let place = (decimal("busnum")?, decimal("devnum")?);
            (place == wanted).then_some((hex("idVendor")?, hex("idProduct")?))
        })
    }
}

/// A number as documents and the kernel write it: `0x10de`, `16`.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn word(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: &str = "<domain><devices>
        <hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/></source>
          <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/></hostdev>
        <hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product id='0xc52b'/></source></hostdev>
        <hostdev mode='subsystem' type='usb'><source><address bus='1' device='12'/></source></hostdev>
        <interface type='hostdev'><source><address type='pci' bus='7' slot='16' function='1'/></source></interface>
        </devices></domain>";

    /// A machine with a graphics card, a virtual function and a USB stick.
    fn machine() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            ("pci/devices/0000:03:00.0/class", "0x030000\n"),
            ("pci/devices/0000:03:00.0/vendor", "0x10de\n"),
            ("pci/devices/0000:03:00.0/device", "0x2684\n"),
            ("pci/devices/0000:05:00.0/class", "0x040300\n"),
            ("pci/devices/0000:07:10.1/class", "0x020000\n"),
            ("usb/devices/usb1/busnum", "1\n"),
            ("usb/devices/1-2/busnum", "1\n"),
            ("usb/devices/1-2/devnum", "12\n"),
            ("usb/devices/1-2/idVendor", "46f4\n"),
            ("usb/devices/1-2/idProduct", "0001\n"),
        ];
        for (name, text) in files {
            let file = dir.path().join("bus").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        dir
    }

    fn holds(kinds: &[&str], document: &str) -> bool {
        let machine = machine();
        let parsed = document::parse(document).unwrap();
        let kinds: Vec<Kind> = kinds.iter().map(|kind| Kind::parse(kind).unwrap()).collect();
        has(document::guest(&parsed).unwrap(), machine.path(), &kinds)
    }

    #[test]
    fn devices_are_known_by_what_they_are() {
        for kind in [
            "any",
            "pci",
            "usb",
            "display",
            "network",
            "class:03",
            "class:0300",
            "class:030000",
            "pci:10de:2684",
            "pci:10DE:*",
            "usb:046d:c52b",
            "usb:046d:*",
            "usb:46f4:0001",
        ] {
            assert!(holds(&[kind], GUEST), "{kind}");
        }
        for kind in [
            "audio",
            "storage",
            "nvme",
            "class:0301",
            "pci:10de:2685",
            "pci:1002:*",
            "usb:10de:2684",
            "usb:046d:0001",
            "pci:046d:c52b",
        ] {
            assert!(!holds(&[kind], GUEST), "{kind}");
        }
        assert!(holds(&["audio", "display"], GUEST), "one of them is enough");
    }

    #[test]
    fn what_is_not_there_or_is_no_device_of_the_host_is_of_no_kind() {
        let none = "<domain><devices><disk type='block'/><interface type='network'/></devices></domain>";
        assert!(!holds(&["any"], none));
        let gone = "<domain><devices><hostdev type='pci'><source><address bus='0x55' slot='0x00'/></source></hostdev>
            <hostdev type='usb'><source><address bus='1' device='13'/></source></hostdev>
            <hostdev type='pci'/><hostdev/></devices></domain>";
        assert!(holds(&["pci"], gone) && holds(&["usb"], gone));
        assert!(!holds(&["display", "class:00", "pci:10de:*", "usb:46f4:*"], gone));
        let scsi = "<domain><devices><hostdev type='scsi'><source/></hostdev></devices></domain>";
        assert!(holds(&["any"], scsi) && !holds(&["pci", "usb", "storage"], scsi));
    }

    #[test]
    fn what_is_no_kind_is_said() {
        for (wrong, said) in [
            ("displai", "did you mean 'display'?"),
            ("gpu:10de", "no kind of device"),
            ("class:3", "2, 4 or 6 hexadecimal digits"),
            ("class:03xx", "2, 4 or 6 hexadecimal digits"),
            ("pci:10de", "vendor and product"),
            ("pci:10de:26840", "vendor and product"),
            ("usb:*:*", "vendor and product"),
            ("usb:+46d:c52b", "vendor and product"),
        ] {
            let error = Kind::parse(wrong).unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_and_no_document_makes_it_panic(text in "[a-z0-9:*é]{0,14}", bus in "[0-9a-fx]{0,12}", slot in "[0-9/.]{0,12}") {
            let _ = Kind::parse(&text);
            let document = format!(
                "<domain><devices><hostdev type='pci'><source><address bus='{bus}' slot='{slot}'/></source></hostdev></devices></domain>"
            );
            let parsed = document::parse(&document).unwrap();
            let kinds = [Kind::Class(vec!["03".to_owned()])];
            proptest::prop_assert!(!has(document::guest(&parsed).unwrap(), Path::new("/nowhere"), &kinds));
        }
    }
}
