//! Which numbers of one numbering have been received, which have settled, and what was refused: pure.

use std::borrow::Cow;
use std::collections::VecDeque;

use tidegate_wire::{Code, Level, Rejection, limits};

/// Refusals that one ACK lists at most; what is left follows in the next, so that no ACK grows past a frame.
const ACK_REFUSALS: usize = 256;
/// Refusals that may wait for an ACK; past it the session reads nothing more.
const UNSENT_REFUSALS: usize = 4_096;

/// A refused number, as ACK and WELCOME list it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) seq: u64,
    pub(super) code: Code,
    pub(super) message: Box<str>,
}

impl Refusal {
    /// As ACK and WELCOME list it.
    pub(super) fn into_wire(self) -> Rejection {
        Rejection { seq: self.seq, code: self.code, message: Cow::Owned(self.message.into()) }
    }
}

/// What a frame brought, against what had been received before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Admission {
    /// Events at the start of the frame whose numbers were received before.
    pub(super) repeated: u32,
    /// Numbers between the last one received and the frame's first: given up.
    pub(super) abandoned: u64,
    /// The new events' frame, if there are any.
    pub(super) frame: Option<FrameId>,
}

/// Names a frame until it has settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FrameId(u64);

/// What the next ACK says.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) upto: u64,
    pub(super) level: Option<Level>,
    pub(super) refusals: Vec<Refusal>,
    /// Whether another ACK is due at once, because this one would have been too long.
    pub(super) more: bool,
}

/// The numbers of one (client, epoch). Frames settle in any order; numbers are acknowledged in order.
#[derive(Debug)]
pub(super) struct Window {
    received: u64,
    upto: u64,
    /// Up to where the client has been told.
    told: u64,
    /// Frames from `upto` on, in order; settled ones wait for those before them.
    frames: VecDeque<Frame>,
    first_frame: u64,
    in_flight: u64,
    /// Level of what has settled since the client was last told.
    level: Option<Level>,
    /// Refusals up to `upto` that no ACK has listed yet.
    unsent: VecDeque<Refusal>,
    /// The newest refusals up to `upto`, for a client that resumes.
    kept: VecDeque<Refusal>,
    forgotten_upto: u64,
}

#[derive(Debug)]
struct Frame {
    last: u64,
    events: u32,
    settled: bool,
    level: Option<Level>,
    refusals: Vec<Refusal>,
}

impl Window {
    /// A numbering of which everything below `next` is settled.
    pub(super) fn starting_at(next: u64) -> Self {
        let upto = next.saturating_sub(1);
        Self {
            received: upto,
            upto,
            told: upto,
            frames: VecDeque::new(),
            first_frame: 0,
            in_flight: 0,
            level: None,
            unsent: VecDeque::new(),
            kept: VecDeque::new(),
            forgotten_upto: 0,
        }
    }

    /// A numbering of which everything up to `upto` is settled, with the refusals still known, in order.
    pub(super) fn restored(upto: u64, refusals: Vec<Refusal>, forgotten_upto: u64) -> Self {
        let mut window = Self { forgotten_upto, ..Self::starting_at(upto.saturating_add(1)) };
        refusals.into_iter().for_each(|refusal| window.keep(refusal));
        window
    }

    /// The highest number received or given up.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Everything up to here is settled.
    pub(super) fn upto(&self) -> u64 {
        self.upto
    }

    /// Events received and not settled.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Numbers settled that the client has not been told of.
    pub(super) fn untold(&self) -> u64 {
        self.upto - self.told
    }

    /// Whether so many refusals wait for an ACK that nothing more should be read.
    pub(super) fn is_full_of_refusals(&self) -> bool {
        self.unsent.len() >= UNSENT_REFUSALS
    }

    /// Takes `count` events from number `first` on. Never refuses: what is repeated or given up is said.
    pub(super) fn admit(&mut self, first: u64, count: u32) -> Admission {
        let next = self.received + 1;
        let abandoned = first.saturating_sub(next);
        if abandoned > 0 {
            self.abandon(first - 1);
        }
        let repeated = u32::try_from(next.saturating_sub(first)).unwrap_or(u32::MAX).min(count);
        let new = count - repeated;
        if new == 0 {
            return Admission { repeated, abandoned, frame: None };
        }
        self.received += u64::from(new);
        self.in_flight += u64::from(new);
        let frame = FrameId(self.first_frame + self.frames.len() as u64);
        self.frames.push_back(Frame {
            last: self.received,
            events: new,
            settled: false,
            level: None,
            refusals: Vec::new(),
        });
        Admission { repeated, abandoned, frame: Some(frame) }
    }

