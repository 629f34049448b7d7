//! How a script or command is run: what rules may say about it, and what libvirt does when none says anything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::event::HookEvent;
use crate::policy::finding::quoted;
use crate::policy::measure;
use crate::policy::reader::{self, Key, Notes, Value};

/// What becomes of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// As libvirt does: what may be aborted is, everything else goes on; the log has it (R13, R30 to R75).
    #[default]
    Abort,
    /// It is logged in the words of R13, and nothing is aborted.
    Warn,
    /// The history has it, and nobody else.
    Ignore,
}

/// What stands on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payload {
    /// The document (R10, R11).
    #[default]
    Xml,
    /// The document and a summary of it, as `crate::payload` describes.
    Json,
}

/// What a hook is kept from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The file system can be read and not written, but for `writable`.
    pub read_only: bool,
    /// Whether there is a network.
    pub network: bool,
    /// The most memory of the whole tree, bytes.
    pub memory: Option<u64>,
    /// The largest share of one processor, percent; may be more than 100.
    pub cpu: Option<u32>,
    /// Directories and files that can be written all the same.
    pub writable: Vec<PathBuf>,
}

/// `sandbox = true`: reading only, no network, no limits.
impl Default for Sandbox {
    fn default() -> Sandbox {
        Sandbox {
            read_only: true,
            network: false,
            memory: None,
            cpu: None,
            writable: Vec::new(),
        }
    }
}

/// How one script or command is run in one call. The default is what libvirt does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Treatment {
    /// The rules that had a say, in their order.
    pub rules: Vec<String>,
    /// When the whole tree is ended and the hook has failed (R92).
    pub timeout: Option<Duration>,
    /// When a warning is due, if not after the time of the settings (R92).
    pub warn_after: Option<Duration>,
    /// What becomes of a failure.
    pub on_failure: OnFailure,
    /// Only one call that has this lock runs at a time.
    pub lock: Option<String>,
    /// What stands on standard input; always [`Payload::Xml`] for a filter.
    pub payload: Payload,
    /// Whether `release` gets its reason, if not as the settings say (R34).
    pub release_reason: Option<bool>,
    /// More variables of the environment, all beginning with `FERROVIRT_` (R8), sorted by name.
    pub env: Vec<(String, String)>,
    /// The name or number of the user to run as, if not the daemon's.
    pub user: Option<String>,
    /// The working directory, if not the daemon's.
    pub cwd: Option<PathBuf>,
    /// Nobody waits for it; never set for an event that may abort, nor for a filter.
    pub run_async: bool,
    /// What it is kept from.
    pub sandbox: Option<Sandbox>,
}

/// What one rule says about how to run; what it leaves out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    pub(crate) timeout: Option<Duration>,
    pub(crate) warn_after: Option<Duration>,
    pub(crate) on_failure: Option<OnFailure>,
    pub(crate) lock: Option<String>,
    pub(crate) payload: Option<Payload>,
    pub(crate) release_reason: Option<bool>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) user: Option<String>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) run_async: Option<bool>,
    /// `Some(None)` is `sandbox = false`: it takes an earlier rule's away.
    pub(crate) sandbox: Option<Option<Sandbox>>,
}

/// Puts what is given in the place of what is there.
fn over<T: Clone>(there: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        *there = given.clone();
    }
}

impl Settings {
    /// Adds what the rule `name` says about the event: its keys take the place of those of earlier rules.
    pub(crate) fn apply(&self, name: &str, event: &HookEvent, to: &mut Treatment) {
        to.rules.push(name.to_owned());
        to.timeout = self.timeout.or(to.timeout);
        to.warn_after = self.warn_after.or(to.warn_after);
        over(&mut to.on_failure, self.on_failure.as_ref());
        to.lock = self.lock.clone().or(to.lock.take());
        to.release_reason = self.release_reason.or(to.release_reason);
        to.user = self.user.clone().or(to.user.take());
        to.cwd = self.cwd.clone().or(to.cwd.take());
        over(&mut to.sandbox, self.sandbox.as_ref());
        if !event.is_filter() {
            over(&mut to.payload, self.payload.as_ref());
        }
        if !event.is_filter() && !event.may_abort() {
            over(&mut to.run_async, self.run_async.as_ref());
        }
        for (name, value) in &self.env {
            match to.env.binary_search_by(|(known, _)| known.cmp(name)) {
                Ok(at) => to.env[at].1.clone_from(value),
                Err(at) => to.env.insert(at, (name.clone(), value.clone())),
            }
        }
    }
}

