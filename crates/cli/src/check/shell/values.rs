//! What is known of a word's value: text, one of the hook's arguments, or anything.

use crate::check::operations::Event;
use crate::check::shell::globs::Glyph;

/// A part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Known text.
    Text(String),
    /// Argument 1 to 4 of the hook, as it was passed.
    Argument(u8),
    /// Something else; `named` when the object's name may be in it.
    Any { named: bool },
}

/// What is known of a word or a variable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Value(pub(crate) Vec<Part>);

impl Value {
    /// A value that nothing is known of.
    pub(crate) fn any(named: bool) -> Value {
        Value(vec![Part::Any { named }])
    }

    /// One of the hook's arguments.
    pub(crate) fn argument(number: u8) -> Value {
        Value(vec![Part::Argument(number)])
    }

    /// Known text.
    pub(crate) fn text(text: impl Into<String>) -> Value {
        Value(vec![Part::Text(text.into())])
    }

    /// All four arguments with blanks between.
    pub(crate) fn all_arguments() -> Value {
        let mut parts = Vec::new();
        for number in 1..=4 {
            if number > 1 {
                parts.push(Part::Text(" ".to_owned()));
            }
            parts.push(Part::Argument(number));
        }
        Value(parts)
    }

    /// Whether the object's name may be in it.
    pub(crate) fn is_named(&self) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, Part::Argument(1) | Part::Any { named: true }))
    }

    /// Whether the argument is in it as it was passed.
    pub(crate) fn holds(&self, number: u8) -> bool {
        self.0.contains(&Part::Argument(number))
    }

    /// Whether it is this argument and nothing else.
    pub(crate) fn is_argument(&self, number: u8) -> bool {
        self.0 == [Part::Argument(number)]
    }

    /// Whether any argument is in it, so that comparing it says something about the call.
    pub(crate) fn is_about_call(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Argument(_)))
    }

    /// The text, if all of it is known.
    pub(crate) fn known(&self) -> Option<String> {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// What is left when two ways come together.
    pub(crate) fn join(&self, other: &Value) -> Value {
        if self == other {
            return self.clone();
        }
        Value::any(self.is_named() || other.is_named())
    }

    /// The value for one call, as glyphs. The name is `name`; parts that are loosened may be anything.
    pub(crate) fn glyphs(&self, event: &Event, extra: &str, name: &[Glyph], loose: &[u8]) -> Vec<Glyph> {
        let mut all = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => all.extend(text.chars().map(Glyph::Letter)),
                Part::Any { .. } => all.push(Glyph::Many),
                Part::Argument(number) if loose.contains(number) => all.push(Glyph::Many),
                Part::Argument(1) => all.extend_from_slice(name),
                Part::Argument(2) => all.extend(event.operation.chars().map(Glyph::Letter)),
                Part::Argument(3) => all.extend(event.sub.chars().map(Glyph::Letter)),
                Part::Argument(_) => all.extend(extra.chars().map(Glyph::Letter)),
            }
        }
        all
    }
}
