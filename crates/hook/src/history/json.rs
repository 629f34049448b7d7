//! How rows are printed as JSON: times in RFC 3339 (UTC, microseconds), durations in milliseconds, outputs as text.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Serializer;

use crate::event::Driver;

/// `2026-03-01T12:00:00.000001Z`; null for a time that no calendar has.
pub(super) fn time<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    match Timestamp::try_from(*time) {
        Ok(timestamp) => to.collect_str(&format_args!("{timestamp:.6}")),
        Err(_) => to.serialize_none(),
    }
}

/// The same, null when there is none.
pub(super) fn optional_time<S: Serializer>(at: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, to),
        None => to.serialize_none(),
    }
}

/// Milliseconds as a float.
pub(super) fn milliseconds<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    // Whole microseconds by a division: no digits that come from the float alone.
    to.serialize_f64(duration.as_micros() as f64 / 1000.0)
}

/// The same, null when there is none.
pub(super) fn optional_milliseconds<S: Serializer>(
    duration: &Option<Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => milliseconds(duration, to),
        None => to.serialize_none(),
    }
}

/// The driver's name.
pub(super) fn driver<S: Serializer>(driver: &Driver, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(driver.as_str())
}

/// A digest in hexadecimal digits.
pub(super) fn digest<S: Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&hexadecimal(digest))
}

/// The same, null when there is none.
pub(super) fn optional_digest<S: Serializer>(of: &Option<[u8; 32]>, to: S) -> Result<S::Ok, S::Error> {
    match of {
        Some(of) => digest(of, to),
        None => to.serialize_none(),
    }
}

/// Bytes as text, with U+FFFD where they are none.
pub(super) fn text<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&String::from_utf8_lossy(bytes))
}

/// 64 digits.
fn hexadecimal(digest: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r93_digests_are_printed_in_order() {
        let mut digest = [0; 32];
        (digest[0], digest[31]) = (0x1f, 0xe2);
        let text = hexadecimal(&digest);
        assert_eq!(text.len(), 64);
        assert!(text.starts_with("1f00") && text.ends_with("00e2"), "{text}");
    }
}