/// The keys of a rule that say how to run.
pub(crate) fn keys<T: AsMut<Settings>>() -> [Key<T>; 11] {
    [
        Key {
            name: "timeout",
            read: |to, value, notes| to.as_mut().timeout = reader::parsed(value, notes, measure::duration),
        },
        Key {
            name: "warn_after",
            read: |to, value, notes| to.as_mut().warn_after = reader::parsed(value, notes, measure::duration),
        },
        Key {
            name: "on_failure",
            read: |to, value, notes| {
                to.as_mut().on_failure = reader::one_of(value, notes, "on_failure", &ON_FAILURE)
            },
        },
        Key {
            name: "lock",
            read: |to, value, notes| to.as_mut().lock = reader::text(value, notes).map(str::to_owned),
        },
        Key {
            name: "payload",
            read: |to, value, notes| to.as_mut().payload = reader::one_of(value, notes, "payload", &PAYLOADS),
        },
        Key {
            name: "release_reason",
            read: |to, value, notes| to.as_mut().release_reason = reader::flag(value, notes),
        },
        Key {
            name: "env",
            read: |to, value, notes| env(to.as_mut(), value, notes),
        },
        Key {
            name: "user",
            read: |to, value, notes| to.as_mut().user = reader::text(value, notes).map(str::to_owned),
        },
        Key {
            name: "cwd",
            read: |to, value, notes| to.as_mut().cwd = reader::parsed(value, notes, reader::absolute),
        },
        Key {
            name: "async",
            read: |to, value, notes| to.as_mut().run_async = reader::flag(value, notes),
        },
        Key {
            name: "sandbox",
            read: |to, value, notes| to.as_mut().sandbox = sandbox(value, notes),
        },
    ]
}

const ON_FAILURE: [(&str, OnFailure); 3] = [
    ("abort", OnFailure::Abort),
    ("warn", OnFailure::Warn),
    ("ignore", OnFailure::Ignore),
];

const PAYLOADS: [(&str, Payload); 2] = [("xml", Payload::Xml), ("json", Payload::Json)];

/// `{ FERROVIRT_X = "…" }` (R8).
fn env(to: &mut Settings, value: &Value<'_>, notes: &mut Notes<'_>) {
    let DeValue::Table(table) = value.get_ref() else {
        reader::expected("a table: { FERROVIRT_NAME = \"value\" }", value, notes);
        return;
    };
    for (name, value) in table {
        let word: &str = name.get_ref();
        let tail = word.strip_prefix("FERROVIRT_").unwrap_or_default();
        let plain = tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if tail.is_empty() || !plain {
            let message = format!(
                "{} cannot be set: a variable of a rule is called FERROVIRT_ and letters, digits or '_' (R8)",
                quoted(word)
            );
            notes.error(name.span().start, message);
        }
        if let Some(value) = reader::any_text(value, notes) {
            to.env.insert(word.to_owned(), value.to_owned());
        }
    }
}

/// `true`, `false`, or a table whose keys change what `true` means.
fn sandbox(value: &Value<'_>, notes: &mut Notes<'_>) -> Option<Option<Sandbox>> {
    const KEYS: [Key<Sandbox>; 5] = [
        Key {
            name: "read_only",
            read: |to, value, notes| over(&mut to.read_only, reader::flag(value, notes).as_ref()),
        },
        Key {
            name: "network",
            read: |to, value, notes| over(&mut to.network, reader::flag(value, notes).as_ref()),
        },
        Key {
            name: "memory",
            read: |to, value, notes| to.memory = reader::parsed(value, notes, measure::size),
        },
        Key {
            name: "cpu",
            read: |to, value, notes| to.cpu = reader::parsed(value, notes, measure::percent),
        },
        Key {
            name: "writable",
            read: |to, value, notes| {
                to.writable = reader::one_or_many(value, notes, |value, notes| {
                    reader::parsed(value, notes, reader::absolute)
                });
            },
        },
    ];
    match value.get_ref() {
        DeValue::Boolean(wanted) => Some(wanted.then(Sandbox::default)),
        DeValue::Table(table) => {
            let mut sandbox = Sandbox::default();
            let places = reader::read(table, &KEYS, &mut sandbox, notes, reader::nowhere);
            if let (Some(at), false) = (places.of("writable"), sandbox.read_only) {
                notes.error(at, "'writable' says nothing with 'read_only = false'");
            }
            Some(Some(sandbox))
        }
        _ => {
            reader::expected("true, false or a table", value, notes);
            None
        }
    }
}
