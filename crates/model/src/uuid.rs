//! UUIDs as libvirt reads and writes them.

use std::fmt;
use std::str::FromStr;

/// A UUID; written in lower case with dashes, read with or without dashes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// A new random one (version 4).
    pub fn random() -> Self {
        Self(*uuid::Uuid::new_v4().as_bytes())
    }

    /// The bytes as the wire protocol carries them.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What was not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed uuid element")]
pub struct MalformedUuid;

impl FromStr for Uuid {
    type Err = MalformedUuid;

    /// Hexadecimal digits of either case in pairs; dashes may stand between pairs, blanks around the whole.
    fn from_str(text: &str) -> Result<Self, MalformedUuid> {
        let mut bytes = [0u8; 16];
        let mut rest = text.trim().as_bytes();
        for byte in &mut bytes {
            while let [b'-', tail @ ..] = rest {
                rest = tail;
            }
            let [high, low, tail @ ..] = rest else {
                return Err(MalformedUuid);
            };
            let digit = |b: &u8| (*b as char).to_digit(16).ok_or(MalformedUuid);
            *byte = (digit(high)? * 16 + digit(low)?) as u8;
            rest = tail;
        }
        if rest.is_empty() {
            Ok(Self(bytes))
        } else {
            Err(MalformedUuid)
        }
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            let dash = if matches!(position, 4 | 6 | 8 | 10) {
                "-"
            } else {
                ""
            };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
