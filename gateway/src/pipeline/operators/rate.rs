//! So many events a second and a burst of them: the generic cell rate algorithm, of which a key's state is one moment.

use std::num::NonZeroU64;

const MS_NS: u64 = 1_000_000;
const SECOND_NS: f64 = 1e9;

/// A rate for any number of keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// From one event to the next.
    period_ns: u64,
    /// How long an empty bucket takes to fill.
    fill_ns: u64,
}

/// When a key's bucket will be full; until then, what is missing is what was taken.
pub(super) type FullAt = NonZeroU64;

impl Rate {
    /// `per_second` from 0.001 on, `burst` from 1 to a million.
    pub(super) fn new(per_second: f64, burst: u32) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the configuration has bounded it; beyond that it saturates"
        )]
        let period_ns = (SECOND_NS / per_second) as u64;
        let period_ns = period_ns.max(1);
        Self { period_ns, fill_ns: period_ns.saturating_mul(burst.max(1).into()) }
    }

    /// Takes one of a key's, if there is one left, and says what there is to remember either way. Of a clock that was set
    /// back the bucket is empty then, and fills from then on.
    pub(super) fn take(self, before: Option<FullAt>, now_ms: u64) -> (bool, FullAt) {
        let now = now_ms.saturating_mul(MS_NS);
        let fullest = now.saturating_add(self.fill_ns);
        let full_at = before.map_or(0, FullAt::get).clamp(now, fullest);
        let after = full_at.saturating_add(self.period_ns);
        let takes = after <= fullest;
        (takes, FullAt::new(if takes { after } else { full_at }).unwrap_or(FullAt::MIN))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START_MS: u64 = 1_790_000_000_000;

    #[track_caller]
    fn takes(per_second: f64, burst: u32, at_ms: &[i64], expected: &[u8]) {
        let (rate, mut level) = (Rate::new(per_second, burst), None);
        let took = at_ms.iter().map(|ms| {
            let (takes, after) = rate.take(level, START_MS.saturating_add_signed(*ms));
            level = Some(after);
            u8::from(takes)
        });
        assert_eq!(took.collect::<Vec<_>>(), expected, "{at_ms:?} at {per_second}/s, burst {burst}");
    }

    #[test]
    fn a_burst_passes_and_comes_back_with_time() {
        takes(10.0, 3, &[0, 0, 0, 0, 99, 100, 100], &[1, 1, 1, 0, 0, 1, 0]);
        takes(10.0, 3, &[0, 0, 0, 60_000, 60_000, 60_000, 60_000], &[1, 1, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn a_rate_may_be_less_than_one_a_second() {
        takes(0.1, 1, &[0, 9_999, 10_000, 10_001, 20_000], &[1, 0, 1, 0, 1]);
        takes(0.001, 1, &[0, 999_999, 1_000_000], &[1, 0, 1]);
    }

    #[test]
    fn a_clock_that_is_set_back_neither_stops_all_nor_lets_all_pass() {
        // An hour back: the bucket is empty, and fills at the rate.
        takes(1.0, 2, &[0, -3_600_000, -3_600_000, -3_599_001, -3_599_000, -3_599_000], &[1, 0, 0, 0, 1, 0]);
        takes(1.0, 2, &[0, -3_600_000, -3_599_000, -3_598_000, -3_597_000], &[1, 0, 1, 1, 1]);
    }

    proptest! {
        /// However events come, those that pass are no more than a burst and the rate times the time.
        #[test]
        fn nobody_beats_the_rate(
            per_second in 0.01..2_000.0_f64,
            burst in 1..1_000_u32,
            steps in prop::collection::vec(0..500_u64, 1..400),
        ) {
            let (rate, mut level, mut now_ms, mut took) = (Rate::new(per_second, burst), None, START_MS, 0_u32);
            for step in steps {
                now_ms += step;
                let (takes, after) = rate.take(level, now_ms);
                (level, took) = (Some(after), took + u32::from(takes));
                #[expect(clippy::cast_precision_loss, reason = "hours in milliseconds")]
                let most = f64::from(burst) + per_second * (now_ms - START_MS) as f64 / 1e3;
                prop_assert!(f64::from(took) <= most * 1.001 + 1e-6, "{took} of {most}");
            }
        }
    }
}
