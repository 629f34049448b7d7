//! The way through a shell script: every command once for each way that leads to it, with what is known there.
//! Functions are followed where they are called. What a condition excludes is excluded for what it guards.

use std::collections::{HashMap, HashSet};

use crate::check::finding::{Findings, Remark};
use crate::check::operations::Calls;
use crate::check::place::Setting;
use crate::check::shell::builtins;
use crate::check::shell::commands;
use crate::check::shell::conditions;
use crate::check::shell::globs;
use crate::check::shell::pipes;
use crate::check::shell::state::{About, Path, State, Stream};
use crate::check::shell::tests_in_brackets;
use crate::check::shell::tree::{
    Arm, Assignment, Block, Command, Item, Kind, Link, Piece, PieceKind, Pipeline, Target, Word,
};
use crate::check::shell::values::Value;
use crate::check::shell::waits;

/// After so many commands the rest is not followed; scripts of people never get there.
const STEPS: usize = 60_000;
/// How deep functions call each other.
const CALLS: usize = 10;

/// What comes of a command when it is taken as a condition.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The way on when it succeeds.
    pub(crate) yes: Path,
    /// The way on when it fails.
    pub(crate) no: Path,
    /// Whether nothing but the hook's arguments decides.
    pub(crate) pure: bool,
}

impl Outcome {
    /// The outcome of a command that the arguments do not decide.
    pub(crate) fn open(path: &Path) -> Outcome {
        let path = path.clone().by_something_else();
        Outcome {
            yes: path.clone(),
            no: path,
            pure: false,
        }
    }
}

/// Goes through a script.
pub(crate) struct Walker<'t, 'f, 's> {
    /// Whose hook it is.
    pub(crate) setting: &'t Setting,
    /// Where findings go.
    pub(crate) findings: &'f mut Findings<'s>,
    /// The functions of the script.
    pub(crate) functions: HashMap<&'t str, &'t Command>,
    /// Which fixed names were reported; each once.
    pub(crate) written: HashSet<String>,
    called: HashSet<&'t str>,
    returns: Vec<Option<State>>,
    steps: usize,
}

impl<'t, 'f, 's> Walker<'t, 'f, 's> {
    /// Goes through a whole script.
    pub(crate) fn run(
        script: &'t Block,
        functions: HashMap<&'t str, &'t Command>,
        setting: &'t Setting,
        findings: &'f mut Findings<'s>,
    ) {
        let mut walker = Walker {
            setting,
            findings,
            functions,
            called: HashSet::new(),
            written: HashSet::new(),
            returns: Vec::new(),
            steps: 0,
        };
        let mut state = State::new(setting.calls);
        walker.block(script, &mut state, true);
        let mut uncalled: Vec<&&Command> = walker
            .functions
            .iter()
            .filter(|(name, _)| !walker.called.contains(*name))
            .map(|(_, c)| c)
            .collect();
        uncalled.sort_by_key(|command| command.span);
        let bodies: Vec<&'t Command> = uncalled.into_iter().copied().collect();
        for body in bodies {
            let mut state = State::new(setting.calls);
            (state.arguments, state.depth, state.out) = (None, 1, Stream::Elsewhere);
            walker.returns.push(None);
            walker.command(body, &mut state, false);
            walker.returns.pop();
        }
    }

    /// Commands one after another. `tail`: whether the last one's status is the script's.
    pub(crate) fn block(&mut self, block: &'t Block, state: &mut State, tail: bool) {
        let doomed = state.doomed;
        state.doomed |= block.items.iter().any(builtins::is_failing_exit);
        for (i, item) in block.items.iter().enumerate() {
            if !state.path.alive {
                break;
            }
            let last = i + 1 == block.items.len();
            if i > 0 {
                pipes::other_status(self, &block.items[i - 1], item);
            }
            let before = state.path.mismatch;
            let outcome = self.item(item, state, tail && last);
            let open = !outcome.pure && outcome.yes == outcome.no;
            state.path = outcome.yes.join(outcome.no);
            // A command that goes on either way changes nothing about why this point is reached.
            if open {
                state.path.mismatch = before;
            }
        }
        state.doomed = doomed;
    }

