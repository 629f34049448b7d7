//! One rule: when it applies, and what it then does. How it is read; whether what it says can be is `check`'s matter.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::policy::condition::{self, When, WhenDraft};
use crate::policy::finding::quoted;
use crate::policy::reader::{self, Key, Notes, Places, Value};
use crate::policy::treatment::{self, Settings};

/// A program that a rule has called beside the scripts, exactly as a script is (R7 to R9): `argv[0]` is its path, its own
/// arguments stand before the four of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its path, absolute.
    pub program: PathBuf,
    /// What stands before the four arguments.
    pub args: Vec<String>,
}

/// A rule that can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) line: usize,
    pub(crate) when: When,
    pub(crate) run: Vec<Command>,
    pub(crate) settings: Settings,
}

impl Rule {
    /// Its name; no other rule has it. Without one of its own it is the file's with the rule's number in it: `10-gpu.toml#2`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that it stands in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line of its `[[rule]]`, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The events that it names: driver and operation. Those that this build does not raise are among them.
    pub fn events(&self) -> impl Iterator<Item = (crate::Driver, &'static crate::Row)> {
        self.when.events()
    }
}

/// A rule as it is read.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) name: Option<(usize, String)>,
    pub(crate) when: WhenDraft,
    pub(crate) run: Vec<Command>,
    pub(crate) settings: Settings,
    /// The conditions that are given.
    pub(crate) when_places: Places,
    /// The keys that are given.
    pub(crate) places: Places,
}

impl AsMut<Settings> for Draft {
    fn as_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }
}

/// What a rule has beside its settings.
const KEYS: [Key<Draft>; 3] = [
    Key {
        name: "name",
        read: |to, value, notes| {
            to.name = reader::text(value, notes).map(|name| (reader::at(value), name.to_owned()));
        },
    },
    Key {
        name: "when",
        read: |to, value, notes| match value.get_ref() {
            DeValue::Table(table) => {
                to.when_places = reader::read(table, &condition::KEYS, &mut to.when, notes, above);
            }
            _ => reader::expected("a table: [rule.when]", value, notes),
        },
    },
    Key {
        name: "run",
        read: |to, value, notes| to.run = reader::one_or_many(value, notes, command),
    },
];

/// TOML counts what follows `[rule.when]` to it.
fn above(word: &str) -> Option<&'static str> {
    let of_the_rule = ["name", "run"]
        .into_iter()
        .chain(treatment::keys::<Draft>().iter().map(|key| key.name))
        .any(|name| name == word);
    of_the_rule.then_some("it belongs to the rule: write it above [rule.when]")
}

/// A key of `[rule.when]` that stands outside it.
fn below(word: &str) -> Option<&'static str> {
    condition::KEYS
        .iter()
        .any(|key| key.name == word)
        .then_some("it is a condition: write it below [rule.when]")
}

/// Reads `[[rule]]`.
pub(crate) fn read(table: &DeTable<'_>, notes: &mut Notes<'_>) -> Draft {
    let mut draft = Draft::default();
    let keys: Vec<Key<Draft>> = KEYS.into_iter().chain(treatment::keys()).collect();
    draft.places = reader::read(table, &keys, &mut draft, notes, below);
    draft
}

/// A path, or a list of a path and arguments.
fn command(value: &Value<'_>, notes: &mut Notes<'_>) -> Option<Command> {
    let DeValue::Array(words) = value.get_ref() else {
        let program = program(value, notes)?;
        return Some(Command {
            program,
            args: Vec::new(),
        });
    };
    let Some((first, rest)) = words.split_first() else {
        notes.error(
            reader::at(value),
            "a command of nothing: expected [\"/path\", \"argument\"]",
        );
        return None;
    };
    let program = program(first, notes);
    let args = rest
        .iter()
        .map(|value| Some(reader::any_text(value, notes)?.to_owned()))
        .collect::<Vec<_>>();
    Some(Command {
        program: program?,
        args: args.into_iter().collect::<Option<_>>()?,
    })
}

/// The path of a program. Nobody looks along `PATH`: which program a rule means does not depend on the daemon's environment.
fn program(value: &Value<'_>, notes: &mut Notes<'_>) -> Option<PathBuf> {
    let text = reader::text(value, notes)?;
    if text.starts_with('/') {
        return Some(PathBuf::from(text));
    }
    let message = format!(
        "{} is not an absolute path; a command with arguments is a list in the list: run = [[\"/path\", \"argument\"]]",
        quoted(text)
    );
    notes.error(reader::at(value), message);
    None
}
