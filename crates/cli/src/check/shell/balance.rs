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

/// The words at the beginning of commands. `Ok(None)` when the script is too clever; `Err` for an open quote.
#[allow(clippy::type_complexity)]
fn scan(text: &str) -> Result<Option<Vec<(&str, Span)>>, (usize, char)> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut at_command = true;
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\n' | b';' | b'&' | b'|' | b'{' | b'}' => (at_command, i) = (true, i + 1),
            b' ' | b'\t' | b'\r' => i += 1,
            b'#' => i += text[i..].find('\n').unwrap_or(text.len() - i),
            b'<' if text[i..].starts_with("<<") => return Ok(None),
            b'(' | b')' => {
                at_command = true;
                i += 1;
            }
            _ => {
                let start = i;
                i = word_end(text, i)?.max(start + 1);
                let word = text.get(start..i).unwrap_or("");
                if word.contains("$(") || word.contains('`') {
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

/// Where a word ends.
fn word_end(text: &str, start: usize) -> Result<usize, (usize, char)> {
    let bytes = text.as_bytes();
    let mut i = start;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'\'' => i += 2 + text[i + 1..].find('\'').ok_or((i, '\''))?,
            b'"' => {
                let opened = i;
                i += 1;
                while *bytes.get(i).ok_or((opened, '"'))? != b'"' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
                i += 1;
            }
            b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'<' | b'>' => break,
            b'(' | b')' if i > start && bytes[i - 1] != b'$' => break,
            b'$' if bytes.get(i + 1) == Some(&b'(') => i += 2,
            _ => i += 1,
        }
    }
    Ok(i.min(bytes.len()))
}
