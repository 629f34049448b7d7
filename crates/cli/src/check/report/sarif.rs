//! Findings as SARIF 2.1.0, which code hosts and editors read.

use std::path::Path;

use serde_json::{Value, json};

use crate::check::catalog::{self, Rule};
use crate::check::finding::Finding;

/// The whole report.
pub(crate) fn report(found: &[Finding]) -> String {
    let rules: Vec<&'static Rule> = catalog::rules().collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "ferrovirt check",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": rules.iter().map(|rule| self::rule(rule)).collect::<Vec<Value>>(),
                }
            },
            "columnKind": "unicodeCodePoints",
            "results": found.iter().map(|finding| result(finding, &rules)).collect::<Vec<Value>>(),
        }]
    });
    let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
    text.push('\n');
    text
}

fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.code,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.why },
        "help": {
            "text": format!("What to do: {}.\n\nBad:\n{}\n\nGood:\n{}", rule.fix, rule.bad, rule.good),
        },
        "defaultConfiguration": { "level": rule.level.word() },
    })
}

fn result(finding: &Finding, rules: &[&'static Rule]) -> Value {
    let mut location = json!({ "artifactLocation": { "uri": uri(&finding.path) } });
    if let Some(place) = &finding.place {
        location["region"] = json!({
            "startLine": place.line,
            "startColumn": place.column,
            "endColumn": place.column + place.width,
            "snippet": { "text": place.text },
        });
    }
    json!({
        "ruleId": finding.rule.code,
        "ruleIndex": rules.iter().position(|rule| rule.code == finding.rule.code),
        "level": finding.level.word(),
        "message": { "text": format!("{} ({})", finding.message, finding.fix) },
        "locations": [{ "physicalLocation": location }],
    })
}

/// A path as a reference, with everything escaped that a URI cannot hold.
fn uri(path: &Path) -> String {
    let text = path.display().to_string();
    let mut uri = if text.starts_with('/') {
        "file://".to_owned()
    } else {
        String::new()
    };
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
