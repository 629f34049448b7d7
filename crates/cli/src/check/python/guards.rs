//! Which calls can lead to a place: the conditions around it, and the ways out before it.

use tree_sitter::Node;

use crate::check::operations::Calls;
use crate::check::python::roles::{Role, last};
use crate::check::python::{HIGHEST, Script};

/// What a condition leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Split {
    /// The calls that can fulfil it.
    pub(crate) yes: Calls,
    /// The calls that can fail it.
    pub(crate) no: Calls,
    /// Whether nothing but arguments decide.
    pub(crate) pure: bool,
    /// Whether the name decides.
    pub(crate) named: bool,
}

/// What a condition leaves of some calls.
pub(crate) fn split(script: &Script<'_>, condition: Node<'_>, calls: Calls, depth: usize) -> Split {
    let open = Split {
        yes: calls,
        no: calls,
        pure: false,
        named: false,
    };
    if depth > 20 {
        return open;
    }
    match condition.kind() {
        "parenthesized_expression" => condition
            .named_child(0)
            .map_or(open, |inner| split(script, inner, calls, depth + 1)),
        "not_operator" => condition.child_by_field_name("argument").map_or(open, |inner| {
            let found = split(script, inner, calls, depth + 1);
            Split {
                yes: found.no,
                no: found.yes,
                ..found
            }
        }),
        "boolean_operator" => {
            let (Some(left), Some(right)) = (
                condition.child_by_field_name("left"),
                condition.child_by_field_name("right"),
            ) else {
                return open;
            };
            let both = condition
                .child_by_field_name("operator")
                .is_some_and(|op| op.kind() == "and");
            let a = split(script, left, calls, depth + 1);
            let b = split(script, right, if both { a.yes } else { a.no }, depth + 1);
            let (pure, named) = (a.pure && b.pure, a.named || b.named);
            if both {
                Split {
                    yes: b.yes,
                    no: a.no.or(b.no),
                    pure,
                    named,
                }
            } else {
                Split {
                    yes: a.yes.or(b.yes),
                    no: b.no,
                    pure,
                    named,
                }
            }
        }
        "comparison_operator" => compared(script, condition).map_or(open, |found| leaf(&found, calls)),
        _ => open,
    }
}

/// `ARGUMENT == TEXT` and the like.
pub(crate) struct Compared<'t> {
    /// Which argument.
    pub(crate) argument: usize,
    /// The texts, with their places.
    pub(crate) texts: Vec<(String, Node<'t>)>,
    /// Whether it is fulfilled when none of them is it.
    pub(crate) negated: bool,
}

/// A comparison of an argument with texts.
pub(crate) fn compared<'t>(script: &Script<'t>, node: Node<'t>) -> Option<Compared<'t>> {
    if node.named_child_count() != 2 {
        return None;
    }
    let (mut left, mut right) = (node.named_child(0)?, node.named_child(1)?);
    let operator = script.text.get(left.end_byte()..right.start_byte())?.trim();
    if script.roles.role(script.text, left).is_none() && operator != "in" && operator != "not in" {
        std::mem::swap(&mut left, &mut right);
    }
    let Some(Role::Argument(argument)) = script.roles.role(script.text, left) else {
        return None;
    };
    let texts = texts(script, right)?;
    let negated = match operator {
        "==" | "in" => false,
        "!=" | "not in" => true,
        _ => return None,
    };
    let several = ["tuple", "list", "set"].contains(&right.kind());
    (several == operator.ends_with("in")).then_some(Compared {
        argument,
        texts,
        negated,
    })
}

fn texts<'t>(script: &Script<'t>, node: Node<'t>) -> Option<Vec<(String, Node<'t>)>> {
    if let Some(text) = script.literal(node) {
        return Some(vec![(text, node)]);
    }
    if !["tuple", "list", "set"].contains(&node.kind()) {
        return None;
    }
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .map(|child| Some((script.literal(child)?, child)))
        .collect()
}

