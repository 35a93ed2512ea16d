//! One frame's events between their session and their end: counts them out, gives budget back, and tells
//! whoever waits.

use std::sync::Arc;
use std::time::Instant;

use tidegate_wire::{Level, Reject};
use tokio::sync::oneshot;

use super::budget::Held;
use super::hold::Connection;
use super::numbering::{Numbering, SettledFrame};
use super::window::{FrameId, Refusal};
use crate::carrier::Carrier;
use crate::metrics::{Metrics, Stage};
use crate::outcome::Outcome;
use crate::pipeline::Fate;
use crate::ticket::{Settled, Settlement};

/// The longest message that is kept with a refusal, in bytes.
const MESSAGE_BYTES: usize = 200;

/// The events of one frame that were received and have not ended.
#[derive(Debug)]
pub(super) struct InFlight {
    metrics: Arc<Metrics>,
    carrier: Carrier,
    received_at: Instant,
    /// When the destination was first offered them.
    pub(super) offered_at: Option<Instant>,
    /// Events refused by the pipeline, by their position in the frame.
    pub(super) rejected: Vec<(u32, Reject)>,
    /// Events on their way to the destination.
    pub(super) going: u32,
    /// What rules that remember some of them are told.
    pub(super) fate: Option<Arc<Fate>>,
    /// Some of them wait for the end of a window.
    pub(super) waits_for_windows: bool,
    /// Those among them that are refused, and whose records go to a dead-letter topic.
    buried: Vec<(u32, Reject)>,
    /// Their share of the memory budget.
    pub(super) budget: Option<Held>,
    waiting: Option<Waiting>,
}

/// Who waits for a frame to settle.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The numbers of a session.
    Numbers(Numbers),
    /// An HTTP request without session headers.
    Request(oneshot::Sender<Ended>),
    /// Nobody: lossy events.
    Nobody,
}

/// The numbers that a frame has in its numbering.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) numbering: Arc<Numbering>,
    pub(super) connection: Arc<Connection>,
    pub(super) frame: FrameId,
    pub(super) first_seq: u64,
    pub(super) bytes: u64,
    /// A request that waits to hear which of its own events were refused.
    pub(super) refused: Option<oneshot::Sender<Vec<(u32, Reject)>>>,
}

/// How a request's events have ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) durable: u32,
    pub(super) lost: u32,
    pub(super) level: Option<Level>,
    pub(super) rejected: Vec<(u32, Reject)>,
}

