//! Ethernet addresses.

use std::fmt;
use std::str::FromStr;

/// An Ethernet address; written in lower case with colons.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// A new random one in the range that QEMU and libvirt use for guests, 52:54:00.
    pub fn random() -> Self {
        let random = crate::Uuid::random();
        Self([0x52, 0x54, 0x00, random.0[0], random.0[1], random.0[2]])
    }

    /// The address of the host's end of a guest's tap device: the guest's with first byte `fe` (R15).
    pub fn of_tap(self) -> Self {
        let mut bytes = self.0;
        bytes[0] = 0xfe;
        Self(bytes)
    }

    /// Does it name a group of cards instead of one?
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }
}

/// What was not an Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unable to parse mac address '{0}'")]
pub struct MalformedMac(pub String);

impl FromStr for MacAddress {
    type Err = MalformedMac;

    /// Six numbers of one or two hexadecimal digits, separated by colons.
    fn from_str(text: &str) -> Result<Self, MalformedMac> {
        let malformed = || MalformedMac(text.to_owned());
        let mut bytes = [0u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(malformed)?;
            let plain = matches!(part.len(), 1 | 2) && part.bytes().all(|b| b.is_ascii_hexdigit());
            *byte = u8::from_str_radix(part, 16)
                .ok()
                .filter(|_| plain)
                .ok_or_else(malformed)?;
        }
        if parts.next().is_none() {
            Ok(Self(bytes))
        } else {
            Err(malformed())
        }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
