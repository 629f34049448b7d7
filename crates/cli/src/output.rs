//! How things are printed: times, JSON.

use std::io::Write;

use serde::Serialize;

use crate::daemon::Error;

/// A value for programs, on one line per element of a list.
pub(crate) fn json(out: &mut impl Write, value: &impl Serialize) -> Result<(), Error> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// A time of the daemon (RFC 3339 in UTC) as a local one, to the second; what is no time stays as it is.
pub(crate) fn local_time(text: &str) -> String {
    let Ok(time) = text.parse::<jiff::Timestamp>() else {
        return text.to_owned();
    };
    let local = time.to_zoned(jiff::tz::TimeZone::system());
    local.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `0.25 s`, `12 s`, `3 min 5 s`.
pub(crate) fn seconds(time: f64) -> String {
    if time < 10.0 {
        return format!("{time:.2} s");
    }
    let whole = std::time::Duration::from_secs_f64(time.min(1e9)).as_secs();
    match whole {
        0..120 => format!("{whole} s"),
        120..7200 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_stays() {
        assert_eq!(local_time("later"), "later");
        assert_eq!(local_time("2026-11-21T10:00:00.123456Z").len(), 19);
    }

    #[test]
    fn times_are_short() {
        for (time, text) in [
            (0.0, "0.00 s"),
            (0.254, "0.25 s"),
            (12.9, "12 s"),
            (185.0, "3 min 5 s"),
            (7320.0, "2 h 2 min"),
        ] {
            assert_eq!(seconds(time), text);
        }
    }
}
