//! Escapes as libvirt writes them, and two of our own where libvirt's output would not read back as it was.

/// Where text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Between tags.
    Text,
    /// In a value: line ends and tabs would come back as blanks, so they are written as references.
    Attribute,
}

/// Adds `text`, escaped. Characters that XML cannot carry at all are left out, as libvirt does.
pub(crate) fn escape(out: &mut String, text: &str, place: Place) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' if place == Place::Attribute => out.push_str("&#10;"),
            '\t' if place == Place::Attribute => out.push_str("&#9;"),
            '\n' | '\t' => out.push(c),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {}
            other => out.push(other),
        }
    }
}
