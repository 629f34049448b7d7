//! `cargo xtask sizes`: how long things may get. A reader holds a function of one screen in the head, and
//! a file of a few; the tail of long ones always grows where everything meets, so it needs a gate. Counted
//! with a `syn` visitor: lines inside a function's braces, lines of a file without its tests and tables.

use std::path::{Path, PathBuf};

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ExprMethodCall, ImplItemFn, Item, ItemFn, ItemMod, Signature, TraitItemFn};

/// Lines inside a function's braces.
const FUNCTION_LINES: usize = 80;
/// Lines of a file, tests and tables not counted.
const FILE_LINES: usize = 800;
/// Arguments of a function, `self` included.
const ARGUMENTS: usize = 6;
/// From how many lines on a constant or an item macro is a table, whose length is its nature.
const TABLE_LINES: usize = 20;
/// Directories whose files are tests as a whole.
const TEST_FOLDERS: &[&str] = &["tests", "benches"];
/// Directories that hold no sources of ours.
const NOT_OURS: &[&str] = &[
    "target",
    ".git",
    "out",
    "bench-out",
    "mutants.out",
    "node_modules",
];

/// What is too long, one line each.
///
/// # Errors
/// The text to print when a file cannot be read or is not Rust.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    collect(root, &mut files).map_err(|e| format!("{}: {e}", root.display()))?;
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.strip_prefix(root).unwrap_or(&path);
        found.extend(check_file(name, &text)?);
    }
    Ok(found)
}

/// All `.rs` files below a directory.
fn collect(dir: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name();
        if kind.is_dir() && !NOT_OURS.iter().any(|skip| name == *skip) {
            collect(&path, into)?;
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
    Ok(())
}

/// The findings of one file.
fn check_file(name: &Path, text: &str) -> Result<Vec<String>, String> {
    let parsed = syn::parse_file(text).map_err(|e| {
        let at = e.span().start();
        format!("{}:{}:{}: {e}", name.display(), at.line, at.column + 1)
    })?;
    let tests = name
        .components()
        .any(|part| TEST_FOLDERS.iter().any(|t| part.as_os_str() == *t))
        || name
            .file_stem()
            .is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"));
    let mut ruler = Ruler {
        name,
        tests,
        excepted: 0,
        found: Vec::new(),
    };
    if !text.starts_with("//!") {
        ruler
            .found
            .push(format!("{}:1: does not open with `//!`", name.display()));
    }
    ruler.visit_file(&parsed);
    let lines = text.lines().count().saturating_sub(ruler.excepted);
    if !tests && lines > FILE_LINES {
        ruler.found.push(format!(
            "{}: {lines} lines without tests and tables, at most {FILE_LINES}",
            name.display()
        ));
    }
    Ok(ruler.found)
}

/// Walks through one file.
struct Ruler<'a> {
    name: &'a Path,
    /// inside test code, where length, `unwrap` and `expect` are free
    tests: bool,
    /// lines that do not count for the file: test modules and tables
    excepted: usize,
    found: Vec<String>,
}

impl Ruler<'_> {
    fn find(&mut self, span: Span, text: &str) {
        self.found
            .push(format!("{}:{}: {text}", self.name.display(), span.start().line));
    }

    /// What holds for functions, methods and trait methods alike.
    fn function(&mut self, signature: &Signature, body: Option<&Block>) {
        if self.tests {
            return;
        }
        let lines = body.map_or(0, inner_lines);
        if lines > FUNCTION_LINES {
            let text = format!(
                "fn {} has {lines} lines, at most {FUNCTION_LINES}",
                signature.ident
            );
            self.find(signature.ident.span(), &text);
        }
        let arguments = signature.inputs.len();
        if arguments > ARGUMENTS {
            let text = format!(
                "fn {} takes {arguments} arguments, at most {ARGUMENTS}",
                signature.ident
            );
            self.find(signature.ident.span(), &text);
        }
    }

    /// Visits `inside` as test code if `attributes` say so.
    fn within(&mut self, attributes: &[Attribute], inside: impl FnOnce(&mut Self)) {
        let before = self.tests;
        self.tests = before || attributes.iter().any(is_test);
        inside(self);
        self.tests = before;
    }
}

