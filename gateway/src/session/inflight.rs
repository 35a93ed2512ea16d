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

    fn end(&mut self, frame: Settlement) {
        let Some(waiting) = self.waiting.take() else { return };
        if let Some(fate) = self.fate.take() {
            // First of all: once its client knows, it sends again what is not durable.
            fate.settle(frame.lost == 0 && frame.dropped == 0 && frame.refused.is_empty());
        }
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
