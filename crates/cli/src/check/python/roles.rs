//! Which variables hold which of the hook's arguments.

use std::collections::HashMap;

use tree_sitter::Node;

/// What an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `sys.argv`, cut off at the front by this many.
    List(usize),
    /// One argument, 1 to 4 or beyond.
    Argument(usize),
}

/// The roles of all variables, by function (0 for none) and name. `None`: several.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    variables: HashMap<(usize, String), Option<Role>>,
    /// Whether the script looks at its arguments at all.
    pub(crate) uses_arguments: bool,
    imported: bool,
}

/// How often assignments are gone through; arguments reach functions that are defined before they are called.
const ROUNDS: usize = 3;

impl Roles {
    /// Goes through all assignments and calls.
    pub(crate) fn read(text: &str, nodes: &[Node<'_>]) -> Roles {
        let mut roles = Roles {
            variables: HashMap::new(),
            uses_arguments: text.contains("argv"),
            imported: text.contains("from sys import argv") || text.contains("from sys import exit, argv"),
        };
        let mut functions: HashMap<&str, Node<'_>> = HashMap::new();
        for node in nodes.iter().filter(|node| node.kind() == "function_definition") {
            if let Some(name) = node.child_by_field_name("name") {
                functions.insert(text.get(name.byte_range()).unwrap_or(""), *node);
            }
        }
        for _ in 0..ROUNDS {
            let mut next = HashMap::new();
            for node in nodes {
                match node.kind() {
                    "assignment" => roles.assignment(text, *node, &mut next),
                    "call" => roles.call(text, *node, &functions, &mut next),
                    _ => {}
                }
            }
            roles.variables = next;
        }
        roles
    }

    fn assignment(&self, text: &str, node: Node<'_>, into: &mut HashMap<(usize, String), Option<Role>>) {
        let (Some(left), Some(right)) = (
            node.child_by_field_name("left"),
            node.child_by_field_name("right"),
        ) else {
            return;
        };
        let scope = scope(node);
        if left.kind() == "identifier" {
            note(into, scope, name(text, left), self.role(text, right));
            return;
        }
        if !["pattern_list", "tuple_pattern"].contains(&left.kind()) {
            return;
        }
        let mut cursor = left.walk();
        for (i, target) in left.named_children(&mut cursor).enumerate() {
            let role = match self.role(text, right) {
                Some(Role::List(first)) => Some(argument(first + i)),
                _ => element(right, i).and_then(|node| self.role(text, node)),
            };
            if target.kind() == "identifier" {
                note(into, scope, name(text, target), role);
            }
        }
    }

    fn call(
        &self,
        text: &str,
        node: Node<'_>,
        functions: &HashMap<&str, Node<'_>>,
        into: &mut HashMap<(usize, String), Option<Role>>,
    ) {
        let (Some(called), Some(arguments)) = (
            node.child_by_field_name("function"),
            node.child_by_field_name("arguments"),
        ) else {
            return;
        };
        let Some(function) = functions.get(last(text.get(called.byte_range()).unwrap_or(""))) else {
            return;
        };
        let Some(parameters) = function.child_by_field_name("parameters") else {
            return;
        };
        let mut spread = Vec::new();
        let mut cursor = arguments.walk();
        for given in arguments.named_children(&mut cursor) {
            match (given.kind(), self.role(text, given)) {
                ("list_splat", _) => {
                    let inner = given.named_child(0).and_then(|inner| self.role(text, inner));
                    if let Some(Role::List(first)) = inner {
                        spread.extend((first.max(1)..=4).map(|n| Some(Role::Argument(n))));
                    }
                }
                ("keyword_argument", _) => {}
                (_, role) => spread.push(role),
            }
        }
        let mut cursor = parameters.walk();
        let own = parameters
            .named_children(&mut cursor)
            .filter(|p| !["self", "cls"].contains(&name(text, *p).as_str()));
        for (parameter, role) in own.zip(spread) {
            let own = parameter.child_by_field_name("name").unwrap_or(parameter);
            note(into, function.id(), name(text, own), role);
        }
    }

    /// What an expression is, if it is an argument or all of them.
    pub(crate) fn role(&self, text: &str, node: Node<'_>) -> Option<Role> {
        let mut node = node;
        for _ in 0..6 {
            match node.kind() {
                "parenthesized_expression" => node = node.named_child(0)?,
                "identifier" => {
                    let name = name(text, node);
                    if name == "argv" && self.imported {
                        return Some(Role::List(0));
                    }
                    let own = self.variables.get(&(scope(node), name.clone()));
                    return *own.or_else(|| self.variables.get(&(0, name)))?;
                }
                "attribute" => return (text.get(node.byte_range())? == "sys.argv").then_some(Role::List(0)),
                "subscript" => return self.subscript(text, node),
                "call" => node = unchanged(text, node)?,
                _ => return None,
            }
        }
        None
    }

    fn subscript(&self, text: &str, node: Node<'_>) -> Option<Role> {
        let Some(Role::List(first)) = self.role(text, node.child_by_field_name("value")?) else {
            return None;
        };
        let index = node.child_by_field_name("subscript")?;
        if index.kind() == "slice" {
            let start = index
                .named_child(0)
                .map_or("0", |start| text.get(start.byte_range()).unwrap_or("0"));
            let from_start = text.get(index.byte_range())?.starts_with(start);
            return Some(Role::List(
                first + if from_start { start.parse().ok()? } else { 0 },
            ));
        }
        let number: usize = text.get(index.byte_range())?.parse().ok()?;
        Some(argument(first + number))
    }
}

/// `str(x)`, `x.strip()`, `x.lower()`: the same argument.
fn unchanged<'t>(text: &str, node: Node<'t>) -> Option<Node<'t>> {
    let function = node.child_by_field_name("function")?;
    if text.get(function.byte_range())? == "str" {
        return node.child_by_field_name("arguments")?.named_child(0);
    }
    let attribute = function.child_by_field_name("attribute")?;
    let method = text.get(attribute.byte_range())?;
    ["strip", "lower", "rstrip"]
        .contains(&method)
        .then(|| function.child_by_field_name("object"))?
}

fn argument(number: usize) -> Role {
    Role::Argument(number)
}

fn element(node: Node<'_>, i: usize) -> Option<Node<'_>> {
    ["expression_list", "tuple", "list"]
        .contains(&node.kind())
        .then(|| node.named_child(i))?
}

fn name(text: &str, node: Node<'_>) -> String {
    text.get(node.byte_range()).unwrap_or("").to_owned()
}

/// The function that a node lies in; 0 for none.
pub(crate) fn scope(node: Node<'_>) -> usize {
    let mut up = node.parent();
    for _ in 0..super::HIGHEST {
        match up {
            Some(parent) if parent.kind() == "function_definition" => return parent.id(),
            Some(parent) => up = parent.parent(),
            None => return 0,
        }
    }
    0
}

fn note(into: &mut HashMap<(usize, String), Option<Role>>, scope: usize, name: String, role: Option<Role>) {
    into.entry((scope, name))
        .and_modify(|known| *known = if *known == role { role } else { None })
        .or_insert(role);
}

/// The name of what is called, without the object that it belongs to.
pub(crate) fn last(called: &str) -> &str {
    called.rsplit('.').next().unwrap_or(called)
}