impl<'ast> Visit<'ast> for Ruler<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let lines = lines_of(item.span());
        let table = matches!(item, Item::Const(_) | Item::Static(_) | Item::Macro(_)) && lines >= TABLE_LINES;
        let test_module = matches!(item, Item::Mod(module) if module.attrs.iter().any(is_test));
        if table || (test_module && !self.tests) {
            self.excepted += lines;
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.within(&module.attrs, |ruler| visit::visit_item_mod(ruler, module));
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.within(&function.attrs, |ruler| {
            ruler.function(&function.sig, Some(&function.block));
            visit::visit_item_fn(ruler, function);
        });
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.within(&function.attrs, |ruler| {
            ruler.function(&function.sig, Some(&function.block));
            visit::visit_impl_item_fn(ruler, function);
        });
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        self.within(&function.attrs, |ruler| {
            ruler.function(&function.sig, function.default.as_ref());
            visit::visit_trait_item_fn(ruler, function);
        });
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if !self.tests && call.method == "unwrap" && call.args.is_empty() {
            self.find(call.method.span(), "unwrap outside tests");
        }
        // What tests of several crates share is built for them alone.
        let shared = self.name.file_stem().is_some_and(|stem| stem == "testing");
        if !self.tests && !shared && call.method == "expect" {
            self.find(call.method.span(), "expect outside tests");
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]` and their like.
fn is_test(attribute: &Attribute) -> bool {
    let path = attribute.path();
    if path
        .segments
        .last()
        .is_some_and(|segment| segment.ident == "test")
    {
        return true;
    }
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    path.is_ident("cfg")
        && list
            .tokens
            .clone()
            .into_iter()
            .any(|token| matches!(token, proc_macro2::TokenTree::Ident(ident) if ident == "test"))
}

fn lines_of(span: Span) -> usize {
    span.end().line - span.start().line + 1
}

fn inner_lines(block: &Block) -> usize {
    lines_of(block.span()).saturating_sub(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(name: &str, text: &str) -> Vec<String> {
        check_file(Path::new(name), text).unwrap()
    }

    fn function_of(lines: usize) -> String {
        format!("//! Why.\nfn long() {{\n{}}}\n", "    step();\n".repeat(lines))
    }

    #[test]
    fn eighty_lines_are_fine_and_eighty_one_are_not() {
        assert_eq!(check_text("src/a.rs", &function_of(80)), Vec::<String>::new());
        assert_eq!(
            check_text("src/a.rs", &function_of(81)),
            ["src/a.rs:2: fn long has 81 lines, at most 80"]
        );
    }

    #[test]
    fn methods_and_default_methods_are_measured() {
        let body = "    step();\n".repeat(81);
        let text = format!(
            "//! Why.\nimpl A {{ fn m(&self) {{\n{body}}} }}\ntrait T {{ fn d(&self) {{\n{body}}} }}\n"
        );
        assert_eq!(check_text("src/a.rs", &text).len(), 2);
    }

    #[test]
    fn tests_may_be_long() {
        let text = function_of(200);
        assert_eq!(check_text("tests/a.rs", &text), Vec::<String>::new());
        let inside = text.replace("fn long", "#[test]\nfn long");
        assert_eq!(check_text("src/a.rs", &inside), Vec::<String>::new());
    }

    #[test]
    fn a_long_file_is_found_but_its_tests_and_tables_do_not_count() {
        let short = "fn f() {}\n";
        let plain = format!("//! Why.\n{}", short.repeat(800));
        assert_eq!(
            check_text("src/a.rs", &plain),
            ["src/a.rs: 801 lines without tests and tables, at most 800"]
        );
        let tests = format!(
            "//! Why.\n{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            short.repeat(700),
            short.repeat(300)
        );
        assert_eq!(check_text("src/a.rs", &tests), Vec::<String>::new());
        let table = format!(
            "//! Why.\nconst T: &[u8] = &[\n{}];\n{}",
            "    1,\n".repeat(900),
            short.repeat(700)
        );
        assert_eq!(check_text("src/a.rs", &table), Vec::<String>::new());
    }

    #[test]
    fn seven_arguments_are_too_many() {
        let text = "//! Why.\nfn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) {}\n";
        assert_eq!(
            check_text("src/a.rs", text),
            ["src/a.rs:2: fn f takes 7 arguments, at most 6"]
        );
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(
            check_text("src/a.rs", "fn f() {}\n"),
            ["src/a.rs:1: does not open with `//!`"]
        );
    }

    #[test]
    fn unwrap_and_expect_are_for_tests() {
        for (call, name) in [("unwrap()", "unwrap"), ("expect(\"why\")", "expect")] {
            let text = format!(
                "//! Why.\nfn f() {{ g().{call}; }}\n#[cfg(test)]\nmod tests {{ fn h() {{ g().{call}; }} }}\n"
            );
            let expected = format!("src/a.rs:2: {name} outside tests");
            assert_eq!(check_text("src/a.rs", &text), [expected]);
        }
    }

    #[test]
    fn what_is_not_rust_is_an_error() {
        assert!(
            check_file(Path::new("a.rs"), "//! Why.\nfn {")
                .unwrap_err()
                .starts_with("a.rs:2:")
        );
    }
}
