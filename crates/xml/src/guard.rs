//! A look at the raw text before the parser sees it. Parsers spend quadratic time on some well-formed texts (very many
//! attributes on one element, namespaces declared again and again, endless nesting); a service that reads documents of
//! strangers refuses those by their shape, in one pass.

use crate::error::XmlError;

/// Deepest nesting of elements.
const DEPTH_LIMIT: usize = 256;
/// Most attributes of one element.
const ATTRIBUTE_LIMIT: usize = 256;
/// Most namespace declarations in a document.
const NAMESPACE_LIMIT: usize = 256;

/// Refuses a text beyond the limits. A text that is not well-formed may pass: the parser tells what is wrong with it.
pub(crate) fn check(text: &str, position: impl Fn(usize) -> (u32, u32)) -> Result<(), XmlError> {
    let refuse = |offset: usize, text: String| {
        let (line, col) = position(offset);
        Err(XmlError::Malformed { line, col, text })
    };
    if let Some((offset, _)) = text.match_indices("xmlns").nth(NAMESPACE_LIMIT) {
        return refuse(
            offset,
            format!("more than {NAMESPACE_LIMIT} namespace declarations"),
        );
    }
    let (mut offset, mut depth) = (0, 0usize);
    while let Some(found) = text[offset..].find('<') {
        let start = offset + found;
        let tag = Tag::at(&text[start..]);
        match tag.kind {
            TagKind::Start => depth += 1,
            TagKind::End => depth = depth.saturating_sub(1),
            TagKind::Other => {}
        }
        if depth > DEPTH_LIMIT {
            return refuse(
                start,
                format!("elements are nested deeper than {DEPTH_LIMIT} levels"),
            );
        }
        if tag.attributes > ATTRIBUTE_LIMIT {
            return refuse(
                start,
                format!("an element with more than {ATTRIBUTE_LIMIT} attributes"),
            );
        }
        offset = start + tag.len;
    }
    Ok(())
}

enum TagKind {
    Start,
    End,
    /// An empty element, a comment, a section, an instruction.
    Other,
}

/// One piece of markup, from `<` to its end.
struct Tag {
    kind: TagKind,
    len: usize,
    attributes: usize,
}

impl Tag {
    fn at(text: &str) -> Self {
        for (open, close) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")] {
            if let Some(inside) = text.strip_prefix(open) {
                let len = inside
                    .find(close)
                    .map_or(text.len(), |end| open.len() + end + close.len());
                return Self {
                    kind: TagKind::Other,
                    len,
                    attributes: 0,
                };
            }
        }
        let (mut quote, mut attributes, mut last) = (None, 0, b'<');
        let mut len = text.len();
        for (at, byte) in text.bytes().enumerate() {
            match (quote, byte) {
                (Some(open), _) if open == byte => quote = None,
                (Some(_), _) => continue,
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b'=') => attributes += 1,
                (None, b'>') => {
                    len = at + 1;
                    break;
                }
                _ => {}
            }
            last = byte;
        }
        let kind = match last {
            _ if text.starts_with("</") => TagKind::End,
            b'/' => TagKind::Other,
            _ => TagKind::Start,
        };
        Self {
            kind,
            len,
            attributes,
        }
    }
}
