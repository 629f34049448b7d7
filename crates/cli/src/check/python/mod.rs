//! Python scripts: read as trees by tree-sitter, which also reads broken files. Every call and every comparison is
//! looked at once; what leads to it is found by going up the tree.

mod calls;
mod comparisons;
mod guards;
mod roles;
mod stdin;

use std::time::{Duration, Instant};

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

use crate::check::finding::{Findings, Remark};
use crate::check::operations::{Calls, Driver};
use crate::check::place::Setting;
use crate::check::python::roles::Roles;
use crate::check::source::{Source, Span};

/// Longer scripts are not read.
const LONGEST: usize = 512 * 1024;
/// How long the parser may take.
const LONGEST_PARSE: Duration = Duration::from_secs(2);
/// How far up the tree anything is looked for.
pub(crate) const HIGHEST: usize = 120;

/// A script with what is known of it.
pub(crate) struct Script<'t> {
    /// The text.
    pub(crate) text: &'t str,
    /// All nodes, parents first.
    pub(crate) nodes: Vec<Node<'t>>,
    /// What variables hold.
    pub(crate) roles: Roles,
    /// Whose hook it is.
    pub(crate) setting: Setting,
}

impl<'t> Script<'t> {
    /// The text of a node.
    pub(crate) fn of(&self, node: Node<'_>) -> &'t str {
        self.text.get(node.byte_range()).unwrap_or("")
    }

    /// The first line of a node.
    pub(crate) fn span(&self, node: Node<'_>) -> Span {
        Span {
            start: node.start_byte(),
            end: node.end_byte(),
        }
    }

    /// The text of a string without prefix and quotes; `None` if something is filled in.
    pub(crate) fn literal(&self, node: Node<'_>) -> Option<String> {
        if node.kind() != "string" {
            return None;
        }
        let mut cursor = node.walk();
        if node
            .named_children(&mut cursor)
            .any(|child| child.kind() == "interpolation")
        {
            return None;
        }
        let text = self
            .of(node)
            .trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let quote = if text.starts_with("\"\"\"") || text.starts_with("'''") {
            3
        } else {
            1
        };
        text.get(quote..text.len().checked_sub(quote)?).map(str::to_owned)
    }
}

/// All checks of a Python script.
pub(crate) fn check(source: &Source, setting: Setting, findings: &mut Findings<'_>) {
    let mut parser = Parser::new();
    if source.text.len() > LONGEST || parser.set_language(&tree_sitter_python::LANGUAGE.into()).is_err() {
        return;
    }
    let Some(tree) = parse(&mut parser, source.text.as_bytes()) else {
        return;
    };
    let nodes = all(tree.root_node());
    let text = source.text.as_str();
    let roles = Roles::read(text, &nodes);
    let setting = refine(setting, text);
    let mut script = Script {
        text,
        nodes,
        roles,
        setting,
    };
    let compares = comparisons::of_operations(&script);
    script.setting.compares_operation = compares;
    script.setting.is_hook = script.roles.uses_arguments && (script.setting.placed || compares);
    old_python(&script, findings);
    comparisons::check(&script, findings);
    calls::check(&script, findings);
    stdin::check(&script, findings);
}

/// Parses, but not for long: text that is no Python at all can take the parser's repairs very long.
fn parse(parser: &mut Parser, text: &[u8]) -> Option<Tree> {
    let start = Instant::now();
    let mut too_long = |_: &ParseState| start.elapsed() > LONGEST_PARSE;
    let options = ParseOptions::new().progress_callback(&mut too_long);
    parser.parse_with_options(&mut |at, _| text.get(at..).unwrap_or(&[]), None, Some(options))
}

/// All nodes, parents before children, without recursion.
fn all(root: Node<'_>) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    let mut cursor = root.walk();
    loop {
        nodes.push(cursor.node());
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return nodes;
            }
        }
    }
}

/// What the script tells about whose hook it is.
fn refine(mut setting: Setting, text: &str) -> Setting {
    let has = |words: &[&str]| {
        words
            .iter()
            .any(|word| text.contains(&format!("\"{word}\"")) || text.contains(&format!("'{word}'")))
    };
    if setting.driver.is_none()
        && has(&["port-created", "port-deleted", "plugged", "unplugged"])
        && !has(&["prepare", "release"])
    {
        (setting.driver, setting.calls) = (Some(Driver::Network), Calls::of(&[Driver::Network]));
        setting.all = setting.calls;
    }
    setting
}

/// `print "text"`
fn old_python(script: &Script<'_>, findings: &mut Findings<'_>) {
    if script.text.contains("print_function") {
        return;
    }
    let old = script
        .nodes
        .iter()
        .find(|node| ["print_statement", "exec_statement"].contains(&node.kind()));
    if let Some(node) = old {
        findings.at(
            script.span(*node),
            Remark::new(
                "FH701",
                "this is Python 2; Python 3 does not run the script at all",
            ),
        );
    }
}
