//! From brush-parser's tree to ours: words are taken apart at once, `$(…)` is read as a script of its own, and
//! every place is a byte in the file.

use brush_parser::ast::{self, SourceLocation};
use brush_parser::{ParserOptions, SourceSpan};

use crate::check::shell::tests_in_brackets;
use crate::check::shell::tree::{
    Arm, Assignment, Block, Command, Item, Kind, Link, Pipeline, Redirect, Target, Word,
};
use crate::check::shell::words;
use crate::check::source::Span;

/// How deep `$( $( … ) )` is followed.
const DEPTH: usize = 12;

/// How many bytes the parser's places may be off.
const OFF: usize = 120;

/// The parser's settings: always bash, since what `sh` lacks is reported by name.
pub(crate) fn options() -> ParserOptions {
    ParserOptions::default()
}

/// Reads a script. `None` when the parser refuses it.
pub(crate) fn read(text: &str) -> Option<Block> {
    read_part(text, 0, 0)
}

/// Reads a part of a script that begins at `base`.
pub(crate) fn read_part(text: &str, base: usize, depth: usize) -> Option<Block> {
    if depth > DEPTH {
        return None;
    }
    let program = brush_parser::Parser::new(text.as_bytes(), &options())
        .parse_program()
        .ok()?;
    let lowering = Lowering::new(text, base, depth);
    let mut block = Block::default();
    for list in &program.complete_commands {
        block.items.extend(lowering.block(list).items);
    }
    Some(block)
}

/// What is needed to turn the parser's places into ours.
pub(crate) struct Lowering<'a> {
    /// The text that was parsed.
    pub(crate) text: &'a str,
    /// Where it begins in the file.
    pub(crate) base: usize,
    /// How deep in substitutions it lies.
    pub(crate) depth: usize,
    bytes: Vec<usize>,
}

