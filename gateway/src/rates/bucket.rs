//! One rate of many keys, by the generic cell rate algorithm (`governor`): a bucket that holds a burst and fills at the
//! rate. Other than there, what is taken may exceed what is in it: the rest is owed, and is paid by waiting.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

/// What a second is divided into at most: beyond it several are counted as one, since time is in whole nanoseconds.
const UNITS_PER_SECOND: u64 = 1_000_000;

/// A rate, for any number of keys. Times are nanoseconds since any fixed moment.
#[derive(Debug)]
pub(super) struct Bucket {
    limiter: RateLimiter<Level, InPlace, Given, NoOpMiddleware<Nanos>>,
    /// Events or bytes that are counted as one.
    unit: u64,
    burst_units: NonZeroU32,
    unit_ns: u64,
}

/// How full the bucket of one key is.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// When the bucket will be full; later than it could be from empty: something is owed.
    full_at: AtomicU64,
    /// All that was ever taken: what is less than a unit is not forgotten.
    taken: AtomicU64,
}

impl Bucket {
    /// `per_second` and `burst` are at least 1.
    pub(super) fn new(per_second: u64, burst: u64) -> Self {
        let per_second = per_second.max(1);
        let unit = (per_second / UNITS_PER_SECOND).max(1);
        let units = u32::try_from(burst / unit).unwrap_or(u32::MAX);
        let burst_units = NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN);
        let unit_ns = (unit * 1_000_000_000 / per_second).max(1);
        // Only a period of 0 would be none.
        let quota =
            Quota::with_period(Duration::from_nanos(unit_ns)).unwrap_or(Quota::per_second(burst_units));
        Given::set(0);
        let limiter = RateLimiter::new(quota.allow_burst(burst_units), InPlace, Given);
        Self { limiter, unit, burst_units, unit_ns }
    }

    /// Takes `amount`; what is not there is owed. The time at which nothing will be owed: `now`, or later.
    pub(super) fn take(&self, level: &Level, amount: u64, now: u64) -> u64 {
        let before = level.taken.fetch_add(amount, Ordering::Relaxed);
        let mut left = before.wrapping_add(amount) / self.unit - before / self.unit;
        let mut at = now;
        // As much as fits at once, and the rest when it will fit. There are at most as many steps as bursts in a frame.
        while let Some(units) = NonZeroU32::new(u32::try_from(left).unwrap_or(u32::MAX)) {
            let units = units.min(self.burst_units);
            Given::set(at);
            match self.limiter.check_key_n(level, units) {
                Ok(Ok(())) => left -= u64::from(units.get()),
                Ok(Err(later)) => at = later.earliest_possible().into(),
                // Not more than a burst was asked for.
                Err(_) => return at,
            }
        }
        at
    }

    /// Takes one, if it is there.
    pub(super) fn try_take_one(&self, level: &Level, now: u64) -> bool {
        Given::set(now);
        self.limiter.check_key(level).is_ok()
    }

    /// The time until which something is owed; in the past where nothing is.
    pub(super) fn owed_until(&self, level: &Level) -> u64 {
        level.full_at().saturating_sub(self.fill_ns())
    }

    /// What could be taken without owing anything.
    pub(super) fn free(&self, level: &Level, now: u64) -> u64 {
        let missing = level.full_at().saturating_sub(now).div_ceil(self.unit_ns);
        u64::from(self.burst_units.get()).saturating_sub(missing).saturating_mul(self.unit)
    }

    /// The most that can be taken at once.
    pub(super) fn burst(&self) -> u64 {
        u64::from(self.burst_units.get()).saturating_mul(self.unit)
    }

    /// How long an empty bucket takes to fill.
    pub(super) fn fill_ns(&self) -> u64 {
        self.unit_ns.saturating_mul(self.burst_units.get().into())
    }
}

impl Level {
    /// When the bucket will be full: from then on the key can be forgotten.
    pub(super) fn full_at(&self) -> u64 {
        self.full_at.load(Ordering::Relaxed)
    }
}

/// Keeps the state in the key.
#[derive(Debug)]
struct InPlace;

impl StateStore for InPlace {
    type Key = Level;

    fn measure_and_replace<T, F, E>(&self, level: &Level, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut before = level.full_at.load(Ordering::Relaxed);
        loop {
            let (outcome, after) = decide(Some(before.into()))?;
            let (was, is) = (Ordering::Relaxed, Ordering::Relaxed);
            match level.full_at.compare_exchange_weak(before, after.as_u64(), was, is) {
                Ok(_) => return Ok(outcome),
                Err(meanwhile) => before = meanwhile,
            }
        }
    }
}

thread_local! {
    static AT: Cell<u64> = const { Cell::new(0) };
}

/// A clock that says what it was told last on this thread: time is an argument.
#[derive(Clone, Debug)]
struct Given;

impl Given {
    fn set(at: u64) {
        AT.set(at);
    }
}

