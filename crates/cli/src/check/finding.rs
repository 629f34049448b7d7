//! One mistake at one place, and the list that collects them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::check::catalog::{self, Rule};
use crate::check::source::{Source, Span};

/// How bad a finding is. The order is that of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Level {
    /// Worth knowing; never fails the check
    Note,
    /// Goes wrong for some guests, on some systems, or some day
    Warning,
    /// Does not do what its author wants
    Error,
}

impl Level {
    /// The word that output uses.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One mistake.
#[derive(Debug)]
pub(crate) struct Finding {
    /// What kind of mistake.
    pub(crate) rule: &'static Rule,
    /// How bad it is here.
    pub(crate) level: Level,
    /// In which file or directory.
    pub(crate) path: PathBuf,
    /// Line and column from 1, and the line's text; none for a mistake of the file itself.
    pub(crate) place: Option<Place>,
    /// What is wrong here.
    pub(crate) message: String,
    /// What to do about it here.
    pub(crate) fix: String,
}

/// Where in a text.
#[derive(Debug)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// How many characters of the line are meant; at least 1.
    pub(crate) width: usize,
    /// The line.
    pub(crate) text: String,
}

/// What a check says, before the catalogue and the source are consulted.
pub(crate) struct Remark {
    /// The code of the rule.
    pub(crate) code: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do; the rule's own advice when empty.
    pub(crate) fix: String,
    /// Another level than the rule's.
    pub(crate) level: Option<Level>,
}

impl Remark {
    /// A remark with the rule's own level and advice.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Remark {
        Remark {
            code,
            message: message.into(),
            fix: String::new(),
            level: None,
        }
    }

    /// With advice of its own.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Remark {
        self.fix = fix.into();
        self
    }

    /// With a level of its own.
    pub(crate) fn level(mut self, level: Level) -> Remark {
        self.level = Some(level);
        self
    }
}

/// The findings of one file.
pub(crate) struct Findings<'a> {
    path: &'a Path,
    source: Option<&'a Source>,
    seen: HashSet<(&'static str, Option<Span>)>,
    list: Vec<Finding>,
}

impl<'a> Findings<'a> {
    /// An empty list; without a source only the file as a whole can be spoken of.
    pub(crate) fn new(path: &'a Path, source: Option<&'a Source>) -> Findings<'a> {
        Findings {
            path,
            source,
            seen: HashSet::new(),
            list: Vec::new(),
        }
    }

    /// Adds a mistake of the file itself.
    pub(crate) fn file(&mut self, remark: Remark) {
        self.add(None, remark);
    }

    /// Adds a mistake in the text. The same one at the same place counts once, however often it is met.
    pub(crate) fn at(&mut self, span: Span, remark: Remark) {
        self.add(Some(span), remark);
    }

    /// Whether a rule was broken already.
    pub(crate) fn has(&self, code: &str) -> bool {
        self.list.iter().any(|finding| finding.rule.code == code)
    }

    fn add(&mut self, span: Option<Span>, remark: Remark) {
        let Some(rule) = catalog::rule(remark.code) else {
            return;
        };
        if !self.seen.insert((rule.code, span)) {
            return;
        }
        let place = span.zip(self.source).map(|(span, source)| place(source, span));
        let line = place.as_ref().map_or(0, |place| place.line);
        if self
            .source
            .is_some_and(|source| source.is_silenced(rule.code, line))
        {
            return;
        }
        let fix = if remark.fix.is_empty() {
            rule.fix.to_owned()
        } else {
            remark.fix
        };
        self.list.push(Finding {
            rule,
            level: remark.level.unwrap_or(rule.level),
            path: self.path.to_owned(),
            place,
            message: remark.message,
            fix,
        });
    }

    /// The findings in the order of the text.
    pub(crate) fn into_sorted(mut self) -> Vec<Finding> {
        self.list
            .sort_by_key(|f| (f.place.as_ref().map(|p| (p.line, p.column)), f.rule.code));
        self.list
    }
}

fn place(source: &Source, span: Span) -> Place {
    let (line, column) = source.position(span.start);
    let first_line = source.slice(span).lines().next().unwrap_or("");
    let width = first_line.chars().count().max(1);
    Place {
        line,
        column,
        width,
        text: source.line(line).to_owned(),
    }
}
