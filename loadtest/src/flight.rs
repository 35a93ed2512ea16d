//! What one client has sent and not heard of: pure bookkeeping, without a clock or a socket.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use tidegate_wire::{Ack, Rejection, Welcome};

/// The numbers of one client from the first sent to the last settled.
pub(crate) struct Flight {
    /// Frames not wholly settled, oldest first.
    frames: VecDeque<Frame>,
    /// As many of them were sent on this connection.
    on_the_way: usize,
    /// Everything up to here is settled.
    upto: u64,
    /// The highest number ever sent.
    highest: u64,
    /// Refused and not covered by `upto` yet.
    refused_ahead: BTreeSet<u64>,
    credit: Credit,
}

/// What the client may send, as the gateway said last.
#[derive(Clone, Copy, Debug, Default)]
struct Credit {
    limit: u64,
    limit_bytes: u64,
    sent_bytes: u64,
    obeyed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    first: u64,
    last: u64,
    due: Instant,
}

/// Events to send next, all in one frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Next {
    pub(crate) first: u64,
    pub(crate) count: u32,
    /// Sent before on another connection.
    pub(crate) again: bool,
}

/// Events that an acknowledgement settled: how many with a common due time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Settled {
    pub(crate) due: Instant,
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
}

impl Flight {
    /// A client that has sent nothing. `obedient` ones send only what credit allows.
    pub(crate) fn new(obedient: bool) -> Self {
        Self {
            frames: VecDeque::new(),
            on_the_way: 0,
            upto: 0,
            highest: 0,
            refused_ahead: BTreeSet::new(),
            credit: Credit { obeyed: obedient, ..Credit::default() },
        }
    }

    /// The lowest number not settled.
    pub(crate) fn lowest_open(&self) -> u64 {
        self.upto + 1
    }

    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// Events sent at least once and not settled.
    pub(crate) fn unsettled(&self) -> u64 {
        self.highest - self.upto
    }

    /// Whether a frame sent on an earlier connection waits to be sent again.
    pub(crate) fn owes(&self) -> bool {
        self.on_the_way < self.frames.len()
    }

    /// What every event sent and not settled was due at, with the events' count.
    pub(crate) fn open_frames(&self) -> impl Iterator<Item = (Instant, u64)> {
        self.frames.iter().map(|frame| (frame.due, frame.last + 1 - frame.first.max(self.upto + 1)))
    }

    /// Plans a frame never sent before.
    pub(crate) fn plan(&mut self, count: u32, due: Instant) {
        let first = self.highest + 1;
        self.highest += u64::from(count);
        self.frames.push_back(Frame { first, last: self.highest, due });
    }

    /// Takes the next frame that was planned and not sent on this connection.
    pub(crate) fn take(&mut self, payload_bytes: impl Fn(u64) -> u64, was_new: bool) -> Option<Next> {
        let frame = self.frames.get(self.on_the_way)?;
        let first = frame.first.max(self.upto + 1);
        let last = frame.last;
        self.on_the_way += 1;
        self.credit.sent_bytes += (first..=last).map(payload_bytes).sum::<u64>();
        let count = u32::try_from(last + 1 - first).unwrap_or(0);
        Some(Next { first, count, again: !was_new })
    }

    /// Whether credit allows one more frame of `count` events and `bytes` of payload.
    pub(crate) fn may_send(&self, count: u32, bytes: u64) -> bool {
        if !self.credit.obeyed || self.on_the_way == 0 {
            // With nothing unsettled a client may always send something.
            return true;
        }
        let last =
            self.frames.get(self.on_the_way).map_or(self.highest + u64::from(count), |frame| frame.last);
        last <= self.credit.limit && self.credit.sent_bytes + bytes <= self.credit.limit_bytes
    }

    /// What was sent last will never be heard of: it is lossy.
    pub(crate) fn forget(&mut self) {
        self.frames.clear();
        (self.on_the_way, self.upto) = (0, self.highest);
    }

    /// The gateway's answer to HELLO: where the numbers stand, and new credit.
    pub(crate) fn welcome(&mut self, welcome: &Welcome) -> Vec<Settled> {
        self.on_the_way = 0;
        self.credit = Credit {
            limit: welcome.limit,
            limit_bytes: welcome.limit_bytes,
            sent_bytes: 0,
            obeyed: self.credit.obeyed,
        };
        self.settle(welcome.upto.min(self.highest), &welcome.rej)
    }

    /// An acknowledgement. Numbers beyond what was sent are the gateway's mistake and come back as an error.
    pub(crate) fn ack(&mut self, ack: &Ack) -> Result<Vec<Settled>, String> {
        if ack.upto > self.highest {
            return Err(format!("acknowledged up to {}, but only {} were sent", ack.upto, self.highest));
        }
        if ack.upto < self.upto {
            return Err(format!("acknowledged up to {} after {}", ack.upto, self.upto));
        }
        self.credit.limit = ack.limit;
        self.credit.limit_bytes = ack.limit_bytes;
        Ok(self.settle(ack.upto, &ack.list))
    }

