//! All families at one moment, in the order of `docs/metrics.md`.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::calls::CallPicture;
use super::runs::Runs;

/// What is written out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scrape {
    pub(crate) runs: Arc<Runs>,
    pub(crate) hooks_running: usize,
    pub(crate) hooks_late: usize,
    pub(crate) hooks_waiting: usize,
    /// By state, with all states.
    pub(crate) guests: Vec<(&'static str, usize)>,
    pub(crate) networks_active: usize,
    pub(crate) networks_inactive: usize,
    pub(crate) clients: usize,
    pub(crate) calls: Vec<CallPicture>,
    /// Nothing without a history.
    pub(crate) history: Option<HistoryPicture>,
    pub(crate) began: Option<SystemTime>,
}

/// The history at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HistoryPicture {
    pub(crate) lost: u64,
    pub(crate) bytes: u64,
}

impl Scrape {
    /// The text, in the format OpenMetrics 1.0.
    pub(crate) fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut families = Families(&mut encoder);
        self.hooks(&mut families)?;
        self.host(&mut families)?;
        self.rpc(&mut families)?;
        self.daemon(&mut families)
    }
}

impl Scrape {
    fn hooks(&self, families: &mut Families<'_, '_>) -> Result<(), fmt::Error> {
        if self.history.is_some() {
            let counts: Vec<_> = self
                .runs
                .counts()
                .into_iter()
                .map(|([driver, operation, result], count)| {
                    (
                        vec![("driver", driver), ("operation", operation), ("result", result)],
                        count,
                    )
                })
                .collect();
            families.counter("ferrovirt_hook_runs", "Runs of hooks that ended.", &counts)?;
            let help = "How long runs of hooks took.";
            let mut metric = families.0.encode_descriptor(
                "ferrovirt_hook_duration_seconds",
                help,
                None,
                MetricType::Histogram,
            )?;
            for ([driver, operation, script], times) in self.runs.times() {
                let labels = vec![("driver", driver), ("operation", operation), ("script", script)];
                metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                    times.seconds,
                    times.count,
                    &times.buckets,
                    None,
                )?;
            }
            let help = "Changes of the history that came too fast to be counted here.";
            families.counter(
                "ferrovirt_hook_changes_missed",
                help,
                &[(Vec::new(), self.runs.missed())],
            )?;
        }
        families.gauge(
            "ferrovirt_hooks_running",
            "Hooks that run now.",
            self.hooks_running,
        )?;
        let help = "Hooks that run now and have passed their soft limit.";
        families.gauge("ferrovirt_hooks_late", help, self.hooks_late)?;
        let help = "Hooks that wait for a lock now.";
        families.gauge("ferrovirt_hooks_waiting_for_lock", help, self.hooks_waiting)
    }

    fn host(&self, families: &mut Families<'_, '_>) -> Result<(), fmt::Error> {
        let guests: Vec<_> = self.guests.iter().map(|(state, n)| (*state, *n as u64)).collect();
        families.states("ferrovirt_guests", "Guests by state.", &guests)?;
        let networks = [
            ("active", self.networks_active as u64),
            ("inactive", self.networks_inactive as u64),
        ];
        families.states("ferrovirt_networks", "Networks by state.", &networks)?;
        families.gauge(
            "ferrovirt_clients",
            "Clients that are connected now.",
            self.clients,
        )
    }

    fn rpc(&self, families: &mut Families<'_, '_>) -> Result<(), fmt::Error> {
        let mut counts = Vec::new();
        for call in &self.calls {
            let ok = call.times.count.saturating_sub(call.failed);
            for (result, count) in [("ok", ok), ("error", call.failed)] {
                let labels = vec![("procedure", call.name.to_owned()), ("result", result.to_owned())];
                counts.push((labels, count));
            }
        }
        families.counter("ferrovirt_calls", "Calls of clients that were answered.", &counts)?;
        let help = "How long calls of clients took, from the whole request to the whole answer.";
        let mut metric = families.0.encode_descriptor(
            "ferrovirt_call_duration_seconds",
            help,
            None,
            MetricType::Histogram,
        )?;
        for call in &self.calls {
            let labels = [("procedure", call.name)];
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                call.times.seconds,
                call.times.count,
                &call.times.buckets,
                None,
            )?;
        }
        Ok(())
    }

    fn daemon(&self, families: &mut Families<'_, '_>) -> Result<(), fmt::Error> {
        if let Some(history) = self.history {
            let help = "Entries of the history that could not be written.";
            families.counter(
                "ferrovirt_history_entries_lost",
                help,
                &[(Vec::new(), history.lost)],
            )?;
            let help = "Size of the history on disk, with its log.";
            families.gauge_u64("ferrovirt_history_size_bytes", help, history.bytes)?;
        }
        let began = self
            .began
            .and_then(|began| began.duration_since(SystemTime::UNIX_EPOCH).ok());
        if let Some(began) = began {
            let help = "When the daemon was started, seconds since 1970.";
            families
                .0
                .encode_descriptor("process_start_time_seconds", help, None, MetricType::Gauge)?
                .encode_gauge(&began.as_secs_f64())?;
        }
        let mut metric = families.0.encode_descriptor(
            "ferrovirt_build",
            "Which ferrovirt this is.",
            None,
            MetricType::Info,
        )?;
        metric.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }
}

