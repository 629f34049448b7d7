//! An operation as bars: which hook ran when and for how long, beside what the hypervisor took.

use std::time::{Duration, SystemTime};

use ferrovirt_hook::history::Operation;

use super::words::{self, Mark};

/// The width of the drawing. SVG scales it; styles in attributes are not allowed.
const WIDTH: f64 = 1000.0;
/// What is shorter is still to be seen, and to be clicked on.
const NARROWEST: f64 = 4.0;

/// All bars of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeline {
    pub(crate) bars: Vec<Bar>,
    /// From the operation's begin to its end, or to the end of the last hook.
    pub(crate) total: String,
    /// While at least one hook ran.
    pub(crate) hooks: String,
    /// The rest.
    pub(crate) rest: String,
}

/// One bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bar {
    /// The script's file name, or the step.
    pub(crate) name: String,
    /// What it was called for.
    pub(crate) detail: String,
    /// The run behind it; steps have none.
    pub(crate) run: Option<u64>,
    pub(crate) mark: Mark,
    pub(crate) outcome: String,
    /// How long after the operation's begin.
    pub(crate) after: String,
    pub(crate) took: String,
    pub(crate) x: String,
    pub(crate) width: String,
}

impl Bar {
    /// The classes of the stylesheet.
    pub(crate) fn class(&self) -> String {
        let what = if self.run.is_some() { "hook" } else { "step" };
        format!("{what} {}", self.mark)
    }
}

/// When something was, counted from the operation's begin.
#[derive(Debug, Clone, Copy)]
struct Span {
    begin: Duration,
    end: Duration,
}

/// Draws.
pub(crate) fn draw(operation: &Operation, now: SystemTime) -> Timeline {
    let begin = operation.row.began;
    // A clock that was set back meanwhile must not make it negative.
    let after = |time: SystemTime| time.duration_since(begin).unwrap_or_default();
    let span = |began: SystemTime, took: Duration| Span {
        begin: after(began),
        end: after(began) + took,
    };
    let end = operation.row.ended.map(after);
    let run_spans: Vec<Span> = operation
        .runs
        .iter()
        .map(|run| {
            let until = if run.how.is_none() {
                after(now)
            } else {
                Duration::ZERO
            };
            let took = run.took.unwrap_or_else(|| until.saturating_sub(after(run.began)));
            span(run.began, took)
        })
        .collect();
    let step_spans: Vec<Span> = operation.steps.iter().map(|s| span(s.began, s.took)).collect();
    let last = run_spans.iter().chain(&step_spans).map(|span| span.end).max();
    let open = (end.is_none() && !operation.row.lost).then(|| after(now));
    let total = end.max(last).max(open).unwrap_or_default();

    let steps = operation.steps.iter().zip(&step_spans).map(|(step, span)| Bar {
        name: step.name.clone(),
        detail: "hypervisor".to_owned(),
        run: None,
        mark: if step.failure.is_some() {
            Mark::Bad
        } else {
            Mark::Good
        },
        outcome: if step.failure.is_some() { "failed" } else { "ok" }.to_owned(),
        ..placed(*span, total)
    });
    let runs = operation.runs.iter().zip(&run_spans).map(|(run, span)| {
        let (outcome, mark) = words::outcome(run);
        let file = run.script.file_name().unwrap_or(run.script.as_os_str());
        Bar {
            name: file.to_string_lossy().into_owned(),
            detail: format!("{} {} {}", run.driver, run.operation, run.sub_operation),
            run: Some(run.id.0),
            mark,
            outcome,
            ..placed(*span, total)
        }
    });
    let mut bars: Vec<(Duration, Bar)> = step_spans
        .iter()
        .chain(&run_spans)
        .map(|span| span.begin)
        .zip(steps.chain(runs))
        .collect();
    bars.sort_by_key(|(begin, _)| *begin);
    let hooks = covered(run_spans);
    Timeline {
        bars: bars.into_iter().map(|(_, bar)| bar).collect(),
        total: words::length(total),
        hooks: words::length(hooks),
        rest: words::length(total.saturating_sub(hooks)),
    }
}

/// A bar that has a place and nothing else.
fn placed(span: Span, total: Duration) -> Bar {
    let scale = |time: Duration| match total.is_zero() {
        true => 0.0,
        false => time.as_secs_f64() / total.as_secs_f64() * WIDTH,
    };
    let x = scale(span.begin).min(WIDTH - NARROWEST);
    let width = (scale(span.end) - x).clamp(NARROWEST, WIDTH - x);
    let took = span.end.saturating_sub(span.begin);
    Bar {
        name: String::new(),
        detail: String::new(),
        run: None,
        mark: Mark::Good,
        outcome: String::new(),
        after: words::length(span.begin),
        took: words::length(took),
        x: format!("{x:.1}"),
        width: format!("{width:.1}"),
    }
}

/// How much time the spans cover together; hooks may run side by side.
fn covered(mut spans: Vec<Span>) -> Duration {
    spans.sort_by_key(|span| span.begin);
    let (mut sum, mut reached) = (Duration::ZERO, Duration::ZERO);
    for span in spans {
        let from = span.begin.max(reached);
        sum += span.end.saturating_sub(from);
        reached = reached.max(span.end);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(begin: u64, end: u64) -> Span {
        Span {
            begin: Duration::from_millis(begin),
            end: Duration::from_millis(end),
        }
    }

    #[test]
    fn hooks_side_by_side_count_once() {
        let spans = vec![span(10, 20), span(0, 5), span(12, 15), span(18, 30)];
        assert_eq!(covered(spans), Duration::from_millis(25));
    }

    #[test]
    fn bars_are_in_proportion() {
        let bar = placed(span(250, 750), Duration::from_secs(1));
        assert_eq!((bar.x.as_str(), bar.width.as_str()), ("250.0", "500.0"));
        assert_eq!((bar.after.as_str(), bar.took.as_str()), ("250 ms", "500 ms"));
    }

    proptest! {
        #[test]
        fn no_bar_leaves_the_drawing(begin: u32, took: u32, total: u32) {
            let (begin, took) = (u64::from(begin), u64::from(took));
            let bar = placed(span(begin, begin + took), Duration::from_millis(total.into()));
            let (x, width): (f64, f64) = (bar.x.parse().unwrap(), bar.width.parse().unwrap());
            prop_assert!(x >= 0.0 && width >= NARROWEST - 0.1 && x + width <= WIDTH + 0.2);
        }
    }
}
