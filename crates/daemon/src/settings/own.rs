//! `ferrovirtd.toml`: what libvirt's files have no word for. Every key is known or an error, so that a
//! slip of the pen never passes for a setting.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::error::Error;
use crate::page::Listen;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Own {
    /// What happens to XML that nobody here knows.
    pub unknown_xml: UnknownXml,
    /// How hooks are found and run.
    pub hooks: Hooks,
    /// How the daemon ends.
    pub shutdown: Shutdown,
    /// Numbers for Prometheus.
    pub metrics: Metrics,
    /// The status page.
    pub page: Page,
}

/// What happens to an unknown element or attribute in a define or create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownXml {
    /// It is an error that names the place.
    #[default]
    Refuse,
    /// It is kept as it stands, and the log says so.
    Keep,
}

/// When a driver's hooks have to be there (R4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discovery {
    /// When the daemon starts or reloads.
    #[default]
    Startup,
    /// At the call.
    Live,
}

/// `[hooks]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// When a driver's hooks have to be there (R4).
    pub discovery: Discovery,
    /// Whether `hooks/DRIVER.d/GUEST/OPERATION/SUB-OPERATION/*` are hooks without a dispatcher script.
    pub guest_tree: bool,
    /// Whether `release` gets the reason as its fourth argument (R34).
    pub release_reason: bool,
    /// Whether scripts that others may write are refused (R94).
    pub strict_permissions: bool,
    /// After how many seconds a running hook is warned about (R92).
    pub warn_after: Seconds,
    /// What is kept of calls that are over (R93).
    pub history: HistoryLimits,
    /// How many bytes of a script's output are kept, each of stdout and stderr (at least 4096).
    #[serde(deserialize_with = "output_limit")]
    pub output_limit: usize,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            discovery: Discovery::Startup,
            guest_tree: false,
            release_reason: true,
            strict_permissions: false,
            warn_after: Seconds(10),
            history: HistoryLimits::default(),
            output_limit: 1 << 20,
        }
    }
}

/// `[hooks.history]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryLimits {
    /// Whether there is a history at all.
    pub keep: bool,
    /// How large its file may get, MiB.
    pub max_mib: u64,
    /// How long a call is kept, days.
    pub max_days: u32,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            keep: true,
            max_mib: 64,
            max_days: 30,
        }
    }
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How many seconds running requests have to end (R21).
    pub drain: Seconds,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain: Seconds(30) }
    }
}

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Where they are served; nowhere: nothing is counted.
    pub listen: Option<Listen>,
}

/// `[page]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Page {
    /// Where it is served; nowhere: there is none.
    pub listen: Option<Listen>,
    /// Whether documents and outputs of hooks are shown on a TCP port too, which every user of this machine can read.
    pub full: bool,
}

/// A time in whole seconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Seconds(u32);

impl TryFrom<u32> for Seconds {
    type Error = &'static str;

    fn try_from(n: u32) -> Result<Self, &'static str> {
        if n == 0 {
            Err("must be at least one second")
        } else {
            Ok(Self(n))
        }
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Duration {
        Duration::from_secs(u64::from(seconds.0))
    }
}

fn output_limit<'de, D: serde::Deserializer<'de>>(value: D) -> Result<usize, D::Error> {
    let limit = usize::deserialize(value)?;
    if limit < 4096 {
        return Err(serde::de::Error::custom("must be at least 4096 bytes"));
    }
    Ok(limit)
}

impl Own {
    /// Read the text of a file; `path` is only for messages.
    ///
    /// # Errors
    /// The first mistake, with line and column.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|e| {
            let (line, column) = position(text, e.span().map_or(0, |s| s.start));
            Error::Settings {
                path: path.to_owned(),
                line,
                column,
                text: e.message().to_owned(),
            }
        })
    }
}

/// Line and column, both from 1, of a byte.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    (
        line,
        String::from_utf8_lossy(&before[start..]).chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Own, Error> {
        Own::parse(Path::new("/etc/ferrovirt/ferrovirtd.toml"), text)
    }

    #[test]
    fn nothing_set_is_the_default() {
        let own = parse("").unwrap();
        assert_eq!(own, Own::default());
        assert_eq!(own.hooks.discovery, Discovery::Startup);
        assert!(own.hooks.release_reason && !own.hooks.strict_permissions);
        assert_eq!(Duration::from(own.shutdown.drain), Duration::from_secs(30));
        assert_eq!(Duration::from(own.hooks.warn_after), Duration::from_secs(10));
    }

    #[test]
    fn everything_can_be_set() {
        let own = parse(
            "unknown_xml = 'keep'\n[hooks]\ndiscovery = 'live'\nguest_tree = true\nrelease_reason = false\nstrict_permissions = true\n\
             warn_after = 3\noutput_limit = 8192\n[hooks.history]\nkeep = false\nmax_mib = 8\nmax_days = 3\n[shutdown]\ndrain = 5\n\
             [metrics]\nlisten = 'unix:/run/m.sock'\n[page]\nlisten = '127.0.0.1:9178'\nfull = true\n",
        )
        .unwrap();
        assert_eq!(own.unknown_xml, UnknownXml::Keep);
        assert_eq!(own.hooks.discovery, Discovery::Live);
        assert!(own.hooks.guest_tree && !own.hooks.release_reason && own.hooks.strict_permissions);
        assert_eq!(own.hooks.output_limit, 8192);
        let history = &own.hooks.history;
        assert_eq!((history.keep, history.max_mib, history.max_days), (false, 8, 3));
        assert_eq!(Duration::from(own.shutdown.drain), Duration::from_secs(5));
        assert_eq!(own.metrics.listen, Some(Listen::Unix("/run/m.sock".into())));
        assert_eq!(own.page.listen, "127.0.0.1:9178".parse().ok().map(Listen::Tcp));
        assert!(own.page.full);
    }

    #[test]
    fn r21_mistakes_have_a_position() {
        for (text, wanted) in [
            (
                "\n[hooks]\ndiscovry = 'live'\n",
                "ferrovirtd.toml:3:1: unknown field `discovry`",
            ),
            (
                "[hooks]\ndiscovery = 'later'\n",
                "ferrovirtd.toml:2:13: unknown variant `later`",
            ),
            (
                "[hooks]\nwarn_after = 0\n",
                "ferrovirtd.toml:2:14: must be at least one second",
            ),
            (
                "[hooks]\noutput_limit = 1\n",
                "ferrovirtd.toml:2:16: must be at least 4096 bytes",
            ),
            (
                "[page]\nlisten = '0.0.0.0:9178'\n",
                "ferrovirtd.toml:2:10: '0.0.0.0:9178' is not of this machine alone",
            ),
            (
                "[metrics]\nlisten = 'run/m.sock'\n",
                "ferrovirtd.toml:2:10: 'run/m.sock' is neither",
            ),
            ("unknown_xml = \n", "ferrovirtd.toml:1:15: "),
            ("[nothing]\n", "ferrovirtd.toml:1:2: unknown field `nothing`"),
        ] {
            let e = parse(text).unwrap_err().to_string();
            assert!(e.contains(wanted), "{e} should contain {wanted}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
