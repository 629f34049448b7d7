//! Tests that the table names, looked for in the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};

/// Those that are not there.
pub fn missing<'t>(root: &Path, names: impl Iterator<Item = &'t str>) -> Result<Vec<String>, String> {
    let mut known: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut findings = BTreeSet::new();
    for name in names {
        let Some((place, test)) = name.rsplit_once("::") else {
            findings.insert(format!("'{name}' is no name of a test: module::name"));
            continue;
        };
        let tests = match known.get(place) {
            Some(tests) => tests,
            None => known.entry(place).or_insert(tests_in(root, place)?),
        };
        if !tests.contains(test) {
            findings.insert(format!("there is no test '{test}' in {}", file_of(place)));
        }
    }
    Ok(findings.into_iter().collect())
}

/// `disks` is `tests/disks.rs`, `qemu/src/command/tests` is below `crates/`.
fn file_of(place: &str) -> String {
    match place.contains('/') {
        true => format!("crates/{place}.rs"),
        false => format!("tests/{place}.rs"),
    }
}

fn tests_in(root: &Path, place: &str) -> Result<BTreeSet<String>, String> {
    let file = file_of(place);
    let Ok(text) = std::fs::read_to_string(root.join(&file)) else {
        return Ok(BTreeSet::new());
    };
    let parsed = syn::parse_file(&text).map_err(|error| format!("{file}: {error}"))?;
    let mut tests = Tests::default();
    tests.visit_file(&parsed);
    Ok(tests.0)
}

#[derive(Default)]
struct Tests(BTreeSet<String>);

impl<'ast> Visit<'ast> for Tests {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let is_test = |attribute: &syn::Attribute| {
            let last = attribute.path().segments.last();
            last.is_some_and(|last| last.ident == "test")
        };
        if item.attrs.iter().any(is_test) {
            self.0.insert(item.sig.ident.to_string());
        }
        visit::visit_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_functions_that_are_tests_count() {
        let parsed =
            syn::parse_file("#[test] fn one() {} #[tokio::test] async fn two() {} fn three() {}").unwrap();
        let mut tests = Tests::default();
        tests.visit_file(&parsed);
        assert_eq!(tests.0.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    }
}