impl Clock for Given {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        AT.get().into()
    }
}

// `governor` keeps its keys in maps, and asks of them what maps do. Levels are in none.
impl Clone for Level {
    fn clone(&self) -> Self {
        Self { full_at: self.full_at().into(), taken: self.taken.load(Ordering::Relaxed).into() }
    }
}

impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        self.full_at() == other.full_at()
    }
}

impl Eq for Level {}

impl Hash for Level {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.full_at().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// Any moment.
    const START: u64 = 5 * SECOND;

    #[track_caller]
    fn waits(per_second: u64, burst: u64, takes: &[(u64, u64)], expected_ms: &[u64]) {
        let (bucket, level) = (Bucket::new(per_second, burst), Level::default());
        let waits: Vec<u64> = takes
            .iter()
            .map(|&(ms, amount)| {
                let now = START + ms * 1_000_000;
                (bucket.take(&level, amount, now) - now) / 1_000_000
            })
            .collect();
        assert_eq!(waits, expected_ms, "{takes:?} at {per_second}/s, burst {burst}");
    }

    #[test]
    fn a_burst_is_free_and_comes_back_with_time() {
        waits(10, 10, &[(0, 10), (0, 1), (100, 1), (1_200, 10)], &[0, 100, 100, 0]);
        waits(10, 1, &[(0, 1), (50, 1), (100, 1)], &[0, 50, 100]);
    }

    #[test]
    fn a_rest_earns_a_burst_and_no_more() {
        waits(10, 5, &[(0, 5), (60_000, 5), (60_000, 1)], &[0, 0, 100]);
    }

    #[test]
    fn what_exceeds_the_burst_is_owed_and_paid_by_waiting() {
        waits(10, 10, &[(0, 100)], &[9_000]);
        // Owed things queue: nobody's wait is shorter for having come later.
        waits(10, 10, &[(0, 100), (0, 10), (10_000, 10)], &[9_000, 10_000, 1_000]);
    }

    #[test]
    fn parts_of_a_unit_are_counted() {
        // 5 bytes are a unit here; events of 3 bytes must not pass as nothing.
        let (bucket, level) = (Bucket::new(5_000_000, 100_000), Level::default());
        let until = (0..100_000).map(|_| bucket.take(&level, 3, START)).last().unwrap();
        assert_eq!((until - START) / 1_000_000, 40, "300 kB at 5 MB/s, of which 100 kB at once");
    }

    #[test]
    fn it_says_what_is_free_and_what_is_owed() {
        let (bucket, level) = (Bucket::new(10, 20), Level::default());
        assert_eq!((bucket.free(&level, START), bucket.fill_ns()), (20, 2 * SECOND));
        bucket.take(&level, 5, START);
        assert_eq!(bucket.free(&level, START), 15);
        assert!(bucket.owed_until(&level) <= START);
        bucket.take(&level, 25, START);
        assert_eq!((bucket.free(&level, START), bucket.owed_until(&level)), (0, START + SECOND));
        assert_eq!(bucket.free(&level, START + 2 * SECOND), 10);
        assert_eq!(level.full_at(), START + 3 * SECOND);
    }

    #[test]
    fn one_is_taken_only_if_it_is_there() {
        let (bucket, level) = (Bucket::new(1, 2), Level::default());
        let took = [0, 0, 0, 1, 1].map(|second| bucket.try_take_one(&level, START + second * SECOND));
        assert_eq!(took, [true, true, false, true, false]);
    }

    #[test]
    fn large_rates_are_kept_within_a_thousandth() {
        for per_second in [1, 7, 999_999, 1_000_001, 12_345_678, 1_999_999_999, 1 << 40] {
            let (bucket, level) = (Bucket::new(per_second, per_second), Level::default());
            let until = bucket.take(&level, per_second.saturating_mul(11), START) - START;
            let error = until.abs_diff(10 * SECOND);
            assert!(error <= SECOND / 100, "{per_second}/s: {until} ns instead of 10 s");
        }
    }

    proptest! {
        /// However it is taken, no more than a burst and the rate times the time is taken without a wait.
        #[test]
        fn nobody_beats_the_rate(
            per_second in 1..10_000_u64,
            burst in 1..10_000_u64,
            takes in prop::collection::vec((0..2_000_u64, 1..500_u64), 1..100),
        ) {
            let (bucket, level) = (Bucket::new(per_second, burst), Level::default());
            let (mut now, mut taken) = (START, 0);
            for (ms, amount) in takes {
                now = now.max(bucket.owed_until(&level)) + ms * 1_000_000;
                taken += amount;
                now = now.max(bucket.take(&level, amount, now));
                let most = burst + per_second * (now - START) / SECOND;
                // Time is in whole nanoseconds.
                prop_assert!(taken <= most + most / 1_000 + 1, "{taken} of {most}");
            }
        }
    }
}
