//! Findings for programs.

use serde::Serialize;

use crate::check::finding::{Finding, Level};

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    files: usize,
    summary: Summary,
    findings: Vec<One<'a>>,
}

#[derive(Serialize)]
struct Summary {
    errors: usize,
    warnings: usize,
    notes: usize,
}

#[derive(Serialize)]
struct One<'a> {
    code: &'a str,
    level: &'a str,
    title: &'a str,
    path: String,
    line: Option<usize>,
    column: Option<usize>,
    width: Option<usize>,
    source: Option<&'a str>,
    message: &'a str,
    fix: &'a str,
    why: &'a str,
}

/// The whole report.
pub(crate) fn report(found: &[Finding], files: usize) -> String {
    let count = |level| found.iter().filter(|finding| finding.level == level).count();
    let summary = Summary {
        errors: count(Level::Error),
        warnings: count(Level::Warning),
        notes: count(Level::Note),
    };
    let report = Report {
        version: 1,
        files,
        summary,
        findings: found.iter().map(one).collect(),
    };
    let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
    text.push('\n');
    text
}

fn one(finding: &Finding) -> One<'_> {
    let place = finding.place.as_ref();
    One {
        code: finding.rule.code,
        level: finding.level.word(),
        title: finding.rule.title,
        path: finding.path.display().to_string(),
        line: place.map(|place| place.line),
        column: place.map(|place| place.column),
        width: place.map(|place| place.width),
        source: place.map(|place| place.text.as_str()),
        message: &finding.message,
        fix: &finding.fix,
        why: finding.rule.why,
    }
}
