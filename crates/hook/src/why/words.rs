//! What times, durations, signals, people and files are called in a story, and what of a foreign text may be shown.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Serializer;

use crate::event::Driver;
use crate::history::AskedBy;

/// So many lines of somebody else's words are shown, the last ones.
const LINES: usize = 10;
/// So many characters of them.
const CHARACTERS: usize = 2000;

/// What is said of a request from a hook.
const FROM_INSIDE: &str = "from inside hook run";

/// Signals by their numbers, as far as hooks and hypervisors die of them.
const SIGNALS: &[(i32, &str)] = &[
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (31, "SIGSYS"),
];

/// `guest g`, `network n`.
pub(super) fn object(driver: Driver, name: &str) -> String {
    match driver {
        Driver::Daemon => "the daemon".to_owned(),
        Driver::Network => format!("network {}", clean(name)),
        Driver::Qemu | Driver::Lxc | Driver::Libxl => format!("guest {}", clean(name)),
    }
}

/// The first letter as at the beginning of a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// `2026-03-01 12:00:01 UTC`.
pub(super) fn time(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(
        |_| "at an unknown time".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// RFC 3339, as the history has it; null for none.
pub(super) fn serialize_time<S: Serializer>(at: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    match at.map(Timestamp::try_from) {
        Some(Ok(at)) => to.collect_str(&format_args!("{at:.6}")),
        _ => to.serialize_none(),
    }
}

/// `12 ms`, `3.4 s`, `42 s`, `5 min 3 s`, `2 h 5 min`.
pub(super) fn duration(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0 => format!("{} ms", took.as_millis()),
        1..=9 if took.subsec_millis() >= 100 => format!("{seconds}.{} s", took.subsec_millis() / 100),
        1..=119 => format!("{seconds} s"),
        120..=7199 => two(seconds / 60, "min", seconds % 60, "s"),
        _ => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
    }
}

fn two(large: u64, of_large: &str, small: u64, of_small: &str) -> String {
    match small {
        0 => format!("{large} {of_large}"),
        _ => format!("{large} {of_large} {small} {of_small}"),
    }
}

/// The same for a number of seconds; what is no duration counts as none.
pub(super) fn seconds(seconds: f64) -> String {
    duration(as_duration(seconds))
}

/// A number of seconds from outside.
pub(super) fn as_duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// `signal 9 (SIGKILL)`.
pub(super) fn signal(number: i32) -> String {
    match SIGNALS.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => format!("signal {number} ({name})"),
        None => format!("signal {number}"),
    }
}

/// `/usr/bin/virsh (process 4242, user 0)`; nothing when nobody asked.
pub(super) fn asked_by(who: &AskedBy) -> Option<String> {
    let numbers: Vec<String> = [("process", who.pid), ("user", who.uid)]
        .into_iter()
        .filter_map(|(what, number)| number.map(|number| format!("{what} {number}")))
        .collect();
    let mut text = match (&who.program, numbers.is_empty()) {
        (Some(program), true) => clean(program),
        (Some(program), false) => format!("{} ({})", clean(program), numbers.join(", ")),
        (None, false) => numbers.join(", "),
        (None, true) => String::new(),
    };
    if let Some(hook) = who.hook {
        let space = if text.is_empty() { "" } else { ", " };
        text.push_str(&format!("{space}{FROM_INSIDE} {hook}"));
    }
    (!text.is_empty()).then_some(text)
}

/// The same as the end of a sentence: ` by /usr/bin/virsh (…)`, ` from inside hook run 7`.
pub(super) fn by(who: &AskedBy) -> Option<String> {
    let text = asked_by(who)?;
    Some(if text.starts_with(FROM_INSIDE) {
        format!(" {text}")
    } else {
        format!(" by {text}")
    })
}

/// A path as one word of a shell.
pub(super) fn path_word(path: &Path) -> String {
    // Blanks count: only what would steer a terminal goes.
    shell_word(&clean_lines(&path.to_string_lossy()).replace('\n', ""))
}

/// A text as one word of a shell.
pub(super) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:+,@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// The end of a longer text, safe to be shown.
pub(super) fn tail(text: &str) -> String {
    let text = clean_lines(text);
    let lines: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
    let kept = lines[lines.len().saturating_sub(LINES)..].join("\n");
    let count = kept.chars().count();
    let mut shown: String = kept.chars().skip(count.saturating_sub(CHARACTERS)).collect();
    if lines.len() > LINES || count > CHARACTERS {
        shown.insert_str(0, "…\n");
    }
    shown
}

/// One line, for headlines.
pub(super) fn clean(text: &str) -> String {
    clean_lines(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without colours and other orders to a terminal: these words come from scripts and guests.
fn clean_lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' if rest.peek() == Some(&'[') => {
                rest.next();
                // Parameters, then one letter that is the order.
                while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            '\n' => shown.push(c),
            '\t' => shown.push(' '),
            c if c.is_control() => {}
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_exact_as_they_need_to_be() {
        let said = [
            (0.012, "12 ms"),
            (3.45, "3.4 s"),
            (3.0, "3 s"),
            (42.9, "42 s"),
            (303.0, "5 min 3 s"),
            (7500.0, "2 h 5 min"),
            (7200.0, "2 h"),
            (f64::NAN, "0 ms"),
            (-1.0, "0 ms"),
        ];
        for (given, text) in said {
            assert_eq!(seconds(given), text);
        }
    }

    #[test]
    fn foreign_words_cannot_steer_a_terminal() {
        assert_eq!(tail("\x1b[31mred\x1b[0m\x07\ttext\r\n"), "red text");
        assert_eq!(tail("\x1b]0;title"), "]0;title");
        let long: String = (0..30).map(|n| format!("line {n}\n")).collect();
        assert!(tail(&long).starts_with("…\nline 20\n"));
        assert_eq!(tail(&"x".repeat(5000)).chars().count(), 2 + CHARACTERS);
        // What fits is shown whole, and nothing says that more was there.
        let ten: String = (0..LINES).map(|n| format!("line {n}\n")).collect();
        assert_eq!(tail(&ten), ten.trim_end());
        assert_eq!(tail(&"x".repeat(CHARACTERS)), "x".repeat(CHARACTERS));
    }

    #[test]
    fn words_of_a_shell_are_quoted_where_they_must_be() {
        assert_eq!(shell_word("/etc/libvirt/hooks/qemu"), "/etc/libvirt/hooks/qemu");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn who_asked_is_named_as_far_as_it_is_known() {
        let mut who = AskedBy::default();
        assert_eq!(asked_by(&who), None);
        who.hook = Some(crate::history::RunId(12));
        assert_eq!(asked_by(&who).unwrap(), "from inside hook run 12");
        who.pid = Some(42);
        assert_eq!(asked_by(&who).unwrap(), "process 42, from inside hook run 12");
        who.program = Some("/usr/bin/virsh".to_owned());
        who.hook = None;
        assert_eq!(asked_by(&who).unwrap(), "/usr/bin/virsh (process 42)");
    }
}
