//! Times as people type them: a date, a date with a time, or how long ago.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Units of "ago", seconds each.
const UNITS: [(&str, f64); 5] = [
    ("s", 1.0),
    ("min", 60.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
];

/// Seconds since 1970.
///
/// # Errors
/// What is understood.
pub(crate) fn parse(text: &str) -> Result<f64, String> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |now| now.as_secs_f64());
    ago(text)
        .map(|seconds| now - seconds)
        .or_else(|| moment(text))
        .ok_or_else(|| {
            "a time is 2026-11-21, 2026-11-21T09:30, or how long ago: 90s, 10min, 3h, 2d".to_owned()
        })
}

fn ago(text: &str) -> Option<f64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
    Some(number.parse::<u32>().ok().map(f64::from)? * seconds)
}

/// A local date or time.
fn moment(text: &str) -> Option<f64> {
    let text = text.replace(' ', "T");
    let full = match text.len() {
        10 => format!("{text}T00:00:00"),
        16 => format!("{text}:00"),
        _ => text,
    };
    let moment: DateTime = full.parse().ok()?;
    let zoned = moment.to_zoned(TimeZone::system()).ok()?;
    Some(zoned.timestamp().as_duration().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood_in_the_usual_forms() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("10min", 600.0),
            ("5m", 300.0),
            ("3h", 10_800.0),
            ("2d", 172_800.0),
        ] {
            assert_eq!(ago(text), Some(seconds), "{text}");
        }
        let day = moment("2026-11-21").unwrap();
        assert_eq!(moment("2026-11-21T01:00").unwrap() - day, 3600.0);
        assert_eq!(moment("2026-11-21 01:00:30").unwrap() - day, 3630.0);
        assert!(parse("1h").unwrap() > 1_700_000_000.0);
        for wrong in ["", "yesterday", "5 parsecs", "2026-13-01", "99999999999h"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
