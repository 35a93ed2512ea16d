//! When the frames of one client are due: fixed times, whatever became of those before (open loop).

use std::time::{Duration, Instant};

/// Frames of one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start: Instant,
    /// Between two frames; `None`: each is due when there is credit for it.
    interval: Option<Duration>,
    next: u64,
    /// Frames in all.
    frames: u64,
}

/// What is to be done about the next frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// It is due, since then.
    Due(Instant),
    /// It will be, then.
    Later(Instant),
    /// There is none.
    Over,
}

impl Schedule {
    /// Frames from `start` on, an `interval` apart, the first a part of it later so that clients do not march in step:
    /// `phase` is from 0 to 1.
    pub(crate) fn new(start: Instant, interval: Option<Duration>, phase: f64, frames: Option<u64>) -> Self {
        let offset = interval.map_or(Duration::ZERO, |interval| interval.mul_f64(phase));
        Self { start: start + offset, interval, next: 0, frames: frames.unwrap_or(u64::MAX) }
    }

    /// About the next frame, with `end` as the last moment at which one may be due.
    pub(crate) fn turn(&self, now: Instant, end: Instant) -> Turn {
        let due = match self.interval {
            None => now,
            Some(interval) => self.start + mul(interval, self.next),
        };
        if self.next >= self.frames || due >= end {
            Turn::Over
        } else if due <= now {
            Turn::Due(due)
        } else {
            Turn::Later(due)
        }
    }

    /// The next frame is on its way.
    pub(crate) fn advance(&mut self) {
        self.next += 1;
    }

    /// Due times before `end` that were not met, with a given rate: the frames that a stall kept back.
    pub(crate) fn unmet(mut self, end: Instant) -> impl Iterator<Item = Instant> {
        let open_loop = self.interval.is_some();
        std::iter::from_fn(move || match self.turn(end, end) {
            Turn::Due(due) if open_loop => {
                self.advance();
                Some(due)
            }
            _ => None,
        })
    }
}

fn mul(interval: Duration, times: u64) -> Duration {
    // Exact over days, where an f64 of seconds would drift.
    let nanos = interval.as_nanos().saturating_mul(u128::from(times));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn due_times_do_not_move_when_a_frame_is_late() {
        let start = clock::now();
        let end = start + Duration::from_secs(1);
        let at = |ms| start + Duration::from_millis(ms);
        let mut schedule = Schedule::new(start, Some(Duration::from_millis(100)), 0.5, None);
        assert_eq!(schedule.turn(start, end), Turn::Later(at(50)));
        assert_eq!(schedule.turn(at(700), end), Turn::Due(at(50)));
        schedule.advance();
        assert_eq!(schedule.turn(at(700), end), Turn::Due(at(150)));
        assert_eq!(schedule.unmet(end).count(), 9);
    }

    #[test]
    fn without_a_rate_a_frame_is_due_now_until_the_end_or_the_last() {
        let start = clock::now();
        let end = start + Duration::from_secs(1);
        let mut schedule = Schedule::new(start, None, 0.0, Some(1));
        assert_eq!(schedule.turn(start, end), Turn::Due(start));
        assert_eq!(schedule.turn(end, end), Turn::Over);
        schedule.advance();
        assert_eq!(schedule.turn(start, end), Turn::Over);
        assert_eq!(schedule.unmet(end).count(), 0);
    }
}
