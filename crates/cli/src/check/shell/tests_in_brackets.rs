//! Conditions in `[ ]`, `test` and `[[ ]]` in one form.

use brush_parser::ast::{BinaryPredicate, ExtendedTestExpr};

use crate::check::shell::lower::Lowering;
use crate::check::shell::tree::{Relation, Test, Word};
use crate::check::shell::words;
use crate::check::source::Span;

/// A condition of `[[ ]]`. Where the parser does not know a word's place, it is looked for in the text.
pub(crate) fn extended(lowering: &Lowering<'_>, expression: &ExtendedTestExpr, span: Span) -> Test {
    let place = |word: &brush_parser::ast::Word| {
        if word.loc.is_some() {
            return lowering.word(word);
        }
        let from = span.start.saturating_sub(lowering.base).min(lowering.text.len());
        let found = lowering
            .text
            .get(from..)
            .and_then(|rest| rest.find(&word.value))
            .unwrap_or(0);
        words::take_apart(lowering, &word.value, lowering.base + from + found)
    };
    let pair = |a, b| {
        (
            Box::new(extended(lowering, a, span)),
            Box::new(extended(lowering, b, span)),
        )
    };
    match expression {
        ExtendedTestExpr::And(a, b) => {
            let (a, b) = pair(a, b);
            Test::And(a, b)
        }
        ExtendedTestExpr::Or(a, b) => {
            let (a, b) = pair(a, b);
            Test::Or(a, b)
        }
        ExtendedTestExpr::Not(inner) => Test::Not(Box::new(extended(lowering, inner, span))),
        ExtendedTestExpr::Parenthesized(inner) => extended(lowering, inner, span),
        ExtendedTestExpr::UnaryTest(_, word) => Test::One(place(word)),
        ExtendedTestExpr::BinaryTest(predicate, left, right) => {
            let relation = match predicate {
                BinaryPredicate::StringExactlyMatchesPattern
                | BinaryPredicate::StringExactlyMatchesString => Relation::Equal,
                BinaryPredicate::StringDoesNotExactlyMatchPattern
                | BinaryPredicate::StringDoesNotExactlyMatchString => Relation::Different,
                _ => Relation::Other,
            };
            Test::Two {
                relation,
                left: place(left),
                right: place(right),
            }
        }
    }
}

/// A condition of `[ ]` or `test`, from the words between. `None` when they make no sense.
pub(crate) fn classic(words: &[Word]) -> Option<Test> {
    if words.len() > 60 {
        return None;
    }
    let mut reader = Reader { words, at: 0 };
    let test = reader.or()?;
    (reader.at == words.len()).then_some(test)
}

struct Reader<'a> {
    words: &'a [Word],
    at: usize,
}

impl Reader<'_> {
    fn next_is(&self, text: &str) -> bool {
        self.words
            .get(self.at)
            .is_some_and(|word| word.raw == text || word.raw == format!("\\{text}"))
    }

    fn or(&mut self) -> Option<Test> {
        let mut left = self.and()?;
        while self.next_is("-o") {
            self.at += 1;
            left = Test::Or(Box::new(left), Box::new(self.and()?));
        }
        Some(left)
    }

    fn and(&mut self) -> Option<Test> {
        let mut left = self.not()?;
        while self.next_is("-a") {
            self.at += 1;
            left = Test::And(Box::new(left), Box::new(self.not()?));
        }
        Some(left)
    }

    fn not(&mut self) -> Option<Test> {
        if self.next_is("!") {
            self.at += 1;
            return Some(Test::Not(Box::new(self.not()?)));
        }
        if self.next_is("(") {
            self.at += 1;
            let inner = self.or()?;
            if !self.next_is(")") {
                return None;
            }
            self.at += 1;
            return Some(inner);
        }
        self.leaf()
    }

    fn leaf(&mut self) -> Option<Test> {
        let first = self.words.get(self.at)?.clone();
        let relation = self.words.get(self.at + 1).and_then(|word| relation(&word.raw));
        if let (Some(relation), Some(right)) = (relation, self.words.get(self.at + 2)) {
            let right = right.clone();
            self.at += 3;
            return Some(Test::Two {
                relation,
                left: first,
                right,
            });
        }
        let is_operator = first.raw.len() == 2 && first.raw.starts_with('-');
        if is_operator && self.at + 1 < self.words.len() {
            let word = self.words[self.at + 1].clone();
            self.at += 2;
            return Some(Test::One(word));
        }
        self.at += 1;
        Some(Test::One(first))
    }
}

fn relation(sign: &str) -> Option<Relation> {
    match sign {
        "=" | "==" => Some(Relation::Equal),
        "!=" => Some(Relation::Different),
        "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" | "-nt" | "-ot" | "-ef" | "=~" => Some(Relation::Other),
        _ => None,
    }
}
