//! How much a connection may have under way: pure.

use std::cmp::{max, min};
use std::time::{Duration, Instant};

/// Events and their payload.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Amount {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

/// Between what a window grows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// What everybody has, whatever happens.
    pub(super) first: Amount,
    /// What nobody goes beyond.
    pub(super) most: Amount,
}

/// The window of one connection: it doubles for a client that uses it, each time what was under way has settled as soon
/// as ever, and gives way to what the memory budget leaves to one client. Where more under way only takes longer, it is
/// the destination that is slow, and more would make everybody wait behind it.
#[derive(Clone, Debug)]
pub(super) struct Credit {
    windows: Windows,
    doublings: u32,
    /// The number up to which events must settle before the window grows again.
    round: u64,
    /// When this round began; `None` while nothing is under way.
    began_at: Option<Instant>,
    shortest_round: Option<Duration>,
    /// Whether more than half of the window was under way at once in this round.
    is_used: bool,
    /// Whether anything in this round went to the destination: how soon refusals settle says nothing of it.
    has_gone: bool,
    /// Whether anything in this round waited for the end of a window: how long the round took says nothing then, and more
    /// under way would have waited no longer.
    has_waited: bool,
    /// What has settled lately, and what it held of the budget: how much of a share is an event, or a byte.
    settled: Amount,
    cost_bytes: u64,
}

/// Older settlements count half each time as many events have settled.
const LATELY_EVENTS: u64 = 4_096;
/// What a round may take longer than twice the shortest, and still count as short: batches, and busy machines.
const SLACK: Duration = Duration::from_millis(10);

impl Credit {
    pub(super) fn new(windows: Windows) -> Self {
        Self {
            windows,
            doublings: 0,
            round: 0,
            began_at: None,
            shortest_round: None,
            is_used: false,
            has_gone: false,
            has_waited: false,
            settled: Amount::default(),
            cost_bytes: 0,
        }
    }

    /// What may be under way: what the window has grown to, cut to a share of `share_bytes` of the budget, and the
    /// first window at the least.
    pub(super) fn window(&self, share_bytes: u64) -> Amount {
        let (grown, within) = (self.grown(), self.within(share_bytes));
        if !self.is_short(share_bytes) {
            return grown;
        }
        let Windows { first, .. } = self.windows;
        Amount {
            events: max(first.events, min(grown.events, within.events)),
            bytes: max(first.bytes, min(grown.bytes, within.bytes)),
        }
    }

    /// Whether memory is what keeps the client from having more: it uses what it has, and would have been given more.
    pub(super) fn is_cut(&self, under_way: Amount, share_bytes: u64) -> bool {
        let window = self.window(share_bytes);
        window != self.grown() && is_more_than_half(under_way, window)
    }

    /// `under_way` of the client is unsettled now, with what has just come.
    pub(super) fn sent(&mut self, under_way: Amount, share_bytes: u64, now: Instant) {
        self.began_at.get_or_insert(now);
        self.is_used |= is_more_than_half(under_way, self.window(share_bytes));
    }

    /// What settles next has waited for the end of a window.
    pub(super) fn waited(&mut self) {
        self.has_waited = true;
    }

    /// A frame of `amount` has settled, which held `cost_bytes` of the budget. `upto` is settled, `received` has come.
    pub(super) fn settled(
        &mut self,
        amount: Amount,
        cost_bytes: u64,
        (upto, received): (u64, u64),
        share_bytes: u64,
        now: Instant,
    ) {
        self.settled.events += amount.events;
        self.settled.bytes += amount.bytes;
        self.cost_bytes += cost_bytes;
        if self.settled.events > LATELY_EVENTS {
            self.settled.events /= 2;
            self.settled.bytes /= 2;
            self.cost_bytes /= 2;
        }
        self.has_gone |= cost_bytes > 0;
        if upto < self.round {
            return;
        }
        if std::mem::take(&mut self.has_gone) {
            self.end_round(share_bytes, now);
        }
        self.began_at = (received > upto).then_some(now);
        (self.round, self.is_used) = (received, false);
    }

    /// Measures the round that ends now, and has the window grow if it was as short as ever and the window was used.
    fn end_round(&mut self, share_bytes: u64, now: Instant) {
        let took = self.began_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let is_short = std::mem::take(&mut self.has_waited) || {
            let shortest = self.shortest_round.map_or(took, |shortest| min(shortest, took));
            self.shortest_round = Some(shortest);
            took <= shortest * 2 + SLACK
        };
        // What is cut already is not made larger for later.
        if is_short && self.is_used && self.grown() != self.windows.most && !self.is_short(share_bytes) {
            self.doublings += 1;
        }
    }

