//! Comparisons of arguments in Python, and what happens when none is fulfilled.

use tree_sitter::Node;

use crate::check::finding::{Findings, Level, Remark};
use crate::check::operations::{self, Calls, EVENTS, OLD, REASONS};
use crate::check::python::Script;
use crate::check::python::guards::{self, Compared};
use crate::check::python::roles::Role;

/// Looks at all of them.
pub(crate) fn check(script: &Script<'_>, findings: &mut Findings<'_>) {
    for node in &script.nodes {
        match node.kind() {
            "comparison_operator" if script.setting.is_hook => {
                if let Some(found) = guards::compared(script, *node) {
                    one(script, *node, &found, findings);
                }
            }
            "subscript" if script.setting.is_hook => fifth(script, *node, findings),
            "case_clause" if script.setting.is_hook => matched(script, *node, findings),
            "else_clause" if script.setting.is_hook => otherwise(script, *node, findings),
            "if_statement" if script.setting.is_hook => other_names(script, *node, findings),
            _ => {}
        }
    }
}

/// Whether the script compares its second argument with an operation, or with something much like one.
pub(crate) fn of_operations(script: &Script<'_>) -> bool {
    let is_one = |text: &str| {
        EVENTS.iter().any(|event| event.operation == text)
            || (text.len() > 5 && operations::typo(text, script.setting.all).is_some())
    };
    script.nodes.iter().any(|node| match node.kind() {
        "comparison_operator" => guards::compared(script, *node)
            .is_some_and(|found| found.argument == 2 && found.texts.iter().any(|(text, _)| is_one(text))),
        "case_clause" => subject(script, *node) == Some(Role::Argument(2)),
        _ => false,
    })
}

fn subject(script: &Script<'_>, clause: Node<'_>) -> Option<Role> {
    let subject = clause.parent()?.parent()?.child_by_field_name("subject")?;
    script.roles.role(script.text, subject)
}

fn one(script: &Script<'_>, node: Node<'_>, found: &Compared<'_>, findings: &mut Findings<'_>) {
    let backed = found
        .texts
        .iter()
        .any(|(text, _)| EVENTS.iter().any(|event| event.operation == text));
    for (text, place) in &found.texts {
        let remark = match found.argument {
            2 => operation(script, text),
            3 => sub(script, node, text),
            4 => reason(script, node, text),
            _ => None,
        };
        if let Some(mut remark) = remark {
            if backed && found.argument == 2 && found.texts.len() > 1 {
                remark = remark.level(Level::Note);
            }
            findings.at(script.span(*place), remark);
        }
    }
}

/// An operation that does not exist, or not for this driver.
fn operation(script: &Script<'_>, text: &str) -> Option<Remark> {
    let all = script.setting.all;
    if text.is_empty() || all.iter().any(|(_, event)| event.operation == text) {
        return None;
    }
    if let Some((old, new)) = OLD.iter().find(|(old, _)| *old == text) {
        return Some(Remark::new(
            "FH204",
            format!("`{old}` is what libvirt before 5.0 called; now it is `{new}`"),
        ));
    }
    let foreign = EVENTS.iter().find(|event| event.operation == text);
    if let Some(event) = foreign.filter(|_| !script.setting.is_daemons_only(text)) {
        let driver = script.setting.driver?;
        let message = format!(
            "`{text}` is an operation of {} hooks; a {} hook never gets it",
            event.driver.name(),
            driver.name()
        );
        return Some(Remark::new("FH202", message));
    }
    let remark = Remark::new(
        "FH201",
        format!("no hook is ever called with the operation `{text}`"),
    );
    Some(match operations::suggest(text, all) {
        Some(meant) => remark.fix(format!("did you mean `{meant}`?")),
        None => remark.fix(format!("the operations are: {}", all.names())),
    })
}

fn sub(script: &Script<'_>, node: Node<'_>, text: &str) -> Option<Remark> {
    let calls = at(script, node);
    if text.is_empty() || calls.is_empty() || calls.iter().any(|(_, event)| event.sub == text) {
        return None;
    }
    Some(Remark::new(
        "FH203",
        format!("`{text}` is not the sub-operation of: {}", calls.names()),
    ))
}

/// The calls for which a comparison is made, also on the right of `and`.
fn at(script: &Script<'_>, node: Node<'_>) -> Calls {
    let calls = guards::leading_to(script, node, 0);
    let Some(parent) = node.parent().filter(|parent| parent.kind() == "boolean_operator") else {
        return calls;
    };
    let both = parent
        .child_by_field_name("operator")
        .is_some_and(|op| op.kind() == "and");
    let left = parent
        .child_by_field_name("left")
        .filter(|left| both && left.id() != node.id());
    left.map_or(calls, |left| guards::split(script, left, calls, 0).yes)
}

