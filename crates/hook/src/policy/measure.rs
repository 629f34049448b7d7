//! Quantities in rules: durations, sizes and shares of a processor, each with its unit.

use std::time::Duration;

/// Milliseconds of each unit of time.
const TIMES: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// Bytes of each unit of memory.
const SIZES: [(&str, u64); 4] = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];

/// A tree of processes cannot run in less.
const LEAST_MEMORY: u64 = 1 << 20;

/// A thousand processors: beyond it is a mistake.
const MOST_PERCENT: u32 = 100_000;

/// `500ms`, `30s`, `5m`, `2h`.
///
/// # Errors
/// What would be right.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let millis = scaled(text, &TIMES)
        .ok_or("a duration is a whole number and its unit: \"500ms\", \"30s\", \"5m\", \"2h\"")?;
    if millis == 0 {
        return Err("a duration of nothing: it must be at least \"1ms\"".to_owned());
    }
    Ok(Duration::from_millis(millis))
}

/// `512K`, `256M`, `1G`, in bytes; a unit is 1024 of the one before.
///
/// # Errors
/// What would be right.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let bytes =
        scaled(text, &SIZES).ok_or("a size is a whole number and its unit: \"512K\", \"256M\", \"1G\"")?;
    if bytes < LEAST_MEMORY {
        return Err("too little for any program: it must be at least \"1M\"".to_owned());
    }
    Ok(bytes)
}

/// `50%` of one processor; two whole ones are `200%`.
///
/// # Errors
/// What would be right.
pub(crate) fn percent(text: &str) -> Result<u32, String> {
    text.strip_suffix('%')
        .and_then(|number| digits(number)?.try_into().ok())
        .filter(|percent| (1..=MOST_PERCENT).contains(percent))
        .ok_or_else(|| "a share of one processor is a whole number and '%': \"50%\", \"200%\"".to_owned())
}

/// The longest unit first would be needed for `ms` and `s`; a number that still has a letter is no number, so it is not.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    units
        .iter()
        .find_map(|(unit, factor)| digits(text.strip_suffix(unit)?)?.checked_mul(*factor))
}

/// Without the sign that Rust would accept.
fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
        }
        for (text, bytes) in [
            ("1024K", 1 << 20),
            ("256M", 256 << 20),
            ("1G", 1 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes));
        }
        assert_eq!((percent("50%"), percent("200%")), (Ok(50), Ok(200)));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "",
            "s",
            "30",
            "-1s",
            "+1s",
            "1.5s",
            "1 s",
            "30S",
            "99999999999999999h",
            "0s",
            "1d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "M", "256", "256m", "0M", "1K", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["", "%", "50", "0%", "100001%", "4294967297%", "-1%"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
