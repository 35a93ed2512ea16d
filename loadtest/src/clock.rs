//! The one place that asks for the time.

use std::time::Instant;

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a load test is about time; everything else here takes it as an argument"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Nanoseconds of the wall clock, to name a run after.
#[expect(clippy::disallowed_methods, reason = "as above")]
pub(crate) fn wall_nanos() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// Milliseconds of the wall clock, such as epochs are.
pub(crate) fn wall_ms() -> u64 {
    u64::try_from(wall_nanos() / 1_000_000).unwrap_or(u64::MAX)
}
