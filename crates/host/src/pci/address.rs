//! Where a PCI function is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a PCI function is, as the kernel writes it: `0000:01:00.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PciAddress {
    /// Its domain.
    pub domain: u32,
    /// Its bus.
    pub bus: u8,
    /// Its slot, 0 to 31.
    pub slot: u8,
    /// Its function, 0 to 7.
    pub function: u8,
}

impl fmt::Display for PciAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PciAddress {
            domain,
            bus,
            slot,
            function,
        } = self;
        write!(out, "{domain:04x}:{bus:02x}:{slot:02x}.{function:x}")
    }
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no PCI address")]
pub struct NoAddress(String);

impl FromStr for PciAddress {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let parsed = || {
            let (rest, function) = text.rsplit_once('.')?;
            let mut parts = rest.split(':');
            let address = PciAddress {
                domain: digits(parts.next()?, 4, 8)?,
                bus: digits(parts.next()?, 2, 2)?.try_into().ok()?,
                slot: digits(parts.next()?, 2, 2)?.try_into().ok()?,
                function: digits(function, 1, 1)?.try_into().ok()?,
            };
            let whole = parts.next().is_none() && address.slot < 32 && address.function < 8;
            whole.then_some(address)
        };
        parsed().ok_or_else(|| NoAddress(text.to_owned()))
    }
}

/// So many hexadecimal digits.
fn digits(text: &str, least: usize, most: usize) -> Option<u32> {
    let fits = (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

impl TryFrom<String> for PciAddress {
    type Error = NoAddress;

    fn try_from(text: String) -> Result<Self, NoAddress> {
        text.parse()
    }
}

impl From<PciAddress> for String {
    fn from(address: PciAddress) -> String {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "",
            "0000:01:00",
            "0:01:00.0",
            "0000:01:20.0",
            "0000:01:00.8",
            "0000:01:00.0.0",
            "0000:01:0+.0",
            "0000:00:01:00.0",
        ] {
            assert!(wrong.parse::<PciAddress>().is_err(), "{wrong}");
        }
        let address: PciAddress = "10000:e1:1f.7".parse().unwrap();
        assert_eq!(
            (address.domain, address.to_string().as_str()),
            (0x10000, "10000:e1:1f.7")
        );
    }

    proptest! {
        #[test]
        fn written_and_read_again(domain: u32, bus: u8, slot in 0..32_u8, function in 0..8_u8, text in "\\PC{0,14}") {
            let address = PciAddress { domain, bus, slot, function };
            prop_assert_eq!(address.to_string().parse(), Ok(address));
            let _ = text.parse::<PciAddress>();
        }
    }
}
