//! Words taken apart: text, parameters, commands, each with its place and whether quotes protect it.

use std::rc::Rc;

use brush_parser::word::{self, Parameter as BrushParameter, ParameterExpr, SpecialParameter, WordPiece};

use crate::check::shell::lower::{self, Lowering};
use crate::check::shell::tree::{Block, Operation, Parameter, Piece, PieceKind, Word};
use crate::check::source::Span;

/// Longer words are taken as text: nobody writes them, and the word parser is not linear.
const LONGEST: usize = 20_000;

/// A word that begins at `start` in the file.
pub(crate) fn take_apart(lowering: &Lowering<'_>, raw: &str, start: usize) -> Word {
    let parsed = if raw.len() > LONGEST {
        None
    } else {
        word::parse(raw, &lower::options()).ok()
    };
    finish(lowering, raw, start, parsed)
}

/// The text of a here-document that is expanded.
pub(crate) fn document(lowering: &Lowering<'_>, raw: &str, start: usize) -> Word {
    let parsed = if raw.len() > LONGEST {
        None
    } else {
        word::parse_heredoc(raw, &lower::options()).ok()
    };
    let mut word = finish(lowering, raw, start, parsed);
    for piece in &mut word.pieces {
        piece.quoted = true;
    }
    word
}

/// Text that stays as it is.
pub(crate) fn verbatim(raw: &str, start: usize) -> Word {
    let span = Span {
        start,
        end: start + raw.len(),
    };
    let piece = Piece {
        kind: PieceKind::Text(raw.to_owned()),
        quoted: true,
        span,
    };
    Word {
        raw: raw.to_owned(),
        pieces: vec![piece],
        span,
    }
}

/// `<(…)` as an argument.
pub(crate) fn process(block: Block, span: Span) -> Word {
    let piece = Piece {
        kind: PieceKind::Process(Rc::new(block)),
        quoted: true,
        span,
    };
    Word {
        raw: "<(…)".to_owned(),
        pieces: vec![piece],
        span,
    }
}

fn finish(
    lowering: &Lowering<'_>,
    raw: &str,
    start: usize,
    parsed: Option<Vec<word::WordPieceWithSource>>,
) -> Word {
    let Some(parsed) = parsed else {
        return verbatim(raw, start);
    };
    let mut pieces = Vec::new();
    for piece in &parsed {
        add(lowering, piece, start, false, &mut pieces);
    }
    Word {
        raw: raw.to_owned(),
        pieces,
        span: Span {
            start,
            end: start + raw.len(),
        },
    }
}

fn add(
    lowering: &Lowering<'_>,
    piece: &word::WordPieceWithSource,
    start: usize,
    quoted: bool,
    into: &mut Vec<Piece>,
) {
    let span = Span {
        start: start + piece.start_index,
        end: start + piece.end_index,
    };
    let mut push = |kind, quoted| into.push(Piece { kind, quoted, span });
    let substitution = |text: &str, skip: usize| {
        PieceKind::Command(Rc::new(lower::read_part(
            text,
            span.start + skip,
            lowering.depth + 1,
        )))
    };
    match &piece.piece {
        WordPiece::Text(text) => push(PieceKind::Text(text.clone()), quoted),
        WordPiece::SingleQuotedText(text) => push(PieceKind::Text(text.clone()), true),
        WordPiece::AnsiCQuotedText(text) => push(PieceKind::Ansi(text.clone()), true),
        WordPiece::EscapeSequence(text) => {
            push(
                PieceKind::Text(text.strip_prefix('\\').unwrap_or(text).to_owned()),
                true,
            );
        }
        WordPiece::DoubleQuotedSequence(inner) | WordPiece::GettextDoubleQuotedSequence(inner) => {
            if inner.is_empty() {
                push(PieceKind::Text(String::new()), true);
            }
            for piece in inner {
                add(lowering, piece, start, true, into);
            }
        }
        WordPiece::TildeExpansion(_) => push(PieceKind::Tilde, quoted),
        WordPiece::ParameterExpansion(expression) => {
            push(PieceKind::Parameter(parameter(expression)), quoted)
        }
        WordPiece::CommandSubstitution(text) => push(substitution(text, 2), quoted),
        WordPiece::BackquotedCommandSubstitution(text) => push(substitution(text, 1), quoted),
        WordPiece::ArithmeticExpression(expression) => {
            push(PieceKind::Arithmetic(expression.value.clone()), quoted);
            // Commands in it run as anywhere else.
            let inner = take_apart(lowering, &expression.value, span.start + 3);
            into.extend(
                inner
                    .pieces
                    .into_iter()
                    .filter(|piece| matches!(piece.kind, PieceKind::Command(_))),
            );
        }
    }
}