/// Writes families of one kind.
struct Families<'a, 'b>(&'a mut DescriptorEncoder<'b>);

/// Names and values of labels.
type Labels = Vec<(&'static str, String)>;

impl Families<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, rows: &[(Labels, u64)]) -> Result<(), fmt::Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in rows {
            let none = None::<&prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, u64>>;
            match labels.is_empty() {
                true => metric.encode_counter(count, none)?,
                false => metric.encode_family(labels)?.encode_counter(count, none)?,
            }
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: usize) -> Result<(), fmt::Error> {
        self.gauge_u64(name, help, value as u64)
    }

    fn gauge_u64(&mut self, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
        self.0
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    fn states(&mut self, name: &str, help: &str, rows: &[(&'static str, u64)]) -> Result<(), fmt::Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (state, count) in rows {
            metric.encode_family(&[("state", *state)])?.encode_gauge(count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::calls::Calls;
    use super::super::runs::tests::{counted, run};
    use super::*;
    use ferrovirt_hook::history::How;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn full() -> Scrape {
        let calls = Calls::new();
        let row = &ferrovirt_wire::procedures::TABLE[0];
        calls.answered(1, row, true, Duration::from_millis(3));
        Scrape {
            runs: counted(&[run("/h/a\"b\\\n", How::Exit(0))]),
            guests: vec![("running", 2), ("paused", 0)],
            networks_active: 1,
            calls: calls.pictures(),
            history: Some(HistoryPicture { lost: 3, bytes: 4096 }),
            began: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(7)),
            ..Scrape::default()
        }
    }

    /// Names after `# TYPE`.
    fn families(text: &str) -> BTreeSet<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        lines.filter_map(|line| line.split(' ').next()).collect()
    }

    #[test]
    fn the_documentation_names_the_same_families() {
        let text = full().text();
        let documented: BTreeSet<&str> = include_str!("../../../../docs/metrics.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .filter(|name| name.starts_with("ferrovirt_") || name.starts_with("process_"))
            .map(|name| {
                let plain = name.strip_suffix("_total").or_else(|| name.strip_suffix("_info"));
                plain.unwrap_or(name)
            })
            .collect();
        assert_eq!(families(&text), documented);
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let text = full().text();
        for line in [
            "# TYPE ferrovirt_hook_runs counter",
            "ferrovirt_hook_runs_total{driver=\"qemu\",operation=\"start\",result=\"ok\"} 1",
            "ferrovirt_hook_duration_seconds_bucket{le=\"0.025\",driver=\"qemu\",operation=\"start\",script=\"a\\\"b\\\\\\n\"} 1",
            "ferrovirt_hook_duration_seconds_bucket{le=\"+Inf\",driver=\"qemu\",operation=\"start\",script=\"a\\\"b\\\\\\n\"} 1",
            "ferrovirt_guests{state=\"running\"} 2",
            "ferrovirt_guests{state=\"paused\"} 0",
            "ferrovirt_networks{state=\"active\"} 1",
            "ferrovirt_clients 0",
            "ferrovirt_calls_total{procedure=\"CONNECT_OPEN\",result=\"error\"} 1",
            "ferrovirt_calls_total{procedure=\"CONNECT_OPEN\",result=\"ok\"} 0",
            "ferrovirt_history_entries_lost_total 3",
            "ferrovirt_history_size_bytes 4096",
            "process_start_time_seconds 7.0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn without_a_history_there_are_no_counters_of_hooks() {
        let text = Scrape {
            history: None,
            ..full()
        }
        .text();
        assert!(!text.contains("ferrovirt_hook_runs") && !text.contains("ferrovirt_history"));
        assert!(text.contains("ferrovirt_hooks_running 0"));
    }
}
