//! One thing said, and the form of its line.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::syntax::Level;

/// What was said, when, and where in the program.
#[derive(Debug, Clone)]
pub struct Record {
    /// When.
    pub time: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// Who says it: the module, as filters name it.
    pub source: String,
    /// The line in the program, 0 if it is not known.
    pub line: u32,
    /// What was said; may have several lines.
    pub text: String,
}

/// The form of libvirt's log files: `2026-11-21 11:22:33.123+0000: PID: error : place:LINE : TEXT`.
pub fn format(record: &Record, pid: u32) -> String {
    let Record {
        time,
        level,
        source,
        line,
        text,
    } = record;
    let head = head(*time, pid, level.as_str());
    let text = text.strip_suffix('\n').unwrap_or(text);
    format!("{head} : {source}:{line} : {text}\n")
}

/// The two lines that libvirt writes before the first one: whose log this is.
pub fn introduction(time: Timestamp, pid: u32, hostname: &str) -> String {
    let head = head(time, pid, Level::Info.as_str());
    format!(
        "{head} : ferrovirt version: {}\n{head} : hostname: {hostname}\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn head(time: Timestamp, pid: u32, level: &str) -> String {
    let utc = time.to_zoned(TimeZone::UTC);
    format!(
        "{}.{:03}+0000: {pid}: {level}",
        utc.strftime("%Y-%m-%d %H:%M:%S"),
        utc.millisecond()
    )
}

/// The form that syslog wants: facility *daemon*, local time without a year.
pub fn syslog(record: &Record, pid: u32, name: &str, zone: &TimeZone) -> String {
    const DAEMON: u8 = 3 << 3;
    let priority = DAEMON | record.level.syslog();
    let time = record.time.to_zoned(zone.clone());
    format!(
        "<{priority}>{} {name}[{pid}]: {}",
        time.strftime("%b %e %H:%M:%S"),
        record.text.trim_end_matches('\n')
    )
}

/// The journal's own form: `NAME=value` lines, and a length before a value of several lines.
pub fn journal(record: &Record, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    field(&mut out, "MESSAGE", record.text.trim_end_matches('\n'));
    field(&mut out, "PRIORITY", &record.level.syslog().to_string());
    field(&mut out, "SYSLOG_IDENTIFIER", name);
    field(&mut out, "LIBVIRT_SOURCE", &record.source);
    field(&mut out, "CODE_LINE", &record.line.to_string());
    out
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        Record {
            time: "2026-11-21T11:22:33.0071Z".parse().unwrap(),
            level: Level::Error,
            source: "hook.chain".to_owned(),
            line: 12,
            text: text.to_owned(),
        }
    }

    #[test]
    fn r13_a_line_has_libvirts_form() {
        assert_eq!(
            format(&record("no\n"), 77),
            "2026-11-21 11:22:33.007+0000: 77: error : hook.chain:12 : no\n"
        );
        assert_eq!(
            introduction(record("").time, 77, "hosta"),
            format!(
                "2026-11-21 11:22:33.007+0000: 77: info : ferrovirt version: {}\n\
                 2026-11-21 11:22:33.007+0000: 77: info : hostname: hosta\n",
                env!("CARGO_PKG_VERSION")
            )
        );
    }

    #[test]
    fn syslog_has_priority_name_and_pid() {
        let zone = TimeZone::UTC;
        assert_eq!(
            syslog(&record("a b"), 77, "ferrovirtd", &zone),
            "<27>Nov 21 11:22:33 ferrovirtd[77]: a b"
        );
    }

    #[test]
    fn the_journal_gets_lengths_for_several_lines() {
        let one = journal(&record("one"), "ferrovirtd");
        assert!(one.starts_with(b"MESSAGE=one\nPRIORITY=3\nSYSLOG_IDENTIFIER=ferrovirtd\n"));
        let two = journal(&record("a\nb"), "ferrovirtd");
        assert!(two.starts_with(b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\nPRIORITY=3\n"));
    }
}
