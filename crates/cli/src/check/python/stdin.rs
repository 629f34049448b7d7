//! The document, read twice.

use tree_sitter::Node;

use crate::check::finding::{Findings, Remark};
use crate::check::python::{HIGHEST, Script};

/// Looks for a second reader after the first in the same or a deeper block.
pub(crate) fn check(script: &Script<'_>, findings: &mut Findings<'_>) {
    let readers: Vec<Node<'_>> = script
        .nodes
        .iter()
        .copied()
        .filter(|node| node.kind() == "attribute" && script.of(*node) == "sys.stdin")
        .filter(|node| reads_all(script, *node))
        .take(50)
        .collect();
    for (i, second) in readers.iter().enumerate() {
        let before = readers[..i]
            .iter()
            .any(|first| block(*first).is_some_and(|block| contains(block, *second)));
        if before && script.setting.is_hook {
            findings.at(
                script.span(*second),
                Remark::new("FH307", "stdin was read to its end before; this gets nothing"),
            );
            return;
        }
    }
}

/// `sys.stdin.read()`, `ET.parse(sys.stdin)`
fn reads_all(script: &Script<'_>, node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    match parent.kind() {
        "argument_list" => parent.parent().is_some_and(|call| {
            let name = call
                .child_by_field_name("function")
                .map_or("", |function| script.of(function));
            ["parse", "load", "list"].iter().any(|end| name.ends_with(end))
        }),
        "attribute" => {
            ["sys.stdin.read", "sys.stdin.readlines", "sys.stdin.buffer"].contains(&script.of(parent))
        }
        _ => false,
    }
}

fn block(node: Node<'_>) -> Option<Node<'_>> {
    let mut up = node.parent();
    for _ in 0..HIGHEST {
        let parent = up?;
        if parent.kind() == "block" || parent.kind() == "module" {
            return Some(parent);
        }
        up = parent.parent();
    }
    None
}

fn contains(block: Node<'_>, node: Node<'_>) -> bool {
    block.start_byte() <= node.start_byte() && node.end_byte() <= block.end_byte()
}
