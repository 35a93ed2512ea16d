//! How much a connection may have under way: pure.

use std::cmp::{max, min};

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

/// The window of one connection: it doubles for a client that uses it, each time what was under way has settled, and
/// gives way to what the memory budget leaves to one client.
#[derive(Clone, Debug)]
pub(super) struct Credit {
    windows: Windows,
    doublings: u32,
    /// The number up to which events must settle before the window grows again.
    round: u64,
    /// Whether more than half of the window was under way at once in this round.
    is_used: bool,
    /// What has settled lately, and what it held of the budget: how much of a share is an event, or a byte.
    settled: Amount,
    cost_bytes: u64,
}

/// Older settlements count half each time as many events have settled.
const LATELY_EVENTS: u64 = 4_096;

impl Credit {
    pub(super) fn new(windows: Windows) -> Self {
        Self { windows, doublings: 0, round: 0, is_used: false, settled: Amount::default(), cost_bytes: 0 }
    }

    /// What may be under way: what the window has grown to, cut to a share of `share_bytes` of the budget, and the
    /// first window at the least.
    pub(super) fn window(&self, share_bytes: u64) -> Amount {
        let grown = self.grown();
        let allowed = self.within(share_bytes);
        let Windows { first, .. } = self.windows;
        Amount {
            events: max(first.events, min(grown.events, allowed.events)),
            bytes: max(first.bytes, min(grown.bytes, allowed.bytes)),
        }
    }

    /// Whether memory is what keeps the client from having more: it uses what it has, and would have been given more.
    pub(super) fn is_cut(&self, under_way: Amount, share_bytes: u64) -> bool {
        let window = self.window(share_bytes);
        window != self.grown() && is_more_than_half(under_way, window)
    }

    /// `under_way` of the client is unsettled now, with what has just come.
    pub(super) fn sent(&mut self, under_way: Amount, share_bytes: u64) {
        self.is_used |= is_more_than_half(under_way, self.window(share_bytes));
    }

    /// A frame of `amount` has settled, which held `cost_bytes` of the budget. `upto` is settled, `received` has come.
    pub(super) fn settled(
        &mut self,
        amount: Amount,
        cost_bytes: u64,
        (upto, received): (u64, u64),
        share_bytes: u64,
    ) {
        self.settled.events += amount.events;
        self.settled.bytes += amount.bytes;
        self.cost_bytes += cost_bytes;
        if self.settled.events > LATELY_EVENTS {
            self.settled.events /= 2;
            self.settled.bytes /= 2;
            self.cost_bytes /= 2;
        }
        if upto < self.round {
            return;
        }
        // What is cut already is not made larger for later.
        if self.is_used && self.grown() != self.windows.most && self.window(share_bytes) == self.grown() {
            self.doublings += 1;
        }
        (self.round, self.is_used) = (received, false);
    }

    fn grown(&self) -> Amount {
        let Windows { first, most } = self.windows;
        let grown = |first: u64, most: u64| min(most, first.saturating_mul(1 << self.doublings.min(63)));
        Amount { events: grown(first.events, most.events), bytes: grown(first.bytes, most.bytes) }
    }

    fn within(&self, share_bytes: u64) -> Amount {
        let part = |amount: u64| {
            let part = u128::from(share_bytes) * u128::from(amount) / u128::from(self.cost_bytes.max(1));
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        if self.cost_bytes == 0 {
            return self.windows.most;
        }
        Amount { events: part(self.settled.events), bytes: part(self.settled.bytes) }
    }
}

fn is_more_than_half(part: Amount, whole: Amount) -> bool {
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
        let mut credit = Credit::new(WINDOWS);
        let mut upto = 0;
        let mut windows = Vec::new();
        for _ in 0..count {
            let window = credit.window(share_bytes);
            windows.push(window);
            let events = min(window.events, window.bytes / event_bytes);
            let sent = Amount { events, bytes: events * event_bytes };
            credit.sent(sent, share_bytes);
            upto += events;
            credit.settled(sent, events * cost_bytes, (upto, upto), share_bytes);
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
        let mut credit = Credit::new(WINDOWS);
        for seq in 1..500 {
            credit.sent(Amount { events: 1, bytes: 100 }, PLENTY);
            credit.settled(Amount { events: 1, bytes: 100 }, 500, (seq, seq), PLENTY);
        }
        windows_are(&[credit.window(PLENTY)], &[(100, 10_000)]);
    }

    #[test]
    fn a_window_grows_once_in_a_round_however_many_frames_settle_in_it() {
        let mut credit = Credit::new(WINDOWS);
        credit.sent(Amount { events: 100, bytes: 1_000 }, PLENTY);
        credit.settled(Amount { events: 1, bytes: 10 }, 500, (1, 100), PLENTY);
        assert_eq!(credit.window(PLENTY).events, 200);
        for upto in 2..100 {
            credit.sent(Amount { events: 190, bytes: 1_900 }, PLENTY);
            credit.settled(Amount { events: 1, bytes: 10 }, 500, (upto, upto + 190), PLENTY);
            assert_eq!(credit.window(PLENTY).events, 200);
        }
        credit.settled(Amount { events: 1, bytes: 10 }, 500, (100, 290), PLENTY);
        assert_eq!(credit.window(PLENTY).events, 400);
    }

    #[test]
    fn a_share_cuts_what_has_grown_by_what_events_cost_and_never_the_first_window() {
        let mut credit = Credit::new(WINDOWS);
        let mut upto = 0;
        for _ in 0..6 {
            let events = credit.window(PLENTY).events;
            let sent = Amount { events, bytes: events * 40 };
            upto += events;
            credit.sent(sent, PLENTY);
            credit.settled(sent, events * 400, (upto, upto), PLENTY);
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

    proptest! {
        #[test]
        fn a_window_is_never_less_than_the_first_nor_more_than_the_most(
            steps in prop::collection::vec((1_u64..300, 1_u64..2_000, 1_u64..5_000, 0_u64..200_000), 1..60),
        ) {
            let mut credit = Credit::new(WINDOWS);
            let mut upto = 0;
            for (events, event_bytes, cost, share) in steps {
                let sent = Amount { events, bytes: events * event_bytes };
                credit.sent(sent, share);
                upto += events;
                credit.settled(sent, events * cost, (upto, upto), share);
                let (less, more) = (credit.window(share), credit.window(share.saturating_mul(2)));
                let Windows { first, most } = WINDOWS;
                prop_assert!(less.events >= first.events && less.bytes >= first.bytes);
                prop_assert!(more.events <= most.events && more.bytes <= most.bytes);
                prop_assert!(less.events <= more.events && less.bytes <= more.bytes, "a larger share is never worse");
            }
        }
    }
}
