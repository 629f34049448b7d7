//! Comparisons of the hook's arguments: which calls fulfil them, and which no call ever does.

use crate::check::finding::{Level, Remark};
use crate::check::operations::{self, Calls, Driver, OLD, REASONS};
use crate::check::shell::flow::{self, Outcome, Walker};
use crate::check::shell::globs::{self, Glyph};
use crate::check::shell::state::State;
use crate::check::shell::tree::{Arm, Relation, Test, Word};
use crate::check::shell::values::{Part, Value};
use crate::check::source::Span;

/// Stands for a name that no pattern spells out.
const SOME_NAME: &[Glyph] = &[
    Glyph::Letter('\u{1}'),
    Glyph::Letter('\u{2}'),
    Glyph::Letter('\u{3}'),
];

impl<'t> Walker<'t, '_, '_> {
    /// A condition of `[ ]`, whose words were looked at already.
    pub(crate) fn classic_test(&mut self, test: &Test, state: &State) -> Outcome {
        self.decide(test, state, false)
    }

    /// A condition of `[[ ]]`.
    pub(crate) fn test(&mut self, test: &'t Test, state: &mut State, bash: bool) -> Outcome {
        self.words_of(test, state);
        self.decide(test, state, bash)
    }

    fn words_of(&mut self, test: &'t Test, state: &mut State) {
        match test {
            Test::And(a, b) | Test::Or(a, b) => {
                self.words_of(a, state);
                self.words_of(b, state);
            }
            Test::Not(inner) => self.words_of(inner, state),
            Test::One(word) => self.word(word, state),
            Test::Two { left, right, .. } => {
                self.word(left, state);
                self.word(right, state);
            }
        }
    }

    fn decide(&mut self, test: &Test, state: &State, bash: bool) -> Outcome {
        match test {
            Test::And(a, b) => {
                let first = self.decide(a, state, bash);
                let mut inner = state.clone();
                inner.path = first.yes;
                let second = self.decide(b, &inner, bash);
                let pure = first.pure && second.pure;
                Outcome {
                    yes: second.yes,
                    no: first.no.join(second.no),
                    pure,
                }
            }
            Test::Or(a, b) => {
                let first = self.decide(a, state, bash);
                let mut inner = state.clone();
                inner.path = first.no;
                let second = self.decide(b, &inner, bash);
                let pure = first.pure && second.pure;
                Outcome {
                    yes: first.yes.join(second.yes),
                    no: second.no,
                    pure,
                }
            }
            Test::Not(inner) => {
                let outcome = self.decide(inner, state, bash);
                Outcome {
                    yes: outcome.no,
                    no: outcome.yes,
                    pure: outcome.pure,
                }
            }
            Test::One(_) => Outcome::open(&state.path),
            Test::Two {
                relation,
                left,
                right,
            } => self.two(*relation, left, right, state, bash),
        }
    }

    fn two(&mut self, relation: Relation, left: &Word, right: &Word, state: &State, bash: bool) -> Outcome {
        let (mut subject, mut other, mut word) = (state.value(left), state.value(right), right);
        if !subject.is_about_call() {
            std::mem::swap(&mut subject, &mut other);
            word = left;
        }
        if relation == Relation::Other || !subject.is_about_call() || other.is_about_call() {
            return Outcome::open(&state.path);
        }
        let pattern = match other.known() {
            Some(text) if !bash => text.chars().map(Glyph::Letter).collect(),
            _ if bash => globs::pattern(word, |name| state.known(name)),
            _ => vec![Glyph::Many],
        };
        // `[ "$1" ]`-like tests for emptiness say nothing about the call.
        if pattern.is_empty() {
            return Outcome::open(&state.path);
        }
        let (may, must) = self.compare(&subject, &pattern, word.span, state.path.calls, false);
        let (mut yes, mut no) = (state.path.clone(), state.path.clone());
        yes.calls = revived(yes.calls, may);
        no.calls = no.calls.without(must);
        no.alive &= !no.calls.is_empty() || state.path.calls.is_empty();
        no.mismatch = flow::about(&subject);
        yes.mismatch = None;
        if subject.is_argument(1) {
            yes.name = Some(other);
        }
        if relation == Relation::Different {
            std::mem::swap(&mut yes, &mut no);
        }
        Outcome { yes, no, pure: true }
    }