    fn settle(&mut self, upto: u64, refused: &[Rejection]) -> Vec<Settled> {
        for rejection in refused.iter().filter(|rejection| !rejection.code.is_informative()) {
            if rejection.seq > self.upto {
                self.refused_ahead.insert(rejection.seq);
            }
        }
        let mut settled = Vec::new();
        while let Some(frame) = self.frames.front().copied() {
            let (from, to) = (frame.first.max(self.upto + 1), frame.last.min(upto));
            if from <= to {
                let refused = self.refused_ahead.range(from..=to).count() as u64;
                settled.push(Settled { due: frame.due, acknowledged: to + 1 - from - refused, refused });
            }
            if frame.last > upto {
                break;
            }
            self.frames.pop_front();
            self.on_the_way = self.on_the_way.saturating_sub(1);
        }
        self.upto = self.upto.max(upto);
        self.refused_ahead = self.refused_ahead.split_off(&(self.upto + 1));
        settled
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use tidegate_wire::{Code, Level, Reason};

    use super::*;
    use crate::clock;

    fn ack(upto: u64, limit: u64, refused: &[u64]) -> Ack {
        let list = refused.iter().map(|seq| Rejection {
            seq: *seq,
            code: Code::Malformed,
            message: Cow::Borrowed(""),
        });
        Ack {
            upto,
            level: Level::Committed,
            limit,
            limit_bytes: 1_000,
            reason: Reason::Ok,
            retry_ms: 0,
            list: list.collect(),
        }
    }

    fn sent(flight: &mut Flight, count: u32) -> Instant {
        let due = clock::now();
        flight.plan(count, due);
        flight.take(|_| 10, true).unwrap();
        due
    }

    #[test]
    fn every_event_settles_once_as_acknowledged_or_refused() {
        let mut flight = Flight::new(true);
        let (one, two) = (sent(&mut flight, 4), sent(&mut flight, 4));
        let settled = flight.ack(&ack(6, 100, &[2, 6, 7])).unwrap();
        let expected = [
            Settled { due: one, acknowledged: 3, refused: 1 },
            Settled { due: two, acknowledged: 1, refused: 1 },
        ];
        assert_eq!(settled, expected);
        assert_eq!(flight.open_frames().collect::<Vec<_>>(), [(two, 2)]);
        let settled = flight.ack(&ack(8, 100, &[])).unwrap();
        assert_eq!(settled, [Settled { due: two, acknowledged: 1, refused: 1 }]);
        assert_eq!(flight.unsettled(), 0);
    }

    #[test]
    fn acknowledgements_that_cannot_be_are_named() {
        let mut flight = Flight::new(true);
        sent(&mut flight, 4);
        flight.ack(&ack(3, 100, &[])).unwrap();
        assert!(flight.ack(&ack(5, 100, &[])).unwrap_err().contains("only 4"));
        assert!(flight.ack(&ack(2, 100, &[])).unwrap_err().contains("after 3"));
    }

    #[test]
    fn credit_is_obeyed_in_events_and_in_bytes_unless_told_not_to() {
        for obedient in [true, false] {
            let mut flight = Flight::new(obedient);
            assert!(flight.may_send(64, 10_000), "the first event needs no credit");
            sent(&mut flight, 1);
            flight.ack(&ack(0, 10, &[])).unwrap();
            assert!(flight.may_send(9, 90));
            assert_eq!(flight.may_send(10, 90), !obedient);
            assert_eq!(flight.may_send(9, 991), !obedient);
        }
    }

    #[test]
    fn after_a_break_only_what_is_not_settled_is_sent_again() {
        let mut flight = Flight::new(true);
        sent(&mut flight, 4);
        sent(&mut flight, 4);
        let welcome = serde_json::json!({"v":1,"session":"s","client":"c","epoch":1,"resumed":true,"upto":5,"limit":100,
            "limit_bytes":1000,"level":"committed","rej":[{"s":3,"code":"malformed","msg":""}],"rej_more":false,"ping_ms":1,
            "idle_ms":1,"max_event_bytes":1,"max_frame_bytes":1,"max_batch_events":1,"datagrams":false,"server_time":1});
        let settled = flight.welcome(&serde_json::from_value(welcome).unwrap());
        assert_eq!(
            settled.iter().map(|settled| (settled.acknowledged, settled.refused)).collect::<Vec<_>>(),
            [(3, 1), (1, 0)]
        );
        assert!(flight.owes());
        assert_eq!(flight.take(|_| 10, false), Some(Next { first: 6, count: 3, again: true }));
        assert!(!flight.owes());
    }
}