    /// Whether a client with such events comes to the end of its share before it comes to the end of its window.
    fn is_short(&self, share_bytes: u64) -> bool {
        let (grown, within) = (self.grown(), self.within(share_bytes));
        within.events < grown.events && within.bytes < grown.bytes
    }

    fn grown(&self) -> Amount {
        let Windows { first, most } = self.windows;
        let grown = |first: u64, most: u64| min(most, first.saturating_mul(1 << self.doublings.min(63)));
        Amount { events: grown(first.events, most.events), bytes: grown(first.bytes, most.bytes) }
    }

    fn within(&self, share_bytes: u64) -> Amount {
        let part = |amount: u64| {
            // Of what nothing is known, or of which there is nothing, there may be as much as anybody likes.
            let cost_bytes = if amount == 0 { 0 } else { self.cost_bytes };
            let part = (u128::from(share_bytes) * u128::from(amount)).checked_div(cost_bytes.into());
            part.and_then(|part| u64::try_from(part).ok()).unwrap_or(u64::MAX)
        };
        Amount { events: part(self.settled.events), bytes: part(self.settled.bytes) }
    }
}

pub(super) fn is_more_than_half(part: Amount, whole: Amount) -> bool {
    part.events > whole.events / 2 || part.bytes > whole.bytes / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOWS: Windows = Windows {
        first: Amount { events: 100, bytes: 10_000 },
        most: Amount { events: 1_600, bytes: 80_000 },
    };
    const PLENTY: u64 = 1 << 40;

    /// A client that sends what it may, `event_bytes` each, and all of it settles, at a cost of `cost_bytes` each:
    /// its windows.
    fn rounds(event_bytes: u64, cost_bytes: u64, share_bytes: u64, count: usize) -> Vec<Amount> {
        let (mut credit, now) = (Credit::new(WINDOWS), crate::session::now());
        let mut upto = 0;
        let mut windows = Vec::new();
        for _ in 0..count {
            let window = credit.window(share_bytes);
            windows.push(window);
            let events = min(window.events, window.bytes / event_bytes);
            let sent = Amount { events, bytes: events * event_bytes };
            credit.sent(sent, share_bytes, now);
            upto += events;
            credit.settled(sent, events * cost_bytes, (upto, upto), share_bytes, now);
        }
        windows
    }

    #[track_caller]
    fn windows_are(windows: &[Amount], expected: &[(u64, u64)]) {
        let windows: Vec<_> = windows.iter().map(|window| (window.events, window.bytes)).collect();
        assert_eq!(windows, expected);
    }

    #[test]
    fn a_window_that_is_used_up_doubles_to_the_most() {
        let expected =
            [(100, 10_000), (200, 20_000), (400, 40_000), (800, 80_000), (1_600, 80_000), (1_600, 80_000)];
        windows_are(&rounds(50, 500, PLENTY, 6), &expected);
    }

    #[test]
    fn bytes_may_be_what_is_used_up() {
        windows_are(&rounds(6_000, 6_500, PLENTY, 3), &[(100, 10_000), (200, 20_000), (400, 40_000)]);
    }

    #[test]
    fn who_does_not_use_its_window_keeps_the_first_one() {
        let (mut credit, now) = (Credit::new(WINDOWS), crate::session::now());
        for seq in 1..500 {
            credit.sent(Amount { events: 1, bytes: 100 }, PLENTY, now);
            credit.settled(Amount { events: 1, bytes: 100 }, 500, (seq, seq), PLENTY, now);
        }
        windows_are(&[credit.window(PLENTY)], &[(100, 10_000)]);
    }

    #[test]
    fn a_window_grows_once_in_a_round_however_many_frames_settle_in_it() {
        let (mut credit, now) = (Credit::new(WINDOWS), crate::session::now());
        credit.sent(Amount { events: 100, bytes: 1_000 }, PLENTY, now);
        credit.settled(Amount { events: 1, bytes: 10 }, 500, (1, 100), PLENTY, now);
        assert_eq!(credit.window(PLENTY).events, 200);
        for upto in 2..100 {
            credit.sent(Amount { events: 190, bytes: 1_900 }, PLENTY, now);
            credit.settled(Amount { events: 1, bytes: 10 }, 500, (upto, upto + 190), PLENTY, now);
            assert_eq!(credit.window(PLENTY).events, 200);
        }
        credit.settled(Amount { events: 1, bytes: 10 }, 500, (100, 290), PLENTY, now);
        assert_eq!(credit.window(PLENTY).events, 400);
    }

    #[test]
    fn a_share_cuts_what_has_grown_by_what_events_cost_and_never_the_first_window() {
        let (mut credit, now) = (Credit::new(WINDOWS), crate::session::now());
        let mut upto = 0;
        for _ in 0..6 {
            let events = credit.window(PLENTY).events;
            let sent = Amount { events, bytes: events * 40 };
            upto += events;
            credit.sent(sent, PLENTY, now);
            credit.settled(sent, events * 400, (upto, upto), PLENTY, now);
        }
        let windows = [PLENTY, 400 * 800, 400 * 200, 400 * 50, 0].map(|share| credit.window(share));
        windows_are(&windows, &[(1_600, 80_000), (800, 32_000), (200, 10_000), (100, 10_000), (100, 10_000)]);
        let using = Amount { events: 101, bytes: 0 };
        assert!(credit.is_cut(using, 400 * 200));
        assert!(!credit.is_cut(Amount { events: 100, bytes: 0 }, 400 * 200), "it does not use what it has");
        assert!(!credit.is_cut(Amount { events: 1_600, bytes: 0 }, PLENTY), "it has what there is");
    }

    #[test]
    fn while_its_share_cuts_it_a_window_does_not_grow() {
        let mut windows = rounds(50, 500, 500 * 150, 20);
        assert_eq!(windows.pop().unwrap().events, 150);
    }

    /// Rounds that take as long as given: how often the window has grown after them.
    #[track_caller]
    fn grown_after(rounds_ms: &[u64], expected: u32) {
        let mut now = crate::session::now();
        let mut credit = Credit::new(WINDOWS);
        let mut upto = 0;
        for ms in rounds_ms {
            let sent = Amount { events: credit.window(PLENTY).events, bytes: 0 };
            credit.sent(sent, PLENTY, now);
            now += Duration::from_millis(*ms);
            upto += sent.events;
            credit.settled(sent, sent.events, (upto, upto), PLENTY, now);
        }
        assert_eq!(credit.doublings, expected);
    }

    #[test]
    fn a_window_grows_while_more_under_way_takes_no_longer() {
        grown_after(&[100, 100, 120], 3);
        grown_after(&[1, 5, 12], 3);
        grown_after(&[100, 230, 230, 230], 1);
        grown_after(&[100, 230, 150], 2);
        grown_after(&[100, 50, 120, 100], 3);
    }

    #[test]
    fn a_round_that_waited_for_a_window_is_none_of_the_destinations_slowness() {
        let mut now = crate::session::now();
        let mut credit = Credit::new(WINDOWS);
        let mut upto = 0;
        for (ms, has_waited, doublings) in
            [(1, false, 1), (60_000, true, 2), (60_000, false, 2), (2, false, 3)]
        {
            let sent = Amount { events: credit.window(PLENTY).events, bytes: 0 };
            credit.sent(sent, PLENTY, now);
            now += Duration::from_millis(ms);
            upto += sent.events;
            if has_waited {
                credit.waited();
            }
            credit.settled(sent, sent.events, (upto, upto), PLENTY, now);
            assert_eq!(credit.doublings, doublings);
        }
    }

    #[test]
    fn a_frame_that_is_refused_whole_says_nothing_of_how_soon_the_destination_settles() {
        let mut now = crate::session::now();
        let mut credit = Credit::new(WINDOWS);
        let refused = Amount { events: 60, bytes: 600 };
        credit.sent(refused, PLENTY, now);
        credit.settled(refused, 0, (60, 60), PLENTY, now);
        assert_eq!(credit.doublings, 0, "nor is it use of the window");
        for round in 1..=3 {
            let sent = Amount { events: credit.window(PLENTY).events, bytes: 0 };
            credit.sent(sent, PLENTY, now);
            now += Duration::from_millis(100);
            credit.settled(sent, sent.events, (1_000 * round, 1_000 * round), PLENTY, now);
        }
        assert_eq!(credit.doublings, 3);
    }

    proptest! {
        #[test]
        fn a_window_is_never_less_than_the_first_nor_more_than_the_most(
            steps in prop::collection::vec((1_u64..300, 1_u64..2_000, 1_u64..5_000, 0_u64..200_000), 1..60),
        ) {
            let (mut credit, now) = (Credit::new(WINDOWS), crate::session::now());
            let mut upto = 0;
            for (events, event_bytes, cost, share) in steps {
                let sent = Amount { events, bytes: events * event_bytes };
                credit.sent(sent, share, now);
                upto += events;
                credit.settled(sent, events * cost, (upto, upto), share, now);
                let (less, more) = (credit.window(share), credit.window(share.saturating_mul(2)));
                let Windows { first, most } = WINDOWS;
                prop_assert!(less.events >= first.events && less.bytes >= first.bytes);
                prop_assert!(more.events <= most.events && more.bytes <= most.bytes);
                prop_assert!(less.events <= more.events && less.bytes <= more.bytes, "a larger share is never worse");
            }
        }
    }
}