    /// Which calls may fulfil a comparison, and which do whatever the name is. What none fulfils is reported;
    /// `backed`: another pattern of the same branch is fulfilled.
    pub(crate) fn compare(
        &mut self,
        subject: &Value,
        pattern: &[Glyph],
        span: Span,
        calls: Calls,
        backed: bool,
    ) -> (Calls, Calls) {
        let found = self.matching(subject, pattern, calls, &[]);
        if found.0.is_empty()
            && !calls.is_empty()
            && self.setting.is_hook
            && let Some(mut remark) = self.diagnose(subject, pattern, calls)
        {
            if backed && remark.level.is_none() {
                remark = remark.level(Level::Note);
            }
            self.findings.at(span, remark);
        }
        found
    }

    /// The calls whose value fits a pattern: with some name, and with every name.
    pub(crate) fn matching(
        &self,
        subject: &Value,
        pattern: &[Glyph],
        calls: Calls,
        loose: &[u8],
    ) -> (Calls, Calls) {
        let (mut may, mut must) = (Calls::EMPTY, Calls::EMPTY);
        for (index, event) in calls.iter() {
            let fits = |extra: &&str, name| globs::meet(&subject.glyphs(event, extra, name, loose), pattern);
            if event.extras.iter().any(|extra| fits(extra, &[Glyph::Many])) {
                may = may.or(Calls::one(index));
            }
            let decided = !pattern.contains(&Glyph::Many) || pattern == [Glyph::Many];
            if (decided || subject.is_argument(2)) && event.extras.iter().all(|extra| fits(extra, SOME_NAME))
            {
                must = must.or(Calls::one(index));
            }
        }
        (may, must)
    }

    /// Why no call fulfils a comparison; nothing when it only stands at a place where it cannot.
    fn diagnose(&self, subject: &Value, pattern: &[Glyph], calls: Calls) -> Option<Remark> {
        let all = self.setting.all;
        let fits = |calls, loose: &[u8]| !self.matching(subject, pattern, calls, loose).0.is_empty();
        let text = globs::exact(pattern);
        let shown = text.clone().unwrap_or_else(|| "this pattern".to_owned());
        if fits(all, &[]) {
            return misplaced(subject, &shown, calls);
        }
        if subject.holds(4) && fits(all, &[4]) {
            let release = calls.and(Calls::which(|event| event.extras == REASONS));
            return if fits(release, &[4]) { reason(&shown) } else { None };
        }
        if subject.holds(3) && (!subject.holds(2) || fits(all, &[3, 4])) {
            return Some(wrong_sub(
                &shown,
                if subject.holds(2) { all } else { calls },
                subject.holds(2),
            ));
        }
        if !subject.holds(2) {
            return None;
        }
        let operation = text
            .as_deref()
            .and_then(|text| fragment(subject, text))
            .unwrap_or(shown);
        if let Some((old, new)) = OLD.iter().find(|(old, _)| *old == operation) {
            return Some(
                Remark::new(
                    "FH204",
                    format!("`{old}` is what libvirt before 5.0 called; it is never called now"),
                )
                .fix(format!(
                    "wait for `{new}` and read the document's `<networkport>`"
                )),
            );
        }
        let everybody = Calls::which(|_| true);
        if fits(everybody, &[3, 4]) && !self.setting.is_daemons_only(&operation) {
            return self.setting.driver.map(|driver| self.foreign(driver, &operation));
        }
        if operation.is_empty() || operation.contains(char::is_whitespace) {
            return None;
        }
        let remark = Remark::new(
            "FH201",
            format!("no hook is ever called with the operation `{operation}`"),
        );
        Some(match operations::suggest(&operation, all) {
            Some(meant) => remark.fix(format!("did you mean `{meant}`?")),
            None => remark.fix(format!("the operations are: {}", all.names())),
        })
    }

