//! Title, description and the elements that other programs keep in `<metadata>`.

use ferrovirt_model::domain::Domain;

use crate::error::{BackendError, Error, Result};
use crate::flags::Metadata;

/// Changes the document.
///
/// # Errors
/// `Xml` for a title of several lines, or for an element that is none.
pub(crate) fn apply(doc: &mut Domain, change: &Metadata) -> Result<()> {
    match change {
        Metadata::Title(title) => {
            if title.as_ref().is_some_and(|t| t.contains('\n')) {
                return Err(Error::Xml("Domain title can't contain newlines".to_owned()));
            }
            doc.title = title.clone().filter(|t| !t.is_empty());
        }
        Metadata::Description(text) => doc.description = text.clone().filter(|t| !t.is_empty()),
        Metadata::Element { uri, key, xml } => {
            doc.metadata = set_element(doc.metadata.as_deref(), uri, key, xml.as_deref())?;
        }
    }
    Ok(())
}

/// Whether all that stands in `<metadata>` can be found again: each program has one element, told by its namespace. libvirt
/// drops the others without a word.
///
/// # Errors
/// `Unsupported`, with the first one that cannot.
pub(crate) fn check(doc: &Domain) -> Result<()> {
    let Some(text) = doc.metadata.as_deref() else {
        return Ok(());
    };
    let bad = |e: roxmltree::Error| Error::Xml(format!("metadata cannot be read: {e}"));
    let refused = |what: String| {
        Error::from(BackendError::Unsupported(format!(
            "not supported: {what}, domain/metadata"
        )))
    };
    let tree = roxmltree::Document::parse(text).map_err(bad)?;
    let mut seen = Vec::new();
    for child in tree.root_element().children() {
        let name = child.tag_name();
        match name.namespace() {
            Some(uri) if seen.contains(&uri) => {
                let what = format!("element '{}', a second one of namespace '{uri}'", name.name());
                return Err(refused(what));
            }
            Some(uri) => seen.push(uri),
            None if child.is_element() => {
                return Err(refused(format!("element '{}' without a namespace", name.name())));
            }
            None if child
                .text()
                .is_some_and(|text| child.is_text() && !text.trim().is_empty()) =>
            {
                return Err(refused("text".to_owned()));
            }
            None => {}
        }
    }
    Ok(())
}

/// The content of `<metadata>` with the element of one namespace replaced, added or removed.
fn set_element(old: Option<&str>, uri: &str, key: &str, xml: Option<&str>) -> Result<Option<String>> {
    let mut inner = String::new();
    let text = old.unwrap_or("<metadata/>");
    let bad = |e: roxmltree::Error| Error::Xml(format!("metadata cannot be read: {e}"));
    let tree = roxmltree::Document::parse(text).map_err(bad)?;
    for child in tree.root_element().children().filter(|n| n.is_element()) {
        if child.tag_name().namespace() != Some(uri) {
            inner += "    ";
            inner += &text[child.range()];
            inner += "\n";
        }
    }
    if let Some(xml) = xml {
        inner += "    ";
        inner += &in_namespace(xml, uri, key)?;
        inner += "\n";
    }
    Ok((!inner.is_empty()).then(|| format!("<metadata>\n{inner}  </metadata>")))
}

/// `<a b='c'>...</a>` as `<key:a xmlns:key="uri" b='c'>...</key:a>`.
fn in_namespace(xml: &str, uri: &str, key: &str) -> Result<String> {
    let bad = |e: String| Error::Xml(format!("invalid metadata: {e}"));
    let tree = roxmltree::Document::parse(xml).map_err(|e| bad(e.to_string()))?;
    let root = tree.root_element();
    let element = &xml[root.range()];
    let name = root.tag_name().name();
    let rest = element.strip_prefix('<').and_then(|e| e.strip_prefix(name));
    let rest = rest.ok_or_else(|| bad(format!("<{name}> must not have a prefix of its own")))?;
    let uri = uri
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    let rest = match rest
        .strip_suffix('>')
        .map(str::trim_end)
        .and_then(|r| r.strip_suffix(name))
    {
        Some(body) if body.ends_with("</") => format!("{body}{key}:{name}>"),
        _ => rest.to_owned(),
    };
    Ok(format!("<{key}:{name} xmlns:{key}=\"{uri}\"{rest}"))
}