impl<'a> Lowering<'a> {
    fn new(text: &'a str, base: usize, depth: usize) -> Lowering<'a> {
        let bytes = text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .collect();
        Lowering {
            text,
            base,
            depth,
            bytes,
        }
    }

    /// The byte in the parsed text of a character.
    fn byte(&self, index: usize) -> usize {
        self.bytes.get(index).copied().unwrap_or(self.text.len())
    }

    fn span(&self, location: Option<SourceSpan>) -> Span {
        let Some(location) = location else {
            return Span {
                start: self.base,
                end: self.base,
            };
        };
        let start = self.base + self.byte(location.start.index);
        Span {
            start,
            end: (self.base + self.byte(location.end.index)).max(start),
        }
    }

    fn block(&self, list: &ast::CompoundList) -> Block {
        Block {
            items: list.0.iter().map(|item| self.item(item)).collect(),
        }
    }

    fn item(&self, item: &ast::CompoundListItem) -> Item {
        let mut chain = vec![(Link::First, self.pipeline(&item.0.first))];
        for next in &item.0.additional {
            chain.push(match next {
                ast::AndOr::And(pipeline) => (Link::And, self.pipeline(pipeline)),
                ast::AndOr::Or(pipeline) => (Link::Or, self.pipeline(pipeline)),
            });
        }
        let background = matches!(item.1, ast::SeparatorOperator::Async);
        let (start, end) = (chain[0].1.span.start, chain[chain.len() - 1].1.span.end);
        Item {
            chain,
            background,
            span: Span {
                start,
                end: end.max(start),
            },
        }
    }

    fn pipeline(&self, pipeline: &ast::Pipeline) -> Pipeline {
        let commands: Vec<Command> = pipeline.seq.iter().map(|command| self.command(command)).collect();
        let start = commands.first().map_or(self.base, |c| c.span.start);
        let end = commands.last().map_or(start, |c| c.span.end.max(start));
        Pipeline {
            negated: pipeline.bang,
            commands,
            span: Span { start, end },
        }
    }

    fn command(&self, command: &ast::Command) -> Command {
        match command {
            ast::Command::Simple(simple) => self.simple(simple),
            ast::Command::Compound(compound, redirects) => Command {
                kind: self.compound(compound),
                redirects: self.redirects(redirects.as_ref()),
                span: self.span(compound.location()),
            },
            ast::Command::Function(function) => {
                let body = Command {
                    kind: self.compound(&function.body.0),
                    redirects: self.redirects(function.body.1.as_ref()),
                    span: self.span(function.body.0.location()),
                };
                let name = function.fname.value.clone();
                Command {
                    span: Span {
                        start: self.span(function.fname.loc.clone()).start,
                        end: body.span.end,
                    },
                    kind: Kind::Function {
                        name,
                        body: Box::new(body),
                    },
                    redirects: Vec::new(),
                }
            }
            ast::Command::ExtendedTest(test, redirects) => {
                let span = self.span(test.location());
                Command {
                    kind: Kind::Test(tests_in_brackets::extended(self, &test.expr, span)),
                    redirects: self.redirects(redirects.as_ref()),
                    span,
                }
            }
        }
    }

    fn simple(&self, simple: &ast::SimpleCommand) -> Command {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        for item in simple.prefix.iter().flat_map(|prefix| &prefix.0) {
            match item {
                ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) => {
                    assignments.push(self.assignment(assignment, word));
                }
                ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => {
                    redirects.push(self.redirect(redirect))
                }
                _ => {}
            }
        }
        words.extend(simple.word_or_name.as_ref().map(|word| self.word(word)));
        for item in simple.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                ast::CommandPrefixOrSuffixItem::Word(word)
                | ast::CommandPrefixOrSuffixItem::AssignmentWord(_, word) => words.push(self.word(word)),
                ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => {
                    redirects.push(self.redirect(redirect))
                }
                ast::CommandPrefixOrSuffixItem::ProcessSubstitution(_, shell) => {
                    let span = self.span(shell.location());
                    words.push(words::process(self.block(&shell.list), span));
                }
            }
        }
        let places = || {
            assignments
                .iter()
                .map(|a: &Assignment| a.span)
                .chain(words.iter().map(|w| w.span))
        };
        let start = places().map(|s| s.start).min();
        let start = start.unwrap_or_else(|| self.span(simple.location()).start);
        let end = places().map(|s| s.end).max().unwrap_or(start);
        Command {
            kind: Kind::Simple { assignments, words },
            redirects,
            span: Span { start, end },
        }
    }

    fn assignment(&self, assignment: &ast::Assignment, whole: &ast::Word) -> Assignment {
        let span = self.span(whole.loc.clone().or_else(|| Some(assignment.loc.clone())));
        let (name, element) = match &assignment.name {
            ast::AssignmentName::VariableName(name) => (name.clone(), false),
            ast::AssignmentName::ArrayElementName(name, _) => (name.clone(), true),
        };
        let (values, array) = match &assignment.value {
            ast::AssignmentValue::Scalar(word) => {
                // The value ends where the whole word ends; its own place is not always known.
                let start = span.end.saturating_sub(word.value.len()).max(span.start);
                (vec![words::take_apart(self, &word.value, start)], element)
            }
            ast::AssignmentValue::Array(elements) => {
                let words = elements.iter().map(|(_, word)| {
                    let place = word
                        .loc
                        .as_ref()
                        .map_or(span.start, |_| self.span(word.loc.clone()).start);
                    words::take_apart(self, &word.value, place)
                });
                (words.collect(), true)
            }
        };
        Assignment {
            name,
            values,
            array,
            append: assignment.append,
            span,
        }
    }

    /// A word with its parts.
    pub(crate) fn word(&self, word: &ast::Word) -> Word {
        let span = self.span(word.loc.clone());
        words::take_apart(self, &word.value, self.settle(&word.value, span.start))
    }

    /// Where a word really begins: after continued lines the parser's places are some characters off.
    fn settle(&self, value: &str, start: usize) -> usize {
        let at = start.saturating_sub(self.base);
        let there = |at: usize| self.text.get(at..).is_some_and(|rest| rest.starts_with(value));
        if there(at) {
            return start;
        }
        let near = (1..=OFF)
            .flat_map(|off| [at.checked_add(off), at.checked_sub(off)])
            .flatten();
        near.into_iter()
            .find(|at| there(*at))
            .map_or(start, |at| self.base + at)
    }

    fn redirects(&self, list: Option<&ast::RedirectList>) -> Vec<Redirect> {
        list.iter()
            .flat_map(|list| &list.0)
            .map(|redirect| self.redirect(redirect))
            .collect()
    }

    fn redirect(&self, redirect: &ast::IoRedirect) -> Redirect {
        match redirect {
            ast::IoRedirect::File(descriptor, kind, target) => {
                let reads = matches!(
                    kind,
                    ast::IoFileRedirectKind::Read
                        | ast::IoFileRedirectKind::ReadAndWrite
                        | ast::IoFileRedirectKind::DuplicateInput
                );
                let descriptor = descriptor.unwrap_or(if reads { 0 } else { 1 });
                Redirect {
                    descriptor: Some(descriptor),
                    target: self.target(target, reads),
                }
            }
            ast::IoRedirect::HereDocument(descriptor, document) => {
                let start = self.span(document.doc.loc.clone()).start;
                let word = if document.requires_expansion {
                    words::document(self, &document.doc.value, start)
                } else {
                    words::verbatim(&document.doc.value, start)
                };
                Redirect {
                    descriptor: Some(descriptor.unwrap_or(0)),
                    target: Target::Document(word),
                }
            }
            ast::IoRedirect::HereString(descriptor, word) => Redirect {
                descriptor: Some(descriptor.unwrap_or(0)),
                target: Target::Text(self.word(word)),
            },
            ast::IoRedirect::OutputAndError(word, _) => Redirect {
                descriptor: None,
                target: Target::Write(self.word(word)),
            },
        }
    }

    fn target(&self, target: &ast::IoFileRedirectTarget, reads: bool) -> Target {
        match target {
            ast::IoFileRedirectTarget::Filename(word) if reads => Target::Read(self.word(word)),
            ast::IoFileRedirectTarget::Filename(word) => Target::Write(self.word(word)),
            ast::IoFileRedirectTarget::Fd(descriptor) => Target::Same(*descriptor),
            ast::IoFileRedirectTarget::ProcessSubstitution(_, shell) => {
                Target::Process(self.block(&shell.list))
            }
            ast::IoFileRedirectTarget::Duplicate(word) => match word.value.parse() {
                Ok(descriptor) => Target::Same(descriptor),
                Err(_) => Target::Other,
            },
        }
    }

    fn compound(&self, compound: &ast::CompoundCommand) -> Kind {
        match compound {
            ast::CompoundCommand::Arithmetic(command) => Kind::Arithmetic(command.expr.value.clone()),
            ast::CompoundCommand::ArithmeticForClause(command) => Kind::ArithmeticFor {
                body: self.block(&command.body.list),
            },
            ast::CompoundCommand::BraceGroup(group) => Kind::Group(self.block(&group.list)),
            ast::CompoundCommand::Subshell(shell) => Kind::Subshell(self.block(&shell.list)),
            ast::CompoundCommand::ForClause(command) => Kind::For {
                variable: command.variable_name.clone(),
                values: command
                    .values
                    .as_ref()
                    .map(|all| all.iter().map(|word| self.word(word)).collect()),
                body: self.block(&command.body.list),
            },
            ast::CompoundCommand::CaseClause(case) => Kind::Case {
                subject: self.word(&case.value),
                arms: case.cases.iter().map(|arm| self.arm(arm)).collect(),
            },
            ast::CompoundCommand::IfClause(clause) => {
                let mut branches = vec![(Some(self.block(&clause.condition)), self.block(&clause.then))];
                for next in clause.elses.iter().flatten() {
                    branches.push((
                        next.condition.as_ref().map(|c| self.block(c)),
                        self.block(&next.body),
                    ));
                }
                Kind::If(branches)
            }
            ast::CompoundCommand::WhileClause(clause) => self.looped(clause, false),
            ast::CompoundCommand::UntilClause(clause) => self.looped(clause, true),
            ast::CompoundCommand::Coprocess(process) => {
                let span = self.span(process.location());
                let command = self.command(&process.body);
                let pipeline = Pipeline {
                    negated: false,
                    commands: vec![command],
                    span,
                };
                Kind::Subshell(Block {
                    items: vec![Item {
                        chain: vec![(Link::First, pipeline)],
                        background: false,
                        span,
                    }],
                })
            }
        }
    }

    fn looped(&self, clause: &ast::WhileOrUntilClauseCommand, until: bool) -> Kind {
        Kind::Loop {
            until,
            condition: self.block(&clause.0),
            body: self.block(&clause.1.list),
        }
    }

    fn arm(&self, arm: &ast::CaseItem) -> Arm {
        Arm {
            patterns: arm.patterns.iter().map(|word| self.word(word)).collect(),
            body: arm.cmd.as_ref().map(|list| self.block(list)).unwrap_or_default(),
            falls_through: !matches!(arm.post_action, ast::CaseItemPostAction::ExitCase),
        }
    }
}