impl InFlight {
    pub(super) fn new(
        metrics: &Arc<Metrics>,
        carrier: Carrier,
        received_at: Instant,
        waiting: Waiting,
    ) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            carrier,
            received_at,
            offered_at: None,
            rejected: Vec::new(),
            going: 0,
            fate: None,
            waits_for_windows: false,
            buried: Vec::new(),
            budget: None,
            waiting: Some(waiting),
        }
    }

    /// Counts a rejected event out.
    pub(super) fn reject(&mut self, index: u32, mut reject: Reject) {
        self.metrics.carrier(self.carrier).ended(Outcome::from(reject.code), 1);
        shorten(&mut reject);
        self.rejected.push((index, reject));
    }

    /// An event that is refused, and of which a record goes to a dead-letter topic: it ends when that has.
    pub(super) fn bury(&mut self, index: u32, mut reject: Reject) {
        shorten(&mut reject);
        self.going += 1;
        self.buried.push((index, reject));
    }

    /// The events that the pipeline refused, in their order.
    pub(super) fn refused(&self) -> Vec<(u32, Reject)> {
        let mut refused: Vec<_> = self.rejected.iter().chain(&self.buried).cloned().collect();
        refused.sort_by_key(|(index, _)| *index);
        refused
    }

    /// Takes the dead letters out of what has settled: they are refused, however durable.
    fn exhume(&mut self, frame: &mut Settlement) {
        let series = self.metrics.carrier(self.carrier);
        for (index, mut reject) in std::mem::take(&mut self.buried) {
            let outcome = if let Some(at) = frame.refused.iter().position(|refused| refused.index == index) {
                let why = frame.refused.swap_remove(at).message;
                reject.message =
                    format!("{}; and its dead-letter topic did not take it: {why}", reject.message).into();
                shorten(&mut reject);
                Outcome::from(reject.code)
            } else if let Some(durable) =
                [&mut frame.committed, &mut frame.stored].into_iter().find(|count| **count > 0)
            {
                *durable -= 1;
                Outcome::DeadLettered
            } else {
                // Lost or dropped, and counted as that.
                continue;
            };
            series.ended(outcome, 1);
            self.rejected.push((index, reject));
        }
    }

    fn end(&mut self, mut frame: Settlement) {
        let Some(waiting) = self.waiting.take() else { return };
        if let Some(fate) = self.fate.take() {
            // First of all: once its client knows, it sends again what is not durable.
            fate.settle(frame.lost == 0 && frame.dropped == 0 && frame.refused.is_empty());
        }
        self.exhume(&mut frame);
        self.count(&frame);
        let level = level(&frame);
        let lost = frame.lost;
        let durable = frame.committed + frame.stored;
        for refused in frame.refused {
            let Some(code) = refused.outcome.code() else { continue };
            let mut reject = Reject { code, message: refused.message.into() };
            shorten(&mut reject);
            self.rejected.push((refused.index, reject));
        }
        self.rejected.sort_by_key(|(index, _)| *index);
        let cost_bytes = self.budget.take().map_or(0, |held| held.bytes());
        let rejected = std::mem::take(&mut self.rejected);
        let has_waited = self.waits_for_windows;
        match waiting {
            Waiting::Numbers(numbers) if lost > 0 => numbers.numbering.break_off(),
            Waiting::Numbers(numbers) => numbers.settle((cost_bytes, has_waited), level, rejected),
            // A request that no longer waits has been answered 504 or has gone.
            Waiting::Request(answer) => drop(answer.send(Ended { durable, lost, level, rejected })),
            Waiting::Nobody => {}
        }
    }

    fn count(&self, frame: &Settlement) {
        let series = self.metrics.carrier(self.carrier);
        series.ended(Outcome::Committed, frame.committed);
        series.ended(Outcome::Stored, frame.stored);
        series.ended(Outcome::Lost, frame.lost);
        series.ended(Outcome::LossyDropped, frame.dropped);
        for refused in &frame.refused {
            series.ended(refused.outcome, 1);
        }
        let durable = frame.committed + frame.stored;
        if durable > 0 {
            let now = super::now();
            if let Some(offered_at) = self.offered_at {
                series.latency(Stage::Durable).observe(now - offered_at, durable);
            }
            series.latency(Stage::Total).observe(now - self.received_at, durable);
        }
    }
}

impl Settled for InFlight {
    fn settled(mut self: Box<Self>, frame: Settlement) {
        self.end(frame);
    }
}

impl Drop for InFlight {
    /// A frame that never reached the destination is lost, and said so.
    fn drop(&mut self) {
        let lost = Settlement { committed: 0, stored: 0, lost: self.going, dropped: 0, refused: Vec::new() };
        self.end(lost);
    }
}

impl Numbers {
    fn settle(
        mut self,
        (cost_bytes, has_waited): (u64, bool),
        level: Option<Level>,
        rejected: Vec<(u32, Reject)>,
    ) {
        if let Some(refused) = self.refused.take() {
            // A request that no longer waits has been answered or has gone.
            let _ = refused.send(rejected.clone());
        }
        let refusals = rejected
            .into_iter()
            .map(|(index, reject)| Refusal {
                seq: self.first_seq + u64::from(index),
                code: reject.code,
                message: reject.message.into(),
            })
            .collect();
        let settled =
            SettledFrame { frame: self.frame, bytes: self.bytes, cost_bytes, has_waited, level, refusals };
        self.numbering.settle(&self.connection, settled);
    }
}

fn level(frame: &Settlement) -> Option<Level> {
    match (frame.stored, frame.committed) {
        (0, 0) => None,
        (0, _) => Some(Level::Committed),
        _ => Some(Level::Stored),
    }
}

