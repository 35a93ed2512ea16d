//! A histogram for many equal observations at once, without a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds in microseconds: powers of two from 16 us to 33.6 s, so that a bucket is found by counting zeros.
const BUCKETS: usize = 22;
const FIRST_BOUND_LOG2: u32 = 4;

/// Durations in buckets that double from 16 us to 33.6 s, and one above.
///
/// The stock histogram takes a mutex for each observation; this one takes two atomics for a whole frame.
#[derive(Clone, Default)]
pub struct Latency(Arc<Cells>);

#[derive(Default)]
struct Cells {
    counts: [AtomicU64; BUCKETS + 1],
    sum_us: AtomicU64,
}

impl Latency {
    /// Counts `count` events that took `duration` each.
    pub fn observe(&self, duration: Duration, count: u32) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.0.counts.get(bucket(us)) {
            bucket.fetch_add(u64::from(count), Ordering::Relaxed);
        }
        self.0.sum_us.fetch_add(us.saturating_mul(u64::from(count)), Ordering::Relaxed);
    }
}

impl Latency {
    /// Counts `count` events of which no more is known than that they took longer than every bound.
    pub fn observe_beyond(&self, count: u32) {
        if let Some(beyond) = self.0.counts.last() {
            beyond.fetch_add(u64::from(count), Ordering::Relaxed);
        }
    }
}

fn bucket(us: u64) -> usize {
    // The number of bits of (us - 1) is the exponent of the smallest power of two not below us.
    let exponent = u64::BITS - us.saturating_sub(1).leading_zeros();
    (exponent.saturating_sub(FIRST_BOUND_LOG2) as usize).min(BUCKETS)
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency").finish_non_exhaustive()
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let mut bound_us = 1_u64 << FIRST_BOUND_LOG2;
        let mut count = 0;
        let mut buckets = Vec::with_capacity(BUCKETS + 1);
        for (position, cell) in self.0.counts.iter().enumerate() {
            let here = cell.load(Ordering::Relaxed);
            let bound = if position == BUCKETS { f64::INFINITY } else { seconds(bound_us) };
            buckets.push((bound, here));
            count += here;
            bound_us = bound_us.saturating_mul(2);
        }
        let sum = seconds(self.0.sum_us.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_duration_falls_under_the_smallest_bound_not_below_it() {
        for (us, expected) in [(0, 0), (16, 0), (17, 1), (32, 1), (33, 2), (33_554_432, 21), (33_554_433, 22)]
        {
            assert_eq!(bucket(us), expected, "{us} us");
        }
    }

    #[test]
    fn the_text_counts_each_event_of_a_frame() {
        let latency = Latency::default();
        let mut registry = Registry::default();
        registry.register("wait", "Wait", latency.clone());
        latency.observe(Duration::from_micros(20), 64);
        latency.observe(Duration::from_secs(60), 1);
        let text = super::super::text(&registry).unwrap();
        assert!(text.contains("wait_bucket{le=\"0.000032\"} 64"), "{text}");
        assert!(text.contains("wait_bucket{le=\"33.554432\"} 64"), "{text}");
        assert!(text.contains("wait_bucket{le=\"+Inf\"} 65"), "{text}");
        assert!(text.contains("wait_count 65"), "{text}");
    }
}