fn reason(script: &Script<'_>, node: Node<'_>, text: &str) -> Option<Remark> {
    let calls = at(script, node);
    let release = Calls::which(|event| event.operation == "release");
    if text == "-" && !calls.is_empty() && calls.without(release).is_empty() {
        return Some(Remark::new(
            "FH205",
            "the fourth argument of `release` is a reason, not `-`",
        ));
    }
    let known = text == "-" || text.is_empty() || EVENTS.iter().any(|event| event.extras.contains(&text));
    let all = format!("the reasons are: {}", REASONS.join(", "));
    (!known).then(|| {
        Remark::new(
            "FH206",
            format!("`{text}` is no reason that `release` is called with"),
        )
        .fix(all)
    })
}

/// `sys.argv[5]`
fn fifth(script: &Script<'_>, node: Node<'_>, findings: &mut Findings<'_>) {
    if let Some(Role::Argument(number)) = script.roles.role(script.text, node)
        && number > 4
    {
        let message = format!("a hook has four arguments; argument {number} raises an IndexError");
        findings.at(script.span(node), Remark::new("FH207", message));
    }
}

/// `match operation: case "prepare":`
fn matched(script: &Script<'_>, node: Node<'_>, findings: &mut Findings<'_>) {
    if subject(script, node) != Some(Role::Argument(2)) {
        return;
    }
    let mut cursor = node.walk();
    let patterns: Vec<Node<'_>> = node
        .named_children(&mut cursor)
        .filter(|child| child.kind() == "case_pattern")
        .collect();
    for pattern in patterns {
        let inner = pattern.named_child(0).unwrap_or(pattern);
        let mut cursor = inner.walk();
        let strings: Vec<Node<'_>> = if inner.kind() == "string" {
            vec![inner]
        } else {
            inner
                .named_children(&mut cursor)
                .filter(|child| child.kind() == "string")
                .collect()
        };
        for string in strings {
            if let Some(remark) = script.literal(string).and_then(|text| operation(script, &text)) {
                findings.at(script.span(string), remark);
            }
        }
    }
}

/// `else: sys.exit(1)` after comparisons of the operation.
fn otherwise(script: &Script<'_>, node: Node<'_>, findings: &mut Findings<'_>) {
    let (Some(parent), Some(body)) = (node.parent(), node.child_by_field_name("body")) else {
        return;
    };
    if parent.kind() != "if_statement" {
        return;
    }
    let mut cursor = parent.walk();
    let conditions = parent
        .named_children(&mut cursor)
        .filter(|child| child.kind() == "elif_clause")
        .filter_map(|child| child.child_by_field_name("condition"))
        .chain(parent.child_by_field_name("condition"));
    let all = script.setting.calls;
    let splits: Vec<guards::Split> = conditions
        .map(|condition| guards::split(script, condition, all, 0))
        .collect();
    if !splits.iter().all(|split| split.pure) {
        return;
    }
    let stopped = guards::leading_to(script, body, 0).aborting();
    let Some(exit) = failing_exit(script, body).filter(|_| !stopped.is_empty()) else {
        return;
    };
    let remark = if splits.iter().any(|split| split.named) {
        Remark::new(
            "FH302",
            format!("the hook fails for every other name, in: {}", stopped.names()),
        )
    } else {
        Remark::new(
            "FH301",
            format!(
                "the hook fails for operations that it does not know: {}",
                stopped.names()
            ),
        )
    };
    findings.at(script.span(exit), remark);
}

/// `if name != "x": sys.exit(1)`
fn other_names(script: &Script<'_>, node: Node<'_>, findings: &mut Findings<'_>) {
    let (Some(condition), Some(body)) = (
        node.child_by_field_name("condition"),
        node.child_by_field_name("consequence"),
    ) else {
        return;
    };
    if condition.kind() != "comparison_operator" {
        return;
    }
    let Some(found) = guards::compared(script, condition).filter(|found| found.negated) else {
        return;
    };
    let stopped = guards::leading_to(script, body, 0).aborting();
    let Some(exit) = failing_exit(script, body).filter(|_| !stopped.is_empty()) else {
        return;
    };
    let code = match found.argument {
        1 => "FH302",
        2 => "FH301",
        _ => return,
    };
    findings.at(
        script.span(exit),
        Remark::new(
            code,
            format!("the hook fails for all others, in: {}", stopped.names()),
        ),
    );
}

/// The statement of a block that ends the script with a failure.
pub(crate) fn failing_exit<'t>(script: &Script<'t>, body: Node<'t>) -> Option<Node<'t>> {
    let mut cursor = body.walk();
    body.named_children(&mut cursor).find(|statement| {
        let text = script.of(*statement);
        let argument = ["sys.exit(", "exit(", "os._exit("]
            .iter()
            .find_map(|call| text.strip_prefix(call));
        argument.is_some_and(|rest| {
            let inner = rest.trim_end_matches(')').trim();
            inner.parse::<i64>().is_ok_and(|n| n != 0)
                || inner.starts_with(['"', '\''])
                || inner.starts_with("f\"")
        })
    })
}
