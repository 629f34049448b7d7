//! What is wrong or odd in a file of rules: `path:line:column: message`, and the line with a mark below it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// So much of a line is shown, in characters.
const SHOWN: usize = 160;

/// Something about one place of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
    /// The line itself.
    pub source_line: String,
}

impl Finding {
    /// About the byte `at` of a text; beyond its end is its end.
    pub(crate) fn new(path: &Path, text: &str, at: usize, message: String) -> Finding {
        let before = text.get(..at).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Finding {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            message,
            source_line: text[start..].lines().next().unwrap_or_default().to_owned(),
        }
    }
}

/// The place and message on one line, the source line and a caret on two more.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding {
            path,
            line,
            column,
            message,
            source_line,
        } = self;
        write!(f, "{}:{line}:{column}: {message}", path.display())?;
        if source_line.trim().is_empty() || *column > SHOWN {
            return Ok(());
        }
        // A terminal that shows this obeys no one who writes rules.
        let shown: String = source_line
            .chars()
            .take(SHOWN)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        write!(f, "\n  {shown}\n  {:>column$}", '^')
    }
}

/// Why rules cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file or the directory cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// Something in a file is wrong.
    #[error("{0}")]
    Mistake(Finding),
}

/// Everything that is wrong in all files of rules; never empty.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct PolicyErrors(pub(crate) Vec<PolicyError>);

impl PolicyErrors {
    /// The single errors, by file and place.
    pub fn iter(&self) -> impl Iterator<Item = &PolicyError> {
        self.0.iter()
    }
}

/// A word of the file within a message: short, and without what a terminal would obey.
pub(crate) fn quoted(word: &str) -> String {
    let mut shown = String::new();
    for c in word.chars().take(60) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if word.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("'{shown}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_shown_as_far_as_its_mark_can_be_seen() {
        let lines = |blanks: usize| {
            let text = format!("{}x", "y".repeat(blanks));
            let finding = Finding::new(Path::new("r.toml"), &text, blanks, "odd".to_owned());
            finding.to_string().lines().count()
        };
        assert_eq!(lines(0), 3);
        assert_eq!(lines(SHOWN - 1), 3);
        assert_eq!(lines(SHOWN), 1);
    }

    #[test]
    fn a_finding_shows_its_line() {
        let text = "a = 1\n\tä = \u{1b}2\r\n";
        let finding = Finding::new(
            Path::new("/r.toml"),
            text,
            text.find('=').unwrap() + 9,
            "no".to_owned(),
        );
        assert_eq!(finding.to_string(), "/r.toml:2:5: no\n   ä =  2\n      ^");
        let end = Finding::new(Path::new("/r.toml"), text, 9999, "end".to_owned());
        assert_eq!(end.to_string(), "/r.toml:3:1: end");
        assert_eq!(quoted("a\u{1b}b"), r"'a\u{1b}b'");
        assert_eq!(quoted(&"x".repeat(61)), format!("'{}…'", "x".repeat(60)));
    }

    #[test]
    fn all_errors_are_shown() {
        let unreadable = PolicyError::Unreadable {
            path: "/r".into(),
            source: io::Error::other("gone"),
        };
        let mistake = PolicyError::Mistake(Finding::new(Path::new("/x"), "", 0, "bad".to_owned()));
        let all = PolicyErrors(vec![unreadable, mistake]);
        assert_eq!(all.to_string(), "/r: cannot be read: gone\n/x:1:1: bad");
        assert_eq!(all.iter().count(), 2);
    }
}
