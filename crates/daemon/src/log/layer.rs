//! The end of `tracing`: an event becomes a [`Record`] if libvirt's filters let it through.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::Logging;
use super::line::Record;
use super::syntax::{Filter, Level};
use super::writer::Queue;

/// Which events are wanted.
#[derive(Debug, Clone)]
pub struct Threshold {
    level: Level,
    filters: Vec<Filter>,
    /// The least level that any output takes: what is below is not even made.
    outputs: Level,
}

impl Threshold {
    /// As the settings say.
    pub fn new(logging: &Logging) -> Self {
        let outputs = logging
            .outputs
            .iter()
            .map(|o| o.level)
            .min()
            .unwrap_or(Level::Error);
        Self {
            level: logging.level,
            filters: logging.filters.clone(),
            outputs,
        }
    }

    /// Whether an event of this level from this source is wanted. The first filter that fits counts.
    pub fn wants(&self, level: Level, source: &str) -> bool {
        let least = self
            .filters
            .iter()
            .find(|f| f.matches(source))
            .map_or(self.level, |f| f.level);
        level >= least && level >= self.outputs
    }

    /// The least level that any source may use.
    fn least(&self) -> Level {
        let least = self
            .filters
            .iter()
            .map(|f| f.level)
            .chain([self.level])
            .min()
            .unwrap_or(self.level);
        least.max(self.outputs)
    }
}

/// The layer that hands events to the writer.
pub struct LogLayer {
    threshold: Threshold,
    queue: Queue,
}

impl LogLayer {
    /// A layer with these filters.
    pub fn new(threshold: Threshold, queue: Queue) -> Self {
        Self { threshold, queue }
    }

    /// Use other filters from now on.
    pub fn set(&mut self, threshold: Threshold) {
        self.threshold = threshold;
    }
}

/// The name that filters know a source by: `ferrovirt_qemu::qmp::client` is `qemu.qmp.client`.
fn source_of(metadata: &Metadata<'_>) -> String {
    let target = metadata.target();
    target
        .strip_prefix("ferrovirt_")
        .unwrap_or(target)
        .replace("::", ".")
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span()
            || self
                .threshold
                .wants(metadata.level().into(), &source_of(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.threshold.least().tracing())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        self.queue.push(Record {
            time: jiff::Timestamp::now(),
            level: metadata.level().into(),
            source: source_of(metadata),
            line: metadata.line().unwrap_or(0),
            text: text.whole(),
        });
    }
}

/// Collects an event's message and its fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn whole(self) -> String {
        match (self.message.is_empty(), self.fields.is_empty()) {
            (_, true) => self.message,
            (true, false) => self.fields,
            (false, false) => format!("{} ({})", self.message, self.fields),
        }
    }

    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            self.message.write_fmt(value)
        } else {
            let comma = if self.fields.is_empty() { "" } else { ", " };
            write!(self.fields, "{comma}{}={value}", field.name())
        };
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::sink::Sink;
    use super::super::syntax::{Destination, Output, several};
    use super::super::writer::Writer;
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    fn logging(level: Level, filters: &str, outputs: Level) -> Logging {
        let output = Output {
            level: outputs,
            destination: Destination::Stderr,
        };
        Logging {
            level,
            filters: several(filters).unwrap(),
            outputs: vec![output],
        }
    }

    #[test]
    fn the_first_filter_that_fits_counts() {
        let threshold = Threshold::new(&logging(Level::Warning, "1:qemu 4:net", Level::Debug));
        assert!(threshold.wants(Level::Debug, "qemu.qmp"));
        assert!(!threshold.wants(Level::Warning, "network"));
        assert!(threshold.wants(Level::Warning, "guest") && !threshold.wants(Level::Info, "guest"));
        assert_eq!(threshold.least(), Level::Debug);
    }

    #[test]
    fn what_no_output_takes_is_not_made() {
        let threshold = Threshold::new(&logging(Level::Debug, "", Level::Error));
        assert!(!threshold.wants(Level::Warning, "guest") && threshold.wants(Level::Error, "guest"));
        assert_eq!(threshold.least(), Level::Error);
    }

    #[test]
    fn an_event_becomes_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let output = Output {
            level: Level::Debug,
            destination: Destination::File(path.clone()),
        };
        let writer = Writer::start(vec![Sink::open(&output).unwrap()]).unwrap();
        let layer = LogLayer::new(
            Threshold::new(&logging(Level::Info, "", Level::Debug)),
            writer.queue(),
        );
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "virHookCall", "Hook script execution failed: {}", "x");
            tracing::info!(guest = "g1", "started");
            tracing::debug!("not wanted");
        });
        writer.flush();
        let text = std::fs::read_to_string(path).unwrap();
        let ends: Vec<_> = text
            .lines()
            .map(|l| l.split(": ").nth(2).unwrap().to_owned())
            .collect();
        assert_eq!(ends.len(), 4, "{text}");
        assert!(text.contains(": error : virHookCall:"), "{text}");
        assert!(text.contains(" : Hook script execution failed: x\n"), "{text}");
        assert!(text.contains(": info : daemon.log.layer.tests:"), "{text}");
        assert!(text.contains(" : started (guest=g1)\n"), "{text}");
    }
}
