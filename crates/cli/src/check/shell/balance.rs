//! What can be said for certain of a script that the parser refuses: quotes and keywords that do not close. It
//! says nothing rather than something wrong. Also: whether a script is nested too deep to be parsed at all.

use crate::check::source::Span;

/// Deeper scripts are not read; people's scripts stay below ten.
const DEEPEST: usize = 50;

/// Words after which a command begins.
const OPENERS: &[&str] = &[
    "then", "do", "else", "elif", "if", "while", "until", "{", "!", "(", "&&", "||", "|", ";", ";;", "&",
    "\n",
];

/// Whether the script is nested deeper than anything a person writes.
pub(crate) fn is_too_deep(text: &str) -> bool {
    let (mut round, mut curly, mut ticks, mut words) = (0usize, 0usize, 0usize, 0usize);
    let mut deepest = 0;
    let mut at_command = true;
    for token in text.split_inclusive(|c: char| c.is_whitespace() || "(){};&|`".contains(c)) {
        let word = token.trim_end_matches(|c: char| c.is_whitespace() || "(){};&|`".contains(c));
        if at_command && ["if", "while", "until", "for", "case", "select"].contains(&word) {
            words += 1;
        } else if at_command && ["fi", "done", "esac"].contains(&word) {
            words = words.saturating_sub(1);
        }
        if !word.is_empty() {
            at_command = OPENERS.contains(&word);
        }
        match token.chars().last() {
            Some('(') => round += 1,
            Some(')') => round = round.saturating_sub(1),
            Some('{') => curly += 1,
            Some('}') => curly = curly.saturating_sub(1),
            Some('`') => ticks += 1,
            Some('\n') => ticks = 0,
            _ => {}
        }
        at_command |= token.ends_with(|c: char| "\n(){;&|".contains(c));
        deepest = deepest.max(round + curly + words);
    }
    deepest > DEEPEST || ticks > 2000
}

/// Something that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    If { then: bool },
    Do,
    Case,
}

/// A mistake that is certain.
pub(crate) fn mistake(text: &str) -> Option<(Span, String)> {
    let words = match scan(text) {
        Ok(words) => words?,
        Err((at, quote)) => {
            let message = format!("the quote `{quote}` is not closed");
            return Some((
                Span {
                    start: at,
                    end: at + 1,
                },
                message,
            ));
        }
    };
    let mut open: Vec<(Open, Span)> = Vec::new();
    for (word, span) in words {
        let top = open.last_mut();
        let wrong = |message: &str| Some((span, message.to_owned()));
        match (word, top) {
            ("if", _) => open.push((Open::If { then: false }, span)),
            ("do", _) => open.push((Open::Do, span)),
            ("case", _) => open.push((Open::Case, span)),
            ("then", Some((Open::If { then }, _))) => *then = true,
            ("then", _) => return wrong("`then` without `if`"),
            ("elif", Some((Open::If { then }, _))) if *then => *then = false,
            ("else", Some((Open::If { then: true }, _))) => {}
            ("elif" | "else", Some((Open::If { .. }, _))) => return wrong("`then` is missing before this"),
            ("elif" | "else", _) => return wrong("this does not belong to an `if`"),
            ("fi", Some((Open::If { then: true }, _)))
            | ("done", Some((Open::Do, _)))
            | ("esac", Some((Open::Case, _))) => {
                open.pop();
            }
            ("fi", Some((Open::If { .. }, _))) => return wrong("`then` is missing before this"),
            ("fi", None) => return wrong("`fi` without `if`"),
            ("done", None) => return wrong("`done` without `do`"),
            ("esac", None) => return wrong("`esac` without `case`"),
            ("fi" | "done" | "esac", Some((_, opened))) => {
                let opened = *opened;
                let missing = text.get(opened.start..opened.end).unwrap_or("");
                return Some((opened, format!("`{missing}` is not closed before `{word}`")));
            }
            _ => {}
        }
    }
    let (_, span) = open.first()?;
    let word = text.get(span.start..span.end).unwrap_or("");
    Some((*span, format!("`{word}` is never closed")))
}

/// An open quote: where, and which.
type OpenQuote = (usize, char);

