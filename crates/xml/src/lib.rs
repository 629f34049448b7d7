//! XML as a mechanism: tree with positions, cursor that notices what nobody claimed, libvirt's formatting, derive.

mod cursor;
mod element;
mod error;
mod escape;
mod form;
mod rest;
mod tree;
pub mod values;
mod writer;

pub use cursor::{Cursor, Parse};
pub use element::{Choice, Element, not_one_of, parse};
pub use error::{Parsed, Unknown, UnknownPolicy, XmlError};
pub use ferrovirt_xml_derive::Xml;
pub use form::Form;
pub use rest::Rest;
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

/// Writes a document with this root element; it ends with a newline.
pub fn to_string<T: Element>(root: &str, value: &T, form: &Form) -> String {
    let mut writer = Writer::new(*form);
    writer.element(root, value);
    writer.finish()
}
