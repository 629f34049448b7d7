//! The syntax of libvirt's own configuration files: `name = value`, one a line, `#` to the end of
//! the line is a comment. A value is a whole number, a text in quotes or a list in brackets.
//!
//! What the names mean is decided by the modules beside this one; here is the mechanism: values with
//! their lines, and a reader that notices what nobody asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file that does not have the form it should have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration file syntax error: {}:{line}: {what}", path.display())]
pub struct ConfError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// What stands right of the equals sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `3`
    Integer(i64),
    /// `"text"`, `'text'` or a text over several lines in three double quotes
    Text(String),
    /// `[ "a", "b" ]`
    List(Vec<Value>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Integer(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
        }
    }
}

/// One setting and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Left of the equals sign.
    pub name: String,
    /// Right of it.
    pub value: Value,
    /// The line of the name, from 1.
    pub line: usize,
}

/// All settings of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// Something in a file that has no effect, with the line that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What has no effect, and why.
    pub text: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.text)
    }
}

impl Conf {
    /// Read a text; `path` is only for messages.
    ///
    /// # Errors
    /// The first place that does not have the form of a setting.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfError> {
        let mut scanner = Scanner {
            path,
            rest: text,
            line: 1,
        };
        let mut entries = Vec::new();
        while let Some(entry) = scanner.entry()? {
            entries.push(entry);
        }
        Ok(Self {
            path: path.to_owned(),
            entries,
        })
    }

    /// No settings at all: a file that is not there.
    pub fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            entries: Vec::new(),
        }
    }

    /// The settings in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Begin to ask for settings by name.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            conf: self,
            asked: BTreeSet::new(),
            warnings: Vec::new(),
        }
    }
}

/// Hands out settings by name and type, and knows at the end what was never asked for.
pub struct Reader<'a> {
    conf: &'a Conf,
    asked: BTreeSet<&'a str>,
    warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    /// The setting of this name, if the file has it. Of several the first counts, as in libvirt.
    pub fn entry(&mut self, name: &str) -> Option<&'a Entry> {
        let entry = self.conf.entries.iter().find(|e| e.name == name)?;
        self.asked.insert(&entry.name);
        Some(entry)
    }

    /// The error that says that this entry is not as it should be.
    pub fn wrong(&self, entry: &Entry, what: impl Into<String>) -> ConfError {
        ConfError {
            path: self.conf.path.clone(),
            line: entry.line,
            what: what.into(),
        }
    }

    /// "file:line" of an entry, for messages.
    pub fn place(&self, entry: &Entry) -> String {
        format!("{}:{}", self.conf.path.display(), entry.line)
    }

    /// Say that the setting of this name, which was read, does not do what it says.
    pub fn warn(&mut self, name: &str, text: impl Into<String>) {
        if let Some(entry) = self.entry(name) {
            self.warnings.push(Warning {
                path: self.conf.path.clone(),
                line: entry.line,
                text: text.into(),
            });
        }
    }

    fn type_error(&self, entry: &Entry, wanted: &str) -> ConfError {
        self.wrong(
            entry,
            format!("'{}' wants {wanted}, not {}", entry.name, entry.value.kind()),
        )
    }

    /// A text.
    ///
    /// # Errors
    /// The value is of another type.
    pub fn text(&mut self, name: &str) -> Result<Option<&'a str>, ConfError> {
        match self.entry(name) {
            None => Ok(None),
            Some(Entry {
                value: Value::Text(text),
                ..
            }) => Ok(Some(text)),
            Some(entry) => Err(self.type_error(entry, "a text in quotes")),
        }
    }

    /// A whole number within these bounds.
    ///
    /// # Errors
    /// The value is of another type or out of bounds.
    pub fn integer(
        &mut self,
        name: &str,
        bounds: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<i64>, ConfError> {
        match self.entry(name) {
            None => Ok(None),
            Some(Entry {
                value: Value::Integer(n),
                ..
            }) if bounds.contains(n) => Ok(Some(*n)),
            Some(
                entry @ Entry {
                    value: Value::Integer(n),
                    ..
                },
            ) => {
                let text = format!(
                    "'{name}' is {n} but must be from {} to {}",
                    bounds.start(),
                    bounds.end()
                );
                Err(self.wrong(entry, text))
            }
            Some(entry) => Err(self.type_error(entry, "a number")),
        }
    }

    /// 0 or 1.
    ///
    /// # Errors
    /// Anything else.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, ConfError> {
        Ok(self.integer(name, 0..=1)?.map(|n| n == 1))
    }

    /// A list of texts; a single text counts as a list of one, as in libvirt.
    ///
    /// # Errors
    /// The value is a number, or the list has something else than texts in it.
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<&'a str>>, ConfError> {
        let Some(entry) = self.entry(name) else {
            return Ok(None);
        };
        match &entry.value {
            Value::Text(text) => Ok(Some(vec![text])),
            Value::List(values) => values
                .iter()
                .map(|v| match v {
                    Value::Text(text) => Ok(text.as_str()),
                    _ => Err(self.type_error(entry, "a list of texts")),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Value::Integer(_) => Err(self.type_error(entry, "a list of texts")),
        }
    }

    /// What had no effect: names that nobody asked for, and names that stand there twice. Names in
    /// `without_effect` exist in libvirt, so their warning says something else than "not known".
    pub fn finish(self, without_effect: &[&str]) -> Vec<Warning> {
        let mut seen = BTreeSet::new();
        let mut warnings = self.warnings;
        for entry in &self.conf.entries {
            let name = entry.name.as_str();
            let text = if !seen.insert(name) {
                format!("'{name}' is set a second time: the first one counts")
            } else if self.asked.contains(name) {
                continue;
            } else if without_effect.contains(&name) {
                format!("'{name}' has no effect here")
            } else {
                format!("'{name}' is not a known setting")
            };
            warnings.push(Warning {
                path: self.conf.path.clone(),
                line: entry.line,
                text,
            });
        }
        warnings.sort_by_key(|w| w.line);
        warnings
    }
}

