//! From a directory to rules.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::policy::check;
use crate::policy::finding::{Finding, PolicyError, PolicyErrors, quoted};
use crate::policy::reader::{self, Key, Notes, Value};
use crate::policy::rule::{self, Rule};

/// No file of rules is larger than this, in bytes; what is larger is something else.
const LARGEST: u64 = 1 << 20;

/// What has been read so far.
#[derive(Default)]
struct Loaded {
    rules: Vec<Rule>,
    errors: Vec<PolicyError>,
    warnings: Vec<Finding>,
    /// Names, and where each was given first.
    names: HashMap<String, String>,
}

/// All rules of a directory, and what is odd about them.
///
/// # Errors
/// Everything that is wrong.
pub(crate) fn load(directory: &Path) -> Result<(Vec<Rule>, Vec<Finding>), PolicyErrors> {
    let mut loaded = Loaded::default();
    match files(directory) {
        Ok(files) => files.iter().for_each(|path| loaded.file(path)),
        Err(source) => loaded.errors.push(PolicyError::Unreadable {
            path: directory.to_owned(),
            source,
        }),
    }
    if loaded.errors.is_empty() {
        Ok((loaded.rules, loaded.warnings))
    } else {
        Err(PolicyErrors(loaded.errors))
    }
}

/// `*.toml` in byte order of the names, without hidden ones.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?.collect::<io::Result<Vec<_>>>()?,
    };
    let mut names: Vec<_> = entries
        .into_iter()
        .map(|entry| entry.file_name())
        .filter(|name| name.as_bytes().ends_with(b".toml") && !name.as_bytes().starts_with(b"."))
        .collect();
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

impl Loaded {
    fn file(&mut self, path: &Path) {
        let (bytes, others_write) = match contents(path) {
            Ok(contents) => contents,
            Err(source) => {
                let path = path.to_owned();
                self.errors.push(PolicyError::Unreadable { path, source });
                return;
            }
        };
        let (text, broken) = match str::from_utf8(&bytes) {
            Ok(text) => (text, false),
            Err(error) => {
                let valid = &bytes[..error.valid_up_to()];
                (str::from_utf8(valid).unwrap_or_default(), true)
            }
        };
        let mut notes = Notes::new(path, text);
        if others_write {
            notes.warn(0, "others than its owner may write to this file (R94)");
        }
        if broken {
            notes.error(text.len(), "this is not UTF-8, and so not TOML");
        } else {
            self.text(text, &mut notes);
        }
        let (errors, warnings) = notes.finish();
        self.errors.extend(errors.into_iter().map(PolicyError::Mistake));
        self.warnings.extend(warnings);
    }

    fn text(&mut self, text: &str, notes: &mut Notes<'_>) {
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().map_or(text.len(), |span| span.start);
            notes.error(at, error.message().replace('\n', "; "));
        }
        // What a parser made of a text that is no TOML is guessed.
        if !errors.is_empty() {
            return;
        }
        let mut rules = Vec::new();
        reader::read(document.get_ref(), &KEYS, &mut rules, notes, reader::nowhere);
        for rule in rules {
            self.name(rule, notes);
        }
    }

    /// Takes a rule, unless another has its name.
    fn name(&mut self, (at, rule): (usize, Rule), notes: &mut Notes<'_>) {
        let place = format!("{}:{}", rule.path.display(), rule.line);
        if let Some(other) = self.names.insert(rule.name.clone(), place) {
            let name = quoted(&rule.name);
            notes.error(at, format!("there is another rule {name}, at {other}"));
        }
        self.rules.push(rule);
    }
}

/// The bytes of a file, and whether others than its owner may write to it.
fn contents(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    // Opening a named pipe would wait for whoever writes.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = File::open(path)?;
    let others_write = check::writable_by_others(&file.metadata()?);
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {LARGEST} bytes")));
    }
    Ok((bytes, others_write))
}

/// What a file has: rules, each with the place of its name.
const KEYS: [Key<Vec<(usize, Rule)>>; 1] = [Key {
    name: "rule",
    read: |rules, value, notes| match value.get_ref() {
        DeValue::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                rules.extend(one(index + 1, value, notes));
            }
        }
        _ => reader::expected("rules, each below [[rule]] in two brackets", value, notes),
    },
}];

fn one(number: usize, value: &Value<'_>, notes: &mut Notes<'_>) -> Option<(usize, Rule)> {
    let DeValue::Table(table) = value.get_ref() else {
        reader::expected("a rule", value, notes);
        return None;
    };
    let start = reader::at(value);
    let mut draft = rule::read(table, notes);
    let when = check::check(&mut draft, start, notes);
    let (at, name) = draft.name.unwrap_or_else(|| {
        let file = notes.path().file_name().unwrap_or_default().to_string_lossy();
        (start, format!("{file}#{number}"))
    });
    let rule = Rule {
        name,
        path: notes.path().to_owned(),
        line: notes.line(start),
        when,
        run: draft.run,
        settings: draft.settings,
    };
    Some((at, rule))
}
