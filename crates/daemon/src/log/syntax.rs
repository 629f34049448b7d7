//! libvirt's way to say what is logged and where to: `log_filters` (`1:qemu 3:network.*`) and
//! `log_outputs` (`3:file:/var/log/libvirt/libvirtd.log 2:stderr`).

use std::path::PathBuf;
use std::str::FromStr;

/// How much a line matters. The numbers are libvirt's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// 1: for whoever looks for a mistake in the daemon.
    Debug = 1,
    /// 2: what is going on.
    Info = 2,
    /// 3: what may not be as wanted. The default.
    Warning = 3,
    /// 4: what went wrong.
    Error = 4,
}

impl Level {
    /// The word in a log line.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }

    /// From libvirt's number.
    pub fn from_number(n: i64) -> Option<Self> {
        Some(match n {
            1 => Level::Debug,
            2 => Level::Info,
            3 => Level::Warning,
            4 => Level::Error,
            _ => return None,
        })
    }

    /// The numbers of syslog, which the journal uses, too.
    pub fn syslog(self) -> u8 {
        match self {
            Level::Debug => 7,
            Level::Info => 6,
            Level::Warning => 4,
            Level::Error => 3,
        }
    }

    /// The least that tracing has to hand over for this level.
    pub fn tracing(self) -> tracing::level_filters::LevelFilter {
        use tracing::level_filters::LevelFilter;
        match self {
            Level::Debug => LevelFilter::TRACE,
            Level::Info => LevelFilter::INFO,
            Level::Warning => LevelFilter::WARN,
            Level::Error => LevelFilter::ERROR,
        }
    }
}

impl From<&tracing::Level> for Level {
    fn from(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warning,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
        }
    }
}

impl FromStr for Level {
    type Err = LogSyntaxError;

    /// A number or a word, as `LIBVIRT_DEBUG` has it.
    fn from_str(text: &str) -> Result<Self, LogSyntaxError> {
        Ok(match text {
            "1" | "debug" => Level::Debug,
            "2" | "info" => Level::Info,
            "3" | "warning" => Level::Warning,
            "4" | "error" => Level::Error,
            _ => return Err(LogSyntaxError::Level(text.to_owned())),
        })
    }
}

/// A filter or an output that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogSyntaxError {
    /// Not one of the levels.
    #[error("'{0}' is not a log level: 1 is debug, 2 info, 3 warning, 4 error")]
    Level(String),
    /// Something is missing in a filter or an output.
    #[error("'{0}' does not have the form {1}")]
    Form(String, &'static str),
    /// An output of an unknown kind.
    #[error("'{0}' is not a kind of log output: stderr, file, syslog and journald are")]
    Kind(String),
    /// A file has to be named from the root.
    #[error("log file '{0}' is not an absolute path")]
    Relative(String),
}

/// The level that counts for sources of some name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What is less is not logged.
    pub level: Level,
    /// Which sources: a piece of the name, or a pattern with `*` and `?` for all of it.
    pub pattern: String,
}

impl Filter {
    /// Whether lines of this source are meant.
    pub fn matches(&self, source: &str) -> bool {
        if self.pattern.contains(['*', '?']) {
            glob(self.pattern.as_bytes(), source.as_bytes())
        } else {
            source.contains(&self.pattern)
        }
    }
}

/// Shell patterns without classes: `*` any bytes, `?` one. In a loop, since patterns are not trusted
/// to be short.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(c) if *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

impl FromStr for Filter {
    type Err = LogSyntaxError;

    fn from_str(text: &str) -> Result<Self, LogSyntaxError> {
        let form = || LogSyntaxError::Form(text.to_owned(), "LEVEL:SOURCE");
        let (level, pattern) = text.split_once(':').ok_or_else(form)?;
        // "+" asked older versions for a stack trace; it is still allowed to stand there.
        let pattern = pattern.strip_prefix('+').unwrap_or(pattern);
        if pattern.is_empty() {
            return Err(form());
        }
        Ok(Self {
            level: number(level)?,
            pattern: pattern.to_owned(),
        })
    }
}