fn leaf(found: &Compared<'_>, calls: Calls) -> Split {
    let is = |value: &str| found.texts.iter().any(|(text, _)| text == value);
    let fulfilled = match found.argument {
        2 => Calls::which(|event| is(event.operation)),
        3 => Calls::which(|event| is(event.sub)),
        _ => Calls::which(|_| true),
    };
    let decided = [2, 3].contains(&found.argument);
    let yes = calls.and(fulfilled);
    let no = if decided { calls.without(fulfilled) } else { calls };
    let (yes, no) = if found.negated { (no, yes) } else { (yes, no) };
    Split {
        yes,
        no,
        pure: true,
        named: found.argument == 1,
    }
}

/// The calls that can lead to a node; nothing when it lies in a function of which nobody knows who calls it.
pub(crate) fn leading_to(script: &Script<'_>, node: Node<'_>, depth: usize) -> Calls {
    let mut calls = script.setting.calls;
    let mut child = node;
    for _ in 0..HIGHEST {
        let Some(parent) = child.parent() else {
            return calls;
        };
        match parent.kind() {
            "if_statement" | "elif_clause" if Some(child) == parent.child_by_field_name("consequence") => {
                if let Some(condition) = parent.child_by_field_name("condition") {
                    calls = calls.and(split(script, condition, calls, 0).yes);
                }
            }
            "block" | "module" => calls = after_exits(script, parent, child, calls),
            "function_definition" => {
                let name = parent
                    .child_by_field_name("name")
                    .map_or("", |name| script.of(name));
                return calls.and(callers(script, name, depth));
            }
            "lambda" => return Calls::EMPTY,
            _ => {}
        }
        calls = before_else(script, parent, child, calls);
        child = parent;
    }
    calls
}

/// In an `else` or `elif`, the conditions before were not fulfilled.
fn before_else(script: &Script<'_>, parent: Node<'_>, child: Node<'_>, mut calls: Calls) -> Calls {
    if parent.kind() != "if_statement" || !["elif_clause", "else_clause"].contains(&child.kind()) {
        return calls;
    }
    let mut cursor = parent.walk();
    let earlier = parent
        .named_children(&mut cursor)
        .take_while(|node| node.id() != child.id());
    let first = parent.child_by_field_name("condition");
    let others = earlier
        .filter(|node| node.kind() == "elif_clause")
        .filter_map(|node| node.child_by_field_name("condition"));
    for condition in first.into_iter().chain(others) {
        calls = calls.and(split(script, condition, calls, 0).no);
    }
    calls
}

/// `if …: return` before a place narrows what comes there.
fn after_exits(script: &Script<'_>, block: Node<'_>, child: Node<'_>, mut calls: Calls) -> Calls {
    let mut cursor = block.walk();
    for before in block
        .named_children(&mut cursor)
        .take_while(|node| node.id() != child.id())
        .take(400)
    {
        if before.kind() != "if_statement" || before.child_by_field_name("alternative").is_some() {
            continue;
        }
        let (Some(condition), Some(body)) = (
            before.child_by_field_name("condition"),
            before.child_by_field_name("consequence"),
        ) else {
            continue;
        };
        let last =
            body.named_child(u32::try_from(body.named_child_count().saturating_sub(1)).unwrap_or(0) as usize);
        if last.is_some_and(|last| leaves(script, last)) {
            calls = calls.and(split(script, condition, calls, 0).no);
        }
    }
    calls
}

/// Whether nothing runs after a statement.
pub(crate) fn leaves(script: &Script<'_>, statement: Node<'_>) -> bool {
    let text = script.of(statement);
    ["return_statement", "raise_statement"].contains(&statement.kind())
        || ["sys.exit(", "exit(", "os._exit(", "quit("]
            .iter()
            .any(|call| text.starts_with(call))
}

fn callers(script: &Script<'_>, name: &str, depth: usize) -> Calls {
    let mut calls = Calls::EMPTY;
    if depth > 4 {
        return script.setting.calls;
    }
    for node in script
        .nodes
        .iter()
        .filter(|node| node.kind() == "call")
        .take(2000)
    {
        if node
            .child_by_field_name("function")
            .is_some_and(|function| last(script.of(function)) == name)
        {
            calls = calls.or(leading_to(script, *node, depth + 1));
        }
    }
    calls
}