    /// Settles the events of a frame, and returns how many they are. `refusals` are in order of their numbers.
    pub(super) fn settle(&mut self, frame: FrameId, level: Option<Level>, refusals: Vec<Refusal>) -> u32 {
        let Some(position) = frame.0.checked_sub(self.first_frame) else { return 0 };
        let Some(entry) = usize::try_from(position).ok().and_then(|position| self.frames.get_mut(position))
        else {
            return 0;
        };
        if entry.settled {
            return 0;
        }
        let events = entry.events;
        entry.settled = true;
        entry.level = level;
        entry.refusals = refusals;
        self.in_flight -= u64::from(events);
        self.advance();
        events
    }

    /// What an ACK has to say now; the client counts as told from here on.
    pub(super) fn take_settled(&mut self) -> Settled {
        let listed = self.unsent.len().min(ACK_REFUSALS);
        let refusals: Vec<_> = self.unsent.drain(..listed).collect();
        // A refusal must not come after the number has been acknowledged without it.
        let upto = self.unsent.front().map_or(self.upto, |next| next.seq - 1);
        let level = if self.unsent.is_empty() { self.level.take() } else { self.level };
        self.told = upto;
        Settled { upto, level, refusals, more: !self.unsent.is_empty() }
    }

    /// Continues with a client that has seen everything below `next` acknowledged: gives up what it will
    /// never send, and returns the refusals from `next` on, and whether older ones of them are forgotten.
    pub(super) fn resume(&mut self, next: u64) -> (u64, Vec<Refusal>, bool) {
        let abandoned = next.saturating_sub(self.received + 1);
        if abandoned > 0 {
            self.abandon(next - 1);
        }
        self.unsent.clear();
        self.told = self.upto;
        self.level = None;
        (abandoned, self.refusals_from(next), self.forgotten_upto >= next)
    }

    /// The refusals still known of numbers from `next` up to the last settled one.
    pub(super) fn refusals_from(&self, next: u64) -> Vec<Refusal> {
        self.kept.iter().filter(|refusal| refusal.seq >= next).cloned().collect()
    }

    /// Refusals up to here may be forgotten.
    pub(super) fn forgotten_upto(&self) -> u64 {
        self.forgotten_upto
    }

    /// How many refusals are kept for a client that resumes.
    pub(super) fn kept_refusals(&self) -> usize {
        self.kept.len()
    }

    /// Forgets the oldest refusals but `keep`.
    pub(super) fn forget_refusals(&mut self, keep: usize) {
        while self.kept.len() > keep {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.forgotten_upto = oldest.seq;
        }
    }

    fn abandon(&mut self, last: u64) {
        self.received = last;
        // One entry however often a client gives up numbers behind a frame in flight.
        match self.frames.back_mut() {
            None => self.upto = last,
            Some(frame) if frame.settled && frame.events == 0 => frame.last = last,
            Some(_) => self.frames.push_back(Frame {
                last,
                events: 0,
                settled: true,
                level: None,
                refusals: Vec::new(),
            }),
        }
    }

    fn advance(&mut self) {
        while self.frames.front().is_some_and(|frame| frame.settled) {
            let Some(frame) = self.frames.pop_front() else { return };
            self.first_frame += 1;
            self.upto = frame.last;
            self.level = weakest(self.level, frame.level);
            for refusal in frame.refusals {
                self.keep(refusal.clone());
                self.unsent.push_back(refusal);
            }
        }
    }

    fn keep(&mut self, refusal: Refusal) {
        self.forget_refusals(limits::WELCOME_REJECTIONS - 1);
        self.kept.push_back(refusal);
    }
}

