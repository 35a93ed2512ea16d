//! Records of the log that Kafka was given before the log had them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::outcome::Outcome;
use crate::ticket::Settlement;

/// What Kafka has made of records that it was given together, once that is known.
#[derive(Debug, Default)]
pub(in crate::deliver) struct Verdict(OnceLock<Told>);

#[derive(Debug)]
enum Told {
    /// It is not known which of them it has.
    Unknown,
    /// It has all but these, by their indexes.
    Known { refused: Vec<u32>, dead_lettered: Vec<u32> },
}

impl Verdict {
    /// They have settled. What was refused may have been so for its topic, which their clients are not told any more.
    pub(in crate::deliver) fn tell(&self, frame: &Settlement) {
        let of = |is_dead: bool| {
            let refused =
                frame.refused.iter().filter(|one| (one.outcome == Outcome::DeadLettered) == is_dead);
            refused.map(|one| one.index).collect()
        };
        let told = match frame.lost {
            0 => Told::Known { refused: of(false), dead_lettered: of(true) },
            _ => Told::Unknown,
        };
        // Settled once.
        let _ = self.0.set(told);
    }
}

/// What is done with a record of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Forward,
    /// Kafka has it.
    Skip,
    /// Kafka has it as a dead letter.
    DeadLettered,
    /// Kafka may yet turn out to have it.
    Wait,
}

/// Those that the forwarder has not passed, in the log's order.
#[derive(Debug, Default)]
pub(super) struct Given(VecDeque<Frame>);

#[derive(Debug)]
struct Frame {
    sequences: Range<u64>,
    /// Of each; empty where it is not known which sequence is whose.
    indexes: Vec<u32>,
    verdict: Arc<Verdict>,
}

impl Given {
    pub(super) fn push(&mut self, sequences: Range<u64>, indexes: Vec<u32>, verdict: Arc<Verdict>) {
        if !sequences.is_empty() {
            self.0.push_back(Frame { sequences, indexes, verdict });
        }
    }

    /// Everything before `sequence` is done with.
    pub(super) fn forget(&mut self, sequence: u64) {
        let past = self.0.partition_point(|frame| frame.sequences.end <= sequence);
        self.0.drain(..past);
    }

    /// Whether there is a verdict on all of them.
    pub(super) fn is_known(&self) -> bool {
        self.0.iter().all(|frame| frame.verdict.0.get().is_some())
    }

    pub(super) fn fate(&self, sequence: u64) -> Fate {
        let at = self.0.partition_point(|frame| frame.sequences.end <= sequence);
        match self.0.get(at).filter(|frame| frame.sequences.contains(&sequence)) {
            Some(frame) => frame.fate(sequence),
            None => Fate::Forward,
        }
    }
}

impl Frame {
    fn fate(&self, sequence: u64) -> Fate {
        let (refused, dead_lettered) = match self.verdict.0.get() {
            None => return Fate::Wait,
            Some(Told::Unknown) => return Fate::Forward,
            Some(Told::Known { refused, dead_lettered }) => (refused, dead_lettered),
        };
        if refused.is_empty() && dead_lettered.is_empty() {
            return Fate::Skip;
        }
        let position = usize::try_from(sequence - self.sequences.start).ok();
        match position.and_then(|position| self.indexes.get(position)) {
            Some(index) if refused.contains(index) => Fate::Forward,
            Some(index) if dead_lettered.contains(index) => Fate::DeadLettered,
            Some(_) => Fate::Skip,
            None => Fate::Forward,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::Refused;

    fn settlement(lost: u32, refused: &[(u32, Outcome)]) -> Settlement {
        let refused = refused.iter().map(|(index, outcome)| Refused {
            index: *index,
            outcome: *outcome,
            message: String::new(),
        });
        Settlement { committed: 0, stored: 0, lost, dropped: 0, refused: refused.collect() }
    }

    #[test]
    fn of_a_frame_those_are_forwarded_that_kafka_has_not_got() {
        let (dead, no) = (Outcome::DeadLettered, Outcome::BrokerRejected);
        let (forward, skip) = (Fate::Forward, Fate::Skip);
        for (settlement, expected) in [
            (settlement(0, &[]), [skip, skip, skip]),
            (settlement(1, &[]), [forward, forward, forward]),
            (settlement(0, &[(5, no)]), [skip, forward, skip]),
            (settlement(0, &[(3, no), (9, dead)]), [forward, skip, Fate::DeadLettered]),
        ] {
            let (mut given, verdict) = (Given::default(), Arc::<Verdict>::default());
            given.push(10..13, vec![3, 5, 9], Arc::clone(&verdict));
            assert_eq!((given.fate(9), given.fate(11), given.fate(13)), (forward, Fate::Wait, forward));
            assert!(!given.is_known());
            verdict.tell(&settlement);
            assert_eq!([10, 11, 12].map(|sequence| given.fate(sequence)), expected, "{settlement:?}");
            assert!(given.is_known());
            given.forget(13);
            assert_eq!(given.fate(10), forward);
        }
    }
}
