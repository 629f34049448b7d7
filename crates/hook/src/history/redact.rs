//! Passwords are taken out of what the history keeps.
//!
//! What scripts get and print is XML, or pieces of it between other text, possibly cut anywhere. So this reads tags and
//! attributes where it finds them, not documents, and changes nothing but the secret itself.

use std::borrow::Cow;
use std::ops::Range;

/// What stands in the place of a secret.
const INSTEAD: &[u8] = b"***";

/// Attributes whose value is a secret, in any element.
const ATTRIBUTES: &[&[u8]] = &[b"passwd", b"password", b"passphrase"];

/// Elements whose whole content is a secret.
const ELEMENTS: &[&[u8]] = &[b"passwd", b"password", b"passphrase"];

/// In here the text and every `<value>` is a secret.
const SECRET: &[u8] = b"secret";

/// How often a text is read again after a change: a change may balance quotes that did not match before. Two readings
/// are enough for anything that is nearly XML.
const READINGS: usize = 16;

/// The text without passwords: values of attributes `passwd`, `password`, `passphrase`, the content of elements with
/// these names, and text and `<value>` in `<secret>`. Each becomes `***`; everything else stays byte for byte.
pub fn redact(text: &str) -> Cow<'_, str> {
    match redact_bytes(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // Only whole pieces between ASCII characters were replaced: nothing gets lost here.
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
    }
}

/// The same for what a script printed, which may be no text at all.
pub(super) fn redact_bytes(text: &[u8]) -> Cow<'_, [u8]> {
    let mut current = Cow::Borrowed(text);
    for _ in 0..READINGS {
        match Scan::new(&current).run() {
            Some(changed) => current = Cow::Owned(changed),
            None => break,
        }
    }
    current
}

/// One reading of a text.
struct Scan<'a> {
    text: &'a [u8],
    out: Vec<u8>,
    /// Up to here `out` has everything.
    copied: usize,
    /// How many elements are open since `<secret>`, itself included; 0 outside.
    depth: usize,
    /// Names of elements that were found to have no end tag any more, so that it is looked for once only.
    endless: Vec<&'a [u8]>,
}

/// What kind of tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Start,
    End,
    Empty,
}

/// A tag from `<` to `>`.
struct Tag<'a> {
    kind: Kind,
    /// Without its prefix.
    name: &'a [u8],
    /// Where its attributes are.
    attributes: Range<usize>,
    /// Behind its `>`.
    end: usize,
}

