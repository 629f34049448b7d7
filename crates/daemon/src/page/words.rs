//! How times, lengths of time and outcomes are written.

use std::fmt;
use std::time::{Duration, SystemTime};

use ferrovirt_hook::history::{AskedBy, How, RunRow};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A point in time, for machines and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// RFC 3339 in UTC.
    pub(crate) iso: String,
    /// Local time with its offset, as in the log.
    pub(crate) text: String,
}

impl Moment {
    pub(crate) fn new(time: SystemTime) -> Moment {
        // Only a time thousands of years away has no timestamp.
        let time = Timestamp::try_from(time).unwrap_or_default();
        let local = time.to_zoned(TimeZone::system());
        Moment {
            iso: time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            text: local.strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        }
    }
}

/// A length of time, to three digits or so.
pub(crate) fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    let ms = time.as_secs_f64() * 1000.0;
    match seconds {
        0 if ms < 1.0 => format!("{ms:.2} ms"),
        0 => format!("{ms:.0} ms"),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How something came out: a word that colours may support but never replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Good,
    Warning,
    Bad,
    UnderWay,
}

impl Mark {
    /// The class of the stylesheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Mark::Good => "good",
            Mark::Warning => "warning",
            Mark::Bad => "bad",
            Mark::UnderWay => "now",
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class())
    }
}

/// How a run ended, in words.
pub(crate) fn outcome(run: &RunRow) -> (String, Mark) {
    let Some(how) = &run.how else {
        return ("running".to_owned(), Mark::UnderWay);
    };
    let text = match how {
        How::Exit(0) if run.failed => "failed with exit status 0".to_owned(),
        How::Exit(0) => return ("ok".to_owned(), Mark::Good),
        How::Exit(status) => format!("exit status {status}"),
        How::Signal(signal) => format!("signal {signal}"),
        How::NotStarted { errno, reason } => {
            let why = reason.clone().unwrap_or_else(|| format!("error {errno}"));
            format!("not started: {why}")
        }
        How::TimedOut { after } => format!("ended after its limit of {}", length(*after)),
        How::Cancelled { by } => format!("ended by {by}"),
        How::Refused { why } => format!("refused: {why}"),
        How::Lost => "nobody saw its end".to_owned(),
    };
    match run.ignored {
        true => (format!("{text}, ignored"), Mark::Warning),
        false if *how == How::Lost => (text, Mark::Warning),
        false => (text, Mark::Bad),
    }
}

/// Who asked, as far as that is known.
pub(crate) fn asker(by: &AskedBy) -> Option<String> {
    let mut words = Vec::new();
    words.extend(by.program.clone());
    words.extend(by.pid.map(|pid| format!("process {pid}")));
    words.extend(by.uid.map(|uid| format!("user {uid}")));
    words.extend(by.hook.map(|run| format!("from inside run {run}")));
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_for_machines_and_people() {
        let moment = Moment::new(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
        assert_eq!(moment.iso, "1970-01-01T00:00:01.500Z");
        assert_eq!(moment.text.len(), "1970-01-01 00:00:01 +00:00".len());
    }

    #[test]
    fn lengths_have_a_fitting_unit() {
        for (ms, text) in [
            (0.25, "0.25 ms"),
            (41.6, "42 ms"),
            (999.0, "999 ms"),
            (1500.0, "1.5 s"),
            (61_000.0, "1 min 1 s"),
            (3_720_000.0, "1 h 2 min"),
            (90_000_000.0, "1 d 1 h"),
        ] {
            assert_eq!(length(Duration::from_secs_f64(ms / 1000.0)), text);
        }
    }
}
