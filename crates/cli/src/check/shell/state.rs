//! What is known at one point of a script: which calls can be meant, what variables hold, where output goes.

use std::collections::HashMap;

use crate::check::operations::Calls;
use crate::check::shell::tree::{Operation, Parameter, PieceKind, Redirect, Target, Word};
use crate::check::shell::values::{Part, Value};
use crate::check::source::Span;

/// Where a descriptor leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The hook's stdout.
    Out,
    /// The hook's stderr.
    Err,
    /// Neither.
    Elsewhere,
}

/// What an unfulfilled comparison was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The object's name.
    Name,
    /// The operation.
    Operation,
}

/// One way through the script.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    /// Whether this point is reached at all.
    pub(crate) alive: bool,
    /// The calls that can lead here.
    pub(crate) calls: Calls,
    /// The name that the object has here for certain.
    pub(crate) name: Option<Value>,
    /// Set where nothing but a comparison of arguments that failed led here.
    pub(crate) mismatch: Option<About>,
}

impl Path {
    /// What is left when two ways come together.
    pub(crate) fn join(self, other: Path) -> Path {
        match (self.alive, other.alive) {
            (true, false) => self,
            (false, _) => other,
            (true, true) => Path {
                alive: true,
                calls: self.calls.or(other.calls),
                name: known_in_both(self.name, other.name),
                mismatch: if self.mismatch == other.mismatch {
                    self.mismatch
                } else {
                    None
                },
            },
        }
    }

    /// The same way, when something else than the arguments decided.
    pub(crate) fn by_something_else(mut self) -> Path {
        self.mismatch = None;
        self
    }
}

/// One of two names that are written out is still none that anybody else chose.
fn known_in_both(one: Option<Value>, other: Option<Value>) -> Option<Value> {
    let (one, other) = (one?, other?);
    Some(if one == other { one } else { Value::any(false) })
}

/// Everything that is known at one point.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The way here.
    pub(crate) path: Path,
    /// What variables hold.
    pub(crate) variables: HashMap<String, Value>,
    /// What `$1`, `$2`, … are; `None` when nobody knows.
    pub(crate) arguments: Option<Vec<Value>>,
    /// Where descriptor 1 leads.
    pub(crate) out: Stream,
    /// Where descriptor 2 leads.
    pub(crate) err: Stream,
    /// Whether `exec` moved descriptor 1 away for good.
    pub(crate) moved: bool,
    /// Whether descriptor 0 is the document.
    pub(crate) document: bool,
    /// Who has read the document to its end.
    pub(crate) read: Option<Span>,
    /// `set -e`
    pub(crate) errexit: bool,
    /// `set -o pipefail`
    pub(crate) pipefail: bool,
    /// Whether this runs beside the script (`&`).
    pub(crate) beside: bool,
    /// Whether this may be run more or less than once.
    pub(crate) uncertain: bool,
    /// Whether the script fails at the end of this block anyway.
    pub(crate) doomed: bool,
    /// In how many functions.
    pub(crate) depth: usize,
}

impl State {
    /// The beginning of a script.
    pub(crate) fn new(calls: Calls) -> State {
        State {
            path: Path {
                alive: true,
                calls,
                name: None,
                mismatch: None,
            },
            variables: HashMap::new(),
            arguments: Some((1..=4).map(Value::argument).collect()),
            out: Stream::Out,
            err: Stream::Err,
            moved: false,
            document: true,
            read: None,
            errexit: false,
            pipefail: false,
            beside: false,
            uncertain: false,
            doomed: false,
            depth: 0,
        }
    }

    /// Takes over what another way through a condition found.
    pub(crate) fn join(&mut self, other: State) {
        if !other.path.alive {
            return;
        }
        if !self.path.alive {
            *self = other;
            return;
        }
        for (name, value) in other.variables {
            match self.variables.get_mut(&name) {
                Some(own) => *own = own.join(&value),
                None => {
                    self.variables.insert(name, value);
                }
            }
        }
        if self.arguments != other.arguments {
            self.arguments = None;
        }
        self.path = self.path.clone().join(other.path);
        self.read = self.read.or(other.read);
        if self.out != other.out {
            self.out = Stream::Elsewhere;
        }
        if self.err != other.err {
            self.err = Stream::Elsewhere;
        }
        self.errexit &= other.errexit;
        self.pipefail |= other.pipefail;
    }

    /// What a word is.
    pub(crate) fn value(&self, word: &Word) -> Value {
        let mut parts: Vec<Part> = Vec::new();
        for piece in &word.pieces {
            match &piece.kind {
                PieceKind::Text(text) | PieceKind::Ansi(text) => match parts.last_mut() {
                    Some(Part::Text(before)) => before.push_str(text),
                    _ if text.is_empty() => {}
                    _ => parts.push(Part::Text(text.clone())),
                },
                PieceKind::Parameter(parameter) => parts.extend(self.parameter(parameter).0),
                _ => parts.push(Part::Any { named: false }),
            }
        }
        Value(parts)
    }

    /// What a parameter is.
    pub(crate) fn parameter(&self, parameter: &Parameter) -> Value {
        let plain = self.plain(&parameter.name, parameter.indexed);
        match parameter.operation {
            Operation::Plain => plain,
            Operation::Default if plain.is_about_call() => plain,
            Operation::Letters if parameter.argument.as_deref() == Some(",") && !plain.holds(1) => plain,
            Operation::Length | Operation::Alternative => Value::any(false),
            _ => Value::any(plain.is_named()),
        }
    }

    fn plain(&self, name: &str, indexed: bool) -> Value {
        if name == "@" || name == "*" {
            let Some(arguments) = &self.arguments else {
                return Value::any(false);
            };
            if *arguments == (1..=4).map(Value::argument).collect::<Vec<_>>() {
                return Value::all_arguments();
            }
            return Value::any(arguments.iter().any(Value::is_named));
        }
        if let Ok(number) = name.parse::<usize>() {
            let known = self
                .arguments
                .as_ref()
                .and_then(|all| all.get(number.checked_sub(1)?));
            return known.cloned().unwrap_or_else(|| Value::any(false));
        }
        let known = self
            .variables
            .get(name)
            .cloned()
            .unwrap_or_else(|| Value::any(false));
        if indexed {
            Value::any(known.is_named())
        } else {
            known
        }
    }

    /// The text of a variable that holds known text.
    pub(crate) fn known(&self, name: &str) -> Option<String> {
        self.plain(name, false).known()
    }

    /// Sets a variable.
    pub(crate) fn assign(&mut self, name: &str, value: Value) {
        let value = match self.variables.get(name) {
            Some(before) if self.uncertain && before.known().is_none_or(|text| !text.is_empty()) => {
                before.join(&value)
            }
            _ => value,
        };
        self.variables.insert(name.to_owned(), value);
    }

    /// Where descriptors lead after redirects.
    pub(crate) fn redirect(&mut self, redirects: &[Redirect]) {
        for redirect in redirects {
            let stream = match &redirect.target {
                Target::Same(1) => self.out,
                Target::Same(2) => self.err,
                _ => Stream::Elsewhere,
            };
            match redirect.descriptor {
                None => (self.out, self.err) = (stream, stream),
                Some(0) => self.document &= matches!(redirect.target, Target::Same(0)),
                Some(1) => self.out = stream,
                Some(2) => self.err = stream,
                Some(_) => {}
            }
        }
    }
}
