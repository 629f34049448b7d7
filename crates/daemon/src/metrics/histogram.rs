//! A histogram that costs one addition or two per observation, and no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many bounds a histogram has at most.
const BOUNDS: usize = 14;

/// Durations, sorted into buckets.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [Duration],
    /// One more than there are bounds: what is longer than all of them.
    counts: [AtomicU64; BOUNDS + 1],
    nanoseconds: AtomicU64,
}

/// A histogram at one moment, as it is written out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    pub(crate) seconds: f64,
    pub(crate) count: u64,
    /// Upper bound in seconds, and how many were between it and the one before.
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// An empty one; `bounds` ascend. Those beyond the fourteenth are not looked at.
    pub(crate) fn new(bounds: &'static [Duration]) -> Histogram {
        Histogram {
            bounds: &bounds[..bounds.len().min(BOUNDS)],
            counts: Default::default(),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// Counts one.
    pub(crate) fn observe(&self, time: Duration) {
        let bucket = self.bounds.iter().position(|bound| time <= *bound);
        self.counts[bucket.unwrap_or(self.bounds.len())].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// As it is now.
    pub(crate) fn picture(&self) -> Picture {
        let bounds = self.bounds.iter().map(Duration::as_secs_f64);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        Picture {
            seconds: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64(),
            // Summed up from the same numbers, so that the last bucket and the count agree.
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        const BOUNDS: &[Duration] = &[Duration::from_millis(1), Duration::from_millis(10)];
        let histogram = Histogram::new(BOUNDS);
        for ms in [1, 2, 10, 500] {
            histogram.observe(Duration::from_millis(ms));
        }
        let picture = histogram.picture();
        assert_eq!(picture.buckets, [(0.001, 1), (0.01, 2), (f64::INFINITY, 1)]);
        assert_eq!((picture.count, picture.seconds), (4, 0.513));
    }
}
