//! `<redirdev>`: USB devices that come from elsewhere, and `<redirfilter>`: which of them may.

use super::address::DeviceInfo;
use super::chardev::Backend;
use ferrovirt_xml::values::{hex2, hex4, yes_no};
use ferrovirt_xml::{Rest, Xml};

/// The bus of a redirected device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum RedirBus {
    /// USB.
    #[default]
    Usb,
}

/// `<redirdev>`: a place for a device that comes from elsewhere.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Redirdev {
    /// The bus.
    #[xml(attr, default)]
    pub bus: RedirBus,
    /// Where it comes from.
    #[xml(flatten)]
    pub backend: Backend,
    /// Boot order, alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// `<usbdev>`: one rule. What is not said, or is `-1`, fits any device.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct RedirRule {
    /// Class of the device.
    #[xml(attr = "class", with = "class")]
    pub class: Option<u32>,
    /// Its vendor.
    #[xml(attr, with = "id")]
    pub vendor: Option<u32>,
    /// The product.
    #[xml(attr, with = "id")]
    pub product: Option<u32>,
    /// Its version in binary coded decimals, as `1.10`.
    #[xml(attr, with = "version")]
    pub version: Option<u32>,
    /// May it come?
    #[xml(attr, with = "yes_no")]
    pub allow: bool,
}

/// What stands for any value.
pub const REDIR_ANY: u32 = u32::MAX;

macro_rules! or_any {
    ($(#[$doc:meta])* $module:ident, $inner:ident) => {
        $(#[$doc])*
        mod $module {
            use super::{REDIR_ANY as ANY, $inner};

            pub(super) fn parse(text: &str) -> Result<u32, String> {
                if text == "-1" { Ok(ANY) } else { $inner::parse(text) }
            }

            pub(super) fn format(value: &u32) -> String {
                if *value == ANY { "-1".to_owned() } else { $inner::format(value) }
            }
        }
    };
}

or_any!(
    /// Two digits, or any.
    class, upper2
);
or_any!(
    /// Four digits, or any.
    id, upper4
);

macro_rules! upper {
    ($(#[$doc:meta])* $module:ident, $inner:ident, $format:literal) => {
        $(#[$doc])*
        mod $module {
            pub(super) use super::$inner::parse;

            pub(super) fn format(value: &u32) -> String {
                format!($format, value)
            }
        }
    };
}

upper!(
    /// `0x0A`
    upper2, hex2, "0x{:02X}"
);
upper!(
    /// `0x00AB`
    upper4, hex4, "0x{:04X}"
);

/// `1.10`, or any.
mod version {
    use super::REDIR_ANY as ANY;

    /// Two decimal digits as the hexadecimal ones they are sent as.
    fn digits(text: &str) -> Option<u32> {
        let short = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        short.then(|| u32::from_str_radix(text, 16).ok()).flatten()
    }

    pub(super) fn parse(text: &str) -> Result<u32, String> {
        if text == "-1" {
            return Ok(ANY);
        }
        let wrong = || format!("Cannot parse USB device version {text}");
        let (major, minor) = text.split_once('.').ok_or_else(wrong)?;
        let minor = if minor.len() == 1 {
            format!("{minor}0")
        } else {
            minor.to_owned()
        };
        match (digits(major), digits(&minor)) {
            (Some(major), Some(minor)) => Ok((major << 8) | minor),
            _ => Err(wrong()),
        }
    }

    pub(super) fn format(value: &u32) -> String {
        if *value == ANY {
            "-1".to_owned()
        } else {
            format!("{:x}.{:02x}", value >> 8, value & 0xff)
        }
    }
}

/// `<redirfilter>`: which USB devices may come; the first rule that fits decides.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct RedirFilter {
    /// The rules.
    #[xml(name = "usbdev")]
    pub rules: Vec<RedirRule>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read_as_they_are_written() {
        for (text, value, written) in [
            ("1.10", 0x110, "1.10"),
            ("2.0", 0x200, "2.00"),
            ("-1", u32::MAX, "-1"),
        ] {
            assert_eq!(version::parse(text), Ok(value));
            assert_eq!(version::format(&value), written);
        }
        for text in ["", "1", "a.1", "1.", "1.123", "+1.1"] {
            assert!(version::parse(text).is_err(), "{text}");
        }
    }
}
