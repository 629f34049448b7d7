//! A device's configuration space: its kind of header, its capabilities (PCI 3.0 section 6.7, PCI Express 4.0 section 7.5).

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bits of the status register: there is a list of capabilities.
const HAS_CAPABILITIES: u16 = 0x10;
/// Where the list begins.
const CAPABILITIES: usize = 0x34;
/// Capabilities lie in the first 256 bytes, each of at least four: a longer list is a circle.
const MOST: usize = 48;

const POWER_MANAGEMENT: u8 = 0x01;
const EXPRESS: u8 = 0x10;
const ADVANCED_FEATURES: u8 = 0x13;

/// What was read of a configuration space; without rights that is the first 64 bytes.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    bytes: Vec<u8>,
}

/// What kind of device it is to its bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderType {
    /// A device of its own.
    Endpoint,
    /// A bridge to another PCI bus.
    PciBridge,
    /// A bridge to a CardBus.
    CardbusBridge,
    /// Anything else.
    Other,
}

/// PCI Express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Express {
    /// Its link; none inside the root complex.
    pub(crate) links: Option<Links>,
}

/// Both faces of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Links {
    /// The port's number.
    pub(crate) port: u32,
    /// What it can do.
    pub(crate) able: Link,
    /// What it does.
    pub(crate) now: Link,
}

/// Speed and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    generation: u32,
    /// Lanes.
    pub(crate) width: u32,
}

impl Link {
    /// Both stand in the low bits of a register, capability and status alike.
    fn of(register: u32) -> Link {
        Link {
            generation: register & 0xf,
            width: register >> 4 & 0x3f,
        }
    }

    /// GT/s; none of a link that is down, or newer than this list.
    pub(crate) fn speed(self) -> Option<&'static str> {
        let speeds = ["2.5", "5", "8", "16", "32", "64"];
        let index = usize::try_from(self.generation).ok()?.checked_sub(1)?;
        speeds.get(index).copied()
    }
}

impl Config {
    /// Reads that of the device at this sysfs directory.
    pub(crate) fn read(dir: &Path) -> Option<Config> {
        let mut bytes = Vec::with_capacity(256);
        // What lies beyond is the extended space, which nothing here needs.
        let file = File::open(dir.join("config")).ok()?;
        file.take(256).read_to_end(&mut bytes).ok()?;
        Some(Config { bytes })
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn word(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes.get(at..at + 2)?.try_into().ok()?))
    }

    fn long(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes.get(at..at + 4)?.try_into().ok()?))
    }

    /// What it is to its bus.
    pub(crate) fn header_type(&self) -> HeaderType {
        match self.byte(0x0e).map(|kind| kind & 0x7f) {
            Some(0) => HeaderType::Endpoint,
            Some(1) => HeaderType::PciBridge,
            Some(2) => HeaderType::CardbusBridge,
            _ => HeaderType::Other,
        }
    }

    /// Where a capability is.
    fn capability(&self, id: u8) -> Option<usize> {
        if self.word(0x06)? & HAS_CAPABILITIES == 0 {
            return None;
        }
        let mut at = usize::from(self.byte(CAPABILITIES)? & !3);
        for _ in 0..MOST {
            // A device that does not answer reads as all ones.
            if at < 0x40 || self.byte(at)? == 0xff {
                return None;
            }
            if self.byte(at)? == id {
                return Some(at);
            }
            at = usize::from(self.byte(at + 1)? & !3);
        }
        None
    }

    /// What it is on PCI Express, if it is.
    pub(crate) fn express(&self) -> Option<Express> {
        let at = self.capability(EXPRESS)?;
        let kind = self.word(at + 2)? >> 4 & 0xf;
        let links = || {
            let able = self.long(at + 0x0c)?;
            Some(Links {
                port: able >> 24,
                able: Link::of(able),
                now: Link::of(self.word(at + 0x12)?.into()),
            })
        };
        // Integrated endpoints and event collectors sit inside the root complex.
        Some(Express {
            links: match kind {
                0x9 | 0xa => None,
                _ => links(),
            },
        })
    }

    /// Can the function be reset alone, by itself?
    pub(crate) fn has_function_reset(&self) -> bool {
        let express = || Some(self.long(self.capability(EXPRESS)? + 4)? & 1 << 28 != 0);
        let conventional = || Some(self.byte(self.capability(ADVANCED_FEATURES)? + 3)? & 3 == 3);
        express().unwrap_or(false) || conventional().unwrap_or(false)
    }

    /// Is it reset when its power is taken away and given again?
    pub(crate) fn has_power_reset(&self) -> bool {
        let kept = || Some(self.word(self.capability(POWER_MANAGEMENT)? + 4)? & 8 != 0);
        kept() == Some(false)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A configuration space with a header type and these capabilities: id, then what follows the link.
    pub(crate) fn space(header: u8, capabilities: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; 256];
        bytes[0x0e] = header;
        let mut link = CAPABILITIES;
        let mut at = 0x40;
        for (id, content) in capabilities {
            bytes[0x06] = 0x10;
            bytes[link] = at as u8;
            bytes[at] = *id;
            bytes[at + 2..at + 2 + content.len()].copy_from_slice(content);
            link = at + 1;
            at += (content.len() + 2).next_multiple_of(4);
        }
        bytes
    }

    fn config(bytes: Vec<u8>) -> Config {
        Config { bytes }
    }

    #[test]
    fn headers_links_and_resets_are_found() {
        // Flags (endpoint), device capabilities with FLR, control, status, link 8 GT/s x16 at port 3, control, 2.5 GT/s x1.
        let express = [
            0x02, 0x00, 0, 0, 0, 0x10, 0, 0, 0, 0, 0x03, 0x01, 0, 0x03, 0, 0, 0x11, 0x00,
        ];
        let device = config(space(0x80, &[(0x01, &[0, 0, 0x08, 0]), (0x10, &express)]));
        assert_eq!(device.header_type(), HeaderType::Endpoint);
        let links = device.express().unwrap().links.unwrap();
        assert_eq!(
            (links.port, links.able.speed(), links.able.width),
            (3, Some("8"), 16)
        );
        assert_eq!((links.now.speed(), links.now.width), (Some("2.5"), 1));
        assert!(device.has_function_reset() && !device.has_power_reset());
        let device = config(space(1, &[(0x01, &[0, 0, 0, 0])]));
        assert_eq!(device.header_type(), HeaderType::PciBridge);
        assert!(device.express().is_none() && device.has_power_reset() && !device.has_function_reset());
        let inside = config(space(0, &[(0x10, &[0x92, 0, 0, 0, 0, 0])]));
        assert_eq!(inside.express(), Some(Express { links: None }));
        assert!(config(space(0, &[(0x13, &[6, 3])])).has_function_reset());
    }

    #[test]
    fn a_circle_and_a_dead_device_end() {
        let mut bytes = space(0, &[(0x05, &[0, 0])]);
        bytes[0x41] = 0x40;
        assert!(config(bytes).express().is_none());
        let dead = config(vec![0xff; 256]);
        assert!(dead.express().is_none() && !dead.has_function_reset() && !dead.has_power_reset());
        assert_eq!(dead.header_type(), HeaderType::Other);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(status) = bytes.get_mut(6) {
                *status |= 0x10;
            }
            let config = config(bytes);
            let _ = (config.header_type(), config.express(), config.has_function_reset(), config.has_power_reset());
        }
    }
}