    /// Commands whose last one decides what comes next.
    pub(crate) fn condition(&mut self, block: &'t Block, state: &mut State) -> Outcome {
        let Some((last, before)) = block.items.split_last() else {
            return Outcome::open(&state.path);
        };
        for item in before {
            let outcome = self.item(item, state, false);
            state.path = outcome.yes.join(outcome.no);
        }
        self.item(last, state, false)
    }

    fn item(&mut self, item: &'t Item, state: &mut State, tail: bool) -> Outcome {
        if item.background {
            pipes::background(self, item, state);
            let mut beside = state.clone();
            beside.beside = true;
            self.chain(item, &mut beside, false);
            return Outcome::open(&state.path);
        }
        self.chain(item, state, tail)
    }

    fn chain(&mut self, item: &'t Item, state: &mut State, tail: bool) -> Outcome {
        let count = item.chain.len();
        let mut outcome: Option<Outcome> = None;
        let mut guard: Option<(Path, bool)> = None;
        for (i, (link, pipeline)) in item.chain.iter().enumerate() {
            let last = tail && i + 1 == count;
            let Some(before) = outcome.take() else {
                outcome = Some(self.pipeline(pipeline, state, last, i + 1 < count));
                continue;
            };
            let (enter, skip) = match link {
                Link::Or => (before.no.clone(), before.yes.clone()),
                _ => (before.yes.clone(), before.no.clone()),
            };
            guard = (*link == Link::And).then(|| (before.no.clone(), before.pure));
            let mut inner = state.clone();
            inner.path = if before.pure {
                enter
            } else {
                enter.by_something_else()
            };
            inner.uncertain = true;
            let right = if inner.path.alive {
                self.pipeline(pipeline, &mut inner, last, i + 1 < count)
            } else {
                Outcome {
                    yes: inner.path.clone(),
                    no: inner.path.clone(),
                    pure: before.pure,
                }
            };
            inner.path = right.yes.clone().join(right.no.clone());
            inner.uncertain = state.uncertain;
            state.path = skip;
            state.join(inner);
            let pure = before.pure && right.pure;
            outcome = Some(match link {
                Link::Or => Outcome {
                    yes: before.yes.join(right.yes),
                    no: right.no,
                    pure,
                },
                _ => Outcome {
                    yes: right.yes,
                    no: before.no.join(right.no),
                    pure,
                },
            });
        }
        if let (true, Some((refused, true))) = (tail, guard) {
            commands::last_test(self, item, &refused);
        }
        outcome.unwrap_or_else(|| Outcome::open(&state.path))
    }

    fn pipeline(&mut self, pipeline: &'t Pipeline, state: &mut State, tail: bool, decides: bool) -> Outcome {
        let outcome = match pipeline.commands.as_slice() {
            [command] => self.command(command, state, tail),
            commands => {
                pipes::status(self, pipeline, state, tail, decides);
                let last = commands.len().saturating_sub(1);
                for (i, command) in commands.iter().enumerate() {
                    let mut inner = state.clone();
                    inner.path.mismatch = None;
                    if i < last {
                        inner.out = Stream::Elsewhere;
                    }
                    inner.document &= i == 0;
                    self.command(command, &mut inner, false);
                    state.read = state.read.or(inner.read);
                }
                Outcome::open(&state.path)
            }
        };
        if pipeline.negated {
            return Outcome {
                yes: outcome.no,
                no: outcome.yes,
                pure: outcome.pure,
            };
        }
        outcome
    }

