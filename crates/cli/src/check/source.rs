//! The text of one script: where its lines are, and which findings its comments silence.

use std::collections::HashSet;

/// A stretch of the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The first byte.
    pub(crate) start: usize,
    /// The byte after the last.
    pub(crate) end: usize,
}

/// A text with its lines.
pub(crate) struct Source {
    /// The whole text; bytes that are not UTF-8 are replaced.
    pub(crate) text: String,
    starts: Vec<usize>,
    silenced: HashSet<(usize, String)>,
    silenced_everywhere: HashSet<String>,
}

/// What a comment begins with that silences findings.
const IGNORE: &str = "ferrovirt: ignore";

impl Source {
    /// Takes in a text.
    pub(crate) fn new(text: String) -> Source {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let mut source = Source {
            text,
            starts,
            silenced: HashSet::new(),
            silenced_everywhere: HashSet::new(),
        };
        source.read_comments();
        source
    }

    /// Line and column, counted from 1, the column in characters.
    pub(crate) fn position(&self, at: usize) -> (usize, usize) {
        let at = self.boundary(at);
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts[line - 1];
        (line, self.text[start..at].chars().count() + 1)
    }

    /// The text of a line, counted from 1, without its end.
    pub(crate) fn line(&self, line: usize) -> &str {
        let Some(start) = line.checked_sub(1).and_then(|i| self.starts.get(i)) else {
            return "";
        };
        self.text[*start..].lines().next().unwrap_or("")
    }

    /// Where a line begins, counted from 1.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        line.checked_sub(1)
            .and_then(|i| self.starts.get(i))
            .copied()
            .unwrap_or(self.text.len())
    }

    /// A part of the text.
    pub(crate) fn slice(&self, span: Span) -> &str {
        &self.text[self.boundary(span.start)..self.boundary(span.end.max(span.start))]
    }

    /// Whether a comment silences this code on this line.
    pub(crate) fn is_silenced(&self, code: &str, line: usize) -> bool {
        self.silenced_everywhere.contains(code) || self.silenced.contains(&(line, code.to_owned()))
    }

    /// The nearest byte at or before this one where a character begins.
    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// Finds the comments that silence. A comment on a line of its own speaks of the next line.
    fn read_comments(&mut self) {
        let mut own = HashSet::new();
        let mut everywhere = HashSet::new();
        for (i, line) in self.text.lines().enumerate() {
            let Some(hash) = line.find('#') else { continue };
            let Some(found) = line[hash..].find(IGNORE) else {
                continue;
            };
            let rest = &line[hash + found + IGNORE.len()..];
            let (whole_file, rest) = match rest.strip_prefix("-file") {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            let alone = line[..hash].trim().is_empty();
            for code in rest
                .split(|c: char| c.is_whitespace() || c == ',')
                .filter(|c| c.starts_with("FH"))
            {
                if whole_file {
                    everywhere.insert(code.to_owned());
                } else {
                    own.insert((if alone { i + 2 } else { i + 1 }, code.to_owned()));
                }
            }
        }
        self.silenced = own;
        self.silenced_everywhere = everywhere;
    }
}