impl<'a> Scan<'a> {
    fn new(text: &'a [u8]) -> Scan<'a> {
        Scan {
            text,
            out: Vec::new(),
            copied: 0,
            depth: 0,
            endless: Vec::new(),
        }
    }

    /// The changed text, if there was a secret.
    fn run(mut self) -> Option<Vec<u8>> {
        let mut at = 0;
        while let Some(&byte) = self.text.get(at) {
            at = match byte {
                b'<' => match tag(self.text, at) {
                    Some(tag) => self.tag(&tag),
                    None => at + 1,
                },
                b'p' | b'P' => self.loose_attribute(at),
                _ => at + 1,
            };
        }
        if self.copied == 0 {
            return None;
        }
        self.out.extend_from_slice(&self.text[self.copied..]);
        Some(self.out)
    }

    /// Takes a secret out, if there is one.
    fn hide(&mut self, secret: Range<usize>) {
        let found = &self.text[secret.clone()];
        if !found.trim_ascii().is_empty() && found != INSTEAD {
            self.out.extend_from_slice(&self.text[self.copied..secret.start]);
            self.out.extend_from_slice(INSTEAD);
            self.copied = secret.end;
        }
    }

    /// Deals with a tag and the content that it guards; gives where to go on.
    fn tag(&mut self, tag: &Tag<'a>) -> usize {
        for value in attributes(self.text, tag.attributes.clone()) {
            self.hide(value);
        }
        let inside = self.depth > 0;
        match tag.kind {
            Kind::Empty => {}
            Kind::End => self.depth = self.depth.saturating_sub(1),
            Kind::Start
                if is_one_of(tag.name, ELEMENTS) || inside && tag.name.eq_ignore_ascii_case(b"value") =>
            {
                let end = self.content_end(tag);
                self.hide(tag.end..end);
                // The end tag is read next and counts for this one.
                self.depth += usize::from(inside);
                return end;
            }
            Kind::Start => {
                if inside || tag.name.eq_ignore_ascii_case(SECRET) {
                    self.depth += 1;
                }
            }
        }
        if self.depth == 1 {
            let end = until(self.text, tag.end, b"<");
            self.hide(tag.end..end);
            return end;
        }
        tag.end
    }

    /// Where the content of an element ends: at its end tag; when that was cut off, at the next tag.
    fn content_end(&mut self, of: &Tag<'a>) -> usize {
        let mut at = of.end;
        while at < self.text.len() && !self.endless.contains(&of.name) {
            at = until(self.text, at, b"<");
            match tag(self.text, at) {
                Some(tag) if tag.kind == Kind::End && tag.name == of.name => return at,
                _ => at += 1,
            }
        }
        if !self.endless.contains(&of.name) {
            self.endless.push(of.name);
        }
        until(self.text, of.end, b"<")
    }

    /// An attribute that stands outside of a whole tag, perhaps because the rest was cut off; gives where to go on.
    fn loose_attribute(&mut self, at: usize) -> usize {
        let name_end = end_of_name(self.text, at);
        let begins = at == 0 || !is_name(self.text[at - 1]) || self.text[at - 1] == b':';
        if !begins || !is_one_of(&self.text[at..name_end], ATTRIBUTES) {
            return at + 1;
        }
        let Some(quote_at) = quote_after(self.text, name_end) else {
            return name_end;
        };
        let value = quote_at + 1;
        // No value contains `<`; beyond it the quote belongs to something else. Without its quote it ends with the line.
        let limit = until(self.text, value, b"<");
        let quote = until(&self.text[..limit], value, &self.text[quote_at..value]);
        let end = if quote < limit {
            quote
        } else {
            until(&self.text[..limit], value, b"\n")
        };
        self.hide(value..end);
        end
    }
}

/// The tag that begins here, if it is whole.
fn tag(text: &[u8], at: usize) -> Option<Tag<'_>> {
    let closing = text.get(at + 1) == Some(&b'/');
    let name_at = at + 1 + usize::from(closing);
    let name_end = end_of_name(text, name_at);
    if text.get(at) != Some(&b'<') || name_end == name_at {
        return None;
    }
    let mut quote = None;
    for (end, &byte) in text.iter().enumerate().skip(name_end) {
        match (quote, byte) {
            (_, b'<') => return None,
            (None, b'>') => {
                let kind = match (closing, text[end - 1]) {
                    (true, _) => Kind::End,
                    (false, b'/') => Kind::Empty,
                    (false, _) => Kind::Start,
                };
                let name = &text[name_at..name_end];
                let prefix = name.iter().position(|b| *b == b':').map_or(0, |colon| colon + 1);
                return Some(Tag {
                    kind,
                    name: &name[prefix..],
                    attributes: name_end..end,
                    end: end + 1,
                });
            }
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Where the secret values within a tag are.
fn attributes(text: &[u8], range: Range<usize>) -> Vec<Range<usize>> {
    let text = &text[..range.end];
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        if !is_name(text[at]) {
            // A quote here belongs to no name; what is in it is skipped too.
            at = match text[at] {
                b'\'' | b'"' => until(text, at + 1, &[text[at]]) + 1,
                _ => at + 1,
            };
            continue;
        }
        let name_end = end_of_name(text, at);
        let name = &text[at..name_end];
        at = name_end;
        if let Some(quote_at) = quote_after(text, name_end) {
            let end = until(text, quote_at + 1, &[text[quote_at]]);
            let local = name.iter().position(|b| *b == b':').map_or(0, |colon| colon + 1);
            if is_one_of(&name[local..], ATTRIBUTES) {
                found.push(quote_at + 1..end);
            }
            at = end + 1;
        }
    }
    found
}

/// Where the next of these bytes is, or the end.
fn until(text: &[u8], from: usize, any: &[u8]) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.iter()
        .position(|byte| any.contains(byte))
        .map_or(text.len(), |length| from + length)
}

/// Where the quote is that opens a value, if `=` and a quote come next.
fn quote_after(text: &[u8], name_end: usize) -> Option<usize> {
    let blank = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    };
    let equals = blank(name_end);
    if text.get(equals) != Some(&b'=') {
        return None;
    }
    let quote = blank(equals + 1);
    matches!(text.get(quote), Some(b'\'' | b'"')).then_some(quote)
}

/// Where the name that begins here ends.
fn end_of_name(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| is_name(**byte)).count()
}

/// Whether a name can have this byte.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':') || !byte.is_ascii()
}