    fn foreign(&self, driver: Driver, operation: &str) -> Remark {
        let owner = operations::EVENTS
            .iter()
            .find(|event| event.operation == operation);
        let owner = owner.map_or("another driver", |event| event.driver.name());
        let remark = Remark::new(
            "FH202",
            format!(
                "`{operation}` is an operation of {owner} hooks; a {} hook never gets it",
                driver.name()
            ),
        );
        match operations::suggest(operation, self.setting.all) {
            Some(meant) => remark.fix(format!("did you mean `{meant}`?")),
            None => remark,
        }
    }

    /// A `case` over the fourth argument that waits for `-` after a release, and for nothing else.
    pub(crate) fn missing_reason(&mut self, value: &Value, arms: &'t [Arm], state: &State) {
        if !value.holds(4) || !value.holds(2) || !self.setting.is_hook {
            return;
        }
        let release = state
            .path
            .calls
            .and(Calls::which(|event| event.extras == REASONS));
        let patterns = || arms.iter().flat_map(|arm| &arm.patterns);
        let caught = patterns().any(|word| {
            let pattern = globs::pattern(word, |name| state.known(name));
            word.raw != "*" && !self.matching(value, &pattern, release, &[]).0.is_empty()
        });
        if caught || release.is_empty() {
            return;
        }
        for word in patterns() {
            let pattern = globs::pattern(word, |name| state.known(name));
            let meant = !self.matching(value, &pattern, release, &[4]).0.is_empty();
            if let (true, Some(remark)) = (
                meant && word.raw != "*",
                reason(&globs::exact(&pattern).unwrap_or_default()),
            ) {
                self.findings.at(word.span, remark);
            }
        }
    }
}

/// The value exists, but not here.
fn misplaced(subject: &Value, shown: &str, calls: Calls) -> Option<Remark> {
    let release = Calls::which(|event| event.operation == "release");
    if subject.is_argument(4) && calls.without(release).is_empty() {
        return reason(shown);
    }
    if subject.holds(3) && !subject.holds(2) {
        return Some(wrong_sub(shown, calls, false));
    }
    None
}

fn wrong_sub(shown: &str, calls: Calls, whole: bool) -> Remark {
    let pairs: Vec<String> = {
        let mut pairs = Vec::new();
        for (_, event) in calls.iter() {
            let pair = format!("{} {}", event.operation, event.sub);
            if !pairs.contains(&pair) && (!whole || shown.contains(event.operation)) {
                pairs.push(pair);
            }
        }
        pairs
    };
    Remark::new(
        "FH203",
        format!("`{shown}` never comes: no call has this operation and sub-operation"),
    )
    .fix(format!("what comes here is: {}", pairs.join(", ")))
}

fn reason(shown: &str) -> Option<Remark> {
    if shown.ends_with('-') {
        return Some(Remark::new(
            "FH205",
            "the fourth argument of `release` is a reason, not `-`",
        ));
    }
    let known = format!("the reasons are: {}", REASONS.join(", "));
    Some(
        Remark::new(
            "FH206",
            format!("`{shown}` is no reason that `release` is called with"),
        )
        .fix(known),
    )
}

/// The part of a text that stands for the operation.
fn fragment(subject: &Value, text: &str) -> Option<String> {
    let mut rest = text;
    for (i, part) in subject.0.iter().enumerate() {
        if let Part::Text(own) = part {
            rest = rest.strip_prefix(own.as_str())?;
            continue;
        }
        let end = match subject.0.get(i + 1) {
            Some(Part::Text(next)) => rest.find(next.as_str())?,
            Some(_) => return None,
            None => rest.len(),
        };
        if *part == Part::Argument(2) {
            return Some(rest[..end].to_owned());
        }
        rest = &rest[end..];
    }
    None
}

/// The calls with which a branch is looked at. One that is never taken was meant for something: it is looked at
/// as well, but not as a filter.
pub(crate) fn revived(calls: Calls, taken: Calls) -> Calls {
    let both = calls.and(taken);
    if !both.is_empty() {
        return both;
    }
    let rest = calls.without(calls.filters());
    if rest.is_empty() { calls } else { rest }
}
