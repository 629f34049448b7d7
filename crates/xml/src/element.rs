//! The traits that `#[derive(Xml)]` implements. What is irregular implements them by hand.

use crate::cursor::Cursor;
use crate::error::XmlError;
use crate::shape::Shape;
use crate::writer::Writer;
use std::fmt::Display;
use std::str::FromStr;

/// The inside of one element: attributes, text, children. The name belongs to the field that holds it.
pub trait Element: Sized {
    /// Reads it, claiming from `cursor` whatever it understands.
    ///
    /// # Errors
    /// Missing parts and values that cannot be, with their position.
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError>;

    /// Writes the attributes.
    fn attributes(&self, out: &mut Writer);

    /// Writes text and children.
    fn content(&self, out: &mut Writer);

    /// Says what can be in it.
    fn shape(shape: &mut Shape);

    /// Does the element count as not there? True for `<title/>`, whose content is a bare value.
    fn is_absent(_cursor: &Cursor<'_>) -> bool {
        false
    }

    /// Is there nothing to write? The counterpart of [`Element::is_absent`].
    fn is_blank(&self) -> bool {
        false
    }
}

/// An element that holds nothing but a value: `<name>web1</name>`.
impl<T> Element for T
where
    T: FromStr + Display,
    T::Err: Display,
{
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        cursor.text_value(parse)
    }

    fn attributes(&self, _out: &mut Writer) {}

    fn content(&self, out: &mut Writer) {
        out.text(self);
    }

    fn shape(shape: &mut Shape) {
        shape.text();
    }

    fn is_absent(cursor: &Cursor<'_>) -> bool {
        !cursor.has_text()
    }

    fn is_blank(&self) -> bool {
        self.to_string().is_empty()
    }
}

/// One of several elements of different names, in a list that keeps their order.
pub trait Choice: Sized {
    /// The names.
    const NAMES: &'static [&'static str];

    /// Reads the element of this name; `None` if it is not one of [`Choice::NAMES`].
    fn decode(name: &str, cursor: Cursor<'_>) -> Option<Result<Self, XmlError>>;

    /// Writes the whole element.
    fn encode(&self, out: &mut Writer);

    /// Says what each of them can hold.
    fn shape(shape: &mut Shape);
}

/// Reads a value of any type with [`FromStr`]. Blanks around it are forgiven where the type cannot hold them.
///
/// # Errors
/// The type's own error, as text.
pub fn parse<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: Display,
{
    text.parse()
        .or_else(|error: T::Err| text.trim().parse().map_err(|_| error.to_string()))
}

/// What `#[derive(Xml)]` says about a word that an enum does not have.
pub fn not_one_of(names: &[&str]) -> String {
    format!("must be one of {}", names.join(", "))
}
