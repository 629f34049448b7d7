//! Python scripts: read as trees by tree-sitter, which also reads broken files. Every call and every comparison is
//! looked at once; what leads to it is found by going up the tree.

mod calls;
mod comparisons;
mod guards;
mod roles;
mod stdin;

use tree_sitter::{Node, Parser};

use crate::check::finding::{Findings, Remark};
use crate::check::operations::{Calls, Driver};
use crate::check::place::Setting;
use crate::check::python::roles::Roles;
use crate::check::source::{Source, Span};

/// Longer scripts are not read.
const LONGEST: usize = 512 * 1024;
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
    let Some(tree) = parser.parse(&source.text, None) else {
        return;
    };
    let nodes = all(tree.root_node());
    let text = source.text.as_str();
    let roles = Roles::read(text, &nodes);
    let setting = refine(setting, &roles, text);
    let script = Script {
        text,
        nodes,
        roles,
        setting,
    };
    old_python(&script, findings);
    comparisons::check(&script, findings);
    calls::check(&script, findings);
    stdin::check(&script, findings);
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
fn refine(mut setting: Setting, roles: &Roles, text: &str) -> Setting {
    let has = |words: &[&str]| {
        words
            .iter()
            .any(|word| text.contains(&format!("\"{word}\"")) || text.contains(&format!("'{word}'")))
    };
    let guests = has(&["prepare", "started", "stopped", "release", "reconnect"]);
    if setting.driver.is_none()
        && has(&["port-created", "port-deleted", "plugged", "unplugged"])
        && !has(&["prepare", "release"])
    {
        (setting.driver, setting.calls) = (Some(Driver::Network), Calls::of(&[Driver::Network]));
    }
    setting.compares_operation = roles.uses_arguments && guests;
    setting.is_hook = roles.uses_arguments && (setting.placed || guests || text.contains("libvirt"));
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
