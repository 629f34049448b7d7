//! Every command and every word of a script once, wherever it stands.

use crate::check::shell::tree::{Block, Command, Kind, PieceKind, Target, Test, Word};

/// What somebody wants to see.
pub(crate) trait Visitor<'t> {
    /// A command, before what is in it.
    fn command(&mut self, _command: &'t Command) {}
    /// A word, before what is in it.
    fn word(&mut self, _word: &'t Word) {}
}

/// Shows everything in a block.
pub(crate) fn block<'t>(block: &'t Block, visitor: &mut dyn Visitor<'t>) {
    for item in &block.items {
        for (_, pipeline) in &item.chain {
            for one in &pipeline.commands {
                command(one, visitor);
            }
        }
    }
}

/// Shows a command and everything in it.
pub(crate) fn command<'t>(shown: &'t Command, visitor: &mut dyn Visitor<'t>) {
    visitor.command(shown);
    for redirect in &shown.redirects {
        match &redirect.target {
            Target::Read(one) | Target::Write(one) | Target::Document(one) | Target::Text(one) => {
                word(one, visitor)
            }
            Target::Process(inner) => block(inner, visitor),
            Target::Same(_) | Target::Other => {}
        }
    }
    match &shown.kind {
        Kind::Simple { assignments, words } => {
            for one in assignments
                .iter()
                .flat_map(|assignment| &assignment.values)
                .chain(words)
            {
                word(one, visitor);
            }
        }
        Kind::Group(inner) | Kind::Subshell(inner) | Kind::ArithmeticFor { body: inner } => {
            block(inner, visitor)
        }
        Kind::For { values, body, .. } => {
            for one in values.iter().flatten() {
                word(one, visitor);
            }
            block(body, visitor);
        }
        Kind::Case { subject, arms } => {
            word(subject, visitor);
            for arm in arms {
                for pattern in &arm.patterns {
                    word(pattern, visitor);
                }
                block(&arm.body, visitor);
            }
        }
        Kind::If(branches) => {
            for (condition, body) in branches {
                if let Some(condition) = condition {
                    block(condition, visitor);
                }
                block(body, visitor);
            }
        }
        Kind::Loop { condition, body, .. } => {
            block(condition, visitor);
            block(body, visitor);
        }
        Kind::Function { body, .. } => command(body, visitor),
        Kind::Test(inner) => test(inner, visitor),
        Kind::Arithmetic(_) => {}
    }
}

fn test<'t>(shown: &'t Test, visitor: &mut dyn Visitor<'t>) {
    match shown {
        Test::And(a, b) | Test::Or(a, b) => {
            test(a, visitor);
            test(b, visitor);
        }
        Test::Not(inner) => test(inner, visitor),
        Test::One(one) => word(one, visitor),
        Test::Two { left, right, .. } => {
            word(left, visitor);
            word(right, visitor);
        }
    }
}

fn word<'t>(shown: &'t Word, visitor: &mut dyn Visitor<'t>) {
    visitor.word(shown);
    for piece in &shown.pieces {
        match &piece.kind {
            PieceKind::Command(inner) => {
                if let Some(inner) = inner.as_ref() {
                    block(inner, visitor);
                }
            }
            PieceKind::Process(inner) => block(inner, visitor),
            _ => {}
        }
    }
}

/// Collects all commands.
#[derive(Default)]
pub(crate) struct Commands<'t>(pub(crate) Vec<&'t Command>);

impl<'t> Visitor<'t> for Commands<'t> {
    fn command(&mut self, command: &'t Command) {
        self.0.push(command);
    }
}

/// All commands in a block.
pub(crate) fn commands(inner: &Block) -> Vec<&Command> {
    let mut all = Commands::default();
    block(inner, &mut all);
    all.0
}

/// Collects all words.
#[derive(Default)]
pub(crate) struct Words<'t>(pub(crate) Vec<&'t Word>);

impl<'t> Visitor<'t> for Words<'t> {
    fn word(&mut self, word: &'t Word) {
        self.0.push(word);
    }
}

/// All words in a block.
pub(crate) fn words(inner: &Block) -> Vec<&Word> {
    let mut all = Words::default();
    block(inner, &mut all);
    all.0
}