/// Walks over the text; `line` is that of the next character.
struct Scanner<'a> {
    path: &'a Path,
    rest: &'a str,
    line: usize,
}

impl<'a> Scanner<'a> {
    fn fail<T>(&self, line: usize, what: &str) -> Result<T, ConfError> {
        Err(ConfError {
            path: self.path.to_owned(),
            line,
            what: what.to_owned(),
        })
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        self.advance(end)
    }

    fn skip_blanks(&mut self) {
        self.take_while(|c| matches!(c, ' ' | '\t' | '\r'));
    }

    fn skip_comment(&mut self) {
        if self.peek() == Some('#') {
            self.take_while(|c| c != '\n');
        }
    }

    /// Blanks, line ends and comments, as they may stand between settings and inside a list.
    fn skip_space(&mut self) {
        loop {
            self.take_while(|c| c.is_ascii_whitespace());
            if self.peek() != Some('#') {
                return;
            }
            self.skip_comment();
        }
    }

    fn entry(&mut self) -> Result<Option<Entry>, ConfError> {
        self.skip_space();
        let line = self.line;
        match self.peek() {
            None => return Ok(None),
            Some(c) if c.is_ascii_alphabetic() => {}
            Some(_) => return self.fail(line, "expecting a name"),
        }
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        self.skip_blanks();
        if self.peek() != Some('=') {
            return self.fail(line, "expecting an assignment");
        }
        self.advance(1);
        self.skip_blanks();
        let value = self.value(true)?;
        self.skip_blanks();
        self.skip_comment();
        match self.peek() {
            None | Some('\n') => Ok(Some(Entry {
                name: name.to_owned(),
                value,
                line,
            })),
            Some(_) => self.fail(self.line, "expecting a separator"),
        }
    }

    fn value(&mut self, list_allowed: bool) -> Result<Value, ConfError> {
        match self.peek() {
            Some('"' | '\'') => self.text().map(Value::Text),
            Some('[') if list_allowed => self.list(),
            Some('[') => self.fail(self.line, "lists not allowed in lists"),
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+') => self.integer(),
            _ => self.fail(self.line, "expecting a value"),
        }
    }

    fn integer(&mut self) -> Result<Value, ConfError> {
        let line = self.line;
        let sign = if matches!(self.peek(), Some('-' | '+')) {
            self.advance(1)
        } else {
            ""
        };
        let digits = self.take_while(|c| c.is_ascii_digit());
        match format!("{sign}{digits}").parse() {
            Ok(n) => Ok(Value::Integer(n)),
            Err(_) => self.fail(line, "unterminated number"),
        }
    }

    fn text(&mut self) -> Result<String, ConfError> {
        let line = self.line;
        if self.rest.starts_with("\"\"\"") {
            self.advance(3);
            let Some(end) = self.rest.find("\"\"\"") else {
                return self.fail(line, "unterminated string");
            };
            let text = self.advance(end).to_owned();
            self.advance(3);
            return Ok(text);
        }
        let quote = if self.peek() == Some('"') { '"' } else { '\'' };
        self.advance(1);
        let text = self.take_while(|c| c != quote && c != '\n');
        if self.peek() != Some(quote) {
            return self.fail(line, "unterminated string");
        }
        self.advance(1);
        Ok(text.to_owned())
    }