    /// One command of any kind.
    pub(crate) fn command(&mut self, command: &'t Command, state: &mut State, tail: bool) -> Outcome {
        self.steps += 1;
        if self.steps > STEPS {
            return Outcome::open(&state.path);
        }
        for redirect in &command.redirects {
            match &redirect.target {
                Target::Write(word) => {
                    commands::written_file(self, word, state);
                    commands::redirected(self, word, state);
                    self.word(word, state);
                }
                Target::Read(word) | Target::Text(word) | Target::Document(word) => self.word(word, state),
                Target::Process(block) => self.aside(block, state),
                Target::Same(_) | Target::Other => {}
            }
        }
        let streams = (state.out, state.err, state.document);
        state.redirect(&command.redirects);
        let outcome = self.kind(command, state, tail);
        if builtins::is_bare_exec(command) {
            state.moved |= state.out == Stream::Elsewhere;
        } else {
            (state.out, state.err, state.document) = streams;
        }
        outcome
    }

    fn kind(&mut self, command: &'t Command, state: &mut State, tail: bool) -> Outcome {
        match &command.kind {
            Kind::Simple { assignments, words } => {
                return self.simple(command, assignments, words, state, tail);
            }
            Kind::Group(block) => self.block(block, state, tail),
            Kind::Subshell(block) => {
                let mut inner = state.clone();
                self.returns.push(None);
                self.block(block, &mut inner, tail);
                self.returns.pop();
                state.read = state.read.or(inner.read);
            }
            Kind::For {
                variable,
                values,
                body,
            } => {
                let words = values.as_deref().unwrap_or(&[]);
                for word in words {
                    self.word(word, state);
                }
                let named = words.iter().any(|word| state.value(word).is_named());
                let one = if let [word] = words {
                    state.value(word).known()
                } else {
                    None
                };
                let value = one.map_or_else(|| Value::any(named), Value::text);
                state.assign(variable, value);
                self.repeat(body, state, tail);
            }
            Kind::ArithmeticFor { body } => self.repeat(body, state, tail),
            Kind::Case { subject, arms } => self.case(subject, arms, state, tail),
            Kind::If(branches) => self.branches(branches, state, tail),
            Kind::Loop {
                until,
                condition,
                body,
            } => {
                waits::endless(self, command, *until, condition, body, state);
                let mut inner = state.clone();
                inner.uncertain = true;
                let outcome = self.condition(condition, &mut inner);
                inner.path = if *until { outcome.no } else { outcome.yes }.by_something_else();
                self.block(body, &mut inner, false);
                inner.uncertain = state.uncertain;
                state.join(inner);
                state.path.mismatch = None;
            }
            Kind::Function { .. } | Kind::Arithmetic(_) => {}
            Kind::Test(test) => return self.test(test, state, true),
        }
        Outcome {
            yes: state.path.clone(),
            no: Path {
                alive: false,
                ..state.path.clone()
            },
            pure: false,
        }
    }

    fn repeat(&mut self, body: &'t Block, state: &mut State, tail: bool) {
        let mut inner = state.clone();
        inner.uncertain = true;
        inner.path.mismatch = None;
        self.block(body, &mut inner, tail);
        inner.uncertain = state.uncertain;
        state.join(inner);
    }

    fn branches(&mut self, branches: &'t [(Option<Block>, Block)], state: &mut State, tail: bool) {
        let mut ends: Vec<State> = Vec::new();
        let mut all_pure = true;
        let mut has_else = false;
        for (condition, body) in branches {
            let mut inner = state.clone();
            inner.uncertain = true;
            if let Some(condition) = condition {
                let outcome = self.condition(condition, state);
                all_pure &= outcome.pure;
                inner = State {
                    uncertain: true,
                    ..state.clone()
                };
                inner.path = if all_pure {
                    outcome.yes
                } else {
                    outcome.yes.by_something_else()
                };
                state.path = if all_pure {
                    outcome.no
                } else {
                    outcome.no.by_something_else()
                };
            } else {
                has_else = true;
            }
            if inner.path.alive {
                self.block(body, &mut inner, tail);
            }
            ends.push(inner);
        }
        self.come_together(state, ends, has_else);
    }

    fn come_together(&mut self, state: &mut State, ends: Vec<State>, all_covered: bool) {
        let uncertain = state.uncertain;
        if all_covered {
            state.path.alive = false;
        }
        for end in ends {
            state.join(end);
        }
        state.uncertain = uncertain;
    }