/// Cuts a message to what is kept of it, at a character.
fn shorten(reject: &mut Reject) {
    if reject.message.len() > MESSAGE_BYTES {
        let mut end = MESSAGE_BYTES;
        while !reject.message.is_char_boundary(end) {
            end -= 1;
        }
        reject.message.to_mut().truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use tidegate_wire::Code;

    use super::*;
    use crate::ticket::Refused;

    /// A frame of three events: the first goes on, the other two are refused and go to the dead letters.
    fn frame() -> (Box<InFlight>, Arc<Metrics>, oneshot::Receiver<Ended>) {
        let (metrics, _registry) = Metrics::register();
        let metrics = Arc::new(metrics);
        let (tell, told) = oneshot::channel();
        let waiting = Waiting::Request(tell);
        let mut inflight = Box::new(InFlight::new(&metrics, Carrier::Https, super::super::now(), waiting));
        metrics.carrier(Carrier::Https).came(3);
        inflight.going += 1;
        for index in [1, 2] {
            inflight.bury(index, Reject { code: Code::Schema, message: format!("misfit {index}").into() });
        }
        (inflight, metrics, told)
    }

    #[track_caller]
    fn counted(metrics: &Metrics, expected: &[(Outcome, u64)]) {
        for outcome in Outcome::ALL {
            let count = expected.iter().find(|(of, _)| *of == outcome).map_or(0, |(_, count)| *count);
            let found = metrics.carrier(Carrier::Https).count(outcome);
            assert_eq!(found, count, "{outcome:?}");
        }
    }

    #[test]
    fn what_is_buried_is_refused_and_counted_as_a_dead_letter() {
        let (inflight, metrics, mut told) = frame();
        assert_eq!(inflight.refused().len(), 2);
        inflight.settled(Settlement { committed: 3, stored: 0, lost: 0, dropped: 0, refused: Vec::new() });
        let ended = told.try_recv().unwrap();
        let codes: Vec<_> = ended.rejected.iter().map(|(index, reject)| (*index, reject.code)).collect();
        assert_eq!((ended.durable, codes), (1, vec![(1, Code::Schema), (2, Code::Schema)]));
        counted(&metrics, &[(Outcome::Committed, 1), (Outcome::DeadLettered, 2)]);
    }

    #[test]
    fn what_is_refused_at_once_is_told_in_its_order_whatever_becomes_of_it() {
        let (mut inflight, metrics, _told) = frame();
        metrics.carrier(Carrier::Https).came(2);
        inflight.reject(3, Reject { code: Code::Filtered, message: "no".into() });
        inflight.bury(4, Reject { code: Code::Schema, message: "misfit 4".into() });
        let indices: Vec<_> = inflight.refused().iter().map(|(index, _)| *index).collect();
        assert_eq!(indices, [1, 2, 3, 4]);
    }

    #[test]
    fn what_its_dead_letter_topic_does_not_take_is_refused_all_the_same() {
        let (inflight, metrics, mut told) = frame();
        let message = "too large".to_owned();
        let refused = vec![Refused { index: 2, outcome: Outcome::BrokerRejected, message }];
        inflight.settled(Settlement { committed: 2, stored: 0, lost: 0, dropped: 0, refused });
        let ended = told.try_recv().unwrap();
        let (_, last) = ended.rejected.last().unwrap();
        assert_eq!(last.code, Code::Schema);
        assert_eq!(last.message, "misfit 2; and its dead-letter topic did not take it: too large");
        counted(&metrics, &[(Outcome::Committed, 1), (Outcome::DeadLettered, 1), (Outcome::Schema, 1)]);
    }

    #[test]
    fn dead_letters_that_are_lost_or_dropped_are_that() {
        let (inflight, metrics, told) = frame();
        drop(inflight);
        assert_eq!(told.blocking_recv().unwrap().lost, 3);
        counted(&metrics, &[(Outcome::Lost, 3)]);
        let (inflight, metrics, _told) = frame();
        inflight.settled(Settlement { committed: 2, stored: 0, lost: 0, dropped: 1, refused: Vec::new() });
        counted(&metrics, &[(Outcome::DeadLettered, 2), (Outcome::LossyDropped, 1)]);
    }
}
