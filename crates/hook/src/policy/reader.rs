//! Reading TOML with a place for everything: each table is a list of keys, each key a function, and what is wrong is
//! noted and read past, so that one look finds all mistakes of a file.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::policy::finding::{Finding, quoted};
use crate::policy::suggest::instead;

/// A value and where it stands.
pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// What was noticed in one file.
pub(crate) struct Notes<'t> {
    path: &'t Path,
    text: &'t str,
    errors: Vec<(usize, String)>,
    warnings: Vec<(usize, String)>,
}

impl<'t> Notes<'t> {
    pub(crate) fn new(path: &'t Path, text: &'t str) -> Notes<'t> {
        Notes {
            path,
            text,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &'t Path {
        self.path
    }

    /// Something that cannot be.
    pub(crate) fn error(&mut self, at: usize, message: impl Into<String>) {
        self.errors.push((at, message.into()));
    }

    /// Something that can be, and is probably not meant.
    pub(crate) fn warn(&mut self, at: usize, message: impl Into<String>) {
        self.warnings.push((at, message.into()));
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.errors.len()
    }

    /// The number of the line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        Finding::new(self.path, self.text, at, String::new()).line
    }

    /// Errors and warnings, each in the order of the file.
    pub(crate) fn finish(self) -> (Vec<Finding>, Vec<Finding>) {
        let findings = |mut notes: Vec<(usize, String)>| {
            notes.sort_by_key(|(at, _)| *at);
            notes
                .into_iter()
                .map(|(at, message)| Finding::new(self.path, self.text, at, message))
                .collect()
        };
        (findings(self.errors), findings(self.warnings))
    }
}

/// A key of a table, and what it does to what the table describes.
pub(crate) struct Key<T> {
    pub(crate) name: &'static str,
    pub(crate) read: fn(&mut T, &Value<'_>, &mut Notes<'_>),
}

/// Which keys a table has, and where their values begin.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<(&'static str, usize)>);

impl Places {
    /// Where the value of a key begins, if the table has the key.
    pub(crate) fn of(&self, key: &str) -> Option<usize> {
        self.0.iter().find_map(|(name, at)| (*name == key).then_some(*at))
    }

    /// Whether none of the keys is there.
    pub(crate) fn has_none_of(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.of(key).is_none())
    }
}

/// Reads all keys of a table; `elsewhere` may know where one belongs that is wrong here.
pub(crate) fn read<T>(
    table: &DeTable<'_>,
    keys: &[Key<T>],
    into: &mut T,
    notes: &mut Notes<'_>,
    elsewhere: fn(&str) -> Option<&'static str>,
) -> Places {
    let mut places = Places(Vec::new());
    for (name, value) in table {
        let word: &str = name.get_ref();
        match keys.iter().find(|key| key.name == word) {
            Some(key) => {
                places.0.push((key.name, value.span().start));
                (key.read)(into, value, notes);
            }
            None => {
                let hint = elsewhere(word).map_or_else(
                    || instead(word, &keys.iter().map(|key| key.name).collect::<Vec<_>>()),
                    |place| format!("; {place}"),
                );
                notes.error(name.span().start, format!("unknown key {}{hint}", quoted(word)));
            }
        }
    }
    places
}

/// Nothing is known of other places.
pub(crate) fn nowhere(_: &str) -> Option<&'static str> {
    None
}

/// Where a value stands.
pub(crate) fn at(value: &Value<'_>) -> usize {
    let Range { start, .. } = value.span();
    start
}

/// What a value is, in words.
fn kind(value: &Value<'_>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Notes that something else should stand here.
pub(crate) fn expected(what: &str, value: &Value<'_>, notes: &mut Notes<'_>) {
    notes.error(at(value), format!("expected {what}, found {}", kind(value)));
}

/// A text that the kernel can take as an argument: without NUL. May be empty.
pub(crate) fn any_text<'v>(value: &'v Value<'_>, notes: &mut Notes<'_>) -> Option<&'v str> {
    match value.get_ref() {
        DeValue::String(text) if text.contains('\0') => {
            notes.error(
                at(value),
                "a text with the character NUL, which no program can be given",
            );
            None
        }
        DeValue::String(text) => Some(text),
        _ => {
            expected("a text in quotes", value, notes);
            None
        }
    }
}

/// A text that says something.
pub(crate) fn text<'v>(value: &'v Value<'_>, notes: &mut Notes<'_>) -> Option<&'v str> {
    let text = any_text(value, notes)?;
    if text.is_empty() {
        notes.error(at(value), "an empty text says nothing; leave the key out");
        return None;
    }
    Some(text)
}

/// `true` or `false`.
pub(crate) fn flag(value: &Value<'_>, notes: &mut Notes<'_>) -> Option<bool> {
    if let DeValue::Boolean(flag) = value.get_ref() {
        return Some(*flag);
    }
    expected("true or false", value, notes);
    None
}

/// A text that `parse` understands; its error is the message.
pub(crate) fn parsed<T>(
    value: &Value<'_>,
    notes: &mut Notes<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let text = text(value, notes)?;
    match parse(text) {
        Ok(parsed) => Some(parsed),
        Err(message) => {
            notes.error(at(value), format!("{}: {message}", quoted(text)));
            None
        }
    }
}

/// One of a few words; `what` they are is for the message.
pub(crate) fn one_of<T: Copy>(
    value: &Value<'_>,
    notes: &mut Notes<'_>,
    what: &str,
    known: &[(&str, T)],
) -> Option<T> {
    let word = text(value, notes)?;
    let found = known
        .iter()
        .find_map(|(name, meaning)| (*name == word).then_some(*meaning));
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let hint = instead(word, &names);
        notes.error(at(value), format!("unknown {what} {}{hint}", quoted(word)));
    }
    found
}

/// One item, or a list of them that is not empty.
pub(crate) fn one_or_many<T>(
    value: &Value<'_>,
    notes: &mut Notes<'_>,
    mut item: impl FnMut(&Value<'_>, &mut Notes<'_>) -> Option<T>,
) -> Vec<T> {
    let DeValue::Array(list) = value.get_ref() else {
        return item(value, notes).into_iter().collect();
    };
    if list.is_empty() {
        notes.error(at(value), "an empty list says nothing; leave the key out");
    }
    list.iter().filter_map(|value| item(value, notes)).collect()
}

/// An absolute path.
pub(crate) fn absolute(text: &str) -> Result<std::path::PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() {
        Ok(path.to_owned())
    } else {
        Err("not an absolute path".to_owned())
    }
}