    fn case(&mut self, subject: &'t Word, arms: &'t [Arm], state: &mut State, tail: bool) {
        self.word(subject, state);
        let value = state.value(subject);
        let about = about(&value);
        let mut rest = state.path.clone();
        if about.is_none() {
            rest.mismatch = None;
        }
        let mut ends: Vec<State> = Vec::new();
        let mut covered = false;
        let mut fallen: Option<State> = None;
        for arm in arms {
            let (path, remaining, is_default) = self.arm(&value, about, arm, &rest, state);
            let mut inner = state.clone();
            (inner.path, inner.uncertain) = (path, true);
            if let Some(before) = fallen.take() {
                inner.join(before);
            }
            rest = remaining;
            covered |= is_default;
            if inner.path.alive {
                self.block(&arm.body, &mut inner, tail);
            }
            if arm.falls_through {
                fallen = Some(inner);
            } else {
                ends.push(inner);
            }
        }
        self.missing_reason(&value, arms, state);
        state.path = rest;
        self.come_together(state, ends, covered);
    }

    /// The way into one branch, and the way past it.
    fn arm(
        &mut self,
        value: &Value,
        about: Option<About>,
        arm: &'t Arm,
        rest: &Path,
        state: &State,
    ) -> (Path, Path, bool) {
        let mut taken = Calls::EMPTY;
        let mut certain = Calls::EMPTY;
        let mut is_default = false;
        let patterns: Vec<_> = arm
            .patterns
            .iter()
            .map(|p| globs::pattern(p, |n| state.known(n)))
            .collect();
        for (pattern, word) in patterns.iter().zip(&arm.patterns) {
            is_default |= pattern.as_slice() == [globs::Glyph::Many] && word.raw == "*";
            if about.is_some() {
                let others = patterns.iter().filter(|other| *other != pattern);
                let backed = others
                    .clone()
                    .any(|o| !self.matching(value, o, rest.calls, &[]).0.is_empty());
                let (may, must) = self.compare(value, pattern, word.span, rest.calls, backed);
                taken = taken.or(may);
                certain = certain.or(must);
            }
        }
        let mut path = rest.clone();
        let mut remaining = rest.clone();
        if about.is_some() {
            path.calls = conditions::revived(rest.calls, taken);
            remaining.calls = rest.calls.without(certain);
        }
        let exact: Option<Vec<String>> = patterns.iter().map(|pattern| globs::exact(pattern)).collect();
        let name = exact
            .filter(|_| value.is_argument(1))
            .map(|texts| match texts.as_slice() {
                [text] => Value::text(text.clone()),
                _ => Value::any(false),
            });
        path.name = name.or(path.name);
        path.mismatch = if is_default { about } else { None };
        remaining.mismatch = about;
        remaining.alive &= !is_default;
        (path, remaining, is_default)
    }

    fn simple(
        &mut self,
        command: &'t Command,
        assignments: &'t [Assignment],
        words: &'t [Word],
        state: &mut State,
        tail: bool,
    ) -> Outcome {
        for assignment in assignments {
            for word in &assignment.values {
                self.word(word, state);
            }
            if words.is_empty() {
                let value = match assignment.values.as_slice() {
                    [word] if !assignment.array && !assignment.append => state.value(word),
                    all => Value::any(all.iter().any(|word| state.value(word).is_named())),
                };
                state.assign(&assignment.name, value);
            }
        }
        for word in words {
            self.word(word, state);
        }
        let Some(name) = command.name() else {
            commands::check(self, command, "", words, state);
            return Outcome::open(&state.path);
        };
        if let Some(body) = self.functions.get(name.as_str()).copied() {
            return self.call(body, words, state, tail);
        }
        commands::check(self, command, &name, words, state);
        match name.as_str() {
            "[" | "test" => {
                let inner = match words {
                    [_, inner @ .., end] if name == "[" && end.raw == "]" => inner,
                    [_, inner @ ..] => inner,
                    [] => &[],
                };
                match tests_in_brackets::classic(inner) {
                    Some(test) => self.classic_test(&test, state),
                    None => Outcome::open(&state.path),
                }
            }
            "true" | ":" => Outcome {
                yes: state.path.clone(),
                no: Path {
                    alive: false,
                    ..state.path.clone()
                },
                pure: false,
            },
            "exit" => self.leave(words, state),
            "return" => {
                if let Some(Some(end)) = self.returns.last_mut() {
                    end.join(state.clone());
                } else if let Some(end) = self.returns.last_mut() {
                    *end = Some(state.clone());
                } else {
                    return self.leave(words, state);
                }
                state.path.alive = false;
                Outcome::open(&state.path)
            }
            "break" | "continue" => {
                state.path.alive = false;
                Outcome::open(&state.path)
            }
            "exec" if words.len() > 1 => {
                state.path.alive = false;
                Outcome::open(&state.path)
            }
            _ => {
                builtins::effect(&name, words, state);
                Outcome::open(&state.path)
            }
        }
    }

