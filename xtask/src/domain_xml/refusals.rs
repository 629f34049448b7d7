//! What a driver refuses by name: its own tables, pairs of a path and of whether the document has it.

use std::collections::BTreeSet;
use std::path::Path;

use ferrovirt_xml::Described;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};

use super::table::Driver;

/// The tables, from the workspace's directory.
const FILES: &[(Driver, &str)] = &[
    (Driver::Qemu, "crates/qemu/src/define/foreign.rs"),
    (Driver::Lxc, "crates/lxc/src/define/refuse.rs"),
];

/// Paths of elements and attributes, each with who refuses it.
#[derive(Debug, Default)]
pub struct Refusals(BTreeSet<(String, Driver)>);

impl Refusals {
    /// Reads them. A path that no document can have is a finding.
    pub fn read(root: &Path, elements: &[Described]) -> Result<(Refusals, Vec<String>), String> {
        let (mut refusals, mut findings) = (Refusals::default(), Vec::new());
        for (driver, file) in FILES {
            let text =
                std::fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
            let parsed = syn::parse_file(&text).map_err(|error| format!("{file}: {error}"))?;
            let mut pairs = Pairs::default();
            pairs.visit_file(&parsed);
            for path in pairs.0 {
                let known = elements.iter().any(|element| has(element, &path));
                if known {
                    refusals.0.insert((path, *driver));
                } else if path.contains('/') {
                    findings.push(format!("{file}: '{path}' is no element of the model"));
                }
            }
        }
        Ok((refusals, findings))
    }

    /// Does this driver refuse the element, or one that it is in?
    pub fn of_element(&self, driver: Driver, path: &str) -> bool {
        let mut above = Some(path);
        while let Some(path) = above {
            if self.0.contains(&(path.to_owned(), driver)) {
                return true;
            }
            above = path.rsplit_once('/').map(|(above, _)| above);
        }
        false
    }

    /// Does this driver refuse the attribute, in some values at least?
    pub fn of_attribute(&self, driver: Driver, path: &str, name: &str) -> bool {
        self.0.contains(&(format!("{path}/@{name}"), driver))
    }
}

fn has(element: &Described, path: &str) -> bool {
    match path.rsplit_once("/@") {
        Some((of, name)) => element.path == of && element.attributes.iter().any(|(own, _)| *own == name),
        None => element.path == path,
    }
}

/// First halves of pairs that begin with a text.
#[derive(Default)]
struct Pairs(Vec<String>);

impl<'ast> Visit<'ast> for Pairs {
    fn visit_expr_tuple(&mut self, pair: &'ast syn::ExprTuple) {
        if let Some(syn::Expr::Lit(literal)) = pair.elems.first()
            && let syn::Lit::Str(text) = &literal.lit
        {
            self.0.push(text.value());
        }
        visit::visit_expr_tuple(self, pair);
    }

    /// `vec![…]`, whose inside is not parsed by itself.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let list = call.parse_body_with(Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated);
        for one in list.iter().flatten() {
            let mut inside = Pairs::default();
            inside.visit_expr(one);
            self.0.append(&mut inside.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found_in_lists_of_all_kinds() {
        let text = r#"fn f() -> [P; 1] { let v = vec![("a", x.is_some())]; g(v); [("b/@c", true)] }"#;
        let mut pairs = Pairs::default();
        pairs.visit_file(&syn::parse_file(text).unwrap());
        assert_eq!(pairs.0, ["a", "b/@c"]);
    }
}