fn is_one_of(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|one| name.eq_ignore_ascii_case(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn r93_secrets_are_hidden_and_nothing_else_changes() {
        let rows = [
            (
                "<graphics type='vnc' port='-1' passwd='se\"cret' passwdValidTo='2030'/>",
                "<graphics type='vnc' port='-1' passwd='***' passwdValidTo='2030'/>",
            ),
            (
                "<graphics passwd = \"it's>\" type=\"spice\">\n  <listen/></graphics>",
                "<graphics passwd = \"***\" type=\"spice\">\n  <listen/></graphics>",
            ),
            (
                "<auth type='chap' login='u' passwd='p'/>",
                "<auth type='chap' login='u' passwd='***'/>",
            ),
            ("<q:x q:password='1'/>", "<q:x q:password='***'/>"),
            (
                "<secret ephemeral='no'>\n <uuid>u</uuid>\n <value>AQ==</value>\n</secret><value>v</value>",
                "<secret ephemeral='no'>\n <uuid>u</uuid>\n <value>***</value>\n</secret><value>v</value>",
            ),
            (
                "<secret>abc</secret><name>n</name>",
                "<secret>***</secret><name>n</name>",
            ),
            ("<secret><a>x</a>abc</secret>t", "<secret><a>x</a>***</secret>t"),
            ("<password>a<![CDATA[b]]></password>", "<password>***</password>"),
            (
                "<s:passphrase x='y'>ü</s:passphrase>",
                "<s:passphrase x='y'>***</s:passphrase>",
            ),
            // Cut in the middle, or no XML at all.
            ("<graphics passwd='secr", "<graphics passwd='***"),
            ("<graphics passwd='secr\nmore", "<graphics passwd='***\nmore"),
            ("<password>secr", "<password>***"),
            ("+ passwd=\"x\" virsh", "+ passwd=\"***\" virsh"),
            ("<graphics q:passwd='secr", "<graphics q:passwd='***"),
            // Every value of a secret, and the text between them.
            (
                "<secret><value>a</value> b <value>c</value> d</secret><value>e</value>",
                "<secret><value>***</value>***<value>***</value>***</secret><value>e</value>",
            ),
            // Only its own end tag ends a password.
            ("<password>a<b>c</b>d</password>e", "<password>***</password>e"),
            ("<password>a<password>b</password>", "<password>***</password>"),
            // A tag that was cut off is none, so it hides no password that follows.
            (
                "if a <b then <password>x</password>",
                "if a <b then <password>***</password>",
            ),
            // Quotes that belong to no name do not shift those that do.
            ("<a \"b='\" passwd='x'>", "<a \"b='\" passwd='***'>"),
            ("<a \"b\" passwd='x' \"c\">", "<a \"b\" passwd='***' \"c\">"),
        ];
        for (text, expected) in rows {
            assert_eq!(redact(text), expected);
            assert!(matches!(redact(expected), Cow::Borrowed(_)), "{expected}");
        }
    }

    #[test]
    fn r93_what_is_no_secret_stays() {
        for text in [
            "<secret type='passphrase' uuid='1'/><source/>",
            "<graphics passwd='' x='passwd'/>",
            "<a b=\"passwd='x'\"/>",
            "my_password='x' passwords='y' passwd=z",
            "<password> \n</password>",
            "<password/>text",
            "a < b > c",
        ] {
            assert!(matches!(redact(text), Cow::Borrowed(_)), "{text}");
        }
        assert_eq!(
            redact_bytes(b"\xff<a passwd='\xfe'/>").as_ref(),
            b"\xff<a passwd='***'/>"
        );
    }

    /// Pieces that make trouble when put together.
    const PIECES: &str = "(<|>|/|'|\"|=| |\n|passwd|password|<secret>|</secret>|<value>|</value>|<password |</password>|<x |ü|a|\\*\\*\\*){0,40}";

    proptest! {
        #[test]
        fn r93_redaction_never_panics_and_is_idempotent(text in PIECES) {
            let once = redact(&text).into_owned();
            prop_assert_eq!(redact(&once).into_owned(), once.clone());
        }

        #[test]
        fn r93_any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            redact_bytes(&bytes);
        }

        #[test]
        fn r93_only_the_secret_changes(
            before in "[ -;=?-~ü\n]{0,30}", secret in "[a-zA-Z0-9>ü/]{1,12}", double in any::<bool>(), after in "[a-z ]{0,20}",
        ) {
            prop_assume!(!before.to_lowercase().contains("pass"));
            let quote = if double { '"' } else { '\'' };
            let document = |secret: &str| {
                format!("<a>{before}</a><graphics type='vnc' passwd={quote}{secret}{quote} x='1'>{after}</graphics>")
            };
            prop_assert_eq!(redact(&document(&secret)).into_owned(), document("***"));
        }
    }
}