/// The words at the beginning of commands. `Ok(None)` when the script is too clever.
fn scan(text: &str) -> Result<Option<Vec<(&str, Span)>>, OpenQuote> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut documents: Vec<&str> = Vec::new();
    let mut at_command = true;
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\n' => {
                (at_command, i) = (true, i + 1);
                for end in documents.drain(..) {
                    i = after_document(text, i, end);
                }
            }
            b';' | b'&' | b'|' | b'{' | b'}' | b'(' | b')' => (at_command, i) = (true, i + 1),
            b' ' | b'\t' | b'\r' => i += 1,
            b'#' => i += text[i..].find('\n').unwrap_or(text.len() - i),
            b'<' if text[i..].starts_with("<<<") => i += 3,
            b'<' if text[i..].starts_with("<<") => {
                i += if text[i..].starts_with("<<-") { 3 } else { 2 };
                i += text[i..].len() - text[i..].trim_start_matches([' ', '\t']).len();
                let end = word_end(text, i)?;
                documents.push(text[i..end].trim_matches(['\'', '"', '\\']));
                i = end;
            }
            b'<' | b'>' => i += 1,
            _ => {
                let start = i;
                i = word_end(text, i)?.max(start + 1);
                let Some(word) = text.get(start..i) else {
                    return Ok(None);
                };
                // A `)` of a pattern inside looks like the end of the substitution.
                if word.contains("case ") {
                    return Ok(None);
                }
                if at_command {
                    words.push((word, Span { start, end: i }));
                }
                at_command = at_command && OPENERS.contains(&word);
            }
        }
    }
    Ok(Some(words))
}

/// The line after a here-document.
fn after_document(text: &str, start: usize, end: &str) -> usize {
    let mut at = start;
    for line in text[start..].split_inclusive('\n') {
        at += line.len();
        if line.trim() == end {
            break;
        }
    }
    at
}

/// Where a word ends.
fn word_end(text: &str, start: usize) -> Result<usize, OpenQuote> {
    let bytes = text.as_bytes();
    let mut i = start;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'\'' => i += 2 + text[i + 1..].find('\'').ok_or((i, '\''))?,
            b'`' => i += 2 + text[i + 1..].find('`').ok_or((i, '`'))?,
            b'"' => i = after_quote(text, i)?,
            b'$' if bytes.get(i + 1) == Some(&b'(') => i = after_brackets(text, i + 1, (b'(', b')'))?,
            b'$' if bytes.get(i + 1) == Some(&b'{') => i = after_brackets(text, i + 1, (b'{', b'}'))?,
            b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
            _ => i += 1,
        }
    }
    Ok(i.min(bytes.len()))
}

/// Where text in double quotes ends.
fn after_quote(text: &str, start: usize) -> Result<usize, OpenQuote> {
    let bytes = text.as_bytes();
    let mut i = start + 1;
    loop {
        match bytes.get(i) {
            None => return Err((start, '"')),
            Some(b'"') => return Ok(i + 1),
            Some(b'\\') => i += 2,
            Some(b'$') if bytes.get(i + 1) == Some(&b'(') => i = after_brackets(text, i + 1, (b'(', b')'))?,
            Some(_) => i += 1,
        }
    }
}

/// Where `$(…)` or `${…}` ends; the end of the text if it does not.
fn after_brackets(text: &str, start: usize, (open, close): (u8, u8)) -> Result<usize, OpenQuote> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut i = start;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'\'' if open == b'(' => i += 1 + text[i + 1..].find('\'').ok_or((i, '\''))?,
            b'"' => i = plain_quote(text, i)?,
            byte if byte == open => depth += 1,
            byte if byte == close => {
                depth -= 1;
                if depth == 0 {
                    return Ok(i + 1);
                }
            }
            _ => {}
        }
        i += 1;
    }
    Ok(text.len())
}

/// The closing quote, without looking at what is nested in it.
fn plain_quote(text: &str, start: usize) -> Result<usize, OpenQuote> {
    let bytes = text.as_bytes();
    let mut i = start + 1;
    while *bytes.get(i).ok_or((start, '"'))? != b'"' {
        i += if bytes[i] == b'\\' { 2 } else { 1 };
    }
    Ok(i)
}