    /// A function of the script is called.
    fn call(&mut self, body: &'t Command, words: &'t [Word], state: &mut State, tail: bool) -> Outcome {
        commands::arguments(self, "", words, state);
        let Kind::Function { name, body } = &body.kind else {
            return Outcome::open(&state.path);
        };
        self.called.insert(name.as_str());
        if state.depth >= CALLS {
            return Outcome::open(&state.path);
        }
        let arguments = builtins::spread(&words[1..], state);
        let own = std::mem::replace(&mut state.arguments, arguments);
        state.depth += 1;
        self.returns.push(None);
        self.command(body, state, tail);
        if let Some(Some(end)) = self.returns.pop() {
            let mut end = end;
            end.uncertain = state.uncertain;
            state.join(end);
        }
        state.depth -= 1;
        state.arguments = own;
        if !state.path.alive {
            return Outcome {
                yes: state.path.clone(),
                no: state.path.clone(),
                pure: false,
            };
        }
        Outcome::open(&state.path)
    }

    /// `exit`
    fn leave(&mut self, words: &'t [Word], state: &mut State) -> Outcome {
        let status = words.get(1).and_then(Word::literal);
        let failing = status
            .as_deref()
            .is_some_and(|text| text.parse::<i64>().is_ok_and(|n| n % 256 != 0));
        let span = words.first().map(|word| word.span);
        let stopped = state.path.calls.aborting();
        if let (true, Some(span), Some(about)) = (failing && self.setting.is_hook, span, state.path.mismatch)
            && !stopped.is_empty()
            && !state.beside
        {
            let remark = match about {
                About::Operation => Remark::new(
                    "FH301",
                    format!(
                        "the hook fails for operations that it does not know: {}",
                        stopped.names()
                    ),
                ),
                About::Name => Remark::new(
                    "FH302",
                    format!("the hook fails for every other name, in: {}", stopped.names()),
                ),
            };
            self.findings.at(span, remark);
        }
        state.path.alive = false;
        Outcome::open(&state.path)
    }

    /// What a word does by itself: commands in it run, and what it names may not exist.
    pub(crate) fn word(&mut self, word: &'t Word, state: &mut State) {
        for piece in &word.pieces {
            self.piece(piece, state);
        }
        commands::contents(self, word, state);
    }

    fn piece(&mut self, piece: &'t Piece, state: &mut State) {
        match &piece.kind {
            PieceKind::Command(block) => {
                if let Some(block) = block.as_ref() {
                    self.aside(block, state);
                }
            }
            PieceKind::Process(block) => self.aside(block, state),
            _ => {}
        }
    }

    /// Commands whose output goes into a word or a pipe.
    fn aside(&mut self, block: &'t Block, state: &mut State) {
        let mut inner = state.clone();
        inner.out = Stream::Elsewhere;
        inner.path.mismatch = None;
        self.returns.push(None);
        self.block(block, &mut inner, false);
        self.returns.pop();
        state.read = state.read.or(inner.read);
    }
}

/// What a comparison of this value is about.
pub(crate) fn about(value: &Value) -> Option<About> {
    if value.holds(1) {
        return Some(About::Name);
    }
    value.is_about_call().then_some(About::Operation)
}
