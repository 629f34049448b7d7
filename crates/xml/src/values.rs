//! How libvirt spells values that Rust spells otherwise; for `#[xml(with = "…")]`.

macro_rules! spelled {
    ($(#[$doc:meta])* $module:ident, $yes:literal, $no:literal) => {
        $(#[$doc])*
        pub mod $module {
            /// Reads it.
            ///
            /// # Errors
            /// Any other word.
            pub fn parse(text: &str) -> Result<bool, String> {
                match text {
                    $yes => Ok(true),
                    $no => Ok(false),
                    other => Err(format!("'{other}' is neither '{}' nor '{}'", $yes, $no)),
                }
            }

            /// Writes it.
            pub fn format(value: &bool) -> String {
                (if *value { $yes } else { $no }).to_owned()
            }
        }
    };
}

spelled!(
    /// `yes` and `no`.
    yes_no, "yes", "no"
);
spelled!(
    /// `on` and `off`.
    on_off, "on", "off"
);

/// A number as C writes it: `0x` hexadecimal, leading `0` octal, decimal otherwise.
pub(crate) fn c_number(text: &str) -> Result<u32, String> {
    let text = text.trim();
    let number = if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        (!hex.starts_with('+'))
            .then(|| u32::from_str_radix(hex, 16).ok())
            .flatten()
    } else if text.len() > 1 && text.starts_with('0') {
        u32::from_str_radix(text, 8).ok()
    } else {
        text.parse().ok()
    };
    number.ok_or_else(|| format!("'{text}' is not a number"))
}

macro_rules! hexadecimal {
    ($(#[$doc:meta])* $module:ident, $format:literal) => {
        $(#[$doc])*
        pub mod $module {
            /// Reads it in any base.
            ///
            /// # Errors
            /// What is not a number.
            pub fn parse(text: &str) -> Result<u32, String> {
                super::c_number(text)
            }

            /// Writes it.
            pub fn format(value: &u32) -> String {
                format!($format, value)
            }
        }
    };
}

hexadecimal!(
    /// `0x1`
    hex1, "0x{:01x}"
);
hexadecimal!(
    /// `0x01`
    hex2, "0x{:02x}"
);
hexadecimal!(
    /// `0x0001`
    hex4, "0x{:04x}"
);
hexadecimal!(
    /// `0x1`, as many digits as it needs.
    hex_plain, "0x{:x}"
);
