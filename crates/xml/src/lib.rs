//! XML as a mechanism: a tree that knows lines and columns, a cursor that notices what nobody claimed, libvirt's
//! formatting, and a derive that makes reader and writer of one declaration. What a domain is, this crate does not know.
//!
//! # One declaration per element
//! ```
//! use ferrovirt_xml::{Form, Rest, UnknownPolicy, Xml, from_str, to_string, values::yes_no};
//!
//! /// Words: unit variants in kebab case, or by `name`. Gives `FromStr`, `Display`, `as_str`, `NAMES`.
//! #[derive(Debug, Clone, Copy, PartialEq, Xml)]
//! enum Kind {
//!     Network,
//!     #[xml(name = "vhostuser")]
//!     VhostUser,
//! }
//!
//! /// An element: fields stand in the order in which they are written.
//! #[derive(Debug, PartialEq, Xml)]
//! struct Card {
//!     #[xml(attr = "type")]
//!     kind: Kind,                                   // type='network'; must be there
//!     #[xml(child = "mac", attr = "address")]
//!     mac: Option<String>,                          // <mac address='…'/>
//!     source: Option<Source>,                       // <source>, by the field's name
//!     #[xml(child = "alias", attr = "name", live)]
//!     alias: Option<String>,                        // only in the live form
//!     #[xml(flag)]
//!     readonly: bool,                               // <readonly/>
//!     #[xml(rest)]
//!     rest: Rest,                                   // what nobody knows, below this element
//! }
//!
//! #[derive(Debug, PartialEq, Xml)]
//! struct Source {
//!     #[xml(attr)]
//!     network: Option<String>,
//!     #[xml(attr, with = "yes_no", default = "true")]
//!     managed: bool,
//! }
//!
//! let text = "<card type='network'>\n  <mac adress='52:54:00:00:00:01'/>\n</card>\n";
//! let error = from_str::<Card>("card", text, UnknownPolicy::Refuse).unwrap_err();
//! assert_eq!(error.to_string(), "Missing required attribute 'address' in element 'mac' (card/mac/@address, line 2, column 3)");
//!
//! let text = "<card type='network'><source network='lan'/><alias name='net0'/><speed unit='G'>1</speed></card>";
//! let error = from_str::<Card>("card", text, UnknownPolicy::Refuse).unwrap_err();
//! assert_eq!(error.to_string(), "not supported: element 'speed', card/speed (line 1, column 65)");
//!
//! let card = from_str::<Card>("card", text, UnknownPolicy::Keep)?.value;
//! assert_eq!(to_string("card", &card, &Form::INACTIVE), "\
//! <card type='network'>
//!   <source network='lan' managed='yes'/>
//!   <speed unit='G'>1</speed>
//! </card>
//! ");
//! # Ok::<(), ferrovirt_xml::XmlError>(())
//! ```
//!
//! # What stands in `#[xml(…)]`
//! A struct is the *inside* of an element; the name belongs to the field that holds it. `T` is required, `Option<T>`
//! and `Vec<T>` (in any order among unlike siblings) are not; `Option<Box<T>>` lets an element hold itself.
//!
//! | on a field | it is |
//! |---|---|
//! | nothing, `name = "n"` | a child element: a struct, or any `FromStr + Display` as its text |
//! | `attr`, `attr = "n"` | an attribute (any `FromStr + Display`) |
//! | `child = "c", attr = "n"` | the attribute of a child that is there for its sake; also as a list |
//! | `text` | the element's text |
//! | `flag`, `flag = "n"` | a child whose presence is all that it says (`bool`) |
//! | `flatten` | another struct's attributes and children, as if they stood here |
//! | `any` | `Vec` of an enum with `#[xml(choice)]`: unlike children, their order kept |
//! | `raw` | a child as the text that it is (`Option<String>`) |
//! | `rest` | what nobody knows here and below, up to the next `rest` |
//! | `skip` | nothing of the document |
//!
//! | added | it means |
//! |---|---|
//! | `default`, `default = "expr"` | the value where the document has none (it is always written) |
//! | `with = "module"` | `module::parse` and `module::format` in place of `FromStr` and `Display`; see [`values`] |
//! | `within = "w"` | a list inside one element `<w>` |
//! | `namespace = "prefix=uri"` | the child is in a namespace, declared after the parent's attributes |
//! | `live`, `inactive`, `secret`, `local` | written only in this form (`local`: not in the migratable one); always read |
//! | `when = "path"` | written only if `fn(&Self, &Form) -> bool` says so |
//! | `shown = "path"` | what is written is what `fn(&Self, &Form) -> Option<T>` gives |
//!
//! | on a type | it is |
//! |---|---|
//! | struct; `stay_open` | an element; one that keeps its end tag when empty |
//! | enum of unit variants | a word |
//! | enum with `choice` | one of several elements, told by their names (which are the variants') |
//! | enum with `tag = "type"` | one element whose inside depends on an attribute (`<address type='pci' …/>`) |
//!
//! What is irregular implements [`Element`] by hand: `decode` asks the [`Cursor`], `attributes` and `content` speak to
//! the [`Writer`]. Nothing else changes, because the derive does no more than that.
//!
//! # Nothing is dropped
//! A part that no field claims is noticed, because the cursor counts claims: a forgotten field or a typing error in the
//! document is an [`Unknown`] with line, column and path. With [`UnknownPolicy::Refuse`] they are the error. Otherwise the
//! nearest [`Rest`] above keeps them and they are written back where they were; what no `Rest` holds is an error even then.
//! So the root has one, and each element that is moved on its own (a device).

