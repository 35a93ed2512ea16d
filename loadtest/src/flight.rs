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

    /// The frame to send next: the oldest that was not sent on this connection, else a new one of `batch` events.
    pub(crate) fn next(&self, batch: u32) -> Next {
        match self.frames.get(self.on_the_way) {
            None => Next { first: self.highest + 1, count: batch, again: false },
            Some(frame) => {
                let first = frame.first.max(self.upto + 1);
                Next { first, count: u32::try_from(frame.last + 1 - first).unwrap_or(0), again: true }
            }
        }
    }

    /// Whether credit allows that frame, with `bytes` of payload in it.
    pub(crate) fn may_send(&self, next: Next, bytes: u64) -> bool {
        let Credit { limit, limit_bytes, sent_bytes, obeyed } = self.credit;
        // With nothing unsettled a client may always send one event.
        let is_free = !obeyed || (self.on_the_way == 0 && next.count == 1);
        let last = next.first + u64::from(next.count) - 1;
        is_free || (last <= limit && sent_bytes + bytes <= limit_bytes)
    }

    /// Whether everything sent on this connection is settled: then no acknowledgement brings more credit.
    pub(crate) fn has_all_credit(&self) -> bool {
        self.on_the_way == 0
    }

    /// What a client may have unsettled when nothing is: events and bytes.
    pub(crate) fn free_credit(&self) -> (u64, u64) {
        let Credit { limit, limit_bytes, sent_bytes, .. } = self.credit;
        (limit.saturating_sub(self.upto), limit_bytes.saturating_sub(sent_bytes))
    }

    /// That frame goes out now. A new one was due at `due`; an older one keeps its time.
    pub(crate) fn send(&mut self, next: Next, bytes: u64, due: Instant) {
        if !next.again {
            self.highest += u64::from(next.count);
            self.frames.push_back(Frame { first: next.first, last: self.highest, due });
        }
        self.on_the_way += 1;
        self.credit.sent_bytes += bytes;
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
        self.settle(welcome.upto.min(self.highest))
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
        Ok(self.settle(ack.upto))
    }

    /// Takes note of a refusal, before the ACK or WELCOME that lists it. Whether it is one, and was not known.
    pub(crate) fn refuse(&mut self, refusal: &Rejection) -> bool {
        let is_open = (self.upto + 1..=self.highest).contains(&refusal.seq);
        is_open && !refusal.code.is_informative() && self.refused_ahead.insert(refusal.seq)
    }

    fn settle(&mut self, upto: u64) -> Vec<Settled> {
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
        let next = flight.next(count);
        flight.send(next, 10 * u64::from(next.count), due);
        due
    }

    /// The acknowledgement, as a client takes it.
    fn take(flight: &mut Flight, ack: &Ack) -> Result<Vec<Settled>, String> {
        ack.list.iter().for_each(|refusal| assert!(flight.refuse(refusal)));
        flight.ack(ack)
    }

    #[test]
    fn every_event_settles_once_as_acknowledged_or_refused() {
        let mut flight = Flight::new(true);
        let (one, two) = (sent(&mut flight, 4), sent(&mut flight, 4));
        let settled = take(&mut flight, &ack(6, 100, &[2, 6, 7])).unwrap();
        let expected = [
            Settled { due: one, acknowledged: 3, refused: 1 },
            Settled { due: two, acknowledged: 1, refused: 1 },
        ];
        assert_eq!(settled, expected);
        assert_eq!(flight.open_frames().collect::<Vec<_>>(), [(two, 2)]);
        let settled = take(&mut flight, &ack(8, 100, &[])).unwrap();
        assert_eq!(settled, [Settled { due: two, acknowledged: 1, refused: 1 }]);
        assert_eq!(flight.unsettled(), 0);
    }

    #[test]
    fn a_refusal_is_news_once_however_often_it_is_listed() {
        let mut flight = Flight::new(true);
        sent(&mut flight, 4);
        let listed = ack(1, 100, &[3]).list;
        let refusal = listed.first().unwrap();
        assert!(flight.refuse(refusal));
        assert!(!flight.refuse(refusal), "listed again by WELCOME");
        flight.ack(&ack(4, 100, &[])).unwrap();
        assert!(!flight.refuse(refusal), "settled");
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
            assert!(flight.may_send(flight.next(1), 10_000), "one event needs no credit");
            assert_eq!(flight.may_send(flight.next(2), 10), !obedient);
            sent(&mut flight, 1);
            flight.ack(&ack(0, 10, &[])).unwrap();
            assert!(flight.may_send(flight.next(9), 990));
            assert_eq!(flight.may_send(flight.next(10), 90), !obedient);
            assert_eq!(flight.may_send(flight.next(9), 991), !obedient);
            assert_eq!(flight.may_send(flight.next(1), 991), !obedient, "something is unsettled");
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
        let welcome: Welcome = serde_json::from_value(welcome).unwrap();
        welcome.rej.iter().for_each(|refusal| assert!(flight.refuse(refusal)));
        let settled = flight.welcome(&welcome);
        assert_eq!(
            settled.iter().map(|settled| (settled.acknowledged, settled.refused)).collect::<Vec<_>>(),
            [(3, 1), (1, 0)]
        );
        assert!(flight.owes());
        assert_eq!(flight.next(4), Next { first: 6, count: 3, again: true });
        sent(&mut flight, 4);
        assert!(!flight.owes());
        assert_eq!(flight.next(4), Next { first: 9, count: 4, again: false });
    }
}
