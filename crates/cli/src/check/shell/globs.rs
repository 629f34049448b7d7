//! Patterns with `*`, `?` and `[…]`, and whether two of them have a text in common.

use crate::check::shell::tree::{PieceKind, Word};

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Glyph {
    /// This character.
    Letter(char),
    /// Any one character.
    One,
    /// Any text, also none.
    Many,
}

/// The longest pattern that is compared; the comparison takes the product of both lengths.
const LONGEST: usize = 400;

/// The pattern that a word is. `Many` stands for what is decided at run time, and for what is too clever.
pub(crate) fn pattern(word: &Word, value: impl Fn(&str) -> Option<String>) -> Vec<Glyph> {
    let mut all = Vec::new();
    for piece in &word.pieces {
        match &piece.kind {
            PieceKind::Text(text) | PieceKind::Ansi(text) if piece.quoted => {
                all.extend(text.chars().map(Glyph::Letter));
            }
            PieceKind::Text(text) => unquoted(text, &mut all),
            PieceKind::Parameter(parameter) => match value(&parameter.name) {
                Some(text) => all.extend(text.chars().map(Glyph::Letter)),
                None => all.push(Glyph::Many),
            },
            _ => all.push(Glyph::Many),
        }
    }
    all
}

fn unquoted(text: &str, into: &mut Vec<Glyph>) {
    if text.contains("@(") || text.contains("!(") || text.contains("+(") || text.contains("?(") {
        into.push(Glyph::Many);
        return;
    }
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => into.push(Glyph::Many),
            '?' => into.push(Glyph::One),
            '[' if letters.as_str().contains(']') => {
                into.push(Glyph::One);
                letters.by_ref().find(|c| *c == ']');
            }
            other => into.push(Glyph::Letter(other)),
        }
    }
}

/// The text of a pattern that fits one text only.
pub(crate) fn exact(pattern: &[Glyph]) -> Option<String> {
    pattern
        .iter()
        .map(|glyph| {
            if let Glyph::Letter(c) = glyph {
                Some(*c)
            } else {
                None
            }
        })
        .collect()
}

/// Whether some text fits both.
pub(crate) fn meet(a: &[Glyph], b: &[Glyph]) -> bool {
    if a.len() > LONGEST || b.len() > LONGEST {
        return true;
    }
    // fits[j]: whether the rest of `a` from i on and the rest of `b` from j on have a text in common.
    let mut fits = vec![false; b.len() + 1];
    let mut below = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            fits[j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(Glyph::Many), None) => below[j],
                (None, Some(Glyph::Many)) => fits[j + 1],
                (None, _) | (_, None) => false,
                (Some(Glyph::Many), Some(_)) | (Some(_), Some(Glyph::Many)) => {
                    below[j] || fits[j + 1] || below[j + 1]
                }
                (Some(Glyph::Letter(x)), Some(Glyph::Letter(y))) => x == y && below[j + 1],
                _ => below[j + 1],
            };
        }
        std::mem::swap(&mut fits, &mut below);
    }
    below[0]
}
