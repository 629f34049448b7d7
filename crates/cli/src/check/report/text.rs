//! Findings for people: one line, the source with a caret, and what to do.

use std::fmt::Write as _;

use crate::check::finding::{Finding, Level};

/// The whole report.
pub(crate) fn report(found: &[Finding], files: usize, colours: bool) -> String {
    let mut out = String::new();
    for finding in found {
        one(&mut out, finding, colours);
    }
    let count = |level| found.iter().filter(|finding| finding.level == level).count();
    let _ = writeln!(
        out,
        "{} looked at: {}, {}, {}",
        number(files, "file"),
        number(count(Level::Error), "error"),
        number(count(Level::Warning), "warning"),
        number(count(Level::Note), "note")
    );
    out
}

fn number(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn one(out: &mut String, finding: &Finding, colours: bool) {
    let colour = match finding.level {
        Level::Error => "31",
        Level::Warning => "33",
        Level::Note => "36",
    };
    let paint = |text: &str, code: &str| {
        if colours {
            format!("\u{1b}[1;{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let level = paint(&format!("{} {}", finding.level.word(), finding.rule.code), colour);
    // Writing to a string does not fail.
    let path = clean(&finding.path.display().to_string());
    match &finding.place {
        None => {
            let _ = writeln!(out, "{path}: {level}: {}", clean(&finding.message));
        }
        Some(place) => {
            let _ = writeln!(
                out,
                "{path}:{}:{}: {level}: {}",
                place.line,
                place.column,
                clean(&finding.message)
            );
            let (line, column) = excerpt(&place.text, place.column);
            let number = place.line.to_string();
            let width = place
                .width
                .min(line.chars().count().saturating_sub(column - 1))
                .max(1);
            let _ = writeln!(out, "  {number} | {line}");
            let blank = " ".repeat(number.len());
            let caret = paint(&"^".repeat(width), colour);
            let _ = writeln!(out, "  {blank} | {}{caret}", " ".repeat(column - 1));
        }
    }
    let _ = writeln!(out, "  = fix: {}\n", clean(&finding.fix));
}

/// A line that fits on a screen, and the column in it.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    const WIDEST: usize = 160;
    let clean = clean(line);
    if clean.chars().count() <= WIDEST {
        return (clean, column.max(1));
    }
    let skipped = column.saturating_sub(WIDEST / 2);
    (
        clean.chars().skip(skipped).take(WIDEST).collect(),
        (column - skipped).max(1),
    )
}

/// Text without characters that would move a terminal's cursor.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if c.is_control() {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