fn weakest(one: Option<Level>, other: Option<Level>) -> Option<Level> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(seq: u64) -> Refusal {
        Refusal { seq, code: Code::Malformed, message: "no".into() }
    }

    #[test]
    fn numbers_are_acknowledged_in_order_whatever_order_they_settle_in() {
        let mut window = Window::starting_at(1);
        let first = window.admit(1, 2).frame.unwrap();
        let second = window.admit(3, 1).frame.unwrap();
        window.settle(second, Some(Level::Stored), vec![]);
        assert_eq!((window.upto(), window.in_flight()), (0, 2));
        window.settle(first, Some(Level::Committed), vec![refusal(2)]);
        assert_eq!((window.upto(), window.in_flight()), (3, 0));
        let settled = window.take_settled();
        assert_eq!((settled.upto, settled.level), (3, Some(Level::Stored)));
        assert_eq!(settled.refusals, [refusal(2)]);
    }

    #[test]
    fn repeated_numbers_are_skipped_and_the_rest_of_the_frame_is_taken() {
        let mut window = Window::starting_at(1);
        window.admit(1, 4);
        let again = window.admit(3, 4);
        assert_eq!((again.repeated, again.abandoned), (2, 0));
        assert!(again.frame.is_some());
        assert_eq!(window.received(), 6);
        assert_eq!(window.admit(1, 6), Admission { repeated: 6, abandoned: 0, frame: None });
    }

    #[test]
    fn numbers_skipped_are_given_up_and_settle_in_their_turn() {
        let mut window = Window::starting_at(1);
        let first = window.admit(1, 1).frame.unwrap();
        assert_eq!(window.admit(10, 0).abandoned, 8);
        assert_eq!(window.admit(20, 0).abandoned, 10);
        assert_eq!((window.upto(), window.received(), window.frames.len()), (0, 19, 2));
        window.settle(first, None, vec![]);
        assert_eq!(window.upto(), 19);
    }

    #[test]
    fn a_long_list_of_refusals_is_told_in_several_acks_and_never_after_its_numbers() {
        let mut window = Window::starting_at(1);
        let frame = window.admit(1, 1_000).frame.unwrap();
        window.settle(frame, None, (1..=1_000).map(refusal).collect());
        let mut told = Vec::new();
        loop {
            let settled = window.take_settled();
            assert!(settled.refusals.iter().all(|refusal| refusal.seq <= settled.upto));
            told.extend(settled.refusals);
            if !settled.more {
                break;
            }
        }
        assert_eq!(told, (1..=1_000).map(refusal).collect::<Vec<_>>());
    }

    #[test]
    fn who_resumes_hears_of_old_refusals_and_of_those_forgotten() {
        let mut window = Window::starting_at(1);
        for first in [1, 1_001] {
            let frame = window.admit(first, 1_000).frame.unwrap();
            window.settle(frame, None, (first..first + 600).map(refusal).collect());
        }
        let (abandoned, refusals, forgotten) = window.resume(150);
        assert_eq!((abandoned, refusals.len(), forgotten), (0, 1_000, true));
        let (_, refusals, forgotten) = window.resume(1_500);
        assert_eq!((refusals.len(), forgotten), (101, false));
    }

    #[test]
    fn who_resumes_further_on_gives_up_what_lies_between() {
        let mut window = Window::starting_at(1);
        assert_eq!(window.resume(10).0, 9);
        assert_eq!(window.upto(), 9);
    }

    proptest! {
        /// Whatever is sent and in whatever order it settles, the end is the same: all told, nothing in flight.
        #[test]
        fn everything_settles_once(sent in prop::collection::vec((1_u64..60, 0_u32..8), 1..40), order in any::<u64>()) {
            let mut window = Window::starting_at(1);
            let mut frames = Vec::new();
            let mut last = 0;
            for (first, count) in sent {
                frames.extend(window.admit(first, count).frame);
                last = last.max(first + u64::from(count) - 1);
                prop_assert!(window.upto() <= window.received());
            }
            while !frames.is_empty() {
                let pick = usize::try_from(order % frames.len() as u64).unwrap();
                window.settle(frames.swap_remove(pick), Some(Level::Stored), vec![]);
            }
            prop_assert_eq!((window.upto(), window.received(), window.in_flight()), (last, last, 0));
            prop_assert_eq!(window.take_settled().upto, last);
            prop_assert!(window.frames.is_empty());
        }
    }
}
