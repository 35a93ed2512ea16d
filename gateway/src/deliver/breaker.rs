//! The circuit breaker of a destination: whether new work is worth offering to it. Pure; time is an argument.
//!
//! ```text
//!            trouble                      an answer
//!  closed ------------> open <----------------------> half-open
//!    ^                   |     trouble, or no progress      |
//!    +-------------------+----------------------------------+
//!                  progress (half-open: or an answer, with nothing waiting)
//! ```
//!
//! Open answers new work at once. Half-open is the trial: an answer alone proves little, so what has been waiting in
//! the destination's queue has to become durable first.

use std::time::{Duration, Instant};

/// What a breaker says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Work is taken.
    Closed,
    /// The destination answers again; what waits for it is the trial.
    HalfOpen,
    /// Work is turned away.
    Open,
}

impl State {
    /// Every state, in the order of its number.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// The word for it in metrics and log lines.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// What a look at the destination has found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// Nothing new: nothing is late, and nobody asked.
    Nothing,
    /// Something has become durable since the last look.
    Progress,
    /// It answers.
    Answer {
        /// Whether something waits to become durable.
        waiting: bool,
    },
    /// It does not answer, or what waits does not become durable.
    Trouble,
}

/// How long a trial may take: the first one, and doubled up to the second the time between two that fail.
const TRIAL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// A breaker, which begins open: nothing is known of the destination.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    since: Instant,
    /// No trial begins before.
    trial_at: Instant,
    pause: Duration,
}

impl Breaker {
    /// A breaker that has heard of nothing.
    pub fn new(now: Instant) -> Self {
        Self { state: State::Open, since: now, trial_at: now, pause: TRIAL.0 }
    }

    /// What it says now.
    pub fn state(&self) -> State {
        self.state
    }

    /// How long it has said so.
    pub fn lasted(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Judges a look; the state it leads to, if that is another one.
    pub fn look(&mut self, seen: Seen, now: Instant) -> Option<State> {
        let next = match (self.state, seen) {
            (State::Closed | State::HalfOpen, Seen::Trouble) => State::Open,
            (State::Open | State::HalfOpen, Seen::Progress)
            | (State::HalfOpen, Seen::Answer { waiting: false }) => State::Closed,
            (State::Open, Seen::Answer { .. }) if now >= self.trial_at => State::HalfOpen,
            (State::HalfOpen, _) if self.lasted(now) >= TRIAL.0 => State::Open,
            (state, _) => state,
        };
        if next == self.state {
            return None;
        }
        match (self.state, next) {
            (_, State::Closed) => self.pause = TRIAL.0,
            (State::HalfOpen, State::Open) => {
                self.trial_at = now + self.pause;
                self.pause = (self.pause * 2).min(TRIAL.1);
            }
            (_, State::Open) => self.trial_at = now,
            _ => {}
        }
        self.state = next;
        self.since = now;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITING: Seen = Seen::Answer { waiting: true };
    const IDLE: Seen = Seen::Answer { waiting: false };

    #[expect(clippy::disallowed_methods, reason = "a beginning; all else is counted from it")]
    fn breaker(state: State) -> (Breaker, Instant) {
        let now = Instant::now();
        (Breaker { state, ..Breaker::new(now) }, now)
    }

    /// Looks at milliseconds from the start, and the state after each.
    #[track_caller]
    fn goes(from: State, looks: &[(u64, Seen, State)]) {
        let (mut breaker, start) = breaker(from);
        for (at_ms, seen, expected) in looks {
            let before = breaker.state();
            let told = breaker.look(*seen, start + Duration::from_millis(*at_ms));
            assert_eq!(breaker.state(), *expected, "at {at_ms} ms");
            assert_eq!(told, (before != *expected).then_some(*expected), "told at {at_ms} ms");
        }
    }

    #[test]
    fn it_opens_at_the_first_trouble_and_stays_so() {
        let (closed, open) = (State::Closed, State::Open);
        goes(closed, &[(0, Seen::Nothing, closed), (1, WAITING, closed), (2, Seen::Trouble, open)]);
        goes(closed, &[(0, Seen::Trouble, open), (1, Seen::Trouble, open), (2, Seen::Nothing, open)]);
    }

    #[test]
    fn progress_closes_it_from_wherever_it_is() {
        goes(State::Open, &[(0, Seen::Progress, State::Closed)]);
        goes(State::Open, &[(0, WAITING, State::HalfOpen), (250, Seen::Progress, State::Closed)]);
    }

    #[test]
    fn an_answer_begins_a_trial_and_with_nothing_waiting_a_second_one_ends_it() {
        goes(State::Open, &[(0, IDLE, State::HalfOpen), (1, IDLE, State::Closed)]);
        goes(State::Open, &[(0, WAITING, State::HalfOpen), (1, WAITING, State::HalfOpen)]);
        goes(State::Open, &[(0, WAITING, State::HalfOpen), (1, Seen::Trouble, State::Open)]);
    }

    #[test]
    fn trials_that_fail_become_rarer_but_progress_ends_it_at_once() {
        let (half, open) = (State::HalfOpen, State::Open);
        let looks = [
            (0, WAITING, half),
            (1_999, WAITING, half),
            (2_000, WAITING, open),
            (3_999, WAITING, open),
            (4_000, WAITING, half),
            (6_000, WAITING, open),
            (9_999, WAITING, open),
            (10_000, WAITING, half),
            (12_000, Seen::Nothing, open),
            (12_001, Seen::Progress, State::Closed),
            (12_002, Seen::Trouble, open),
            (12_003, WAITING, half),
        ];
        goes(open, &looks);
    }

    proptest::proptest! {
        #[test]
        fn while_nothing_becomes_durable_it_tells_at_most_a_few_changes(looks in 100..2_000_u64) {
            let (mut breaker, start) = breaker(State::Closed);
            breaker.look(Seen::Trouble, start);
            let changes = (1..=looks).filter(|n| breaker.look(WAITING, start + Duration::from_millis(250 * n)).is_some());
            // Four trials while the pauses grow (2 + 2 s, 2 + 4 s, 2 + 8 s, 2 + 16 s), then one every 32 s.
            let most = 2 * (5 + looks / 4 / 32 + 1);
            proptest::prop_assert!(changes.count() as u64 <= most);
            proptest::prop_assert_ne!(breaker.state(), State::Closed);
        }
    }
}