/// Only the numbers are allowed in filters and outputs.
fn number(text: &str) -> Result<Level, LogSyntaxError> {
    text.parse()
        .ok()
        .and_then(Level::from_number)
        .ok_or_else(|| LogSyntaxError::Level(text.to_owned()))
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard error.
    Stderr,
    /// To the end of a file.
    File(PathBuf),
    /// To `/dev/log` under this name.
    Syslog(String),
    /// To systemd's journal.
    Journald,
}

/// A place for lines, and which of them it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What is less does not go there.
    pub level: Level,
    /// Where to.
    pub destination: Destination,
}

impl FromStr for Output {
    type Err = LogSyntaxError;

    fn from_str(text: &str) -> Result<Self, LogSyntaxError> {
        let form = |form| LogSyntaxError::Form(text.to_owned(), form);
        let (level, rest) = text
            .split_once(':')
            .ok_or_else(|| form("LEVEL:KIND or LEVEL:KIND:NAME"))?;
        let level = number(level)?;
        let (kind, name) = match rest.split_once(':') {
            Some((kind, name)) => (kind, Some(name).filter(|n| !n.is_empty())),
            None => (rest, None),
        };
        let destination = match (kind, name) {
            ("stderr", None) => Destination::Stderr,
            ("journald", None) => Destination::Journald,
            ("syslog", Some(name)) => Destination::Syslog(name.to_owned()),
            ("file", Some(name)) if name.starts_with('/') => Destination::File(name.into()),
            ("file", Some(name)) => return Err(LogSyntaxError::Relative(name.to_owned())),
            ("stderr" | "journald", Some(_)) => return Err(form("LEVEL:KIND")),
            ("syslog" | "file", None) => return Err(form("LEVEL:KIND:NAME")),
            _ => return Err(LogSyntaxError::Kind(kind.to_owned())),
        };
        Ok(Self { level, destination })
    }
}

/// Read several, separated by blanks. An empty text is an empty list.
///
/// # Errors
/// The first one that cannot be understood.
pub fn several<T: FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    text.split_ascii_whitespace().map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters_are_read_as_libvirt_writes_them() {
        let filters: Vec<Filter> = several("1:qemu 3:+network.*  4:event").unwrap();
        assert_eq!(filters.len(), 3);
        assert!(filters[0].matches("qemu.qmp.client") && !filters[0].matches("network"));
        assert!(filters[1].matches("network.dnsmasq") && !filters[1].matches("network"));
        assert_eq!(filters[2].level, Level::Error);
        for bad in ["qemu", "5:qemu", "0:qemu", "1:", "x:qemu", "debug:qemu"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("?b*", "abc", true),
            ("a?", "a", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab ab", true),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                wanted,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn outputs_of_each_kind() {
        let outputs: Vec<Output> =
            several("3:file:/var/log/x.log 2:stderr 1:syslog:ferro 4:journald").unwrap();
        assert_eq!(outputs[0].destination, Destination::File("/var/log/x.log".into()));
        assert_eq!(
            outputs[1],
            Output {
                level: Level::Info,
                destination: Destination::Stderr
            }
        );
        assert_eq!(outputs[2].destination, Destination::Syslog("ferro".to_owned()));
        assert_eq!(outputs[3].destination, Destination::Journald);
        for bad in [
            "3",
            "3:",
            "3:file",
            "3:file:",
            "3:file:x",
            "3:syslog",
            "3:stderr:x",
            "9:stderr",
            "3:mail:x",
        ] {
            assert!(bad.parse::<Output>().is_err(), "{bad}");
        }
    }

    #[test]
    fn levels_by_number_and_word() {
        assert_eq!("1".parse(), Ok(Level::Debug));
        assert_eq!("warning".parse(), Ok(Level::Warning));
        assert!("9".parse::<Level>().is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[0-9:a-z/+* ]{0,40}") {
            let _ = several::<Filter>(&text);
            let _ = several::<Output>(&text);
        }

        #[test]
        fn a_star_matches_whatever_is_there(prefix in "[a-z]{0,5}", middle in "[a-z]{0,9}", suffix in "[a-z]{0,5}") {
            let pattern = format!("{prefix}*{suffix}");
            let text = format!("{prefix}{middle}{suffix}");
            prop_assert!(glob(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