    fn list(&mut self) -> Result<Value, ConfError> {
        let line = self.line;
        self.advance(1);
        let mut values = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                Some(']') => break,
                None => return self.fail(line, "list is not closed with ]"),
                Some(_) => values.push(self.value(false)?),
            }
            self.skip_space();
            match self.peek() {
                Some(',') => self.advance(1),
                Some(']') => break,
                _ => return self.fail(self.line, "expecting a separator in list"),
            };
        }
        self.advance(1);
        Ok(Value::List(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Conf, ConfError> {
        Conf::parse(Path::new("/etc/libvirt/x.conf"), text)
    }

    #[test]
    fn values_of_all_kinds_with_their_lines() {
        let text = "# head\n\na = 1\n b=\"two # not a comment\" # comment\nc = [ 'x', # one\n  \"y\",\n]\nd = -5\ne = \"\"\"over\nlines\"\"\"\nf=[]";
        let conf = parse(text).unwrap();
        let lines: Vec<_> = conf.entries().iter().map(|e| (e.name.as_str(), e.line)).collect();
        assert_eq!(
            lines,
            [("a", 3), ("b", 4), ("c", 5), ("d", 8), ("e", 9), ("f", 11)]
        );
        let values: Vec<_> = conf.entries().iter().map(|e| &e.value).collect();
        assert_eq!(values[0], &Value::Integer(1));
        assert_eq!(values[1], &Value::Text("two # not a comment".to_owned()));
        assert_eq!(
            values[2],
            &Value::List(vec![Value::Text("x".to_owned()), Value::Text("y".to_owned())])
        );
        assert_eq!(values[3], &Value::Integer(-5));
        assert_eq!(values[4], &Value::Text("over\nlines".to_owned()));
        assert_eq!(values[5], &Value::List(vec![]));
    }

    #[test]
    fn r21_a_missing_value_is_an_error_with_its_line() {
        let e = parse("\nlog_level = \n").unwrap_err();
        assert_eq!(e.line, 2);
        assert_eq!(
            e.to_string(),
            "configuration file syntax error: /etc/libvirt/x.conf:2: expecting a value"
        );
    }

    #[test]
    fn other_mistakes() {
        for (text, what) in [
            ("= 3", "expecting a name"),
            ("a 3", "expecting an assignment"),
            ("a", "expecting an assignment"),
            ("a = 3 4", "expecting a separator"),
            ("a = \"x", "unterminated string"),
            ("a = \"x\ny\"", "unterminated string"),
            ("a = \"\"\"x", "unterminated string"),
            ("a = [ \"x\"", "expecting a separator in list"),
            ("a = [ \"x\",", "list is not closed with ]"),
            ("a = [ [ ] ]", "lists not allowed in lists"),
            ("a = -", "unterminated number"),
            ("a = 99999999999999999999", "unterminated number"),
        ] {
            assert_eq!(parse(text).unwrap_err().what, what, "{text}");
        }
    }

    #[test]
    fn unknown_settings_are_warnings_with_their_line() {
        let conf = parse("user = \"a\"\nzzz = 1\nuser = \"b\"\nswtpm_user = \"t\"\n").unwrap();
        let mut reader = conf.reader();
        assert_eq!(reader.text("user").unwrap(), Some("a"));
        let warnings: Vec<_> = reader
            .finish(&["swtpm_user"])
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            warnings,
            [
                "/etc/libvirt/x.conf:2: 'zzz' is not a known setting",
                "/etc/libvirt/x.conf:3: 'user' is set a second time: the first one counts",
                "/etc/libvirt/x.conf:4: 'swtpm_user' has no effect here",
            ]
        );
    }

    #[test]
    fn types_are_checked() {
        let conf = parse("t = \"a\"\nn = 3\nl = [ \"a\", 1 ]\n").unwrap();
        let mut reader = conf.reader();
        assert!(reader.integer("t", 0..=9).is_err());
        assert_eq!(reader.integer("n", 0..=9).unwrap(), Some(3));
        assert_eq!(reader.integer("n", 4..=9).unwrap_err().line, 2);
        assert!(reader.flag("n").is_err());
        assert!(reader.text("n").is_err());
        assert!(reader.list("l").is_err());
        assert_eq!(reader.list("t").unwrap(), Some(vec!["a"]));
        assert_eq!(reader.text("missing").unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_almost_right_text_makes_it_panic(text in "([a-z]{1,3}|[ =\n#\"'\\[\\],0-9-]){0,40}") {
            if let Err(e) = parse(&text) {
                prop_assert!(e.line >= 1 && e.line <= text.matches('\n').count() + 1);
            }
        }

        #[test]
        fn what_is_written_is_read(entries in prop::collection::vec(("[a-z][a-z_]{0,8}", "[^\"\\x00-\\x1f]{0,20}"), 0..8)) {
            let text: String = entries.iter().map(|(n, v)| format!("{n} = \"{v}\"\n")).collect();
            let conf = parse(&text).unwrap();
            prop_assert_eq!(conf.entries().len(), entries.len());
            for (i, (entry, (name, value))) in conf.entries().iter().zip(&entries).enumerate() {
                prop_assert_eq!(&entry.name, name);
                prop_assert_eq!(&entry.value, &Value::Text(value.clone()));
                prop_assert_eq!(entry.line, i + 1);
            }
        }
    }
}
