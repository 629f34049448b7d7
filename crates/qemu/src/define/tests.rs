//! Completion of our own documents, against what the reference fills in (`tests/documents`), and its laws.

use std::path::Path;

use ferrovirt_model::domain::Domain;
use ferrovirt_model::{Form, UnknownPolicy};

use crate::testing;

/// Pairs of documents: as a user writes them and as they are stored.
fn cases() -> Vec<(String, String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "in") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let input = std::fs::read_to_string(&path).unwrap();
            let output = std::fs::read_to_string(path.with_extension("out")).unwrap();
            cases.push((name, input, output));
        }
    }
    cases.sort();
    cases
}

fn completed(input: &str) -> Result<Domain, String> {
    let mut doc = Domain::parse(input, UnknownPolicy::Refuse)
        .map_err(|e| e.to_string())?
        .value;
    super::complete(&mut doc, &testing::emulator()).map_err(|e| e.to_string())?;
    Ok(doc)
}

#[test]
fn documents_are_completed_as_the_reference_does() {
    let cases = cases();
    assert!(cases.len() > 20);
    let mut wrong = Vec::new();
    for (name, input, output) in cases {
        let ours = match completed(&input) {
            Ok(doc) => doc.to_xml(&Form::STORED),
            Err(error) => error,
        };
        if ours.trim() != output.trim() {
            wrong.push(format!("{name}: {}", testing::first_difference(&ours, &output)));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn completing_again_changes_nothing() {
    for (name, input, _) in cases() {
        let Ok(once) = completed(&input) else { continue };
        let mut twice = Domain::parse(&once.to_xml(&Form::STORED), UnknownPolicy::Refuse)
            .unwrap()
            .value;
        super::complete(&mut twice, &testing::emulator()).unwrap();
        assert_eq!(once.to_xml(&Form::STORED), twice.to_xml(&Form::STORED), "{name}");
    }
}
