//! The manual's page is what the tables say.

use std::path::Path;

use crate::check::{catalog, report};

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/hooks/checks.md");
    let wanted = report::page();
    if std::env::var_os("FERROVIRT_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/hooks/checks.md is old: FERROVIRT_WRITE_DOCS=1 cargo test -p ferrovirt-cli"
    );
}

#[test]
fn codes_are_unique_and_in_order() {
    let codes: Vec<&str> = catalog::rules().map(|rule| rule.code).collect();
    assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
}