#[cfg(test)]
extern crate self as ferrovirt_xml;

mod cursor;
mod element;
mod error;
mod escape;
mod form;
mod guard;
mod rest;
mod shape;
#[cfg(test)]
mod tests;
mod tree;
pub mod values;
mod writer;

pub use cursor::{Cursor, Parse};
pub use element::{Choice, Element, not_one_of, parse};
pub use error::{Parsed, Unknown, UnknownPolicy, XmlError, what_is};
pub use ferrovirt_xml_derive::Xml;
pub use form::Form;
pub use rest::Rest;
pub use shape::{Described, Shape};
pub use writer::Writer;

use cursor::Reading;

/// Reads a document whose root element must be called `root`.
///
/// # Errors
/// Text that is not XML or beyond the limits, another root, values that cannot be, and what is unknown: with
/// [`UnknownPolicy::Refuse`] all of it, otherwise what no [`Rest`] could keep.
pub fn from_str<T: Element>(root: &str, text: &str, policy: UnknownPolicy) -> Result<Parsed<T>, XmlError> {
    let reading = Reading::new(text, policy)?;
    let cursor = reading.root();
    if cursor.name() != root {
        let found = cursor.name();
        return Err(cursor.invalid(format!("unexpected root element <{found}>, expecting <{root}>")));
    }
    let value = cursor.read()?;
    let (kept, lost) = reading.into_unknown();
    match policy {
        UnknownPolicy::Refuse if !kept.is_empty() => Err(XmlError::Unknown(kept)),
        UnknownPolicy::Keep | UnknownPolicy::Salvage if !lost.is_empty() => Err(XmlError::Unknown(lost)),
        _ => Ok(Parsed { value, kept }),
    }
}

/// The name of a document's root element.
///
/// # Errors
/// Text that is not XML or beyond the limits.
pub fn root_name(text: &str) -> Result<String, XmlError> {
    let reading = Reading::new(text, UnknownPolicy::Refuse)?;
    Ok(reading.root().name().to_owned())
}

/// Writes a document with this root element; it ends with a newline.
pub fn to_string<T: Element>(root: &str, value: &T, form: &Form) -> String {
    let mut writer = Writer::new(*form);
    writer.element(root, value);
    writer.finish()
}
