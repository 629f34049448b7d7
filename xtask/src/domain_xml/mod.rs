//! `cargo xtask domain-xml`: writes `docs/domain-xml.md`, the list of what a domain document can hold. What there is comes from the
//! declarations of the model, what drivers refuse from the tables by which they do, and what each thing leads to, and which
//! test holds us to that, from `xtask/domain-xml.toml`, which has to name every element and tests that exist.

mod print;
mod refusals;
mod table;
mod tests_of;

use std::path::Path;

use ferrovirt_model::domain::Domain;
use ferrovirt_xml::Shape;

use refusals::Refusals;
use table::Table;

/// What is written, from the workspace's directory.
const PAGE: &str = "docs/domain-xml.md";
/// The root's own name is in no path.
const ROOT: &str = "domain";

/// Writes the page. Findings are what keeps it from being true.
pub fn write(root: &Path) -> Result<Vec<String>, String> {
    match page(root)? {
        Ok(text) => {
            let path = root.join(PAGE);
            std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(Vec::new())
        }
        Err(findings) => Ok(findings),
    }
}

/// Whether the page is what would be written now.
pub fn check(root: &Path) -> Result<Vec<String>, String> {
    match page(root)? {
        Ok(text) => {
            let there = std::fs::read_to_string(root.join(PAGE)).unwrap_or_default();
            let stale =
                (there != text).then(|| format!("{PAGE}: is not what `cargo xtask domain-xml` writes now"));
            Ok(stale.into_iter().collect())
        }
        Err(findings) => Ok(findings),
    }
}

fn page(root: &Path) -> Result<Result<String, Vec<String>>, String> {
    let mut elements = Shape::of::<Domain>(ROOT);
    for element in &mut elements {
        let path = element.path.strip_prefix(ROOT).unwrap_or(&element.path);
        element.path = path.trim_start_matches('/').to_owned();
    }
    let table = Table::read(root)?;
    let (refusals, mut findings) = Refusals::read(root, &elements)?;
    findings.extend(tests_of::missing(root, table.tests())?);
    let claims = table.claims(&elements, &mut findings);
    if findings.is_empty() {
        return Ok(Ok(print::page(&elements, &table, &claims, &refusals)));
    }
    Ok(Err(findings))
}