fn parameter(expression: &ParameterExpr) -> Parameter {
    use ParameterExpr as E;
    let found = match expression {
        E::VariableNames { prefix, .. } => return indirection(prefix),
        E::MemberKeys { variable_name, .. } => return indirection(variable_name),
        other => posix(other).or_else(|| beyond_posix(other)),
    };
    let Some((subject, indirect, operation, argument)) = found else {
        return indirection("");
    };
    let (name, indexed) = name(subject);
    let operation = if indirect { Operation::Indirect } else { operation };
    Parameter {
        name,
        operation,
        indexed,
        argument,
    }
}

/// A parameter, whether it is indirect, what is done with it, and the word that says how.
type Taken<'a> = Option<(&'a BrushParameter, bool, Operation, Option<String>)>;

/// What every shell has.
fn posix(expression: &ParameterExpr) -> Taken<'_> {
    use ParameterExpr as E;
    let (parameter, indirect, operation, argument) = match expression {
        E::Parameter { parameter, indirect } => (parameter, indirect, Operation::Plain, None),
        E::ParameterLength { parameter, indirect } => (parameter, indirect, Operation::Length, None),
        E::UseDefaultValues {
            parameter,
            indirect,
            default_value: word,
            ..
        }
        | E::AssignDefaultValues {
            parameter,
            indirect,
            default_value: word,
            ..
        }
        | E::IndicateErrorIfNullOrUnset {
            parameter,
            indirect,
            error_message: word,
            ..
        } => (parameter, indirect, Operation::Default, word.clone()),
        E::UseAlternativeValue {
            parameter,
            indirect,
            alternative_value: word,
            ..
        } => (parameter, indirect, Operation::Alternative, word.clone()),
        E::RemoveSmallestSuffixPattern {
            parameter,
            indirect,
            pattern: word,
        }
        | E::RemoveLargestSuffixPattern {
            parameter,
            indirect,
            pattern: word,
        }
        | E::RemoveSmallestPrefixPattern {
            parameter,
            indirect,
            pattern: word,
        }
        | E::RemoveLargestPrefixPattern {
            parameter,
            indirect,
            pattern: word,
        } => (parameter, indirect, Operation::Trim, word.clone()),
        _ => return None,
    };
    Some((parameter, *indirect, operation, argument))
}

/// What only bash has.
fn beyond_posix(expression: &ParameterExpr) -> Taken<'_> {
    use ParameterExpr as E;
    let (parameter, indirect, operation, argument) = match expression {
        E::Substring {
            parameter,
            indirect,
            offset,
            ..
        } => (
            parameter,
            indirect,
            Operation::Substring,
            Some(offset.value.clone()),
        ),
        E::UppercaseFirstChar {
            parameter, indirect, ..
        }
        | E::UppercasePattern {
            parameter, indirect, ..
        } => (parameter, indirect, Operation::Letters, Some("^".to_owned())),
        E::LowercaseFirstChar {
            parameter, indirect, ..
        }
        | E::LowercasePattern {
            parameter, indirect, ..
        } => (parameter, indirect, Operation::Letters, Some(",".to_owned())),
        E::ReplaceSubstring {
            parameter, indirect, ..
        } => (parameter, indirect, Operation::Replace, None),
        E::Transform {
            parameter, indirect, ..
        } => (parameter, indirect, Operation::Transform, None),
        _ => return None,
    };
    Some((parameter, *indirect, operation, argument))
}

fn indirection(name: &str) -> Parameter {
    Parameter {
        name: name.to_owned(),
        operation: Operation::Indirect,
        indexed: true,
        argument: None,
    }
}

fn name(parameter: &BrushParameter) -> (String, bool) {
    match parameter {
        BrushParameter::Positional(number) => (number.to_string(), false),
        BrushParameter::Named(name) => (name.clone(), false),
        BrushParameter::NamedWithIndex { name, .. } | BrushParameter::NamedWithAllIndices { name, .. } => {
            (name.clone(), true)
        }
        BrushParameter::Special(special) => {
            let sign = match special {
                SpecialParameter::AllPositionalParameters { concatenate: true } => "*",
                SpecialParameter::AllPositionalParameters { concatenate: false } => "@",
                SpecialParameter::PositionalParameterCount => "#",
                SpecialParameter::LastExitStatus => "?",
                SpecialParameter::CurrentOptionFlags => "-",
                SpecialParameter::ProcessId => "$",
                SpecialParameter::LastBackgroundProcessId => "!",
                SpecialParameter::ShellName => "0",
            };
            (sign.to_owned(), false)
        }
    }
}
